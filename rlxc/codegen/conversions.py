"""Conversions between dtypes: single instructions, and integer arithmetic where there is none, or none that is exact."""

from __future__ import annotations

from rlxc.codegen.exact import Exact
from rlxc.codegen.rounding import Rounding
from rlxc.codegen.text import Ref, llvm_type, vector_type
from rlxc.ir.types import DType, VectorType


class Conversions(Rounding, Exact):
    """Writes conversions, and what needs them."""

    def fma(self, type: VectorType, x: Ref, y: Ref, z: Ref) -> str:
        """x y + z rounded once; a processor without it computes f32 in f64, where only the second rounding is wrong, and rarely."""
        if self.shared.fma:
            return self.intrinsic("fma", type, x, y, z)
        if type.dtype == "f64":
            return self.emulated_fma(type, x, y, z)
        wide = type.with_dtype("f64")
        a, b, c = (self.convert(v, wide) for v in (x, y, z))
        t = llvm_type(wide)
        product = self.inst(f"fmul {t} {a}, {b}")
        return self.convert(Ref(self.inst(f"fadd {t} {product}, {c}"), wide), type)

    def convert(self, x: Ref, type: VectorType, *, checked: bool = True) -> str:
        """x as another dtype; unchecked, a float must be in the range of the integer type."""
        source, target = x.type.dtype, type.dtype
        if source == target or {str(source), str(target)} == {"i64", "index"}:
            return x.text
        lanes = type.lanes
        if source == "bf16":
            return self.convert(Ref(self.widen_bf16(x), VectorType(DType("f32"), lanes)), type, checked=checked)
        if source == "f16" and not self.shared.f16:
            return self.convert(Ref(self.widen_f16(x), VectorType(DType("f32"), lanes)), type, checked=checked)
        if target == "bf16":
            return self.narrow_bf16(self.to_f32_rounding_to_odd(x))
        if target == "f16" and (source == "f64" or not self.shared.f16):
            x = self.to_f32_rounding_to_odd(x)
            source = x.type.dtype
            if not self.shared.f16:
                return self.narrow_f16(x)
        a, b = llvm_type(x.type), llvm_type(type)
        if target.is_bool:
            test = "fcmp une" if source.is_float else "icmp ne"
            return self.inst(f"{test} {a} {x.text}, {self.literal(0, x.type)}")
        match source.kind, target.kind:
            case "f", "f":
                op = "fpext" if target.bits > source.bits else "fptrunc"
            case "f", "i" | "u":
                sign = "s" if target.kind == "i" else "u"
                if not checked:
                    return self.inst(f"fpto{sign}i {a} {x.text} to {b}")
                name = f"llvm.fpto{sign}i.sat.{self.suffix(type)}.{self.suffix(x.type)}"
                return self.call(name, type, [f"{a} {x.text}"], [a])
            case "b" | "u", "f":
                op = "uitofp"
            case "i", "f":
                op = "sitofp"
            case _:
                if target.bits < source.bits and not source.is_bool:
                    op = "trunc"
                elif target.bits == source.bits and not source.is_bool:
                    return x.text
                else:
                    op = "sext" if source.kind == "i" else "zext"
        return self.inst(f"{op} {a} {x.text} to {b}")

    def i32(self, number: int, lanes: int) -> str:
        """A 32-bit integer in every lane."""
        return self.splat("i32", str(number), lanes)

    def widen_bf16(self, x: Ref) -> str:
        """The bits of a bf16 are the upper half of those of an f32."""
        lanes = x.type.lanes
        i32, f32 = vector_type("i32", lanes), vector_type("float", lanes)
        bits = self.inst(f"zext {vector_type('i16', lanes)} {x.text} to {i32}")
        high = self.inst(f"shl {i32} {bits}, {self.splat('i32', '16', lanes)}")
        return self.inst(f"bitcast {i32} {high} to {f32}")

    def narrow_bf16(self, x: Ref) -> str:
        """f32 rounded to the nearest bf16, of two the even one; nan stays nan."""
        lanes = x.type.lanes
        i32, f32, mask = vector_type("i32", lanes), vector_type("float", lanes), vector_type("i1", lanes)
        bits = self.inst(f"bitcast {f32} {x.text} to {i32}")
        upper = self.inst(f"lshr {i32} {bits}, {self.i32(16, lanes)}")
        odd = self.inst(f"and {i32} {upper}, {self.i32(1, lanes)}")
        bias = self.inst(f"add {i32} {odd}, {self.i32(0x7FFF, lanes)}")
        rounded = self.inst(f"lshr {i32} {self.inst(f'add {i32} {bits}, {bias}')}, {self.i32(16, lanes)}")
        quiet = self.inst(f"or {i32} {upper}, {self.i32(0x40, lanes)}")
        is_nan = self.inst(f"fcmp uno {f32} {x.text}, {x.text}")
        chosen = self.inst(f"select {mask} {is_nan}, {i32} {quiet}, {i32} {rounded}")
        return self.inst(f"trunc {i32} {chosen} to {vector_type('i16', lanes)}")

    def widen_f16(self, x: Ref) -> str:
        """f16 to f32 without the instruction: the exponent is put right by a multiplication, which also normalizes small numbers."""
        lanes = x.type.lanes
        i32, f32, mask = vector_type("i32", lanes), vector_type("float", lanes), vector_type("i1", lanes)
        half = self.inst(f"bitcast {vector_type('half', lanes)} {x.text} to {vector_type('i16', lanes)}")
        bits = self.inst(f"zext {vector_type('i16', lanes)} {half} to {i32}")
        sign = self.inst(f"shl {i32} {self.inst(f'and {i32} {bits}, {self.i32(0x8000, lanes)}')}, {self.i32(16, lanes)}")
        size = self.inst(f"and {i32} {bits}, {self.i32(0x7FFF, lanes)}")
        shifted = self.inst(f"shl {i32} {size}, {self.i32(13, lanes)}")
        scale = self.literal(2.0**112, VectorType(DType("f32"), lanes))
        scaled = self.inst(f"fmul {f32} {self.inst(f'bitcast {i32} {shifted} to {f32}')}, {scale}")
        finite = self.inst(f"bitcast {f32} {scaled} to {i32}")
        special = self.inst(f"or {i32} {shifted}, {self.i32(0x7F800000, lanes)}")
        is_special = self.inst(f"icmp uge {i32} {size}, {self.i32(0x7C00, lanes)}")
        chosen = self.inst(f"select {mask} {is_special}, {i32} {special}, {i32} {finite}")
        return self.inst(f"bitcast {i32} {self.inst(f'or {i32} {chosen}, {sign}')} to {f32}")

    def narrow_f16(self, x: Ref) -> str:
        """f32 to the nearest f16, of two the even one, without the instruction; small results are rounded by an addition."""
        lanes = x.type.lanes
        i32, f32, mask = vector_type("i32", lanes), vector_type("float", lanes), vector_type("i1", lanes)
        bits = self.inst(f"bitcast {f32} {x.text} to {i32}")
        sign = self.inst(f"lshr {i32} {self.inst(f'and {i32} {bits}, {self.i32(-0x80000000, lanes)}')}, {self.i32(16, lanes)}")
        size = self.inst(f"and {i32} {bits}, {self.i32(0x7FFFFFFF, lanes)}")
        is_nan = self.inst(f"icmp ugt {i32} {size}, {self.i32(0x7F800000, lanes)}")
        payload = self.inst(f"and {i32} {self.inst(f'lshr {i32} {size}, {self.i32(13, lanes)}')}, {self.i32(0x3FF, lanes)}")
        nan = self.inst(f"or {i32} {payload}, {self.i32(0x7E00, lanes)}")
        special = self.inst(f"select {mask} {is_nan}, {i32} {nan}, {i32} {self.i32(0x7C00, lanes)}")
        half = self.literal(0.5, VectorType(DType("f32"), lanes))
        moved = self.inst(f"fadd {f32} {self.inst(f'bitcast {i32} {size} to {f32}')}, {half}")
        small = self.inst(f"sub {i32} {self.inst(f'bitcast {f32} {moved} to {i32}')}, {self.i32(0x3F000000, lanes)}")
        odd = self.inst(f"and {i32} {self.inst(f'lshr {i32} {size}, {self.i32(13, lanes)}')}, {self.i32(1, lanes)}")
        biased = self.inst(f"add {i32} {self.inst(f'add {i32} {size}, {odd}')}, {self.i32(-(112 << 23) + 0xFFF, lanes)}")
        normal = self.inst(f"lshr {i32} {biased}, {self.i32(13, lanes)}")
        is_small = self.inst(f"icmp ult {i32} {size}, {self.i32(0x38800000, lanes)}")
        finite = self.inst(f"select {mask} {is_small}, {i32} {small}, {i32} {normal}")
        is_special = self.inst(f"icmp uge {i32} {size}, {self.i32(0x47800000, lanes)}")
        chosen = self.inst(f"select {mask} {is_special}, {i32} {special}, {i32} {finite}")
        i16 = vector_type("i16", lanes)
        signed = self.inst(f"or {i32} {chosen}, {sign}")
        return self.inst(f"bitcast {i16} {self.inst(f'trunc {i32} {signed} to {i16}')} to {vector_type('half', lanes)}")

    def to_f32_rounding_to_odd(self, x: Ref) -> Ref:
        """x as f32; an f64 is rounded to odd, so that a second rounding to 16 bits is as if from the f64."""
        f32 = VectorType(DType("f32"), x.type.lanes)
        if x.type.dtype != "f64":
            return Ref(self.convert(x, f32), f32)
        lanes = x.type.lanes
        d, s, i32, mask = vector_type("double", lanes), vector_type("float", lanes), vector_type("i32", lanes), vector_type("i1", lanes)
        near = self.inst(f"fptrunc {d} {x.text} to {s}")
        back = self.inst(f"fpext {s} {near} to {d}")
        bits = self.inst(f"bitcast {s} {near} to {i32}")
        size, exact_size = (self.intrinsic("fabs", x.type, Ref(v, x.type)) for v in (back, x.text))
        beyond = self.inst(f"zext {mask} {self.inst(f'fcmp ogt {d} {size}, {exact_size}')} to {i32}")
        inexact = self.inst(f"zext {mask} {self.inst(f'fcmp one {d} {back}, {x.text}')} to {i32}")
        toward_zero = self.inst(f"sub {i32} {bits}, {beyond}")
        odd = self.inst(f"or {i32} {toward_zero}, {inexact}")
        return Ref(self.inst(f"bitcast {i32} {odd} to {s}"), f32)
