"""A NumPy-like function written with a small namespace of ops, as a function of rlxc's IR; and training steps made of it.

func = trace(lambda xp, x, w: xp.mean(xp.gelu(xp.matmul(x, w))), {"x": TensorType("f32", (8, 4)), "w": ...})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rlxc
import rlxc.primitives
from rlxc.ir.builder import Builder, remap_region
from rlxc.ir.core import Func, Value
from rlxc.ir.primitive import lookup
from rlxc.ir.types import TensorType, dtype_of


class Traced:
    """A value of the function being written; Python's operators append ops."""

    def __init__(self, b: Builder, value: Value) -> None:
        self.b = b
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.type.shape

    def __add__(self, other):
        return self._binary("add", self, other)

    def __radd__(self, other):
        return self._binary("add", other, self)

    def __sub__(self, other):
        return self._binary("sub", self, other)

    def __rsub__(self, other):
        return self._binary("sub", other, self)

    def __mul__(self, other):
        return self._binary("mul", self, other)

    def __rmul__(self, other):
        return self._binary("mul", other, self)

    def __truediv__(self, other):
        return self._binary("div", self, other)

    def __rtruediv__(self, other):
        return self._binary("div", other, self)

    def __neg__(self):
        return Traced(self.b, self.b.neg(self.value))

    def _binary(self, name: str, x: Any, y: Any) -> Traced:
        return Traced(self.b, getattr(self.b, name)(_value(x), _value(y)))


class Namespace:
    """The ops that workloads are written with. Axes and shapes are static; arrays are the arguments'."""

    def __init__(self) -> None:
        self.b = Builder()

    def _op(self, name: str, *xs: Any, **attrs: Any) -> Traced:
        return Traced(self.b, getattr(self.b, name)(*map(_value, xs), **attrs))

    def exp(self, x):
        return self._op("exp", x)

    def log(self, x):
        return self._op("log", x)

    def sqrt(self, x):
        return self._op("sqrt", x)

    def sin(self, x):
        return self._op("sin", x)

    def tanh(self, x):
        return self._op("tanh", x)

    def sigmoid(self, x):
        return self._op("logistic", x)

    def relu(self, x):
        return self._op("relu", x)

    def gelu(self, x):
        return self._op("gelu", x)

    def gelu_tanh(self, x):
        return self._op("gelu", x, approximate="tanh")

    def maximum(self, x, y):
        return self._op("max", x, y)

    def matmul(self, x, y):
        return self._op("matmul", x, y)

    def linear(self, x, w, bias):
        return self._op("linear", x, w, bias)

    def transpose(self, x, perm):
        return self._op("transpose", x, perm=tuple(perm))

    def reshape(self, x, shape):
        return self._op("reshape", x, shape=tuple(shape))

    def sum(self, x, axis=None):
        return self._op("reduce_sum", x, axes=tuple(range(len(x.shape))) if axis is None else (axis % len(x.shape),))

    def mean(self, x):
        return self._op("mean", x)

    def argmax(self, x):
        return self._op("argmax", x, axis=len(x.shape) - 1)

    def cumsum(self, x):
        return self._op("cumsum", x, axis=len(x.shape) - 1)

    def softmax(self, x):
        return self._op("softmax", x)

    def layernorm(self, x, gain, bias):
        return self._op("layer_norm", x, gain, bias, eps=1e-5)

    def attention(self, q, k, v):
        return self._op("attention", q, k, v)

    def xent(self, logits, targets):
        """The mean cross entropy with targets given as probabilities."""
        return -self.mean(self.sum(targets * self._op("log_softmax", logits), -1))

    def conv2d(self, x, w, groups: int = 1):
        """Stride 1; as much padding as keeps the size of the image."""
        padding = tuple((n // 2, (n - 1) // 2) for n in w.shape[2:])
        return self._op("conv", x, w, padding=padding, groups=groups)

    def batchnorm(self, x, gain, bias):
        """Normalized over all but the channels by the statistics of x itself."""
        channels = x.shape[1]
        axes = (0, *range(2, len(x.shape)))

        def spread(v):
            return self.reshape(v, (1, channels, *(1,) * (len(x.shape) - 2)))

        centered = x - spread(self._op("mean", x, axes=axes))
        variance = self._op("mean", centered * centered, axes=axes)
        return centered * spread(self._op("rsqrt", variance + 1e-5) * gain) + spread(bias)

    def concat(self, xs, axis):
        return self._op("concat", *xs, axis=axis)

    def take(self, table, ids):
        return self._op("embedding", table, ids)

    def rows(self, x, start, stop):
        return self._slice(x, 0, start, stop)

    vslice = rows

    def cols(self, x, start, stop):
        return self._slice(x, 1, start, stop)

    def _slice(self, x, axis: int, start: int, stop: int) -> Traced:
        first = tuple(start if a == axis else 0 for a in range(len(x.shape)))
        last = tuple(stop if a == axis else n for a, n in enumerate(x.shape))
        return self._op("slice", x, start=first, stop=last)

    def zeros(self, shape):
        return Traced(self.b, self.b.zeros(TensorType("f32", tuple(shape))))

    def to_f32(self, number):
        return self._op("convert", number, dtype="f32") if isinstance(number, Traced) else float(number)

    # loops

    def scan(self, step, carry, xs, n):
        """`step(carry, x)` gives a new carry and a y for each of the n elements of `xs`; the last carry, and the ys stacked."""
        first = leaves(carry)

        def body(values, x):
            new, y = step(like(carry, values), x)
            return [*leaves(new), y]

        last, (ys,) = self._loop(body, first, [xs], n)
        return like(carry, last), ys

    def fori(self, n, body, x):
        """`body(i, x)` gives the new x, for i from 0."""
        numbers = Traced(self.b, self.b.iota(axis=0, type=TensorType("i32", (n,))))
        (last,), _ = self._loop(lambda values, i: [body(i, values[0])], [x], [numbers], n)
        return last

    def _loop(self, body, carries, xs, n):
        """Traces `body(carries, *elements)` apart; what it uses from outside becomes consts."""
        b = self.b
        carried = [Value(v.value.type) for v in carries]
        elements = [Value(x.value.type.with_shape(x.shape[1:])) for x in xs]
        outer, b.ops = b.ops, []
        results = tuple(v.value for v in body([Traced(b, v) for v in carried], *(Traced(b, v) for v in elements)))
        inner, b.ops = b.ops, outer
        inside = {*carried, *elements, *(v for op in inner for v in op.results)}
        used = [v for op in inner for v in op.operands] + list(results)
        outside = list(dict.fromkeys(v for v in used if v not in inside))
        args = {v: Value(v.type, v.name) for v in outside}
        region = remap_region(Func("", (*carried, *elements), tuple(inner), results, "region"), dict(args))
        region = region.with_(args=(*args.values(), *region.args))
        attrs = {"consts": len(outside), "carries": len(carries), "length": n}
        operands = [*outside, *(v.value for v in carries), *(x.value for x in xs)]
        made = [Traced(b, v) for v in b.with_regions(lookup("scan"), operands, attrs, (region,))]
        return made[: len(carries)], made[len(carries) :]


def leaves(tree: Any) -> list[Traced]:
    """The values of nested tuples, in order."""
    return [tree] if isinstance(tree, Traced) else [v for part in tree for v in leaves(part)]


def like(tree: Any, values: Sequence[Traced]) -> Any:
    """These values in tuples as those of `tree`."""
    rest = iter(values)

    def fill(part: Any) -> Any:
        return next(rest) if isinstance(part, Traced) else tuple(fill(p) for p in part)

    return fill(tree)


def type_of(array: Any) -> TensorType:
    """The rlxc type of a NumPy array."""
    return TensorType(dtype_of(array.dtype), array.shape)


def trace(fn: Callable[..., Any], types: Mapping[str, TensorType], *, xp: Namespace | None = None, name: str = "f") -> Func:
    """The function that `fn` computes on arguments of these types. `xp` is the namespace it was written with."""
    xp = xp or Namespace()
    xp.b = b = Builder()
    args = tuple(Value(type, arg) for arg, type in types.items())
    results = fn(*(Traced(b, a) for a in args))
    values = [r.value for r in (results if isinstance(results, list | tuple) else (results,))]
    return Func(name, args, tuple(b.ops), tuple(values))


def sgd_step(loss: Func, params: Sequence[int], rate: float = 0.1) -> Func:
    """Loss, and the parameters after one step down the gradient; arguments as those of `loss`."""
    joint = rlxc.value_and_grad(loss, params)
    b = Builder()
    b.ops += joint.ops
    value, *grads = joint.results
    stepped = [b.sub(joint.args[i], b.mul(g, rate)) for i, g in zip(params, grads, strict=True)]
    return Func("sgd", joint.args, tuple(b.ops), (value, *stepped))


def adam_step(loss: Func, params: Sequence[int], rate: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Func:
    """One step of Adam (Kingma & Ba, arXiv:1412.6980).

    Arguments are those of `loss`, then the first and the second moments of the parameters, then the number of steps done (f32);
    results are the loss, the new parameters, moments and number of steps.
    """
    joint = rlxc.value_and_grad(loss, params)
    value, *grads = joint.results
    old = [joint.args[i] for i in params]
    first = [Value(p.type, f"m_{p.name}") for p in old]
    second = [Value(p.type, f"v_{p.name}") for p in old]
    done = Value(TensorType("f32"), "steps")
    b = Builder()
    b.ops += joint.ops
    steps = b.add(done, 1.0)
    scale1, scale2 = (b.div(1.0, b.sub(1.0, b.pow(b.constant(beta, like=steps), steps))) for beta in (beta1, beta2))
    new, means, squares = [], [], []
    for p, g, m, v in zip(old, grads, first, second, strict=True):
        means.append(b.add(b.mul(m, beta1), b.mul(g, 1 - beta1)))
        squares.append(b.add(b.mul(v, beta2), b.mul(b.mul(g, g), 1 - beta2)))
        size = b.add(b.sqrt(b.mul(squares[-1], scale2)), eps)
        new.append(b.sub(p, b.div(b.mul(b.mul(means[-1], scale1), rate), size)))
    return Func("adam", (*joint.args, *first, *second, done), tuple(b.ops), (value, *new, *means, *squares, steps))


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Traced) else x
