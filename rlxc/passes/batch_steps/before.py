"""What a step does without what is carried is done before the loop, for all steps at once."""

from __future__ import annotations

from rlxc.ir.builder import Builder
from rlxc.ir.core import Op, Value
from rlxc.passes.vmap import Batching
from rlxc.primitives.control.folds import Parts

FEW = 256  # elements of a result that is hardly worth a kernel
NEAR = 4 << 20  # bytes of a value that may be stacked though nothing asks for it
REUSE = 32.0  # flops with each element of what all steps read, from where on they do not wait for memory


def batch_before(b: Builder, op: Op, most: int) -> Op:
    """`op` without the ops that are done before it, which are emitted; their results are further operands."""
    split = _Split(op, most)
    if not split.early:
        return op
    batching = Batching(op.attrs["length"])
    batching.ops = b.ops
    for arg, x in zip(split.parts.const_args, split.parts.consts, strict=True):
        batching.bind(arg, x, False)
    for arg, x in zip(split.parts.x_args, split.parts.xs, strict=True):
        batching.bind(arg, x)
    batching.ops_of(split.early)
    return split.rest(batching)


class _Split:
    """The ops of a body that are done early, and the others."""

    def __init__(self, op: Op, most: int) -> None:
        self.op = op
        self.most = most
        self.parts = Parts.of(op)
        self.body = op.regions[0]
        self.same = set(self.parts.const_args)  # values that are the same in each step
        self.free = set(self.parts.x_args)  # others that depend on no carry
        self.early = self.choose()

    def choose(self) -> list[Op]:
        """Ops that are worth it, with what they need, and what follows from them element by element."""
        wanted: set[Value] = set()
        free = [op for op in self.body.ops if self.is_free(op)]
        if not self.parts.carries and len(free) == len(self.body.ops) and all(self.stacked_bytes(op) <= NEAR for op in free):
            return free  # the loop is a map
        for op in free:
            if self.is_invariant(op) or self.is_worth_it(op):
                wanted.update(op.results)
        for op in self.body.ops:
            if op.prim.elementwise and op.result.type.size <= FEW and not wanted.isdisjoint(op.operands) and self.is_known(op):
                wanted.update(op.results)  # it follows from what is worth it
        for op in reversed(self.body.ops):
            if not wanted.isdisjoint(op.results):
                wanted.update(op.operands)
        return [op for op in self.body.ops if not wanted.isdisjoint(op.results)]

    def is_known(self, op: Op) -> bool:
        """Whether no carry is needed for `op`."""
        return all(v in self.same or v in self.free for v in op.results)

    def is_free(self, op: Op) -> bool:
        """Note whether the results of `op` are the same in each step, or free; whether it is one of them."""
        if op.prim.has_effect or not op.results:
            return False
        if all(v in self.same for v in op.operands):
            self.same.update(op.results)
            return True
        if op.regions or not op.prim.has_rule("batch") or not all(v in self.same or v in self.free for v in op.operands):
            return False
        if self.stacked_bytes(op) > self.most:
            return False
        self.free.update(op.results)
        return True

    def stacked_bytes(self, op: Op) -> int:
        return self.op.attrs["length"] * sum(v.type.nbytes for v in op.results)

    def is_worth_it(self, op: Op) -> bool:
        """Whether one step does so little that many at once are faster, though what they give goes through memory."""
        if not op.prim.has_loops and op.prim.cost.recompute:
            return False
        if sum(v.type.size for v in op.results) <= FEW:
            return True
        flops = op.prim.flops([v.type for v in op.operands], [v.type for v in op.results], **op.attrs)
        read = max((v.type.size for v in op.operands if v in self.same), default=0)  # again in each step
        return 0 < flops < REUSE * read

    def is_invariant(self, op: Op) -> bool:
        """Whether `op` computes the same in each step, and not only reads it."""
        return all(v in self.same for v in op.results) and bool(op.operands) and not (op.prim.index_map or op.prim.view)

    def rest(self, batching: Batching) -> Op:
        """The loop without the early ops."""
        early = {v for op in self.early for v in op.results}
        late = [op for op in self.body.ops if op.results[0] not in early]
        read = dict.fromkeys(v for op in late for v in op.operands if v in early)
        read.update(dict.fromkeys(v for v in self.body.results if v in early))
        consts = [v for v in read if v not in batching.batched]
        xs = [v for v in read if v in batching.batched]
        parts, b = self.parts, Builder()
        env = {v: v.like() for v in (*self.body.args, *read)}
        for op in late:
            b.rebuild(op, env)
        args = (*parts.const_args, *consts, *parts.carried_args, *parts.x_args, *xs)
        region = self.body.with_(args=tuple(env[v] for v in args), ops=tuple(b.ops), results=tuple(env.get(v, v) for v in self.body.results))
        given = {v: batching.env[v] for v in read}
        operands = (*parts.consts, *(given[v] for v in consts), *parts.carries, *parts.xs, *(given[v] for v in xs))
        attrs = dict(self.op.attrs) | {"consts": len(parts.consts) + len(consts)}
        return Op(self.op.prim, operands, attrs, self.op.results, (region,), self.op.loc)
