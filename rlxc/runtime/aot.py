"""Library: functions as native code for other programs: object code with a C interface, its header, archives and shared libraries.

library = Library("model", (f, rlxc.value_and_grad(f, ["w1"])))
library.object_code()     model.o       library.header()     model.h
library.archive()         libmodel.a    library.shared()     libmodel.so
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from rlxc import __version__
from rlxc.codegen.c_header import header
from rlxc.codegen.c_interface import METADATA, Platform, emit_interface
from rlxc.codegen.c_names import LocalNames, identifier
from rlxc.codegen.c_signature import ALIGNMENT, Buffer, CFunction, CLibrary, lay_out
from rlxc.codegen.llvm import Emitted, emit_module
from rlxc.errors import ArgumentError, Unsupported
from rlxc.ir.core import Func, Module, Value
from rlxc.ir.lazy import cached_property
from rlxc.passes.inline import inline_calls
from rlxc.runtime import jit
from rlxc.runtime.archive import archive
from rlxc.runtime.arguments import fit
from rlxc.runtime.compile import Options, lowered, native_pipeline
from rlxc.runtime.cpu import Cpu
from rlxc.runtime.cross import machine
from rlxc.runtime.linker import link_shared
from rlxc.runtime.params import resolve_resources


@dataclass(frozen=True)
class Library:
    """Functions without named dimensions, to be compiled under one name, for the host or for another `target`.

    `weights` gives arrays to the params of these names, which callers then do not pass. They are embedded in the object code, or
    with `place="file"` they are in a file whose address callers pass; `weights_file()` is its content.
    """

    name: str
    funcs: tuple[Func, ...]
    options: Options = field(default_factory=Options)
    target: str = ""
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    place: Literal["embedded", "file"] = "embedded"

    @cached_property
    def cpu(self) -> Cpu:
        return machine(self.options.cpu, self.target)

    @cached_property
    def kernels(self) -> Module:
        """All functions at the loop level; kernels that several of them need are there once."""
        for f in self.funcs:
            for v in f.args:
                v.type.require_static()
        whole = (resolve_resources(inline_calls(f)).with_(module=None) for f in self.funcs)
        return lowered(Module(tuple(whole)), self.cpu, native_pipeline(self.cpu, self.options), self.options)

    @cached_property
    def emitted(self) -> Emitted:
        names = [f.name for f in self.funcs]
        cpu = self.cpu
        return emit_module(self.kernels, names, fma=cpu.has_fma, f16=cpu.has_f16, rounding=cpu.has_rounding, scales=cpu.has_scale, internal=True)

    @cached_property
    def signature(self) -> CLibrary:
        """What C sees."""
        prefix = identifier(self.name)
        symbols = [_symbol(f.name, prefix) for f in self.funcs]
        weights = self._weights()
        functions = tuple(self._function(f, s, weights) for f, s in zip(self.funcs, symbols, strict=True))
        mapped = weights.values() if self.place == "file" else ()
        size = lay_out([*mapped])[1]
        cpu = self.cpu
        library = CLibrary(prefix, functions, __version__, jit.triple_of(cpu), cpu.name, cpu.features, tuple(mapped), size, self.emitted.foreign)
        _refuse_twins(library)
        return library

    def _weights(self) -> dict[str, Buffer]:
        """The arrays of weights that any function asks for, by name."""
        names, found = LocalNames(), {}
        for f in self.funcs:
            for a, name in zip(f.args, f.arg_names, strict=True):
                if not a.param or name not in self.weights:
                    continue
                if name not in found:
                    found[name] = _buffer(a, name, names.give(name))
                elif (found[name].dtype, found[name].shape) != (a.type.dtype, a.type.shape):
                    raise ArgumentError(f"param %{name} is {found[name].type_text} in one function and {a.type} in @{f.name}", code="RLX0508", loc=a.loc)
        if self.place == "embedded":
            return {name: replace(b, data=f"rlxc.$weight.{i}") for i, (name, b) in enumerate(found.items())}
        offsets, _ = lay_out([*found.values()])
        return {name: replace(b, offset=offset) for (name, b), offset in zip(found.items(), offsets, strict=True)}

    def _function(self, func: Func, symbol: str, weights: Mapping[str, Buffer]) -> CFunction:
        names = LocalNames()
        arguments = []
        for a, name in zip(func.args, func.arg_names, strict=True):
            arguments.append(weights[name] if a.param and name in weights else _buffer(a, name, names.give(name)))
        results = tuple(_buffer(v, name, names.give(name)) for v, name in zip(func.results, func.result_names, strict=True))
        need = self.emitted.workspace[func.name]
        return CFunction(func.name, symbol, tuple(arguments), results, need + ALIGNMENT if need else 0, self.emitted.work[func.name])

    def _array(self, weight: Buffer) -> np.ndarray:
        arg = next(f.arg(weight.name) for f in self.funcs if weight.name in f.params)
        return fit(self.weights[weight.name], arg, f"param %{weight.name}")

    @cached_property
    def text(self) -> str:
        """LLVM IR: the kernels and their C interface."""
        embedded = {b.data: self._array(b).tobytes() for b in self._weights().values() if b.data is not None}
        platform = Platform(jit.pointer_bits(self.cpu), jit.object_format(self.cpu))
        return self.emitted.text + emit_interface(self.signature, embedded, platform)

    def llvm(self) -> str:
        """LLVM IR."""
        return self.text

    def assembly(self) -> str:
        """Machine code as text."""
        return jit.assembly(self.text, self.cpu)

    @cached_property
    def _object(self) -> bytes:
        return jit.object_code(self.text, self.cpu)

    def object_code(self) -> bytes:
        """A relocatable object file."""
        return self._object

    def header(self) -> str:
        """The C header."""
        return header(self.signature)

    def archive(self) -> bytes:
        """A static library: the object file in an ar archive."""
        if jit.object_format(self.cpu) == "MachO":
            raise Unsupported("static libraries for macOS are made by its own tools", code="RLX0702", help="--emit=obj, then libtool -static")
        return archive(f"{self.signature.name}.o", self.object_code(), [*self.signature.symbols, METADATA])

    def shared(self) -> bytes:
        """A shared library, linked by the system's linker; raises Unsupported if it calls C functions that are elsewhere."""
        if self.emitted.foreign:
            wanted = ", ".join(self.emitted.foreign)
            help = "--emit=obj or static, and link it with what defines them"
            raise Unsupported(f"lib{self.signature.name} calls C functions that it does not hold: {wanted}", code="RLX0702", help=help)
        return link_shared(self.object_code(), self.signature.name, self.cpu)

    def weights_file(self) -> bytes:
        """The file of weights that callers map: arrays as they lie in memory, each at a multiple of 64 bytes."""
        whole = bytearray(self.signature.weights_size)
        for w in self.signature.weights:
            assert w.offset is not None
            whole[w.offset : w.offset + w.nbytes] = self._array(w).tobytes()
        return bytes(whole)


def _buffer(v: Value, name: str, identifier: str) -> Buffer:
    return Buffer(name, identifier, v.type.dtype, v.type.shape, v.param)


def _symbol(func: str, library: str) -> str:
    """The C function of a function: its own name if that begins with the library's, else both."""
    own = identifier(func)
    return own if own == library or own.startswith(f"{library}_") else f"{library}_{own}"


def _refuse_twins(library: CLibrary) -> None:
    seen: set[str] = set()
    for symbol in library.symbols:
        if symbol in seen:
            raise Unsupported(f"two things of the library would be called {symbol} in C", code="RLX0702", help="rename a function, or the library")
        seen.add(symbol)
