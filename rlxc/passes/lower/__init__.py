"""Lower: the tensor level to loops. Each fused op, and each op of its own, becomes a kernel; the function becomes a kernel that calls them.

func @f(%x: f32[8]) -> f32[8] {               kernel @f.k0(%x: mem f32[8], %y: mem f32[8]) {
  %y = exp %x : f32[8]                          for %i in 0..8 {
  return %y                             =>        %0 = load %x, %i : f32
}                                                 %1 = exp %0 : f32
                                                  store %y, %1, %i
                                                }
                                              }
                                              kernel @f(%x: mem f32[8], %y: mem f32[8]) { call @f.k0(%x, %y) }
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from rlxc.errors import Error, VerifyError
from rlxc.ir.attributes import Symbol
from rlxc.ir.builder import Builder
from rlxc.ir.canonical import canonical_op, canonical_text
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.names import OwnNames
from rlxc.ir.primitive import lookup
from rlxc.ir.remarks import remark
from rlxc.ir.target import Target
from rlxc.ir.types import MemType, TensorType
from rlxc.passes.lower.bodies import Bodies, is_body
from rlxc.passes.lower.donations import Pinned
from rlxc.passes.lower.in_place import results_in_place
from rlxc.passes.lower.kernel import lower_kernel
from rlxc.passes.manager import module_pass
from rlxc.passes.work import described, work_of


@module_pass("lower")
def lower(
    module: Module,
    *,
    bytes: int = 0,
    registers: int = 16,
    l1: int = 32 << 10,
    l2: int = 512 << 10,
    l3: int = 8 << 20,
    lapack: bool = False,
    work: bool = False,
) -> Module:
    """Turn each function into kernels at the loop level: loops around the element rules of its ops.

    Ops that have schedules of their own, such as contractions, use vectors of `bytes` in as many `registers`, and blocks that fit into caches.
    With `lapack`, large matrices are factorized by that library. With `work`, calls say what their kernels do, for profiles.
    """
    target = Target(bytes, registers, l1, l2, l3, lapack=lapack)

    def lower_body(func: Func, name: str, donated: dict[int, int], pinned: Pinned) -> list[Func]:
        return _Lowering(func.with_(name=name), target, bodies, work, donated, pinned).run()

    bodies = Bodies(module, lower_body)
    called = is_body(module)
    funcs: list[Func] = []
    for f in module.funcs:
        if f.name not in called:
            made = _Lowering(f, target, bodies, work).run() if f.kind == "func" else [f]
            funcs += [*bodies.made, *made]
            bodies.made.clear()
    return Module(tuple(funcs))


def lower_func(func: Func, target: Target | None = None) -> list[Func]:
    """The kernels of `func`, the last of which has its name and takes its arguments, then its results, as memory."""
    module = func.as_module()
    target = target or Target()
    bodies = Bodies(module, lambda f, name, donated, pinned: _Lowering(f.with_(name=name), target, bodies, False, donated, pinned).run())
    made = _Lowering(func, target, bodies).run()
    return [*bodies.made, *made]


def mem(type: TensorType, loc) -> MemType:
    """The memory a tensor lives in."""
    try:
        type.require_static()
    except Error as error:
        raise error.at(loc) from None
    return MemType(type.dtype, type.shape)  # type: ignore[arg-type]


class _Lowering:
    """One function. A body may be asked to have results in the memory of arguments: those in `donated`, for which `pinned` ops must be in place."""

    def __init__(
        self, func: Func, target: Target, bodies: Bodies, work: bool = False, donated: dict[int, int] | None = None, pinned: Pinned | None = None
    ) -> None:
        self.func = func
        self.target = target
        self.bodies = bodies
        self.work = work
        self.donated = donated or {}
        self.pinned = pinned or {}
        self.kernels: list[Func] = []
        self.by_op: dict[tuple, str] = {}  # kernels by what they were lowered from
        self.by_text: dict[str, str] = {}  # and by what came out
        self.b = Builder("loop")
        self.memory: dict[Value, Value] = {}
        self.in_place: dict[Op, dict[int, int]] = {}  # results that take an operand's memory

    def run(self) -> list[Func]:
        func = self.func
        args = [Value(mem(a.type, a.loc), a.name, loc=a.loc) for a in func.args]
        self.memory.update(zip(func.args, args, strict=True))
        names = OwnNames(a.name for a in func.args)
        outs = [
            args[self.donated[i]] if i in self.donated else Value(mem(v.type, v.loc), names.give(v.name or f"out{i}"), loc=v.loc)
            for i, v in enumerate(func.results)
        ]
        self.place_results(outs)
        self.in_place = results_in_place(func, self.memory, self.bodies.replaces, self.pinned)
        for op in func.ops:
            self.b.loc = op.loc
            self.lower_op(op)
        own = [out for i, out in enumerate(outs) if i not in self.donated]
        main = Func(func.name, (*args, *own), tuple(self.b.ops), (), "kernel", loc=func.loc)
        return [*self.kernels, main]

    def place_results(self, outs: Sequence[Value]) -> None:
        """A result is computed right in the caller's memory, be it through views."""
        maker = {v: op for op in self.func.ops for v in op.results}
        for v, out in zip(self.func.results, outs, strict=True):
            place = out
            while v in maker and maker[v].prim.view:
                self.memory.setdefault(v, place)
                v = maker[v].operands[0]
                place = place if place.type.shape == v.type.shape else self.b.view(place, shape=v.type.shape)  # type: ignore[union-attr]
            if v in self.memory or v not in maker or not maker[v].operands:
                raise VerifyError(f"@{self.func.name}: a result has no memory of its own", help="run `fuse` before `lower`", loc=self.func.loc)
            self.memory[v] = place

    def lower_op(self, op: Op) -> None:
        if not op.operands and op.prim.inline_attr:
            value = op.attrs[op.prim.inline_attr]
            self.memory[op.result] = self.b.global_(value=value, type=mem(op.result.type, op.loc))
            return
        if op.prim.view:
            if op.result not in self.memory:
                self.memory[op.result] = self.b.view(self.memory[op.operands[0]], shape=op.result.type.shape)
            return
        ins = [self.memory[v] for v in op.operands]
        outs = []
        in_place = self.in_place.get(op, {})
        for i, v in enumerate(op.results):
            if i in in_place:
                self.memory[v] = ins[in_place[i]]
                continue
            if v not in self.memory:
                self.memory[v] = self.b.alloc(type=mem(v.type, op.loc))
                self.memory[v].name = v.name
            outs.append(self.memory[v])
        if len(in_place) == len(op.results) and op.prim.kernel and not op.regions[0].ops:
            return  # what is copied is there
        name = self.kernel(op)
        work = partial(work_of, op, self.bodies.funcs)
        remark("kernel", lambda: f"@{name}: {described(op, work())}", op.loc)
        self.b.apply(lookup("call", "loop"), *ins, *outs, callee=Symbol(name), **(asdict(work()) if self.work else {}))

    def kernel(self, op: Op) -> str:
        """Name of the kernel for `op`; one of the same ops, or of ops that become the same, serves for all."""
        in_place = self.in_place.get(op, {})
        key = (canonical_op(op), tuple(in_place.items()), op.prim, *[inner.prim for region in op.regions for inner in region.walk()])
        if key not in self.by_op:
            kernel = lower_kernel(op, f"{self.func.name}.k{len(self.kernels)}", self.target, in_place, self.bodies)
            self.by_op[key] = self.by_text.setdefault(canonical_text(kernel), kernel.name)
            if self.by_op[key] == kernel.name:
                self.kernels.append(kernel)
        return self.by_op[key]
