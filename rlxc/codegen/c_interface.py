"""The C interface of a library as LLVM IR: what other languages call, around the internal kernels.

    int f(const float *x, float *y, void *workspace)                     one pointer for each argument and result
    int f_call(const void *const *in, void *const *out, void *workspace)     the same for all functions
    size_t f_workspace_size(void)
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
        parts += [_typed(f, platform), _call(f, platform), _workspace_size(f, platform)]
    text = library.metadata().encode() + b"\0"
    parts.append(f'@"rlxc.$metadata" = internal unnamed_addr constant {byte_string(text)}')
    accessor = "ret ptr @\"rlxc.$metadata\""
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
    if platform.object_format == "Wasm":
        attributes = f' "wasm-export-name"="{name}"'
    lines = "\n".join(line if line.endswith(":") else f"  {line}" for line in body)
    return f'define {linkage}{result} @"{name}"({", ".join(args)}) nounwind{attributes}{comdat} {{\n{lines}\n}}\n'


def _typed(f: CFunction, platform: Platform) -> str:
    """Refuse null pointers, align the workspace, call the kernel."""
    args = [f"ptr %a{i}" for i, _ in enumerate(f.passed)] + ["ptr %weights"] * f.maps_weights + [f"ptr %r{i}" for i, _ in enumerate(f.results)]
    required = [f"%a{i}" for i, a in enumerate(f.passed) if a.nbytes] + ["%weights"] * f.maps_weights
    required += [f"%r{i}" for i, r in enumerate(f.results) if r.nbytes] + ["%workspace"] * bool(f.workspace)
    body = ["entry:"]
    for i, name in enumerate(required):
        body.append(f"%null{i} = icmp eq ptr {name}, null")
        body.append(f"%any{i} = or i1 %null{i}, {f'%any{i - 1}' if i else 'false'}")
    if required:
        body += [f"br i1 %any{len(required) - 1}, label %refuse, label %run", "refuse:", f"ret i32 {NULL_POINTER}", "run:"]
    passed = []
    places = iter(range(len(f.passed)))
    for i, a in enumerate(f.arguments):
        if a.data is not None:
            passed.append(f'ptr @"{a.data}"')
        elif a.offset is not None:
            body.append(f"%w{i} = getelementptr inbounds i8, ptr %weights, i64 {a.offset}")
            passed.append(f"ptr %w{i}")
        else:
            passed.append(f"ptr %a{next(places)}")
    passed += [f"ptr %r{i}" for i, _ in enumerate(f.results)]
    body += _aligned_workspace(f"i{platform.pointer_bits}") if f.workspace else []
    passed.append("ptr %aligned" if f.workspace else "ptr %workspace")
    body += [f'call void @"{symbol_of(f.name)}"({", ".join(passed)})', f"ret i32 {OK}"]
    return _define("i32", f.symbol, [*args, "ptr %workspace"], body, platform)


def _aligned_workspace(word: str) -> list[str]:
    return [
        f"%address = ptrtoint ptr %workspace to {word}",
        f"%below = sub {word} 0, %address",
        f"%skip = and {word} %below, {ALIGNMENT - 1}",
        f"%aligned = getelementptr inbounds i8, ptr %workspace, {word} %skip",
    ]


def _call(f: CFunction, platform: Platform) -> str:
    """Read the addresses, call the typed function."""
    body, passed = ["entry:"], []
    for array, count in (("in", len(f.passed) + f.maps_weights), ("out", len(f.results))):
        if count:
            body += [f"%{array}.null = icmp eq ptr %{array}, null", f"br i1 %{array}.null, label %refuse, label %{array}.read", f"{array}.read:"]
        for i in range(count):
            body.append(f"%{array}.p{i} = getelementptr inbounds ptr, ptr %{array}, i64 {i}")
            body.append(f"%{array}{i} = load ptr, ptr %{array}.p{i}")
            passed.append(f"ptr %{array}{i}")
    body += [f'%code = call i32 @"{f.symbol}"({", ".join([*passed, "ptr %workspace"])})', "ret i32 %code"]
    if passed:
        body += ["refuse:", f"ret i32 {NULL_POINTER}"]
    return _define("i32", f"{f.symbol}_call", ["ptr %in", "ptr %out", "ptr %workspace"], body, platform)


def _workspace_size(f: CFunction, platform: Platform) -> str:
    word = f"i{platform.pointer_bits}"
    return _define(word, f"{f.symbol}_workspace_size", [], [f"ret {word} {f.workspace}"], platform)
