"""rlxc: a lowering compiler for differentiable array programs on LLVM. A gradient you can link."""

from __future__ import annotations

import gc
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives. It is imported when it is first used, so that `import rlxc` costs next to nothing.
_HOMES = {
    "rlxc.api": (
        "Linearized",
        "Session",
        "bind",
        "compile",
        "grad",
        "grad_with_loss",
        "hessian",
        "hvp",
        "interpret",
        "jacfwd",
        "jacrev",
        "jvp",
        "linear_transpose",
        "linearize",
        "load",
        "parse",
        "residuals",
        "run_passes",
        "value_and_grad",
        "vjp",
        "vmap",
    ),
    "rlxc.libraries": ("build",),
    "rlxc.runtime.cache": ("cache_info",),
    "rlxc.runtime.compiled": ("Compiled",),
    "rlxc.runtime.library": ("load_library",),
    "rlxc.runtime.session": ("Program",),
    "rlxc.runtime.threads": ("num_threads", "set_num_threads"),
    "rlxc.numpy.elementwise": ("where",),
    "rlxc.tracing.apply": ("apply",),
    "rlxc.tracing.control_flow": ("cond", "fori_loop", "map", "scan", "switch", "while_loop"),
    "rlxc.tracing.custom": ("checkpoint", "checkpoint_name", "custom_jvp", "custom_vjp"),
    "rlxc.tracing.jit": ("jit",),
    "rlxc.tracing.pytree": ("register_pytree", "tree_leaves", "tree_map"),
    "rlxc.tracing.staging": ("trace",),
    "rlxc.tracing.tracer": ("Tracer",),
    "rlxc.tracing.transforms": ("stop_gradient",),
    "rlxc.ir.attributes": ("Dense",),
    "rlxc.ir.core": ("Func", "Module", "Op", "Value"),
    "rlxc.ir.foreign": ("Foreign", "foreign"),
    "rlxc.ir.primitive": ("Cost", "Linear", "Primitive", "Sample", "register"),
    "rlxc.ir.types": ("DType", "Dim", "TensorType"),
    "rlxc.primitives.families": ("Composite", "Elementwise", "LinearMap", "Multilinear", "NonDifferentiable", "is_linear"),
    "rlxc.errors": (
        "ArgumentError",
        "AttrError",
        "BoundsError",
        "DTypeError",
        "Diagnostic",
        "DifferentiationError",
        "Error",
        "FileError",
        "InternalError",
        "LinearityError",
        "MissingExtra",
        "MissingRule",
        "ParseError",
        "PassError",
        "RuleError",
        "ShapeError",
        "TracingError",
        "UnknownName",
        "Unsupported",
        "VerifyError",
    ),
}
_SUBMODULES = ("eager", "errors", "nn", "numpy", "optim", "random", "special", "testing")
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted((*_HOME, *_SUBMODULES))]

if TYPE_CHECKING:
    from rlxc.api import (
        Linearized,
        Session,
        bind,
        compile,
        grad,
        grad_with_loss,
        hessian,
        hvp,
        interpret,
        jacfwd,
        jacrev,
        jvp,
        linear_transpose,
        linearize,
        load,
        parse,
        residuals,
        run_passes,
        value_and_grad,
        vjp,
        vmap,
    )
    from rlxc.errors import (
        ArgumentError,
        AttrError,
        BoundsError,
        Diagnostic,
        DifferentiationError,
        DTypeError,
        Error,
        FileError,
        InternalError,
        LinearityError,
        MissingExtra,
        MissingRule,
        ParseError,
        PassError,
        RuleError,
        ShapeError,
        TracingError,
        UnknownName,
        Unsupported,
        VerifyError,
    )
    from rlxc.ir.attributes import Dense
    from rlxc.ir.core import Func, Module, Op, Value
    from rlxc.ir.foreign import Foreign, foreign
    from rlxc.ir.primitive import Cost, Linear, Primitive, Sample, register
    from rlxc.ir.types import Dim, DType, TensorType
    from rlxc.libraries import build
    from rlxc.numpy.elementwise import where
    from rlxc.primitives.families import Composite, Elementwise, LinearMap, Multilinear, NonDifferentiable, is_linear
    from rlxc.runtime.cache import cache_info
    from rlxc.runtime.compiled import Compiled
    from rlxc.runtime.library import load_library
    from rlxc.runtime.session import Program
    from rlxc.runtime.threads import num_threads, set_num_threads
    from rlxc.tracing.apply import apply
    from rlxc.tracing.control_flow import cond, fori_loop, map, scan, switch, while_loop
    from rlxc.tracing.custom import checkpoint, checkpoint_name, custom_jvp, custom_vjp
    from rlxc.tracing.jit import jit
    from rlxc.tracing.pytree import register_pytree, tree_leaves, tree_map
    from rlxc.tracing.staging import trace
    from rlxc.tracing.tracer import Tracer
    from rlxc.tracing.transforms import stop_gradient


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return _loaded(f"rlxc.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'rlxc' has no attribute '{name}'")
    value = getattr(_loaded(_HOME[name]), name)
    globals()[name] = value
    return value


def _loaded(name: str) -> Any:
    """A module of ours; the collector of cyclic garbage would walk what it defines again and again, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        if enabled:
            gc.enable()


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))
