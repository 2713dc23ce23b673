"""Loops, branches and calls of kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import AttrError, DTypeError, ShapeError
from rlxc.ir.attributes import Symbol
from rlxc.ir.interp import run_ops, run_region
from rlxc.ir.primitive import register
from rlxc.ir.types import INDEX
from rlxc.primitives.loop.base import LoopPrimitive


@register
class For(LoopPrimitive):
    """`for %i in start..stop step n carry (%a = %init) { ... yield %b }`: a counted loop; its results are the last carried values.

    `parallel` says that iterations are independent. Then a thread takes `chunk` of them at a time (0: any number), and `work` is how
    many nanoseconds all of them are thought to take (0: not known). A loop that stands `apart` becomes a function of its own: what it
    keeps in registers does not push others out of theirs.
    """

    name = "for"
    syntax = "for"
    pure = False
    has_effect = True

    def infer(self, *inits, start: int, stop: int, step: int = 1, parallel: bool = False, chunk: int = 0, work: int = 0, apart: bool = False):
        raise ShapeError("for needs a region")

    def infer_regions(self, types, regions, attrs) -> tuple:
        """Result types; raises where the region does not fit the loop."""
        if attrs["step"] < 1:
            raise AttrError(f"for: a step is positive, not {attrs['step']}")
        (body,) = regions
        carried = [a.type for a in body.args[1:]]
        if not body.args or body.args[0].type != INDEX or carried != list(types):
            raise DTypeError("for: the region takes a counter of type index and the carried values")
        if [v.type for v in body.results] != carried:
            got = ", ".join(str(v.type) for v in body.results) or "nothing"
            raise DTypeError(f"for: the region yields {got}, but carries {', '.join(map(str, carried)) or 'nothing'}")
        return tuple(carried)

    def eval_regions(self, env: dict, op: Any) -> tuple:
        (body,) = op.regions
        carried = [env[v] for v in op.operands]
        for i in range(op.attrs["start"], op.attrs["stop"], op.attrs["step"]):
            env.update(zip(body.args, [np.int64(i), *carried], strict=True))
            run_ops(body.ops, env)
            carried = [env[v] for v in body.results]
        return tuple(carried)

    def llvm_regions(self, w, op):
        w.write_for(op)


@register
class If(LoopPrimitive):
    """One of two regions, each of which yields the results. If it is `rare`, the first one hardly ever runs."""

    name = "if"
    pure = False
    has_effect = True

    def infer(self, condition, *, rare: bool = False):
        raise ShapeError("if needs two regions")

    def infer_regions(self, types, regions, attrs) -> tuple:
        """Result types; raises where the regions do not agree."""
        if len(regions) != 2:
            raise ShapeError(f"if has two regions, not {len(regions)}")
        if str(types[0]) != "bool":
            raise DTypeError(f"if: a condition is a bool, not {types[0]}")
        yields = [[v.type for v in r.results] for r in regions]
        if yields[0] != yields[1] or any(r.args for r in regions):
            raise DTypeError("if: its regions take nothing and yield the same types")
        return tuple(yields[0])

    def eval_regions(self, env: dict, op: Any) -> tuple:
        chosen = op.regions[0 if env[op.operands[0]] else 1]
        run_ops(chosen.ops, env)
        return tuple(env[v] for v in chosen.results)

    def llvm_regions(self, w, op):
        w.write_if(op)


@register
class While(LoopPrimitive):
    """As long as the first region gives true, the second makes new carried values of the old ones; its results are the last ones.

        %n = while %zero do (%i: index) { ... yield %go } do (%i: index) { ... yield %next } : index

    `steps` is about how many there will be (0: not known).
    """

    name = "while"
    pure = False
    has_effect = True

    def infer(self, *inits, steps: int = 0):
        raise ShapeError("while needs two regions")

    def infer_regions(self, types, regions, attrs) -> tuple:
        """Result types; raises where the regions do not fit each other."""
        if len(regions) != 2:
            raise ShapeError(f"while has two regions, not {len(regions)}")
        for region in regions:
            if [a.type for a in region.args] != list(types):
                raise DTypeError(f"while: both regions take the carried values: {', '.join(map(str, types)) or 'nothing'}")
        condition, body = regions
        if [str(v.type) for v in condition.results] != ["bool"]:
            raise DTypeError("while: the first region yields a bool")
        if [v.type for v in body.results] != list(types):
            raise DTypeError("while: the second region yields new carried values")
        return tuple(types)

    def eval_regions(self, env: dict, op: Any) -> tuple:
        condition, body = op.regions
        carried = [env[v] for v in op.operands]
        while run_region(condition, carried, env)[0]:
            carried = run_region(body, carried, env)
        return tuple(carried)

    def llvm_regions(self, w, op):
        w.write_while(op)


@register
class Call(LoopPrimitive):
    """Run a kernel on memory. Where a profile is made, `what`, `flops` and `bytes` say what the kernel does."""

    name = "call"
    tabular = True
    inline_attr = "callee"
    pure = False
    has_effect = True
    widens = False

    def infer(self, *memory, callee: Symbol, what: str = "", flops: float = 0.0, bytes: int = 0):
        return ()

    def llvm(self, w, type, *memory, callee, **work):
        w.call_kernel(callee, memory)
