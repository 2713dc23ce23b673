"""Primitive: one op, one class, with every rule that the compiler may ask of it. `register` is the only door.

The rules, and who asks for them:

    infer(types, *, attrs)               result types; its signature declares the operands and attributes     builder, verifier
    legalize(b, xs, *, attrs)            the op in its legal form (broadcasts explicit), or None: it is legal  legalize
    decompose(b, xs, *, attrs)           a composite in simpler ops                                            legalize
    eval(arrays, *, attrs)               the meaning, in NumPy                                                 interpreter, fold
    jvp(b, primals, tangents, outs)      tangents of the results; `None` is the zero                           linearize
    transpose(b, cts, operands)          cotangents of the operands; a linear operand is a `Linear` (its type) transpose
    linear_in                            the sets of operands the op is linear in                              linearity verifier
    batch(b, xs, *, batched, attrs)      the op with a new leading axis on the batched operands                vmap
    element(e, index, readers, *, attrs) one element of the result                                             lower
    lower(e, reads, writes, *, attrs)    a loop nest, for what has no element of its own                       lower
    update(e, memory, reads, *, attrs)   loops that make the result of the first operand, which is in the memory   lower
    fold(b, xs, *, attrs)                a simpler value, or None                                              simplify
    planes(b, xs, *, attrs)              the op on real and imaginary parts, where a complex number takes part  planes
    cost, samples                        what it costs; what the laws try

Operands are positional and attributes keyword-only, in every rule.
"""

from __future__ import annotations

import inspect
import math
import re
import types as pytypes
import typing
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, ClassVar

from rlxc.errors import AttrError, Error, InternalError, MissingRule, RuleError, UnknownName, VerifyError
from rlxc.ir.attributes import Dense, Resource, Symbol
from rlxc.ir.lazy import cached_property
from rlxc.ir.locks import lock
from rlxc.ir.types import ORDERED, Dim, DType, Type

ENTRY_POINT_GROUP = "rlxc.primitives"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one element of the result costs: arithmetic, and whether a backward pass may compute it again."""

    flops: float = 1.0
    recompute: bool = True


@dataclass(frozen=True, slots=True)
class Linear:
    """Stands for a linear operand in a transpose rule: there is a type, and no value."""

    type: Any


class Sample:
    """One case for the laws: operand types or arrays, attributes, and the interval that random operands are drawn from."""

    def __init__(self, *operands: Any, domain: tuple[float, float] | None = None, **attrs: Any) -> None:
        self.operands = operands
        self.domain = domain
        self.attrs = attrs

    def __repr__(self) -> str:
        return f"Sample({', '.join(map(repr, self.operands))}, {self.attrs})"


class Program:
    """One case for the laws of an op that holds or calls functions: a function in which it stands, as text (the last of several), and as in `Sample`."""

    def __init__(self, text: str, *, domain: tuple[float, float] | None = None) -> None:
        self.text = text
        self.domain = domain

    def __repr__(self) -> str:
        return f"Program({self.text!r})"


@dataclass(frozen=True)
class Signature:
    """What a primitive takes: operand names (the last ones may be optional, or one name for any number) and attributes."""

    operands: tuple[str, ...]
    required: int
    variadic: bool
    attrs: dict[str, Any]  # name -> annotation
    defaults: dict[str, Any]

    def __str__(self) -> str:
        names = [f"%{n}" for n in self.operands[: self.required]]
        names += [f"[%{n}]" for n in self.operands[self.required :]]
        return ", ".join(names) + ("..." if self.variadic else "")

    @cached_property
    def lists_of_ints(self) -> frozenset[str]:
        """Attributes that are lists of any length in which ints may stand."""
        parts = {key: _parameters(annotation) for key, annotation in self.attrs.items() if _origin(annotation) is tuple}
        return frozenset(key for key, inner in parts.items() if len(inner) == 2 and inner[1] is Ellipsis and _takes_ints(inner[0]))

    def check_count(self, name: str, n: int) -> None:
        low, high = self.required, None if self.variadic else len(self.operands)
        if n < low or (high is not None and n > high):
            takes = f"{low}" if low == high else f"at least {low}" if high is None else f"{low} to {high}"
            raise VerifyError(
                f"{name} takes {takes} operand{'s' * (takes != '1')}, not {n}", code="RLX0211", help=f"its operands are {self}" if self.operands else None
            )

    def complete(self, name: str, attrs: dict[str, Any]) -> dict[str, Any]:
        """`attrs` checked against the declaration, in its order, with defaults filled in."""
        if not self.attrs and not attrs:
            return attrs
        for key in attrs:
            if key not in self.attrs:
                near = get_close_matches(key, self.attrs, 1)
                raise AttrError(
                    f"{name} has no attribute '{key}'",
                    code="RLX0207",
                    help=f"did you mean '{near[0]}'?" if near else f"its attributes are {', '.join(self.attrs) or 'none'}",
                )
        whole = {}
        for key, annotation in self.attrs.items():
            if key in attrs:
                value = attrs[key]
                fits = type(value) is annotation and annotation is not int  # an int may be out of range
                whole[key] = value if fits or (key in self.lists_of_ints and _are_ints(value)) else coerce(annotation, value, f"{name}: attribute '{key}'")
            elif key in self.defaults:
                whole[key] = self.defaults[key]
            else:
                raise AttrError(f"{name} needs the attribute '{key}'", code="RLX0208")
        return whole


def coerce(annotation: Any, value: Any, what: str) -> Any:
    """`value` as the annotated kind of attribute, or an AttrError; ints pass for floats, lists for tuples."""
    if annotation is int and type(value) is int and -(2**63) <= value < 2**64:
        return value
    if annotation is Any or annotation is inspect.Parameter.empty:
        return tuple(value) if isinstance(value, list) else value
    origin = _origin(annotation)
    if origin in (typing.Union, pytypes.UnionType):
        for choice in _parameters(annotation):
            try:
                return coerce(choice, value, what)
            except AttrError:
                continue
    elif annotation is None or annotation is type(None):
        if value is None:
            return None
    elif origin is typing.Literal:
        if value in _parameters(annotation) and isinstance(value, str) and not isinstance(value, DType | Dim | Symbol):
            return value
        if isinstance(value, str):
            choices = _parameters(annotation)
            near = get_close_matches(value, choices, 1)
            raise AttrError(f"{what} is one of {', '.join(map(repr, choices))}, not {value!r}", help=f"did you mean '{near[0]}'?" if near else None)
    elif origin is tuple:
        if isinstance(value, tuple | list):
            inner = _parameters(annotation)
            if len(inner) == 2 and inner[1] is Ellipsis:
                if _takes_ints(inner[0]) and all([type(v) is int and -(2**63) <= v < 2**64 for v in value]):
                    return tuple(value)
                return tuple([coerce(inner[0], v, what) for v in value])
            if len(inner) == len(value):
                return tuple(coerce(t, v, what) for t, v in zip(inner, value, strict=True))
    elif annotation is bool:
        if isinstance(value, bool):
            return value
    elif annotation is int:
        if hasattr(value, "__index__") and not isinstance(value, bool):
            if not -(2**63) <= value.__index__() < 2**64:
                raise AttrError(f"{what} is out of range: {value.__index__()}")
            return value.__index__()
    elif annotation is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                raise AttrError(f"{what} is out of range") from None
    elif annotation is str:
        if isinstance(value, str) and not isinstance(value, DType | Dim | Symbol):
            return value
    elif annotation is DType:
        if isinstance(value, DType):
            return value
        if isinstance(value, str) and not isinstance(value, Dim | Symbol):
            return DType(value)
    elif isinstance(annotation, type) and isinstance(value, annotation):
        return value
    raise AttrError(f"{what} is {_kind_text(annotation)}, not {_value_text(value)}")


def _are_ints(value: Any) -> bool:
    """Whether a value is a tuple of ints as they are stored."""
    return type(value) is tuple and all([type(v) is int and -(2**63) <= v < 2**64 for v in value])


_origin = lru_cache(typing.get_origin)
_parameters = lru_cache(typing.get_args)


@lru_cache
def _takes_ints(annotation: Any) -> bool:
    return annotation is int or int in _parameters(annotation)


def _kind_text(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, pytypes.UnionType):
        return " or ".join(_kind_text(a) for a in typing.get_args(annotation) if a is not type(None))
    if origin is tuple:
        return f"a list of {_kind_text(typing.get_args(annotation)[0])}"
    names = {
        int: "an integer",
        float: "a number",
        bool: "true or false",
        str: "a string",
        DType: "a dtype",
        Dim: "a dimension",
        Symbol: "a function",
        Dense: "a constant",
        Resource: "a resource",
    }
    return names.get(annotation, str(annotation))


def _value_text(value: Any) -> str:
    text = str(value) if not isinstance(value, str) or isinstance(value, DType | Dim) else repr(str(value))
    return text if len(text) < 40 else text[:40] + "..."


class Primitive:
    """Base of every op. A subclass states a name and its rules; what it leaves out is a clear MissingRule."""

    name: ClassVar[str]
    level: ClassVar[str] = "tensor"
    operands: ClassVar[tuple[str, ...]] = ()  # names, if `infer` is given by a family
    linear_in: ClassVar[Sequence[Any]] = ()  # sets of operand positions
    inline_attr: ClassVar[str | None] = None  # an attribute written right after the name: `constant dense<...>`, `call @f`
    typed: ClassVar[bool] = False  # the result types are the attribute `type`, written after the colon
    syntax: ClassVar[str] = "plain"  # or "for": how the op is written
    dtypes: ClassVar[Sequence[str]] = ORDERED  # element types of its first operand
    cost: ClassVar[Cost] = Cost()
    samples: ClassVar[Sequence[Any]] = ()
    domain: ClassVar[tuple[float, float]] = (-2.0, 2.0)

    # traits, which passes ask for instead of names
    elementwise: ClassVar[bool] = False  # result element i depends on operand elements i alone
    commutative: ClassVar[bool] = False
    composite: ClassVar[bool] = False  # `decompose` says what it is made of
    has_effect: ClassVar[bool] = False  # must not be removed or merged
    view: ClassVar[bool] = False  # the result has the operand's elements in the operand's order
    index_map: ClassVar[bool] = False  # an element is, without loops, an operand's element at another index
    kernel: ClassVar[bool] = False  # its region is one kernel
    by_blocks: ClassVar[bool] = False  # its region is a function, computed block by block
    reduction: ClassVar[bool] = False  # elements along `axes` are combined by the associative loop-level op `combine`, from `neutral(dtype)`
    stores_once: ClassVar[bool] = False  # its `lower` stores each element of its one result exactly once, and reads none of them
    stacks: ClassVar[bool] = False  # its region takes elements of arrays, and what it gives is stacked: a scan
    control: ClassVar[bool] = False  # its regions are functions, which take nothing from outside: passes work on them as on functions
    wraps: ClassVar[bool] = False  # it has a word on derivatives, and otherwise stands for what `unwrap` emits
    contraction: ClassVar[bool] = False  # sums of products, which are dear to compute again
    differentiable: ClassVar[bool] = True  # False: the tangent is zero, and no rule is asked

    signature: Signature

    def __reduce__(self) -> tuple[Callable, tuple[str, str]]:
        """Copies and pickles of a program refer to the registered op by its name: ops are compared by identity."""
        return lookup, (self.name, self.level)

    def infer(self, *types: Any, **attrs: Any) -> Any:
        raise self.missing("infer")

    def legalize(self, b: Any, *xs: Any, **attrs: Any) -> Any:
        return None

    def decompose(self, b: Any, *xs: Any, **attrs: Any) -> Any:
        raise self.missing("decompose")

    def eval(self, *arrays: Any, **attrs: Any) -> Any:
        raise self.missing("eval")

    def jvp(self, b: Any, primals: Any, tangents: Any, outs: Any, **attrs: Any) -> Any:
        raise self.missing("jvp")

    def transpose(self, b: Any, cts: Any, operands: Any, **attrs: Any) -> Any:
        raise self.missing("transpose")

    def batch(self, b: Any, *xs: Any, batched: Any, **attrs: Any) -> Any:
        raise self.missing("batch")

    def batch_sum(self, b: Any, *xs: Any, batched: Any, **attrs: Any) -> Any:
        """What `batch` gives, summed over the leading axis, without storing all of that."""
        raise self.missing("batch_sum")

    def element(self, e: Any, index: Any, *readers: Any, **attrs: Any) -> Any:
        raise self.missing("element")

    def lower(self, e: Any, reads: Any, writes: Any, **attrs: Any) -> Any:
        raise self.missing("lower")

    def prepare(self, e: Any, reads: Any, out: Any, fixed: Any, **attrs: Any) -> dict[int, Any]:
        """Work done ahead of `lower` where operands at the positions `fixed` stay while others change: what `lower` is given in their place."""
        return {}

    def update(self, e: Any, memory: Any, reads: Any, **attrs: Any) -> Any:
        raise self.missing("update")

    def fold(self, b: Any, *xs: Any, **attrs: Any) -> Any:
        return None

    def consistent(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Operands for the laws, where some say what is known of others (a matrix, and its factors): those made to fit."""
        return arrays

    def planes(self, b: Any, *xs: Any, **attrs: Any) -> Any:
        """The op on planes: a complex operand comes as `Planes(re, im)`, and a complex result is given as such."""
        raise self.missing("planes")

    # rules of control flow: as those above, with the regions at hand

    def prune_regions(self, op: Any, wanted: Any) -> Any:
        """The op without the results that are not `wanted`, and without what only they need."""
        return op

    def legalize_regions(self, b: Any, operands: Any, regions: Any, **attrs: Any) -> Any:
        return None

    def fold_regions(self, b: Any, operands: Any, regions: Any, **attrs: Any) -> Any:
        return None

    def lower_regions(self, e: Any, bodies: Any, reads: Any, writes: Any, **attrs: Any) -> None:
        """A loop nest, or branches, in which `bodies[i].run(ins, outs)` computes region i from memory to memory.

        Where `bodies[i].is_scalar`, `bodies[i].scalars(readers)` gives the elements of its results instead.
        """
        raise self.missing("lower_regions")

    def lower_scalars(self, e: Any, bodies: Any, reads: Any, **attrs: Any) -> Any:
        """The elements of the results, scalars or small arrays, as values at the loop level; all bodies are scalar."""
        raise self.missing("lower_scalars")

    def donations(self, result: int, operand: int, **attrs: Any) -> Any:
        """What a result asks of the regions if it is to have the operand's memory: (region, result, argument) for each, None for all regions."""
        return None

    def times(self, **attrs: Any) -> int:
        """How often each region runs, as far as that is known."""
        return 1

    def active_regions(self, op: Any, flags: Any, active: Any) -> list[bool]:
        """Which results may have tangents, if the operands with a flag have; `active(region, flags)` says it of a region."""
        raise self.missing("active_regions")

    def linearize_regions(self, d: Any, op: Any, tangents: Any) -> Any:
        """Emit the op with all that its linear part needs of it, and the linear part; tangents of the results. `d` is a Linearizer."""
        raise self.missing("linearize_regions")

    def transpose_regions(self, b: Any, op: Any, cts: Any, transpose_ops: Any) -> Any:
        """Cotangents of the operands, as `transpose`; `transpose_ops(b, ops, inputs, outputs, cotangents, note)` does it for the ops of a region."""
        raise self.missing("transpose_regions")

    def separate_regions(self, b: Any, op: Any, plan: Any) -> Any:
        """An op that gives linear and other results, as two; the results. None: it cannot be taken apart."""
        return None

    def linear_states(self, op: Any, states: Any, follow: Any) -> Any:
        """States of the results from those of the operands, and what is wrong, or None; `follow(region, states)` says it of a region."""
        raise self.missing("linear_states")

    def batch_regions(self, b: Any, op: Any, operands: Any, batched: Any, bodies: Any) -> Any:
        """The op on many examples: its results, and which of them have the new leading axis."""
        raise self.missing("batch_regions")

    def require_forward(self, op: Any) -> None:
        """Raise where a linear op has a transpose, and cannot be computed itself."""
        for region in op.regions:
            for inner in region.walk():
                inner.prim.require_forward(inner)

    def unwrap(self, b: Any, op: Any, operands: Any) -> Any:
        """Emit what the op computes, without the op; its results."""
        raise self.missing("unwrap")

    def add_to(self, b: Any, total: Any, *xs: Any, zeros: Sequence[bool], carried: bool, **attrs: Any) -> Any:
        """`total` plus the op's result, without computing that as a whole, or None; `zeros` tells operands that are zero.

        Where the total is `carried` by a loop, what changes few of its elements is better than what makes it anew.
        """
        return None

    def join(self, b: Any, type: Any, parts: Sequence[tuple[Any, Any]]) -> Any:
        """The sum of results of this op that are zero but in parts of their own, or None; of each, the first operand and the attributes."""
        raise self.missing("join")

    def argument_flags(self, op: Any, flags: Any, outcome: Any) -> list[list[bool]]:
        """For each region, which arguments a property of operands reaches, if `outcome(region, flags)` says which results it reaches."""
        raise self.missing("argument_flags")

    def linear_groups(self, types: Sequence[Any], **attrs: Any) -> tuple[frozenset[int], ...]:
        """The sets of operand positions in which the op is linear, jointly within a set."""
        return self._linear_groups

    @cached_property
    def _linear_groups(self) -> tuple[frozenset[int], ...]:
        return tuple(frozenset((g,)) if isinstance(g, int) else frozenset(g) for g in self.linear_in)

    def reuses(self, operand: int) -> bool:
        """Whether an element of this operand is read more than once, so that an expensive producer must not be drawn in."""
        return not self.elementwise

    def read_order(self, operand: int, types: Any, **attrs: Any) -> tuple[int, ...] | None:
        """The order of an operand's axes in which it is read faster, if that pays for a transposition that serves many times; `with_order` reads it then."""
        return None

    def with_order(self, operand: int, order: tuple[int, ...], **attrs: Any) -> dict[str, Any]:
        """The attributes with which the op takes an operand whose axes are in another order."""
        raise self.missing("with_order")

    def packs(self, operand: int) -> bool:
        """Whether an operand that is no plain memory is copied once before it is read often, so that a cheap producer can be drawn in."""
        return False

    def flops(self, operands: Sequence[Any], results: Sequence[Any], **attrs: Any) -> float:
        """Arithmetic of the whole op on operands of these types: `cost.flops` for each element of the largest array."""
        if self.view or self.index_map or not operands:
            return 0.0
        return self.cost.flops * max(t.size for t in (*operands, *results))

    @property
    def has_loops(self) -> bool:
        """Whether the op needs loops of its own: what is neither elementwise nor another op's element at some index."""
        return not (self.elementwise or self.index_map or self.view or self.inline_attr)

    @property
    def takes_epilogue(self) -> bool:
        """Whether elementwise ops can be computed on each element of the result as it is stored."""
        return self.has_loops and (self.stores_once if self.has_rule("lower") else self.has_rule("element"))

    # rules for fusion by blocks of rows

    def trace_axes(self, operands: Sequence[Any], result: Any, ranks: Sequence[int], **attrs: Any) -> tuple[list[tuple], tuple] | None:
        """What is known of axes, carried through the op: a label for each axis of each operand, and of the result; -1 says nothing.

        `operands` and `result` are such tuples, or None where nothing is known yet. None: the op does not go axis by axis.
        """
        return None

    def resized(self, result: Any, **attrs: Any) -> dict[str, Any]:
        """The attributes with which the op gives a result of another shape, its operands being resized likewise."""
        return attrs

    # rules for fusion, of ops that can share a loop nest

    def along_rows(self, result: Any, **attrs: Any) -> int | None:
        """The number of leading axes k, if the result repeats an operand of rank k along all further axes."""
        return None

    def axis_breaks(self, rank: int, types: Sequence[Any], **attrs: Any) -> Sequence[int]:
        """Axes that cannot be merged with the one before them, in a loop nest of `rank` axes."""
        return range(1, rank)

    def merged_operands(self, runs: Sequence[tuple[int, ...]], space: Sequence[int], types: Sequence[Any], **attrs: Any) -> list[tuple[int, ...]]:
        """Shapes of the operands once the axes of a space of this shape are merged in `runs`."""
        return [merge_shape(t.shape, runs) for t in types]

    def merge(self, b: Any, *xs: Any, runs: Sequence[tuple[int, ...]], space: Sequence[int], result: Any, **attrs: Any) -> Any:
        """The op on merged operands."""
        return b.apply(self, *xs, **attrs)

    def has_rule(self, rule: str) -> bool:
        return getattr(type(self), rule) is not getattr(Primitive, rule)

    def missing(self, rule: str) -> MissingRule:
        return MissingRule(f"{self.name} has no {rule} rule", help=f"define `{rule}` on its class")

    def infer_types(self, types: Sequence[Type], attrs: dict[str, Any]) -> tuple[Type, ...]:
        """Result types, as a tuple; an `infer` that fails in an unforeseen way is a defect of that rule."""
        result = self.ask("infer", *types, **attrs)
        found = result if isinstance(result, tuple) else (result,)
        if None in found:
            raise RuleError(f"{self.name}: its infer rule gave {result}, not the type of a result, or a tuple of them")
        return found

    def ask(self, rule: str, *args: Any, **attrs: Any) -> Any:
        """What a rule gives; if it fails in an unforeseen way, that is said of the rule."""
        try:
            return getattr(self, rule)(*args, **attrs)
        except (Error, MemoryError, RecursionError):
            raise
        except Exception as error:
            kind = InternalError if type(self).__module__.startswith("rlxc.") else RuleError
            raise kind(f"{self.name}: its {rule} rule failed: {type(error).__name__}: {error}") from error

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def merge_shape(shape: Sequence[int], runs: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """A shape that has the first axes of a space, with axes merged in `runs`."""
    return tuple(math.prod(shape[a] for a in run) for run in runs if run[-1] < len(shape))


class Registry:
    """Primitives by level and name; packages that add some are loaded when a name is not found."""

    def __init__(self) -> None:
        self.levels: dict[str, dict[str, Primitive]] = {"tensor": {}, "loop": {}}
        self._loading = lock()
        self._asked_entry_points = self._loaded_entry_points = False
        self.broken: list[str] = []  # packages that announce primitives and could not be loaded, and why

    def add(self, prim: Primitive) -> None:
        self.levels[prim.level][prim.name] = prim

    def get(self, name: str, level: str = "tensor") -> Primitive | None:
        prim = self.levels[level].get(name)
        if prim is None and not self._loaded_entry_points:
            self.load_entry_points()
            prim = self.levels[level].get(name)
        return prim

    def lookup(self, name: str, level: str = "tensor") -> Primitive:
        prim = self.get(name, level)
        if prim is None:
            near = get_close_matches(name, self.levels[level], 1)
            helps = [f"did you mean '{near[0]}'?"] if near else []
            raise UnknownName(f"there is no op '{name}'", code="RLX0102", help="; ".join([*helps, *self.broken]) or None)
        return prim

    def load_entry_points(self) -> None:
        """Import the packages that announce primitives. One that fails is told of, and keeps nobody from using the others."""
        from importlib.metadata import entry_points

        with self._loading:
            if self._asked_entry_points:  # by another thread, or by a package that is being imported
                return
            self._asked_entry_points = True
            for point in entry_points(group=ENTRY_POINT_GROUP):
                try:
                    point.load()
                except Exception as error:
                    package = point.dist.name if point.dist else point.module
                    self.broken.append(f"the package {package} has ops, but {point.value} fails: {type(error).__name__}: {error}")
                    warnings.warn(self.broken[-1], RuntimeWarning, stacklevel=2)
            self._loaded_entry_points = True

    def all(self, level: str = "tensor") -> list[Primitive]:
        return [self.levels[level][name] for name in sorted(self.levels[level])]


REGISTRY = Registry()
P = typing.TypeVar("P", bound=Primitive)
_NAME = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


def register(cls: type[P]) -> type[P]:
    """Make a primitive class known under its `name`. The class is returned unchanged.

    A class that is registered again, as when a notebook cell runs twice, replaces the one before; rlxc's own ops cannot be replaced,
    since rules of other ops emit them.
    """
    prim = cls()
    name = getattr(prim, "name", None)
    if not isinstance(name, str):
        raise RuleError(f'{cls.__name__} has no name: write `name = "..."` in the class')
    if not _NAME.fullmatch(name):
        raise RuleError(f"{cls.__name__}: {name!r} is not a name: letters, digits, _ and . with a letter first")
    other = REGISTRY.levels[prim.level].get(name)
    if other is not None and type(other).__module__.startswith("rlxc.") and type(other).__module__ != cls.__module__:
        raise RuleError(f"{cls.__name__}: there is an op '{name}' already, rlxc's own")
    prim.signature = read_signature(prim)
    REGISTRY.add(prim)
    return cls


def lookup(name: str, level: str = "tensor") -> Primitive:
    """The primitive called `name`; raises UnknownName with the nearest name as help."""
    return REGISTRY.lookup(name, level)


def read_signature(prim: Primitive) -> Signature:
    """Operands and attributes as `infer` (or, where a family gives infer, the family's rule) declares them."""
    rule: Callable = prim.signature_rule() if hasattr(prim, "signature_rule") else prim.infer
    hints = typing.get_type_hints(rule)
    names, required, variadic, attrs, defaults = [], 0, False, {}, {}
    for parameter in inspect.signature(rule).parameters.values():
        match parameter.kind:
            case parameter.POSITIONAL_ONLY | parameter.POSITIONAL_OR_KEYWORD:
                names.append(parameter.name)
                required += parameter.default is parameter.empty
            case parameter.VAR_POSITIONAL:
                names.append(parameter.name)
                variadic = True
            case parameter.KEYWORD_ONLY:
                attrs[parameter.name] = hints.get(parameter.name, Any)
                if parameter.default is not parameter.empty:
                    defaults[parameter.name] = parameter.default
    return Signature(tuple(names), required, variadic, attrs, defaults)
