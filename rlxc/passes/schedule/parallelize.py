"""Loops whose iterations are independent are marked: threads may share them."""

from __future__ import annotations

from rlxc.ir.core import Func, Module, Op, Value
from rlxc.passes.manager import module_pass
from rlxc.passes.schedule.dependence import Dependence
from rlxc.passes.schedule.rewrite import Rewriter, is_for, rules

FEW = 8  # iterations: so few are not easily shared


@module_pass("parallelize")
def parallelize(module: Module, *, few: int = FEW) -> Module:
    """Mark the outermost loop of each nest whose iterations are independent; where it has fewer than `few`, the loop inside too.

    for %i in 0..64 {                for %i in 0..64 {parallel = true} {
      %0 = load %x, %i                 %0 = load %x, %i
      %1 = exp %0             =>       %1 = exp %0
      store %y, %1, %i                 store %y, %1, %i
    }                                }

    Scratch memory that every iteration fills before it reads it is allocated in the loop: one for each thread.
    """
    return Module(tuple(_Parallelize(f, few).run() if f.kind == "kernel" else f for f in module.funcs))


class _Parallelize(Rewriter):
    def __init__(self, func: Func, few: int) -> None:
        super().__init__(func)
        self.few = few
        self.known = Dependence(func)
        self.marked: dict[Value, list[Value]] = {}  # counters of parallel loops, and the memory to allocate in them
        for op in func.ops:
            if is_for(op) and not any(is_for(o) and o.attrs["parallel"] for o in (op, *op.regions[0].walk())):
                self.choose(op)
        self.moved = {memory for private in self.marked.values() for memory in private}

    def choose(self, op: Op) -> None:
        """Mark `op`, or loops inside."""
        (body,) = op.regions
        count = (op.attrs["stop"] - op.attrs["start"]) // op.attrs["step"]
        private = self.known.private_for(op) if count > 1 else None
        if private is None:
            for inner in body.ops:
                if is_for(inner):
                    self.choose(inner)
            return
        self.marked[body.args[0]] = private
        inside = only_loop(body)
        if count < self.few and inside is not None:
            own = self.known.private_for(inside)
            if own is not None and set(private) <= set(own):
                self.marked[body.args[0]] = []
                self.marked[inside.regions[0].args[0]] = own

    def run(self) -> Func:
        return super().run() if self.marked else self.func

    def changes(self, op: Op) -> bool:
        return op.regions[0].args[0] in self.marked if is_for(op) else not self.moved.isdisjoint(op.results)

    def op(self, op: Op) -> None:
        if not (op.results and op.result in self.moved):
            super().op(op)

    def loop(self, op: Op) -> None:
        (body,) = op.regions
        private = self.marked.get(body.args[0])
        if private is None:
            super().loop(op)
            return

        def allocate() -> None:
            for memory in private:
                super(_Parallelize, self).op(self.known.alloc[memory])

        self.loop_with(op, allocate, parallel=True)


def only_loop(body: Func) -> Op | None:
    """The loop that is all there is in `body`, but for numbers that it needs."""
    loops = [op for op in body.ops if op.regions]
    others = [op for op in body.ops if not op.regions]
    if len(loops) != 1 or not is_for(loops[0]) or loops[0].operands or not all(rules(op).pure for op in others):
        return None
    return loops[0]
