"""Cases for the laws: a primitive's samples made concrete, in every dtype that it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rlxc.errors import Error, MissingExtra
from rlxc.frontend.parser import parse
from rlxc.ir.attributes import Dense
from rlxc.ir.builder import make_op
from rlxc.ir.core import Func, Module, Value
from rlxc.ir.lazy import cached_property
from rlxc.ir.primitive import Primitive, Program, Sample
from rlxc.ir.types import BOOL, COMPLEX, FLOATS, INTEGERS, DType, TensorType, dtype_of, parse_type
from rlxc.testing.numeric import tolerance, widest

Arrays = tuple[np.ndarray, ...]

ALIKE = ("f16", "bf16", "i8", "i16", "i64", "u8", "u16", "u32", "u64", "c64")  # what f32, i32 and c128 go through says much of these


@dataclass(frozen=True, eq=False)
class Case:
    """One primitive on operands of given types, or in a program; `fixed` holds the operands that the sample gives as arrays."""

    prim: Primitive
    types: tuple[TensorType, ...]
    attrs: dict[str, Any]
    fixed: tuple[np.ndarray | None, ...]
    domain: tuple[float, float]
    original: bool = True  # the dtype is the sample's own
    program: Module | None = None  # where the op stands, if it is not alone

    @cached_property
    def func(self) -> Func:
        """The function of one op, whose operands are the arguments; or the program's."""
        if self.program is not None:
            return self.program[self.program.funcs[-1].name]
        args = tuple(Value(t, f"x{i}") for i, t in enumerate(self.types))
        op = make_op(self.prim, args, self.attrs)
        return Func("f", args, (op,), op.results)

    @cached_property
    def results(self) -> tuple[TensorType, ...]:
        return tuple(v.type for v in self.func.results)  # type: ignore[misc]

    @cached_property
    def known(self) -> dict[Any, Any]:
        """Functions made of it, which several laws look at."""
        return {}

    @property
    def dtype(self) -> DType | None:
        """The float (or complex) dtype of the operands, or else that of the first."""
        for t in self.types:
            if t.dtype.differentiable:
                return t.dtype
        return self.types[0].dtype if self.types else None

    @property
    def narrowest(self) -> str:
        """The float dtype of the fewest bits among operands and results: what limits precision."""
        floats = [t.dtype for t in (*self.types, *self.results) if t.dtype.differentiable]
        return max(floats, key=tolerance, default=DType("f64"))

    @property
    def floats(self) -> tuple[int, ...]:
        """Positions of the operands that a derivative can be taken by."""
        return tuple(i for i, t in enumerate(self.types) if t.dtype.differentiable)

    @property
    def size(self) -> int:
        return sum(t.size for t in (*self.types, *self.results))

    def draw(self, rng: np.random.Generator) -> Arrays:
        """Random operands from the inside of the domain."""
        return tuple(f if f is not None else random_array(rng, t, self.domain) for f, t in zip(self.fixed, self.types, strict=True))

    def smooth(self, rng: np.random.Generator) -> Arrays:
        """Random operands for derivatives: float arrays of the sample are moved a little, off their ties, nans and ends of the domain."""
        out = []
        for f, t in zip(self.fixed, self.types, strict=True):
            drawn = random_array(rng, t, self.domain)
            if f is not None and t.dtype.differentiable:
                moved = widest(f) + random_array(rng, t.with_dtype("c128" if t.dtype.is_complex else "f64"), (-0.05, 0.05))
                low, high = self.domain
                margin = 0.01 * (high - low)
                inside = [(x >= low + margin) & (x <= high - margin) for x in (moved.real, moved.imag if t.dtype.is_complex else moved)]
                drawn = np.where(inside[0] & inside[1], moved, widest(drawn)).astype(f.dtype)
            out.append(drawn if f is None or t.dtype.differentiable else f)
        return self.prim.consistent(tuple(out))

    def special(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        """Operands with ties, and with nan, infinities and signed zeros."""
        if all(f is not None for f in self.fixed):
            return
        yield "ties", self._fill(rng, np.array([1.0, 0.0, 1.0]))
        if self.floats and (not self.dtype.is_complex or not self.prim.elementwise or self.prim.cost.flops == 0):  # type: ignore[union-attr]
            pool = np.array([np.nan, np.inf, -1.0, 0.0, -np.inf, -0.0, 1.0])
            yield "nan and inf", self._fill(rng, pool, in_turn=True)
            yield "nan and inf at random", self._fill(rng, pool)

    def _fill(self, rng: np.random.Generator, pool: np.ndarray, *, in_turn: bool = False) -> Arrays:
        out = []
        for f, t in zip(self.fixed, self.types, strict=True):
            shape: Any = t.shape
            if f is not None:
                out.append(f)
            elif t.dtype.differentiable:
                parts = (*shape, 2) if t.dtype.is_complex else shape
                values = np.resize(np.roll(pool, -len(out)), parts) if in_turn else np.asarray(rng.choice(pool, size=parts))
                values = values.astype(t.dtype.part.numpy)
                out.append(values.view(t.dtype.numpy)[..., 0] if t.dtype.is_complex else values)
            else:
                out.append(random_array(rng, t, self.domain))
        return tuple(out)

    def __str__(self) -> str:
        if self.program is not None:
            return f"{self.prim.name} in\n{self.func}"
        attrs = ", ".join(f"{k} = {v}" for k, v in self.attrs.items())
        return f"{self.prim.name} {', '.join(map(str, self.types))}" + (f" {{{attrs}}}" if attrs else "")


def random_array(rng: np.random.Generator, type: TensorType, domain: tuple[float, float]) -> np.ndarray:
    """An array of `type`; floats (and parts) lie inside `domain`, a little off its ends, integers on it as far as the dtype reaches."""
    low, high = domain
    shape: Any = type.shape
    if type.dtype.is_complex:
        parts = random_array(rng, type.with_dtype(type.dtype.part).with_shape((*shape, 2)), domain)
        return np.asarray(parts[..., 0] + 1j * parts[..., 1]).astype(type.dtype.numpy)
    if type.dtype.is_bool:
        return rng.integers(0, 2, shape).astype(bool)
    if type.dtype.is_float:
        margin = 0.01 * (high - low)
        return np.asarray(rng.uniform(low + margin, high - margin, shape)).astype(type.dtype.numpy)
    info = np.iinfo(type.dtype.numpy)
    low_int, high_int = max(int(np.ceil(low)), info.min), min(int(np.floor(high)), info.max)
    return rng.integers(low_int, max(high_int, low_int) + 1, shape).astype(type.dtype.numpy)


def cases_of(prim: Primitive, *, every_dtype: bool = True) -> list[Case]:
    """Every sample as it is written, then in the other dtypes that the primitive takes; raises Error for a sample that is wrong itself.

    Without `every_dtype` those that are much like another one (u16 is much like i32) are tried on one or two samples each, not on all.
    """
    cases: list[Case] = []
    left: dict[str, Case] = {}
    turns = dict.fromkeys(ALIKE, 0)
    for i, sample in enumerate(prim.samples):
        if isinstance(sample, Program):
            cases += _programs(prim, sample)
            continue
        case = _case(prim, sample)
        cases.append(case)
        for other in _in_other_dtypes(case):
            dtype = str(other.dtype)
            if every_dtype or dtype not in turns:
                cases.append(other)
            elif turns[dtype] < 2 and (i + ALIKE.index(dtype)) % 3 == 0:
                cases.append(other)
                turns[dtype] += 1
            else:
                left[dtype] = other
    return cases + [other for dtype, other in left.items() if not turns[dtype]]


def _case(prim: Primitive, sample: Any) -> Case:
    sample = sample if isinstance(sample, Sample) else Sample(sample)
    types: list[TensorType] = []
    fixed: list[np.ndarray | None] = []
    for operand in sample.operands:
        if isinstance(operand, str):
            for text in split_types(operand):
                types.append(parse_type(text))  # type: ignore[arg-type]
                fixed.append(None)
        elif isinstance(operand, TensorType):
            types.append(operand)
            fixed.append(None)
        else:
            array = np.asarray(operand, order="C")  # as compiled functions are given them
            types.append(TensorType(dtype_of(array.dtype), array.shape))
            fixed.append(array)
    case = Case(prim, tuple(types), dict(sample.attrs), tuple(fixed), tuple(sample.domain or prim.domain))  # type: ignore[arg-type]
    return replace(case, attrs=dict(case.func.ops[0].attrs))


def _programs(prim: Primitive, sample: Program) -> Iterator[Case]:
    """The program as it is written, in f64, and in other floats."""
    for dtype in ("f64", "f32", "c128"):
        if dtype not in prim.dtypes:
            continue
        try:
            program = parse(re.sub(r"\bf64\b", dtype, sample.text))
        except Error:
            if dtype == "f64":
                raise
            continue  # it does not make sense in that dtype
        types = tuple(a.type for a in program.funcs[-1].args)
        domain = sample.domain or prim.domain
        yield Case(prim, types, {}, (None,) * len(types), domain, original=dtype == "f64", program=program)  # type: ignore[arg-type]


def split_types(text: str) -> list[str]:
    """`"f64[2, 3], f64[]"` as `["f64[2, 3]", "f64[]"]`."""
    return [t.strip() for t in re.findall(r"[^\[\],]+(?:\[[^\]]*\])?", text)]


def _in_other_dtypes(case: Case) -> Iterator[Case]:
    """The case with its float dtype (or, without one, the first operand's) exchanged for the others that are allowed."""
    if not case.types:
        return
    mine = case.dtype
    for other in (*FLOATS, *INTEGERS, BOOL, *COMPLEX):
        if other == mine or other not in case.prim.dtypes or not _in_numpy(other):
            continue
        if other[0] != "c" and any(f is not None and f.dtype.kind == "c" for f in case.fixed):
            continue  # imaginary parts would be lost
        types = tuple(t.with_dtype(other) if t.dtype == mine else t for t in case.types)
        with np.errstate(all="ignore"):
            fixed = tuple(f.astype(other.numpy) if f is not None and t.dtype == mine else f for f, t in zip(case.fixed, case.types, strict=True))
        attrs = {k: _attr_in(v, mine, other) for k, v in case.attrs.items()}
        in_earnest = other == "c128" and case.original and case.size <= 12 and not any(f is not None and f.dtype.kind == "f" for f in case.fixed)
        variant = replace(case, types=types, fixed=fixed, attrs=attrs, original=in_earnest)
        try:
            _ = variant.func
        except Error:
            continue  # this sample does not make sense in that dtype
        yield variant


def in_f64(case: Case) -> Case | None:
    """A case of narrower floats with f64 in their place, or None if there are none (or the op does not take f64)."""
    narrow = {t.dtype for t in case.types if t.dtype.is_float} - {DType("f64")}
    if len(narrow) != 1 or "f64" not in case.prim.dtypes or any(t.dtype.is_complex for t in (*case.types, *case.results)):
        return None
    if case.program is not None:
        return None
    (mine,) = narrow
    types = tuple(t.with_dtype("f64") if t.dtype == mine else t for t in case.types)
    attrs = {k: _attr_in(v, mine, DType("f64")) for k, v in case.attrs.items()}
    wide = replace(case, types=types, attrs=attrs, fixed=(None,) * len(types))
    try:
        _ = wide.func
    except Error:
        return None
    return wide


def _in_numpy(dtype: DType) -> bool:
    """Whether there can be arrays of it: bf16 ones need an optional package."""
    try:
        return dtype.numpy is not None
    except MissingExtra:
        return False


def _attr_in(value: Any, mine: DType | None, other: DType) -> Any:
    if isinstance(value, TensorType) and value.dtype == mine:
        return value.with_dtype(other)
    if isinstance(value, Dense) and value.type.dtype == mine:
        return Dense(value.array.astype(other.numpy), value.type.with_dtype(other))
    return value


def strided(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The same values in other memory layouts."""
    if not array.ndim:
        return
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    spread = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    spread[...] = array
    yield "every second element", spread
    backwards = tuple(slice(None, None, -1) for _ in array.shape)
    yield "negative strides", np.ascontiguousarray(array[backwards])[backwards]
    yield "column-major", np.asfortranarray(array)


def subsets(positions: Sequence[int]) -> list[tuple[int, ...]]:
    """Every nonempty subset if there are at most three positions; else each alone, all but each, and all."""
    n = len(positions)
    if n <= 3:
        return [tuple(p for bit, p in enumerate(positions) if mask >> bit & 1) for mask in range(1, 2**n)]
    alone = [(p,) for p in positions]
    without = [tuple(p for p in positions if p != q) for q in positions]
    return [*alone, *without, tuple(positions)]
