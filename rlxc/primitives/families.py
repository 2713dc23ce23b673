"""Families: what groups of primitives share, so that most ops are a dozen lines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from rlxc.errors import DTypeError, RuleError, ShapeError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Op, Value
from rlxc.ir.primitive import Linear, Primitive
from rlxc.ir.types import FLOATS, DType, TensorType
from rlxc.primitives.planes import planes_alike


def require_dtype(name: str, type: Any, allowed: Sequence[str]) -> None:
    """Raise DTypeError unless `type` is a tensor of one of the `allowed` dtypes."""
    if not isinstance(type, TensorType):
        raise DTypeError(f"{name} takes tensors, not {type}")
    if type.dtype not in allowed:
        help = f"it takes {', '.join(allowed)}"
        raise DTypeError(f"{name} does not take {type}", help=f"{help}: take real, imag or abs first" if type.dtype.is_complex else help)


def same_dtype(name: str, types: Sequence[TensorType]) -> DType:
    """The one dtype of all `types`; raises DTypeError where they differ."""
    if any([t.dtype != types[0].dtype for t in types]):
        raise DTypeError(f"{name}: dtypes differ: {', '.join(map(str, types))}", help=f"convert one of them, as in `convert %x {{dtype = {types[0].dtype}}}`")
    return types[0].dtype


def broadcast_shapes(name: str, types: Sequence[TensorType]) -> tuple:
    """NumPy's broadcasting: shapes aligned at the right, 1 stretches; raises ShapeError where they do not fit."""
    first = types[0].shape
    if all([t.shape == first for t in types]):
        return first
    rank = max(t.rank for t in types)
    shape = []
    for axis in range(rank):
        size: Any = 1
        for t in types:
            at = axis - (rank - t.rank)
            n = t.shape[at] if at >= 0 else 1
            if n == 1 or n == size:
                continue
            if size != 1:
                raise ShapeError(
                    f"{name}: shapes do not fit: {' and '.join(map(str, types))}", help="shapes are aligned at the right; sizes must be equal or 1"
                )
            size = n
        shape.append(size)
    return tuple(shape)


def broadcast_to(b: Any, x: Value, shape: Sequence[Any]) -> Value:
    """`x` repeated to `shape` by NumPy's rule, written with explicit `reshape` and `broadcast`."""
    shape = tuple(shape)
    if x.type.shape == shape:
        return x
    new = len(shape) - x.type.rank
    axes = list(range(new))
    kept = []
    for axis, n in enumerate(x.type.shape):
        if n != shape[new + axis]:
            axes.append(new + axis)
        else:
            kept.append(n)
    if len(kept) != x.type.rank:
        x = b.reshape(x, shape=tuple(kept))
    return b.broadcast(x, shape=shape, axes=tuple(axes)) if axes else x


def is_linear(operand: Any) -> bool:
    """Whether a transpose rule's operand is the linear one."""
    return isinstance(operand, Linear)


def conj(b: Any, x: Value) -> Value:
    """The complex conjugate: `x` itself where it is real."""
    return b.conj(x) if x.type.dtype.is_complex else x


def batch_size(xs: Sequence[Value], batched: Sequence[bool]) -> int:
    """Size of the leading axis of the batched operands."""
    return next(x.type.shape[0] for x, flag in zip(xs, batched, strict=True) if flag)


def with_batch_axis(b: Any, x: Value, n: int) -> Value:
    """`x` repeated along a new leading axis of size `n`."""
    return b.broadcast(x, shape=(n, *x.type.shape), axes=(0,))


class Elementwise(Primitive):
    """Result element i depends on element i of each operand alone; operands broadcast.

    States `eval`, whose signature declares operands and attributes; `partials(b, out, *xs)`, the partial derivative for each
    operand (a value, a number, or None for zero); and `scalar(e, *xs)`, the computation on scalars.
    """

    elementwise = True
    dtypes: ClassVar[Sequence[str]] = FLOATS
    singular: ClassVar[bool] = True  # a partial may be infinite or nan, so that a zero tangent must win over it
    computes: ClassVar[bool] = True  # arithmetic, which narrow floats do in f32
    by_parts: ClassVar[bool] = False  # of complex numbers, what the op does to the real parts it does to the imaginary parts: identities hold for them

    def trace_axes(self, operands, result, ranks, **attrs):
        labels = next(known for known in (*operands, result) if known is not None)
        return [labels] * len(operands), labels

    def signature_rule(self) -> Callable[..., Any]:
        return self.eval

    def infer(self, *types: Any, **attrs: Any) -> Any:
        first = types[0]
        require_dtype(self.name, first, self.dtypes)
        if any([t != first for t in types]):
            for t in types:
                require_dtype(self.name, t, self.dtypes)
            first = TensorType(same_dtype(self.name, types), broadcast_shapes(self.name, types))
        dtype = self.result_dtype(first.dtype, **attrs)
        return first if dtype == first.dtype else first.with_dtype(dtype)

    def result_dtype(self, dtype: DType, **attrs: Any) -> DType:
        return dtype

    def partials(self, b: Any, out: Value, *xs: Value, **attrs: Any) -> Sequence[Any]:
        raise self.missing("partials")

    def scalar(self, e: Any, *xs: Value, **attrs: Any) -> Value:
        raise self.missing("scalar")

    def legalize(self, b: Any, *xs: Value, **attrs: Any) -> Any:
        shape = broadcast_shapes(self.name, [x.type for x in xs])
        narrow = self.computes and any([x.type.dtype.is_narrow for x in xs])
        if not narrow and all([x.type.shape == shape for x in xs]):
            return None
        wide = [b.convert(x, dtype="f32") if self.computes and x.type.dtype.is_narrow else x for x in xs]
        out = b.apply(self, *[broadcast_to(b, x, shape) for x in wide], **attrs)
        if narrow and out.type.dtype == "f32" and self.result_dtype(xs[0].type.dtype, **attrs).is_narrow:
            out = b.convert(out, dtype=self.result_dtype(xs[0].type.dtype, **attrs))
        return out

    def jvp(self, b: Any, primals: Any, tangents: Any, outs: Any, **attrs: Any) -> Any:
        partials = self.ask("partials", b, outs[0], *primals, **attrs)
        if not isinstance(partials, tuple | list) or len(partials) != len(primals):
            raise RuleError(f"{self.name}: its partials rule must give {len(primals)} partials", code="RLX0303")
        total = None
        for dx, factor in zip(tangents, partials, strict=True):
            if dx is None or factor is None:
                continue
            term = self.scale(b, dx, factor)
            total = term if total is None else b.add(total, term)
        return (total,)

    def scale(self, b: Any, dx: Value, partial: Any) -> Value:
        """Tangent times partial; where the partial may be infinite, a zero tangent stays zero."""
        if not isinstance(partial, Value | int | float | np.generic):
            raise RuleError(f"{self.name}: its partials rule gave {partial!r}, not a value, a number or None")
        if not isinstance(partial, Value):
            return dx if partial == 1 else b.neg(dx) if partial == -1 else b.mul(dx, float(partial))
        return b.strong_mul(dx, partial) if self.singular else b.mul(dx, partial)

    def fold(self, b: Any, *xs: Value, **attrs: Any) -> Any:
        """What `identities` finds, once broadcasts are explicit: an operand can stand for the result only if it has its shape."""
        if any(x.type.shape != xs[0].type.shape for x in xs):
            return None
        if not self.by_parts and any([x.type.dtype.is_complex for x in xs]):
            return None
        return self.identities(b, *xs, **attrs)

    def identities(self, b: Any, *xs: Value, **attrs: Any) -> Any:
        """A simpler value by an algebraic identity that holds for every bit pattern, or None."""
        return None

    def planes(self, b: Any, *xs: Any, **attrs: Any) -> Any:
        if not self.by_parts:
            raise self.missing("planes")
        return planes_alike(self, b, *xs, **attrs)

    def batch(self, b: Any, *xs: Value, batched: Sequence[bool], **attrs: Any) -> Any:
        n = batch_size(xs, batched)
        whole = [x if flag else with_batch_axis(b, x, n) for x, flag in zip(xs, batched, strict=True)]
        return b.apply(self, *whole, **attrs)

    def axis_breaks(self, rank: int, types: Sequence[Any], **attrs: Any) -> Sequence[int]:
        return ()

    def element(self, e: Any, index: Any, *readers: Any, **attrs: Any) -> Any:
        out = self.ask("scalar", e, *[x(index) for x in readers], **attrs)
        if not isinstance(out, Value | int | float | complex | np.generic):
            raise RuleError(f"{self.name}: its scalar rule gave {out!r}, not a value or a number")
        return out


class Direct(Elementwise):
    """Elementwise, and the loop level has an op of the same name."""

    def scalar(self, e: Any, *xs: Value, **attrs: Any) -> Value:
        return getattr(e, self.name)(*xs, **attrs)


class LinearMap(Primitive):
    """Linear, jointly in the operands of `linear_in` (the first, unless stated): the tangent goes the way of the primal."""

    linear_in: ClassVar[Sequence[Any]] = ((0,),)

    def jvp(self, b: Any, primals: Any, tangents: Any, outs: Any, **attrs: Any) -> Any:
        (group,) = self.linear_groups([x.type for x in primals], **attrs)
        operands = []
        for i, (x, dx) in enumerate(zip(primals, tangents, strict=True)):
            if i not in group:
                operands.append(x)
            else:
                operands.append(b.zeros(x.type) if dx is None else dx)
        return (b.apply(self, *operands, **attrs),)

    def planes(self, b: Any, *xs: Any, **attrs: Any) -> Any:
        return planes_alike(self, b, *xs, **attrs)


class Multilinear(Primitive):
    """Linear in each operand of `linear_in` with the others fixed: the product rule."""

    def jvp(self, b: Any, primals: Any, tangents: Any, outs: Any, **attrs: Any) -> Any:
        total = None
        for i, dx in enumerate(tangents):
            if dx is None:
                continue
            operands = [*primals[:i], dx, *primals[i + 1 :]]
            term = b.apply(self, *operands, **attrs)
            total = term if total is None else b.add(total, term)
        return (total,)


class Composite(Primitive):
    """A named op made of simpler ones: `decompose` says how; derivatives and native code follow from that."""

    composite = True
    computes: ClassVar[bool] = True  # arithmetic, which narrow floats do in f32

    def legalize(self, b: Any, *xs: Value, **attrs: Any) -> Any:
        if not self.computes or not any(x.type.dtype.is_narrow for x in xs):
            return self.decompose(b, *xs, **attrs)
        outs = self.decompose(b, *[b.convert(x, dtype="f32") if x.type.dtype.is_narrow else x for x in xs], **attrs)
        outs = outs if isinstance(outs, tuple) else (outs,)
        types = self.infer_types([x.type for x in xs], attrs)
        narrow = tuple(out if out.type.dtype == t.dtype else b.convert(out, dtype=t.dtype) for out, t in zip(outs, types, strict=True))
        return narrow[0] if len(narrow) == 1 else narrow

    def batch(self, b: Any, *xs: Value, batched: Sequence[bool], **attrs: Any) -> Any:
        """Each op of the decomposition for one example, batched."""
        examples = [x.like(type=x.type.with_shape(x.type.shape[1:])) if flag else x for x, flag in zip(xs, batched, strict=True)]
        env = dict(zip(examples, zip(xs, batched, strict=True), strict=True))
        one = Builder()
        outs = self.legalize(one, *examples, **attrs)
        for op in one.ops:
            _batch_op(b, op, env)
        whole = []
        for out in outs if isinstance(outs, tuple) else (outs,):
            x, flag = env.get(out, (out, False))
            whole.append(x if flag else with_batch_axis(b, x, batch_size(xs, batched)))
        return tuple(whole) if isinstance(outs, tuple) else whole[0]


def _batch_op(b: Any, op: Op, env: dict[Value, tuple[Value, bool]]) -> None:
    """Emit `op`, made legal, for a whole batch; `env` holds the batched twins of single values, and whether they have the batch axis."""
    one = Builder()
    legal = op.prim.legalize(one, *op.operands, **op.attrs)
    if legal is not None:
        for inner in one.ops:
            _batch_op(b, inner, env)
        outs = legal if isinstance(legal, tuple) else (legal,)
        env.update((v, env.get(out, (out, False))) for v, out in zip(op.results, outs, strict=True))
        return
    operands, batched = zip(*(env.get(v, (v, False)) for v in op.operands), strict=True) if op.operands else ((), ())
    rule = functools.partial(op.prim.batch, b, batched=batched) if any(batched) else functools.partial(b.apply, op.prim)
    results = rule(*operands, **op.attrs)
    env.update((v, (x, any(batched))) for v, x in zip(op.results, results if isinstance(results, tuple) else (results,), strict=True))


class NonDifferentiable(Primitive):
    """Piecewise constant, or of a dtype without derivatives: the tangent is zero."""

    differentiable = False

    def jvp(self, b: Any, primals: Any, tangents: Any, outs: Any, **attrs: Any) -> Any:
        return (None,) * len(outs)
