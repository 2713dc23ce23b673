"""rope: rotary position embedding."""

from __future__ import annotations

import math

import numpy as np

from rlxc.errors import AttrError, Error, ShapeError
from rlxc.ir.attributes import Dense
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS, INTEGERS, DType, TensorType
from rlxc.primitives.composite import in_f64
from rlxc.primitives.exact import round_to
from rlxc.primitives.families import Composite, broadcast_shapes, broadcast_to, require_dtype


@register
class Rope(Composite):
    """Pairs of elements of x [..., S, D] turned by angles that grow with the position: rotary position embedding.

    Pair j of the element at position p turns by p base^(-2 j / dims). It is elements (j, j + dims / 2) of the last axis, as in GPT-NeoX and
    Llama, or (2 j, 2 j + 1) with `interleaved`, as in GPT-J. The first `dims` elements turn (all of D unless stated), the rest stay.
    Positions are 0, 1, ... along S, or the integers given, which broadcast to [..., S]. (Su et al., arXiv:2104.09864.)
    """

    name = "rope"
    dtypes = FLOATS
    samples = (
        "f64[3, 4]",
        Sample("f64[2, 3, 6]", interleaved=True, base=100.0),
        Sample("f64[2, 2, 3, 6]", np.array([4, 5, 6], np.int32), dims=4),
        Sample("f64[2, 2, 1, 2]", np.array([[[7]], [[0]]], np.int64), interleaved=True),
        "f64[0, 4]",
    )

    def infer(self, x, positions=None, *, base: float = 10000.0, dims: int | None = None, interleaved: bool = False):
        require_dtype(self.name, x, FLOATS)
        if x.rank < 2:
            raise ShapeError(f"rope takes [..., S, D], not {x}")
        x.with_shape(x.shape[-1:]).require_static()
        turned = x.shape[-1] if dims is None else dims
        if turned % 2 or not 0 <= turned <= x.shape[-1]:
            raise AttrError(f"rope: an even number of elements turns, at most the last axis of {x}, not {turned}", help="say so with dims")
        if not 1 <= base < math.inf:
            raise AttrError(f"rope: base is a number of 1 or more, not {base}")
        if positions is not None:
            _check_positions(x, positions)
        return x

    def eval(self, x, positions=None, *, base, dims, interleaved):
        z, turned = in_f64(x), x.shape[-1] if dims is None else dims
        at = np.arange(x.shape[-2]) if positions is None else positions
        out = z.copy()
        for j in range(turned // 2):
            a, c = (2 * j, 2 * j + 1) if interleaved else (j, j + turned // 2)
            angle = at * float(base) ** (-2 * j / turned)
            out[..., a] = z[..., a] * np.cos(angle) - z[..., c] * np.sin(angle)
            out[..., c] = z[..., c] * np.cos(angle) + z[..., a] * np.sin(angle)
        return round_to(out, x.dtype)

    def decompose(self, b, x, positions=None, *, base, dims, interleaved):
        *lead, d = x.type.shape
        turned, rank = d if dims is None else dims, x.type.rank
        if turned == 0:
            return b.reshape(x, shape=x.type.shape)
        head = x if turned == d else b.slice(x, start=(0,) * rank, stop=(*lead, turned))
        pair = (*lead, turned // 2, 2) if interleaved else (*lead, 2, turned // 2)
        axis = rank if interleaved else rank - 1  # the axis of the two elements of a pair
        paired = b.reshape(head, shape=pair)
        angle = self.angles(b, x, positions, base, turned)
        angle = b.broadcast(angle, shape=pair, axes=(axis,))
        sides = TensorType(x.type.dtype, (2,))
        sign = b.constant(Dense(np.array([-1.0, 1.0]), sides), type=sides)
        sign = b.broadcast(sign, shape=pair, axes=tuple(a for a in range(rank + 1) if a != axis))
        other = b.mul(b.reverse(paired, axes=(axis,)), sign)
        head = b.reshape(b.add(b.mul(paired, b.cos(angle)), b.mul(other, b.sin(angle))), shape=(*lead, turned))
        return head if turned == d else b.concat(head, b.slice(x, start=(*(0,) * (rank - 1), turned), stop=x.type.shape), axis=rank - 1)

    def angles(self, b, x, positions, base, turned):
        """The angle of each pair: [..., S, dims / 2]."""
        lead = x.type.shape[:-1]
        along = TensorType(x.type.dtype, lead)
        at = b.iota(axis=len(lead) - 1, type=along) if positions is None else broadcast_to(b, b.convert(positions, dtype=x.type.dtype), lead)
        speeds = TensorType(DType(x.type.dtype), (turned // 2,))
        speed = b.constant(Dense(base ** (-2 * np.arange(turned // 2) / turned), speeds), type=speeds)
        shape = (*lead, turned // 2)
        return b.mul(b.broadcast(at, shape=shape, axes=(len(lead),)), b.broadcast(speed, shape=shape, axes=tuple(range(len(lead)))))


def _check_positions(x: TensorType, positions) -> None:
    require_dtype("rope", positions, INTEGERS)
    lead = x.with_shape(x.shape[:-1])
    try:
        fits = broadcast_shapes("rope", (lead, positions)) == lead.shape
    except Error:
        fits = False
    if not fits:
        raise ShapeError(f"rope: positions {positions} do not broadcast to [..., S] = {list(lead.shape)}")
