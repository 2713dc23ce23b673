"""`rlxc cache`: machine code kept on disk."""

from __future__ import annotations

import argparse
import json

from rlxc.cli import OK, UsageError
from rlxc.errors import PassError
from rlxc.runtime.cache import CacheInfo, cache_info, parse_bytes, store


def cache(args: argparse.Namespace) -> int:
    found = store()
    try:
        limit = None if args.limit is None else parse_bytes(args.limit)
    except PassError as error:
        raise UsageError(f"--limit: {error.message}", error.diagnostics[0].help) from None
    if found and limit is not None:
        found.trim(limit, limit)
    if found and args.action == "clear":
        found.clear()
    if args.action == "path":
        print(found.folder if found else "")
    elif args.action == "show":
        _show(cache_info(), args.json)
    return OK


def _show(info: CacheInfo, as_json: bool) -> None:
    if as_json:
        print(json.dumps(info._asdict()))
        return
    if info.path is None:
        print("there is no cache: it is turned off, or its folder cannot be used")
        return
    print(f"{'path':16} {info.path}")
    print(f"{'entries':16} {info.entries}, {info.bytes:,} bytes of at most {info.limit:,}")
    print(f"{'hits':16} {info.hits} of {info.hits + info.misses}")
