"""Random programs with control flow: loops and branches of random bodies, nested, on a few small shapes."""

from __future__ import annotations

import numpy as np

import rlxc.primitives  # noqa: F401
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.primitive import lookup
from rlxc.ir.types import DType, TensorType

SHAPES = [(), (), (3,), (4, 2), (64,)]
F64, I64 = DType("f64"), DType("i64")
COUNTER = TensorType(I64)


def tensor(shape=()) -> TensorType:
    return TensorType(F64, tuple(shape))


class Bodies:
    """Makes random functions of given argument and result types."""

    def __init__(self, seed: int, depth: int = 2) -> None:
        self.rng = np.random.default_rng(seed)
        self.depth = depth

    def pick(self, options):
        return options[self.rng.integers(len(options))]

    def program(self) -> tuple[Func, list[np.ndarray]]:
        args = [Value(tensor(self.pick(SHAPES)), f"x{i}") for i in range(3)] + [Value(COUNTER, "n")]
        b = Builder()
        pool = [*args]
        for _ in range(1 + self.rng.integers(2)):
            pool += self.control(b, pool, self.depth)
            self.some_ops(b, pool, 2)
        results = tuple(self.of_type(b, pool, tensor(self.pick(SHAPES)), fresh=True) for _ in range(2)) + tuple(pool[-2:])
        arrays = [self.rng.uniform(-1, 1, a.type.shape) for a in args[:3]] + [np.array(self.rng.integers(-1, 4))]
        return Func("f", tuple(args), tuple(b.ops), results), arrays

    def region(self, types, result_types, depth: int) -> Func:
        args = tuple(Value(t) for t in types)
        b = Builder()
        pool = list(args)
        self.some_ops(b, pool, int(self.rng.integers(4)))
        if depth and self.rng.random() < 0.5:
            pool += self.control(b, pool, depth - 1)
        results = tuple(self.of_type(b, pool, t) for t in result_types)
        return Func("", args, tuple(b.ops), results, "region")

    def some_ops(self, b: Builder, pool: list[Value], count: int) -> None:
        for _ in range(count):
            floats = [v for v in pool if v.type.dtype == F64]
            if not floats:
                return
            x = self.pick(floats)
            same = [v for v in floats if v.type == x.type]
            match self.rng.integers(6):
                case 0:
                    pool.append(b.tanh(b.add(x, self.pick(same))))
                case 1:
                    pool.append(b.sin(b.mul(x, self.pick(same))))
                case 2:
                    pool.append(b.reduce_max(x, axes=tuple(range(x.type.rank))))
                case 3 if x.type.rank:
                    at = self.pick([v for v in pool if v.type == COUNTER] or [None])
                    if at is not None:
                        update = b.broadcast(b.reduce_max(x, axes=tuple(range(x.type.rank))), shape=x.type.shape[1:], axes=tuple(range(x.type.rank - 1)))
                        pool.append(b.scatter_add(x, b.sin(update), at, axes=(0,)))
                case 4:
                    pool.append(b.select(b.gt(x, 0.0), x, self.pick(same)))
                case 5 if x.type.rank:
                    pool.append(b.sin(b.reverse(x, axes=(0,))))

    def of_type(self, b: Builder, pool: list[Value], t: TensorType, fresh: bool = False) -> Value:
        """A value of a type: one there is, or one that is made."""
        there = [v for v in pool if v.type == t]
        if there and not fresh and self.rng.random() < 0.7:
            return self.pick(there)
        if t == COUNTER:
            counters = [v for v in pool if v.type == t]
            return b.add(self.pick(counters), 1) if counters else b.constant(1, type=t)
        x = self.pick([v for v in pool if v.type.dtype == F64] or [b.constant(0.5, type=tensor())])
        scalar = b.mul(b.reduce_sum(x, axes=tuple(range(x.type.rank))), 1 / max(x.type.size, 1))  # loops must not be chaotic
        wide = b.broadcast(scalar, shape=t.shape, axes=tuple(range(t.rank)))
        return b.sin(wide)

    def control(self, b: Builder, pool: list[Value], depth: int) -> list[Value]:
        """One op of control flow on values of the pool; its results."""
        kind = self.pick(["scan", "scan", "cond", "switch", "while", "map"])
        consts = [self.pick(pool) for _ in range(self.rng.integers(3))]
        carried = [self.pick(pool) for _ in range(1 + self.rng.integers(3))]
        length = int(self.pick([0, 1, 2, 3, 4, 7]))
        xs = [self.of_type(b, pool, tensor((length, *self.pick(SHAPES))), fresh=True) for _ in range(self.rng.integers(3))]
        elements = [tensor(x.type.shape[1:]) for x in xs]
        types = [v.type for v in (*consts, *carried)]
        match kind:
            case "scan":
                ys = [tensor(self.pick(SHAPES)) for _ in range(self.rng.integers(3))]
                attrs = {"consts": len(consts), "carries": len(carried), "length": length, "reverse": bool(self.rng.integers(2))}
                body = self.region([*types, *elements], [*(v.type for v in carried), *ys], depth)
                return list(b.with_regions(lookup("scan"), [*consts, *carried, *xs], attrs, (body,)))
            case "map":
                xs = xs or [self.of_type(b, pool, tensor((length, 3)), fresh=True)]
                elements = [tensor(x.type.shape[1:]) for x in xs]
                body = self.region([*(v.type for v in consts), *elements], [tensor(self.pick(SHAPES))], depth)
                return list(b.with_regions(lookup("map"), [*consts, *xs], {"consts": len(consts)}, (body,)))
            case "cond" | "switch":
                results = [v.type for v in carried]
                n = 2 if kind == "cond" else 1 + int(self.rng.integers(3))
                regions = tuple(self.region(types, results, depth) for _ in range(n))
                counter = self.of_type(b, pool, COUNTER)
                choice = b.gt(counter, 0) if kind == "cond" else counter
                return list(b.with_regions(lookup(kind), [choice, *consts, *carried], {}, regions))
            case _:
                carried.append(b.constant(0, type=COUNTER))
                types = [v.type for v in (*consts, *carried)]
                c = Builder()
                args = tuple(Value(t) for t in types)
                go = c.lt(args[-1], c.constant(int(self.rng.integers(6)), type=COUNTER))
                condition = Func("", args, tuple(c.ops), (go,), "region")
                inner = self.region(types[:-1], [v.type for v in carried[:-1]], depth)
                d = Builder()
                count = Value(COUNTER)
                following = d.add(count, 1)
                body = inner.with_(args=(*inner.args, count), ops=(*inner.ops, *d.ops), results=(*inner.results, following))
                attrs = {"consts": len(consts), "bound": int(self.pick([0, 0, 3]))}
                return list(b.with_regions(lookup("while"), [*consts, *carried], attrs, (condition, body)))
