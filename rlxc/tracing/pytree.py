"""Trees of arrays: tuples, lists, dicts (ordered and default ones, too), named tuples, dataclasses, None, and whatever is registered, nested in any way.

    leaves, tree = flatten({"w": w, "b": (b, None)})        [b, w], and a Tree that says how they were arranged
    unflatten(tree, leaves)                                 the same arrangement of other leaves

A Tree is hashable: two arguments of the same form have equal Trees. Keys of dicts are sorted.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np

from rlxc.errors import TracingError
from rlxc.tracing.static_values import distinction


class Kind(NamedTuple):
    """How one container type is taken apart into children and a hashable rest, and put together again."""

    flatten: Callable[[Any], tuple[Sequence[Any], Hashable]]
    unflatten: Callable[[Hashable, Sequence[Any]], Any]
    keys: Callable[[Any, Hashable], Sequence[str]]  # what follows a name to say which child: `[0]`, `['w']`, `.mean`


class Tree:
    """The form of a tree: a leaf, or a container type with what it keeps and its children."""

    __slots__ = ("_form", "_hash", "children", "is_shallow", "kind", "leaves", "rest")

    def __init__(self, form: Any) -> None:
        self._form = form
        self._hash = hash(form)
        self.kind: type | None
        self.rest: Any
        self.kind, self.rest, children = form or (None if form is None else type(None), None, ())
        self.children = tuple([Tree(c) for c in children])
        self.is_shallow = all([c.kind is None for c in self.children])
        self.leaves: int = 1 if self.is_leaf else sum([c.leaves for c in self.children])

    @property
    def is_leaf(self) -> bool:
        return self.kind is None

    @property
    def is_flat_tuple(self) -> bool:
        """A plain tuple of leaves."""
        return self.kind is tuple and self.is_shallow

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Tree) and self._form == other._form)

    def __repr__(self) -> str:
        return f"Tree({unflatten(self, ['*'] * self.leaves)!r})"


_KINDS: dict[type, Kind] = {}
_TREES: dict[Any, Tree] = {}  # by their forms: None for a leaf, () for None, else (type, rest, forms of the children)
_MAX_TREES = 1 << 14
_LEAF_TYPES: set[type] = {np.ndarray, float, int, bool, complex, str}  # those met so far
T = TypeVar("T")


def flatten(tree: Any) -> tuple[list[Any], Tree]:
    """The leaves from left to right, and the form."""
    leaves: list[Any] = []
    form = _flatten(tree, leaves)
    known = _TREES.get(form)
    if known is None:
        if len(_TREES) >= _MAX_TREES:
            _TREES.clear()
        known = _TREES[form] = Tree(form)
    return leaves, known


def _flatten(node: Any, leaves: list[Any]) -> Any:
    cls = type(node)
    add: Any = leaves.append  # which gives None, as is the form of a leaf
    if cls in _LEAF_TYPES:
        return add(node)
    if cls is tuple or cls is list:
        return cls, None, tuple([add(c) if type(c) in _LEAF_TYPES else _flatten(c, leaves) for c in node])
    if cls is dict:
        keys = _sorted_keys(node)
        return dict, keys, tuple([add(c) if type(c) in _LEAF_TYPES else _flatten(c, leaves) for c in map(node.__getitem__, keys)])
    if node is None:
        return ()
    kind = _kind(cls)
    if kind is None:
        _LEAF_TYPES.add(cls)
        return add(node)
    children, rest = kind.flatten(node)
    return cls, rest, tuple([_flatten(c, leaves) for c in children])


def unflatten(tree: Tree, leaves: Sequence[Any]) -> Any:
    """The tree of this form whose leaves are the given ones."""
    if len(leaves) != tree.leaves:
        raise TracingError(f"a tree of {tree.leaves} leaves is not made of {len(leaves)}", code="RLX0806")
    return _unflatten(tree, iter(leaves))


def _unflatten(tree: Tree, leaves: Any) -> Any:
    cls = tree.kind
    if cls is None:
        return next(leaves)
    if cls is type(None):
        return None
    if tree.is_shallow:
        children = list(islice(leaves, len(tree.children)))
    else:
        children = [next(leaves) if c.kind is None else _unflatten(c, leaves) for c in tree.children]
    if cls is dict:
        return dict(zip(tree.rest, children))  # noqa: B905 - of one length, and quick
    if cls is tuple:
        return tuple(children)
    return children if cls is list else _KINDS[cls].unflatten(tree.rest, children)


def leaf_names(tree: Tree, name: str) -> list[str]:
    """What to call each leaf of an argument: `params['w']`, `state[0].mean`."""
    if tree.kind is None:
        return [name]
    if tree.kind is type(None):
        return []
    kind = kind_of_container(tree.kind)
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
    _LEAF_TYPES.discard(cls)
    return cls


class _Numbered(Sequence):
    """`[0]`, `[1]`, ... without an end."""

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, i: Any) -> str:
        return f"[{i}]"


def kind_of_container(cls: type) -> Kind:
    """How a container type that was met is taken apart and put together."""
    kind = _kind(cls)
    assert kind is not None, f"{cls} is a container"
    return kind


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
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    names = [f.name for f in fields if not f.metadata.get("static", False)]
    static = [f.name for f in fields if f.metadata.get("static", False)]

    def take(x: Any) -> tuple[Sequence[Any], Hashable]:
        return [getattr(x, n) for n in names], tuple([(distinction(v), v) for v in [getattr(x, n) for n in static]])

    def make(rest: Any, xs: Sequence[Any]) -> Any:
        made: Any = object.__new__(cls)  # what __init__ computes or converts has been computed and converted before
        for name, x in zip((*names, *static), (*xs, *[v for _, v in rest]), strict=True):
            object.__setattr__(made, name, x)
        return made

    return Kind(take, make, lambda c, rest: [f".{n}" for n in names])


def _sorted_keys(x: dict[Any, Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(x))
    except TypeError:
        return tuple(sorted(x, key=lambda k: (type(k).__name__, repr(k))))


def _take_dict(x: dict[Any, Any]) -> tuple[Sequence[Any], Hashable]:
    keys = _sorted_keys(x)
    return [x[k] for k in keys], keys


def _bracketed(cls: Any, rest: Any) -> list[str]:
    return [f"[{k!r}]" for k in rest]


_KINDS[tuple] = Kind(lambda x: (x, None), lambda rest, xs: tuple(xs), lambda cls, rest: _Numbered())
_KINDS[list] = Kind(lambda x: (x, None), lambda rest, xs: list(xs), lambda cls, rest: _Numbered())


def _take_default(x: Any) -> tuple[Sequence[Any], Hashable]:
    children, keys = _take_dict(x)
    return children, (x.default_factory, *keys)  # type: ignore[misc]


_KINDS[OrderedDict] = Kind(lambda x: (list(x.values()), tuple(x)), lambda rest, xs: OrderedDict(zip(rest, xs, strict=True)), _bracketed)  # type: ignore[call-overload]
_KINDS[defaultdict] = Kind(
    _take_default,
    lambda rest, xs: defaultdict(rest[0], zip(rest[1:], xs, strict=True)),  # type: ignore[index]
    lambda cls, rest: _bracketed(cls, rest[1:]),  # type: ignore[index]
)
_KINDS[dict] = Kind(_take_dict, lambda rest, xs: dict(zip(rest, xs, strict=True)), _bracketed)  # type: ignore[call-overload]
