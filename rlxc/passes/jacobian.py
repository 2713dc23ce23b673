"""Jacobians and Hessians: a linear map on a whole basis at once, by vmap, after the function itself was evaluated once.

    jacfwd    the tangent map on the basis of an argument: a column of the Jacobian for each of its elements
    jacrev    the pullback on the basis of a result: a row for each of its elements
    hessian   jacfwd of jacrev

A scalar has a basis of one vector, the number 1; then nothing is batched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rlxc.errors import DifferentiationError, Error
from rlxc.ir.builder import Builder
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.liveness import live_ops
from rlxc.ir.marks import rebuild_unmarked
from rlxc.ir.types import DType, TensorType
from rlxc.passes.gradient import prepare, replace_funcs, tidied
from rlxc.passes.linearize import linearize, outputs_of, wrt_arguments
from rlxc.passes.manager import module_pass
from rlxc.passes.transpose import transpose_ops
from rlxc.passes.vmap import Batching

INDEX = DType("i64")
Blocks = dict[tuple[int, int], Value | None]  # for a result and an argument; None is zero


@without_collection()
def jacfwd(func: Func, wrt: Sequence[str | int] = (), *, has_aux: bool = False) -> Func:
    """The Jacobian by forward mode: for each float result, for each argument of `wrt`, an array of the result's shape and then the argument's.

    With `has_aux` that of the first result alone, and then the others as they are.
    """
    return _jacobian(func, wrt, "jacfwd", outputs_of(func, has_aux), range(1, len(func.results)) if has_aux else ())


@without_collection()
def jacrev(func: Func, wrt: Sequence[str | int] = (), *, has_aux: bool = False) -> Func:
    """The Jacobian by reverse mode: the same results as `jacfwd`, and less work where the results have fewer elements than the arguments."""
    return _jacobian(func, wrt, "jacrev", outputs_of(func, has_aux), range(1, len(func.results)) if has_aux else ())


@without_collection()
def hessian(func: Func, wrt: Sequence[str | int] = (), *, has_aux: bool = False) -> Func:
    """Second derivatives, forward over reverse: for each float result, for each two arguments of `wrt`, an array of all three shapes."""
    places = [func.args.index(a) for a in wrt_arguments(func, wrt)]
    first = tidied(jacrev(func, places, has_aux=has_aux))
    count = len(places) if has_aux else len(first.results)
    return _jacobian(first, places, "jacfwd", range(count), range(count, len(first.results))).with_(name=f"{func.name}.hessian")


def _jacobian(func: Func, wrt: Sequence[str | int], name: str, floats: Sequence[int], further: Sequence[int]) -> Func:
    """The Jacobian of the results `floats`, and the `further` ones as they are."""
    func = prepare(func)
    if not floats:
        raise DifferentiationError(f"@{func.name} has no float result, so it has no Jacobian", code="RLX0305", loc=func.loc)
    chosen = wrt_arguments(func, wrt)
    outs = [func.results[i] for i in floats]
    for v in (*chosen, *outs):
        if v.type.dtype.is_complex:
            help = "take jvp or vjp, or make the function one of real and imaginary parts"
            raise DifferentiationError(f"%{v.name or '?'} is {v.type}: what maps complex tangents is no array of numbers", code="RLX0305", loc=v.loc, help=help)
    for v in chosen if name == "jacfwd" else outs:  # those whose basis is made
        try:
            v.type.require_static()
        except Error as error:
            raise error.at(v.loc) from None
    blocks = _columns if name == "jacfwd" else _rows
    b = Builder()
    places = [func.args.index(a) for a in chosen]
    found = blocks(b, func, places, floats)
    results = []
    for i in floats:
        for k, a in zip(places, chosen, strict=True):
            block = found[i, k]
            r = func.results[i].type
            results.append(b.zeros(r.with_shape((*r.shape, *a.type.shape))) if block is None else block)
    results += [func.results[i] for i in further]
    return Func(f"{func.name}.{name}", func.args, tuple(live_ops(b.ops, results)), tuple(results), loc=func.loc)


def _columns(b: Builder, func: Func, places: Sequence[int], floats: Sequence[int]) -> Blocks:
    """The tangent map of each argument alone, on the argument's basis."""
    found: Blocks = {}
    for k, (tangent, ops, outs) in zip(places, _tangent_maps(b, func, places, floats), strict=True):
        for op in ops:
            op.prim.require_forward(op)
        images = _on_basis(b, ops, tangent, outs)
        for i in floats:
            out, image = func.results[i].type, images[i]
            found[i, k] = None if image is None else _last(b, image, out, tangent.type)
    return found


def _tangent_maps(b: Builder, func: Func, places: Sequence[int], floats: Sequence[int]) -> Iterator[tuple[Value, Sequence[Op], Sequence[Value | None]]]:
    """For each argument its tangent, the linear ops that it reaches, and tangents of the results; what they need of the function is emitted once.

    Straight-line code is linearized for each argument anew, so that the others' tangents are not even zeros. A loop that gives residuals for
    one argument is another one than that for the next; so there all arguments have tangents, and those of the others are zeros.
    """
    if not any(op.prim.control for op in func.ops):
        b.ops += func.ops
        own = set(func.ops)
        for k in places:
            halves = linearize(func, [k], outputs=floats)
            b.ops += [op for op in halves.primal_ops if op not in own]
            yield halves.tangents_in[0], halves.linear_ops, halves.tangents_out
        return
    halves = linearize(func, places, outputs=floats)
    b.ops += halves.primal_ops
    for tangent in halves.tangents_in:
        ops, reached = _reached(halves.linear_ops, tangent)
        yield tangent, ops, [v if v in reached else None for v in halves.tangents_out]


def _reached(ops: Sequence[Op], tangent: Value) -> tuple[list[Op], set[Value]]:
    """The linear ops that a tangent reaches, with zeros for what it does not; and the values it reaches."""
    reached = {tangent}
    zeros = Builder()
    found: list[Op] = []
    for op in ops:
        if reached.isdisjoint(op.operands):
            continue
        reached.update(op.results)
        found.append(op.with_operands(tuple(zeros.zeros(v.type) if v.linear and v not in reached else v for v in op.operands)))
    return [*zeros.ops, *found], reached


def _rows(b: Builder, func: Func, places: Sequence[int], floats: Sequence[int]) -> Blocks:
    """The pullback on the basis of each result, the cotangents of the others being zero."""
    halves = linearize(func, places, outputs=floats)
    b.ops += halves.primal_ops
    found: Blocks = {}
    for i in floats:
        out = func.results[i].type
        seed = Value(out, "ct", linear=True)
        scratch = Builder()
        cts = transpose_ops(scratch, halves.linear_ops, halves.tangents_in, [halves.tangents_out[i]], [seed], f"transpose(@{func.name})")
        images = _on_basis(b, scratch.ops, seed, cts)
        for k, a, image in zip(places, halves.tangents_in, images, strict=True):
            found[i, k] = None if image is None else b.reshape(image, shape=(*out.shape, *a.type.shape))
    return found


def _on_basis(b: Builder, ops: Sequence[Op], seed: Value, outs: Sequence[Value | None]) -> list[Value | None]:
    """What the linear map `ops` gives for every vector of the basis of `seed`, along a new leading axis (none for a scalar)."""
    plain = seed.like(linear=False)
    env = {seed: plain}
    one = Builder()
    for op in ops:
        rebuild_unmarked(one, op, env)
    if seed.type.rank == 0:
        number = b.constant(1.0, type=seed.type)
        for op in one.ops:
            b.insert_with(op, {plain: number})
        return [v and (number if v is seed else env.get(v, v)) for v in outs]
    batching = Batching(seed.type.size)
    batching.ops = b.ops
    batching.bind(plain, _basis(b, seed.type))
    batching.ops_of(one.ops)
    return [v and batching.whole(env.get(v, v)) for v in outs]


def _basis(b: Builder, type: TensorType) -> Value:
    """An array of each vector of the basis: ones where the leading axis equals the place in the others."""
    counts = b.iota(axis=0, type=TensorType(INDEX, (type.size,)))
    ones = b.one_hot(counts, size=type.size, dtype=type.dtype)
    return b.reshape(ones, shape=(type.size, *type.shape))


def _last(b: Builder, image: Value, out: TensorType, argument: TensorType) -> Value:
    """The leading axis of `image`, which counts the elements of an argument, put last and taken apart."""
    if argument.rank == 0:
        return image
    turned = b.transpose(image, perm=(*range(1, out.rank + 1), 0))
    return b.reshape(turned, shape=(*out.shape, *argument.shape))


@module_pass("jacfwd")
def jacfwd_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Replace each function by its Jacobian, computed by forward mode."""
    return replace_funcs(module, func, lambda f: jacfwd(f, wrt, has_aux=has_aux))


@module_pass("jacrev")
def jacrev_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Replace each function by its Jacobian, computed by reverse mode."""
    return replace_funcs(module, func, lambda f: jacrev(f, wrt, has_aux=has_aux))


@module_pass("hessian")
def hessian_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Replace each function by its second derivatives."""
    return replace_funcs(module, func, lambda f: hessian(f, wrt, has_aux=has_aux))
