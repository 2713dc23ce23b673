"""Bodies of control flow while they are lowered: kernels that a loop or a branch calls, or arithmetic on scalars right in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rlxc.ir.attributes import Symbol
from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.emitter import Emitter, Memory
from rlxc.ir.names import OwnNames
from rlxc.ir.primitive import lookup
from rlxc.passes.lower.donations import Pinned, donation
from rlxc.passes.lower.in_place import Replacing
from rlxc.passes.lower.readers import Readers
from rlxc.primitives.control.loops import copy, elements, known

Donated = frozenset[tuple[int, int]]  # results of a function, and the arguments whose memory they take
LowerFunc = Callable[[Func, str, dict[int, int], Pinned], list[Func]]


def outlined(region: Func) -> Op | None:
    """The call that a region consists of, once its body is a function of the module."""
    return region.ops[0] if len(region.ops) == 1 and callee_of(region.ops[0]) is not None else None


def is_body(module: Module) -> set[str]:
    """Names of the functions that are bodies of control flow."""
    return {name for f in module.funcs for op in f.walk() if op.prim.level == "tensor" and (name := callee_of(op)) is not None}


class Bodies:
    """The functions of a module that are bodies: lowered when they are asked for, once for each way in which results take arguments' memory."""

    def __init__(self, module: Module, lower_func: LowerFunc) -> None:
        self.funcs = {f.name: f for f in module.funcs}
        self.names = OwnNames(f.name for f in module.funcs)
        self.lower_func = lower_func
        self.may_replace = Replacing()
        self.kernels: dict[tuple[str, Donated], str] = {}
        self.known: dict[tuple[str, int, int], Pinned | None] = {}
        self.made: list[Func] = []

    def replaces(self, op: Op, result: int, operand: int) -> bool:
        """Whether a result of `op` may take the memory of an operand that nobody needs afterwards."""
        if not op.prim.control:
            return self.may_replace(op, result, operand)
        asked = op.prim.donations(result, operand, **op.attrs)
        if asked is None:
            return False
        pairs = [(region, r, a) for number, r, a in asked for region in (op.regions if number is None else [op.regions[number]])]
        return all(self.region_may(region, r, a) for region, r, a in pairs)

    def region_may(self, region: Func, result: int, arg: int) -> bool:
        """Whether a result of a region can be computed in the memory of an argument."""
        call = outlined(region)
        if call is None:
            return True  # scalars, which are read before any is stored
        v = region.results[result]
        if v not in call.results or v in region.results[:result]:
            return False
        return self.pinned(callee_of(call) or "", call.results.index(v), call.operands.index(region.args[arg])) is not None

    def pinned(self, name: str, result: int, arg: int) -> Pinned | None:
        key = (name, result, arg)
        if key not in self.known:
            self.known[key] = donation(self.funcs[name], result, arg, self.replaces)
        return self.known[key]

    def kernel(self, name: str, donated: Donated) -> str:
        """The kernel that the body `name` becomes, where these results take those arguments' memory."""
        key = (name, donated)
        if key not in self.kernels:
            own = name if all(n != name for n, _ in self.kernels) else self.names.give(name)
            self.kernels[key] = own
            pinned: Pinned = {}
            for r, a in sorted(donated):
                for op, taken in (self.pinned(name, r, a) or {}).items():
                    pinned[op] = pinned.get(op, {}) | taken
            self.made += self.lower_func(self.funcs[name], own, dict(donated), pinned)
        return self.kernels[key]


class Body:
    """A region as the rules of control flow see it."""

    def __init__(self, e: Emitter, bodies: Bodies, region: Func) -> None:
        self.e = e
        self.bodies = bodies
        self.region = region
        self.call = outlined(region)

    @property
    def is_scalar(self) -> bool:
        return self.call is None

    def scalars(self, readers: Sequence[Any]) -> list[Value]:
        """The elements of the region's results, from readers of its arguments."""
        of = Readers(self.e)
        for a, read in zip(self.region.args, readers, strict=True):
            of.bind(a, read)
        with self.e.unrolling():
            for op in self.region.ops:
                if op.prim.control:
                    bodies = [Body(self.e, self.bodies, r) for r in op.regions]
                    values = op.prim.lower_scalars(self.e, bodies, [of[v] for v in op.operands], **op.attrs)
                    for v, reader in zip(op.results, known(self.e, values, [v.type for v in op.results]), strict=True):
                        of.bind(v, reader)
                    continue
                of.define(op)
                if op.prim.elementwise or op.prim.has_loops:
                    for index in elements(op.result.type):  # in the order in which it is written
                        of[op.result](index)
            return [of[v](index) for v in self.region.results for index in elements(v.type)]

    def may_donate(self, result: int, arg: int) -> bool:
        """Whether a result can be computed in the memory of an argument."""
        return self.bodies.region_may(self.region, result, arg)

    def same(self, result: int, others: Sequence[int]) -> int | None:
        """The first of other results that is the same value."""
        v = self.region.results[result]
        return next((i for i in others if self.region.results[i] is v), None)

    def run(self, ins: Sequence[Memory], outs: Sequence[Memory | None]) -> None:
        """Call the body's kernel. A result may be given the memory of an argument that it `may_donate` to; None says that it is not asked for."""
        assert self.call is not None
        e = self.e
        memory = dict(zip(self.region.args, ins, strict=True))
        operands = [memory[v].value for v in self.call.operands]
        given: dict[Value, Memory] = {}
        for v, out in zip(self.region.results, outs, strict=True):
            if out is not None:
                given.setdefault(v, out)
        results = [given[v] if v in given else e.alloc(v.type.dtype, v.type.shape) for v in self.call.results]
        donated = frozenset((r, operands.index(out.value)) for r, out in enumerate(results) if out.value in operands)
        kept = {r for r, _ in donated}
        name = self.bodies.kernel(callee_of(self.call) or "", donated)
        passed = [*operands, *(out.value for r, out in enumerate(results) if r not in kept)]
        e.apply(lookup("call", "loop"), *passed, callee=Symbol(name))
        for v, out in zip(self.region.results, outs, strict=True):
            if out is not None:
                copy(given[v] if v in given else memory[v], out)
