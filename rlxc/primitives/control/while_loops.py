"""A while at the loop level."""

from __future__ import annotations

from typing import Any

from rlxc.primitives.control.loops import copy, elements, known


class WhileLoop:
    """A while at the loop level. With a bound, the number of steps is carried too."""

    def __init__(self, e: Any, bodies: Any, consts: Any, inits: Any, finals: Any, bound: int) -> None:
        self.e = e
        self.condition, self.body = bodies
        self.consts = consts
        self.inits = inits
        self.finals = finals
        self.bound = bound

    def counter(self) -> list[Any]:
        return [self.e.as_index(0)] if self.bound else []

    def also(self, go: Any, count: Any) -> Any:
        """Whether the bound permits another step too."""
        return self.e.and_(go, self.e.lt(count[0], self.bound)) if count else go

    def on_scalars(self) -> list[Any]:
        """What is carried is in registers: the last carries."""
        e = self.e
        types = [init.type for init in self.inits]
        start = [init(index) for init in self.inits for index in elements(init.type)]
        n = len(start)

        def readers(carried: Any) -> Any:
            return [*self.consts, *known(e, carried, types)]

        def condition(*carried: Any) -> Any:
            return self.also(self.condition.scalars(readers(carried[:n]))[0], carried[n:])

        def body(*carried: Any) -> Any:
            return (*self.body.scalars(readers(carried[:n])), *(e.index_add(c, 1) for c in carried[n:]))

        return list(e.while_([*start, *self.counter()], condition, body, steps=self.bound)[:n])

    def on_memory(self) -> None:
        """The body is a kernel: two steps at a time, where it does not replace all that is carried where it lies."""
        e = self.e
        for init, final in zip(self.inits, self.finals, strict=True):
            copy(init, final)
        here = self.finals
        stays = [self.body.may_donate(i, len(self.consts) + i) for i in range(len(here))]
        there = [m if stay else e.alloc(m.type.dtype, m.type.shape) for m, stay in zip(here, stays, strict=True)]
        go = e.alloc("bool", ())

        def goes_on(carried: Any, count: Any) -> Any:
            self.condition.run([*self.consts, *carried], [go])
            return self.also(go([]), count)

        def body(*count: Any) -> Any:
            self.body.run([*self.consts, *here], there)
            if all(stays):
                return tuple(e.index_add(c, 1) for c in count)

            def again() -> None:
                self.body.run([*self.consts, *there], here)

            def back() -> None:
                for m, n in zip(there, here, strict=True):
                    copy(m, n)

            e.cond(goes_on(there, [e.index_add(c, 1) for c in count]), again, back)
            return tuple(e.index_add(c, 2) for c in count)

        e.while_(self.counter(), lambda *count: goes_on(here, count), body, steps=self.bound)
