"""Emitter: the builder of the loop level. Rules write scalar code and loops with it.

Every op lands in the outermost scope in which its operands exist, and an op that was emitted already is not emitted again: loop-invariant
code and common subexpressions take care of themselves. Memory in `read_only` may be read anywhere; other memory is read where the code says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np

from rlxc.ir.attributes import Dense, attrs_key
from rlxc.ir.builder import Builder, make_op
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.primitive import Primitive, lookup
from rlxc.ir.target import Target
from rlxc.ir.types import INDEX, DType, MemType, TensorType, Type, VectorType

Index = int | Value


class Scope:
    """Ops of one region while it is being written."""

    def __init__(self, depth: int, movable: bool, has_memory: bool) -> None:
        self.depth = depth
        self.movable = movable  # what is inside may be computed outside: true of loops, not of branches
        self.has_memory = has_memory  # scratch memory that is asked for inside is allocated here: in kernels, and in parallel loops
        self.ops: list[Op] = []
        self.seen: dict[tuple, Op] = {}
        self.memo: dict[tuple, Value] = {}  # elements read already, by value and index


class Emitter(Builder):
    """Loop-level ops and loops; index arithmetic folds Python ints."""

    level = "loop"

    def __init__(self, target: Target | None = None) -> None:
        super().__init__()
        self.target = target or Target()
        self.scopes = [Scope(0, True, True)]
        self.depth_of: dict[Value, int] = {}
        self.read_only: set[Value] = set()
        self.numbers: dict[tuple, Value] = {}  # constants, by type and number
        self.integers: dict[Value, int] = {}  # index values that are known numbers
        self.unrolls = False

    @property
    def ops(self) -> list[Op]:  # type: ignore[override]
        return self.scopes[-1].ops

    @ops.setter
    def ops(self, _: list[Op]) -> None:
        pass

    # placing ops

    def emit(self, prim: Primitive, operands: Sequence[Value], attrs: dict[str, Any], *, regions=(), names=(), loc=None) -> Op:
        if regions or not self._is_pure(prim, operands):
            op = super().emit(prim, operands, attrs, regions=regions, names=names, loc=loc)
            for v in op.results:
                self.depth_of[v] = len(self.scopes) - 1
            return op
        return self._once(prim, operands, attrs, lambda: make_op(prim, operands, attrs, names=names, loc=self.loc if loc is None else loc))

    def again(self, op: Op, operands: Sequence[Value]) -> Op:
        """An op without regions once more, with operands of the same types: its attributes and result types need no second look."""

        def make() -> Op:
            if tuple(operands) == op.operands:
                return op
            return Op(op.prim, tuple(operands), op.attrs, tuple([Value(v.type, loc=op.loc) for v in op.results]), (), op.loc)

        if self._is_pure(op.prim, operands):
            return self._once(op.prim, operands, op.attrs, make)
        return self.keep(make())

    def keep(self, op: Op) -> Op:
        """Append an op as it is."""
        self.insert(op)
        self.depth_of.update(dict.fromkeys(op.results, len(self.scopes) - 1))
        return op

    def _once(self, prim: Primitive, operands: Sequence[Value], attrs: Mapping[str, Any], make: Callable[[], Op]) -> Op:
        """The pure op that was emitted already and is in sight, else a new one, in the outermost scope that it may stand in."""
        key = (prim, tuple(operands), attrs_key(attrs))
        depth = 0
        for v in operands:
            depth = max(depth, self.depth_of.get(v, 0))
        for scope in self.scopes[depth:]:
            if key in scope.seen:
                return scope.seen[key]
        op = make()
        at = len(self.scopes) - 1
        while at > depth and self.scopes[at].movable:
            at -= 1
        self.scopes[at].ops.append(op)
        self.scopes[at].seen[key] = op
        for v in op.results:
            self.depth_of[v] = at
        if not operands and op.result.type == INDEX and isinstance(op.attrs.get("value"), Dense):
            self.integers[op.result] = int(op.attrs["value"].array)
        return op

    def _is_pure(self, prim: Any, operands: Sequence[Value]) -> bool:
        if prim.pure:
            return True
        return not prim.has_effect and bool(operands) and operands[0] in self.read_only

    # loops

    def for_(
        self, start: int, stop: int, body: Callable[..., Any], init: Sequence[Value] = (), *, step: int = 1, parallel: bool = False, **hints: Any
    ) -> tuple[Value, ...]:
        """A counted loop; `body(i, *carried)` returns the new carried values. A loop that never runs is left out."""
        if start >= stop:
            return tuple(init)
        counter = Value(INDEX, "i", loc=self.loc)
        carried = [Value(v.type, "acc", loc=self.loc) for v in init]
        region = self.region([counter, *carried], lambda: body(counter, *carried), has_memory=parallel)
        attrs = {"start": start, "stop": stop, "step": step, "parallel": parallel, **hints}
        return self.emit(lookup("for", "loop"), list(init), attrs, regions=(region,)).results

    def region(self, args: Sequence[Value], body: Callable[[], Any], *, movable: bool = True, has_memory: bool = False) -> Func:
        """What `body` emits, as a region with arguments `args`, yielding what `body` returns."""
        depth = len(self.scopes)
        for a in args:
            self.depth_of[a] = depth
        self.scopes.append(Scope(depth, movable, has_memory))
        results = body()
        results = () if results is None else results if isinstance(results, tuple | list) else (results,)
        scope = self.scopes.pop()
        return Func("", tuple(args), tuple(scope.ops), tuple(results), "region")

    def loop(self, sizes: Sequence[int], init: Sequence[Value], body: Callable[..., Any]) -> tuple[Value, ...]:
        """Nested loops over `sizes`; `body(index, *carried)` returns the tuple of new carried values; returns the last ones."""
        sizes = tuple(sizes)
        if any(n == 0 for n in sizes):
            return tuple(init)
        if self.unrolls:
            carried: Any = tuple(init)
            for index in product(*map(range, sizes)):
                carried = body(list(index), *carried)
                carried = () if carried is None else carried if isinstance(carried, tuple) else (carried,)
            return carried

        def nest(at: int, index: tuple[Index, ...], carried: Sequence[Value]) -> tuple[Value, ...]:
            if at == len(sizes):
                result = body(list(index), *carried)
                return () if result is None else result if isinstance(result, tuple) else (result,)
            if sizes[at] == 1:
                return nest(at + 1, (*index, 0), carried)
            return self.for_(0, sizes[at], lambda i, *acc: nest(at + 1, (*index, i), acc), carried)

        return nest(0, (), init)

    @contextmanager
    def unrolling(self) -> Iterator[None]:
        """In it, `loop` and what goes by it emit no loops, but what these would do, one step after the other."""
        before, self.unrolls = self.unrolls, True
        try:
            yield
        finally:
            self.unrolls = before

    def for_each(self, sizes: Sequence[int], body: Callable[[list[Index]], Any]) -> None:
        """Nested loops over `sizes` without carried values."""

        def run(index: list[Index]) -> tuple[()]:
            body(index)
            return ()

        self.loop(sizes, (), run)

    def reduce(self, x: Any, index: Sequence[Index], axes: Sequence[int], *, init: Any, combine: Callable[[Value, Value], Value]) -> Value:
        """The elements of reader `x` along `axes` combined, where `index` is the index along the other axes."""
        sizes = [x.type.shape[a] for a in axes]
        start = init if isinstance(init, Value) else self.constant(init, dtype=x.type.dtype)

        def step(inner: list[Index], acc: Value) -> Value:
            outer, reduced = iter(index), dict(zip(axes, inner, strict=True))
            return combine(acc, x([reduced[a] if a in reduced else next(outer) for a in range(x.type.rank)]))

        return self.loop(sizes, (start,), step)[0]

    def cond(self, condition: Value, then: Callable[[], Any], otherwise: Callable[[], Any], *, rare: bool = False) -> Any:
        """A branch: only one of the two is executed; if it is `rare`, mostly the second."""
        regions = tuple(self.region([], side, movable=False) for side in (then, otherwise))
        results = self.emit(lookup("if", "loop"), [condition], {"rare": True} if rare else {}, regions=regions).results
        return results[0] if len(results) == 1 else results

    def while_(self, init: Sequence[Value], condition: Callable[..., Value], body: Callable[..., Any], *, steps: int = 0) -> tuple[Value, ...]:
        """A loop that goes on while `condition(*carried)` holds; `body(*carried)` returns the new carried values."""

        def side(run: Callable[..., Any]) -> Func:
            args = [Value(v.type, "carried", loc=self.loc) for v in init]
            return self.region(args, lambda: run(*args))

        return self.emit(lookup("while", "loop"), list(init), {"steps": steps}, regions=(side(condition), side(body))).results

    # values

    def constant(self, number: Any, *, like: Value | None = None, type: Type | None = None, dtype: str | None = None) -> Value:
        """A number of the type of `like` (perhaps another dtype), or a scalar of `dtype`."""
        if type is None:
            type = like.type if like is not None else VectorType(DType(dtype or "f64"))
        assert isinstance(type, VectorType)
        if dtype is not None:
            type = type.with_dtype(dtype)
        key = (type, number if isinstance(number, Dense) else repr(number))
        if key not in self.numbers:
            value = number if isinstance(number, Dense) else Dense(_exact(number, type.dtype), TensorType(type.dtype))
            op = make_op(lookup("constant", "loop"), (), {"value": value, "type": type}, loc=self.loc)
            self.scopes[0].ops.append(op)  # a literal costs nothing, so it may stand before every loop and branch
            self.numbers[key] = op.result
            if type == INDEX:
                self.integers[op.result] = int(value.array)
        return self.numbers[key]

    def constant_element(self, value: Dense, index: Sequence[Index]) -> Value:
        """Element of a constant array."""
        if value.is_splat or all(isinstance(i, int) for i in index):
            number = value.array[()] if value.is_splat else value.array[tuple(index)]  # type: ignore[arg-type, index]
            return self.constant(Dense(number, TensorType(value.type.dtype)), dtype=value.type.dtype)
        memory = self.apply(lookup("global", "loop"), value=value, type=MemType(value.type.dtype, value.type.shape))  # type: ignore[arg-type]
        self.read_only.add(memory)
        return self.load(memory, *map(self.as_index, index))

    def table(self, value: Dense, index: Value) -> Value:
        """The element of a constant list at an index (for each lane) that must be inside it."""
        memory = self.apply(lookup("global", "loop"), value=value, type=MemType(value.type.dtype, value.type.shape))  # type: ignore[arg-type]
        self.read_only.add(memory)
        assert isinstance(index.type, VectorType)
        if index.type.lanes == 1:
            return self.load(memory, self.convert(index, dtype="index"))
        return self.gather(memory, index)

    def convert(self, x: Index, *, dtype: str, checked: bool = True) -> Value:
        """x as another dtype; x may be an index that is a Python int."""
        if isinstance(x, int):
            return self.constant(x, dtype=dtype)
        return self.apply(lookup("convert", "loop"), x, dtype=DType(dtype), checked=checked)

    def any(self, mask: Value) -> Value:
        """Whether the condition holds in some lane."""
        return self.any_lane(mask)

    def alloc(self, dtype: str, shape: Sequence[int]) -> Memory:
        """Scratch memory of the kernel, or of the parallel loop that is being written, as a writer and reader."""
        at = max(i for i, scope in enumerate(self.scopes) if scope.has_memory)
        op = make_op(lookup("alloc", "loop"), (), {"type": MemType(DType(dtype), tuple(shape))}, names=["scratch"], loc=self.loc)
        self.scopes[at].ops.append(op)
        self.depth_of[op.result] = at
        return Memory(self, op.result)

    # indices: Python ints, or values of type index

    def as_index(self, i: Index) -> Value:
        return i if isinstance(i, Value) else self.constant(int(i), dtype="index")

    def index_add(self, i: Index, j: Index) -> Index:
        if isinstance(i, int) and isinstance(j, int):
            return i + j
        if isinstance(i, int):
            i, j = j, i
        return i if isinstance(j, int) and j == 0 else self.add(self.as_index(i), self.as_index(j))

    def index_sub(self, i: Index, j: Index) -> Index:
        if isinstance(i, int) and isinstance(j, int):
            return i - j
        return self.index_add(i, -j) if isinstance(j, int) else self.sub(self.as_index(i), self.as_index(j))

    def index_mul(self, i: Index, j: Index) -> Index:
        if isinstance(i, int) and isinstance(j, int):
            return i * j
        if isinstance(i, int):
            i, j = j, i
        if isinstance(j, int) and j in (0, 1):
            return 0 if j == 0 else i
        return self.mul(self.as_index(i), self.as_index(j))

    def index_div(self, i: Index, j: Index) -> Index:
        """The quotient of numbers that are not negative."""
        if isinstance(i, int) and isinstance(j, int):
            return i // j
        return i if isinstance(j, int) and j == 1 else self.div(self.as_index(i), self.as_index(j))

    def index_rem(self, i: Index, j: Index) -> Index:
        """The remainder of numbers that are not negative."""
        if isinstance(i, int) and isinstance(j, int):
            return i % j
        return 0 if isinstance(j, int) and j == 1 else self.rem(self.as_index(i), self.as_index(j))

    def ravel(self, index: Sequence[Index], shape: Sequence[int]) -> Index:
        """Position in row-major order."""
        flat: Index = 0
        for i, n in zip(index, shape, strict=True):
            flat = self.index_add(self.index_mul(flat, n), i)
        return flat

    def unravel(self, flat: Index, shape: Sequence[int]) -> list[Index]:
        """Index of the element at position `flat` in row-major order."""
        index: list[Index] = []
        for axis in reversed(range(len(shape))):
            if axis == 0:
                index.append(flat)
            else:
                index.append(self.index_rem(flat, shape[axis]))
                flat = self.index_div(flat, shape[axis])
        return index[::-1]

    def inside(self, i: Index, n: int) -> Value:
        """Whether 0 <= i < n."""
        i = self.as_index(i)
        return self.and_(self.ge(i, 0), self.lt(i, n))

    def read_or(self, x: Any, index: Sequence[Index], other: Any) -> Value:
        """The element of `x` at `index` if that is inside its shape, else `other`; nothing outside is touched."""
        if not isinstance(other, Value):
            other = self.constant(other, dtype=x.type.dtype)
        if any(n == 0 for n in x.type.shape):
            return other
        safe: list[Index] = []
        within: Value | None = None
        for i, n in zip(index, x.type.shape, strict=True):
            if isinstance(i, int):
                if not 0 <= i < n:
                    return other
                safe.append(i)
                continue
            safe.append(self.min(self.max(i, 0), n - 1))
            inside = self.inside(i, n)
            within = inside if within is None else self.and_(within, inside)
        element = x(safe)
        return element if within is None else self.select(within, element, other)


class Memory:
    """Memory as rules see it: called with an index it reads, `store` writes."""

    def __init__(self, e: Emitter, value: Value) -> None:
        self.e = e
        self.value = value
        self.type: TensorType = value.type.tensor  # type: ignore[union-attr]

    def __call__(self, index: Sequence[Index]) -> Value:
        return self.e.load(self.value, *map(self.e.as_index, index))

    load = __call__

    def store(self, index: Sequence[Index], value: Any) -> None:
        if not isinstance(value, Value):
            value = self.e.constant(value, dtype=self.type.dtype)
        self.e.store(self.value, value, *map(self.e.as_index, index))


def _exact(number: Any, dtype: DType) -> np.ndarray:
    """`number` as an element of `dtype`; integers wrap."""
    if dtype.is_integer and isinstance(number, int):
        bits = dtype.bits
        number &= (1 << bits) - 1
        if dtype.kind == "i" and number >> (bits - 1):
            number -= 1 << bits
    return np.asarray(number).astype(dtype.numpy) if not isinstance(number, int) else np.array(number, dtype.numpy)
