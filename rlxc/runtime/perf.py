"""Names of kernels for Linux `perf`: with RLXC_PERF=1, every piece of machine code that is loaded is listed in /tmp/perf-PID.map.

    RLXC_PERF=1 perf record python program.py && perf report

`perf` finds no symbols in code that a process made itself; it looks for this file, which has a line `START SIZE NAME` for each function, in
hexadecimal. (Linux, tools/perf/Documentation/jit-interface.txt.)
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

_FUNCTION, _SYMTAB = 2, 2


class Symbol(NamedTuple):
    """A function in an object file: where it stands in its section, and how long it is."""

    name: str
    section: int
    offset: int
    size: int


def is_wanted() -> bool:
    return os.environ.get("RLXC_PERF", "0") not in ("", "0")


def write_map(obj: bytes, known: str, address: int) -> None:
    """Append the functions of `obj` to this process's map; the function called `known` is loaded at `address`."""
    symbols = list(functions(obj))
    anchor = next((s for s in symbols if s.name == known), None)
    if anchor is None:
        return  # no ELF file
    lines = [f"{address + s.offset - anchor.offset:x} {s.size:x} {s.name}\n" for s in symbols if s.section == anchor.section]
    with open(f"/tmp/perf-{os.getpid()}.map", "a") as file:
        file.write("".join(lines))


def functions(obj: bytes) -> Iterator[Symbol]:
    """The functions in a 64-bit little-endian ELF object file, local ones too; nothing, if it is another kind of file."""
    if obj[:6] != b"\x7fELF\x02\x01":
        return
    (table,) = struct.unpack_from("<Q", obj, 40)
    entry_size, count = struct.unpack_from("<HH", obj, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", obj, table + i * entry_size) for i in range(count)]
    for _, kind, _, _, offset, size, link, _, _, step in sections:
        if kind != _SYMTAB:
            continue
        names = sections[link][4]
        for at in range(offset, offset + size, step):
            name, info, _, section, value, length = struct.unpack_from("<IBBHQQ", obj, at)
            if info & 15 == _FUNCTION and section:
                start = names + name
                yield Symbol(obj[start : obj.index(b"\0", start)].decode(), section, value, length)
