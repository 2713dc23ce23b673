"""Machine code on disk: what was compiled once is loaded by the next process that asks for the same.

    ~/.cache/rlxc/3f/3f0c...a2.bin      an entry: magic, SHA-256 of key and rest, length of a JSON header, the header, object code
    ~/.cache/rlxc/hits, misses          one byte for each time that an entry was found, or not

Entries are written beside their place and moved there, so readers never see half of one, and writers may be many. One that is damaged
is deleted and counts as a miss. Where the folder cannot be written or read there is no cache, and nothing else changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rlxc.errors import PassError

MAGIC = b"rlxc object 1\n"
LIMIT = 1 << 30  # bytes, unless RLXC_CACHE_LIMIT says otherwise
KEPT = 0.8  # of the limit, where entries have to go
PUTS_BETWEEN_TRIMS = 32
ABANDONED = 3600.0  # seconds after which a file that nobody moved into place is rubbish

#: what this process found and did not find
counters = {"hits": 0, "misses": 0}


class CacheInfo(NamedTuple):
    """Where the cache is (None if there is none), what is in it, and how often an entry was found there since it was cleared."""

    path: str | None
    entries: int
    bytes: int
    limit: int
    hits: int
    misses: int


class _Entry(NamedTuple):
    used: float
    size: int
    path: str


@dataclass
class Store:
    """A folder of entries; those used longest ago go when there are more than `limit` bytes."""

    folder: Path
    limit: int = LIMIT
    puts: int = 0

    def get(self, key: str) -> tuple[dict[str, Any], bytes] | None:
        """Header and content of an entry, which counts as used now; None if there is none, or a damaged one."""
        path = self._place(key)
        try:
            data = path.read_bytes()
        except OSError:
            self._count("misses")
            return None
        found = _unpack(key, data)
        if found is None:
            with contextlib.suppress(OSError):
                path.unlink()
            self._count("misses")
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        self._count("hits")
        return found

    def put(self, key: str, header: dict[str, Any], content: bytes) -> None:
        """Keep an entry, if that is possible."""
        path = self._place(key)
        part = path.parent / f"{key}.{os.getpid()}.{threading.get_ident()}.part"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.write_bytes(_pack(key, header, content))
            os.replace(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            return
        if self.puts % PUTS_BETWEEN_TRIMS == 0:
            self.trim(self.limit, int(self.limit * KEPT))
        self.puts += 1

    def trim(self, limit: int, goal: int) -> None:
        """If there are more than `limit` bytes, delete the entries used longest ago until there are at most `goal`."""
        entries = sorted(self._entries())
        total = sum(e.size for e in entries)
        goal = total if total <= limit else goal
        now = time.time()
        for e in entries:
            if total > goal or (e.path.endswith(".part") and now - e.used > ABANDONED):
                with contextlib.suppress(OSError):
                    os.unlink(e.path)
                total -= e.size

    def clear(self) -> None:
        """Delete every entry, and count from zero."""
        for e in self._entries():
            with contextlib.suppress(OSError):
                os.unlink(e.path)
        for name in counters:
            with contextlib.suppress(OSError):
                os.unlink(self.folder / name)

    def info(self) -> CacheInfo:
        entries = [e for e in self._entries() if e.path.endswith(".bin")]
        hits, misses = (self._counted(name) for name in counters)
        return CacheInfo(str(self.folder), len(entries), sum(e.size for e in entries), self.limit, hits, misses)

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.bin"

    def _entries(self) -> Iterator[_Entry]:
        """What is there now; other processes come and go meanwhile."""
        for folder in _listing(self.folder):
            if len(folder.name) != 2:
                continue
            for file in _listing(folder.path):
                with contextlib.suppress(OSError):
                    if file.name.endswith((".bin", ".part")):
                        facts = file.stat()
                        yield _Entry(facts.st_mtime, facts.st_size, file.path)

    def _count(self, what: str) -> None:
        """A byte at the end of a file: processes may count at once, and none waits for another."""
        counters[what] += 1
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self.folder / what, "ab") as file:
                file.write(b".")

    def _counted(self, what: str) -> int:
        try:
            return os.stat(self.folder / what).st_size
        except OSError:
            return 0


def store() -> Store | None:
    """The cache that the environment asks for: RLXC_CACHE_DIR, else XDG_CACHE_HOME/rlxc, else ~/.cache/rlxc; None with RLXC_CACHE=0.

    A folder that everybody may write to is not trusted: what is in it would be executed.
    """
    if os.environ.get("RLXC_CACHE", "1").lower() in ("0", "off", "no", "false"):
        return None
    folder = folder_of_cache()
    if folder is None:
        return None
    try:
        if os.stat(folder).st_mode & stat.S_IWOTH:
            return None
    except FileNotFoundError:
        pass
    except OSError:
        return None
    text = os.environ.get("RLXC_CACHE_LIMIT", "")
    return _store(folder, parse_bytes(text) if text else LIMIT)


def folder_of_cache() -> Path | None:
    """Where the cache is, or would be."""
    if given := os.environ.get("RLXC_CACHE_DIR"):
        return Path(given)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "rlxc"
    try:
        return Path.home() / ".cache" / "rlxc"
    except RuntimeError:  # nobody's home
        return None


def cache_info() -> CacheInfo:
    """The state of the cache on disk; `path` is None where there is none."""
    found = store()
    return found.info() if found else CacheInfo(None, 0, 0, 0, counters["hits"], counters["misses"])


def parse_bytes(text: str) -> int:
    """`300M` as a number of bytes; K, M, G and T are powers of 1024. Raises PassError for anything else."""
    digits, unit = text.strip().upper().removesuffix("B").rstrip(), 1
    if digits and digits[-1] in "KMGT":
        unit = 1 << 10 * ("KMGT".index(digits[-1]) + 1)
        digits = digits[:-1].rstrip()
    if not (digits.isascii() and digits.isdecimal()):
        raise PassError(f"'{text}' is not a size", code="RLX0403", help="write bytes, or 300M, or 2G")
    return int(digits) * unit


_stores: dict[tuple[Path, int], Store] = {}


def _store(folder: Path, limit: int) -> Store:
    return _stores.setdefault((folder, limit), Store(folder, limit))


def _listing(folder: Any) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _pack(key: str, header: dict[str, Any], content: bytes) -> bytes:
    text = json.dumps(header).encode()
    body = len(text).to_bytes(4, "little") + text + content
    return MAGIC + _checksum(key, body) + body


def _unpack(key: str, data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Header and content; None unless every byte is as it was written under this key."""
    start = len(MAGIC) + 32
    body = memoryview(data)[start:]
    if not data.startswith(MAGIC) or _checksum(key, body) != data[len(MAGIC) : start]:
        return None
    end = 4 + int.from_bytes(body[:4], "little")
    return json.loads(bytes(body[4:end])), bytes(body[end:])


def _checksum(key: str, body: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(key.encode())
    digest.update(body)
    return digest.digest()
