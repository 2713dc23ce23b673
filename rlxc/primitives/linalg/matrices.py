"""What ops on matrices share: the axes before the last two hold any number of them. Masks and products for rules; matrices for loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.core import Value
from rlxc.ir.emitter import Index, Memory
from rlxc.ir.primitive import Cost, Primitive
from rlxc.ir.types import TensorType
from rlxc.primitives.contract import fresh_letters
from rlxc.primitives.families import batch_size, require_dtype, same_dtype, with_batch_axis

WIDE = ("f32", "f64")


class MatrixPrimitive(Primitive):
    """An op on matrices, all operands of which have the same leading axes.

    Native code goes through those: a subclass states `one(e, reads, writes)` for one matrix, given as `Matrix`es.
    """

    dtypes: ClassVar[tuple[str, ...]] = WIDE
    cost = Cost(flops=10, recompute=False)

    def batch(self, b: Any, *xs: Value, batched: Sequence[bool], **attrs: Any) -> Any:
        n = batch_size(xs, batched)
        return b.apply(self, *[x if flag else with_batch_axis(b, x, n) for x, flag in zip(xs, batched, strict=True)], **attrs)

    def lower(self, e: Any, reads: Any, writes: Any, **attrs: Any) -> None:
        if all(m.type.size == 0 for m in writes):
            return
        (leading,) = {t.shape[: t.rank - rank] for t, rank in zip([m.type for m in (*reads, *writes)], self.ranks(reads, writes), strict=True)}
        ranks = iter(self.ranks(reads, writes))
        cores = [(memory, next(ranks)) for memory in (*reads, *writes)]

        def at(index: list[Index]) -> None:
            parts = [Matrix(e, memory, index, rank) for memory, rank in cores]
            self.one(e, parts[: len(reads)], parts[len(reads) :], **attrs)

        e.for_each(leading, at)

    def ranks(self, reads: Any, writes: Any) -> tuple[int, ...]:
        """How many axes one operand has, or result: two, unless stated."""
        return (2,) * (len(reads) + len(writes))

    def one(self, e: Any, reads: Any, writes: Any, **attrs: Any) -> None:
        raise self.missing("one")


class Matrix:
    """One of the matrices (or vectors) in a batch: read and stored by its own indices."""

    def __init__(self, e: Any, memory: Any, at: Sequence[Index], rank: int) -> None:
        self.e = e
        self.memory = memory
        self.at = list(at)
        self.shape: tuple[int, ...] = memory.type.shape[len(self.at) :]
        self.dtype = memory.type.dtype
        assert len(self.shape) == rank

    def __call__(self, *index: Index) -> Value:
        return self.memory([*self.at, *index])

    def store(self, value: Any, *index: Index) -> None:
        self.memory.store([*self.at, *index], value)

    @property
    def value(self) -> Value:
        """Its memory, for functions that take addresses."""
        memory = self.memory.value
        return self.e.part(memory, *map(self.e.as_index, self.at)) if self.at else memory

    @property
    def is_memory(self) -> bool:
        """Whether its elements lie in memory, and are not computed where they are read."""
        return isinstance(self.memory, Memory)

    def fill(self, element: Callable[..., Any]) -> None:
        """Store `element(*index)` everywhere."""
        self.e.for_each(self.shape, lambda index: self.store(element(*index), *index))


def scratch(e: Any, dtype: str, *shape: int) -> Matrix:
    """Memory of the kernel's own."""
    return Matrix(e, e.alloc(dtype, shape), (), len(shape))


def largest(e: Any, x: Matrix) -> Value:
    """The size of the largest element of x; nan or inf where one is not finite."""
    (size,) = e.loop(x.shape, (e.constant(0.0, dtype=x.dtype),), lambda index, most: e.max(most, e.abs(x(*index))))
    return size


def square_safely(e: Any, size: Value) -> tuple[Value, Value]:
    """A power of 2, and its inverse: a matrix whose largest element is `size` times the first can be squared without over- or underflow."""
    is_double = str(size.type.dtype) == "f64"  # type: ignore[union-attr]
    power, small = (2.0**600, 1e-100) if is_double else (2.0**70, 1e-12)
    one, up, down = (e.constant(v, like=size) for v in (1.0, power, 1 / power))
    tiny, huge = e.lt(size, small), e.gt(size, 1 / small)
    return e.select(tiny, up, e.select(huge, down, one)), e.select(tiny, down, e.select(huge, up, one))


# checks


def check_matrix(name: str, x: Any, *, square: bool = False, dtypes: Sequence[str] = WIDE) -> None:
    """Raise DTypeError or ShapeError unless x is a tensor of matrices."""
    require_dtype(name, x, dtypes)
    if x.rank < 2:
        raise ShapeError(f"{name} takes matrices: {x} has no two axes")
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name} takes square matrices, not {x}")


def check_same_batch(name: str, *xs: TensorType, ranks: Sequence[int] = ()) -> None:
    """Raise DTypeError or ShapeError where operands differ in dtype, or in their leading axes."""
    same_dtype(name, [x for x in xs if x.dtype.is_float])
    leading = {x.shape[: x.rank - rank] for x, rank in zip(xs, ranks or (2,) * len(xs), strict=True)}
    if len(leading) > 1:
        raise ShapeError(f"{name}: leading axes differ: {', '.join(map(str, xs))}")


# for rules


def product(b: Any, x: Value, y: Value, spec: str = "ij,jk->ik") -> Value:
    """A contraction of each matrix of x with that of y."""
    (in_x, in_y), out = spec.split("->")[0].split(","), spec.split("->")[1]
    batch = fresh_letters("product", x.type.rank - len(in_x), "".join(dict.fromkeys(in_x + in_y)))
    return b.contract(x, y, spec=f"{batch}{in_x},{batch}{in_y}->{batch}{out}")


def transposed(b: Any, x: Value) -> Value:
    rank = x.type.rank
    return b.transpose(x, perm=(*range(rank - 2), rank - 1, rank - 2))


def symmetric(b: Any, x: Value) -> Value:
    """The mean of x and its transpose."""
    return b.mul(b.add(x, transposed(b, x)), 0.5)


def where(b: Any, relation: str, x: Value, y: Value, offset: int = 0) -> Value:
    """x where its row and column are in a relation such as "ge" (row + offset >= column), else y."""
    shape = x.type.shape
    counts = TensorType("i32", shape[-2:])  # type: ignore[arg-type]
    rows, columns = b.iota(axis=0, type=counts), b.iota(axis=1, type=counts)
    mask = getattr(b, relation)(b.add(rows, offset) if offset else rows, columns)
    if x.type.rank > 2:
        mask = b.broadcast(mask, shape=shape, axes=tuple(range(x.type.rank - 2)))
    return b.select(mask, x, y)


def hermitian(b: Any, x: Value) -> Value:
    """The mean of x and its conjugated transpose."""
    return b.mul(b.add(x, b.conj(transposed(b, x))), 0.5)


def lower_part(b: Any, x: Value, *, diagonal: bool = True) -> Value:
    """x with zeros above its diagonal, and on it unless that stays."""
    return where(b, "ge" if diagonal else "gt", x, b.zeros(x.type))


def upper_part(b: Any, x: Value, *, diagonal: bool = True) -> Value:
    """x with zeros below its diagonal, and on it unless that stays."""
    return where(b, "le" if diagonal else "lt", x, b.zeros(x.type))


def identity(b: Any, type: TensorType) -> Value:
    """The identity, for each matrix of the type."""
    zeros = b.zeros(type)
    return where(b, "eq", b.constant(1.0, type=type), zeros)


def diagonal(b: Any, x: Value) -> Value:
    """The diagonal of each square matrix."""
    return b.reduce_sum(where(b, "eq", x, b.zeros(x.type)), axes=(x.type.rank - 1,))


def times_rows(b: Any, factors: Value, x: Value) -> Value:
    """Row i of x times factor i."""
    return b.mul(x, b.broadcast(factors, shape=x.type.shape, axes=(x.type.rank - 1,)))


def times_columns(b: Any, x: Value, factors: Value) -> Value:
    """Column j of x times factor j."""
    return b.mul(x, b.broadcast(factors, shape=x.type.shape, axes=(x.type.rank - 2,)))


# for eval


def flat_batch(x: np.ndarray, rank: int = 2) -> np.ndarray:
    """The leading axes as one."""
    return x.reshape(int(np.prod(x.shape[: x.ndim - rank])), *x.shape[x.ndim - rank :])


def mean_with_transpose(x: np.ndarray) -> np.ndarray:
    """The mean of x and its transpose, conjugated if x is complex."""
    return ((x + np.conj(np.swapaxes(x, -1, -2))) * x.dtype.type(0.5)).astype(x.dtype)


def each_finite(x: np.ndarray, function: Callable[[np.ndarray], Any]) -> np.ndarray:
    """`function` of each matrix; nan where one has an element that is not finite, or the function raises LinAlgError."""
    finite = np.isfinite(x).all((-1, -2), keepdims=True)
    found = each(np.where(finite, x, np.zeros((), x.dtype)), function)
    fine = finite.reshape(*x.shape[:-2], *(1,) * (found.ndim - x.ndim + 2))
    return np.where(fine, found, np.full((), np.nan, x.dtype))


def each(x: np.ndarray, function: Callable[[np.ndarray], Any]) -> np.ndarray:
    """`function` of each matrix; nan where it raises LinAlgError."""
    try:
        return np.asarray(function(x))
    except np.linalg.LinAlgError:
        pass
    found = [_one(function, matrix) for matrix in flat_batch(x)]
    like = next((one for one in found if one is not None), None)
    if like is None:
        like = np.asarray(function(np.eye(*x.shape[-2:], dtype=x.dtype)))
    whole = np.stack([np.full_like(like, np.nan) if one is None else one for one in found])
    return whole.reshape(*x.shape[:-2], *like.shape)


def _one(function: Callable[[np.ndarray], Any], matrix: np.ndarray) -> np.ndarray | None:
    try:
        return np.asarray(function(matrix))
    except np.linalg.LinAlgError:
        return None
