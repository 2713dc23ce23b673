"""From a function to native code: the pipeline, code generation, and the machine code around them."""

from __future__ import annotations

import platform
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from rlxc.codegen.llvm import Emitted, emit_module
from rlxc.errors import PassError
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Func, Module, Value
from rlxc.ir.lazy import cached_property
from rlxc.ir.remarks import Remark, collecting
from rlxc.passes.inline import inline_calls
from rlxc.passes.pipelines import make_pipeline
from rlxc.primitives.linalg import lapack
from rlxc.runtime import cache, jit
from rlxc.runtime.cpu import Cpu, target_cpu
from rlxc.runtime.executable import Executable
from rlxc.runtime.identity import program_key
from rlxc.runtime.memory import MemoryAnalysis, memory_analysis
from rlxc.runtime.params import resolve_resources
from rlxc.runtime.precision import check_precision, remark_precision
from rlxc.runtime.threads import num_threads, pool_address


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile. `cpu` is host, avx512, avx2 or plain; `fuse` and `vectorize` are for tests, and for reading what comes out.

    `precision` is what contractions of f32 may be computed in where that is faster: highest (f32), bf16x6, bf16x3 or bf16.
    `threads` is how many threads may share the work of a call (0: what `rlxc.num_threads()` says); the results are the same for any number.
    With `share_all`, for tests, they share every loop they can, however short it is.
    With `profile` the function has one more result: the times at which its kernels began, and when the last one ended.
    """

    cpu: str = "host"
    precision: str = "highest"
    fuse: bool = True
    vectorize: bool = True
    threads: int = 0
    share_all: bool = False
    profile: bool = False


@dataclass(frozen=True, slots=True)
class Binary:
    """Machine code as an object file, and what has to be known to run it."""

    code: bytes
    entry: str  # symbol
    workspace: int  # bytes
    parallel: bool  # whether it has loops for a pool of threads
    work: int  # ops of the loop level that a call executes
    foreign: tuple[str, ...] = ()  # prototypes of the C functions that it calls


@dataclass(frozen=True)
class Native:
    """A function on its way to machine code; each stage is made when it is asked for."""

    func: Func
    options: Options

    @property
    def cpu(self) -> Cpu:
        return target_cpu(self.options.cpu)

    @property
    def threads(self) -> int:
        return self.options.threads or num_threads()

    @property
    def pipeline(self) -> str:
        return native_pipeline(self.cpu, self.options, lapack=lapack.is_there())

    @cached_property
    def whole(self) -> Func:
        """The function without calls, its constants at hand."""
        return resolve_resources(inline_calls(self.func)).with_(module=None)

    @cached_property
    def kernels(self) -> Module:
        """The function at the loop level, scheduled for the target."""
        return self._lowered()

    def _lowered(self) -> Module:
        return lowered(Module((self.whole,)), self.cpu, self.pipeline, self.options)

    def remarks(self) -> list[Remark]:
        """What was fused into which kernel, what was not, and why; what is stored; how loops were scheduled."""
        with collecting() as remarks:
            self._lowered()
        return remarks

    def memory_analysis(self) -> MemoryAnalysis:
        """How much memory a call needs and for what, buffer by buffer; its `str()` is a table."""
        return memory_analysis(self.kernels, self.func.name, len(self.func.args), self.threads)

    @cached_property
    def emitted(self) -> Emitted:
        cpu = self.cpu
        return emit_module(
            self.kernels, [self.func.name], fma=cpu.has_fma, f16=cpu.has_f16, rounding=cpu.has_rounding, scales=cpu.has_scale, threads=self.threads
        )

    @cached_property
    def interface(self) -> Func:
        """The function as it is called: with `profile`, its timestamps are one more result."""
        if not self.options.profile:
            return self.func
        times = self.kernels[self.func.name].args[-1]
        return self.func.with_(results=(*self.func.results, Value(times.type.tensor, times.name)))

    def llvm(self) -> str:
        """LLVM IR."""
        return self.emitted.text

    def assembly(self) -> str:
        """Machine code as text."""
        return jit.assembly(self.emitted.text, self.cpu)

    def object_code(self) -> bytes:
        """A relocatable object file."""
        return jit.object_code(self.emitted.text, self.cpu)

    @cached_property
    @without_collection()
    def binary(self) -> Binary:
        """Machine code: from the cache on disk, if it is there."""
        store = cache.store()
        key = program_key(self.whole, self.cpu, self.pipeline, self.options.precision, self.threads) if store else None
        if store is None or key is None:
            return self._compiled()
        kept = store.get(key)
        if kept is not None:
            header, code = kept
            return Binary(code, **{**header, "foreign": tuple(header["foreign"])})
        made = self._compiled()
        facts = {"entry": made.entry, "workspace": made.workspace, "parallel": made.parallel, "work": made.work, "foreign": made.foreign}
        store.put(key, facts, made.code)
        return made

    def _compiled(self) -> Binary:
        name = self.func.name
        emitted = self.emitted
        return Binary(self.object_code(), emitted.entries[name], emitted.workspace[name], emitted.parallel, emitted.work[name], emitted.foreign)

    def executable(self) -> Executable:
        """The function in this process."""
        binary = self.binary
        loaded = jit.load(binary.code, [binary.entry], binary.foreign)
        return Executable(self.interface, loaded, binary.entry, binary.workspace, pool_address() if binary.parallel else None, work=binary.work)


def native(func: Func, **options: Any) -> Native:
    """`func`, whose dimensions are all known, as a `Native`; options are those of `Options`."""
    for v in func.args:
        v.type.require_static()  # type: ignore[union-attr]
    return Native(func, options_of(options))


def options_of(settings: dict[str, Any]) -> Options:
    """Settings by name as Options; raises PassError for one that does not exist, or has another kind of value."""
    known = [f.name for f in fields(Options)]
    for name in settings:
        if name not in known:
            near = get_close_matches(name, known, 1)
            help = f"did you mean '{near[0]}'?" if near else f"there is {', '.join(known)}"
            raise PassError(f"compilation has no option '{name}'", code="RLX0403", help=help)
    options = Options(**settings)
    check_precision(options.precision)
    for name in ("fuse", "vectorize", "share_all", "profile"):
        if not isinstance(value := getattr(options, name), bool):
            raise PassError(f"'{name}' is True or False, not {value!r}", code="RLX0403")
    if not isinstance(options.threads, int) or isinstance(options.threads, bool) or options.threads < 0:
        raise PassError(f"'threads' is a positive integer, or 0 for what rlxc.num_threads() says, not {options.threads!r}", code="RLX0403")
    return options


def compile_func(func: Func, **options: Any) -> Executable:
    """Native code for `func`; options are those of `Options`."""
    return native(func, **options).executable()


def lowered(module: Module, cpu: Cpu, pipeline: str, options: Options) -> Module:
    """A module without calls at the loop level, scheduled for the target by its pipeline."""
    remark_precision(options.precision, cpu)
    return make_pipeline(pipeline).run(module)


def native_pipeline(cpu: Cpu, options: Options, *, lapack: bool = False) -> str:
    """The passes from the tensor level to code generation, as text; with `lapack`, code may call that library of this process."""
    steps = ["unwrap", "legalize", "planes", "simplify", "cse", "dce", "batch-steps", "outline"]
    if options.fuse:
        steps.append(f"blocks{{l2 = {cpu.l2}}}")
    steps += [f"fuse{{max_flops = {480.0 if options.fuse else 0.0}}}", "rematerialize"]
    settings = [f"bytes = {cpu.vector_bytes}, registers = {cpu.registers}, l1 = {cpu.l1}, l2 = {cpu.l2}, l3 = {cpu.l3}"] if options.vectorize else []
    settings += ["lapack = true"] if lapack and options.vectorize else []
    settings += ["work = true"] if options.profile else []
    steps.append(f"lower{{{', '.join(settings)}}}" if settings else "lower")
    steps.append("plan-memory")
    steps.append("form-fma" if cpu.has_fma else "split-fma")
    steps += ["split-reductions{tile = 8}" if options.share_all else "split-reductions", "parallelize"]
    if options.vectorize:
        steps += [f"block-transposes{{bytes = {cpu.vector_bytes}, l1 = {cpu.l1}}}", f"vectorize{{bytes = {cpu.vector_bytes}}}"]
    steps.append("expand-math{scales = true}" if cpu.has_scale else "expand-math")
    steps.append(f"chunk-loops{{bytes = {cpu.vector_bytes}{', least = 0.0' if options.share_all else ''}}}")
    if options.profile:
        steps.append(f"profile{{clock = {'cycles' if platform.machine() in ('x86_64', 'AMD64') else 'steady'}}}")
    return ",".join(steps)
