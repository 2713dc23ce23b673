"""Linear algebra: what `np.linalg` has, and `expm` and `solve_triangular` as `scipy.linalg` has them.

What NumPy refuses with a LinAlgError (a singular matrix, one that is not positive definite) gives nan or inf here: whether it happens is not known
when a function is traced.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError, Unsupported
from rlxc.ir.primitive import lookup
from rlxc.numpy.common import refuse, wrong
from rlxc.numpy.operands import default_float, emit, promoted
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.protocols import implements, mentions_tracer

#: results as NumPy names their parts
EighResult: Any = type(np.linalg.eigh(np.eye(1)))
QRResult: Any = type(np.linalg.qr(np.eye(1)))
SVDResult: Any = type(np.linalg.svd(np.eye(1)))
SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))


def _beside_numpy(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A function that NumPy does not have: on arrays, what the ops mean."""

    @functools.wraps(rule)
    def public(*args: Any, **kwargs: Any) -> Any:
        apply = emit if mentions_tracer(args) else lambda name, *xs, **attrs: lookup(name).eval(*xs, **attrs)
        return rule(apply, *args, **kwargs)

    del public.__wrapped__  # type: ignore[attr-defined]
    return public


def _floats(*xs: Any) -> list[Any]:
    """Operands in one float (or complex) dtype."""
    return promoted(*[default_float(x) for x in xs])


def _refuse(what: str, help: str) -> None:
    raise with_source(Unsupported(f"{what} is not defined on traced arrays", code="RLX0803", loc=user_location(), help=help))


def _matrices(x: Any) -> Any:
    if x.ndim < 2:
        raise with_source(ArgumentError(f"an array of matrices has two axes or more, not {x.aval}", code="RLX0505", loc=user_location()))
    return x


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The lower triangular l with l l' = a, or its transpose; of a that is not symmetric, (a + a') / 2 is taken."""
    (a,) = _floats(a)
    low = emit("cholesky", a)
    return np.conj(np.swapaxes(low, -1, -2)) if upper else low


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """x with a x = b: one vector b, or [..., n, k]."""
    return emit("solve", *_floats(a, b))


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    """The inverse."""
    return emit("inv", *_floats(a))


@implements(np.linalg.det)
def det(a: Any) -> Any:
    """The determinant."""
    return emit("det", *_floats(a))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """The determinant's sign, and the logarithm of its size."""
    return SlogdetResult(*emit("slogdet", *_floats(a)))


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """q and r with a = q r; r alone with mode="r"."""
    (a,) = _floats(a)
    _matrices(a)
    if mode not in ("reduced", "r") and not (mode == "complete" and a.shape[-2] <= a.shape[-1]):
        _refuse(f"np.linalg.qr with mode={mode!r}", 'mode="reduced"')
    q, r = emit("qr", a)
    return r if mode == "r" else QRResult(q, r)


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of a symmetric matrix, ascending, and eigenvectors; of a that is not symmetric, (a + a') / 2 is taken."""
    return EighResult(*emit("eigh", _hermitian(a, UPLO)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of a symmetric matrix, ascending."""
    return emit("eigvalsh", _hermitian(a, UPLO))


def _hermitian(a: Any, uplo: str) -> Any:
    """A matrix of floats that is symmetric; with "U", by its upper triangle alone."""
    (x,) = _floats(a)
    if uplo.upper() not in ("L", "U"):
        wrong("UPLO argument must be 'L' or 'U'")
    if uplo.upper() == "L":
        return x
    above = np.triu(x, 1)
    return np.triu(x) + np.swapaxes(np.conj(above) if x.aval.dtype.is_complex else above, -1, -2)


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Singular vectors and values; of matrices that are not square, with full_matrices=False only."""
    (a,) = _floats(a)
    _matrices(a)
    if not compute_uv:
        return emit("singular_values", a)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        _refuse(f"np.linalg.svd of {a.aval} with full_matrices=True", "full_matrices=False")
    return SVDResult(*emit("svd", a))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """Singular values, descending."""
    return emit("singular_values", *_floats(x))


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """The pseudo-inverse; singular values up to rcond times the largest count as 0."""
    limit = rcond if rtol is None else rtol
    return emit("pinv", *_floats(a), rcond=None if limit is None else float(limit))


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """The shortest x with the least |a x - b|; the sums of squares that are left, if a has more rows than columns; its rank and singular values."""
    a, b = _floats(a, b)
    x = np.matmul(emit("pinv", a, rcond=None if rcond is None or rcond < 0 else float(rcond)), b)
    rest = b - np.matmul(a, x)
    squares = np.real(rest) ** 2 + np.imag(rest) ** 2 if a.aval.dtype.is_complex else rest * rest
    left = np.atleast_1d(np.sum(squares, axis=0)) if a.shape[0] > a.shape[1] else np.zeros(0, squares.dtype)
    return x, left, matrix_rank(a), svdvals(a)


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """How many singular values are above a limit: tol, or the largest times rtol (unless stated, the greater side times the rounding of 1)."""
    (a,) = _floats(A)
    s = svdvals(_matrices(a))
    if tol is None:
        eps = np.finfo(a.dtype).eps
        tol = s[..., :1] * (max(a.shape[-2:]) * eps if rtol is None else rtol)
    return np.sum(s > tol, axis=-1)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """How much a matrix amplifies relative errors: the greatest singular value by the least, or by other norms."""
    (x,) = _floats(x)
    if p is None or p == 2 or p == -2:
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return np.linalg.norm(x, p, axis=(-2, -1)) * np.linalg.norm(inv(x), p, axis=(-2, -1))


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """A matrix times itself, n times, by squaring; of its inverse, if n is negative."""
    (a,) = _floats(a) if n < 0 else [promoted(a)[0]]
    power = inv(a) if n < 0 else a
    result = None
    n = abs(n)
    if n == 0:
        return np.broadcast_to(np.eye(_matrices(a).shape[-1], dtype=a.dtype), a.shape) + np.zeros_like(a)
    while n:
        n, bit = divmod(n, 2)
        if bit:
            result = power if result is None else np.matmul(result, power)
        power = np.matmul(power, power) if n else power
    return result


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """A chain of products, in the order that costs least; the first and the last may be vectors."""
    refuse("linalg.multi_dot", out=out)
    xs = promoted(*arrays)
    sizes = [xs[0].shape[0] if xs[0].ndim > 1 else 1, *[x.shape[0] for x in xs[1:]], xs[-1].shape[-1] if xs[-1].ndim > 1 else 1]
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(xs))}
    for length in range(2, len(xs) + 1):
        for i in range(len(xs) - length + 1):
            j = i + length - 1
            costs = [(best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            best[i, j] = min(costs)

    def multiply(i: int, j: int) -> Any:
        return xs[i] if i == j else np.matmul(multiply(i, best[i, j][1]), multiply(best[i, j][1] + 1, j))

    return multiply(0, len(xs) - 1)


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """A norm of each matrix."""
    return np.linalg.norm(x, ord, axis=(-2, -1), keepdims=keepdims)


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """A norm of all elements, or along axes."""
    if axis is not None and not isinstance(axis, tuple):
        return np.linalg.norm(x, ord, axis=axis, keepdims=keepdims)
    rank = x.ndim
    axes = tuple(range(rank)) if axis is None else tuple([a % rank for a in axis])
    moved = np.moveaxis(x, axes, tuple(range(rank - len(axes), rank)))
    flat = np.reshape(moved, (*moved.shape[: rank - len(axes)], -1))
    found = np.linalg.norm(flat, ord, axis=-1)
    return np.expand_dims(found, axes) if keepdims else found


@implements(np.linalg.diagonal)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of the last two axes."""
    return np.diagonal(x, offset, -2, -1)


@implements(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of the diagonals of the last two axes."""
    return np.sum(np.diagonal(x, offset, -2, -1), axis=-1, dtype=dtype)


@implements(np.linalg.matmul)
def matmul(x1: Any, x2: Any, /) -> Any:
    """Products of matrices in the last two axes."""
    return np.matmul(x1, x2)


@implements(np.linalg.outer)
def outer(x1: Any, x2: Any, /) -> Any:
    """All products of elements of two vectors."""
    return np.outer(x1, x2)


@implements(np.linalg.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """Sums of products over axes."""
    return np.tensordot(x1, x2, axes=axes)


@implements(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Sums of products along an axis; of complex numbers the first are conjugated."""
    x, y = promoted(x1, x2)
    return np.sum(np.conj(x) * y, axis=axis)


@implements(np.linalg.cross)
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The vector products of vectors with three elements."""
    x, y = promoted(x1, x2)
    if x.shape[axis] != 3 or y.shape[axis] != 3:
        raise with_source(ArgumentError(f"np.linalg.cross takes vectors with 3 elements: {x.aval}, {y.aval}", code="RLX0505", loc=user_location()))
    return np.cross(x, y, axis=axis)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse for tensordot: of the matrix whose rows are the first `ind` axes."""
    (a,) = _floats(a)
    if ind < 1 or math.prod(a.shape[:ind]) != math.prod(a.shape[ind:]):
        raise with_source(ArgumentError(f"tensorinv: {a.aval} is no square matrix with ind={ind}", code="RLX0505", loc=user_location()))
    side = math.prod(a.shape[:ind])
    return np.reshape(inv(np.reshape(a, (side, side))), (*a.shape[ind:], *a.shape[:ind]))


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """x with tensordot(a, x, x.ndim) = b; `axes` of a are moved to its end before."""
    a, b = _floats(a, b)
    if axes is not None:
        moved = [i % a.ndim for i in axes]
        a = np.transpose(a, [*(i for i in range(a.ndim) if i not in moved), *moved])
    shape = a.shape[b.ndim :]
    if math.prod(shape) != math.prod(b.shape):
        raise with_source(ArgumentError(f"tensorsolve: {a.aval} does not fit {b.aval}", code="RLX0505", loc=user_location()))
    return np.reshape(solve(np.reshape(a, (-1, math.prod(shape))), np.ravel(b)), shape)


@_beside_numpy
def expm(apply: Any, a: Any, *, squarings: int = 16) -> Any:
    """exp of a matrix, as a power series; nan where it takes more than so many squarings."""
    return apply("expm", a, squarings=squarings)


@_beside_numpy
def solve_triangular(apply: Any, a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False) -> Any:
    """x with a x = b (a' x = b with trans=1), of which one triangle is read; b is a vector, or [..., n, k]."""
    if trans not in (0, 1, "N", "T"):
        raise with_source(ArgumentError(f"trans is 0 or 1, not {trans!r}", loc=user_location()))
    column = b[:, None] if b.ndim == 1 else b
    x = apply("triangular_solve", a, column, lower=lower, transposed=trans in (1, "T"), unit=unit_diagonal)
    return x[:, 0] if b.ndim == 1 else x
