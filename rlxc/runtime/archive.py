"""Static libraries: an object file in an `ar` archive, with the index of symbols that linkers look for.

!<arch>\\n
/ (60-byte header)   count, then the offset of the member for each symbol (4 bytes, big endian), then the names
// (60-byte header)  long names, if there are any
model.o/ (60-byte header) and the object code; every part begins at an even offset
"""

from __future__ import annotations

from collections.abc import Sequence

_MAGIC = b"!<arch>\n"


def archive(member: str, content: bytes, symbols: Sequence[str]) -> bytes:
    """The archive that holds one member, which defines `symbols`. Nothing in it depends on time or user."""
    names = b"".join(s.encode() + b"\0" for s in symbols)
    long_names = b""
    name = f"{member}/"
    if len(name) > 16:
        long_names = _part("//", f"{member}/\n".encode(), dated=False)
        name = "/0"
    index_size = 60 + _even(4 + 4 * len(symbols) + len(names))
    offset = len(_MAGIC) + index_size + len(long_names)
    index = len(symbols).to_bytes(4, "big") + offset.to_bytes(4, "big") * len(symbols) + names
    return _MAGIC + _part("/", index) + long_names + _part(name, content)


def _part(name: str, content: bytes, *, dated: bool = True) -> bytes:
    """A header (name, date, owner, group, mode, size) and what it heads."""
    date, owner, group, mode = ("0", "0", "0", "644" if name[0] != "/" or name == "/0" else "0") if dated else ("", "", "", "")
    header = f"{name:<16}{date:<12}{owner:<6}{group:<6}{mode:<8}{len(content):<10}`\n".encode()
    return header + content + b"\n" * (len(content) % 2)


def _even(n: int) -> int:
    return n + n % 2
