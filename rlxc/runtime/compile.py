"""From a function to native code: the pipeline, code generation, and the machine code around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlxc.codegen.llvm import Emitted, emit_module
from rlxc.ir.core import Func, Module
from rlxc.passes.bind_types import require_static
from rlxc.passes.pipelines import build
from rlxc.runtime import jit
from rlxc.runtime.cpu import Cpu, target_cpu
from rlxc.runtime.executable import Executable


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile. `cpu` is host, avx512, avx2 or plain; `fuse` and `vectorize` are for tests and for reading what comes out."""

    cpu: str = "host"
    fuse: bool = True
    vectorize: bool = True


def lower_func(func: Func, options: Options = Options()) -> Module:
    """The kernels of `func`, scheduled for the target."""
    cpu = target_cpu(options.cpu)
    return build(native_pipeline(cpu, options)).run(func.as_module().only(func))


def native_pipeline(cpu: Cpu, options: Options) -> str:
    """The passes from the tensor level to code generation, as text."""
    steps = ["inline", "legalize", "simplify", "cse", "dce", f"fuse{{max_flops = {480.0 if options.fuse else 0.0}}}", "lower"]
    if cpu.has_fma:
        steps.append("form-fma")
    if options.vectorize:
        steps.append(f"vectorize{{bytes = {cpu.vector_bytes}}}")
    return ",".join([*steps, "expand-math"])
