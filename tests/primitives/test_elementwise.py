"""Every elementwise op: which dtypes it takes and what it makes of them, and its derivatives to third order."""

import numpy as np
import pytest

import rlxc.primitives  # noqa: F401
from rlxc.errors import DTypeError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.interp import interpret
from rlxc.ir.primitive import REGISTRY, Sample
from rlxc.ir.types import ANY, DType, TensorType, parse_type
from rlxc.passes.gradient import grad_with_loss, jvp
from rlxc.passes.legalize import legalize

OPS = [p for p in REGISTRY.all() if p.elementwise]
SMOOTH = [p for p in OPS if p.differentiable]


def func_of(name, /, *types, **attrs):
    """A function that applies the op `name` to arguments of these types."""
    args = tuple(Value(parse_type(t) if isinstance(t, str) else t, f"x{i}") for i, t in enumerate(types))
    b = Builder()
    result = getattr(b, name)(*args, **attrs)
    return Func("f", args, tuple(b.ops), (result,))


def run(func, *arrays):
    """The one result, or the tuple of results, of interpreting `func`."""
    results = interpret(legalize.on_func(func), [np.asarray(a) for a in arrays])
    return results[0] if len(results) == 1 else results


def samples_of(prim):
    for s in prim.samples:
        yield s if isinstance(s, Sample) else Sample(s)


def attrs_of(prim, dtype):
    """Attributes with which `prim` takes operands of `dtype`."""
    if prim.name == "convert":
        return {"dtype": DType("c64" if DType(dtype).is_complex else "f32")}
    if prim.name == "bitcast":
        return {"dtype": dtype}
    return dict(next(samples_of(prim)).attrs)


def draw(rng, dtype, shape, domain=(-2.0, 2.0)):
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if DType(dtype).is_integer:
        info = np.iinfo(DType(dtype).numpy)
        return rng.integers(max(info.min, -9), 9, shape).astype(DType(dtype).numpy)
    return rng.uniform(*domain, shape).astype(DType(dtype).numpy)


def operand_dtypes(prim, dtype):
    n = len(prim.signature.operands)
    return ("bool", dtype, dtype) if prim.name == "select" else (dtype,) * n


def accepts(prim, dtype):
    return prim.name == "select" or dtype in prim.dtypes


@pytest.mark.parametrize("dtype", ANY)
@pytest.mark.parametrize("prim", OPS, ids=lambda p: p.name)
def test_each_op_gives_the_inferred_type_for_each_dtype_or_a_dtype_error(prim, dtype):
    rng = np.random.default_rng(0)
    types = [TensorType(d, (5,)) for d in operand_dtypes(prim, dtype)]
    if not accepts(prim, dtype):
        with pytest.raises(DTypeError, match=prim.name):
            func_of(prim.name, *types, **attrs_of(prim, dtype))
        return
    f = func_of(prim.name, *types, **attrs_of(prim, dtype))
    domain = next(samples_of(prim)).domain or prim.domain
    arrays = [draw(rng, t.dtype, t.shape, domain) for t in types]
    with np.errstate(all="ignore"):
        out = np.asarray(f.ops[0].prim.eval(*arrays, **f.ops[0].attrs))
    want = f.results[0].type
    assert out.dtype == want.dtype.numpy
    assert out.shape == want.shape
    legal = np.asarray(run(f, *arrays))
    assert legal.dtype == out.dtype
    np.testing.assert_array_equal(legal, out)


@pytest.mark.parametrize("prim", OPS, ids=lambda p: p.name)
def test_results_of_scalars_and_of_nothing_have_the_right_type(prim):
    dtype = next(d for d in ("f64", "i32", "u64", "c128", "bool") if accepts(prim, d))
    for shape in ((), (0,), (1, 1)):
        types = [TensorType(d, shape) for d in operand_dtypes(prim, dtype)]
        f = func_of(prim.name, *types, **attrs_of(prim, dtype))
        out = np.asarray(run(f, *[np.ones(t.shape, t.dtype.numpy) for t in types]))
        assert (out.shape, out.dtype) == (shape, f.results[0].type.dtype.numpy)


def test_every_class_says_what_it_computes():
    assert [p.name for p in OPS if not p.__doc__ or len(p.__doc__) < 5] == []


def smooth_cases():
    for prim in SMOOTH:
        for i, sample in enumerate(samples_of(prim)):
            if all(isinstance(x, str) for x in sample.operands):
                types = [t.strip() for t in _split(sample.operands)]
                if any("f64" in t for t in types) and not any("0" in t.split("[")[1] for t in types) and sample.attrs.get("dtype", "f64") == "f64":
                    if func_of(prim.name, *types, **sample.attrs).results[0].type.dtype.is_complex:
                        continue  # the laws differentiate such
                    yield pytest.param(prim, types, sample, id=f"{prim.name}-{i}")


def _split(operands):
    text = ", ".join(operands)
    return [t + "]" for t in text.replace("],", "]").split("]") if t.strip()]


@pytest.mark.parametrize(("prim", "types", "sample"), list(smooth_cases()))
def test_derivatives_agree_with_differences_to_third_order(prim, types, sample):
    f = func_of(prim.name, *types, **sample.attrs)
    rng = np.random.default_rng(1)
    domain = sample.domain or prim.domain
    arrays = [draw(rng, a.type.dtype, a.type.shape, domain) for a in f.args]
    for order in (1, 2, 3):
        wrt = [i for i, a in enumerate(f.args) if a.type.dtype == "f64"]
        df = jvp(f, wrt)
        tangents = [rng.uniform(-1, 1, f.args[i].type.shape) for i in wrt]
        got = run(df, *arrays, *tangents)[-1]
        want = central_difference(lambda *xs, f=f: np.asarray(_last(run(f, *xs)), np.float64), arrays, wrt, tangents)
        scale = 1 + np.max(np.abs(want), initial=0)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=2e-7 * scale, err_msg=f"order {order}")
        check_transpose(f, arrays, wrt, tangents, got)
        f, arrays = df.with_(results=df.results[-1:]), [*arrays, *tangents]


def check_transpose(f, arrays, wrt, tangents, out):
    """<ct, J dx> = <J^T ct, dx>."""
    g = grad_with_loss(f.with_(results=f.results[-1:]), wrt)
    ct = np.random.default_rng(2).uniform(-1, 1, np.shape(out))
    _, *grads = run(g, *arrays, ct)
    left = np.sum(ct * out)
    right = sum(np.sum(dx * gx) for dx, gx in zip(tangents, grads, strict=True))
    np.testing.assert_allclose(right, left, rtol=1e-9, atol=1e-9)


def _last(results):
    return results[-1] if isinstance(results, tuple) else results


def central_difference(f, arrays, wrt, tangents, h=2e-4):
    """The directional derivative by a six-point formula, exact to h^6."""

    def at(s):
        moved = list(arrays)
        for i, dx in zip(wrt, tangents, strict=True):
            moved[i] = arrays[i] + s * h * dx
        return f(*moved)

    return (45 * (at(1) - at(-1)) - 9 * (at(2) - at(-2)) + (at(3) - at(-3))) / (60 * h)
