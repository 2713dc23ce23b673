"""Between scalars and the lanes of vectors."""

from __future__ import annotations

import numpy as np

from rlxc.errors import DTypeError
from rlxc.ir.attributes import Dense
from rlxc.ir.primitive import register
from rlxc.ir.types import VectorType
from rlxc.primitives.loop.base import LoopPrimitive, require_same, require_vector


@register
class Constant(LoopPrimitive):
    """One number in every lane."""

    name = "constant"
    cycles = 0.0
    inline_attr = "value"
    typed = True

    def infer(self, *, value: Dense, type: VectorType):
        if not isinstance(type, VectorType) or not value.is_splat or value.type.dtype != type.dtype:
            raise DTypeError(f"constant: {value.type} is not one element of {type}")
        return type

    def eval(self, *, value, type):
        return value.array[()] if type.lanes == 1 else np.full(type.lanes, value.array)

    def llvm(self, w, type, *, value):
        return w.literal(value.array[()], type)

    def widen(self, e, lanes, *, value, type):
        return e.apply(self, value=value, type=type.with_lanes(lanes))


@register
class Splat(LoopPrimitive):
    """A scalar in every lane."""

    name = "splat"

    def infer(self, x, *, lanes: int):
        require_vector(self.name, x)
        if x.lanes != 1 or not 2 <= lanes <= 1024:
            raise DTypeError(f"splat: {x} to {lanes} lanes")
        return x.with_lanes(lanes)

    def eval(self, x, *, lanes):
        return np.full(lanes, x)

    def llvm(self, w, type, x, *, lanes):
        return w.broadcast(x, lanes)


@register
class LaneIndex(LoopPrimitive):
    """0, 1, 2, ... by lane."""

    name = "lane_index"
    cycles = 0.0
    typed = True

    def infer(self, *, type: VectorType):
        require_vector(self.name, type, "iu")
        return type

    def eval(self, *, type):
        return np.arange(type.lanes).astype(type.dtype.numpy)

    def llvm(self, w, type):
        return w.lane_numbers(type)


@register
class FoldLanes(LoopPrimitive):
    """All lanes combined into one scalar: upper half with lower half until one is left, so that the order is fixed."""

    name = "fold_lanes"

    def infer(self, x, *, kind: str):
        require_vector(self.name, x)
        if kind not in ("add", "mul", "max", "min", "and", "or", "xor"):
            raise DTypeError(f"fold_lanes: there is no kind '{kind}'")
        if x.lanes & (x.lanes - 1):
            raise DTypeError(f"fold_lanes: {x.lanes} lanes are not a power of two")
        return x.with_lanes(1)

    def eval(self, x, *, kind):
        combine = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}.get(kind)
        combine = combine or {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}[kind]
        x = np.atleast_1d(x)
        while len(x) > 1:
            x = combine(x[: len(x) // 2], x[len(x) // 2 :])
        return x[0]

    def llvm(self, w, type, x, *, kind):
        return w.fold_lanes(x, kind)


@register
class AnyLane(LoopPrimitive):
    """Whether the condition holds in some lane."""

    name = "any_lane"

    def infer(self, x):
        require_vector(self.name, x, "b")
        return x.with_lanes(1)

    def eval(self, x):
        return np.any(x)

    def llvm(self, w, type, x):
        if x.type.lanes == 1:
            return x.text
        t = w.type(x.type)
        return w.call(f"llvm.vector.reduce.or.v{x.type.lanes}i1", type, [f"{t} {x.text}"], [t])


@register
class Shuffle(LoopPrimitive):
    """The lanes of x, then those of y, picked by number: lane i of the result is number `lanes[i]` of them."""

    name = "shuffle"
    widens = False

    def infer(self, x, y, *, lanes: tuple[int, ...]):
        require_vector(self.name, x)
        require_same(self.name, x, y)
        if not lanes or any(not 0 <= i < 2 * x.lanes for i in lanes):
            raise DTypeError(f"shuffle: lanes {list(lanes)} of {x} and {y}")
        return x.with_lanes(len(lanes))

    def eval(self, x, y, *, lanes):
        picked = np.concatenate([np.atleast_1d(x), np.atleast_1d(y)])[list(lanes)]
        return picked if len(lanes) > 1 else picked[0]

    def llvm(self, w, type, x, y, *, lanes):
        return w.shuffle(x, y, lanes)
