"""`rlxc info`: versions, and what this machine can do."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rlxc import __version__
from rlxc.cli import OK
from rlxc.runtime.cache import cache_info


def info(args: argparse.Namespace) -> int:
    facts = gather()
    if args.json:
        print(json.dumps(facts))
        return OK
    for name, value in facts.items():
        print(f"{name:16} {', '.join(value) if isinstance(value, list) else value}")
    return OK


def gather() -> dict[str, Any]:
    """Everything, in the order it is shown."""
    facts: dict[str, Any] = {"rlxc": __version__, "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    facts |= {name: _version(name) for name in ("llvmlite", "numpy", "lark", "ml_dtypes")}
    import llvmlite.binding as llvm

    facts["llvm"] = ".".join(map(str, llvm.llvm_version_info))
    facts["cpu"] = llvm.get_host_cpu_name()
    features = llvm.get_host_cpu_features()
    wanted = ("sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512fp16", "avx512bf16", "neon", "sve")
    facts["cpu features"] = [f for f in wanted if features.get(f)]
    facts["vector width"] = f"{512 if features.get('avx512f') else 256 if features.get('avx2') else 128} bits"
    facts["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts["cache"] = cache_info().path or "none"
    return facts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
