"""Machine code that processes need whatever they compile: made once, and kept on disk beside the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from rlxc.runtime import cache, jit
from rlxc.runtime.cpu import target_cpu
from rlxc.runtime.identity import compiler_identity


def load_support(text: str, symbols: Sequence[str]) -> jit.Loaded:
    """Link the code of LLVM IR text, for any processor of the host's kind, into this process."""
    return jit.load(_code(text), list(symbols))


def _code(text: str) -> bytes:
    cpu = target_cpu("plain")
    programs = cache.store()
    if programs is None:
        return jit.object_code(text, cpu)
    store = cache.Store(programs.folder / "support")
    key = hashlib.sha256(f"{compiler_identity()}\n{cpu}\n{text}".encode()).hexdigest()
    kept = store.get(key)
    if kept is not None:
        return kept[1]
    code = jit.object_code(text, cpu)
    store.put(key, {}, code)
    return code
