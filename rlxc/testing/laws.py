"""The laws: what must be true of the rules of every primitive. `LAWS` lists them in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlxc import eager
from rlxc.errors import DifferentiationError, Error
from rlxc.frontend.parser import parse
from rlxc.ir.builder import Builder, make_op
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.interp import interpret
from rlxc.ir.liveness import live_ops
from rlxc.ir.primitive import REGISTRY, Primitive
from rlxc.ir.printer import print_module
from rlxc.ir.types import DType
from rlxc.passes.gradient import jvp, prepare
from rlxc.passes.inline import inline_calls
from rlxc.passes.linearity import check_linear
from rlxc.passes.linearize import Linearized, linearize
from rlxc.passes.pipelines import make_pipeline
from rlxc.passes.simplify import simplify
from rlxc.passes.transpose import transpose, transpose_ops
from rlxc.passes.vmap import Batching
from rlxc.primitives.control.base import splice
from rlxc.primitives.custom.base import floats
from rlxc.runtime.compile import compile_func
from rlxc.testing.cases import Arrays, Case, in_f64, random_array, strided, subsets
from rlxc.testing.eager_tape import Tape
from rlxc.testing.numeric import differ, directional_derivative, inner, is_float, tolerance, widest

Rng = np.random.Generator


class Broken(Exception):
    """A law does not hold: the rule at fault, and how."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail


class Skip(Exception):
    """A law says nothing about this case, and why."""


NO_FLOATS = "no float operand or no float result"
NO_DERIVATIVE = "declared to have no derivative"
LARGE = "large"
TOO_LATE = "made after differentiation"
ONE_WAY = {"RLX0308": "no reverse mode", "RLX0309": "no forward mode"}  # what errors say by design


@dataclass(frozen=True)
class Law:
    """What must hold, which rule is at fault if it does not, and a function that tries it on a case."""

    name: str
    rule: str
    check: Callable[[Case, Rng], None]
    derivative: bool = False  # tried in the sample's own dtype only


@dataclass(frozen=True)
class NativeLaw:
    """A law about compiled code; it is tried on all cases at once, since one function compiles faster than many."""

    name: str
    rule: str
    check: Callable[[Sequence[Case], Rng], None]
    derivative: bool = False


LAWS: list[Law] = []
NATIVE_LAWS: list[NativeLaw] = []


def law(name: str, rule: str, *, derivative: bool = False) -> Callable[[Callable[[Case, Rng], None]], Callable[[Case, Rng], None]]:
    def declare(check: Callable[[Case, Rng], None]) -> Callable[[Case, Rng], None]:
        LAWS.append(Law(name, rule, check, derivative))
        return check

    return declare


def native_law(name: str, rule: str, *, derivative: bool = False) -> Callable[[Callable[[Sequence[Case], Rng], None]], Callable]:
    def declare(check: Callable[[Sequence[Case], Rng], None]) -> Callable:
        NATIVE_LAWS.append(NativeLaw(name, rule, check, derivative))
        return check

    return declare


# -- values


@law("infer tells what eval gives", "infer")
def infer_tells_what_eval_gives(case: Case, rng: Rng) -> None:
    results = _eval(case, case.draw(rng))
    if len(results) != len(case.results):
        raise Broken("infer", f"infer tells {len(case.results)} results, eval gives {len(results)}")
    for x, t in zip(results, case.results, strict=True):
        array = np.asarray(x)
        if array.dtype != t.dtype.numpy or array.shape != t.shape:
            raise Broken("infer", f"infer tells {t}, eval gives {array.dtype}{list(array.shape)}")


@law("eval leaves its operands alone and always gives the same", "eval")
def eval_is_a_function(case: Case, rng: Rng) -> None:
    arrays = tuple(a.copy() for a in case.draw(rng))
    before = [a.tobytes() for a in arrays]
    first = [np.asarray(x).tobytes() for x in _eval(case, arrays)]
    if [a.tobytes() for a in arrays] != before:
        raise Broken("eval", "it changes an operand")
    if [np.asarray(x).tobytes() for x in _eval(case, arrays)] != first:
        raise Broken("eval", "it gives different results for the same operands")


@law("operands of a commutative op may be exchanged", "commutative")
def commutative_operands_may_be_exchanged(case: Case, rng: Rng) -> None:
    if not case.prim.commutative or len(case.types) < 2:
        raise Skip("not commutative")
    arrays = case.draw(rng)
    _compare("commutative", _eval(case, arrays[::-1]), _eval(case, arrays), case, "operands in opposite order")


@law("eval does not depend on the memory layout of its operands", "eval")
def eval_takes_any_layout(case: Case, rng: Rng) -> None:
    arrays = case.draw(rng)
    want = _eval(case, arrays)
    for i, array in enumerate(arrays):
        for layout, same in strided(array):
            got = _eval(case, (*arrays[:i], same, *arrays[i + 1 :]))
            _compare("eval", got, want, case, f"operand {i} with {layout}")


@law("its text parses back to the same", "text")
def text_parses_back(case: Case, rng: Rng) -> None:
    module = case.program or Module((case.func,))
    text = print_module(module)
    again = parse(text)
    if again != module:
        raise Broken("text", f"it parses back as something else:\n{print_module(again)}")
    if print_module(again) != text:
        raise Broken("text", f"it prints differently once parsed:\n{text}{print_module(again)}")
    arrays = case.draw(rng)
    _compare("text", interpret(again[case.func.name], arrays), _eval(case, arrays), case, "its text")


@law("the legal form computes the same", "legalize")
def legal_form_computes_the_same(case: Case, rng: Rng) -> None:
    rule = _legal_rule(case.prim)
    legal = _legal(case)
    _closed(rule, legal.ops)
    for label, arrays in _draws(case, rng):
        _compare(rule, interpret(legal, arrays), _eval(case, arrays), case, label, slack=20)
    if prepare(legal) != legal:
        raise Broken(rule, "what it gives is not in legal form itself")


@law("fold computes the same", "fold")
def fold_computes_the_same(case: Case, rng: Rng) -> None:
    for func, draws in _with_constants(case, rng):
        simple = simplify.on_func(func)  # type: ignore[attr-defined]
        for label, arrays in draws:
            _compare("fold", interpret(simple, arrays), interpret(func, arrays), case, label, signed_zeros=True)
    legal = _legal(case)
    for label, arrays in _draws(case, rng):
        simple = simplify.on_func(legal)  # type: ignore[attr-defined]
        _compare("fold", interpret(simple, arrays), interpret(legal, arrays), case, f"{label}, in legal form", signed_zeros=True)


@law("batching is a loop", "batch")
def batching_is_a_loop(case: Case, rng: Rng) -> None:
    if case.prim.by_blocks:
        raise Skip(TOO_LATE)
    legal = _legal(case)
    everything = tuple(range(len(case.types)))
    for active in (subsets(everything) if case.original else ()) or [everything]:
        for n in (3, 1) if active == everything else (3,):
            draws = [case.draw(rng) for _ in range(n)]
            arrays = [np.stack([d[i] for d in draws]) if i in active else draws[0][i] for i in range(len(case.types))]
            func, batched = batch_func(legal, active, n)
            _closed("batch", func.ops)
            loop = [_eval(case, tuple(d[i] if i in active else draws[0][i] for i in range(len(case.types)))) for d in draws]
            got = interpret(func, arrays)
            want = [np.stack([np.asarray(one[k]) for one in loop]) if flag else one_of(loop, k) for k, flag in enumerate(batched)]
            _compare("batch", got, want, case, f"operands {list(active)} batched, {n} times", slack=20)


# -- derivatives


@law("the tangent is linear", "jvp")
def tangents_are_linear(case: Case, rng: Rng) -> None:
    for active in _active(case):
        with _one_way(case):
            function, args = _linear_map(case, active, rng)
            function([np.zeros(a.type.shape, a.type.dtype.numpy) for a in args])  # type: ignore[union-attr, arg-type]
        u, v = (tuple(random_array(rng, a.type, (-1, 1)) for a in args) for _ in range(2))
        a, b = 0.75, -1.5
        mixed = tuple((a * p + b * q).astype(p.dtype) for p, q in zip(u, v, strict=True))
        lu, lv, lm, zero = (function(t) for t in (u, v, mixed, tuple(np.zeros_like(p) for p in u)))
        for k, (p, q, m, z) in enumerate(zip(lu, lv, lm, zero, strict=True)):
            if np.any(z != 0):
                raise Broken("jvp", f"the tangent of result {k} is not zero where the tangents are, with operands {list(active)} active")
            want = (a * widest(p) + b * widest(q)).astype(p.dtype)
            size = float(np.max(np.abs(p), initial=0) + np.max(np.abs(q), initial=0))
            wrong = differ(m, want, 0.0, atol=100 * tolerance(case.narrowest) * size)
            if wrong:
                raise Broken("jvp", f"L(a u + b v) is not a L(u) + b L(v), with operands {list(active)} active: {wrong}")


@law("the tangent is the derivative", "jvp", derivative=True)
def tangent_is_the_derivative(case: Case, rng: Rng) -> None:
    for active in _active(case):
        with _one_way(case):
            moved = _tangents(case, active)
        _closed("jvp", moved.ops)
        _check_derivative("jvp", case.func, moved, active, case, rng)


@law("the tangent in other dtypes is that in f64, rounded", "jvp")
def tangents_agree_across_dtypes(case: Case, rng: Rng) -> None:
    wide = in_f64(case)
    if wide is None or not _active(case) or not case.prim.differentiable:
        raise Skip("finite differences look at f64")
    xs = case.smooth(rng)
    dxs = [random_array(rng, case.types[i], (-1, 1)) for i in case.floats]
    n = len(case.results)
    got = interpret(_tangents(case, case.floats), [*xs, *dxs])[n:]
    exact = [a.astype(np.float64) if is_float(a) else a for a in (*xs, *dxs)]
    want = interpret(jvp(_legal(wide), wide.floats), exact)[n:]
    for k, (g, w, t) in enumerate(zip(got, want, [t for t in case.results if t.dtype.differentiable], strict=True)):
        with np.errstate(all="ignore"):
            rounded = np.asarray(w).astype(t.dtype.numpy)
        wrong = differ(g, rounded, 100 * tolerance(case.narrowest), atol=100 * tolerance(case.narrowest))
        if wrong:
            raise Broken("jvp", f"tangent of result {k}: {wrong}, which is what f64 gives")


@law("the second derivative is right", "jvp", derivative=True)
def second_derivative_is_right(case: Case, rng: Rng) -> None:
    first, second = _first_and_second(case)
    _check_derivative("jvp (second order)", first, second, _floats(first), case, rng)


@law("the third derivative is right", "jvp", derivative=True)
def third_derivative_is_right(case: Case, rng: Rng) -> None:
    _, second = _first_and_second(case)
    if len(second.ops) > 400:
        raise Skip(LARGE)
    third = jvp(second, _floats(second))
    _check_derivative("jvp (third order)", second, third, _floats(second), case, rng)


@law("the transposed tangent map is its adjoint", "transpose")
def transposed_tangent_map_is_the_adjoint(case: Case, rng: Rng) -> None:
    for active in _active(case):
        if case.program:
            with _one_way(case):
                pullback = _gradients(case, active)
            if not _is_forward(case):
                _check_gradient(pullback, active, case, rng)
                continue
        halves = _halves(case, active)
        primal, linear = halves.functions("f")
        turned = transpose(linear)
        _closed("transpose", turned.ops)
        values = interpret(primal, case.smooth(rng))[len(case.results) :]
        _check_adjoint("transpose", linear, turned, values, case, rng, f"operands {list(active)} active")


@law("derivatives of the gradient are right", "transpose", derivative=True)
def derivatives_of_the_gradient_are_right(case: Case, rng: Rng) -> None:
    _require_small(case)
    with _one_way(case):
        pullback = _gradients(case, case.floats)
    moved = jvp(pullback, _floats(pullback))
    _check_derivative("transpose (differentiated)", pullback, moved, _floats(pullback), case, rng)


@law("its own transpose is its adjoint", "transpose")
def own_transpose_is_the_adjoint(case: Case, rng: Rng) -> None:
    if case.program or _legal(case).ops[-1:] != case.func.ops or not case.func.ops[0].operands:
        raise Skip("the op is not in legal form by itself")
    groups = case.prim.linear_groups(case.types, **case.attrs)
    if not groups:
        raise Skip("it is not linear in any operand")
    for group in groups:
        if not group <= set(case.floats):
            continue
        if not all(t.dtype.differentiable for t in case.results):
            raise Broken("linear_in", f"it says linear in operands {sorted(group)}, but its results are no floats")
        linear = _one_linear_op(case, group)
        check_linear(linear)
        turned = transpose(linear)
        _closed("transpose", turned.ops)
        values = [a for i, a in enumerate(case.smooth(rng)) if i not in group]
        _check_adjoint("transpose", linear, turned, values, case, rng, f"as linear in operands {sorted(group)}")
        _check_linear_in(case, linear, values, rng, group)
        back = transpose(turned)
        tangents = [random_array(rng, a.type, (-1, 1)) for a in linear.args if a.linear]
        want = interpret(linear, [*_arguments(linear, values, tangents)])
        _compare("transpose", interpret(back, _arguments(back, values, tangents)), want, case, "the transpose of the transpose", slack=100)


@law("the eager tape gives the same derivatives", "jvp", derivative=True)
def eager_tape_gives_the_same(case: Case, rng: Rng) -> None:
    if not _active(case) or not case.prim.differentiable:
        raise Skip(NO_DERIVATIVE)
    with _one_way(case):
        pullback = _gradients(case, case.floats)
    arrays = case.smooth(rng)
    seeds = [random_array(rng, a.type, (-1, 1)) for a in pullback.args[len(arrays) :]]  # type: ignore[arg-type]
    count = len(case.results)
    want = interpret(pullback, [*arrays, *seeds])[count:]
    tape = Tape(case, arrays)
    got = tape.gradients(seeds)
    _compare_sums("jvp", [x._data for x in got], want, case, "backward over the tape")
    if case.size > 40:
        return
    tangents = [random_array(rng, case.types[i], (-1, 1)) for i in case.floats]
    moved = interpret(jvp(pullback, case.floats), [*arrays, *seeds, *tangents])[-len(case.floats) :]
    _compare_sums("jvp (second order)", tape.second(got, tangents), moved, case, "backward over a recorded derivative")


# -- native code


@native_law("the loops compute what eval does", "element, lower or scalar", derivative=True)
def loops_are_eval(cases: Sequence[Case], rng: Rng) -> None:
    """Before native code, which does not check that an index is in bounds."""
    small = [case for case in cases if case.size <= 100]
    if not small:
        raise Skip("large")
    func = together(small)
    loops = make_pipeline("unwrap,legalize,planes,simplify,cse,dce,outline,fuse,lower").run(Module((func,)))

    def run(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        outs = [np.zeros(v.type.shape, v.type.dtype.numpy) for v in func.results]  # type: ignore[union-attr, arg-type]
        interpret(loops[func.name], [*(_in_pairs(np.ascontiguousarray(a).reshape(a.shape)) for a in arrays), *map(_in_pairs, outs)])
        return outs

    check_runner(run, small, rng)


def _in_pairs(array: np.ndarray) -> np.ndarray:
    """What loops see of an array: of complex numbers, their parts along a last axis."""
    return array[..., np.newaxis].view(array.real.dtype) if array.dtype.kind == "c" else array


@native_law("native code computes what eval does", "element, lower or scalar")
def native_is_eval(cases: Sequence[Case], rng: Rng) -> None:
    check_native(cases, rng)


@native_law("without fusion and vectors native code computes the same", "element, lower or scalar", derivative=True)
def plain_native_is_eval(cases: Sequence[Case], rng: Rng) -> None:
    check_native(_some(cases), rng, fuse=False, vectorize=False)


@native_law("native gradients are the interpreted ones", "element, lower or scalar", derivative=True)
def native_gradient_is_the_interpreted(cases: Sequence[Case], rng: Rng) -> None:
    """Gradients are made of ops that are tried by themselves: some cases tell whether that goes together."""
    check_native_gradient(_some([case for case in cases if _is_reversible(case)]), rng)


def _some(cases: Sequence[Case]) -> Sequence[Case]:
    """Eight at most, as far apart as can be."""
    return cases[:: -(-len(cases) // 8)] if cases else cases


@native_law("eager tensors compute the same, and have the compiled gradients", "jvp", derivative=True)
def eager_gradients_are_compiled_ones(cases: Sequence[Case], rng: Rng) -> None:
    """On the smallest case with a gradient."""
    reversible = [case for case in cases if _is_reversible(case)]
    if not any(_eager_is_compiled(case, rng) for case in sorted(reversible, key=_smallest_first)):
        raise Skip(NO_DERIVATIVE)


@native_law("eager tensors compute the same", "eval", derivative=True)
def eager_values_are_those_of_eval(cases: Sequence[Case], rng: Rng) -> None:
    if any(_is_reversible(case) for case in cases):
        raise Skip("tried with gradients")
    _eager_is_compiled(min(cases, key=_smallest_first), rng)


def _smallest_first(case: Case) -> tuple[bool, int]:
    return not all(t.size for t in case.types), case.size


def _eager_is_compiled(case: Case, rng: Rng) -> bool:
    """Whether a gradient was compared, besides the values."""
    arrays = case.smooth(rng) if case.floats else case.draw(rng)
    reversible = _is_reversible(case)
    inputs = [eager.tensor(x, requires_grad=reversible and i in case.floats) for i, x in enumerate(arrays)]
    if case.program or not inputs:
        outs = eager.function(case.func)(*inputs)
    else:
        outs = eager.apply(case.prim, *inputs, **case.attrs)
    outs = outs if isinstance(outs, tuple) else (outs,)
    _compare("eval", [x.numpy() for x in outs], _eval(case, arrays), case, "eager tensors", slack=20)
    if not any(x.requires_grad for x in outs):
        return False
    func = _gradients(case, case.floats)
    seeds = [random_array(rng, a.type, (-1, 1)) for a in func.args[len(arrays) :]]  # type: ignore[arg-type]
    given = zip([x for x, t in zip(outs, case.results, strict=True) if t.dtype.differentiable], seeds, strict=True)
    seeded = [(x, eager.tensor(ct)) for x, ct in given if x.requires_grad]
    eager.backward(*zip(*seeded, strict=True))
    got = [np.zeros_like(x.numpy()) if x.grad is None else x.grad.numpy() for i, x in enumerate(inputs) if i in case.floats]
    _compare_sums("jvp", got, compile_func(func)(*arrays, *seeds)[len(outs) :], case, "backward over eager tensors")
    return True


# -- how the laws compute


def together(cases: Sequence[Case]) -> Func:
    """One function that does what all the cases do, each on arguments of its own."""
    args: list[Value] = []
    b = Builder()
    results: list[Value] = []
    for i, case in enumerate(cases):
        mine = tuple(Value(t, f"x{i}_{j}") for j, t in enumerate(case.types))
        args += mine
        if case.program:
            results += splice(b, inline_calls(case.func), mine)
        else:
            b.insert(make_op(case.prim, mine, case.attrs))
            results += b.ops[-1].results
    return Func("f", tuple(args), tuple(b.ops), tuple(results))


def check_native(cases: Sequence[Case], rng: Rng, **options: Any) -> None:
    """Whether native code, compiled with `options`, gives what eval does."""
    run = compile_func(together(cases), **options)
    check_runner(lambda arrays: run(*arrays), cases, rng)


def check_native_gradient(cases: Sequence[Case], rng: Rng, **options: Any) -> None:
    """Whether native code of the pullback, compiled with `options`, gives what the interpreter does."""
    chosen = [case for case in cases if _is_reversible(case)]
    if not chosen:
        raise Skip(NO_DERIVATIVE)
    whole = together(chosen)
    func = _pullback(prepare(whole), _floats(whole))
    run = compile_func(func, **options)
    arrays = [a for case in chosen for a in case.smooth(rng)]
    arrays += [random_array(rng, a.type, (-1, 1)) for a in func.args[len(arrays) :]]  # type: ignore[arg-type]
    worst = max(tolerance(case.narrowest) for case in chosen)
    for k, (got, want) in enumerate(zip(run(*arrays), interpret(func, arrays), strict=True)):
        wrong = differ(got, want, 100 * worst)
        if wrong:
            raise Broken("element, lower or scalar", f"result {k} of the pullback: native code gives {wrong}\n{func}")


def check_runner(run: Callable[[Sequence[np.ndarray]], Sequence[Any]], cases: Sequence[Case], rng: Rng) -> None:
    """Whether `run`, which does what all the cases do, gives what eval gives, on several sorts of operands."""
    draws = [dict(_draws(case, rng)) for case in cases]
    for label in dict.fromkeys(label for d in draws for label in d):
        operands = [d.get(label) or d["random operands"] for d in draws]
        results = iter(run([a for arrays in operands for a in arrays]))
        for case, arrays in zip(cases, operands, strict=True):
            want = _eval(case, arrays)
            got = [next(results) for _ in want]
            try:
                _compare("element, lower or scalar", got, want, case, label, slack=20)
            except Broken as broken:
                raise Broken(broken.rule, f"{broken.detail}\n  sample: {case}\n  operands: {', '.join(map(str, arrays))}") from None


def _eval(case: Case, arrays: Arrays) -> tuple[Any, ...]:
    if case.program:
        return interpret(case.func, arrays)
    with np.errstate(all="ignore"):
        try:
            results = case.prim.eval(*arrays, **case.attrs)
        except Error:
            raise
        except Exception as error:
            raise Broken("eval", f"it fails: {type(error).__name__}: {error}") from error
    return results if isinstance(results, tuple) else (results,)


def _draws(case: Case, rng: Rng) -> Iterator[tuple[str, Arrays]]:
    yield "random operands", case.draw(rng)
    for label, arrays in case.special(rng):
        yield f"operands with {label}", arrays


def _legal(case: Case) -> Func:
    return _once(case, "legal", lambda: prepare(case.func))


def _tangents(case: Case, active: tuple[int, ...]) -> Func:
    """Values, and their tangents."""
    return _once(case, ("jvp", active), lambda: jvp(_legal(case), active))


def _gradients(case: Case, active: tuple[int, ...]) -> Func:
    return _once(case, ("pullback", active), lambda: _pullback(_legal(case), active))


def _halves(case: Case, active: tuple[int, ...]) -> Linearized:
    return _once(case, ("linearize", active), lambda: linearize(_legal(case), active))


def _once(case: Case, key: Any, make: Callable[[], Any]) -> Any:
    """What several laws look at."""
    if key not in case.known:
        case.known[key] = make()
    return case.known[key]


def _legal_rule(prim: Primitive) -> str:
    return "decompose" if prim.composite else "legalize"


@contextmanager
def _one_way(case: Case) -> Iterator[None]:
    """A loop or a function that has but one mode, and says so, breaks no law."""
    try:
        yield
    except DifferentiationError as error:
        if case.program is None or error.code not in ONE_WAY:
            raise
        raise Skip(ONE_WAY[error.code]) from None


def _is_forward(case: Case) -> bool:
    """Whether there is a forward mode."""
    if case.program is None:
        return True
    try:
        with _one_way(case):
            _tangents(case, case.floats)
    except Skip:
        return False
    return True


def _is_reversible(case: Case) -> bool:
    """Whether there is something to differentiate, and a reverse mode."""
    if not case.prim.differentiable or case.prim.by_blocks or not case.floats or not any(t.dtype.differentiable for t in case.results):
        return False
    if case.program is None:
        return True
    try:
        with _one_way(case):
            _gradients(case, case.floats)
    except Skip:
        return False
    return True


def _first_and_second(case: Case) -> tuple[Func, Func]:
    """The tangents, or where there is no forward mode the gradients, and the tangents of that."""
    _require_small(case)
    first = (_tangents if _is_forward(case) else _gradients)(case, case.floats)
    return first, _once(case, "second", lambda: jvp(first, _floats(first)))


def _require_small(case: Case) -> None:
    _active(case)
    if case.size > 40:
        raise Skip(LARGE)


def one_of(loop: Sequence[Sequence[Any]], k: int) -> Any:
    return np.asarray(loop[0][k])


def _compare_sums(rule: str, got: Sequence[Any], want: Sequence[Any], case: Case, label: str) -> None:
    """Like `_compare` for sums whose terms may come in another order, and may cancel."""
    for k, (g, w) in enumerate(zip(got, want, strict=True)):
        g, w = (np.where(np.isfinite(a), a, np.nan) for a in (np.asarray(g), np.asarray(w)))
        close = 1e4 * tolerance(case.narrowest)
        wrong = differ(g, w, close, atol=close * float(np.nanmax(np.abs(w), initial=1.0)))
        if wrong:
            raise Broken(rule, f"{label}: it gives {wrong} in result {k}")


def _compare(rule: str, got: Sequence[Any], want: Sequence[Any], case: Case, label: str, slack: float = 1.0, *, signed_zeros: bool = False) -> None:
    for k, (g, w) in enumerate(zip(got, want, strict=True)):
        w = np.asarray(w)
        exact = case.prim.elementwise and w.dtype.kind != "c"
        if not exact and w.dtype.kind not in "iub":  # which of inf and nan it is may depend on the order of sums and products
            g, w = (np.where(np.isfinite(a), a, np.nan).astype(a.dtype) for a in (np.asarray(g), w))
        wrong = differ(g, w, slack * tolerance(case.narrowest), signed_zeros=signed_zeros and case.prim.elementwise)
        if wrong:
            which = f" in result {k}" if len(want) > 1 else ""
            raise Broken(rule, f"{label}: it gives {wrong}{which}")


def _closed(rule: str, ops: Sequence[Op]) -> None:
    """Whether rules emitted only ops that are registered and have rules of their own."""
    for op in ops:
        prim = op.prim
        if REGISTRY.get(prim.name, prim.level) is not prim:
            raise Broken(rule, f"it emits {prim.name}, which is not registered")
        needed = ["infer", "eval"] if not op.regions else ["infer_regions", "eval_regions"]
        if prim.differentiable and not prim.composite and any(v.type.dtype.differentiable for v in op.operands):
            needed.append("linearize_regions" if prim.control else "jvp")
        for other in needed:
            if not (prim.has_rule(other) if hasattr(Primitive, other) else hasattr(prim, other)):
                raise Broken(rule, f"it emits {prim.name}, which has no {other} rule")
        for region in op.regions:
            _closed(rule, region.ops)


def _with_constants(case: Case, rng: Rng) -> Iterator[tuple[Func, list[tuple[str, Arrays]]]]:
    """The function with some arguments known: each alone and all of them, with random and with telling numbers; and draws of the others."""
    arrays = case.draw(rng)
    count = len(case.types)
    yield case.func, [("nothing known", arrays)]
    known_sets = [(i,) for i in range(count)] + ([tuple(range(count))] if count > 1 else [])
    specials = [(f", {label}", special) for label, special in case.special(rng)]
    for known in known_sets:
        free = any(case.fixed[i] is None for i in known)
        thorough = free and (case.original or case.dtype in ("i32", "u8", "bool"))
        for number in (None, 0.0, 1.0, -0.0, -1.0, 2.0, 0.5) if thorough else (None,):
            b = Builder()
            constants = {i: b.constant(_known(case, i, number, arrays), type=case.types[i]) for i in known}
            args = tuple(Value(t, f"x{i}") for i, t in enumerate(case.types) if i not in known)
            rest = iter(args)
            results = splice(b, inline_calls(case.func), [constants[i] if i in constants else next(rest) for i in range(count)])
            draws = [("", arrays), *(specials if number is not None else ())]
            if not args:
                draws = draws[:1]
            label = f"operands {list(known)} known to be {number}"
            given = [(label + special, tuple(a for i, a in enumerate(draw) if i not in known)) for special, draw in draws]
            yield Func("f", args, tuple(b.ops), results), given


def _known(case: Case, i: int, number: float | None, arrays: Arrays) -> Any:
    """What operand `i` is known to be: `number`, as far as its dtype has it, or what was drawn."""
    dtype = case.types[i].dtype
    if number is None or case.fixed[i] is not None:
        return arrays[i]
    if dtype.is_bool or (dtype.is_integer and (number != int(number) or (number < 0 and dtype.kind == "u"))):
        number = 1.0
    return bool(number) if dtype.is_bool else int(number) if dtype.is_integer else number


def batch_func(func: Func, active: Sequence[int], n: int) -> tuple[Func, list[bool]]:
    """`func` with a leading axis of size `n` on the arguments `active`, by batch rules; and which results have it."""
    b = Batching(n)
    args = []
    for i, a in enumerate(func.args):
        args.append(a.like(type=a.type.with_shape((n, *a.type.shape))) if i in active else a.like())  # type: ignore[union-attr]
        b.bind(a, args[-1], i in active)
    b.ops_of(func.ops)
    results = tuple(b.env.get(v, v) for v in func.results)
    return Func(func.name, tuple(args), tuple(b.ops), results), [v in b.batched for v in func.results]


def _active(case: Case) -> list[tuple[int, ...]]:
    """Which operands to take tangents of: every subset."""
    if case.prim.by_blocks:
        raise Skip(TOO_LATE)
    if not case.floats or not any(t.dtype.differentiable for t in case.results):
        raise Skip(NO_FLOATS)
    return subsets(case.floats)


def _floats(func: Func) -> tuple[int, ...]:
    return tuple(floats(func.args))


def _linear_map(case: Case, active: tuple[int, ...], rng: Rng) -> tuple[Callable[[Arrays], list[np.ndarray]], list[Value]]:
    """The tangent map at random operands, as a function of arrays."""
    halves = _halves(case, active)
    primal, linear = halves.functions("f")
    xs = case.smooth(rng)
    values = interpret(primal, xs)[len(case.results) :]
    args = [a for a in linear.args if a.linear]

    def apply(tangents: Arrays) -> list[np.ndarray]:
        return [np.asarray(x) for x in interpret(linear, [*values, *tangents])]

    return apply, args


def _check_derivative(rule: str, f: Func, moved: Func, wrt: Sequence[int], case: Case, rng: Rng) -> None:
    """Whether `moved`, the jvp of `f`, gives what finite differences of `f` give, wherever those settle."""
    if not case.prim.differentiable:
        raise Skip(NO_DERIVATIVE)
    if DType(case.narrowest).is_narrow:
        raise Skip("finite differences need a wider dtype")
    step, rtol = (1e-3, 1e-6) if case.narrowest in ("f64", "c128") else (2e-2, 2e-2)
    for _attempt in range(4):
        xs = _arguments_like(f, case, rng)
        dxs = [random_array(rng, f.args[i].type, (-1, 1)) if i in wrt else None for i in range(len(f.args))]  # type: ignore[arg-type]
        got = interpret(moved, [*xs, *(d for d in dxs if d is not None)])[len(f.results) :]
        found = zip(*directional_derivative(lambda ys: interpret(f, ys), xs, dxs, step), strict=True)
        derivatives = [(d, e) for d, e in found if d is not None and e is not None]
        settled = 0
        for k, (g, (d, e)) in enumerate(zip(got, derivatives, strict=True)):
            g = widest(g)
            with np.errstate(all="ignore"):
                settles = e <= 100 * rtol * (1 + np.abs(d))
                scale = np.max(np.abs(d[settles]), initial=0.0)
                wrong = settles & ~(np.abs(g - d) <= rtol * (1 + np.abs(d) + scale) + 10 * e)
            settled += np.count_nonzero(settles) * 2 >= settles.size
            if wrong.any():
                at = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))[: g.ndim]
                raise Broken(rule, f"tangent of result {k} by operands {list(wrt)}: {g[at]:.9g}, but finite differences give {d[at]:.9g} at {list(at)}")
        if settled == len(derivatives):
            return
    raise Skip("finite differences do not settle on these samples; a narrower domain would help")


def _check_gradient(pullback: Func, wrt: Sequence[int], case: Case, rng: Rng) -> None:
    """Whether <ct, J dx> = <gradients, dx>, for J dx by finite differences."""
    if case.narrowest != "f64":
        raise Skip("finite differences need a wider dtype")
    xs = _arguments_like(pullback, case, rng)
    dxs = [random_array(rng, a.type, (-1, 1)) if i in wrt else None for i, a in enumerate(case.func.args)]  # type: ignore[arg-type]
    moved, _ = directional_derivative(lambda ys: interpret(case.func, ys), xs[: len(dxs)], dxs, 1e-3)
    left, size = inner(xs[len(dxs) :], [d for d in moved if d is not None])
    right, other = inner(interpret(pullback, xs)[len(case.results) :], [d for d in dxs if d is not None])
    if not abs(left - right) <= 1e-6 * (1 + size + other):
        raise Broken("transpose", f"<ct, J dx> is {left:.9g} by finite differences, but <gradient, dx> is {right:.9g}, with operands {list(wrt)} active")


def _arguments_like(f: Func, case: Case, rng: Rng) -> list[np.ndarray]:
    """Random arguments: the case's operands first, then tangents or cotangents."""
    xs = list(case.smooth(rng))
    return [*xs, *(random_array(rng, a.type, (-1, 1)) for a in f.args[len(xs) :])]  # type: ignore[arg-type]


def _pullback(func: Func, wrt: Sequence[int]) -> Func:
    """Arguments, then a cotangent for each float result, to results and gradients: forward and transposed part in one."""
    halves = linearize(func, wrt)
    b = Builder()
    b.ops += halves.primal_ops
    floats = [k for k, v in enumerate(func.results) if v.type.dtype.differentiable]
    cts = [Value(func.results[k].type, f"ct{n}") for n, k in enumerate(floats)]
    outs = transpose_ops(b, halves.linear_ops, halves.tangents_in, [halves.tangents_out[k] for k in floats], cts, "")
    grads = [b.zeros(func.args[i].type) if ct is None else ct for i, ct in zip(wrt, outs, strict=True)]  # type: ignore[arg-type]
    results = (*func.results, *grads)
    return Func(f"{func.name}.pullback", (*func.args, *cts), tuple(live_ops(b.ops, results)), results)


def _arguments(func: Func, values: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """`values` for the plain arguments of a linear function, `tangents` for its linear ones."""
    plain, linear = iter(values), iter(tangents)
    return [next(linear) if a.linear else next(plain) for a in func.args]


def _check_adjoint(rule: str, linear: Func, turned: Func, values: Sequence[Any], case: Case, rng: Rng, label: str) -> None:
    """Whether <ct, L dx> = <L^T ct, dx> for random ct and dx."""
    dx = [random_array(rng, a.type, (-1, 1)) for a in linear.args if a.linear]  # type: ignore[arg-type]
    cts = [random_array(rng, a.type, (-1, 1)) for a in turned.args if a.linear]  # type: ignore[arg-type]
    out = interpret(linear, _arguments(linear, values, dx))
    back = interpret(turned, _arguments(turned, values, cts))
    left, size = inner(cts, out)
    right, other = inner(back, dx)
    limit = tolerance(case.narrowest) * (1000 * (size + other) + 1e-3)  # terms that cancel leave their rounding
    if not abs(left - right) <= limit:
        raise Broken(rule, f"{label}: <ct, L dx> is {left:.12g}, but <transpose(L) ct, dx> is {right:.12g}")


def _one_linear_op(case: Case, group: frozenset[int]) -> Func:
    args = tuple(Value(t, f"x{i}", linear=i in group) for i, t in enumerate(case.types))
    op = make_op(case.prim, args, case.attrs)
    return Func("f.linear", args, (op,), op.results)


def _check_linear_in(case: Case, linear: Func, values: Sequence[Any], rng: Rng, group: frozenset[int]) -> None:
    """Whether the op is linear, by its numbers, where `linear_in` says so."""
    types = [a.type for a in linear.args if a.linear]
    u, v = ([random_array(rng, t, (-1, 1)) for t in types] for _ in range(2))  # type: ignore[arg-type]
    mixed = [(0.75 * p - 1.5 * q).astype(p.dtype) for p, q in zip(u, v, strict=True)]
    lu, lv, lm = (interpret(linear, _arguments(linear, values, t)) for t in (u, v, mixed))
    for p, q, m in zip(lu, lv, lm, strict=True):
        p, q = widest(p), widest(q)
        size = float(np.max(np.abs(p), initial=0) + np.max(np.abs(q), initial=0))
        want = (0.75 * p - 1.5 * q).astype(np.asarray(m).dtype)
        wrong = differ(m, want, 0.0, atol=100 * tolerance(case.narrowest) * size)
        if wrong:
            raise Broken("linear_in", f"it says linear in operands {sorted(group)}, but superposition fails: {wrong}")
