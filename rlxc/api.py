"""What Python users call: text to functions, functions to functions, functions to native code."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import rlxc.primitives  # noqa: F401
from rlxc.errors import ArgumentError, PassError, UnknownName, Unsupported
from rlxc.frontend.parser import load, parse
from rlxc.ir.core import Func, Module
from rlxc.passes import bind as _bind
from rlxc.passes import gradient as _gradient
from rlxc.passes import jacobian as _jacobian
from rlxc.passes import residual_report as _residual_report
from rlxc.passes import vjp as _vjp
from rlxc.passes import vmap as _vmap
from rlxc.passes.convention import Convention, in_convention, linear_in_convention
from rlxc.passes.linear_transpose import linear_transpose as _linear_transpose
from rlxc.passes.linearize import linearize as _linearize
from rlxc.passes.linearize import outputs_of as _outputs_of
from rlxc.passes.pipelines import make_pipeline
from rlxc.runtime.compiled import Compiled, Engine
from rlxc.runtime.interpret import interpreter
from rlxc.runtime.session import Program
from rlxc.tracing import transforms as _traced

__all__ = [
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
]

Wrt = str | int | Sequence[str | int]
Unused = Literal["zeros", "none", "error"]


class Linearized(NamedTuple):
    """A function in two: `primal` also returns the residuals; `linear` takes them first, then a tangent for each argument of wrt."""

    primal: Func
    linear: Func


def _or_traced(of_python: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a transform of Funcs: of a Python function it is `of_python`, which has JAX's signature."""

    def decorate(of_func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(of_func)
        def either(func: Any, /, *args: Any, **kwargs: Any) -> Any:
            if isinstance(func, Compiled):
                func = func.func
            return (of_python if callable(func) else of_func)(func, *args, **kwargs)

        either.__doc__ = f"{of_func.__doc__}\n\n    Of a Python function, `{of_python.__name__}{inspect.signature(of_python)}`:\n    {of_python.__doc__}"
        return either

    return decorate


def compile(program: Func | Module | str | os.PathLike[str], func: str | None = None, **options: Any) -> Compiled:
    """Native code for a function: a callable that takes NumPy arrays by position or by name.

    `program` is a Func, a Module, `.rlx` text, or the path of a `.rlx` file; `func` names the function if there are several.
    """
    return _native(pick(program, func), options)


def interpret(program: Func | Module | str | os.PathLike[str], /, *arrays: Any, **named: Any) -> Any:
    """The same as calling the compiled function, op by op in NumPy: what the program means."""
    return Compiled(pick(program), interpreter)(*arrays, **named)


def bind(func: Func, /, **dims: int) -> Func:
    """`func` with named dimensions of these sizes: `bind(f, B=4)`."""
    return _bind.bind(pick(func), dims)


def grad_with_loss(func: Func, wrt: Wrt = (), *, has_aux: bool = False, on_unused: Unused = "zeros", convention: Convention = "adjoint") -> Func:
    """Results `[loss, d wrt...]`; one more argument than `func`, the seed `d_output`, of the loss's type."""
    func = pick(func)
    joint = _gradient.grad_with_loss(func, _wrt(wrt), has_aux=has_aux, on_unused=on_unused)
    return in_convention(joint, convention, cotangents=[len(func.args)], gradients=range(len(func.results), len(joint.results)))


@_or_traced(_traced.value_and_grad)
def value_and_grad(func: Func, wrt: Wrt = (), *, has_aux: bool = False, on_unused: Unused = "zeros", convention: Convention = "adjoint") -> Func:
    """Results `[loss, d wrt...]` for a function whose one result is a real scalar; `wrt` is every float argument unless stated.

    With `has_aux`, results after the first are not differentiated, and stand between the loss and the gradients. `convention` is for complex
    arguments: "adjoint" (a real loss grows fastest along the gradient) or "jax" (its conjugate).
    """
    func = pick(func)
    joint = _gradient.value_and_grad(func, _wrt(wrt), has_aux=has_aux, on_unused=on_unused)
    return in_convention(joint, convention, gradients=range(len(func.results), len(joint.results)))


@_or_traced(_traced.grad)
def grad(func: Func, wrt: Wrt = (), *, has_aux: bool = False, on_unused: Unused = "zeros", convention: Convention = "adjoint") -> Func:
    """Like `value_and_grad` without the value: results `[d wrt...]`, then, with `has_aux`, those that are not differentiated."""
    func = pick(func)
    slope = _gradient.grad(func, _wrt(wrt), has_aux=has_aux, on_unused=on_unused)
    return in_convention(slope, convention, gradients=range(len(slope.results) - len(func.results) + 1))


@_or_traced(_traced.jvp)
def jvp(func: Func, wrt: Wrt = (), *, has_aux: bool = False) -> Func:
    """Forward mode: arguments, then a tangent for each of `wrt`; results, then the tangents of the float ones.

    With `has_aux`, as for all transforms, the first result alone is differentiated.
    """
    return _gradient.jvp(pick(func), _wrt(wrt), has_aux=has_aux)


@_or_traced(_traced.vjp)
def vjp(func: Func, wrt: Wrt = (), *, has_aux: bool = False, convention: Convention = "adjoint") -> _vjp.Vjp:
    """`forward`, which also gives residuals, and `pullback`, which takes them and a cotangent for each float result (with `has_aux`, for the first)."""
    split = _vjp.vjp(pick(func), _wrt(wrt), has_aux=has_aux)
    return split._replace(pullback=linear_in_convention(split.pullback, convention))


@_or_traced(_traced.residuals)
def residuals(func: Func, wrt: Wrt = ()) -> _residual_report.ResidualReport:
    """What a backward pass keeps of `func`, how many bytes, and why; `str()` of it is a table."""
    return _residual_report.residual_report(pick(func), _wrt(wrt))


@_or_traced(_traced.hvp)
def hvp(func: Func, wrt: Wrt = (), *, has_aux: bool = False) -> Func:
    """The Hessian of a scalar function times a vector: a tangent for each of `wrt` in, a product for each of them out, then further results (`has_aux`)."""
    return _gradient.hvp(pick(func), _wrt(wrt), has_aux=has_aux)


@_or_traced(_traced.jacfwd)
def jacfwd(func: Func, wrt: Wrt = (), *, has_aux: bool = False) -> Func:
    """The Jacobian by forward mode: for each float result and each of `wrt`, an array of both shapes.

    With `has_aux` that of the first result, then the others as they are.
    """
    return _jacobian.jacfwd(pick(func), _wrt(wrt), has_aux=has_aux)


@_or_traced(_traced.jacrev)
def jacrev(func: Func, wrt: Wrt = (), *, has_aux: bool = False) -> Func:
    """The Jacobian by reverse mode: the same as `jacfwd`."""
    return _jacobian.jacrev(pick(func), _wrt(wrt), has_aux=has_aux)


@_or_traced(_traced.hessian)
def hessian(func: Func, wrt: Wrt = (), *, has_aux: bool = False) -> Func:
    """Second derivatives: for each float result and each two of `wrt`, an array of all three shapes."""
    return _jacobian.hessian(pick(func), _wrt(wrt), has_aux=has_aux)


@_or_traced(_traced.vmap)
def vmap(func: Func, in_axes: _vmap.Axes = 0, out_axes: _vmap.Axes = 0, *, axis_size: int | str | None = None) -> Func:
    """`func` on many examples at once; `in_axes` and `out_axes` say where their axis is, None that there is none.

    `axis_size` is the number of examples, or a name for it; without, a named dimension (`N`, unless there is one).
    """
    return _vmap.vmap(pick(func), in_axes, out_axes, axis_size=axis_size)


@_or_traced(_traced.linearize)
def linearize(func: Func, wrt: Wrt = (), *, has_aux: bool = False) -> Linearized:
    """The primal part of `func` and the linear map from tangents of `wrt` to tangents of the float results (with `has_aux`, of the first)."""
    func = pick(func)
    outputs = _outputs_of(func, has_aux)
    return Linearized(*_linearize(_gradient.prepare(func), _wrt(wrt), outputs=outputs).functions(func.name))


def linear_transpose(func: Func, wrt: Wrt = (), *, convention: Convention = "adjoint") -> Func:
    """The transpose of a function that is linear in its `lin` arguments, or in `wrt`; raises LinearityError where it is not linear."""
    return linear_in_convention(_linear_transpose(pick(func), _wrt(wrt)), convention)


def run_passes(module: Module | Func | str, pipeline: str) -> Module:
    """The module after a pipeline of passes, as in `rlxc opt -p`: `run_passes(m, "legalize,cse,dce")`."""
    if not isinstance(pipeline, str):
        raise PassError(f'a pipeline is text such as "legalize,cse,dce", not {pipeline!r}', code="RLX0405")
    return make_pipeline(pipeline).run(as_module(module))


class Session:
    """Where programs are compiled and run. `device` is "cpu"."""

    def __init__(self, device: str = "cpu") -> None:
        if device != "cpu":
            raise Unsupported(f"there is no device {device!r}", code="RLX0702", help='the device is "cpu"')
        self.device = device

    def compile(self, program: Any, func: str | None = None, **options: Any) -> Program:
        """A module, function or `.rlx` text as a Program; `func` names the function where there are several."""
        return Program(_native(pick(program, func), options))

    def __repr__(self) -> str:
        return f"Session(device={self.device!r})"


def as_module(program: Func | Module | str | os.PathLike[str]) -> Module:
    match program:
        case Module():
            return program
        case Func():
            return program.as_module()
        case str() if program.endswith(".rlx") and "\n" not in program:
            return load(program)
        case str():
            return parse(program)
        case os.PathLike():
            return load(Path(program))
    help = "rlxc.jit compiles Python functions, and rlxc.trace(f, *args) makes Funcs of them" if callable(program) else None
    raise ArgumentError(f"rlxc takes a Func, a Module, .rlx text or a Path, not {type(program).__name__}", code="RLX0502", help=help)


def pick(program: Func | Module | str | os.PathLike[str], name: str | None = None) -> Func:
    """The function meant by `program`: the one named, or the only one; raises UnknownName where that is not clear."""
    if isinstance(program, Func):
        return _tensor_level(program)
    module = as_module(program)
    if name is not None:
        return _tensor_level(module[name])
    funcs = [f for f in module if f.kind == "func"]
    if len(funcs) == 1:
        return funcs[0]
    if not funcs:
        raise UnknownName("there is no function", code="RLX0103", help="a program has at least one `func @name(...) { ... }`")
    known = ", ".join(f"@{f.name}" for f in funcs)
    raise UnknownName(f"which function is meant? There is {known}", code="RLX0103", help="name it: func=...")


def _tensor_level(func: Func) -> Func:
    if func.kind != "func":
        raise Unsupported(f"@{func.name} is a {func.kind}, which is lowered already", code="RLX0702", loc=func.loc, help="take the `func` that it came from")
    return func


def engine(options: dict[str, Any]) -> Engine:
    """What turns a function without named dimensions into native code."""
    from rlxc.runtime.compile import native, options_of  # LLVM is loaded when something is compiled

    options_of(options)
    return functools.partial(native, **options)


def _native(func: Func, options: dict[str, Any]) -> Compiled:
    from rlxc.runtime.quick import compiled  # which loads LLVM

    return compiled(func, engine(options))


def _wrt(wrt: Wrt) -> Sequence[str | int]:
    if isinstance(wrt, str):
        return (wrt,)
    given = tuple(wrt) if isinstance(wrt, Sequence) else (wrt,)
    if not all(isinstance(w, str | int) and not isinstance(w, bool) for w in given):
        raise PassError(f"wrt is made of argument names and positions, not {wrt!r}", code="RLX0403")
    return given
