"""x y + z rounded once, in arithmetic that rounds every step.

S. Boldo, G. Melquiond: Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd (IEEE TC, 2008).
"""

from __future__ import annotations

from rlxc.codegen.text import Ref, llvm_type, vector_type
from rlxc.codegen.writer import Writer
from rlxc.ir.types import DType, VectorType

_SPLIT = 2.0**27 + 1  # parts a double into halves, whose products are exact


class Exact(Writer):
    """Writes fma of doubles. Exact products overflow beyond 2^996 and underflow below 2^-968; results there are rounded twice."""

    def emulated_fma(self, type: VectorType, x: Ref, y: Ref, z: Ref) -> str:
        t, mask = llvm_type(type), vector_type("i1", type.lanes)
        high, low = self._product(type, x.text, y.text)
        middle, lowest = self._sum(t, z.text, low)
        top, rest = self._sum(t, high, middle)
        exact = self._op("fadd", t, top, self._sum_to_odd(type, lowest, rest))
        plain = self._op("fadd", t, high, z.text)
        special = self.inst(f"fcmp ueq {t} {exact}, {self.literal(0.0, type)}")  # nan, or a zero, whose sign is that of the plain sum
        return self.inst(f"select {mask} {special}, {t} {plain}, {t} {exact}")

    def _op(self, op: str, t: str, a: str, b: str) -> str:
        return self.inst(f"{op} {t} {a}, {b}")

    def _sum(self, t: str, a: str, b: str) -> tuple[str, str]:
        """a + b, and what rounding took away."""
        s = self._op("fadd", t, a, b)
        b_part = self._op("fsub", t, s, a)
        a_part = self._op("fsub", t, s, b_part)
        return s, self._op("fadd", t, self._op("fsub", t, a, a_part), self._op("fsub", t, b, b_part))

    def _product(self, type: VectorType, a: str, b: str) -> tuple[str, str]:
        """a b, and what rounding took away."""
        t = llvm_type(type)
        p = self._op("fmul", t, a, b)
        (a1, a2), (b1, b2) = self._halves(type, a), self._halves(type, b)
        error = self._op("fsub", t, self._op("fmul", t, a1, b1), p)
        error = self._op("fadd", t, error, self._op("fmul", t, a1, b2))
        error = self._op("fadd", t, error, self._op("fmul", t, a2, b1))
        return p, self._op("fadd", t, error, self._op("fmul", t, a2, b2))

    def _halves(self, type: VectorType, a: str) -> tuple[str, str]:
        t = llvm_type(type)
        c = self._op("fmul", t, a, self.literal(_SPLIT, type))
        high = self._op("fsub", t, c, self._op("fsub", t, c, a))
        return high, self._op("fsub", t, a, high)

    def _sum_to_odd(self, type: VectorType, a: str, b: str) -> str:
        """a + b; where that is not exact, the neighbour of it with an odd last bit."""
        t, lanes = llvm_type(type), type.lanes
        i64, mask = vector_type("i64", lanes), vector_type("i1", lanes)
        s, error = self._sum(t, a, b)
        bits, error_bits = (self.inst(f"bitcast {t} {v} to {i64}") for v in (s, error))
        one = self.literal(1, VectorType(DType("i64"), lanes))
        even = self.inst(f"icmp eq {i64} {self._op('and', i64, bits, one)}, {self.literal(0, VectorType(DType('i64'), lanes))}")
        inexact = self.inst(f"fcmp one {t} {error}, {self.literal(0.0, type)}")
        differ = self._op("ashr", i64, self._op("xor", i64, bits, error_bits), self.literal(63, VectorType(DType("i64"), lanes)))
        step = self._op("or", i64, differ, one)  # away from zero where signs agree, else back
        moved = self._op("add", i64, bits, step)
        chosen = self.inst(f"select {mask} {self._op('and', mask, even, inexact)}, {i64} {moved}, {i64} {bits}")
        return self.inst(f"bitcast {i64} {chosen} to {t}")
