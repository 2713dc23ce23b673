"""Access to memory: addresses, loads and stores of consecutive and of scattered elements, constant data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.codegen.conversions import Conversions
from rlxc.codegen.text import Ref, byte_string, llvm_type, memory_type, suffix_of, vector_type
from rlxc.ir.attributes import Dense
from rlxc.ir.types import INDEX, DType, VectorType

LINE = 64  # bytes of a cache line


class Access(Conversions):
    """Writes accesses."""

    def __init__(self, shared: Any) -> None:
        super().__init__(shared)
        self.addresses: list[dict[tuple, str]] = [{}]  # addresses written, by scope
        self.depth_of: dict[str, int] = {}  # of indices: how many loops and branches are around them
        self.displaced: dict[str, tuple[str | None, int]] = {}  # indices that are another one and a number

    def address(self, memory: Ref, index: Sequence[Ref]) -> str:
        """Address of the element at an index.

        What the index adds as a number comes last, so that accesses side by side share one address and differ in displacements; what
        changes least often comes first. See Note [Addresses].
        """
        terms: list[tuple[int, str, int]] = []  # depth, index, elements per step
        displacement, stride = 0, 1
        for i, n in zip(reversed(index), reversed(memory.type.shape), strict=True):
            base, number = self.split_index(i.text)
            displacement += number * stride
            if base is not None:
                terms.append((self.depth_of.get(base, 0), base, stride))
            stride *= n
        element = memory_type(memory.type.dtype)
        pointer = memory.text
        for _, base, stride in sorted(terms, key=lambda term: term[0]):
            pointer = self.advanced(element, pointer, base, stride)
        return pointer if displacement == 0 else self.inst(f"getelementptr {element}, ptr {pointer}, i64 {displacement}")

    def part_at(self, memory: Ref, index: Sequence[Ref]) -> str:
        """Address of the part of memory at an index along the first axes."""
        return self.address(memory, [*index, *[Ref("0", INDEX)] * (len(memory.type.shape) - len(index))])

    def advanced(self, element: str, pointer: str, index: str, stride: int) -> str:
        """`pointer` moved by `index` times `stride` elements; written once in a scope."""
        key = (pointer, index, stride)
        for scope in self.addresses:
            if key in scope:
                return scope[key]
        steps = index if stride == 1 else self.inst(f"mul nsw i64 {index}, {stride}")
        self.addresses[-1][key] = self.inst(f"getelementptr {element}, ptr {pointer}, i64 {steps}")
        return self.addresses[-1][key]

    def split_index(self, text: str) -> tuple[str | None, int]:
        """An index as a base (None: there is none) and a number added to it."""
        if text.lstrip("-").isdigit():
            return None, int(text)
        return self.displaced.get(text, (text, 0))

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

    def prefetch(self, address: str, bytes: int) -> None:
        """Each cache line of so many bytes, to the second level of caches, for reading."""
        self.shared.declarations.setdefault("llvm.prefetch.p0", "declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
        for at in range(0, bytes, LINE):
            line = self.inst(f"getelementptr i8, ptr {address}, i64 {at}") if at else address
            self.lines.append(f"  call void @llvm.prefetch.p0(ptr {line}, i32 0, i32 2, i32 1)")

    def masked_load(self, type: VectorType, address: str, mask: Ref) -> str:
        element = memory_type(type.dtype)
        t = vector_type(element, type.lanes)
        name = f"llvm.masked.load.v{type.lanes}{suffix_of(element)}.p0"
        m = vector_type("i1", type.lanes)
        self.shared.declarations.setdefault(name, f"declare {t} @{name}(ptr, {m}, {t})")
        text = self.inst(f"call {t} @{name}(ptr align {type.dtype.size} {address}, {m} {mask.text}, {t} zeroinitializer)")
        return self._loaded(text, type)

    def masked_store(self, value: Ref, address: str, mask: Ref) -> None:
        element, lanes = memory_type(value.type.dtype), value.type.lanes
        t, m = vector_type(element, lanes), vector_type("i1", lanes)
        name = f"llvm.masked.store.v{lanes}{suffix_of(element)}.p0"
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
        name = f"llvm.masked.gather.v{lanes}{suffix_of(element)}.v{lanes}p0"
        self.shared.declarations.setdefault(name, f"declare {t} @{name}({pointers}, {m}, {t})")
        args = f"{pointers} align {type.dtype.size} {addresses}, {m} {self._mask(mask, lanes)}, {t} zeroinitializer"
        return self._loaded(self.inst(f"call {t} @{name}({args})"), type)

    def scatter(self, value: Ref, memory: Ref, offsets: Ref, mask: Ref | None) -> None:
        element, lanes = memory_type(value.type.dtype), value.type.lanes
        t, m = vector_type(element, lanes), vector_type("i1", lanes)
        pointers, addresses = self._addresses(memory, offsets)
        name = f"llvm.masked.scatter.v{lanes}{suffix_of(element)}.v{lanes}p0"
        self.shared.declarations.setdefault(name, f"declare void @{name}({t}, {pointers}, {m})")
        text = self._stored(value)
        self.lines.append(f"  call void @{name}({t} {text}, {pointers} align {value.type.dtype.size} {addresses}, {m} {self._mask(mask, lanes)})")

    def global_data(self, value: Dense) -> str:
        """Name of read-only data with `value` in it; equal data is shared."""
        name = self.shared.data.get(value.key)
        if name is None:
            name = f'@"rlxc.$data.{len(self.shared.data)}"'
            self.shared.data[value.key] = name
            raw = np.ascontiguousarray(value.numpy()).tobytes() or b"\0"
            self.shared.globals.append(f"{name} = internal unnamed_addr constant {byte_string(raw)}, align 64")
        return name


# Note [Addresses]
# ----------------
# LLVM's passes on IR are not run, so addresses are written the way instructions want them: base + index + displacement. %A[%m + 3, %k + 1] in
# memory of rows of 768 elements is ((%A + 768 %m) + %k) + 2305, where the first sum does not change with %k and the second serves all rows.
# The bases may lie outside of the memory for a moment, so that these additions are not `inbounds`.
