"""The op that computes a function block by block, so that what is large in between never exists as a whole.

    blocked %q, %k, %v {sizes = [12, 1024], blocks = [1, 64], args = [[0, 1, -1], [0, -1, -1], [0, -1, -1]], results = [[0, 1, -1]]}
    do (%q: f32[1, 64, 64], %k: f32[1, 1024, 64], %v: f32[1, 1024, 64]) { ... yield %o }

A grid of `sizes` is cut into `blocks`. For each operand and result, axis by axis, a dimension of the grid is named along which the region has one
block of it, or -1: the region has all. A result that does not name a dimension of the grid is summed over it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.errors import DTypeError, ShapeError
from rlxc.ir.core import Func
from rlxc.ir.interp import run_ops
from rlxc.ir.primitive import Primitive, register


@register
class Blocked(Primitive):
    """Compute a region for each block of a grid; results are put together, or summed where they do not go along a dimension of the grid."""

    name = "blocked"
    by_blocks = True

    def infer(
        self,
        *xs,
        sizes: tuple[int, ...],
        blocks: tuple[int, ...],
        args: tuple[tuple[int, ...], ...],
        results: tuple[tuple[int, ...], ...],
    ):
        raise ShapeError("blocked needs a region")

    def infer_regions(self, types: Any, regions: tuple[Func, ...], attrs: dict) -> tuple:
        """Result types; raises where operands, region and grid do not fit."""
        if len(regions) != 1:
            raise ShapeError(f"blocked has one region, not {len(regions)}")
        (region,) = regions
        sizes, blocks = attrs["sizes"], attrs["blocks"]
        if len(sizes) != len(blocks) or any(n < 1 or b < 1 or n % b for n, b in zip(sizes, blocks, strict=False)):
            raise ShapeError(f"blocked: a grid of {list(sizes)} is not cut evenly by {list(blocks)}")
        if len(attrs["args"]) != len(types) or len(region.args) != len(types) or len(attrs["results"]) != len(region.results):
            raise ShapeError("blocked: operands, `args` and the region's arguments, or `results` and its results, differ in number")
        for type_, arg, axes in zip(types, region.args, attrs["args"], strict=True):
            if whole_shape(arg.type.shape, axes, sizes, blocks) != type_.shape or arg.type.dtype != type_.dtype:
                raise DTypeError(f"blocked: {type_} does not go with {arg.type} in the region along {list(axes)}")
        return tuple(v.type.with_shape(whole_shape(v.type.shape, axes, sizes, blocks)) for v, axes in zip(region.results, attrs["results"], strict=True))

    def eval_regions(self, env: dict, op: Any) -> tuple:
        (region,) = op.regions
        sizes, blocks = op.attrs["sizes"], op.attrs["blocks"]
        outs = [np.zeros(v.type.shape, v.type.dtype.numpy) for v in op.results]
        for at in itertools.product(*(range(0, n, b) for n, b in zip(sizes, blocks, strict=True))):
            for arg, v, axes in zip(region.args, op.operands, op.attrs["args"], strict=True):
                env[arg] = np.ascontiguousarray(env[v][_window(arg.type.shape, axes, at)])
            run_ops(region.ops, env)
            for v, out, axes in zip(region.results, outs, op.attrs["results"], strict=True):
                out[_window(v.type.shape, axes, at)] += env[v]
        return tuple(outs)


def whole_shape(shape: Sequence[Any], axes: Sequence[int], sizes: Sequence[int], blocks: Sequence[int]) -> tuple | None:
    """The shape of an array of which a region has blocks of `shape`; None if they do not fit the grid."""
    if len(shape) != len(axes) or any(not -1 <= d < len(sizes) for d in axes):
        return None
    if any(d >= 0 and n != blocks[d] for n, d in zip(shape, axes, strict=True)):
        return None
    return tuple(n if d < 0 else sizes[d] for n, d in zip(shape, axes, strict=True))


def _window(shape: Sequence[int], axes: Sequence[int], at: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(None) if d < 0 else slice(at[d], at[d] + n) for n, d in zip(shape, axes, strict=True))
