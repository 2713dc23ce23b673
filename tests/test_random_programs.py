"""Random programs mean the same at every level, and so do their derivatives.

`pytest --programs=N` tries N of them for each property instead of the usual number.
"""

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, strategies
from levels import lower_levels
from random_programs import random_program

import rlxc
from rlxc.ir.interp import interpret
from rlxc.ir.verify import verify
from rlxc.passes.gradient import jvp, prepare
from rlxc.passes.inline import inline_calls
from rlxc.passes.linearize import linearize
from rlxc.passes.pipelines import make_pipeline
from rlxc.passes.transpose import transpose
from rlxc.runtime.compile import compile_func
from rlxc.testing.numeric import differ, inner

CHUNKS = 10  # so that pytest-xdist has something to share out
RTOL = {"f64": 1e-9, "f32": 2e-4}
SETTINGS = [{}, {"fuse": False}, {"vectorize": False}, {"fuse": False, "vectorize": False}, *({"cpu": level} for level in lower_levels())]


@pytest.fixture
def seeds(request):
    """Seeds of this chunk, for as many programs as are wanted in all."""

    def chosen(usual, chunk):
        count = request.config.getoption("--programs") or usual
        return range(chunk, count, CHUNKS)

    return chosen


@pytest.fixture
def hold(request):
    """Hypothesis tries a property on this chunk's programs, and makes one that fails as small as it can."""

    def tried(usual, chunk, prop, **drawn):
        examples = -(-(request.config.getoption("--programs") or usual) // CHUNKS)
        wanted = hypothesis.settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        wanted(hypothesis.seed(chunk)(hypothesis.given(**drawn)(prop)))()

    return tried


FLOATS = [("f64",), ("f32",), ("f32", "f64")]
PROGRAMS = strategies.builds(random_program, strategies.integers(0, 2**32 - 1), size=strategies.integers(1, 18), floats=strategies.sampled_from(FLOATS))


def make(seed):
    """Small programs first; floats of one dtype or of both."""
    return random_program(seed, size=2 + seed % 17, floats=FLOATS[seed % 3])


def run(func, inputs):
    return [np.asarray(x) for x in interpret(inline_calls(func), inputs)]


def same(program, got, want, what, scale=1.0):
    narrow = any(np.asarray(x).dtype == np.float32 for x in (*want, *program.inputs)) or "convert" in program.names
    rtol = RTOL["f32" if narrow else "f64"] * scale
    for k, (g, w) in enumerate(zip(got, want, strict=True)):
        wrong = differ(g, w, rtol, atol=rtol * program.magnitude)
        assert not wrong, f"result {k} {what}: {wrong}\n{program}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_text_parses_back_to_the_same_module(chunk, seeds):
    for seed in seeds(500, chunk):
        program = make(seed)
        text = str(program.module)
        again = rlxc.parse(text)
        assert again == program.module, text
        assert str(again) == text


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_passes_keep_the_meaning_and_print_what_parses(chunk, seeds):
    for seed in seeds(300, chunk):
        program = make(seed)
        want = run(program.func, program.inputs)
        for pipeline in ("inline", "legalize", "simplify", "cse", "dce", "default", "default,simplify,fuse"):
            module = make_pipeline(pipeline, verify=verify).run(program.module)
            same(program, run(module["f"], program.inputs), want, f"after {pipeline}")
            assert rlxc.parse(str(module)) == module, f"after {pipeline}:\n{module}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_native_code_gives_what_the_interpreter_does(chunk, hold):
    def agrees(program, options):
        want = run(program.func, program.inputs)
        same(program, compile_func(program.func, **options)(*program.inputs), want, f"native with {options}")

    hold(300, chunk, agrees, program=PROGRAMS, options=strategies.sampled_from(SETTINGS))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_narrow_floats_are_computed_in_f32_and_rounded(chunk, seeds):
    """f16 and bf16: within a few roundings of what the interpreter gives."""
    for seed in seeds(100, chunk):
        program = random_program(seed, size=1 + seed % 4, floats=(("f16",), ("bf16",), ("f16", "bf16", "f32"))[seed % 3], integers=False)
        want = run(program.func, program.inputs)
        got = compile_func(program.func)(*program.inputs)
        for k, (g, w) in enumerate(zip(got, want, strict=True)):
            wrong = differ(g, w, 5e-2, atol=5e-2 * program.magnitude)
            assert not wrong, f"result {k}: {wrong}\n{program}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_loops_are_interpreted_to_the_same(chunk, seeds):
    """The loop level before and after its schedule, run in Python."""
    for seed in seeds(40, chunk):
        program = random_program(seed, size=2 + seed % 6, floats=("f64",))
        want = run(program.func, program.inputs)
        if sum(x.size for x in (*want, *program.inputs)) > 300:
            continue
        for pipeline in ("default,fuse,lower", "default,fuse,lower,form-fma,vectorize"):
            loops = make_pipeline(pipeline, verify=verify).run(program.module)
            outs = [np.zeros(x.shape, x.dtype) for x in want]
            interpret(loops["f"], [*(np.ascontiguousarray(x).reshape(x.shape) for x in program.inputs), *outs])
            same(program, outs, want, f"after {pipeline}")
            assert rlxc.parse(str(loops)) == loops, f"after {pipeline}:\n{loops}"


def derivative_program(seed):
    program = random_program(seed, size=2 + seed % 13, floats=("f64",))
    func = prepare(program.func)
    wrt = [i for i, a in enumerate(func.args) if a.type.dtype.is_float]
    return (program, func, wrt) if wrt and any(v.type.dtype.is_float for v in func.results) else None


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_tangents_and_cotangents_are_adjoint(chunk, seeds):
    for seed in seeds(300, chunk):
        if not (found := derivative_program(seed)):
            continue
        program, func, wrt = found
        rng = np.random.default_rng(seed)
        primal, linear = linearize(func, wrt).functions("f")
        turned = transpose(linear)
        residuals = interpret(primal, program.inputs)[len(func.results) :]
        dx = [rng.uniform(-1, 1, a.type.shape) for a in linear.args if a.linear]
        ct = [rng.uniform(-1, 1, a.type.shape) for a in turned.args if a.linear]
        out = interpret(linear, [*residuals, *dx])
        back = interpret(turned, [*residuals, *ct])
        pairs = [(c, o) for c, o in zip(ct, out, strict=True) if np.asarray(o).dtype == np.float64]
        left, size = inner([c for c, _ in pairs], [o for _, o in pairs])
        right, other = inner(back, dx)
        assert abs(left - right) <= 1e-8 * (size + other + program.magnitude), f"{left} {right}\n{program}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_native_gradients_are_the_interpreted_ones(chunk, seeds):
    for seed in seeds(100, chunk):
        if not (found := derivative_program(seed)):
            continue
        program, func, wrt = found
        rng = np.random.default_rng(seed)
        whole = next(v for v in func.results if v.type.dtype == "f64")
        gradient = rlxc.grad_with_loss(func.with_(results=(whole,)), wrt)
        inputs = [*program.inputs, rng.uniform(-1, 1, whole.type.shape)]
        want = run(gradient, inputs)
        options = SETTINGS[seed % len(SETTINGS)]
        same(program, compile_func(gradient, **options)(*inputs), want, f"of the native gradient with {options}", scale=100)
        tidy = make_pipeline("simplify,cse,dce").run(gradient.as_module())[gradient.name]
        same(program, run(tidy, inputs), want, "of the simplified gradient", scale=100)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_tangents_are_derivatives(chunk, seeds):
    """Against central differences, in a direction of all inputs, wherever those settle on both sides."""
    for seed in seeds(200, chunk):
        if not (found := derivative_program(seed)):
            continue
        program, func, wrt = found
        if program.names & {"bitcast", "stop_gradient"}:
            continue
        rng = np.random.default_rng(seed)
        dx = [rng.uniform(-1, 1, func.args[i].type.shape) for i in wrt]
        got = interpret(jvp(func, wrt), [*program.inputs, *dx])[len(func.results) :]

        def moved(h, func=func, program=program, wrt=wrt, dx=dx):
            shifted = list(program.inputs)
            for i, d in zip(wrt, dx, strict=True):
                shifted[i] = shifted[i] + h * d
            results = zip(func.results, interpret(func, shifted), strict=True)
            return [np.asarray(x, np.complex128 if v.type.dtype.is_complex else np.float64) for v, x in results if v.type.dtype.differentiable]

        h = 1e-5
        points = [moved(k * h) for k in (-2, -1, 0, 1, 2)]
        for k, (g, a2, a1, y, b1, b2) in enumerate(zip(got, *points, strict=True)):
            fine, coarse, before, after = (b1 - a1) / (2 * h), (b2 - a2) / (4 * h), (y - a1) / h, (b1 - y) / h
            settled = (np.abs(fine - coarse) <= 1e-4 * (1 + np.abs(fine))) & (np.abs(after - before) <= 1e-3 * (1 + np.abs(fine)))
            wrong = settled & ~(np.abs(g - fine) <= 1e-3 * (1 + np.abs(fine)) + 1e-5 * program.magnitude)
            assert not wrong.any(), f"tangent of result {k}: {g} but {fine}\n{program}"
