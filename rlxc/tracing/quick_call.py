"""Calls of a jitted function with trees, numbers, static arguments or an owner, by a few lines of Python that are written for just these.

For f(params, 3) with params of the form {"w": *, "b": *} and a static 3, and an array and a number as results:

    def call(owner, args, kwargs):
        if owner is not None or kwargs or len(args) != 2:
            return NotImplemented
        v0, v1 = args
        if type(v0) is not dict or len(v0) != 2 ...
            return NotImplemented
        result = native(v0["b"], v0["w"])

`native` checks dtypes and shapes, in machine code. NotImplemented says that the call is another one: it is looked up by `Jit`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from rlxc.runtime.compiled import Compiled
from rlxc.runtime.python_call import Call, CallableType
from rlxc.tracing.pytree import Tree, kind_of_container
from rlxc.tracing.staging import Staged
from rlxc.tracing.static_values import distinction

Quick = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
MAX_LEAVES = 512
#: what numbers are made of that native code does not take as they are
NUMBERS: dict[type, Any] = {int: np.int64, bool: np.bool_, complex: np.complex128}
_PLAIN = (int, bool, str, bytes, float, type(None))


class Native:
    """Machine code that is called if the arguments fit; else NotImplemented is what it gives."""

    def __call__(self, *args: Any) -> Any:
        return NotImplemented


@cache
def _native_type() -> CallableType:
    return CallableType(Native)


def quick_call(leaves: Sequence[Any], tree: Tree, static: Sequence[Any], owner: Any, staged: Staged, compiled: Compiled) -> tuple[Quick, Call] | None:
    """The function, and what counts its calls; None where it would not pay. The leaves are those of a call that it is to be for."""
    if max(len(leaves), staged.tree.leaves) > MAX_LEAVES or not staged.tree.leaves:
        return None
    values = list(static if owner is None else static[1:])
    if not all(_is_quick(value) for _, _, value in values):
        return None
    writer = _Writer()
    writer.arguments(tree, values, owner)
    kinds = [type(x) for x in leaves]
    for place, kind in zip(writer.leaves, kinds, strict=True):
        if kind in NUMBERS:
            writer.guard(f"type({place}) is not {kind.__name__}")
    taken = [f"{writer.constant(NUMBERS[kind])}({p})" if kind in NUMBERS else p for p, kind in zip(writer.leaves, kinds, strict=True)]
    numbers = ["numpy" if kind in NUMBERS or not aval.weak else "python" for kind, aval in zip(kinds, staged.avals, strict=True)]
    call = Call(compiled.executable(), names=["\0"] * (len(leaves) + 1), numbers=numbers)
    native: Any = _native_type().type()
    _native_type().prepare(native)
    native._call = call
    return writer.function(f"{writer.constant(native)}({', '.join(taken)})", staged.tree), call


def _is_quick(value: Any) -> bool:
    """Whether a static argument is told from others by its type and its value, or by identity."""
    cls = type(value)
    if cls is tuple:
        return all(_is_quick(v) for v in value)
    return cls in _PLAIN or (cls.__hash__ is object.__hash__ and cls.__eq__ is object.__eq__)


class _Writer:
    """The text of the function, and the constants that it refers to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {"distinction": distinction}
        self.leaves: list[str] = []
        self._count = 0

    def constant(self, value: Any) -> str:
        """A name for a value; text and integers stand for themselves."""
        if type(value) in (str, int):
            return repr(value)
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def guard(self, condition: str) -> None:
        self.lines.append(f"if {condition}: return NotImplemented")

    def _names(self, count: int) -> list[str]:
        self._count += count
        return [f"v{i}" for i in range(self._count - count, self._count)]

    def _unpack(self, names: Sequence[str], source: str) -> None:
        if names:
            self.lines.append(f"{', '.join(names)}, = {source}")

    def arguments(self, tree: Tree, static: Sequence[Any], owner: Any) -> None:
        args, kwargs = tree.children
        by_place = {where: value for where, _, value in static}
        self.guard("owner is not None" if owner is None else f"owner is None or {self.constant(weakref.ref(owner))}() is not owner")
        named = [name for name in by_place if isinstance(name, str)]
        self.guard(f"len(args) != {len(args.children)} or len(kwargs) != {len(kwargs.children) + len(named)}")
        places = self._names(len(args.children))
        self._unpack(places, "args")
        for i, (place, child) in enumerate(zip(places, args.children, strict=True)):
            if i in by_place:
                self._static(place, by_place[i])
            else:
                self._take(place, child)
        for key, child in zip(kwargs.rest, kwargs.children, strict=True):
            self._take(f"kwargs[{key!r}]", child)
        for name in named:
            self._static(f"kwargs[{name!r}]", by_place[name])

    def _static(self, place: str, value: Any) -> None:
        known = self.constant(value)
        if type(value) in (tuple, float, complex):
            self.guard(f"{place} != {known} or distinction({place}) != {self.constant(distinction(value))}")
        elif type(value) in _PLAIN:
            self.guard(f"type({place}) is not {self.constant(type(value))} or {place} != {known}")
        else:
            self.guard(f"{place} is not {known}")

    def _take(self, place: str, tree: Tree) -> None:
        """What checks the form of a tree, and gives its leaves names."""
        kind: Any = tree.kind
        if kind is None:
            self.leaves.append(place)
            return
        if kind is type(None):
            self.guard(f"{place} is not None")
            return
        if not place.isidentifier():
            (name,) = self._names(1)
            self.lines.append(f"{name} = {place}")
            place = name
        count = len(tree.children)
        if kind is dict:
            self.guard(f"type({place}) is not dict or len({place}) != {count}")
            for key, child in zip(tree.rest, tree.children, strict=True):
                self._take(f"{place}[{self.constant(key)}]", child)
            return
        self.guard(f"type({place}) is not {self.constant(kind)}")
        names = self._names(count)
        if issubclass(kind, tuple) or kind is list:
            self.guard(f"len({place}) != {count}")
            self._unpack(names, place)
        else:
            children, rest = self._names(2)
            self.lines.append(f"{children}, {rest} = {self.constant(kind_of_container(kind).flatten)}({place})")
            self.guard(f"{rest} != {self.constant(tree.rest)} or len({children}) != {count}")
            self._unpack(names, children)
        for name, child in zip(names, tree.children, strict=True):
            self._take(name, child)

    def function(self, call: str, tree: Tree) -> Quick:
        """The lines so far, the call, and what makes a tree of its results."""
        names = self._names(tree.leaves)
        unpacked = f"{', '.join(names)}, = result" if tree.leaves > 1 else f"{names[0]} = result"
        given = iter(names)
        text = "\n".join(
            [
                "def call(owner, args, kwargs):",
                "    try:",
                *[f"        {line}" for line in self.lines],
                f"        result = {call}",
                "    except (KeyError, OverflowError): return NotImplemented",
                "    if result is NotImplemented: return NotImplemented",
                f"    {unpacked}",
                f"    return {self._made(tree, given)}",
            ]
        )
        exec(compile(text, "<rlxc.jit>", "exec"), self.constants)
        quick: Quick = self.constants.pop("call")  # no cycle keeps the machine code
        return quick

    def _made(self, tree: Tree, leaves: Any) -> str:
        """An expression for a tree of results."""
        kind: Any = tree.kind
        if kind is None:
            name: str = next(leaves)
            return name
        if kind is type(None):
            return "None"
        children = [self._made(c, leaves) for c in tree.children]
        inside = "".join(f"{c}, " for c in children)
        if kind is dict:
            return f"{{{', '.join(f'{self.constant(k)}: {c}' for k, c in zip(tree.rest, children, strict=True))}}}"
        if kind is list:
            return f"[{inside}]"
        if kind is tuple:
            return f"({inside})"
        return f"{self.constant(kind_of_container(kind).unflatten)}({self.constant(tree.rest)}, ({inside}))"
