"""Products that sum: dot, matmul, einsum, tensordot, and norms."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError
from rlxc.ir.types import DType
from rlxc.numpy.elementwise import operands_of
from rlxc.numpy.operands import Tracer, convert, default_float, emit, normalize_axes, normalize_axis, promoted, tracer_of
from rlxc.numpy.reductions import sum as _sum
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.protocols import implements, refuse_options

__all__ = ["cross", "dot", "einsum", "inner", "kron", "matmul", "matvec", "outer", "tensordot", "vdot", "vecdot", "vecmat"]


def _products(prim: str, *xs: Any, **attrs: Any) -> Any:
    """A contraction; of bools, `or` of `and`."""
    if not xs[0].aval.dtype.is_bool:
        return emit(prim, *xs, **attrs)
    return emit(prim, *[convert(x, DType("i64")) for x in xs], **attrs) != 0


@implements(np.matmul)
def matmul(x: Any, y: Any, /, **options: Any) -> Any:
    """Products of matrices in the last two axes; a vector is a row, or a column."""
    x, y = _operands(np.matmul, x, y, options)
    return _products("matmul", x, y)


def _operands(ufunc: np.ufunc, x: Any, y: Any, options: dict[str, Any]) -> Any:
    """Operands in the dtypes that NumPy computes in; neither is a scalar."""
    refuse_options(f"np.{ufunc.__name__}", options, axes=None, keepdims=False)
    if not np.ndim(x) or not np.ndim(y):
        types = f"{tracer_of(x).aval}, {tracer_of(y).aval}"
        raise with_source(ArgumentError(f"np.{ufunc.__name__} takes no scalars: {types}", code="RLX0505", loc=user_location(), help="use *"))
    return operands_of(ufunc, (x, y), options)[0]


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """Sums of products along the last axis of a and the last but one of b."""
    refuse_options("np.dot", {"out": out}, out=None)
    a, b = (x if isinstance(x, Tracer) else np.asarray(x) for x in (a, b))
    if not a.ndim or not b.ndim:
        return np.multiply(*promoted(a, b, strong=True))
    a, b = promoted(a, b, strong=True)
    if a.ndim <= 2 and b.ndim <= 2:
        return _products("matmul", a, b)
    return tensordot(a, b, axes=((a.ndim - 1,), (max(b.ndim - 2, 0),)))


@implements(np.inner)
def inner(a: Any, b: Any) -> Any:
    """Sums of products along the last axes."""
    a, b = (x if isinstance(x, Tracer) else np.asarray(x) for x in (a, b))
    return dot(a, b) if not a.ndim or not b.ndim else tensordot(a, b, axes=((-1,), (-1,)))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """The sum of products of all elements."""
    x, y = tracer_of(a).ravel(), tracer_of(b).ravel()
    return dot(np.conj(x) if x.dtype.kind == "c" else x, y)


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """All products of two elements."""
    refuse_options("np.outer", {"out": out}, out=None)
    a, b = promoted(a, b, strong=True)
    return a.ravel()[:, None] * b.ravel()


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Sums of products over so many axes (the last of a, the first of b), or over these ones."""
    a, b = promoted(a, b, strong=True)
    if isinstance(axes, int | np.integer):
        left, right = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        left, right = [
            [normalize_axis(i, x.ndim) for i in (given if isinstance(given, tuple | list) else (given,))] for given, x in zip(axes, (a, b), strict=True)
        ]
    return _products("dot_general", a, b, lhs_contracting=tuple(left), rhs_contracting=tuple(right))


@implements(np.einsum)
def einsum(spec: Any, /, *operands: Any, out: Any = None, dtype: Any = None, order: str = "K", casting: str = "safe", optimize: Any = False) -> Any:
    """Einstein summation: `einsum("ij,jk->ik", x, y)`. A letter that an operand has twice takes its diagonal."""
    refuse_options("np.einsum", {"out": out}, out=None)
    if not isinstance(spec, str):
        spec, operands = _from_lists((spec, *operands))
    xs = promoted(*operands, dtype=dtype, casting=casting, strong=True)
    spec = _without_ellipsis(spec.replace(" ", ""), [x.ndim for x in xs])
    inputs, arrow, output = spec.partition("->")
    letters = inputs.split(",")
    if len(letters) != len(xs) or any(len(part) != x.ndim for part, x in zip(letters, xs, strict=True)):
        types = ", ".join(str(x.aval) for x in xs)
        raise with_source(ArgumentError(f"the spec {spec!r} does not fit {types}", loc=user_location()))
    if not arrow:
        output = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))
    for i, part in enumerate(letters):
        for c in sorted(set(part)):
            while part.count(c) > 1:
                first, second = part.index(c), part.rindex(c)
                xs[i] = np.diagonal(xs[i], 0, first, second)
                part = part.replace(c, "", 2) + c if part.count(c) == 2 else part[:first] + part[first + 1 : second] + part[second + 1 :] + c
        letters[i] = part
    return _by_pairs(xs, letters, output)


def _by_pairs(xs: list[Any], letters: list[str], output: str) -> Any:
    """Two operands at a time, in the order that np.einsum_path finds cheap."""
    if len(xs) > 2:
        spec = f"{','.join(letters)}->{output}"
        for pair in np.einsum_path(spec, *[np.broadcast_to(0.0, x.shape) for x in xs], optimize="greedy")[0][1:-1]:
            chosen = sorted(pair, reverse=True)
            some, theirs = [xs.pop(i) for i in chosen], [letters.pop(i) for i in chosen]
            left = "".join(dict.fromkeys(c for part in theirs for c in part if c in output or any(c in other for other in letters)))
            xs.append(_products("einsum", *some, spec=f"{','.join(theirs)}->{left}"))
            letters.append(left)
    return _products("einsum", *xs, spec=f"{','.join(letters)}->{output}")


def _from_lists(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The other way to call it: `einsum(x, [0, 1], y, [1, 2], [0, 2])`."""

    def named(axes: Any) -> str:
        return "".join("..." if a is Ellipsis else string.ascii_letters[a] for a in axes)

    n = len(operands) // 2
    if n == 0 or not all(isinstance(axes, list | tuple) for axes in operands[1 : 2 * n : 2]):
        raise with_source(ArgumentError("np.einsum takes its spec as text first", loc=user_location(), help='einsum("ij,jk->ik", x, y)'))
    spec = ",".join(named(axes) for axes in operands[1 : 2 * n : 2])
    return spec + (f"->{named(operands[-1])}" if len(operands) % 2 else ""), operands[: 2 * n : 2]


def _without_ellipsis(spec: str, ranks: list[int]) -> str:
    """Letters in place of dots, which stand for axes aligned at the right."""
    if "..." not in spec:
        return spec
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in spec]
    inputs, arrow, output = spec.partition("->")
    parts = inputs.split(",")
    widths = [rank - len(part.replace("...", "")) if "..." in part else 0 for part, rank in zip(parts, ranks, strict=True)]
    dots = free[: max(widths)]
    named = [part.replace("...", "".join(dots[len(dots) - n :])) for part, n in zip(parts, widths, strict=True)]
    if not arrow:
        inner = "".join(named)
        output = "..." + "".join(sorted(c for c in set(inner) - set(dots) if inner.count(c) == 1))
    return f"{','.join(named)}->{output.replace('...', ''.join(dots))}"


@implements(np.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1, **options: Any) -> Any:
    """Sums of products along an axis; other axes broadcast."""
    x, y = _operands(np.vecdot, x1, x2, options)
    y = np.conj(x) * y if x.aval.dtype.kind == "c" else x * y
    return np.any(y, axis) if x.aval.dtype.is_bool else _sum(y, axis, dtype=x.dtype)


@implements(np.matvec)
def matvec(x1: Any, x2: Any, /, **options: Any) -> Any:
    """Products of matrices and vectors; other axes broadcast."""
    x, y = _operands(np.matvec, x1, x2, options)
    return np.matmul(x, y[..., None])[..., 0]


@implements(np.vecmat)
def vecmat(x1: Any, x2: Any, /, **options: Any) -> Any:
    """Products of vectors and matrices; other axes broadcast."""
    x, y = _operands(np.vecmat, x1, x2, options)
    return np.matmul(np.conj(x)[..., None, :] if x.aval.dtype.kind == "c" else x[..., None, :], y)[..., 0, :]


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """All products of an element of a and an element of b, those of b within those of a."""
    x, y = promoted(a, b, strong=True)
    rank = max(x.ndim, y.ndim)
    x, y = (np.reshape(v, (1,) * (rank - v.ndim) + v.shape) for v in (x, y))
    apart = [n for m in x.shape for n in (m, 1)], [n for m in y.shape for n in (1, m)]
    return np.reshape(np.reshape(x, apart[0]) * np.reshape(y, apart[1]), [n * m for n, m in zip(x.shape, y.shape, strict=True)])


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    """The vector product of vectors with three elements (with two: its third element)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = promoted(a, b, strong=True)
    x, y = np.moveaxis(x, axisa, -1), np.moveaxis(y, axisb, -1)
    if x.shape[-1] not in (2, 3) or y.shape[-1] not in (2, 3):
        raise with_source(ArgumentError(f"np.cross takes vectors with 2 or 3 elements: {x.aval}, {y.aval}", code="RLX0505", loc=user_location()))
    x1, x2, y1, y2 = x[..., 0], x[..., 1], y[..., 0], y[..., 1]
    third = x1 * y2 - x2 * y1
    if x.shape[-1] == y.shape[-1] == 2:
        return third
    x3, y3 = (v[..., 2] if v.shape[-1] == 3 else np.zeros_like(v[..., 0]) for v in (x, y))
    return np.moveaxis(np.stack([x2 * y3 - x3 * y2, x3 * y1 - x1 * y3, third], -1), -1, axisc)


def _outer_of(ufunc: np.ufunc) -> None:
    @implements((ufunc, "outer"))
    def rule(a: Any, b: Any, **options: Any) -> Any:
        x, y = tracer_of(a), tracer_of(b)
        return ufunc(np.reshape(x, x.shape + (1,) * y.ndim), y, **options)


for _ufunc in (u for u in vars(np).values() if isinstance(u, np.ufunc) and u.nin == 2 and u.signature is None):
    _outer_of(_ufunc)


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The root of the sum of squares, or another norm of vectors, by `ord`; of matrices, "fro", 1, -1, inf and -inf."""
    x = default_float(x)
    axes = tuple([normalize_axis(a, x.ndim) for a in axis]) if isinstance(axis, tuple | list) else normalize_axes(axis, x.ndim)
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) == 1):
        square = x * x if x.aval.dtype.is_float else np.real(x) ** 2 + np.imag(x) ** 2
        total = _sum(square, axes, keepdims=keepdims)
        return np.where(total == 0, 0.0, np.sqrt(np.where(total == 0, 1.0, total)))  # whose derivative at 0 is 0
    if len(axes) == 1:
        if ord == np.inf:
            return np.max(np.abs(x), axes, keepdims=keepdims)
        if ord == -np.inf:
            return np.min(np.abs(x), axes, keepdims=keepdims)
        if ord == 0:
            return _sum((x != 0).astype(np.abs(x).dtype), axes, keepdims=keepdims)
        if ord == 1:
            return _sum(np.abs(x), axes, keepdims=keepdims)
        if isinstance(ord, int | float):
            return _sum(np.abs(x) ** ord, axes, keepdims=keepdims) ** (1.0 / ord)
    if len(axes) == 2 and ord in (1, -1, np.inf, -np.inf):
        inner, outer_ = (axes[0], axes[1]) if abs(ord) == 1 else (axes[1], axes[0])
        pick = np.max if ord > 0 else np.min
        y = pick(_sum(np.abs(x), inner, keepdims=True), outer_, keepdims=True)
        return y if keepdims else np.squeeze(y, axes)
    if len(axes) == 2 and ord in (2, -2, "nuc"):
        values = emit("singular_values", np.moveaxis(x, axes, (-2, -1)))
        y = _sum(values, -1) if ord == "nuc" else values[..., 0 if ord == 2 else -1]
        return np.expand_dims(y, axes) if keepdims else y
    raise with_source(ArgumentError(f"np.linalg.norm with ord={ord!r} over axes {axes}", code="RLX0803", loc=user_location()))
