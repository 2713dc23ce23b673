"""The loop level to LLVM IR, one to one: kernels become functions, loops become blocks, ops write their own instructions.

    kernel @f.k0(%x: mem f32[128], %y: mem f32[128])     define internal void @"rlxc.f.k0"(ptr noalias %x, ptr noalias %y, ptr noalias %workspace, ptr %pool)
    kernel @f(%x: ..., %out: ...)                        define void @"rlxc.entry.f"(ptr %arguments, ptr %workspace, ptr %pool)

An entry takes the addresses of all its arguments in one array, a workspace for what it allocates, and a pool of threads, or null to run
on the caller's thread alone. What follows a kernel's own allocations in its workspace is the workspace of whichever kernel it calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rlxc.codegen.access import Access
from rlxc.codegen.call_table import MANY, CallTable, fits_call_table
from rlxc.codegen.parallel import is_parallel, write_apart, write_parallel
from rlxc.codegen.text import FOREIGN, PREFIX, Ref, llvm_type, symbol_of
from rlxc.codegen.work import work
from rlxc.codegen.workspace import private_room, workspaces
from rlxc.errors import DTypeError, Error, VerifyError
from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.emitter import Emitter
from rlxc.ir.foreign import Prototype
from rlxc.ir.target import Target
from rlxc.ir.types import INDEX, MemType, VectorType

WIDE = 64  # bytes: vectors of more are two or more registers, which LLVM takes apart op by op
NOTHING: Mapping[int, int] = {}


@dataclass
class Emitted:
    """LLVM IR text; of each entry how much workspace it needs in bytes and how much work a call is; whether loops want a pool of threads;
    the prototypes of C functions that it calls."""

    text: str
    entries: dict[str, str] = field(default_factory=dict)  # kernel -> symbol
    workspace: dict[str, int] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)
    parallel: bool = False
    foreign: tuple[str, ...] = ()


def emit_module(
    module: Module,
    entries: Sequence[str],
    *,
    fma: bool = True,
    f16: bool = True,
    rounding: bool = True,
    scales: bool = False,
    threads: int = 1,
    internal: bool = False,
) -> Emitted:
    """LLVM IR of all kernels in `module`, with an entry for each of `entries`; at most `threads` threads share its parallel loops.

    Entries that are `internal` are for other code of the same LLVM module, which is linked with the C functions that it calls.
    """
    linkage = "internal " if internal else ""
    shared = Shared(fma, f16, rounding, scales, threads, "" if internal else FOREIGN)
    bodies = []
    result = Emitted("")
    needs = workspaces(module.funcs, threads)
    once = _called_once(module)
    tables: dict[str, CallTable] = {}
    known: dict[str, dict[int, int]] = {}
    for func in module.funcs:
        if func.kind != "kernel":
            raise VerifyError(f"@{func.name} has not been lowered to loops", code="RLX0401", loc=func.loc)
        if func.name in entries and fits_call_table(func):
            tables[func.name] = CallTable(func, needs[func.name].own, Access(shared).global_data, once)
            known |= tables[func.name].known
    boxed = _boxed(module, tables)
    for func in module.funcs:
        writer = FuncWriter(shared, func, needs[func.name].own)
        if func.name not in entries:
            bodies.append(writer.function(known.get(func.name, {}), boxed=func.name in boxed))
            continue
        symbol = symbol_of(f"entry.{func.name}")
        result.entries[func.name] = symbol
        result.workspace[func.name] = needs[func.name].total
        result.work[func.name] = work(module, func.name)
        if func.name in tables:
            bodies.append(tables[func.name].function(symbol, linkage, boxed))
        else:
            bodies += [writer.function(), _entry(func, symbol, linkage)]
    declarations = [shared.declarations[name] for name in sorted(shared.declarations)]
    result.parallel = threads > 1 and bool(shared.outlined)
    result.foreign = tuple(sorted(map(str, shared.foreign.values())))
    result.text = "\n".join([*shared.globals, "", *bodies, *shared.outlined, *shared.apart.values(), *declarations, ""])
    return result


def _called_once(module: Module) -> set[str]:
    """Names of the functions that one op calls."""
    calls = Counter(callee for func in module.funcs for op in func.walk() if (callee := callee_of(op)) is not None)
    return {name for name, n in calls.items() if n == 1}


def _boxed(module: Module, tables: Mapping[str, CallTable]) -> set[str]:
    """Kernels without loops that only tables call, with many operands: they take those from the array where the table puts them."""
    operands = {callee: n for table in tables.values() for callee, n in zip(table.kernels, table.operands, strict=True)}
    others = {callee_of(op) for func in module.funcs if func.name not in tables for op in func.walk()}
    loops = {func.name for func in module.funcs if any(op.prim.syntax == "for" for op in func.walk())}
    return {callee for callee, n in operands.items() if n > MANY} - others - loops


def _weights(start: str, stop: str, step: int) -> str:
    """How often a loop is done once more, where that is known: LLVM keeps in registers what the busiest loops use."""
    if start.startswith("%") or stop.startswith("%"):
        return ""
    again = max(1, (int(stop) - int(start) - 1) // step)
    return f', !prof !{{!"branch_weights", i32 {min(again, 1 << 30)}, i32 1}}'


def _entry(func: Func, symbol: str, linkage: str) -> str:
    """Unpack the addresses and call the kernel."""
    lines = [f'define {linkage}void @"{symbol}"(ptr %arguments, ptr %workspace, ptr %pool) {{']
    passed = []
    for i, _ in enumerate(func.args):
        lines.append(f"  %p{i} = getelementptr inbounds ptr, ptr %arguments, i64 {i}")
        lines.append(f"  %a{i} = load ptr, ptr %p{i}")
        passed.append(f"ptr %a{i}")
    lines.append(f'  call void @"{symbol_of(func.name)}"({", ".join([*passed, "ptr %workspace", "ptr %pool"])})')
    return "\n".join([*lines, "  ret void", "}", ""])


@dataclass
class Shared:
    """What the functions of a module have in common; `fma`, `f16`, `rounding` and `scales` say whether the processor has those instructions."""

    fma: bool = True
    f16: bool = True
    rounding: bool = True
    scales: bool = False  # AVX-512's scalef
    threads: int = 1
    before_foreign: str = ""  # what the symbols of C functions begin with
    globals: list[str] = field(default_factory=list)
    declarations: dict[str, str] = field(default_factory=dict)
    data: dict[tuple, str] = field(default_factory=dict)
    outlined: list[str] = field(default_factory=list)  # functions that pools call
    apart: dict[str, str] = field(default_factory=dict)  # functions that kernels share, by symbol
    foreign: dict[str, Prototype] = field(default_factory=dict)  # C functions, by symbol


class FuncWriter(Access):
    """Writes one kernel."""

    def __init__(self, shared: Shared, func: Func, own: int) -> None:
        super().__init__(shared)
        self.func = func
        self.refs: dict[Value, Ref] = {}
        self.boxed: dict[Value, int] = {}  # arguments whose addresses are in an array, where they are read when they are wanted
        self.own = own  # bytes of workspace that the kernel allocates in all
        self.allocated = 0
        self.symbol = symbol_of(func.name)
        self.parts = 0  # loops written as functions
        self.stacked: list[str] = []  # what stands at the beginning of the function

    def function(self, known: Mapping[int, int] = NOTHING, *, boxed: bool = False) -> str:
        """The whole definition; of some arguments it is `known` where they are, in bytes from the workspace. The others may be `boxed` in an array."""
        args = []
        self.start_block("entry")
        for i, a in enumerate(self.func.args):
            if not isinstance(a.type, MemType):
                raise VerifyError(f"kernel @{self.func.name}: an argument is memory, not {a.type}", loc=self.func.loc)
            if i in known:
                self.refs[a] = Ref(self.inst(f"getelementptr i8, ptr %workspace, i64 {known[i]}"), a.type)
            elif boxed:
                self.boxed[a] = len(self.boxed)
            else:
                self.refs[a] = Ref(f"%a{i}", a.type)
                args.append(f"ptr noalias %a{i}")
        self.run(self.func.ops)
        args += ["ptr noalias %buffers"] if boxed else []
        return self.definition(self.symbol, ", ".join([*args, "ptr noalias %workspace", "ptr %pool"]))

    def definition(self, symbol: str, args: str) -> str:
        """What was written, as a function."""
        entry, *rest = self.lines
        lines = "\n".join([entry, *self.stacked, *rest])
        return f'define internal void @"{symbol}"({args}) {{\n{lines}\n  ret void\n}}\n'

    def run(self, ops: Sequence[Op]) -> None:
        for op in ops:
            if op.regions:
                op.prim.llvm_regions(self, op)  # type: ignore[attr-defined]
                continue
            operands = [self.refs[v] if v in self.refs else self.unboxed(v) for v in op.operands]
            attrs = {k: v for k, v in op.attrs.items() if k != "type"}  # the result type is passed as such
            try:
                text = op.prim.llvm(self, op.results[0].type if op.results else None, *operands, **attrs)  # type: ignore[attr-defined]
            except Error as error:
                raise error.at(op.loc) from None
            if op.results:
                self.refs[op.result] = Ref(text, op.result.type)
                if op.result.type == INDEX:
                    self.note_index(text, op, operands)

    def unboxed(self, v: Value) -> Ref:
        """An argument, whose address is read here."""
        place = self.inst(f"getelementptr inbounds ptr, ptr %buffers, i64 {self.boxed[v]}")
        return Ref(self.inst(f"load ptr, ptr {place}"), v.type)

    def note_index(self, text: str, op: Op, operands: Sequence[Ref]) -> None:
        """Remember where an index is computed, and whether it is another one and a number."""
        self.depth_of.setdefault(text, len(self.addresses))
        if op.prim.sum == (1, 1):  # type: ignore[attr-defined]
            (x, m), (y, n) = (self.split_index(v.text) for v in operands)
            if x is None or y is None:
                self.displaced[text] = (y if x is None else x, m + n)

    def write_for(self, op: Op) -> None:
        """Blocks that run at least once; a loop that never runs is its initial values."""
        start, stop, step = op.attrs["start"], op.attrs["stop"], op.attrs["step"]
        (body,) = op.regions
        inits = [self.refs[v] for v in op.operands]
        if start >= stop:
            self.refs.update(zip(op.results, inits, strict=True))
        elif is_parallel(op, self.shared.threads):
            write_parallel(self, op)
        elif op.attrs.get("apart") and not private_room(op):
            write_apart(self, op)
        else:
            self.counted(body, inits, str(start), str(stop), step)
            self.refs.update(zip(op.results, [self.refs[v] for v in body.results], strict=True))

    def counted(self, body: Func, inits: Sequence[Ref], start: str, stop: str, step: int) -> None:
        """The blocks of a loop that runs at least once."""
        head, after = self.label("loop"), self.label("after")
        before = self.block
        counter = self.fresh()
        following = self.fresh()
        self.end_block(f"br label %{head}")
        self.start_block(head)
        self.addresses.append({})
        self.depth_of[counter] = len(self.addresses)
        at = len(self.lines)
        self.refs[body.args[0]] = Ref(counter, body.args[0].type)
        for a in body.args[1:]:
            self.refs[a] = Ref(self.fresh(), a.type)
        self.run(body.ops)
        latch = self.block
        self.addresses.pop()
        phis = [f"  {counter} = phi i64 [ {start}, %{before} ], [ {following}, %{latch} ]"]
        for a, init, out in zip(body.args[1:], inits, body.results, strict=True):
            phis.append(f"  {self.refs[a].text} = phi {llvm_type(a.type)} [ {init.text}, %{before} ], [ {self.refs[out].text}, %{latch} ]")
        self.lines[at:at] = phis
        self.lines.append(f"  {following} = add nuw nsw i64 {counter}, {step}")
        again = self.inst(f"icmp slt i64 {following}, {stop}")
        self.end_block(f"br i1 {again}, label %{head}, label %{after}{_weights(start, stop, step)}")
        self.start_block(after)

    def write_if(self, op: Op) -> None:
        """Two blocks that meet again."""
        condition = self.refs[op.operands[0]]
        labels = [self.label("then"), self.label("else")]
        after = self.label("after")
        weights = ', !prof !{!"branch_weights", i32 1, i32 2000}' if op.attrs.get("rare") else ""
        self.end_block(f"br i1 {condition.text}, label %{labels[0]}, label %{labels[1]}{weights}")
        came_from, yields = [], []
        for label, region in zip(labels, op.regions, strict=True):
            self.start_block(label)
            self.addresses.append({})
            self.run(region.ops)
            self.addresses.pop()
            came_from.append(self.block)
            yields.append([self.refs[v].text for v in region.results])
            self.end_block(f"br label %{after}")
        self.start_block(after)
        for v, a, b in zip(op.results, *yields, strict=True):
            text = self.inst(f"phi {llvm_type(v.type)} [ {a}, %{came_from[0]} ], [ {b}, %{came_from[1]} ]")
            self.refs[v] = Ref(text, v.type)

    def write_while(self, op: Op) -> None:
        """A block for the condition, and one that goes back to it; what is carried comes from before, or from there."""
        condition, body = op.regions
        inits = [self.refs[v] for v in op.operands]
        head, again, after = self.label("head"), self.label("again"), self.label("after")
        before = self.block
        self.end_block(f"br label %{head}")
        self.start_block(head)
        at = len(self.lines)
        carried = [Ref(self.fresh(), v.type) for v in op.operands]
        self.addresses.append({})
        self.refs.update(zip(condition.args, carried, strict=True))
        self.run(condition.ops)
        self.end_block(f"br i1 {self.refs[condition.results[0]].text}, label %{again}, label %{after}")
        self.start_block(again)
        self.refs.update(zip(body.args, carried, strict=True))
        self.run(body.ops)
        self.addresses.pop()
        latch = self.block
        self.end_block(f"br label %{head}")
        self.lines[at:at] = [
            f"  {v.text} = phi {llvm_type(v.type)} [ {init.text}, %{before} ], [ {self.refs[new].text}, %{latch} ]"
            for v, init, new in zip(carried, inits, body.results, strict=True)
        ]
        self.start_block(after)
        self.refs.update(zip(op.results, carried, strict=True))

    # what needs the function or the module

    def allocate(self, type: MemType) -> str:
        return self.reserve(type.room)

    def reserve(self, size: int) -> str:
        """The next `size` bytes of the kernel's workspace."""
        offset = self.allocated
        self.allocated += size
        return self.workspace_at(offset)

    def part_of(self, memory: Ref, offset: int) -> str:
        """The address of what lies `offset` bytes into memory."""
        return self.inst(f"getelementptr inbounds i8, ptr {memory.text}, i64 {offset}") if offset else memory.text

    def stack(self, size: int) -> str:
        """`size` bytes that live as long as the call."""
        name = self.fresh()
        self.stacked.append(f"  {name} = alloca [{size} x i8], align 64")
        return name

    def inside(self, symbol: str) -> FuncWriter:
        """A writer of function `symbol` that does a part of this one's work."""
        writer = FuncWriter(Shared(**{**vars(self.shared), "threads": 0}), self.func, 0)
        writer.symbol = symbol
        return writer

    def outlined_symbol(self) -> str:
        """A name for the next loop that becomes a function; no kernel's symbol has a single $."""
        self.parts += 1
        return f"{self.symbol}.$p{self.parts - 1}"

    def workspace_at(self, offset: int) -> str:
        return self.inst(f"getelementptr inbounds i8, ptr %workspace, i64 {offset}") if offset else "%workspace"

    def call_foreign(self, prototype: Prototype, type: VectorType | None, operands: Sequence[Ref]) -> str:
        """Call a C function; the text of its result."""
        name = prototype.symbol
        if self.shared.foreign.setdefault(name, prototype) != prototype:
            raise DTypeError(f"two C functions are called {name}: {prototype}, and {self.shared.foreign[name]}")
        symbol = self.shared.before_foreign + name
        types = [llvm_type(x.type) for x in operands]
        result = "void" if type is None else llvm_type(type)
        self.shared.declarations.setdefault(symbol, f"declare {result} @{symbol}({', '.join(types)})")
        call = f"call {result} @{symbol}({', '.join(f'{t} {x.text}' for t, x in zip(types, operands, strict=True))})"
        if type is not None:
            return self.inst(call)
        self.lines.append(f"  {call}")
        return ""

    def call_apart(self, name: str, xs: Sequence[Ref], emit: Callable[..., Value]) -> str:
        """Call what `emit` makes of arguments of one type, written once as a function of the module; for wide vectors half by half."""
        type = xs[0].type
        if type.lanes * type.dtype.size > WIDE:
            half = VectorType(type.dtype, type.lanes // 2)
            lanes = [range(half.lanes), range(half.lanes, type.lanes)]
            low, high = (self.call_apart(name, [Ref(self.shuffle(x, x, part), half) for x in xs], emit) for part in lanes)
            return self.shuffle(Ref(low, half), Ref(high, half), range(type.lanes))
        t = llvm_type(type)
        symbol = f"{PREFIX}$a.{name}.{self.suffix(type)}"
        if symbol not in self.shared.apart:
            e, args = Emitter(Target(scales=self.shared.scales)), [Value(type) for _ in xs]
            region = e.region(args, lambda: emit(e, *args))
            inner = self.inside(symbol)
            inner.refs |= {arg: Ref(f"%x{i}", type) for i, arg in enumerate(args)}
            inner.start_block("entry")
            inner.run([*e.ops, *region.ops])
            inner.lines.append(f"  ret {t} {inner.refs[region.results[0]].text}")
            lines = "\n".join(inner.lines)
            taken = ", ".join(f"{t} %x{i}" for i in range(len(xs)))
            self.shared.apart[symbol] = f'define internal {t} @"{symbol}"({taken}) {{\n{lines}\n}}\n'
        passed = ", ".join(f"{t} {x.text}" for x in xs)
        return self.inst(f'call {t} @"{symbol}"({passed})')

    def call_kernel(self, callee: str, memory: Sequence[Ref]) -> None:
        passed = ", ".join(f"ptr {text}" for text in [*(m.text for m in memory), self.workspace_at(self.own), "%pool"])
        self.lines.append(f'  call void @"{symbol_of(callee)}"({passed})')
