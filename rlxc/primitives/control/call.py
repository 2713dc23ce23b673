"""Calls of other functions of the module."""

from __future__ import annotations

from typing import Any

from rlxc.errors import Unsupported
from rlxc.ir.attributes import Symbol
from rlxc.ir.primitive import Primitive, register
from rlxc.ir.types import TensorType
from rlxc.primitives.control import samples


@register
class Call(Primitive):
    """The results of another function of the module: `%y = call @f(%x) : f32[3]`. Recursion is refused.

    Its types are checked against the callee's, whose named dimensions take the sizes they meet, by the parser and the verifier.
    """

    name = "call"
    samples = samples.CALL
    inline_attr = "callee"
    typed = True

    def infer(self, *operands: TensorType, callee: Symbol, type: tuple[TensorType, ...]) -> Any:
        return type

    def eval(self, *arrays: Any, callee: Symbol, type: Any) -> Any:
        raise Unsupported(f"call @{callee} must be inlined before it is run", code="RLX0702", help="run the pass `inline` first")

    def jvp(self, b: Any, primals: Any, tangents: Any, outs: Any, **attrs: Any) -> Any:
        raise Unsupported(
            f"call @{attrs['callee']} must be inlined before it is differentiated", code="RLX0702", help="run the passes `inline` and `legalize` first"
        )
