"""Writer: instructions of LLVM IR as text. Loop-level ops describe themselves in its vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.codegen.text import Ref, literal, llvm_type, scalar_type, suffix_of, vector_type
from rlxc.ir.types import Type, VectorType


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
        element = suffix_of(element)
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
        """A scalar in every lane; of a literal, a literal, which no register holds until it is needed."""
        element = scalar_type(x.type.dtype)
        if not x.text.startswith("%"):
            return self.splat(element, x.text, lanes)
        t = vector_type(element, lanes)
        first = self.inst(f"insertelement {t} poison, {element} {x.text}, i64 0")
        return self.inst(f"shufflevector {t} {first}, {t} poison, <{lanes} x i32> zeroinitializer")

    def shuffle(self, x: Ref, y: Ref, lanes: Sequence[int]) -> str:
        """The lanes of x, then those of y, picked by number."""
        n, element = x.type.lanes, scalar_type(x.type.dtype)
        if n == 1 or len(lanes) == 1:
            picked, result = [(x, i) if i < n else (y, i - n) for i in lanes], "poison"
            ones = [v.text if n == 1 else self.inst(f"extractelement {llvm_type(v.type)} {v.text}, i64 {i}") for v, i in picked]
            for at, one in enumerate(ones if len(lanes) > 1 else ()):
                result = self.inst(f"insertelement {vector_type(element, len(lanes))} {result}, {element} {one}, i64 {at}")
            return result if len(lanes) > 1 else ones[0]
        t, mask = llvm_type(x.type), ", ".join(f"i32 {i}" for i in lanes)
        return self.inst(f"shufflevector {t} {x.text}, {t} {y.text}, <{len(lanes)} x i32> <{mask}>")

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
        compare = "ogt" if which == "max" else "olt"
        if not propagate_nan:
            first = self.inst(f"fcmp {compare} {t} {x.text}, {y.text}")
            return self.inst(f"select {mask} {first}, {t} {x.text}, {t} {y.text}")
        # x stays where it is nan; only y is looked at, so that a reduction, whose x is the last result, does not wait for that
        beyond = self.inst(f"fcmp {compare} {t} {y.text}, {x.text}")
        result = self.inst(f"select {mask} {beyond}, {t} {y.text}, {t} {x.text}")
        is_nan = self.inst(f"fcmp uno {t} {y.text}, {y.text}")
        return self.inst(f"select {mask} {is_nan}, {t} {y.text}, {t} {result}")
