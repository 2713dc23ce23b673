"""Trees of arrays: tuples, lists, dicts, named tuples, dataclasses, None, and whatever is registered, nested in any way.

    leaves, tree = flatten({"w": w, "b": (b, None)})        [b, w], and a Tree that says how they were arranged
    unflatten(tree, leaves)                                 the same arrangement of other leaves

A Tree is hashable: two arguments of the same form have equal Trees. Keys of dicts are sorted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from rlxc.errors import TracingError


class Kind(NamedTuple):
    """How one container type is taken apart into children and a hashable rest, and put together again."""

    flatten: Callable[[Any], tuple[Sequence[Any], Hashable]]
    unflatten: Callable[[Hashable, Sequence[Any]], Any]
    keys: Callable[[Any, Hashable], Sequence[str]]  # what follows a name to say which child: `[0]`, `['w']`, `.mean`


class Tree:
    """The form of a tree: a leaf, or a container type with what it keeps and its children."""

    __slots__ = ("_hash", "children", "kind", "leaves", "rest")

    def __init__(self, kind: type | None, rest: Hashable, children: tuple[Tree, ...]) -> None:
        self.kind = kind
        self.rest = rest
        self.children = children
        self.leaves: int = 1 if kind is None else sum([c.leaves for c in children])
        self._hash = hash((kind, rest, children))

    @property
    def is_leaf(self) -> bool:
        return self.kind is None

    @property
    def is_flat_tuple(self) -> bool:
        """A plain tuple of leaves."""
        return self.kind is tuple and all([c.kind is None for c in self.children])

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Tree):
            return NotImplemented
        return self._hash == other._hash and self.kind is other.kind and self.rest == other.rest and self.children == other.children

    def __repr__(self) -> str:
        return f"Tree({unflatten(self, ['*'] * self.leaves)!r})"


LEAF = Tree(None, None, ())
_NONE = Tree(type(None), None, ())
_KINDS: dict[type, Kind] = {}
T = TypeVar("T")


def flatten(tree: Any) -> tuple[list[Any], Tree]:
    """The leaves from left to right, and the form."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(node: Any, leaves: list[Any]) -> Tree:
    if node is None:
        return _NONE
    kind = _kind(type(node))
    if kind is None:
        leaves.append(node)
        return LEAF
    children, rest = kind.flatten(node)
    return Tree(type(node), rest, tuple([_flatten(c, leaves) for c in children]))


def unflatten(tree: Tree, leaves: Iterable[Any]) -> Any:
    """The tree of this form whose leaves are the given ones."""
    given = list(leaves)
    if len(given) != tree.leaves:
        raise TracingError(f"a tree of {tree.leaves} leaves is not made of {len(given)}", code="RLX0806")
    return _unflatten(tree, iter(given))


def _unflatten(tree: Tree, leaves: Any) -> Any:
    if tree.kind is None:
        return next(leaves)
    if tree.kind is type(None):
        return None
    kind = _kind(tree.kind)
    assert kind is not None
    return kind.unflatten(tree.rest, [_unflatten(c, leaves) for c in tree.children])


def leaf_names(tree: Tree, name: str) -> list[str]:
    """What to call each leaf of an argument: `params['w']`, `state[0].mean`."""
    if tree.kind is None:
        return [name]
    if tree.kind is type(None):
        return []
    kind = _kind(tree.kind)
    assert kind is not None
    return [n for key, child in zip(kind.keys(tree.kind, tree.rest), tree.children, strict=False) for n in leaf_names(child, name + key)]


def tree_map(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """`f` of the leaves that stand at the same place in trees of one form."""
    leaves, form = flatten(tree)
    columns = [leaves]
    for other in others:
        more, other_form = flatten(other)
        if other_form != form:
            raise TracingError(f"trees have different forms: {form} and {other_form}", code="RLX0806")
        columns.append(more)
    return unflatten(form, [f(*row) for row in zip(*columns, strict=True)])


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves from left to right."""
    return flatten(tree)[0]


def register_pytree(cls: type[T], flatten: Callable[[T], tuple[Sequence[Any], Hashable]], unflatten: Callable[[Any, Sequence[Any]], T]) -> type[T]:
    """Make `cls` a container: `flatten(x)` gives its children and a hashable rest, from which `unflatten(rest, children)` makes an equal one."""
    _KINDS[cls] = Kind(flatten, unflatten, lambda cls, rest: _Numbered())
    return cls


class _Numbered(Sequence):
    """`[0]`, `[1]`, ... without an end."""

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, i: Any) -> str:
        return f"[{i}]"


def _kind(cls: type) -> Kind | None:
    kind = _KINDS.get(cls)
    if kind is not None:
        return kind
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names = tuple(cls._fields)
        return _KINDS.setdefault(cls, Kind(lambda x: (tuple(x), None), lambda rest, xs: cls(*xs), lambda c, rest: [f".{n}" for n in names]))
    if dataclasses.is_dataclass(cls):
        return _KINDS.setdefault(cls, _dataclass_kind(cls))
    return None


def _dataclass_kind(cls: type) -> Kind:
    """Fields are children, but those with `field(metadata={"static": True})`, which belong to the form."""
    fields = dataclasses.fields(cls)
    names = [f.name for f in fields if not f.metadata.get("static", False)]
    static = [f.name for f in fields if f.metadata.get("static", False)]

    def take(x: Any) -> tuple[Sequence[Any], Hashable]:
        return [getattr(x, n) for n in names], tuple([getattr(x, n) for n in static])

    def make(rest: Any, xs: Sequence[Any]) -> Any:
        made: Any = object.__new__(cls)  # what __init__ computes or converts has been computed and converted before
        for name, x in zip((*names, *static), (*xs, *rest), strict=True):
            object.__setattr__(made, name, x)
        return made

    return Kind(take, make, lambda c, rest: [f".{n}" for n in names])


def _take_dict(x: dict[Any, Any]) -> tuple[Sequence[Any], Hashable]:
    try:
        keys = sorted(x)
    except TypeError:
        keys = sorted(x, key=lambda k: (type(k).__name__, repr(k)))
    return [x[k] for k in keys], tuple(keys)


def _bracketed(cls: Any, rest: Any) -> list[str]:
    return [f"[{k!r}]" for k in rest]


_KINDS[tuple] = Kind(lambda x: (x, None), lambda rest, xs: tuple(xs), lambda cls, rest: _Numbered())
_KINDS[list] = Kind(lambda x: (x, None), lambda rest, xs: list(xs), lambda cls, rest: _Numbered())
_KINDS[dict] = Kind(_take_dict, lambda rest, xs: dict(zip(rest, xs, strict=True)), _bracketed)  # type: ignore[call-overload]
