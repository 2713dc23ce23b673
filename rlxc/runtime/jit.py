"""Machine code: LLVM IR text to object code, and object code into this process. The only file that knows LLVM's passes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count
from threading import RLock
from typing import Any, Protocol

import llvmlite.binding as llvm

from rlxc.codegen.text import FOREIGN
from rlxc.errors import InternalError
from rlxc.ir.foreign import find_foreign
from rlxc.runtime import perf
from rlxc.runtime.cpu import Cpu


@lru_cache(maxsize=1)
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()


@lru_cache(maxsize=1)
def _initialize_all() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@cache
def target_machine(cpu: Cpu, opt: int = 2) -> Any:
    """LLVM's target machine for the host, or for the triple that `cpu` names."""
    if cpu.triple:
        _initialize_all()
        target = llvm.Target.from_triple(cpu.triple)
    else:
        _initialize()
        target = llvm.Target.from_default_triple()
    is_wasm = object_format(cpu) == "Wasm"  # where "pic" means dynamic linking
    return target.create_target_machine(cpu=cpu.name, features=cpu.features, opt=opt, reloc="static" if is_wasm else "pic", codemodel="small")


def object_format(cpu: Cpu) -> str:
    """ELF, MachO, COFF or Wasm."""
    return str(llvm.get_object_format(cpu.triple or None))


def pointer_bits(cpu: Cpu) -> int:
    return 32 if "-p:32:32" in str(target_machine(cpu).target_data) else 64


def triple_of(cpu: Cpu) -> str:
    return cpu.triple or str(llvm.get_default_triple())


def parse_llvm(text: str, cpu: Cpu) -> Any:
    """The text as a verified LLVM module; text that LLVM refuses is a defect of ours."""
    machine = target_machine(cpu)
    header = f'target triple = "{triple_of(cpu)}"\ntarget datalayout = "{machine.target_data}"\n'
    try:
        module = llvm.parse_assembly(header + text)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"LLVM refuses the emitted IR: {error}") from error
    return module


def object_code(text: str, cpu: Cpu, opt: int = 2) -> bytes:
    """Relocatable machine code of LLVM IR text."""
    with parse_llvm(text, cpu) as module, _without_needless_passes():  # which closes the module here: in a finalizer an interrupt would be lost
        code: bytes = target_machine(cpu, opt).emit_object(module)
        return code


def assembly(text: str, cpu: Cpu, opt: int = 2) -> str:
    """The machine code as text."""
    with parse_llvm(text, cpu) as module, _without_needless_passes():
        return str(target_machine(cpu, opt).emit_assembly(module))


#: Options that turn off what LLVM's code generator does needlessly, and their defaults. See Note [Needless passes].
_NEEDLESS = {"disable-lsr": "false", "disable-machine-cse": "false", "disable-early-ifcvt": "false", "enable-misched": "true"}
_TRIED = (22,)  # versions of LLVM that have these options; another one would end the process
_lock = RLock()
_llvm_lock = getattr(llvm.ffi.lib, "_lock", nullcontext())  # which llvmlite holds wherever it calls LLVM


def _let_llvm_finish() -> None:
    """Before a fork: LLVM has locks of its own, which a child would find as another thread held them."""
    _lock.acquire()
    _llvm_lock.__enter__()


def _let_llvm_begin() -> None:
    _llvm_lock.__exit__(None, None, None)
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_let_llvm_finish, after_in_parent=_let_llvm_begin, after_in_child=_let_llvm_begin)


@contextmanager
def _without_needless_passes() -> Iterator[None]:
    if llvm.llvm_version_info[0] not in _TRIED:
        yield
        return
    with _lock:
        for option, default in _NEEDLESS.items():
            llvm.set_option("", f"-{option}={'true' if default == 'false' else 'false'}")
        try:
            yield
        finally:
            for option, default in _NEEDLESS.items():
                llvm.set_option("", f"-{option}={default}")


@lru_cache(maxsize=1)
def _jit() -> Any:
    _initialize()
    return llvm.create_lljit_compiler(llvm.Target.from_default_triple().create_target_machine(reloc="pic", codemodel="small", jit=True))


class Symbols(Protocol):
    """Machine code in this process, wherever it came from; it stays as long as this object lives."""

    def address(self, symbol: str) -> int: ...


@dataclass
class Loaded:
    """Machine code in this process; it is freed with this object."""

    tracker: Any

    def address(self, symbol: str) -> int:
        return self.tracker[symbol]


_next_number = count(1).__next__  # one step, whichever threads ask


def load(obj: bytes, symbols: list[str], foreign: Sequence[str] = ()) -> Loaded:
    """Link object code into this process, exporting `symbols`; it calls the C functions of these prototypes."""
    builder = llvm.JITLibraryBuilder().add_object_img(obj).add_current_process()
    for symbol in symbols:
        builder = builder.export_symbol(symbol)
    for prototype in foreign:
        function = find_foreign(prototype)
        builder = builder.import_symbol(FOREIGN + function.prototype.symbol, function.address)
    with _lock:
        linker = _jit()  # one for the process
    loaded = Loaded(builder.link(linker, f"rlxc.{_next_number()}"))
    if perf.is_wanted():
        perf.write_map(obj, symbols[0], loaded.address(symbols[0]))
    return loaded


# Note [Needless passes]
# ----------------------
# Kernels come with loop-invariant code outside of loops, with nothing computed twice, and with addresses as instructions want them, so
# loop strength reduction and the search for common subexpressions of machine code change nothing that could be measured; conditions are
# selects already. The scheduler of machine code moves loads up, away from where they are used: sums of a tile, which were meant to stay
# in registers, then do not fit any more; processors that find independent instructions themselves gain nothing from its order. LLVM's
# options belong to the process, which may hold other users of LLVM: they are set for the time of a compilation.
