"""Access to memory: addresses, loads and stores of consecutive and of scattered elements, constant data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlxc.codegen.conversions import Conversions
from rlxc.codegen.text import Ref, byte_string, llvm_type, memory_type, suffix_of, vector_type
from rlxc.ir.attributes import Dense
from rlxc.ir.types import DType, VectorType


class Access(Conversions):
    """Writes accesses."""

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
