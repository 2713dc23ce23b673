"""The C header of a library: sizes, and a typed declaration of every function, for C and C++."""

from __future__ import annotations

from rlxc.codegen.c_signature import ABI, CFunction, CLibrary
from rlxc.errors import Unsupported
from rlxc.ir.types import DType

#: 16-bit floats are their bits, complex numbers pairs (re, im)
_C_TYPES = {"bool": "bool", "f32": "float", "f64": "double", "f16": "uint16_t", "bf16": "uint16_t", "c64": "float", "c128": "double"}

_PREAMBLE = """\
/* {name}.h: native functions of lib{name}, written by rlxc {version}.
 *
 * Buffers belong to the caller. They are row-major and aligned to their elements, and a result overlaps no other buffer.
 * A function keeps no state, allocates nothing and calls no one back: any number of threads may call it at once, each with a
 * workspace of its own. `workspace` is <NAME>_WORKSPACE_SIZE bytes at any address (NULL if that is 0), which hold nothing
 * between calls. Functions return RLXC_OK, or RLXC_NULL_POINTER for a buffer that is not there; then nothing has been written.
 *
 * Compiled for {triple}, {cpu}.
 */"""


def header(library: CLibrary) -> str:
    """The text of `NAME.h`."""
    guard = f"{library.name.upper()}_H"
    lines = [
        _PREAMBLE.format(name=library.name, version=library.version, triple=library.triple, cpu=library.cpu or "any processor"),
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdbool.h>",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        "#ifndef RLXC_OK",
        "#define RLXC_OK 0",
        "#define RLXC_NULL_POINTER 1",
        "#endif",
        "",
        f'#define {library.name.upper()}_RLXC_VERSION "{library.version}"',
        f"#define {library.name.upper()}_RLXC_ABI {ABI}",
        "",
        *_foreign(library),
        *_weights(library),
    ]
    for f in library.functions:
        lines += [*_function(f), ""]
    lines += [
        "/* The functions and their buffers as JSON, for programs that load the library by name. */",
        f"const char *{library.name}_metadata(void);",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "#endif",
        "",
    ]
    _refuse_twins(lines)
    return "\n".join(lines)


def _refuse_twins(lines: list[str]) -> None:
    """A macro has one value: @f(%g_x) and @f_g(%x) would share F_G_X_SIZE."""
    values: dict[str, str] = {}
    for line in lines:
        if line.startswith("#define ") and line.count(" ") > 1:
            _, name, value = line.split(" ", 2)
            if values.setdefault(name, value) != value:
                raise Unsupported(f"two sizes would be called {name} in C", code="RLX0702", help="rename an argument or a function")


def _foreign(library: CLibrary) -> list[str]:
    """The C functions that the code calls and does not hold."""
    if not library.foreign:
        return []
    return ["/* Link with what defines", *[f" *   {prototype}" for prototype in library.foreign], " */", ""]


def _weights(library: CLibrary) -> list[str]:
    """Where each array lies in the file of weights."""
    if not library.weights_size:
        return []
    prefix = f"{library.name.upper()}_WEIGHTS"
    lines = [f"/* {library.name}.weights: map or read the whole file, aligned to 64 bytes, and pass its address as `weights`. */"]
    lines.append(f"#define {prefix}_SIZE {library.weights_size}")
    lines += [f"#define {prefix}_{w.identifier.upper()}_OFFSET {w.offset}  /* {w.type_text} */" for w in library.weights]
    return [*lines, ""]


def _function(f: CFunction) -> list[str]:
    macro = f.symbol.upper()
    embedded = [a.name for a in f.arguments if a.data is not None]
    title = f"/* @{_comment(f.name)}" + (f", with {_comment(', '.join(embedded))} embedded" if embedded else "")
    lines = [title]
    lines += [f" *   {a.identifier}: {a.type_text}{_pairs(a.dtype)}{', a parameter' if a.param else ''}" for a in f.passed]
    lines += [f" *   {r.identifier}: {r.type_text}{_pairs(r.dtype)}, a result" for r in f.results]
    lines += [" */"]
    lines += [f"#define {macro}_{b.identifier.upper()}_SIZE {b.size}  /* elements */" for b in (*f.passed, *f.results)]
    lines += [f"#define {macro}_WORKSPACE_SIZE {f.workspace}  /* bytes */"]
    parameters = [f"const {c_type(a.dtype)} *{a.identifier}" for a in f.passed]
    parameters += ["const void *weights"] * f.maps_weights
    parameters += [f"{c_type(r.dtype)} *{r.identifier}" for r in f.results]
    lines += _wrapped(f"int {f.symbol}(", [*parameters, "void *workspace"])
    inputs = [*(a.identifier for a in f.passed), *["weights"] * f.maps_weights]
    lines += [
        f"/* in: {', '.join(inputs) or 'nothing'}; out: {', '.join(r.identifier for r in f.results) or 'nothing'} */",
        f"int {f.symbol}_call(const void *const *in, void *const *out, void *workspace);",
        f"size_t {f.symbol}_workspace_size(void);",
    ]
    return lines


def _pairs(dtype: DType) -> str:
    """What C has to know of complex elements: C99's `double complex` and C++'s std::complex<double> lie in memory like that."""
    return f" as pairs of {c_type(dtype)}, (re, im)" if dtype.is_complex else ""


def _wrapped(head: str, parameters: list[str], width: int = 110) -> list[str]:
    """A declaration on as many lines as it takes."""
    lines = [head]
    for i, p in enumerate(parameters):
        piece = p + (", " if i + 1 < len(parameters) else ");")
        if len(lines[-1]) + len(piece) > width and lines[-1].strip():
            lines.append(" " * min(len(head), 28))
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def c_type(dtype: DType) -> str:
    """The type of an element in C."""
    return _C_TYPES.get(dtype) or f"{'u' if dtype.kind == 'u' else ''}int{dtype.bits}_t"


def _comment(text: str) -> str:
    """Text that does not end the comment it stands in."""
    return text.replace("*/", "* /").replace("\n", " ")
