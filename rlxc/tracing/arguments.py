"""A call of a Python function taken apart for a transform: leaves, which of them belong to which argument, and the function traced on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError, DifferentiationError, TracingError
from rlxc.tracing.location import definition, parameters_of, user_location, with_source
from rlxc.tracing.pytree import Tree, flatten, unflatten
from rlxc.tracing.staging import Aval, Staged, argument_names, aval_of, name_of, stage

ArgNums = int | str | Sequence[int | str]


class Arguments:
    """The leaves of `f(*args, **kwargs)`, their types and names."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.f = f
        self.count = len(args)
        self.leaves, self.tree = flatten((tuple(args), kwargs))
        self.names = argument_names(f, self.tree)
        self.avals = [aval_of(x, f"{name_of(f)}: {n}") for x, n in zip(self.leaves, self.names, strict=True)]

    def staged(self, avals: Sequence[Aval] | None = None) -> Staged:
        """The function traced on leaves of these types; what it takes from outside becomes arguments."""
        return stage(self.f, self.avals if avals is None else avals, lambda xs: unflatten(self.tree, xs), self.names, hoists=True)

    def tree_of(self, i: int) -> Tree:
        """The form of one argument: those by name come after those by position."""
        return self._trees()[i]

    def leaves_of(self, i: int) -> range:
        """Where the leaves of one argument are."""
        trees = self._trees()
        start = sum([t.leaves for t in trees[:i]])
        return range(start, start + trees[i].leaves)

    def _trees(self) -> Sequence[Tree]:
        positional, named = self.tree.children
        return positional.children if not named.children else (*positional.children, *named.children)

    def chosen(self, argnums: ArgNums, what: str) -> list[int]:
        """The arguments that `argnums` names, by position or by parameter name; raises where one is not there, or not made of floats."""
        given = argnums if isinstance(argnums, tuple | list) else (argnums,)
        chosen = [self._number(n, what) for n in given]
        for i in chosen:
            for place in self.leaves_of(i):
                aval = self.avals[place]
                if not aval.type.dtype.differentiable:
                    message = f"{what} of {name_of(self.f)} with respect to {self.names[place]}, which is {aval.type}: there is none"
                    help = "derivatives are those by floats: pass 3.0 for 3, x.astype(float), or name other arguments (argnums)"
                    raise with_source(DifferentiationError(message, code="RLX0305", loc=user_location(), help=help))
        return chosen

    def _number(self, n: int | str, what: str) -> int:
        if isinstance(n, str):
            known = parameters_of(self.f)
            if n in known[: self.count]:
                return known.index(n)
            by_name: Sequence[str] = self.tree.children[1].rest or ()  # type: ignore[assignment]
            if n in by_name:
                return self.count + list(by_name).index(n)
        elif isinstance(n, int | np.integer) and not isinstance(n, bool) and -self.count <= n < self.count:
            return int(n) % self.count
        message = f"{what} of {name_of(self.f)} with respect to argument {n!r}: there is no such argument in this call"
        raise with_source(ArgumentError(message, code="RLX0502", loc=definition(self.f)))


def leaves_like(given: Any, tree: Tree, dtypes: Sequence[Any]) -> list[Any] | None:
    """The leaves of something of the form `tree`, in which None may stand for what has no derivative; None if it has another form."""
    leaves, form = flatten(given)
    if form == tree:
        return leaves
    floats = [d.differentiable for d in dtypes]
    if form != flatten(unflatten(tree, [0 if is_float else None for is_float in floats]))[1]:
        return None
    rest = iter(leaves)
    return [next(rest) if is_float else None for is_float in floats]


def same_form(given: Any, tree: Tree, dtypes: Sequence[Any], what: str) -> list[Any]:
    """The leaves of `given`, which is to have the form `tree`; see `leaves_like`."""
    leaves = leaves_like(given, tree, dtypes)
    if leaves is None:
        raise with_source(TracingError(f"{what} has the form {flatten(given)[1]}, not {tree}", code="RLX0806", loc=user_location()))
    return leaves


def prefix_leaves(prefix: Any, tree: Tree, what: str, is_leaf: Callable[[Any], bool]) -> list[Any]:
    """An entry for each leaf of `tree`: those of `prefix`, where one entry may stand for a whole tree below it."""
    if is_leaf(prefix):
        return [prefix] * tree.leaves
    if tree.kind is None or not isinstance(prefix, tuple | list | dict):
        raise with_source(TracingError(f"{what}: {prefix!r} does not fit {tree}", code="RLX0806", loc=user_location()))
    if isinstance(prefix, dict):
        parts = [prefix.get(k, ...) for k in tree.rest] if tree.kind is dict and len(prefix) == len(tree.children) else []  # type: ignore[attr-defined]
    else:
        parts = list(prefix)
    if len(parts) != len(tree.children):
        raise with_source(TracingError(f"{what}: {prefix!r} does not fit {tree}", code="RLX0806", loc=user_location()))
    return [entry for part, child in zip(parts, tree.children, strict=True) for entry in prefix_leaves(part, child, what, is_leaf)]
