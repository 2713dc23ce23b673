"""The C interface of a library as LLVM IR: what other languages call, around the entries of kernels.

int f(const float *x, float *y, void *workspace)                     one pointer for each argument and result
int f_call(const void *const *in, void *const *out, void *workspace)     the same for all functions
size_t f_workspace_size(void)
void f_entry(void *const *buffers, void *workspace, void *pool)          what rlxc.load_library calls: nothing is checked
const char *model_metadata(void)                                     JSON; also under the name rlxc_metadata
"""

from __future__ import annotations

from dataclasses import dataclass

from rlxc.codegen.c_signature import ALIGNMENT, CFunction, CLibrary
from rlxc.codegen.text import byte_string, symbol_of

OK, NULL_POINTER = 0, 1  # what a function returns
METADATA = "rlxc_metadata"  # what a program that loads any library asks for


@dataclass(frozen=True, slots=True)
class Platform:
    """What the interface depends on: the size of a pointer, and "ELF", "MachO", "COFF" or "Wasm"."""

    pointer_bits: int
    object_format: str


def emit_interface(library: CLibrary, data: dict[str, bytes], platform: Platform) -> str:
    """LLVM IR of the exported functions, and of the embedded weights, by symbol, as read-only data."""
    parts = [f'@"{symbol}" = internal unnamed_addr constant {byte_string(raw)}, align {ALIGNMENT}' for symbol, raw in data.items()]
    for f in library.functions:
        parts += [_typed(f, platform), _call(f, platform), _workspace_size(f, platform), _entry(f, platform)]
    text = library.metadata().encode() + b"\0"
    parts.append(f'@"rlxc.$metadata" = internal unnamed_addr constant {byte_string(text)}')
    accessor = 'ret ptr @"rlxc.$metadata"'
    parts.append(_define("ptr", f"{library.name}_metadata", [], [accessor], platform))
    if platform.object_format == "COFF":
        parts.append(f"${METADATA} = comdat any")
    parts.append(_define("ptr", METADATA, [], [accessor], platform, weak=True))
    return "\n".join([*parts, ""])


def _define(result: str, name: str, args: list[str], body: list[str], platform: Platform, *, weak: bool = False) -> str:
    """An exported function. A weak one may be in several libraries that are linked together."""
    linkage, comdat, attributes = "", "", ""
    if weak:
        linkage = "weak_odr "
    if platform.object_format == "COFF":
        linkage += "dllexport "
        comdat = " comdat" if weak else ""
    elif not weak:
        linkage = "dso_local "  # one function of the library calls another directly
    if platform.object_format == "Wasm":
        attributes = f' "wasm-export-name"="{name}"'
    lines = "\n".join(line if line.endswith(":") else f"  {line}" for line in body)
    return f'define {linkage}{result} @"{name}"({", ".join(args)}) nounwind{attributes}{comdat} {{\n{lines}\n}}\n'


def _typed(f: CFunction, platform: Platform) -> str:
    """Refuse null pointers, align the workspace, run."""
    args = [f"ptr %a{i}" for i, _ in enumerate(f.passed)] + ["ptr %weights"] * f.maps_weights + [f"ptr %r{i}" for i, _ in enumerate(f.results)]
    required = [f"%a{i}" for i, a in enumerate(f.passed) if a.nbytes] + ["%weights"] * f.maps_weights
    required += [f"%r{i}" for i, r in enumerate(f.results) if r.nbytes] + ["%workspace"] * bool(f.workspace)
    body = ["entry:"]
    for i, name in enumerate(required):
        body.append(f"%null{i} = icmp eq ptr {name}, null")
        body.append(f"%any{i} = or i1 %null{i}, {f'%any{i - 1}' if i else 'false'}")
    if required:
        body += [f"br i1 %any{len(required) - 1}, label %refuse, label %run", "refuse:", f"ret i32 {NULL_POINTER}", "run:"]
    body += _aligned_workspace(f"i{platform.pointer_bits}") if f.workspace else []
    body += _run(f, "%aligned" if f.workspace else "%workspace", "null")  # no pool: the caller's thread does it all
    return _define("i32", f.symbol, [*args, "ptr %workspace"], [*body, f"ret i32 {OK}"], platform)


def _run(f: CFunction, workspace: str, pool: str) -> list[str]:
    """Call the entry with the buffers that a caller passes, %a0, ... and %r0, ..., and with the weights."""
    buffers, lines = [], []
    places = iter(range(len(f.passed)))
    for i, a in enumerate(f.arguments):
        if a.data is not None:
            buffers.append(f'@"{a.data}"')
        elif a.offset is not None:
            lines.append(f"%weight{i} = getelementptr inbounds i8, ptr %weights, i64 {a.offset}")
            buffers.append(f"%weight{i}")
        else:
            buffers.append(f"%a{next(places)}")
    buffers += [f"%r{i}" for i, _ in enumerate(f.results)]
    lines.append(f"%all = alloca [{max(len(buffers), 1)} x ptr]")
    for i, buffer in enumerate(buffers):
        lines += [f"%all{i} = getelementptr inbounds ptr, ptr %all, i64 {i}", f"store ptr {buffer}, ptr %all{i}"]
    return [*lines, f'call void @"{symbol_of(f"entry.{f.name}")}"(ptr %all, ptr {workspace}, ptr {pool})']


def _aligned_workspace(word: str) -> list[str]:
    return [
        f"%address = ptrtoint ptr %workspace to {word}",
        f"%below = sub {word} 0, %address",
        f"%skip = and {word} %below, {ALIGNMENT - 1}",
        f"%aligned = getelementptr inbounds i8, ptr %workspace, {word} %skip",
    ]


def _call(f: CFunction, platform: Platform) -> str:
    """Read the addresses, call the typed function."""
    inputs = [f"%a{i}" for i, _ in enumerate(f.passed)] + ["%weights"] * f.maps_weights
    outputs = [f"%r{i}" for i, _ in enumerate(f.results)]
    body = ["entry:"]
    for array, names in (("in", inputs), ("out", outputs)):
        if names:
            body += [f"%{array}.null = icmp eq ptr %{array}, null", f"br i1 %{array}.null, label %refuse, label %{array}.read", f"{array}.read:"]
            body += _read(names, f"%{array}")
    passed = ", ".join(f"ptr {name}" for name in [*inputs, *outputs, "%workspace"])
    body += [f'%code = call i32 @"{f.symbol}"({passed})', "ret i32 %code"]
    if inputs or outputs:
        body += ["refuse:", f"ret i32 {NULL_POINTER}"]
    return _define("i32", f"{f.symbol}_call", ["ptr %in", "ptr %out", "ptr %workspace"], body, platform)


def _read(names: list[str], array: str) -> list[str]:
    """The addresses in an array under these names."""
    lines = []
    for i, name in enumerate(names):
        lines += [f"{name}.at = getelementptr inbounds ptr, ptr {array}, i64 {i}", f"{name} = load ptr, ptr {name}.at"]
    return lines


def _entry(f: CFunction, platform: Platform) -> str:
    """All addresses in one array: arguments, weights if they are mapped, results. The workspace is aligned; a pool of threads may be given."""
    names = [f"%a{i}" for i, _ in enumerate(f.passed)] + ["%weights"] * f.maps_weights + [f"%r{i}" for i, _ in enumerate(f.results)]
    body = ["entry:", *_read(names, "%buffers"), *_run(f, "%workspace", "%pool"), "ret void"]
    return _define("void", f"{f.symbol}_entry", ["ptr %buffers", "ptr %workspace", "ptr %pool"], body, platform)


def _workspace_size(f: CFunction, platform: Platform) -> str:
    word = f"i{platform.pointer_bits}"
    return _define(word, f"{f.symbol}_workspace_size", [], [f"ret {word} {f.workspace}"], platform)
