"""Complex arrays as two real ones: what the `planes` rules of primitives give and take.

%z = mul %x, %y : c64[3]                %0 = mul %x.re, %y.re : f32[3]       %2 = mul %x.re, %y.im : f32[3]
                                  =>    %1 = mul %x.im, %y.im : f32[3]       %3 = mul %x.im, %y.re : f32[3]
                                        %z.re = sub %0, %1 : f32[3]          %z.im = add %2, %3 : f32[3]
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rlxc.ir.core import Value
from rlxc.ir.types import DType


class Planes(NamedTuple):
    """The real and the imaginary parts of a complex array."""

    re: Value
    im: Value


def planes_alike(prim: Any, b: Any, *xs: Any, **attrs: Any) -> Any:
    """The op applied to the real parts, then to the imaginary parts; real operands (indices, conditions) serve both."""
    attrs = {k: v.part if isinstance(v, DType) else v for k, v in attrs.items()}
    re, im = (b.apply(prim, *[x[i] if isinstance(x, Planes) else x for x in xs], **attrs) for i in (0, 1))
    return tuple(map(Planes, re, im)) if isinstance(re, tuple) else Planes(re, im)
