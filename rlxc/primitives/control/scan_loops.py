"""A scan at the loop level."""

from __future__ import annotations

from typing import Any

from rlxc.primitives.control.loops import At, InPlace, InStack, InTurn, copy, elements, known, part, place


class ScanLoop:
    """A scan at the loop level."""

    def __init__(self, e: Any, body: Any, reads: Any, writes: Any, *, consts: int, carries: int, length: int, reverse: bool, checkpoint: int) -> None:
        self.e = e
        self.body = body
        self.length = length
        self.reverse = reverse
        self.consts, self.inits, self.xs = reads[:consts], reads[consts : consts + carries], reads[consts + carries :]
        self.finals, self.stacks = writes[:carries], writes[carries:]

    def on_scalars(self) -> list[Any]:
        """What is carried is in registers: the last carries. Stacks are filled."""
        e = self.e
        types = [init.type for init in self.inits]
        places = [(stack, index) for stack in self.stacks for index in elements(stack.type.with_shape(stack.type.shape[1:]))]

        def step(t: Any, *carried: Any) -> Any:
            at = place(e, t, self.length, self.reverse)
            results = self.body.scalars([*self.consts, *known(e, carried, types), *(At(x, at) for x in self.xs)])
            for (stack, index), y in zip(places, results[len(carried) :], strict=True):
                stack.store([at, *index], y)
            return tuple(results[: len(carried)])

        return list(e.for_(0, self.length, step, [init(index) for init in self.inits for index in elements(init.type)]))

    def on_memory(self) -> None:
        """The body is a kernel."""
        if self.length == 0:
            for init, final in zip(self.inits, self.finals, strict=True):
                copy(init, final)
            return
        carried = [self.carried(i) for i in range(len(self.inits))]
        turns = max((c.turns for c in carried), default=1)
        peeled = min(self.length, 1 if turns == 1 else 2 - self.length % 2)  # the first step reads what nobody writes
        if all(isinstance(c, InPlace) for c in carried):
            peeled = 0
        for t in range(peeled):
            self.step(carried, t, t)

        def steps(t: Any) -> None:
            for turn in range(turns):
                self.step(carried, self.e.index_add(t, turn), peeled + turn)

        self.e.for_(peeled, self.length, steps, step=turns)
        for c, final in zip(carried, self.finals, strict=True):
            if isinstance(c, InStack):
                copy(c.at(self.length - 1), final)

    def carried(self, i: int) -> Any:
        """Where carry `i` is kept."""
        init, final = self.inits[i], self.finals[i]
        stacked = self.body.same(i, range(len(self.inits), len(self.inits) + len(self.stacks)))
        if stacked is not None:
            return InStack(self.e, init, self.stacks[stacked - len(self.inits)], self.reverse)
        if self.body.may_donate(i, len(self.consts) + i):
            return InPlace(init, final)
        return InTurn(self.e, init, final, self.length)

    def step(self, carried: Any, t: Any, turn: int) -> None:
        """One step; `turn` tells odd steps from even ones."""
        e = self.e
        at = place(e, t, self.length, self.reverse)
        ins = [*self.consts, *(c.read(t, turn) for c in carried), *(part(e, x, at) for x in self.xs)]
        self.body.run(ins, [*(c.write(t, turn) for c in carried), *(part(e, stack, at) for stack in self.stacks)])
