"""The peers by name: the module that runs it, where its interpreter is looked for, and the environment it is given."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"  # a folder that each process gets afresh


@dataclass(frozen=True)
class Entry:
    """`venvs` are names of virtual environments, the likeliest first; `needs` are packages that an interpreter must have."""

    module: str
    needs: tuple[str, ...] = ()
    venvs: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


_TORCH_CACHES = {"TORCHINDUCTOR_FX_GRAPH_CACHE": "0", "TORCHINDUCTOR_AUTOGRAD_CACHE": "0"}

PEERS = {
    "numpy": Entry("numpy_peer", ("numpy",), ("numpy", "autograd")),
    "jax": Entry("jax_peer", ("jax",), ("jax",), {"JAX_PLATFORMS": "cpu"}),
    "torch": Entry("torch_peer", ("torch",), ("torch",)),
    "torch_compile": Entry("torch_compile_peer", ("torch",), ("torch",), _TORCH_CACHES),
    "onnxruntime": Entry("onnxruntime_peer", ("onnxruntime", "onnx"), ("ort", "onnxruntime")),
    "openvino": Entry("openvino_peer", ("openvino", "onnx"), ("openvino",)),
    "rlxc": Entry("rlxc_peer", ("llvmlite", "lark"), (), {"RLXC_CACHE": "0"}),
}


def environment(peer: str, threads: int) -> dict[str, str]:
    """This process's environment, with `threads` threads for everything that asks."""
    count = str(threads)
    env = dict(os.environ)
    for name in ("OMP", "MKL", "OPENBLAS", "RLXC", "TBB"):
        env[f"{name}_NUM_THREADS"] = count
    if threads == 1:
        env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    root = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [env.get("PYTHONPATH")])])
    return env | PEERS[peer].env


def interpreter(peer: str, given: dict[str, str], folder: str | None) -> str | None:
    """The Python that runs a peer: the one given for it, one of its virtual environments in `folder`, or this one; None if it has no such package."""
    entry = PEERS[peer]
    candidates = [given[peer]] if peer in given else [str(Path(folder).expanduser() / v / "bin" / "python") for v in entry.venvs] if folder else []
    for path in [*candidates, sys.executable]:
        if (path == sys.executable or os.access(path, os.X_OK)) and all(_has(path, package) for package in entry.needs):
            return path
    return None


def library_python(folder: str | None) -> str:
    """The Python that has MKL and oneDNN to compare with: a virtual environment `gemm`, or this one."""
    path = Path(folder).expanduser() / "gemm" / "bin" / "python" if folder else None
    return str(path) if path and os.access(path, os.X_OK) else sys.executable


def _has(python: str, package: str) -> bool:
    if python == sys.executable:
        from importlib.util import find_spec

        return find_spec(package) is not None
    folder = Path(python).parent.parent / "lib"
    return any((p / package).is_dir() for p in folder.glob("python*/site-packages"))
