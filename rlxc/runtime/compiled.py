"""Compiled: a function as Python calls it. Arrays are checked, named dimensions are bound from them, native code runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError, ShapeError
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Func
from rlxc.passes.bind import bind
from rlxc.passes.dims import match_dims, named_dims
from rlxc.runtime.arguments import Arguments, check_outputs

#: Makes, of a function without named dimensions, something with `.executable()`: native code or the interpreter.
Engine = Callable[[Func], Any]

MAX_SIZES = 64  # sets of sizes that one Compiled keeps native code for


class Compiled:
    """A callable that takes arrays by position or by argument name, and returns an ndarray, or a tuple of them for several results.

    Results go to new arrays, or to the ones given as `out=`. A function with named dimensions is compiled once for each set of
    sizes that it is called with. Raises ArgumentError for arrays that do not fit.

    `stages()` has the texts on the way to machine code: `f.stages().llvm()`, `f.stages().assembly()`; `f.stages(B=4)` for a function
    with named dimensions.
    """

    def __init__(self, func: Func, engine: Engine) -> None:
        self.func = func
        self._engine = engine
        self.arguments = Arguments(func)
        self._dims = named_dims(func)
        self._made: dict[tuple[int, ...], Any] = {}
        self._only = None if self._dims else self._make(())

    def __call__(self, /, *arrays: Any, out: Any = None, **named: Any) -> Any:
        for x in (*arrays, *named.values()):
            if hasattr(type(x), "__rlxc_call__"):  # it has more in mind than to be read, as eager tensors and tracers do, which record the call
                if out is not None:
                    raise ArgumentError(f"@{self.func.name}: a call that is recorded does not take out=", code="RLX0507", help="results are new")
                return x.__rlxc_call__(self.func, arrays, named)
        results = self.run(self.arguments.bind(arrays, named), out)
        return results[0] if len(results) == 1 else results

    def run(self, arrays: list[np.ndarray], out: Any = None) -> tuple[np.ndarray, ...]:
        """Results, always as a tuple, for arrays that have been checked."""
        execute = self._only or self._make(self._sizes(arrays))
        if out is None:
            results: tuple[np.ndarray, ...] = execute(*arrays)
            return results
        outs = check_outputs(out, [v.type for v in execute.func.results], self.func.name)
        if all(o.flags.carray for o in outs) and not any(np.may_share_memory(o, a) for o in outs for a in arrays):
            execute.run_into(arrays, outs)
        else:
            for target, result in zip(outs, execute(*arrays), strict=True):
                target[...] = result
        return tuple(outs)

    def stages(self, /, **dims: int) -> Any:
        """The function on its way to machine code, with dimensions bound to `dims`, or to those of the last call."""
        return self._engine(bind(self.func, self._given_or_last(dims, "stages")))

    def executable(self, /, **dims: int) -> Any:
        """The native function itself, for `dims` or those of the last call: its address for other native code, a LowLevelCallable for scipy."""
        return self._make(tuple(self._given_or_last(dims, "executable")[d] for d in self._dims))

    def _given_or_last(self, dims: dict[str, int], method: str) -> dict[str, int]:
        if dims or not self._dims:
            return dims
        if not self._made:
            names = ", ".join(self._dims)
            raise ShapeError(f"@{self.func.name} has named dimensions: {names}", code="RLX0206", help=f"{method}({self._dims[0]}=...), or call it first")
        return dict(zip(self._dims, next(reversed(self._made)), strict=True))

    def _sizes(self, arrays: list[np.ndarray]) -> tuple[int, ...]:
        try:
            sizes = match_dims(self.func, [a.shape for a in arrays])
        except ShapeError as error:
            raise ArgumentError(error.message, code="RLX0505") from None
        unknown = [d for d in self._dims if d not in sizes]
        if unknown:
            raise ArgumentError(
                f"@{self.func.name}: no argument gives dimension {unknown[0]} its size", code="RLX0206", help=f"rlxc.bind(func, {unknown[0]}=...)"
            )
        return tuple(sizes[d] for d in self._dims)

    def _make(self, sizes: tuple[int, ...]) -> Any:
        made = self._made.pop(sizes, None)  # and put back at the end: the first is the one used longest ago
        if made is not None:
            self._made[sizes] = made
        else:
            made = self._made[sizes] = self._compile(sizes)
            if len(self._made) > MAX_SIZES:
                self._made.pop(next(iter(self._made)), None)
        return made

    @without_collection()  # until the IR is gone, which nobody needs any more
    def _compile(self, sizes: tuple[int, ...]) -> Any:
        return self._engine(bind(self.func, dict(zip(self._dims, sizes, strict=True)))).executable()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles hold the function, which is compiled again where they are read."""
        return type(self), (self.func, self._engine)

    def __repr__(self) -> str:
        args = ", ".join(f"%{name}: {a.signature}" for a, name in zip(self.func.args, self.func.arg_names, strict=True))
        return f"<rlxc compiled @{self.func.name}({args}) -> {', '.join(v.signature for v in self.func.results)}>"
