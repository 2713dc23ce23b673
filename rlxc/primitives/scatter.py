"""Updates at computed places: scatter_add, scatter_set, scatter_mul, scatter_min, scatter_max.

    scatter_add %x, %u, %i, %j {axes = [0, 2]}     y = x; for every p, r: y[i[p...], r..., j[p...]] += u[p..., r...]

Indices, `axes` and `batch` are those of gather; the updates have the shape that gather gives. Updates are applied in row-major order of the
indices, so of several for one place the last is set. One that is out of bounds is left out (`bounds = "drop"`, the default), or goes to the
nearest element (`bounds = "clamp"`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Cost, Primitive, Sample, register
from rlxc.ir.types import ANY, NUMBERS, REALS, TensorType
from rlxc.primitives.families import LinearMap, batch_size, is_linear, require_dtype, same_dtype, with_batch_axis
from rlxc.primitives.gather import batch_places, check_indices, check_not_empty, clamped, indexed_first, place, places
from rlxc.primitives.pad import shifted
from rlxc.primitives.reduce import in_f32

ScatterBounds = Literal["drop", "clamp"]


class Scatter(Primitive):
    """x with the updates combined into the places that index arrays name."""

    dtypes: ClassVar = REALS
    cost = Cost(flops=1, recompute=False)
    computes: ClassVar[bool] = True  # arithmetic, which narrow floats do in f32
    samples: ClassVar[Sequence[Any]] = (
        Sample("f64[5], f64[3], i64[3]", axes=(0,)),
        Sample("f64[3, 2], f64[4, 2], i32[4]", axes=(0,)),
        Sample("f64[3, 2, 2], f64[5, 2], i64[5], i64[5]", axes=(0, 2)),
        Sample("f64[4, 3]", "f64[5, 4]", np.array([-1, 0, 7, 2, 2]), axes=(1,), bounds="clamp"),
        Sample("f64[4, 3]", "f64[5, 3]", np.array([-1, 0, 7, 3, 3]), axes=(0,)),
        Sample("f64[2, 4, 3]", "f64[2, 3, 3]", np.array([[0, 3, 3], [1, 0, 9]], np.int8), axes=(1,), batch=1),
        Sample("f64[2, 3]", "f64[2]", np.array([2, 0], np.uint8), axes=(1,), batch=1),
        Sample("f64[3], f64[], i64[]", axes=(0,)),
        Sample("f64[3], f64[0], i64[0]", axes=(0,)),
        Sample("f64[0, 2], f64[3, 2], i64[3]", axes=(0,)),
    )

    def infer(self, x, updates, *indices, axes: tuple[int, ...], batch: int = 0, bounds: ScatterBounds = "drop"):
        shape = check_indices(self.name, x, indices, axes, batch, self.dtypes)
        require_dtype(self.name, updates, self.dtypes)
        same_dtype(self.name, (x, updates))
        if updates.shape != shape:
            raise ShapeError(f"{self.name}: updates are {updates}, not {x.with_shape(shape)}")
        if bounds == "clamp":
            check_not_empty(self.name, x, axes, shape)
        return x

    def combine_arrays(self, y, at, updates):
        """Combine `updates` into `y` at `at`, in place."""
        raise self.missing("combine_arrays")

    def combine(self, e, old, new):
        """What replaces an element, at the loop level."""
        raise self.missing("combine")

    def eval(self, x, updates, *indices, axes, batch=0, bounds="drop"):
        x, updates = np.asarray(x), np.asarray(updates)
        result = np.array(in_f32(x) if self.computes else x)
        at, inside = places(indices, [x.shape[a] for a in axes])
        target, _ = indexed_first(result, axes, batch)
        at = [np.broadcast_to(i, inside.shape) for i in (*batch_places(inside.shape, batch), *at)]
        if bounds == "drop":
            at, updates = [i[inside] for i in at], updates[inside]
        if updates.size:
            self.combine_arrays(target, tuple(at), updates.astype(result.dtype))
        return result.astype(x.dtype)

    def legalize(self, b, x, updates, *indices, **attrs):
        if not self.computes or not x.type.dtype.is_narrow:
            return None
        wide = b.apply(self, b.convert(x, dtype="f32"), b.convert(updates, dtype="f32"), *indices, **attrs)
        return b.convert(wide, dtype=x.type.dtype)

    def batch(self, b, *xs, batched, axes, batch, bounds):
        n = batch_size(xs, batched)
        xs = [x if flag else with_batch_axis(b, x, n) for x, flag in zip(xs, batched, strict=True)]
        return b.apply(self, *xs, axes=tuple(a + 1 for a in axes), batch=batch + 1, bounds=bounds)

    def update(self, e, y, reads, *, axes, batch, bounds):
        updates, *indices = reads
        shape = y.type.shape
        if 0 in shape:
            return
        rank = indices[0].type.rank

        def row(outer):
            def one(rest):
                at = place(e, shape, outer, rest, indices, axes, batch)
                safe = clamped(e, at, shape, axes)
                old = y.load(safe)
                new = self.combine(e, old, updates([*outer, *rest]))
                if bounds == "drop":
                    for a in axes:
                        new = e.select(e.inside(at[a], shape[a]), new, old)
                y.store(safe, new)

            e.for_each(updates.type.shape[rank:], one)

        e.for_each(updates.type.shape[:rank], row)

    def fold(self, b, x, updates, *indices, **attrs):
        """No updates."""
        return x if 0 in updates.type.shape else None


@register
class ScatterAdd(Scatter, LinearMap):
    """x with the updates added at the places that index arrays name; several for one place add up."""

    name = "scatter_add"
    dtypes = NUMBERS
    linear_in = ((0, 1),)

    def combine_arrays(self, y, at, updates):
        np.add.at(y, at, updates)

    def combine(self, e, old, new):
        return e.add(old, new)

    def transpose(self, b, cts, operands, *, axes, batch, bounds):
        x, updates, *indices = operands
        dupdates = None
        if is_linear(updates):
            dupdates = b.gather(cts[0], *indices, axes=axes, batch=batch, bounds="fill" if bounds == "drop" else "clamp")
        return cts[0] if is_linear(x) else None, dupdates, *(None for _ in indices)

    def add_to(self, b, total, x, updates, *indices, zeros, carried, **attrs):
        """Updates of zeros can be updates of the total."""
        return b.apply(self, total, updates, *indices, **attrs) if zeros[0] else None


@register
class ScatterSet(Scatter, LinearMap):
    """x with the updates in the places that index arrays name; of several for one place, the last one in row-major order."""

    name = "scatter_set"
    dtypes = ANY
    computes = False
    linear_in = ((0, 1),)
    cost = Cost(flops=0, recompute=False)

    def combine_arrays(self, y, at, updates):
        y[at] = updates

    def combine(self, e, old, new):
        return new

    def transpose(self, b, cts, operands, *, axes, batch, bounds):
        x, updates, *indices = operands
        attrs = {"axes": axes, "batch": batch}
        dx = dupdates = None
        if is_linear(x):
            dx = b.scatter_set(cts[0], b.zeros(updates.type), *indices, **attrs, bounds=bounds)
        if is_linear(updates):
            found = b.gather(cts[0], *indices, **attrs, bounds="fill" if bounds == "drop" else "clamp")
            stays = last_writers(b, x.type, indices, axes, batch, bounds)
            rank = stays.type.rank
            repeated = tuple(range(rank, found.type.rank))
            stays = b.broadcast(stays, shape=found.type.shape, axes=repeated) if repeated else stays
            dupdates = b.select(stays, found, b.zeros(found.type))
        return dx, dupdates, *(None for _ in indices)


def last_writers(b, type, indices, axes, batch, bounds):
    """Which of the updates of an array of `type` are the last ones for their place: booleans in the shape of the indices."""
    shape = indices[0].type.shape
    number = TensorType("i64", (math.prod(shape),))
    if not number.size:
        return b.constant(True, type=TensorType("bool", shape))
    numbers = b.reshape(b.iota(axis=0, type=number), shape=shape)
    slots = slots_of(type, axes, batch)
    at = {"axes": tuple(range(batch, batch + len(axes))), "batch": batch}
    written = b.scatter_set(b.constant(-1, type=slots), numbers, *indices, **at, bounds=bounds)
    found = b.gather(written, *indices, **at, bounds="fill" if bounds == "drop" else "clamp")
    return b.eq(found, numbers)


def slots_of(type, axes, batch):
    """An array of integers with an element for each place that indices can name."""
    return TensorType("i64", (*type.shape[:batch], *(type.shape[a] for a in axes)))


@register
class ScatterMul(Scatter):
    """x with elements multiplied by the updates at the places that index arrays name; several for one place all count."""

    name = "scatter_mul"
    samples: ClassVar[Sequence[Any]] = (
        *Scatter.samples,
        Sample("f64[3]", np.array([0.0, 2.0, 0.0, 3.0, 0.0]), np.array([0, 0, 1, 1, 1]), axes=(0,)),
    )

    def combine_arrays(self, y, at, updates):
        np.multiply.at(y, at, updates)

    def combine(self, e, old, new):
        return e.mul(old, new)

    def jvp(self, b, primals, tangents, outs, *, axes, batch, bounds):
        """By an element, the product of its updates; by an update, the element times the product of the other updates for its place."""
        x, updates, *indices = primals
        dx, du, *_ = tangents
        attrs = {"axes": axes, "batch": batch, "bounds": bounds}
        total = None
        if dx is not None:
            factor = b.scatter_mul(b.constant(1, type=x.type), updates, *indices, **attrs)
            total = b.mul(dx, factor)
        if du is not None and 0 not in updates.type.shape:
            before = b.gather(x, *indices, axes=axes, batch=batch, bounds="fill" if bounds == "drop" else "clamp")
            partial = b.mul(before, other_updates(b, x.type, updates, indices, axes, batch, bounds))
            term = b.scatter_add(b.zeros(x.type), b.mul(du, partial), *indices, **attrs)
            total = term if total is None else b.add(total, term)
        return (total,)


def other_updates(b, type, updates, indices, axes, batch, bounds):
    """For each update, the product of the other updates for the same place, by products along the updates sorted by their places."""
    outer = indices[0].type.shape
    count, rest = math.prod(outer), math.prod(updates.type.shape[len(outer) :])
    flat = TensorType(updates.type.dtype, (count, rest))
    where = b.reshape(place_numbers(b, type, indices, axes, batch, bounds), shape=(count,))
    order = b.argsort(where, axis=0)
    where = b.gather(where, order, axes=(0,))
    factors = b.gather(b.reshape(updates, shape=flat.shape), order, axes=(0,))
    one = b.constant(1, type=flat)
    product = one
    for by in (1, -1):
        same = b.eq(where, shifted(b, where, 0, by=by, fill=-1))
        same = b.broadcast(same, shape=flat.shape, axes=(1,))
        a, start = b.select(same, factors, b.zeros(flat)), b.select(same, b.zeros(flat), factors)
        running = b.linear_recurrence(a, start, axis=0, reverse=by == -1)
        product = b.mul(product, b.select(same, shifted(b, running, 0, by=by, fill=1), one))
    back = b.scatter_set(b.zeros(flat), product, order, axes=(0,))
    return b.reshape(back, shape=updates.type.shape)


def place_numbers(b, type, indices, axes, batch, bounds):
    """The number of the place of each update, from 1, in the shape of the indices; 0 for updates that are left out."""
    slots = slots_of(type, axes, batch)
    line = TensorType("i64", (slots.size,))
    numbers = b.reshape(b.add(b.iota(axis=0, type=line), 1), shape=slots.shape)
    at = tuple(range(batch, batch + len(axes)))
    return b.gather(numbers, *indices, axes=at, batch=batch, bounds="fill" if bounds == "drop" else "clamp")


class ScatterExtremum(Scatter):
    """The tangent is the mean of those of the elements and updates that attain the extreme."""

    def jvp(self, b, primals, tangents, outs, *, axes, batch, bounds):
        x, updates, *indices = primals
        dx, du, *_ = tangents
        attrs = {"axes": axes, "batch": batch}
        dtype = x.type.dtype
        stays = b.eq(x, outs[0])
        found = b.gather(outs[0], *indices, **attrs, bounds="fill" if bounds == "drop" else "clamp")
        wins = b.eq(updates, found)
        count = b.scatter_add(b.convert(stays, dtype=dtype), b.convert(wins, dtype=dtype), *indices, **attrs, bounds=bounds)
        kept = b.zeros(x.type) if dx is None else b.select(stays, dx, b.zeros(x.type))
        won = b.zeros(updates.type) if du is None else b.select(wins, du, b.zeros(updates.type))
        return (b.div(b.scatter_add(kept, won, *indices, **attrs, bounds=bounds), count),)


@register
class ScatterMax(ScatterExtremum):
    """x with the larger of element and updates at the places that index arrays name; nan wins."""

    name = "scatter_max"

    def combine_arrays(self, y, at, updates):
        np.maximum.at(y, at, updates)

    def combine(self, e, old, new):
        return e.max(old, new)


@register
class ScatterMin(ScatterExtremum):
    """x with the smaller of element and updates at the places that index arrays name; nan wins."""

    name = "scatter_min"

    def combine_arrays(self, y, at, updates):
        np.minimum.at(y, at, updates)

    def combine(self, e, old, new):
        return e.min(old, new)
