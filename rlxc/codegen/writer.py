"""Writer: instructions of LLVM IR as text. Loop-level ops describe themselves in its vocabulary."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rlxc.ir.attributes import Dense
from rlxc.ir.types import DType, MemType, Type, VectorType


class Ref(NamedTuple):
    """An operand: its text (a name or a literal) and its type."""

    text: str
    type: Any


_SCALARS = {"bool": "i1", "bf16": "i16", "f16": "half", "f32": "float", "f64": "double", "index": "i64"}
_SUFFIXES = {"half": "f16", "float": "f32", "double": "f64"}


def scalar_type(dtype: DType) -> str:
    """LLVM's name of an element in a register; bf16 is carried as its bits."""
    return _SCALARS.get(dtype) or f"i{dtype.bits}"


def memory_type(dtype: DType) -> str:
    """LLVM's name of an element in memory."""
    return "i8" if dtype.is_bool else scalar_type(dtype)


def vector_type(element: str, lanes: int) -> str:
    return element if lanes == 1 else f"<{lanes} x {element}>"


def llvm_type(type: Type) -> str:
    """LLVM's name of a type."""
    if isinstance(type, MemType):
        return "ptr"
    assert isinstance(type, VectorType)
    return vector_type(scalar_type(type.dtype), type.lanes)


class Writer:
    """Appends instructions to `lines` and gives their results names."""

    def __init__(self, shared: Any) -> None:
        self.shared = shared
        self.lines: list[str] = []
        self.count = 0
        self.block = "entry"

    # text

    def fresh(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def label(self, name: str) -> str:
        self.count += 1
        return f"{name}{self.count}"

    def start_block(self, label: str) -> None:
        self.block = label
        self.lines.append(f"{label}:")

    def end_block(self, terminator: str) -> None:
        self.lines.append(f"  {terminator}")

    def inst(self, text: str) -> str:
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    # types and literals

    def type(self, type: Type) -> str:
        return llvm_type(type)

    def vector(self, element: str, lanes: int) -> str:
        return vector_type(element, lanes)

    def suffix(self, type: VectorType) -> str:
        """How intrinsics spell a type: v16f32."""
        element = scalar_type(type.dtype)
        element = _SUFFIXES.get(element, element)
        return element if type.lanes == 1 else f"v{type.lanes}{element}"

    def splat(self, element: str, text: str, lanes: int) -> str:
        return text if lanes == 1 else f"splat ({element} {text})"

    def literal(self, number: Any, type: VectorType) -> str:
        """A constant in every lane."""
        return self.splat(scalar_type(type.dtype), literal(number, type.dtype), type.lanes)

    # calls

    def call(self, name: str, type: VectorType, args: Sequence[str], arg_types: Sequence[str]) -> str:
        result = llvm_type(type)
        self.shared.declarations.setdefault(name, f"declare {result} @{name}({', '.join(arg_types)})")
        return self.inst(f"call {result} @{name}({', '.join(args)})")

    def intrinsic(self, name: str, type: VectorType, *xs: Ref) -> str:
        t = llvm_type(type)
        return self.call(f"llvm.{name}.{self.suffix(type)}", type, [f"{t} {x.text}" for x in xs], [t] * len(xs))

    def fma(self, type: VectorType, x: Ref, y: Ref, z: Ref) -> str:
        """x y + z rounded once; a processor without it computes f32 in f64, where only the second rounding is wrong, and rarely."""
        if self.shared.fma or type.dtype != "f32":
            return self.intrinsic("fma", type, x, y, z)
        wide = type.with_dtype("f64")
        a, b, c = (self.convert(v, wide) for v in (x, y, z))
        t = llvm_type(wide)
        product = self.inst(f"fmul {t} {a}, {b}")
        return self.convert(Ref(self.inst(f"fadd {t} {product}, {c}"), wide), type)

    def lanewise(self, op: str, type: VectorType, x: Ref, y: Ref) -> str:
        """An instruction that has no vector form, lane by lane."""
        element = scalar_type(type.dtype)
        if type.lanes == 1:
            return self.inst(f"{op} {element} {x.text}, {y.text}")
        t, result = llvm_type(type), "poison"
        for lane in range(type.lanes):
            a, b = (self.inst(f"extractelement {t} {v.text}, i64 {lane}") for v in (x, y))
            one = self.inst(f"{op} {element} {a}, {b}")
            result = self.inst(f"insertelement {t} {result}, {element} {one}, i64 {lane}")
        return result

    # lanes

    def broadcast(self, x: Ref, lanes: int) -> str:
        element = scalar_type(x.type.dtype)
        t = vector_type(element, lanes)
        first = self.inst(f"insertelement {t} poison, {element} {x.text}, i64 0")
        return self.inst(f"shufflevector {t} {first}, {t} poison, <{lanes} x i32> zeroinitializer")

    def lane_numbers(self, type: VectorType) -> str:
        element = scalar_type(type.dtype)
        return "0" if type.lanes == 1 else "<" + ", ".join(f"{element} {i}" for i in range(type.lanes)) + ">"

    def fold_lanes(self, x: Ref, kind: str) -> str:
        """Halves combined until one lane is left."""
        from_lanes, text, dtype = x.type.lanes, x.text, x.type.dtype
        element = scalar_type(dtype)
        while from_lanes > 1:
            half = from_lanes // 2
            wide = vector_type(element, from_lanes)
            parts = []
            for start in (0, half):
                if half == 1:
                    parts.append(self.inst(f"extractelement {wide} {text}, i64 {start}"))
                else:
                    mask = ", ".join(f"i32 {start + i}" for i in range(half))
                    parts.append(self.inst(f"shufflevector {wide} {text}, {wide} poison, <{half} x i32> <{mask}>"))
            narrow = VectorType(dtype, half)
            text = self.combine(kind, narrow, Ref(parts[0], narrow), Ref(parts[1], narrow))
            from_lanes = half
        return text

    def combine(self, kind: str, type: VectorType, x: Ref, y: Ref) -> str:
        """x and y by one of the associative ops."""
        t, of = llvm_type(type), type.dtype.kind
        if kind in ("max", "min"):
            return self.extremum(kind, type, x, y)
        op = f"f{kind}" if of == "f" and kind in ("add", "mul") else kind
        return self.inst(f"{op} {t} {x.text}, {y.text}")

    def extremum(self, which: str, type: VectorType, x: Ref, y: Ref, *, propagate_nan: bool = True) -> str:
        """max or min; without nan handling it is one instruction, which returns y where either is nan."""
        t, of = llvm_type(type), type.dtype.kind
        if of == "b":
            return self.inst(f"{'or' if which == 'max' else 'and'} {t} {x.text}, {y.text}")
        if of != "f":
            return self.intrinsic(f"{'s' if of == 'i' else 'u'}{which}", type, x, y)
        mask = vector_type("i1", type.lanes)
        first = self.inst(f"fcmp {'ogt' if which == 'max' else 'olt'} {t} {x.text}, {y.text}")
        result = self.inst(f"select {mask} {first}, {t} {x.text}, {t} {y.text}")
        if not propagate_nan:
            return result
        is_nan = self.inst(f"fcmp uno {t} {x.text}, {x.text}")
        return self.inst(f"select {mask} {is_nan}, {t} {x.text}, {t} {result}")

    # conversions

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

        def c(n: int) -> str:
            return self.splat("i32", str(n), lanes)

        bits = self.inst(f"bitcast {f32} {x.text} to {i32}")
        upper = self.inst(f"lshr {i32} {bits}, {c(16)}")
        odd = self.inst(f"and {i32} {upper}, {c(1)}")
        bias = self.inst(f"add {i32} {odd}, {c(0x7FFF)}")
        rounded = self.inst(f"lshr {i32} {self.inst(f'add {i32} {bits}, {bias}')}, {c(16)}")
        quiet = self.inst(f"or {i32} {upper}, {c(0x40)}")
        is_nan = self.inst(f"fcmp uno {f32} {x.text}, {x.text}")
        chosen = self.inst(f"select {mask} {is_nan}, {i32} {quiet}, {i32} {rounded}")
        return self.inst(f"trunc {i32} {chosen} to {vector_type('i16', lanes)}")

    def widen_f16(self, x: Ref) -> str:
        """f16 to f32 without the instruction: the exponent is put right by a multiplication, which also normalizes small numbers."""
        lanes = x.type.lanes
        i32, f32, mask = vector_type("i32", lanes), vector_type("float", lanes), vector_type("i1", lanes)

        def c(n: int) -> str:
            return self.splat("i32", str(n), lanes)

        half = self.inst(f"bitcast {vector_type('half', lanes)} {x.text} to {vector_type('i16', lanes)}")
        bits = self.inst(f"zext {vector_type('i16', lanes)} {half} to {i32}")
        sign = self.inst(f"shl {i32} {self.inst(f'and {i32} {bits}, {c(0x8000)}')}, {c(16)}")
        size = self.inst(f"and {i32} {bits}, {c(0x7FFF)}")
        shifted = self.inst(f"shl {i32} {size}, {c(13)}")
        scale = self.literal(2.0**112, VectorType(DType("f32"), lanes))
        scaled = self.inst(f"fmul {f32} {self.inst(f'bitcast {i32} {shifted} to {f32}')}, {scale}")
        finite = self.inst(f"bitcast {f32} {scaled} to {i32}")
        special = self.inst(f"or {i32} {shifted}, {c(0x7F800000)}")
        is_special = self.inst(f"icmp uge {i32} {size}, {c(0x7C00)}")
        chosen = self.inst(f"select {mask} {is_special}, {i32} {special}, {i32} {finite}")
        return self.inst(f"bitcast {i32} {self.inst(f'or {i32} {chosen}, {sign}')} to {f32}")

    def narrow_f16(self, x: Ref) -> str:
        """f32 to the nearest f16, of two the even one, without the instruction; small results are rounded by an addition."""
        lanes = x.type.lanes
        i32, f32, mask = vector_type("i32", lanes), vector_type("float", lanes), vector_type("i1", lanes)

        def c(n: int) -> str:
            return self.splat("i32", str(n), lanes)

        bits = self.inst(f"bitcast {f32} {x.text} to {i32}")
        sign = self.inst(f"lshr {i32} {self.inst(f'and {i32} {bits}, {c(-0x80000000)}')}, {c(16)}")
        size = self.inst(f"and {i32} {bits}, {c(0x7FFFFFFF)}")
        is_nan = self.inst(f"icmp ugt {i32} {size}, {c(0x7F800000)}")
        payload = self.inst(f"and {i32} {self.inst(f'lshr {i32} {size}, {c(13)}')}, {c(0x3FF)}")
        nan = self.inst(f"or {i32} {payload}, {c(0x7E00)}")
        special = self.inst(f"select {mask} {is_nan}, {i32} {nan}, {i32} {c(0x7C00)}")
        half = self.literal(0.5, VectorType(DType("f32"), lanes))
        moved = self.inst(f"fadd {f32} {self.inst(f'bitcast {i32} {size} to {f32}')}, {half}")
        small = self.inst(f"sub {i32} {self.inst(f'bitcast {f32} {moved} to {i32}')}, {c(0x3F000000)}")
        odd = self.inst(f"and {i32} {self.inst(f'lshr {i32} {size}, {c(13)}')}, {c(1)}")
        biased = self.inst(f"add {i32} {self.inst(f'add {i32} {size}, {odd}')}, {c(-(112 << 23) + 0xFFF)}")
        normal = self.inst(f"lshr {i32} {biased}, {c(13)}")
        is_small = self.inst(f"icmp ult {i32} {size}, {c(0x38800000)}")
        finite = self.inst(f"select {mask} {is_small}, {i32} {small}, {i32} {normal}")
        is_special = self.inst(f"icmp uge {i32} {size}, {c(0x47800000)}")
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

    # memory

    def address(self, memory: Ref, index: Sequence[Ref]) -> str:
        """Address of the element at an index."""
        flat: str | None = None
        for i, n in zip(index, memory.type.shape, strict=True):
            if flat is not None and n != 1:
                flat = str(int(flat) * n) if flat.lstrip("-").isdigit() else self.inst(f"mul nsw i64 {flat}, {n}")
            if flat is None or flat == "0":
                flat = i.text
            elif i.text != "0":
                flat = self.inst(f"add nsw i64 {flat}, {i.text}")
        if flat is None or flat == "0":
            return memory.text
        return self.inst(f"getelementptr inbounds {memory_type(memory.type.dtype)}, ptr {memory.text}, i64 {flat}")

    def load(self, type: VectorType, address: str) -> str:
        t = vector_type(memory_type(type.dtype), type.lanes)
        return self._loaded(self.inst(f"load {t}, ptr {address}, align {type.dtype.size}"), type)

    def _loaded(self, text: str, type: VectorType) -> str:
        """A bool in memory is a byte."""
        if not type.dtype.is_bool:
            return text
        t = vector_type("i8", type.lanes)
        return self.inst(f"icmp ne {t} {text}, {self.splat('i8', '0', type.lanes)}")

    def _stored(self, value: Ref) -> str:
        if not value.type.dtype.is_bool:
            return value.text
        return self.inst(f"zext {llvm_type(value.type)} {value.text} to {vector_type('i8', value.type.lanes)}")

    def store(self, value: Ref, address: str) -> None:
        t = vector_type(memory_type(value.type.dtype), value.type.lanes)
        text = self._stored(value)
        self.lines.append(f"  store {t} {text}, ptr {address}, align {value.type.dtype.size}")

    def masked_load(self, type: VectorType, address: str, mask: Ref) -> str:
        element = memory_type(type.dtype)
        t = vector_type(element, type.lanes)
        name = f"llvm.masked.load.v{type.lanes}{_SUFFIXES.get(element, element)}.p0"
        m = vector_type("i1", type.lanes)
        self.shared.declarations.setdefault(name, f"declare {t} @{name}(ptr, {m}, {t})")
        text = self.inst(f"call {t} @{name}(ptr align {type.dtype.size} {address}, {m} {mask.text}, {t} zeroinitializer)")
        return self._loaded(text, type)

    def masked_store(self, value: Ref, address: str, mask: Ref) -> None:
        element, lanes = memory_type(value.type.dtype), value.type.lanes
        t, m = vector_type(element, lanes), vector_type("i1", lanes)
        name = f"llvm.masked.store.v{lanes}{_SUFFIXES.get(element, element)}.p0"
        self.shared.declarations.setdefault(name, f"declare void @{name}({t}, ptr, {m})")
        text = self._stored(value)
        self.lines.append(f"  call void @{name}({t} {text}, ptr align {value.type.dtype.size} {address}, {m} {mask.text})")

    def _addresses(self, memory: Ref, offsets: Ref) -> tuple[str, str]:
        lanes, dtype = offsets.type.lanes, memory.type.dtype
        wide = self.convert(offsets, VectorType(DType("i64"), lanes))
        t = vector_type("ptr", lanes)
        name = self.inst(f"getelementptr {memory_type(dtype)}, ptr {memory.text}, {vector_type('i64', lanes)} {wide}")
        return t, name

    def _mask(self, mask: Ref | None, lanes: int) -> str:
        return mask.text if mask is not None else self.splat("i1", "true", lanes)

    def gather(self, type: VectorType, memory: Ref, offsets: Ref, mask: Ref | None) -> str:
        element, lanes = memory_type(type.dtype), type.lanes
        t, m = vector_type(element, lanes), vector_type("i1", lanes)
        pointers, addresses = self._addresses(memory, offsets)
        name = f"llvm.masked.gather.v{lanes}{_SUFFIXES.get(element, element)}.v{lanes}p0"
        self.shared.declarations.setdefault(name, f"declare {t} @{name}({pointers}, {m}, {t})")
        args = f"{pointers} align {type.dtype.size} {addresses}, {m} {self._mask(mask, lanes)}, {t} zeroinitializer"
        return self._loaded(self.inst(f"call {t} @{name}({args})"), type)

    def scatter(self, value: Ref, memory: Ref, offsets: Ref, mask: Ref | None) -> None:
        element, lanes = memory_type(value.type.dtype), value.type.lanes
        t, m = vector_type(element, lanes), vector_type("i1", lanes)
        pointers, addresses = self._addresses(memory, offsets)
        name = f"llvm.masked.scatter.v{lanes}{_SUFFIXES.get(element, element)}.v{lanes}p0"
        self.shared.declarations.setdefault(name, f"declare void @{name}({t}, {pointers}, {m})")
        text = self._stored(value)
        self.lines.append(f"  call void @{name}({t} {text}, {pointers} align {value.type.dtype.size} {addresses}, {m} {self._mask(mask, lanes)})")

    def global_data(self, value: Dense) -> str:
        """Name of read-only data with `value` in it; equal data is shared."""
        name = self.shared.data.get(value.key)
        if name is None:
            name = f'@"rlxc.data.{len(self.shared.data)}"'
            self.shared.data[value.key] = name
            raw = np.ascontiguousarray(value.numpy()).tobytes() or b"\0"
            text = "".join(f"\\{byte:02x}" for byte in raw)
            self.shared.globals.append(f'{name} = internal unnamed_addr constant [{len(raw)} x i8] c"{text}", align 64')
        return name


def literal(number: Any, dtype: DType) -> str:
    """LLVM's spelling of a number, exact to the bit."""
    if dtype.is_bool:
        return "true" if number else "false"
    if dtype.is_integer:
        return str(int(number))
    if dtype == "bf16":
        return str(int(np.asarray(number, dtype.numpy).view(np.uint16)))
    if dtype == "f16":
        return f"0xH{int(np.asarray(number, np.float16).view(np.uint16)):04X}"
    if dtype == "f32":
        return f"0x{_double_bits(np.float32(number)):016X}"
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(number)))[0]:016X}"


def _double_bits(number: np.float32) -> int:
    """Bits of the f64 that spells an f32; a nan keeps its payload."""
    if np.isnan(number):
        bits = int(np.asarray(number).view(np.uint32))
        return (bits >> 31) << 63 | 0x7FF << 52 | (bits & 0x7FFFFF) << 29
    return struct.unpack("<Q", struct.pack("<d", float(number)))[0]
