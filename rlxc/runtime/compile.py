"""From a function to native code: the pipeline, code generation, and the machine code around them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from rlxc.codegen.llvm import Emitted, emit_module
from rlxc.errors import PassError
from rlxc.ir.core import Func, Module
from rlxc.passes.inline import inline_calls
from rlxc.passes.pipelines import make_pipeline
from rlxc.runtime import jit
from rlxc.runtime.cpu import Cpu, target_cpu
from rlxc.runtime.executable import Executable
from rlxc.runtime.params import resolve_resources


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile. `cpu` is host, avx512, avx2 or plain; `fuse` and `vectorize` are for tests, and for reading what comes out."""

    cpu: str = "host"
    fuse: bool = True
    vectorize: bool = True


@dataclass(frozen=True)
class Native:
    """A function on its way to machine code; each stage is made when it is asked for."""

    func: Func
    options: Options

    @property
    def cpu(self) -> Cpu:
        return target_cpu(self.options.cpu)

    @cached_property
    def kernels(self) -> Module:
        """The function at the loop level, scheduled for the target."""
        whole = resolve_resources(inline_calls(self.func))
        return make_pipeline(native_pipeline(self.cpu, self.options)).run(Module((whole.with_(module=None),)))

    @cached_property
    def emitted(self) -> Emitted:
        return emit_module(self.kernels, [self.func.name], fma=self.cpu.has_fma, f16=self.cpu.has_f16)

    def llvm(self) -> str:
        """LLVM IR."""
        return self.emitted.text

    def assembly(self) -> str:
        """Machine code as text."""
        return jit.assembly(self.emitted.text, self.cpu)

    def object_code(self) -> bytes:
        """A relocatable object file."""
        return jit.object_code(self.emitted.text, self.cpu)

    def executable(self) -> Executable:
        """The function in this process."""
        symbol = self.emitted.entries[self.func.name]
        loaded = jit.load(self.object_code(), [symbol])
        name = self.func.name
        return Executable(self.func, loaded, symbol, self.emitted.workspace[name], work=self.emitted.work[name])


def native(func: Func, **options: Any) -> Native:
    """`func`, whose dimensions are all known, as a `Native`; options are those of `Options`."""
    for v in func.args:
        v.type.require_static()  # type: ignore[union-attr]
    return Native(func, options_of(options))


def options_of(settings: dict[str, Any]) -> Options:
    """Settings by name as Options; raises PassError for one that does not exist."""
    known = [f.name for f in fields(Options)]
    for name in settings:
        if name not in known:
            near = get_close_matches(name, known, 1)
            help = f"did you mean '{near[0]}'?" if near else f"there is {', '.join(known)}"
            raise PassError(f"compilation has no option '{name}'", code="RLX0403", help=help)
    return Options(**settings)


def compile_func(func: Func, **options: Any) -> Executable:
    """Native code for `func`; options are those of `Options`."""
    return native(func, **options).executable()


def native_pipeline(cpu: Cpu, options: Options) -> str:
    """The passes from the tensor level to code generation, as text."""
    steps = ["legalize", "simplify", "cse", "dce", f"fuse{{max_flops = {480.0 if options.fuse else 0.0}}}"]
    if options.vectorize:
        steps.append(f"lower{{bytes = {cpu.vector_bytes}, registers = {cpu.registers}, l1 = {cpu.l1}, l2 = {cpu.l2}, l3 = {cpu.l3}}}")
    else:
        steps.append("lower")
    if cpu.has_fma:
        steps.append("form-fma")
    if options.vectorize:
        steps.append(f"vectorize{{bytes = {cpu.vector_bytes}}}")
    return ",".join([*steps, "expand-math"])
