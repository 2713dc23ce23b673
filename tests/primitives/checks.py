"""What the tests of contractions and composites share: make a function of one op, and hold its rules against each other."""

from __future__ import annotations

import numpy as np

import rlxc.primitives  # noqa: F401
from rlxc.errors import Error, RuleError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.interp import interpret
from rlxc.ir.primitive import REGISTRY, Sample
from rlxc.ir.types import TensorType, dtype_of, parse_type
from rlxc.passes.gradient import grad_with_loss, jvp
from rlxc.passes.legalize import legalize

TOLERANCE = {"f64": 1e-12, "f32": 2e-5, "f16": 4e-3, "bf16": 3e-2}


def op_func(name, *types, **attrs) -> Func:
    """A function that applies one op to its arguments."""
    b = Builder()
    args = [Value(parse_type(t) if isinstance(t, str) else t, f"x{i}") for i, t in enumerate(types)]
    out = b.apply(REGISTRY.lookup(name), *args, **attrs)
    return Func("f", tuple(args), tuple(b.ops), out if isinstance(out, tuple) else (out,))


def run(func, *arrays):
    """The only result of a function, interpreted."""
    (out,) = interpret(func, arrays)
    return out


def apply(name, *arrays, **attrs):
    """The op's eval on arrays, its attributes completed, its result's type checked against infer."""
    arrays = [np.asarray(a) for a in arrays]
    func = op_func(name, *[TensorType(dtype_of(a.dtype), a.shape) for a in arrays], **attrs)
    out = run(func, *arrays)
    want = func.results[0].type
    assert (out.shape, out.dtype) == (want.shape, want.dtype.numpy), f"{name}: eval gives {out.dtype}{out.shape}, infer {want}"
    return out


def legal(func) -> Func:
    return legalize.on_func(func)


def split(sample) -> tuple[list, dict, tuple | None]:
    """Operands, attributes and domain of a sample."""
    if isinstance(sample, str):
        return _types(sample), {}, None
    operands = [o for x in sample.operands for o in (_types(x) if isinstance(x, str) else [x])]
    return operands, sample.attrs, sample.domain


def _types(text: str) -> list:
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text + ","):
        depth += (c == "[") - (c == "]")
        if c == "," and depth == 0:
            parts.append(parse_type(text[start:i]))
            start = i + 1
    return parts


def draw(rng, type, domain=(-2.0, 2.0)):
    if isinstance(type, np.ndarray):
        return type
    if type.dtype.is_bool:
        return rng.random(type.shape) < 0.5
    if type.dtype.is_integer:
        return rng.integers(0, 3, type.shape).astype(type.dtype.numpy)
    return np.asarray(rng.uniform(*domain, type.shape)).astype(type.dtype.numpy)


def close(a, b, rtol=1e-12, atol=None):
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind not in "biu":
        assert (a.dtype.kind == "c") == (b.dtype.kind == "c")
        wide = np.complex128 if a.dtype.kind == "c" else np.float64
        a, b = a.astype(wide), b.astype(wide)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol if atol is None else atol)
    else:
        np.testing.assert_array_equal(a, b)


def check_op(name, *, orders=1, dtypes=("f64", "f32"), seed=0):
    """Hold a primitive's rules against each other on all its samples."""
    prim = REGISTRY.lookup(name)
    rng = np.random.default_rng(seed)
    assert prim.samples
    for sample in prim.samples:
        operands, attrs, domain = split(sample)
        for dtype in dtypes:
            types = [_with_float(t, dtype) for t in operands]
            arrays = [draw(rng, t, domain or prim.domain) for t in types]
            tensor_types = [_type_of(a) if isinstance(t, np.ndarray) else t for t, a in zip(types, arrays, strict=True)]
            func = op_func(name, *tensor_types, **attrs)
            out = run(func, *arrays)
            assert (out.shape, out.dtype) == (func.results[0].type.shape, func.results[0].type.dtype.numpy), sample
            close(run(legal(func), *arrays), out, TOLERANCE[dtype])
            check_batch(prim, tensor_types, arrays, attrs, rng, TOLERANCE[dtype])
            if dtype == "f64" and func.results[0].type.dtype.is_float and all(np.isfinite(a).all() for a in arrays):
                check_derivatives(func, arrays, rng, orders)


def _with_float(t, dtype):
    if isinstance(t, np.ndarray):
        return t.astype(parse_type(dtype).dtype.numpy) if t.dtype == np.float64 else t
    return t.with_dtype(dtype) if t.dtype.is_float else t


def _type_of(a):
    return TensorType(dtype_of(a.dtype), a.shape)


def check_batch(prim, types, arrays, attrs, rng, tol, n=3):
    """The batch rule against a Python loop, for every choice of batched operands."""
    for choice in range(1, 2 ** len(types)):
        flags = tuple(bool(choice >> i & 1) for i in range(len(types)))
        stacked = [np.stack([a, a[::-1] if a.ndim else a, a][:n]) if f else a for a, f in zip(arrays, flags, strict=True)]
        b = Builder()
        args = tuple(Value(t.with_shape((n, *t.shape)) if f else t) for t, f in zip(types, flags, strict=True))
        one = op_func(prim.name, *types, **attrs)
        out = prim.batch(b, *args, batched=flags, **one.ops[0].attrs)
        whole = Func("batched", args, tuple(b.ops), (out,))
        got = run(legal(whole), *stacked)
        for i in range(n):
            close(got[i], run(legal(one), *[a[i] if f else a for a, f in zip(stacked, flags, strict=True)]), tol)


def check_derivatives(func, arrays, rng, orders=1, rtol=3e-6):
    """Tangents against finite differences, the dot-product test, and both again on the derivative, `orders` times."""
    current, values = legal(func), list(arrays)
    for _ in range(orders):
        wrt = [i for i, a in enumerate(current.args) if a.type.dtype.is_float]
        if not wrt:
            return
        check_jvp(current, values, rng, wrt, rtol)
        check_dot_product(current, values, rng, wrt)
        current = jvp(current, wrt)
        current = current.with_(results=current.results[1:], name="f")
        values = values + [draw(rng, current.args[len(values) + k].type, (-1.0, 1.0)) for k in range(len(wrt))]


def check_jvp(func, arrays, rng, wrt, rtol=3e-6, h=1e-6):
    tangents = [draw(rng, func.args[i].type, (-1.0, 1.0)) for i in wrt]
    _, got = interpret(jvp(func, wrt), (*arrays, *tangents))

    def at(t):
        moved = list(arrays)
        for i, dx in zip(wrt, tangents, strict=True):
            moved[i] = moved[i] + t * dx
        return run(func, *moved)

    # central differences, once extrapolated
    if not np.isfinite(run(func, *arrays)).all():
        return
    numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    scale = max(1.0, float(np.max(np.abs(numeric), initial=0)))
    close(got, numeric, rtol, rtol * scale)


def check_dot_product(func, arrays, rng, wrt):
    """<ct, J dx> == <J^T ct, dx>."""
    tangents = [draw(rng, func.args[i].type, (-1.0, 1.0)) for i in wrt]
    out, dout = interpret(jvp(func, wrt), (*arrays, *tangents))
    ct = draw(rng, func.results[0].type, (-1.0, 1.0))
    value, *grads = interpret(grad_with_loss(func, wrt), (*arrays, ct))
    close(value, out)
    left = np.vdot(ct, dout)
    right = sum(np.vdot(g, dx) for g, dx in zip(grads, tangents, strict=True))
    size = sum(float(np.vdot(np.abs(g), np.abs(dx))) for g, dx in zip(grads, tangents, strict=True)) + float(np.vdot(np.abs(ct), np.abs(dout)))
    assert abs(left - right) <= 1e-10 * max(1.0, size), (left, right)


GARBAGE_TYPES = ["f64[]", "f64[3]", "f32[2, 3]", "i32[2]", "bool[3]", "f64[0]", "f64[B, 3]", "f64[1, 2, 3]", "f64[B]", "f64[4, 3, 5, 5]", "i64[2, 2]", "f16[3]"]
GARBAGE_VALUES = [-(2**63), -1, 0, 1, 2, 7, 10**18, 1.5, float("nan"), True, "mk,kn->mn", "a,a->", "->", "é,b->b", "tanh"]


def check_infer_raises_only_errors(name, rng, n=300):
    """Whatever the types and attributes, infer gives types or an Error."""
    prim = REGISTRY.lookup(name)
    pool = [o for s in prim.samples for o in split(s)[0]]
    pool = [_type_of(o) if isinstance(o, np.ndarray) else o for o in pool] + [parse_type(t) for t in GARBAGE_TYPES]
    some = [s for s in prim.samples if isinstance(s, Sample)]
    for _ in range(n):
        count = int(rng.integers(0, len(prim.signature.operands) + 2))
        types = [pool[rng.integers(len(pool))] for _ in range(count)]
        attrs = dict(split(some[rng.integers(len(some))])[1]) if some and rng.random() < 0.6 else {}
        for key in prim.signature.attrs:
            roll = rng.random()
            if roll < 0.3:
                attrs[key] = GARBAGE_VALUES[rng.integers(len(GARBAGE_VALUES))]
            elif roll < 0.5:
                attrs[key] = tuple(int(v) for v in rng.integers(-2, 4, rng.integers(0, 4)))
            elif roll < 0.6:
                attrs[key] = tuple((int(a), int(b)) for a, b in rng.integers(-3, 4, (rng.integers(0, 3), 2)))
        try:
            op_func(name, *types, **attrs)
        except RuleError as error:
            raise AssertionError(f"{name} {types} {attrs}") from error
        except Error:
            pass
