"""Vectorize: one loop of each nest takes many elements at a time.

    for %i in 0..100 {                          for %i in 0..100 step 16 {
      %0 = load %x, %i : f32                      %1 = min %i, 84              the last step goes back, and does some again
      %1 = exp %0 : f32                 =>        %2 = load %x, %1 {lanes = 16} : f32x16
      store %y, %1, %i                            %3 = exp %2 : f32x16
    }                                             store %y, %3, %1
                                                }

The loop is chosen by how it walks through memory: the one in which accesses are consecutive. In it a value is the same for all lanes
(uniform), an index that grows evenly (affine), or a vector. A reduction is carried in a vector, its lanes are combined at the end, in a
fixed order; in the last step, lanes that were counted already are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.types import INDEX, MemType, VectorType
from rlxc.passes.manager import module_pass
from rlxc.passes.schedule.plan import Fold, Plan, loops_to_widen, strides_of, trips
from rlxc.passes.schedule.rewrite import Rewriter, rules

FEW_OPS = 40  # in a loop body that may be written twice
MAX_STRIDE = 4  # beyond, elements are loaded one by one


@module_pass("vectorize")
def vectorize(module: Module, *, bytes: int = 64, unroll: int = 2) -> Module:
    """Widen one loop of each nest to `unroll` vectors of `bytes`; reductions to twice as many, so that their steps overlap."""
    done = []
    for f in module.funcs:
        chosen = loops_to_widen(f) if f.kind == "kernel" else {}
        done.append(_Vectorize(f, chosen, bytes, unroll).run() if chosen else f)
    return Module(tuple(done))


@dataclass(frozen=True, slots=True)
class Affine:
    """An index that is `base` + `step` * lane."""

    base: Value
    step: int


class _Vectorize(Rewriter):
    def __init__(self, func: Func, chosen: dict[Op, Plan], bytes: int, unroll: int) -> None:
        super().__init__(func)
        self.chosen = chosen
        self.bytes = bytes
        self.unroll = unroll
        self.lanes = 0
        self.pairs: dict[Op, tuple[Op, bool]] = {}
        self.store_pairs: dict[Op, Op] = {}
        self.loaded: set[Op] = set()  # loads that came with their partners
        self.fresh: Value | None = None  # lanes of the last step that were not counted already
        self.only: Value | None = None  # lanes that may be stored, where others were already
        self.fold_of: dict[Value, tuple[Fold, Value]] = {}  # how results accumulate, and into what
        self.waiting: dict[Op, tuple[Value, list[Value]]] = {}  # by the store that fills the gaps of another: that one's vector and place
        self.lane: dict[Value, Affine | Value] = {}  # in the loop being widened: affine indices and vectors; the rest is uniform

    def changes(self, op: Op) -> bool:
        return op in self.chosen

    def loop(self, op: Op) -> None:
        if op in self.chosen:
            self.widen(op, self.chosen[op])
        else:
            super().loop(op)

    # one loop

    def widen(self, op: Op, plan: Plan) -> None:
        start, stop = op.attrs["start"], op.attrs["stop"]
        count, self.pairs, self.store_pairs = trips(op), plan.pairs, plan.store_pairs
        wanted = self.bytes // plan.element_bytes * self.unroll * (2 if plan.folds or plan.has_loops else 1)
        lanes = min(max(wanted, 2), 1 << (count.bit_length() - 1), 1024)
        if plan.in_place and not plan.folds:  # rather one vector a step than the body twice
            single = self.bytes // plan.element_bytes
            while lanes > single and count % lanes:
                lanes //= 2
        (body,) = op.regions
        whole = count - count % lanes
        inits = [self.of(v) for v in op.operands]
        counts_twice = any(f.kind in ("add", "mul", "xor") for f in plan.folds)
        apart = plan.in_place or (counts_twice and sum(1 for _ in body.walk()) <= FEW_OPS)  # the last step is written for itself
        overlap = not apart and not plan.repeats
        e = self.e
        neutral = [neutral_value(e, f, v) for f, v in zip(plan.folds, inits, strict=True)]
        vectors = [e.splat(v, lanes=lanes) for v in neutral]

        def run(i: Value, *carried: Value, last: bool = False) -> tuple[Value, ...]:
            base, fresh = i, None
            if overlap and whole != count:
                base = e.min(i, stop - lanes)
                if counts_twice:
                    fresh = self.lanes_from(e.convert(e.sub(i, base), dtype="i32"), lanes)
            elif last:
                fresh = self.lanes_from(e.constant(lanes - (count - whole), dtype="i32"), lanes)
            self.lanes = lanes
            self.env[body.args[0]] = base
            self.lane[body.args[0]] = Affine(base, 1)
            for a, v in zip(body.args[1:], carried, strict=True):
                self.lane[a] = v
            self.fresh, self.fold_of = fresh, {f.op.result: (f, a) for f, a in zip(plan.folds, body.args[1:], strict=True)}
            self.only = fresh if last and plan.in_place else None
            self.ops_wide(body.ops)
            self.lanes, self.only = 0, None
            return tuple(self.vector(v) for v in body.results)

        totals = e.for_(start, stop if overlap else start + whole, run, vectors, step=lanes, parallel=op.attrs["parallel"])
        if apart and not plan.repeats and whole != count:
            totals = run(e.constant(stop - lanes, dtype="index"), *totals, last=True)
        self.lane.clear()
        combined = [
            getattr(e, f.kind if f.kind not in ("and", "or") else f.kind + "_")(init, e.fold_lanes(total, kind=f.kind))
            for f, init, total in zip(plan.folds, inits, totals, strict=True)
        ]
        if plan.repeats and whole != count:
            rest = Op(op.prim, tuple(combined), {**op.attrs, "start": start + whole, "parallel": False}, op.results, op.regions, op.loc)
            super().loop(rest)
            return
        self.bind(op, combined)

    def lanes_from(self, first: Value, lanes: int) -> Value:
        """A mask of the lanes from the first one on."""
        e = self.e
        return e.ge(e.lane_index(type=VectorType(first.type.dtype, lanes)), e.splat(first, lanes=lanes))

    def ops_wide(self, ops: Sequence[Op]) -> None:
        for op in ops:
            self.e.loc = op.loc
            if op.prim.syntax == "for":
                self.loop_wide(op)
            elif all(v not in self.lane for v in op.operands):
                self.op(op)
            elif rules(op).access:
                self.access_wide(op)
            elif (index := self.affine(op)) is not None:
                self.lane[op.result] = index
            else:
                self.op_wide(op)

    def loop_wide(self, op: Op) -> None:
        """A loop inside: its counter is uniform, what it carries are vectors."""
        (body,) = op.regions

        def run(i: Value, *carried: Value) -> tuple[Value, ...]:
            self.env[body.args[0]] = i
            self.lane.update(zip(body.args[1:], carried, strict=True))
            self.ops_wide(body.ops)
            return tuple(self.vector(v) for v in body.results)

        results = self.e.for_(op.attrs["start"], op.attrs["stop"], run, [self.vector(v) for v in op.operands], step=op.attrs["step"])
        self.lane.update(zip(op.results, results, strict=True))

    def op_wide(self, op: Op) -> None:
        operands = [self.vector(v) for v in op.operands]
        fold = self.fold_of.get(op.results[0]) if op.results else None
        result = rules(op).widen(self.e, self.lanes, *operands, **op.attrs)
        if fold is not None and self.fresh is not None and fold[0].kind in ("add", "mul", "xor"):
            result = self.e.select(self.fresh, result, self.lane[fold[1]])
        self.lane[op.result] = result

    def affine(self, op: Op) -> Affine | None:
        """The op's result as an affine index, if it is one."""
        if not op.results or not _grows_evenly(op):
            return None
        operands = [x for v in op.operands if isinstance(x := self.lane.get(v) or Affine(self.of(v), 0), Affine)]
        if len(operands) != len(op.operands):
            return None
        step = rules(op).affine([x.step for x in operands], [self.e.integers.get(x.base) for x in operands])
        if step is None:
            return None
        return Affine(self.e.apply(op.prim, *[x.base for x in operands], **op.attrs), step)

    def vector(self, v: Value) -> Value:
        """The value in all lanes."""
        wide = self.lane.get(v)
        if wide is None:
            scalar = self.of(v)
            return scalar if isinstance(scalar.type, MemType) or scalar.type.lanes > 1 else self.e.splat(scalar, lanes=self.lanes)
        if isinstance(wide, Affine):
            lanes = self.e.lane_index(type=wide.base.type.with_lanes(self.lanes))
            grown = lanes if wide.step == 1 else self.e.mul(lanes, wide.step)
            return self.e.add(self.e.splat(wide.base, lanes=self.lanes), grown)
        return wide

    # memory

    def access_wide(self, op: Op) -> None:
        """A load or store: of consecutive elements, of one for all lanes, or scattered ones."""
        memory, value, index = rules(op).parts(op.operands)
        place = [x for i in index if isinstance(x := self.lane.get(i) or Affine(self.of(i), 0), Affine)]
        e, where = self.e, self.of(memory)
        stored = None if value is None else self.vector(value)
        strides = strides_of(where.type)
        if rules(op).hint:
            e.apply(op.prim, where, *[i.base for i in place], lanes=self.lanes)
            return
        if len(place) == len(index):
            step = sum(i.step * s for i, s in zip(place, strides, strict=True))
            bases = [i.base for i in place]
            if step == 0 and value is None:
                self.env[op.result] = e.load(where, *bases)
                return
            if step == 1:
                if value is None:
                    self.lane[op.result] = e.load(where, *bases, lanes=self.lanes)
                elif self.only is not None:
                    e.masked_store(where, stored, self.only, *bases)
                else:
                    e.store(where, stored, *bases)
                return
            if step == 2 and value is not None and self.only is None and self.stores_pairs(op, where, stored, bases):
                return
            if step == 2 and op in self.pairs:
                self.load_pairs(op, where, bases)
                return
            if 1 < step <= MAX_STRIDE and value is None and all(i.step == 0 for i in place[:-1]):
                self.lane[op.result] = self.strided(where, bases, step)
                return
        offsets = self.offsets(index, strides)
        if value is None:
            self.lane[op.result] = e.gather(where, offsets)
        else:
            e.scatter(where, stored, offsets, *([] if self.only is None else [self.only]))

    def offsets(self, index: Sequence[Value], strides: Sequence[int]) -> Value:
        """Where each lane's element is, in row-major order."""
        e, offsets = self.e, None
        for i, stride in zip(index, strides, strict=True):
            wide = self.vector(i)
            term = wide if stride == 1 else e.mul(wide, stride)
            offsets = term if offsets is None else e.add(offsets, term)
        assert offsets is not None
        return offsets

    def stores_pairs(self, op: Op, memory: Value, value: Any, bases: list[Value]) -> bool:
        """Whether this store of every second element waits for the one that fills its gaps, or is that one: then both are stored at once."""
        if op in self.waiting:
            other, place = self.waiting.pop(op)
            lanes = tuple(i for lane in range(self.lanes) for i in (lane, self.lanes + lane))
            self.e.store(memory, self.e.shuffle(other, value, lanes=lanes), *place)
            return True
        if op in self.store_pairs:
            self.waiting[self.store_pairs[op]] = value, bases
            return True
        return False

    def load_pairs(self, op: Op, memory: Value, index: list[Value]) -> None:
        """Every second element and those between, each vector loaded once."""
        if op in self.loaded:
            self.loaded.remove(op)
            return
        e, each = self.e, min(self.lanes, max(2, self.bytes // memory.type.dtype.size))  # type: ignore[union-attr]
        partner, is_first = self.pairs[op]
        self.loaded.add(partner)
        first = index[-1] if is_first else e.index_add(index[-1], -1)
        parts: list[list[Value]] = [[], []]
        for at in range(0, 2 * self.lanes, 2 * each):
            low, high = (e.load(memory, *index[:-1], e.as_index(e.index_add(first, at + k * each)), lanes=each) for k in (0, 1))
            for k in (0, 1):
                parts[k].append(e.shuffle(low, high, lanes=tuple(range(k, 2 * each, 2))))
        evens, odds = (self.joined(vectors) for vectors in parts)
        self.lane[op.result], self.lane[partner.result] = (evens, odds) if is_first else (odds, evens)

    def joined(self, parts: list[Value]) -> Value:
        """Vectors, a power of two of them, as one."""
        while len(parts) > 1:
            lanes = tuple(range(2 * parts[0].type.lanes))  # type: ignore[union-attr]
            parts = [self.e.shuffle(x, y, lanes=lanes) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def strided(self, memory: Value, index: list[Value], step: int) -> Value:
        """Every `step`-th element from an index on: whole vectors are loaded, the last of which ends with the last element, and lanes are picked."""
        e, each = self.e, min(self.lanes, max(2, self.bytes // memory.type.dtype.size))  # type: ignore[union-attr]
        parts = []
        for first in range(0, self.lanes, each):
            starts = [*(k * each for k in range(step - 1)), (step - 1) * (each - 1)]
            vectors = [e.load(memory, *index[:-1], e.index_add(index[-1], first * step + at), lanes=each) for at in starts]
            picked, known = vectors[0], 0
            for k, (at, vector) in enumerate(zip(starts, vectors, strict=True)):
                upto = each if k == step - 1 else -(-(k + 1) * each // step)
                own = [lane * step - at + (each if k else 0) for lane in range(known, upto)]
                rest = [lane if k else 0 for lane in range(upto, each)]
                picked = e.shuffle(picked, vector, lanes=(*range(known), *own, *rest))
                known = upto
            parts.append(picked)
        return self.joined(parts)


def _grows_evenly(op: Op) -> bool:
    """Whether the op's result may be affine: an index made of indices, or one counted in another integer dtype."""
    if op.result.type != INDEX and not (isinstance(op.result.type, VectorType) and op.result.type.dtype.is_integer):
        return False
    return all(v.type == INDEX for v in op.operands)


def neutral_value(e: Any, fold: Fold, init: Value) -> Value:
    """What the other lanes start from."""
    dtype = init.type.dtype
    match fold.kind:
        case "mul":
            return e.constant(1, like=init)
        case "max" | "min" | "and" | "or":
            return init
    return e.constant(-0.0 if dtype.is_float else 0, like=init)
