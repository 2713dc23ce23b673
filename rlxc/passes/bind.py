"""Bind: named dimensions get their sizes.

    func @f(%x: f32[B, 3]) -> f32[B] {                              func @f(%x: f32[4, 3]) -> f32[4] {
      %y = reduce_sum %x {axes = [1]} : f32[B]      B=4  =>           %y = reduce_sum %x {axes = [1]} : f32[4]
      return %y                                                       return %y
    }                                                               }

A name means one size in its function, so a callee may give the same name another size. Calls to functions with named dimensions
are therefore inlined first, each with the sizes of its own operands.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rlxc.errors import PassError, ShapeError, UnknownName
from rlxc.ir.core import Func, Module
from rlxc.passes.dims import named_dims, substitute
from rlxc.passes.inline import callee_of, inline_calls
from rlxc.passes.manager import module_pass


@module_pass("bind-dims")
def bind_dims(module: Module, *, dims: tuple[str, ...] = ()) -> Module:
    """Give named dimensions their sizes, as in `bind-dims{dims=["B=4"]}`, in every function that has them."""
    sizes = dict(parse_size(text) for text in dims)
    _check_names(sizes, {name for f in module.funcs for name in named_dims(f)})
    return Module(tuple(bind(f, {d: n for d, n in sizes.items() if d in named_dims(f)}) if f.kind == "func" else f for f in module))


def parse_size(text: str) -> tuple[str, int]:
    """`B=4` as a name and a size."""
    name, _, size = text.partition("=")
    if not name.strip().isidentifier() or not size.strip().isdecimal():
        raise PassError(f"'{text}' does not give a dimension its size", code="RLX0403", help="write NAME=SIZE, as in B=4")
    return name.strip(), int(size)


def bind(func: Func, dims: Mapping[str, int]) -> Func:
    """`func` with each dimension named in `dims` of that size; others keep their names."""
    _check_names(dims, named_dims(func))
    for name, size in dims.items():
        if isinstance(size, bool) or not hasattr(size, "__index__") or size < 0:
            raise ShapeError(f"@{func.name}: dimension {name} is a whole number, not {size!r}", code="RLX0205", loc=func.loc)
    if not dims:
        return func
    if _calls_with_dims(func):
        func = inline_calls(func)
    return substitute(func, {name: int(size) for name, size in dims.items()})


def _calls_with_dims(func: Func) -> bool:
    """Whether a function that `func` calls, at any depth, has named dimensions."""
    module = func.as_module()
    seen: set[str] = set()
    waiting = [func]
    while waiting:
        for name in filter(None, map(callee_of, waiting.pop().walk())):
            if name not in seen:
                seen.add(name)
                waiting.append(module[name])
    return any(named_dims(module[name]) for name in sorted(seen))


def _check_names(given: Mapping[str, int], known: Any) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            has = f"there is {', '.join(known)}" if known else "there are none"
            raise UnknownName(f"there is no dimension named {name}", code="RLX0105", help=f"did you mean {near[0]}?" if near else has)
