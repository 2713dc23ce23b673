"""Products that sum: dot, matmul, einsum, tensordot, and norms."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import ArgumentError
from rlxc.numpy.operands import default_float, emit, normalize_axes, normalize_axis, promoted, tracer_of
from rlxc.numpy.reductions import sum as _sum
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.protocols import implements, refuse_options

__all__ = ["dot", "einsum", "inner", "matmul", "outer", "tensordot", "vdot"]


@implements(np.matmul)
def matmul(x: Any, y: Any, /, **options: Any) -> Any:
    """Products of matrices in the last two axes; a vector is a row, or a column."""
    refuse_options("np.matmul", options, out=None)
    x, y = promoted(x, y)
    if not x.ndim or not y.ndim:
        raise with_source(ArgumentError(f"np.matmul takes no scalars: {x.aval}, {y.aval}", code="RLX0505", loc=user_location(), help="use *"))
    return emit("matmul", x, y)


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """Sums of products along the last axis of a and the last but one of b."""
    refuse_options("np.dot", {"out": out}, out=None)
    a, b = promoted(a, b)
    if not a.ndim or not b.ndim:
        return emit("mul", a, b)
    if a.ndim <= 2 and b.ndim <= 2:
        return emit("matmul", a, b)
    return tensordot(a, b, axes=((a.ndim - 1,), (max(b.ndim - 2, 0),)))


@implements(np.inner)
def inner(a: Any, b: Any) -> Any:
    """Sums of products along the last axes."""
    a, b = promoted(a, b)
    return emit("mul", a, b) if not a.ndim or not b.ndim else tensordot(a, b, axes=((-1,), (-1,)))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """The sum of products of all elements."""
    return dot(tracer_of(a).ravel(), tracer_of(b).ravel())


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """All products of two elements."""
    refuse_options("np.outer", {"out": out}, out=None)
    return tracer_of(a).ravel()[:, None] * tracer_of(b).ravel()


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Sums of products over so many axes (the last of a, the first of b), or over these ones."""
    a, b = promoted(a, b)
    if isinstance(axes, int | np.integer):
        left, right = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        left, right = [
            [normalize_axis(i, x.ndim) for i in (given if isinstance(given, tuple | list) else (given,))] for given, x in zip(axes, (a, b), strict=True)
        ]
    return emit("dot_general", a, b, lhs_contracting=tuple(left), rhs_contracting=tuple(right))


@implements(np.einsum)
def einsum(spec: Any, /, *operands: Any, out: Any = None, optimize: Any = False, **options: Any) -> Any:
    """Einstein summation: `einsum("ij,jk->ik", x, y)`. A letter that an operand has twice takes its diagonal."""
    refuse_options("np.einsum", {"out": out}, out=None)
    if not isinstance(spec, str):
        raise with_source(ArgumentError("np.einsum takes its spec as text first", loc=user_location(), help='einsum("ij,jk->ik", x, y)'))
    xs = promoted(*operands)
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
    return emit("einsum", *xs, spec=f"{','.join(letters)}->{output}")


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


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The root of the sum of squares, or another norm of vectors, by `ord`; of matrices, "fro", 1, -1, inf and -inf."""
    x = default_float(x)
    axes = tuple([normalize_axis(a, x.ndim) for a in axis]) if isinstance(axis, tuple | list) else normalize_axes(axis, x.ndim)
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) == 1):
        return np.sqrt(_sum(x * x, axes, keepdims=keepdims))
    if len(axes) == 1:
        if ord == np.inf:
            return np.max(np.abs(x), axes, keepdims=keepdims)
        if ord == -np.inf:
            return np.min(np.abs(x), axes, keepdims=keepdims)
        if ord == 0:
            return _sum((x != 0).astype(x.dtype), axes, keepdims=keepdims)
        if ord == 1:
            return _sum(np.abs(x), axes, keepdims=keepdims)
        if isinstance(ord, int | float):
            return _sum(np.abs(x) ** ord, axes, keepdims=keepdims) ** (1.0 / ord)
    if len(axes) == 2 and ord in (1, -1, np.inf, -np.inf):
        inner, outer_ = (axes[0], axes[1]) if abs(ord) == 1 else (axes[1], axes[0])
        pick = np.max if ord > 0 else np.min
        y = pick(_sum(np.abs(x), inner, keepdims=True), outer_, keepdims=True)
        return y if keepdims else np.squeeze(y, axes)
    raise with_source(ArgumentError(f"np.linalg.norm with ord={ord!r} over axes {axes}", code="RLX0803", loc=user_location()))
