"""Derivatives of Python functions, with JAX's signatures: `rlxc.grad(f, argnums=0)(x)`, `rlxc.jvp(f, primals, tangents)`, and so on.

Each traces the function to a Func, has a pass transform it, and calls the result (`staging.call`): inside an outer trace its ops become part of that,
so transforms nest in any order; outside, it is compiled, and code is kept for functions that are the same program.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any

import numpy as np

from rlxc.errors import DifferentiationError, Error, TracingError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func
from rlxc.ir.marks import unmarked
from rlxc.passes import gradient, jacobian
from rlxc.passes import linearize as linearizing
from rlxc.passes import vjp as pulling
from rlxc.passes import vmap as batching
from rlxc.passes.convention import Convention, in_convention, linear_in_convention
from rlxc.passes.residual_report import ResidualReport, residual_report
from rlxc.primitives.custom.base import floats
from rlxc.tracing.arguments import ArgNums, Arguments, prefix_leaves, same_form
from rlxc.tracing.known_transforms import transformed
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.promotion import stands_for
from rlxc.tracing.pytree import Tree, tree_map, unflatten
from rlxc.tracing.staging import Staged, aval_of, call, name_of, trace
from rlxc.tracing.tracer import Tracer, convert, emit

Function = Callable[..., Any]


class Transformed:
    """A function that a transform has made of another one: it is pickled as that function and the transform."""

    def __init__(self, transform: Function, of: Function, f: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        functools.update_wrapper(self, f, updated=())
        if not hasattr(f, "__name__"):
            self.__name__ = name_of(f)
        self._of = of
        self._made = transform, f, args, kwargs

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._of(*args, **kwargs)

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        return self if owner is None else MethodType(self, owner)

    def __reduce__(self) -> Any:
        transform, f, args, kwargs = self._made
        return _again, (transform.__name__, f, args, kwargs)

    def __repr__(self) -> str:
        return f"<{self._made[0].__name__} of {self.__name__}>"


def _again(transform: str, f: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return globals()[transform](f, *args, **kwargs)


def _makes_functions(transform: Function) -> Function:
    """Decorates a transform that gives a function."""

    @functools.wraps(transform)
    def made(f: Function, *args: Any, **kwargs: Any) -> Any:
        return Transformed(made, transform(f, *args, **kwargs), f, args, kwargs)

    return made


@_makes_functions
def value_and_grad(f: Function, argnums: ArgNums = 0, has_aux: bool = False, *, convention: Convention = "adjoint") -> Function:
    """A function that gives `(f(...), gradient)`; with `has_aux`, f gives `(loss, aux)`, and this `((loss, aux), gradient)`.

    `argnums` are positions, or names of parameters; the gradient has the form of that argument, or is a tuple for several. `convention` is for
    complex arguments: "adjoint" (the loss grows fastest along the gradient) or "jax" (its conjugate).
    """

    @functools.wraps(f)
    def of(*args: Any, **kwargs: Any) -> Any:
        given = Arguments(f, args, kwargs)
        chosen = given.chosen(argnums, "the gradient")
        staged = given.staged()
        aux = _aux_tree(staged, f) if has_aux else None
        if not (staged.tree.children[0] if has_aux else staged.tree).is_leaf:
            message = f"{name_of(f)} returns {staged.tree}; a gradient is that of one scalar"
            raise with_source(DifferentiationError(message, code="RLX0306", loc=staged.func.loc))
        places = [p for i in chosen for p in given.leaves_of(i)]
        outs = _results(_value_and_grad(staged, places, has_aux, convention), given, staged)
        count = len(staged.func.results)
        loss, grads = outs[0], iter(outs[count:])
        by_argument = tuple([unflatten(given.tree_of(i), [next(grads) for _ in given.leaves_of(i)]) for i in chosen])
        slope = by_argument if isinstance(argnums, tuple | list) else by_argument[0]
        return (loss if aux is None else (loss, unflatten(aux, outs[1:count]))), slope

    return of


@_makes_functions
def grad(f: Function, argnums: ArgNums = 0, has_aux: bool = False, *, convention: Convention = "adjoint") -> Function:
    """A function that gives the gradient of f's scalar result; with `has_aux`, f gives `(loss, aux)`, and this `(gradient, aux)`."""
    both = value_and_grad(f, argnums, has_aux, convention=convention)

    @functools.wraps(f)
    def of(*args: Any, **kwargs: Any) -> Any:
        value, slope = both(*args, **kwargs)
        return (slope, value[1]) if has_aux else slope

    return of


def _value_and_grad(staged: Staged, places: Sequence[int], has_aux: bool, convention: Convention) -> Func:
    return _shown(_joint_in_convention, staged.func, places, has_aux, convention) if places else staged.func


def _joint_in_convention(func: Func, places: Sequence[int], has_aux: bool, convention: Convention) -> Func:
    joint = gradient.value_and_grad(func, places, has_aux=has_aux)
    return in_convention(joint, convention, gradients=range(len(func.results), len(joint.results)))


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """`(f(*primals), tangent of it)`; with `has_aux`, f gives `(out, aux)`, and this `(out, tangent, aux)`.

    Tangents have the form of the primals; those of integers are not looked at (None will do).
    """
    given = Arguments(f, _tuple(primals, "primals"), {})
    places = floats(given.avals)
    seeds = _tangents(given, _tuple(tangents, "tangents"))
    staged = given.staged()
    tree, aux = _main_and_aux(staged, f, has_aux)
    count, n = len(staged.func.results), tree.leaves
    outputs = floats(staged.func.results[:n])
    func = _shown(gradient.jvp_of, staged.func, places, outputs) if places else staged.func
    outs = call(func, [*given.leaves, *staged.captured, *[seeds[p] for p in places]])
    moved = unflatten(tree, _moved(staged.func.results[:n], outs[count:] if places else None))
    out = unflatten(tree, outs[:n])
    return (out, moved) if aux is None else (out, moved, unflatten(aux, outs[n:count]))


def linearize(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """`(f(*primals), f_jvp)`, where `f_jvp(*tangents)` gives the tangent at these primals; f itself is computed once.

    With `has_aux`, f gives `(out, aux)`, and this `(out, f_jvp, aux)`.
    """
    given = Arguments(f, primals, {})
    places = floats(given.avals)
    staged = given.staged()
    tree, aux = _main_and_aux(staged, f, has_aux)
    count, n = len(staged.func.results), tree.leaves
    results = staged.func.results[:n]
    primal, linear = _shown(_primal_and_linear, staged.func, places, floats(results)) if places else (staged.func, None)
    outs = call(primal, [*given.leaves, *staged.captured])
    residuals = outs[count:]

    def f_jvp(*tangents: Any) -> Any:
        seeds = _tangents(given, tangents)
        found = call(linear, [*residuals, *[seeds[p] for p in places]]) if linear is not None else None
        return unflatten(tree, _moved(results, found))

    out = unflatten(tree, outs[:n])
    return (out, f_jvp) if aux is None else (out, f_jvp, unflatten(aux, outs[n:count]))


def _primal_and_linear(func: Func, places: Sequence[int], outputs: Sequence[int]) -> tuple[Func, Func]:
    primal, linear = linearizing.linearize(gradient.prepare(func), places, outputs=outputs).functions(func.name)
    return primal, unmarked(linear)


def vjp(f: Function, *primals: Any, has_aux: bool = False, convention: Convention = "adjoint") -> Any:
    """`(f(*primals), pullback)`: `pullback(cotangent)` gives a cotangent for each of the primals (None for integers), as a tuple.

    With `has_aux`, f gives `(out, aux)`, and this `(out, pullback, aux)`. The cotangent has the form of the result; f is computed once.
    """
    given = Arguments(f, primals, {})
    places = floats(given.avals)
    staged = given.staged()
    tree, aux = _main_and_aux(staged, f, has_aux)
    count, n = len(staged.func.results), tree.leaves
    main = staged.func.with_(results=staged.func.results[:n])
    active = bool(places) and any(v.type.dtype.differentiable for v in main.results)
    halves: pulling.Vjp | None = None
    if active:
        halves, pulled = _shown(_halves, main, places, convention)
    operands = [*given.leaves, *staged.captured]
    outs = call(_and_results(halves.forward, staged.func, n) if halves else staged.func, operands)
    kept = [_own(x) for x in halves.kept(operands, [*outs[:n], *outs[count:]])] if halves else []

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        cts = same_form(cotangent, tree, [v.type.dtype for v in main.results], "the cotangent")
        if halves is None:
            found = iter([_zero(main.args[p]) for p in places])
        else:
            wanted = [main.results[i] for i in halves.cotangents]
            seeds = [_fitting(cts[i], v.type, "a cotangent") for i, v in zip(halves.cotangents, wanted, strict=True)]
            found = iter(call(pulled, [*kept, *seeds]))
        leaves = [next(found) if p in places else None for p in range(len(given.leaves))]
        return tuple([unflatten(given.tree_of(i), [leaves[p] for p in given.leaves_of(i)]) for i in range(given.count)])

    out = unflatten(tree, outs[:n])
    return (out, pullback) if aux is None else (out, pullback, unflatten(aux, outs[n:count]))


def _halves(func: Func, places: Sequence[int], convention: Convention) -> tuple[pulling.Vjp, Func]:
    """Forward part and pullback; and the pullback as a function like any other."""
    halves = pulling.vjp(func, places)
    return halves, unmarked(linear_in_convention(halves.pullback, convention))


def residuals(f: Function, *args: Any, **kwargs: Any) -> ResidualReport:
    """What `vjp(f, *args)` keeps for the pullback, how many bytes, and why; `str()` of it is a table. Types such as "f32[3]" will do for arguments."""
    func = trace(f, *args, **kwargs)
    try:
        return residual_report(func)
    except Error as error:
        raise with_source(error.at(func.loc)) from None


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """The Hessian of a scalar function at `primals`, times `tangents`: forward over reverse, the Hessian itself is never formed.

    With `has_aux`, f gives `(loss, aux)`, and this `(product, aux)`.
    """
    primals = _tuple(primals, "primals")
    numbers = tuple(range(len(primals)))
    _, products, *aux = jvp(grad(f, numbers, has_aux=has_aux), primals, tangents, has_aux=has_aux)
    product = products[0] if len(primals) == 1 else products
    return (product, *aux) if has_aux else product


@_makes_functions
def jacfwd(f: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """The Jacobian by forward mode: the form of f's result, in each leaf the form of the argument, each of the shape of both."""
    return _jacobian(f, argnums, has_aux, jacobian.jacfwd, 1)


@_makes_functions
def jacrev(f: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """The Jacobian by reverse mode: the same as `jacfwd`, and less work where results have fewer elements than arguments."""
    return _jacobian(f, argnums, has_aux, jacobian.jacrev, 1)


@_makes_functions
def hessian(f: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """Second derivatives: the form of f's result, in each leaf that of the argument, in each leaf of that the same again."""
    return _jacobian(f, argnums, has_aux, jacobian.hessian, 2)


def _jacobian(f: Function, argnums: ArgNums, has_aux: bool, transform: Any, order: int) -> Function:
    @functools.wraps(f)
    def of(*args: Any, **kwargs: Any) -> Any:
        given = Arguments(f, args, kwargs)
        chosen = given.chosen(argnums, "the derivative")
        places = [p for i in chosen for p in given.leaves_of(i)]
        staged = given.staged()
        tree, aux = _main_and_aux(staged, f, has_aux)
        n = tree.leaves
        main = staged.func.with_(results=staged.func.results[:n])
        for v in main.results:
            if not v.type.dtype.differentiable:
                raise with_source(DifferentiationError(f"{name_of(f)} returns {v.type}, which has no derivative", code="RLX0305", loc=v.loc))
        func = _shown(transform, main, places) if places and n else main.with_(results=())
        further = staged.func.results[n:]
        if further:
            func = _joined(func, staged.func.with_(results=further))
        outs = iter(_results(func, given, staged))
        blocks = unflatten(tree, [_block(outs, given, chosen, isinstance(argnums, tuple | list), order) for _ in range(n)])
        return blocks if aux is None else (blocks, unflatten(aux, list(outs)))

    return of


def _block(outs: Any, given: Arguments, chosen: Sequence[int], several: bool, order: int) -> Any:
    """The next results in the form of the arguments, `order` times inside each other."""
    if not order:
        return next(outs)
    found = tuple([unflatten(given.tree_of(i), [_block(outs, given, chosen, several, order - 1) for _ in given.leaves_of(i)]) for i in chosen])
    return found if several else found[0]


@_makes_functions
def vmap(f: Function, in_axes: Any = 0, out_axes: Any = 0, *, axis_size: int | None = None) -> Function:
    """f on many examples at once: the arguments have one more axis, where `in_axes` says, and the results where `out_axes` says.

    Both are an int, None (what is the same for all examples), or trees of them, in which an entry may stand for a whole tree. Arguments by name have
    it in front.
    """

    @functools.wraps(f)
    def of(*args: Any, **kwargs: Any) -> Any:
        given = Arguments(f, args, kwargs)
        axes = prefix_leaves(tuple(in_axes) if isinstance(in_axes, list) else in_axes, given.tree.children[0], "in_axes", _is_axis)
        axes += [0] * given.tree.children[1].leaves
        size, avals = _examples(given, axes, axis_size)
        staged = given.staged(avals)
        outs = prefix_leaves(out_axes, staged.tree, "out_axes", _is_axis)
        whole = [None if a is None else a % x.type.rank for a, x in zip(axes, given.avals, strict=True)]
        if not any(a is not None for a in axes):
            results = [_repeated(x, size, a) for x, a in zip(_results(staged.func, given, staged), outs, strict=True)]
            return unflatten(staged.tree, results)
        func = _shown(batching.vmap, staged.func, [*whole, *[None] * len(staged.captured)], outs, axis_size=size)
        return unflatten(staged.tree, _results(func, given, staged))

    return of


def _is_axis(x: Any) -> bool:
    return x is None or (isinstance(x, int | np.integer) and not isinstance(x, bool))


def _examples(given: Arguments, axes: Sequence[Any], axis_size: int | None) -> tuple[int, list[Any]]:
    """How many examples there are, and the types of the arguments for one of them."""
    if axis_size is not None and (not isinstance(axis_size, int | np.integer) or axis_size < 0):
        message = f"vmap of {name_of(given.f)}: axis_size is a number of examples, not {axis_size!r}"
        raise with_source(TracingError(message, code="RLX0807", loc=user_location()))
    size, avals = axis_size, []
    for aval, axis, name in zip(given.avals, axes, given.names, strict=True):
        if axis is None:
            avals.append(aval)
            continue
        shape = aval.type.shape
        if not -len(shape) <= axis < len(shape):
            message = f"vmap of {name_of(given.f)}: {name} is {aval.type}, which has no axis {axis}"
            help = "in_axes says which axis counts the examples; None: there is none"
            raise with_source(TracingError(message, code="RLX0807", loc=user_location(), help=help))
        axis %= len(shape)
        if size is not None and shape[axis] != size:
            message = f"vmap of {name_of(given.f)}: axis {axis} of {name}, which is {aval.type}, counts {shape[axis]} examples, and others {size}"
            raise with_source(TracingError(message, code="RLX0807", loc=user_location()))
        size = shape[axis]
        avals.append(type(aval)(aval.type.with_shape((*shape[:axis], *shape[axis + 1 :])), aval.weak))
    if size is None:
        message = f"vmap of {name_of(given.f)}: no argument has an axis of examples"
        raise with_source(TracingError(message, code="RLX0807", loc=user_location(), help="in_axes names one at least, or axis_size= says how many"))
    return size, avals


def _repeated(x: Any, size: int, axis: int | None) -> Any:
    """Something repeated along a new axis."""
    if axis is None:
        return x
    x = np.expand_dims(x, axis)
    return np.broadcast_to(x, tuple(size if i == axis % x.ndim else n for i, n in enumerate(x.shape)))


def stop_gradient(tree: Any) -> Any:
    """The same arrays, as constants to every derivative."""
    return tree_map(_constant, tree)


def _constant(x: Any) -> Any:
    if isinstance(x, Tracer):
        return emit("stop_gradient", x)
    return x.detach() if hasattr(x, "__rlxc_record__") else x  # a tensor of a tape


# ------------------------------------------------------------------------------------------------------------------------- helpers


def _results(func: Func, given: Arguments, staged: Staged) -> list[Any]:
    """Results of the transformed function, for the same arguments. Weak is what was weak before."""
    outs = call(func, [*given.leaves, *staged.captured])
    for out, weak in zip(outs, staged.weak, strict=False):
        if weak and isinstance(out, Tracer):
            out._weak = True
    return outs


def _shown(transform: Any, func: Func, *args: Any, **kwargs: Any) -> Any:
    """What a pass makes of a function; its errors show the user's line."""
    try:
        return transformed(transform, func, *args, **kwargs)
    except Error as error:
        raise with_source(error.at(func.loc)) from None


def _aux_tree(staged: Staged, f: Function) -> Tree:
    if staged.tree.kind is not tuple or len(staged.tree.children) != 2:
        message = f"{name_of(f)} returns {staged.tree}; with has_aux it is to return a pair: what is differentiated, and the rest"
        raise with_source(TracingError(message, code="RLX0806", loc=staged.func.loc))
    return staged.tree.children[1]


def _main_and_aux(staged: Staged, f: Function, has_aux: bool) -> tuple[Tree, Tree | None]:
    """The form of what is differentiated, and of the rest (None without `has_aux`)."""
    if not has_aux:
        return staged.tree, None
    aux = _aux_tree(staged, f)
    return staged.tree.children[0], aux


def _moved(results: Sequence[Any], tangents: Sequence[Any] | None) -> list[Any]:
    """A tangent for each result: the next of those of the float ones (zeros, if there are none); None for integers."""
    if tangents is None:
        return [_zero(v) for v in results]
    rest = iter(tangents)
    return [next(rest) if v.type.dtype.differentiable else None for v in results]


def _and_results(forward: Func, whole: Func, n: int) -> Func:
    """`forward`, with the results of `whole` after the first n put in behind its first n."""
    if len(whole.results) == n:
        return forward
    both = _joined(forward, whole.with_(results=whole.results[n:]))
    extra, residuals = len(whole.results) - n, len(forward.results) - n
    first, kept, more = both.results[:n], both.results[n : n + residuals], both.results[n + residuals :]
    assert len(more) == extra
    return both.with_(results=(*first, *more, *kept))


def _joined(f: Func, g: Func) -> Func:
    """One function of the arguments that both take, with the results of both; what they both compute, compilation computes once."""
    b = Builder()
    args = tuple(a.like() for a in f.args)
    results: list[Any] = []
    for func in (f, g):
        env = dict(zip(func.args, args, strict=True))
        for op in func.ops:
            b.rebuild(op, env)
        results += [env.get(v, v) for v in func.results]
    return Func(f.name, args, tuple(b.ops), tuple(results), loc=f.loc)


def _tuple(x: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(x, tuple | list):
        raise with_source(TracingError(f"{what} are a tuple, one for each argument, not {type(x).__name__}", code="RLX0806", loc=user_location()))
    return tuple(x)


def _tangents(given: Arguments, tangents: Sequence[Any]) -> list[Any]:
    """A tangent for each leaf of the arguments, of its type; None for what has no derivative."""
    if len(tangents) != given.count:
        message = f"{name_of(given.f)} has {given.count} arguments, and {len(tangents)} tangents are given"
        raise with_source(TracingError(message, code="RLX0806", loc=user_location()))
    found: list[Any] = []
    for i, tangent in enumerate(tangents):
        avals = [given.avals[p] for p in given.leaves_of(i)]
        if not any(a.type.dtype.differentiable for a in avals):
            found += [None] * len(avals)
            continue
        leaves = same_form(tangent, given.tree_of(i), [a.type.dtype for a in avals], "a tangent") if tangent is not None else [None] * len(avals)
        found += [_fitting(t, a.type, "a tangent") if a.type.dtype.differentiable else None for t, a in zip(leaves, avals, strict=True)]
    return found


def _own(x: Any) -> Any:
    """What the pullback keeps: arguments and results are the caller's arrays, who may write to them."""
    return x.copy() if type(x) is np.ndarray else x


def _fitting(x: Any, type: Any, what: str) -> Any:
    """A tangent or cotangent, of the type of what it belongs to; a number is taken for a scalar."""
    aval = aval_of(x, what)
    if aval.type.shape != type.shape or not stands_for((aval.type.dtype, aval.weak), type.dtype):
        raise with_source(TracingError(f"{what} is {aval.type}, and belongs to {type}", code="RLX0804", loc=user_location()))
    return convert(x, type.dtype)


def _zero(v: Any) -> Any:
    """A zero for a value that does not depend on what is differentiated by."""
    return np.zeros(v.type.shape, v.type.dtype.numpy) if v.type.dtype.differentiable else None
