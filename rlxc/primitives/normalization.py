"""Normalization: layer_norm, rms_norm, group_norm, batch_norm."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS
from rlxc.primitives.composite import along_axes, axis_from_front, from_front, in_f64, mean_over, require_eps, require_shape, spread
from rlxc.primitives.exact import round_to
from rlxc.primitives.families import Composite, require_dtype, same_dtype


class Normalization(Composite):
    """Scales x by its own statistics; `gamma` multiplies, `beta` is added."""

    dtypes = FLOATS

    def check(self, *types) -> None:
        given = [t for t in types if t is not None]
        for t in given:
            require_dtype(self.name, t, FLOATS)
        same_dtype(self.name, given)


class OverAxes(Normalization):
    """Over `axes` of x, the last unless stated; gamma and beta have the sizes of these axes, in the order of `axes`."""

    def check_parameters(self, x, axes, eps, **parameters) -> None:
        self.check(x, *parameters.values())
        require_eps(self.name, eps)
        if not axes:
            raise AttrError(f"{self.name} needs an axis to normalize over")
        shape = [x.shape[a] for a in sorted(from_front(self.name, x, axes))]
        for what, t in parameters.items():
            if t is not None:
                require_shape(self.name, what, t, shape)


@register
class LayerNorm(OverAxes):
    """(x - mean) / sqrt(var + eps) gamma + beta, with mean and variance over `axes` (the last, unless stated).

    gamma and beta may be left out; they have the shape of x's `axes`, in x's order. (Ba et al., arXiv:1607.06450.)
    """

    name = "layer_norm"
    samples = (
        "f64[2, 5]",
        "f64[2, 3], f64[3], f64[3]",
        Sample("f64[2, 3, 4], f64[3, 4]", axes=(1, 2)),
        Sample("f64[3, 2, 4], f64[3, 4], f64[3, 4]", axes=(-1, 0), eps=0.1),
        Sample("f64[3, 1]", eps=1e-3),
        "f64[0, 3], f64[3]",
        "f64[2, 0]",
        Sample(np.full((2, 4), 3.0)),
    )

    def infer(self, x, gamma=None, beta=None, *, axes: tuple[int, ...] = (-1,), eps: float = 1e-5):
        self.check_parameters(x, axes, eps, gamma=gamma, beta=beta)
        return x

    def eval(self, x, gamma=None, beta=None, *, axes, eps):
        z = in_f64(x)
        if z.size == 0:
            return x.copy()
        y = (z - np.mean(z, axis=axes, keepdims=True)) / np.sqrt(np.var(z, axis=axes, keepdims=True) + eps)
        return round_to(_affine(y, gamma, beta, axes), x.dtype)

    def decompose(self, b, x, gamma=None, beta=None, *, axes, eps):
        axes = tuple(sorted(from_front(self.name, x.type, axes)))
        return _scaled(b, *_standardized(b, x, axes, eps), gamma, beta, x, axes)


@register
class RmsNorm(OverAxes):
    """x / sqrt(mean of x^2 + eps) gamma, with the mean over `axes` (the last, unless stated); gamma may be left out. (Zhang & Sennrich, arXiv:1910.07467.)"""

    name = "rms_norm"
    samples = (
        "f64[2, 5]",
        "f64[2, 3], f64[3]",
        Sample("f64[2, 3, 4], f64[2, 4]", axes=(0, 2), eps=0.1),
        "f64[3, 1], f64[1]",
        "f64[0, 3]",
        Sample(np.zeros((2, 4))),
    )

    def infer(self, x, gamma=None, *, axes: tuple[int, ...] = (-1,), eps: float = 1e-6):
        self.check_parameters(x, axes, eps, gamma=gamma)
        return x

    def eval(self, x, gamma=None, *, axes, eps):
        z = in_f64(x)
        if z.size == 0:
            return x.copy()
        return round_to(_affine(z / np.sqrt(np.mean(z * z, axis=axes, keepdims=True) + eps), gamma, None, axes), x.dtype)

    def decompose(self, b, x, gamma=None, *, axes, eps):
        axes = tuple(sorted(from_front(self.name, x.type, axes)))
        scale = b.rsqrt(b.add(mean_over(b, b.mul(x, x), axes), eps))
        return _scaled(b, x, scale, gamma, None, x, axes)


@register
class GroupNorm(Normalization):
    """layer_norm of each image over each of `groups` sets of channels and all of space; x is [N, C, ...], gamma and beta are [C].

    One group is layer_norm over all but N; as many groups as channels is instance_norm. (Wu & He, arXiv:1803.08494.)
    """

    name = "group_norm"
    samples = (
        Sample("f64[2, 4, 3]", groups=2),
        Sample("f64[2, 4, 3, 2], f64[4], f64[4]", groups=2),
        Sample("f64[1, 3, 2], f64[3]", groups=3, eps=0.1),
        Sample("f64[2, 4]", groups=1),
        Sample("f64[0, 4, 2]", groups=2),
    )

    def infer(self, x, gamma=None, beta=None, *, groups: int, eps: float = 1e-5):
        self.check(x, gamma, beta)
        require_eps(self.name, eps)
        if x.rank < 2:
            raise ShapeError(f"group_norm takes [N, C, ...], not {x}")
        x.with_shape(x.shape[1:2]).require_static()
        if groups < 1 or x.shape[1] % groups:
            raise AttrError(f"group_norm: {groups} groups do not divide the {x.shape[1]} channels of {x}")
        for what, t in (("gamma", gamma), ("beta", beta)):
            if t is not None:
                require_shape(self.name, what, t, x.shape[1:2])
        return x

    def eval(self, x, gamma=None, beta=None, *, groups, eps):
        if x.size == 0:
            return x.copy()
        z = in_f64(x).reshape(x.shape[0], groups, -1)
        z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + eps)
        return round_to(_affine(z.reshape(x.shape), gamma, beta, (1,)), x.dtype)

    def decompose(self, b, x, gamma=None, beta=None, *, groups, eps):
        n, c, *space = x.type.shape
        grouped = b.reshape(x, shape=(n, groups, c // groups, *space))
        axes = tuple(range(2, grouped.type.rank))
        distance, scale = _standardized(b, grouped, axes, eps)
        y = b.reshape(b.mul(distance, spread(b, scale, grouped, axes)), shape=x.type.shape)
        y = y if gamma is None else b.mul(y, along_axes(b, gamma, x, (1,)))
        return y if beta is None else b.add(y, along_axes(b, beta, x, (1,)))


@register
class BatchNorm(Normalization):
    """(x - mean) / sqrt(var + eps) gamma + beta with given statistics, as in inference; all four are [C], the size of `axis` of x.

    (Ioffe & Szegedy, arXiv:1502.03167.)
    """

    name = "batch_norm"
    samples = (
        Sample("f64[2, 3, 4], f64[3], f64[3]", domain=(0.5, 2.0)),
        Sample("f64[2, 3], f64[3], f64[3], f64[3], f64[3]", axis=-1, domain=(0.5, 2.0)),
        Sample("f64[0, 3], f64[3], f64[3], f64[3]", eps=0.1),
    )
    domain = (0.5, 2.0)

    def infer(self, x, mean, var, gamma=None, beta=None, *, axis: int = 1, eps: float = 1e-5):
        self.check(x, mean, var, gamma, beta)
        require_eps(self.name, eps)
        size = x.shape[axis_from_front(self.name, x, axis)]
        for what, t in (("mean", mean), ("var", var), ("gamma", gamma), ("beta", beta)):
            if t is not None:
                require_shape(self.name, what, t, (size,))
        return x

    def eval(self, x, mean, var, gamma=None, beta=None, *, axis, eps):
        shape = [1] * x.ndim
        shape[axis] = -1
        mean, var = (a.reshape(shape) for a in in_f64(mean, var))
        return round_to(_affine((in_f64(x) - mean) / np.sqrt(var + eps), gamma, beta, (axis,)), x.dtype)

    def decompose(self, b, x, mean, var, gamma=None, beta=None, *, axis, eps):
        axes = (axis_from_front(self.name, x.type, axis),)
        scale = b.rsqrt(b.add(var, eps))
        scale = scale if gamma is None else b.mul(scale, gamma)
        y = b.mul(b.sub(x, along_axes(b, mean, x, axes)), along_axes(b, scale, x, axes))
        return y if beta is None else b.add(y, along_axes(b, beta, x, axes))


def _standardized(b, x, axes, eps):
    """x less its mean, and 1 / sqrt(its variance + eps), over `axes`."""
    distance = b.sub(x, spread(b, mean_over(b, x, axes), x, axes))
    return distance, b.rsqrt(b.add(mean_over(b, b.mul(distance, distance), axes), eps))


def _scaled(b, y, scale, gamma, beta, x, axes):
    y = b.mul(y, spread(b, scale, x, axes))
    y = y if gamma is None else b.mul(y, along_axes(b, gamma, x, axes))
    return y if beta is None else b.add(y, along_axes(b, beta, x, axes))


def _affine(y, gamma, beta, axes):
    """y gamma + beta in NumPy, gamma and beta lying along `axes`."""
    shape = [n if a in {axis % y.ndim for axis in axes} else 1 for a, n in enumerate(y.shape)]
    if gamma is not None:
        y = y * in_f64(gamma).reshape(shape)
    return y if beta is None else y + in_f64(beta).reshape(shape)
