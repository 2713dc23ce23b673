"""The op that computes a function block by block, so that what is large in between never exists as a whole.

    blocked %q, %k, %v {sizes = [12, 1024], blocks = [1, 64], takes = [[0, 1, -1], [0, -1, -1], [0, -1, -1]], gives = [[0, 1, -1]]}
    do (%q: f32[1, 64, 64], %k: f32[1, 1024, 64], %v: f32[1, 1024, 64]) { ... yield %o }

A grid of `sizes` is cut into `blocks`. For each operand and result, axis by axis, a dimension of the grid is named along which the region has one
block of it, or -1: the region has all. A result that does not name a dimension of the grid is summed over it. Where the last size is no
multiple of its block, a second region computes what is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.errors import DifferentiationError, DTypeError, ShapeError
from rlxc.ir.core import Func
from rlxc.ir.interp import run_ops
from rlxc.ir.primitive import Primitive, Program, register
from rlxc.ir.types import BOOL, FLOATS, INTEGERS


@register
class Blocked(Primitive):
    """Compute a region for each block of a grid; results are put together, or summed where they do not go along a dimension of the grid."""

    name = "blocked"
    samples = (
        Program("""func @f(%x: f64[5, 2], %w: f64[2]) -> (f64[5, 2], f64[2]) {
  %a, %b = blocked %x, %w {sizes = [5], blocks = [2], takes = [[0, -1], [-1]], gives = [[0, -1], [-1]]} do (%y: f64[2, 2], %v: f64[2]) {
    %u = broadcast %v {shape = [2, 2], axes = [0]}
    %p = mul %y, %u
    %s = sin %p
    %t = reduce_sum %p {axes = [0]}
    yield %s, %t
  } do (%y1: f64[1, 2], %v1: f64[2]) {
    %u1 = reshape %v1 {shape = [1, 2]}
    %p1 = mul %y1, %u1
    %s1 = sin %p1
    %t1 = reduce_sum %p1 {axes = [0]}
    yield %s1, %t1
  }
  return %a, %b
}"""),
    )
    by_blocks = True
    dtypes = (*FLOATS, *INTEGERS, BOOL)

    def infer(
        self,
        *xs,
        sizes: tuple[int, ...],
        blocks: tuple[int, ...],
        takes: tuple[tuple[int, ...], ...],
        gives: tuple[tuple[int, ...], ...],
    ):
        raise ShapeError("blocked needs a region")

    def infer_regions(self, types: Any, regions: tuple[Func, ...], attrs: dict) -> tuple:
        """Result types; raises where operands, regions and grid do not fit."""
        sizes, blocks = attrs["sizes"], attrs["blocks"]
        uneven = len(sizes) != len(blocks) or not sizes or any(n < 1 or b < 1 or b > n for n, b in zip(sizes, blocks, strict=False))
        if uneven or any(n % b for n, b in zip(sizes[:-1], blocks[:-1], strict=True)):
            raise ShapeError(f"blocked: a grid of {list(sizes)} is not cut evenly by {list(blocks)}")
        left = sizes[-1] % blocks[-1]
        if len(regions) != 1 + (left > 0):
            raise ShapeError(f"blocked: {list(blocks)} of {list(sizes)} take {1 + (left > 0)} regions, not {len(regions)}")
        found = [self._region_results(types, region, attrs, size) for region, size in zip(regions, (blocks[-1], left), strict=False)]
        if any(results != found[0] for results in found):
            raise ShapeError("blocked: the regions' results differ")
        return found[0]

    def _region_results(self, types: Any, region: Func, attrs: dict, rows: int) -> tuple:
        """Result types of the whole, as one region has them, whose blocks have so many rows."""
        sizes, blocks = attrs["sizes"], (*attrs["blocks"][:-1], rows)
        if len(attrs["takes"]) != len(types) or len(region.args) != len(types) or len(attrs["gives"]) != len(region.results):
            raise ShapeError("blocked: operands, `takes` and the region's arguments, or `gives` and its results, differ in number")
        for type_, arg, axes in zip(types, region.args, attrs["takes"], strict=True):
            if whole_shape(arg.type.shape, axes, sizes, blocks) != type_.shape or arg.type.dtype != type_.dtype:
                raise DTypeError(f"blocked: {type_} does not go with {arg.type} in the region along {list(axes)}")
        shapes = [whole_shape(v.type.shape, axes, sizes, blocks) for v, axes in zip(region.results, attrs["gives"], strict=True)]
        if None in shapes:
            raise ShapeError("blocked: a result of the region is no block of the grid")
        return tuple(v.type.with_shape(shape) for v, shape in zip(region.results, shapes, strict=True))

    def eval_regions(self, env: dict, op: Any) -> tuple:
        sizes, blocks = op.attrs["sizes"], op.attrs["blocks"]
        outs = [np.zeros(v.type.shape, v.type.dtype.numpy) for v in op.results]
        for at in itertools.product(*(range(0, n, b) for n, b in zip(sizes, blocks, strict=True))):
            region = op.regions[at[-1] + blocks[-1] > sizes[-1]]
            for arg, v, axes in zip(region.args, op.operands, op.attrs["takes"], strict=True):
                env[arg] = np.ascontiguousarray(env[v][_window(arg.type.shape, axes, at)])
            run_ops(region.ops, env)
            for v, out, axes in zip(region.results, outs, op.attrs["gives"], strict=True):
                out[_window(v.type.shape, axes, at)] += env[v]
        return tuple(outs)

    def jvp(self, b, primals, tangents, outs, **attrs):
        raise self.too_late()

    def batch_regions(self, b, op, operands, batched, bodies):
        raise self.too_late()

    def too_late(self) -> DifferentiationError:
        return DifferentiationError("blocked is made for native code: differentiate, or batch, the function that it was made of", code="RLX0302")


def whole_shape(shape: Sequence[Any], axes: Sequence[int], sizes: Sequence[int], blocks: Sequence[int]) -> tuple | None:
    """The shape of an array of which a region has blocks of `shape`; None if they do not fit the grid."""
    if len(shape) != len(axes) or any(not -1 <= d < len(sizes) for d in axes):
        return None
    if any(d >= 0 and n != blocks[d] for n, d in zip(shape, axes, strict=True)):
        return None
    return tuple(n if d < 0 else sizes[d] for n, d in zip(shape, axes, strict=True))


def _window(shape: Sequence[int], axes: Sequence[int], at: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(None) if d < 0 else slice(at[d], at[d] + n) for n, d in zip(shape, axes, strict=True))
