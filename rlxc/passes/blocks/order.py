"""A function with pieces in place of ops, in an order in which everything is computed before it is read."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.primitive import lookup
from rlxc.passes.blocks.regions import Piece
from rlxc.passes.blocks.uses import Uses, reads_of


def put_in_order(func: Func, uses: Uses, pieces: Sequence[Piece], replaced: set[Op]) -> tuple[Func | None, list[Piece]]:
    """The function with pieces in place of ops; or None, and the pieces that wait for each other.

    A piece comes where the last of its outputs came, or once its operands are there; the ops keep their order, but where they wait for a piece.
    """
    return _Order(func, uses, pieces, replaced).run()


class _Order:
    def __init__(self, func: Func, uses: Uses, pieces: Sequence[Piece], replaced: set[Op]) -> None:
        self.func = func
        self.uses = uses
        self.replaced = replaced
        self.piece_at = {max(uses.position[uses.producer[v]] for v in piece.outputs): piece for piece in pieces}
        self.late: dict[Value, list[int]] = {v: [] for piece in pieces for v in piece.outputs}  # and the places that wait for it
        self.missing: dict[int, int] = {}  # how many values a place waits for
        self.b = Builder()
        self.env: dict[Value, Value] = {}

    def run(self) -> tuple[Func | None, list[Piece]]:
        for at, op in enumerate(self.func.ops):
            piece = self.piece_at.get(at)
            if piece is None and op in self.replaced:
                continue
            waits = [v for v in self.reads(at) if v in self.late]
            if waits:
                self.missing[at] = len(waits)
                self.late.update((v, []) for v in self.makes(at) if v not in self.late)
                for v in waits:
                    self.late[v].append(at)
            else:
                self.emit(at)
        if self.missing:
            return None, [self.piece_at[at] for at in self.missing if at in self.piece_at]
        results = tuple(self.env.get(v, v) for v in self.func.results)
        return self.func.with_(ops=tuple(self.b.ops), results=results), []

    def reads(self, at: int) -> Sequence[Value]:
        piece = self.piece_at.get(at)
        return piece.operands if piece else reads_of(self.func.ops[at])

    def makes(self, at: int) -> Sequence[Value]:
        piece = self.piece_at.get(at)
        return piece.outputs if piece else self.func.ops[at].results

    def emit(self, at: int) -> None:
        """Emit what is at this place, and what waited for it, in order."""
        ready = [at]
        while ready:
            at = heappop(ready)
            self.write(at)
            for v in self.makes(at):
                for waiting in self.late.pop(v, ()):
                    self.missing[waiting] -= 1
                    if not self.missing[waiting]:
                        del self.missing[waiting]
                        heappush(ready, waiting)

    def write(self, at: int) -> None:
        piece, op = self.piece_at.get(at), self.func.ops[at]
        if piece is not None:
            operands, names = [self.env.get(v, v) for v in piece.operands], [v.name for v in piece.outputs]
            new = self.b.emit(lookup("blocked"), operands, piece.attrs, regions=piece.regions, names=names, loc=piece.ops[-1].loc)
            self.env.update(zip(piece.outputs, new.results, strict=True))
        else:
            self.b.insert_with(op, self.env)
