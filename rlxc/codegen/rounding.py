"""Whole numbers near floats, where the processor has no instruction for them."""

from __future__ import annotations

from rlxc.codegen.text import Ref, llvm_type, vector_type
from rlxc.codegen.writer import Writer
from rlxc.ir.types import VectorType

#: beyond these all numbers are whole
_WHOLE = {"f32": 2.0**23, "f64": 2.0**52}


class Rounding(Writer):
    """Writes floor, ceil, trunc and roundeven."""

    def rounded(self, how: str, type: VectorType, x: Ref) -> str:
        """The instruction; or |x| + 2^52 - 2^52, which is rounded to even, put right by one, and given the sign of x."""
        if self.shared.rounding:
            return self.intrinsic(how, type, x)
        t, mask = llvm_type(type), vector_type("i1", type.lanes)
        whole, one = self.literal(_WHOLE[type.dtype], type), self.literal(1.0, type)
        size = self.intrinsic("fabs", type, x)
        is_small = self.inst(f"fcmp olt {t} {size}, {whole}")
        near = self.inst(f"fsub {t} {self.inst(f'fadd {t} {size}, {whole}')}, {whole}")
        match how:
            case "trunc":
                near = self._moved("sub", t, mask, near, f"ogt {t} {near}, {size}", one)
            case "floor" | "ceil":
                near = self.intrinsic("copysign", type, Ref(near, type), x)
                op, wrong = ("sub", "ogt") if how == "floor" else ("add", "olt")
                near = self._moved(op, t, mask, near, f"{wrong} {t} {near}, {x.text}", one)
        signed = self.intrinsic("copysign", type, Ref(near, type), x)
        return self.inst(f"select {mask} {is_small}, {t} {signed}, {t} {x.text}")

    def _moved(self, op: str, t: str, mask: str, near: str, wrong: str, one: str) -> str:
        """`near`, or the next whole number where it is on the wrong side."""
        test = self.inst(f"fcmp {wrong}")
        following = self.inst(f"f{op} {t} {near}, {one}")
        return self.inst(f"select {mask} {test}, {t} {following}, {t} {near}")
