"""The IR on one screen: Value, Op, Func, Module. All of them are frozen; a pass makes new ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from rlxc.errors import UNKNOWN, Loc, UnknownName
from rlxc.ir.attributes import attrs_key
from rlxc.ir.names import OwnNames
from rlxc.ir.types import Type

if TYPE_CHECKING:
    from rlxc.ir.primitive import Primitive


class Value:
    """One SSA value: an argument, or a result of an op. Two values are the same only if they are one object.

    `name` is a wish; the printer makes names unique. `linear` marks a value of a linear function that depends
    on its tangents. `param` marks an argument as a model parameter.
    """

    __slots__ = ("linear", "loc", "name", "param", "type")

    def __init__(self, type: Type, name: str | None = None, *, linear: bool = False, param: bool = False, loc: Loc = UNKNOWN) -> None:
        self.type: Any = type  # a Type; which one, the level of the function tells
        self.name = name
        self.linear = linear
        self.param = param
        self.loc = loc

    def like(self, **changes: Any) -> Value:
        """A new value that differs in `changes` only."""
        fields = {"type": self.type, "name": self.name, "linear": self.linear, "param": self.param, "loc": self.loc} | changes
        return Value(**fields)

    @property
    def signature(self) -> str:
        """The type with its marks, as written after the colon."""
        return f"lin {self.type}" if self.linear else str(self.type)

    def __repr__(self) -> str:
        return f"%{self.name or '?'}: {self.signature}"


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Op:
    """A primitive applied to values. `regions` are functions inside the op (the body of a loop), which may use outer values."""

    prim: Primitive
    operands: tuple[Value, ...]
    attrs: Mapping[str, Any]
    results: tuple[Value, ...]
    regions: tuple[Func, ...] = ()
    loc: Loc = UNKNOWN

    def __init__(
        self,
        prim: Primitive,
        operands: tuple[Value, ...],
        attrs: Mapping[str, Any],
        results: tuple[Value, ...],
        regions: tuple[Func, ...] = (),
        loc: Loc = UNKNOWN,
    ) -> None:
        # what a frozen dataclass does, in a third of the time: a compilation makes ten thousands of ops
        _set_prim(self, prim)
        _set_operands(self, operands)
        _set_attrs(self, attrs)
        _set_results(self, results)
        _set_regions(self, regions)
        _set_loc(self, loc)

    @property
    def result(self) -> Value:
        (result,) = self.results
        return result

    def with_operands(self, operands: tuple[Value, ...]) -> Op:
        return Op(self.prim, operands, self.attrs, self.results, self.regions, self.loc)


_set_prim, _set_operands, _set_attrs, _set_results, _set_regions, _set_loc = (vars(Op)[f.name].__set__ for f in fields(Op))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Func:
    """Arguments, a straight list of ops in order of computation, and results.

    `kind` is "func" (tensor level), "kernel" (loop level) or "region". `module` is where calls are looked up;
    it is not part of what the function is.
    """

    name: str
    args: tuple[Value, ...]
    ops: tuple[Op, ...]
    results: tuple[Value, ...]
    kind: str = "func"
    loc: Loc = UNKNOWN
    module: Module | None = field(default=None, repr=False)

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the model parameters, in order."""
        return tuple(name for a, name in zip(self.args, self.arg_names, strict=True) if a.param)

    @property
    def is_linear(self) -> bool:
        return any(a.linear for a in self.args)

    @property
    def arg_names(self) -> tuple[str, ...]:
        """What each argument is called by: its name, or the number that the text gives it."""
        names: list[str] = []
        taken = {a.name for a in self.args}
        unnamed = 0
        for a in self.args:
            name = a.name
            if name is None:
                name = str(unnamed)
                unnamed += 1
                while name in taken:  # an argument may be called %"0"
                    name += "_"
            names.append(name)
        return tuple(names)

    @property
    def result_names(self) -> tuple[str, ...]:
        """A name of its own for every result: the value's, or out0, out1, ..."""
        names = OwnNames()
        return tuple(names.give(v.name or f"out{i}") for i, v in enumerate(self.results))

    def arg(self, name: str) -> Value:
        """The argument called `name` (with or without `%`)."""
        name = name.removeprefix("%")
        names = self.arg_names
        if name in names:
            return self.args[names.index(name)]
        known = ", ".join(f"%{n}" for n in names)
        raise UnknownName(f"@{self.name} has no argument %{name}", code="RLX0104", loc=self.loc, help=f"its arguments are {known}" if known else None)

    def with_(self, **changes: Any) -> Func:
        return replace(self, **changes)

    def as_module(self) -> Module:
        """The module this function came from, or one of its own."""
        mine = (self.args, self.ops, self.results)
        if self.module is not None and any(f.name == self.name and (f.args, f.ops, f.results) == mine for f in self.module.funcs):
            return self.module
        others = tuple(f for f in self.module.funcs if f.name != self.name) if self.module else ()
        return Module((*others, self))

    def walk(self) -> Iterator[Op]:
        """Every op, also those in regions, outer before inner."""
        stack: list[Iterator[Op]] = [iter(self.ops)]
        while stack:
            for op in stack[-1]:
                yield op
                if op.regions:
                    stack += [iter(region.ops) for region in reversed(op.regions)]
                    break
            else:
                stack.pop()

    def __repr__(self) -> str:
        args = ", ".join(f"%{n}: {a.signature}" for n, a in zip(self.arg_names, self.args, strict=True))
        return f"<{self.kind} @{self.name}({args}), {len(self.ops)} ops>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Func) and same_func(self, other)

    def __hash__(self) -> int:
        return hash((self.name, self.kind, len(self.args), len(self.ops)))

    def __str__(self) -> str:
        from rlxc.ir.printer import print_func

        return print_func(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Module:
    """Functions with names of their own."""

    funcs: tuple[Func, ...]

    def __getitem__(self, name: str) -> Func:
        name = str(name).removeprefix("@")
        for f in self.funcs:
            if f.name == name:
                return f.with_(module=self)
        known = ", ".join(f"@{f.name}" for f in self.funcs)
        raise UnknownName(f"there is no function @{name}", code="RLX0103", help=f"there is {known}" if known else "the module is empty")

    def func(self, name: str) -> Func:
        return self[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(f.name == name.removeprefix("@") for f in self.funcs)

    def __iter__(self) -> Iterator[Func]:
        return (f.with_(module=self) for f in self.funcs)

    def __len__(self) -> int:
        return len(self.funcs)

    def __repr__(self) -> str:
        return f"<module of {', '.join(f'@{f.name}' for f in self.funcs) or 'nothing'}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Module) and len(self.funcs) == len(other.funcs) and all(map(same_func, self.funcs, other.funcs))

    def __hash__(self) -> int:
        return hash(self.funcs)

    def __str__(self) -> str:
        from rlxc.ir.printer import print_module

        return print_module(self)


def same_func(a: Func, b: Func) -> bool:
    """Whether two functions are the same program: all but the names of local values and the locations."""
    if (a.name, a.kind) != (b.name, b.kind):
        return False
    if a.kind == "func" and [(x.name, x.param) for x in a.args] != [(y.name, y.param) for y in b.args]:
        return False  # a kernel's arguments have places only
    return _same_region(a, b, {})


def _same_region(f: Func, g: Func, twin: dict[Value, Value]) -> bool:
    """Regions nest only as deep as loops do (the parser bounds it), so recursion is safe here."""
    if (len(f.args), len(f.ops), len(f.results)) != (len(g.args), len(g.ops), len(g.results)):
        return False
    for x, y in zip(f.args, g.args, strict=True):
        if (x.type, x.linear) != (y.type, y.linear):
            return False
        twin[x] = y
    for p, q in zip(f.ops, g.ops, strict=True):
        if not _same_op(p, q, twin):
            return False
    return all(twin.get(x) is y for x, y in zip(f.results, g.results, strict=True))


def _same_op(p: Op, q: Op, twin: dict[Value, Value]) -> bool:
    if p.prim is not q.prim or len(p.operands) != len(q.operands) or len(p.results) != len(q.results) or len(p.regions) != len(q.regions):
        return False
    if attrs_key(p.attrs) != attrs_key(q.attrs) or any(twin.get(x) is not y for x, y in zip(p.operands, q.operands, strict=True)):
        return False
    for r, s in zip(p.regions, q.regions, strict=True):
        if not _same_region(r, s, twin):
            return False
    for x, y in zip(p.results, q.results, strict=True):
        if (x.type, x.linear) != (y.type, y.linear):
            return False
        twin[x] = y
    return True
