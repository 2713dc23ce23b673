"""Butterflies: discrete Fourier transforms of a few complex numbers, as straight code on scalars or vectors of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rlxc.primitives.planes import Planes as Z


def butterfly(e: Any, xs: Sequence[Z], sign: int) -> list[Z]:
    """y[k] = sum over j of x[j] exp(sign 2 pi i j k / n)."""
    n = len(xs)
    if n == 1:
        return list(xs)
    return _odd(e, xs, sign) if n % 2 else _even(e, xs, sign)


def _even(e: Any, xs: Sequence[Z], sign: int) -> list[Z]:
    """Of the even places and the odd ones, then sums and differences."""
    half = len(xs) // 2
    evens, odds = butterfly(e, xs[::2], sign), butterfly(e, xs[1::2], sign)
    turned = [rotated(e, z, k, len(xs), sign) for k, z in enumerate(odds)]
    low = [add(e, x, y) for x, y in zip(evens, turned, strict=True)]
    high = [sub(e, x, y) for x, y in zip(evens, turned, strict=True)]
    assert len(low) == half
    return [*low, *high]


def _odd(e: Any, xs: Sequence[Z], sign: int) -> list[Z]:
    """Places j and n - j together: their sums meet cosines only, their differences sines only."""
    n = len(xs)
    sums = [add(e, xs[j], xs[n - j]) for j in range(1, n // 2 + 1)]
    differences = [sub(e, xs[j], xs[n - j]) for j in range(1, n // 2 + 1)]
    first = xs[0]
    for z in sums:
        first = add(e, first, z)
    low, high = [], []
    for k in range(1, n // 2 + 1):
        even, odd = xs[0], None
        for j, (u, v) in enumerate(zip(sums, differences, strict=True), 1):
            angle = 2 * math.pi * (j * k % n) / n
            even = add(e, even, scaled(e, u, math.cos(angle)))
            term = scaled(e, v, sign * math.sin(angle))
            odd = term if odd is None else add(e, odd, term)
        assert odd is not None
        low.append(Z(e.sub(even.re, odd.im), e.add(even.im, odd.re)))
        high.append(Z(e.add(even.re, odd.im), e.sub(even.im, odd.re)))
    return [first, *low, *high[::-1]]


def rotated(e: Any, z: Z, k: int, n: int, sign: int) -> Z:
    """z exp(sign 2 pi i k / n), by way of signs alone where that is possible."""
    eighths, rest = divmod(8 * k * sign % (8 * n), n)
    if rest:
        angle = sign * 2 * math.pi * k / n
        return mul(e, z, math.cos(angle), math.sin(angle))
    if eighths % 2:
        part = math.sqrt(0.5)
        z = Z(e.mul(e.sub(z.re, z.im), part), e.mul(e.add(z.re, z.im), part))
    match eighths // 2:
        case 1:
            return Z(e.neg(z.im), z.re)
        case 2:
            return Z(e.neg(z.re), e.neg(z.im))
        case 3:
            return Z(z.im, e.neg(z.re))
    return z


def add(e: Any, x: Z, y: Z) -> Z:
    return Z(e.add(x.re, y.re), e.add(x.im, y.im))


def sub(e: Any, x: Z, y: Z) -> Z:
    return Z(e.sub(x.re, y.re), e.sub(x.im, y.im))


def scaled(e: Any, z: Z, factor: float) -> Z:
    return Z(e.mul(z.re, factor), e.mul(z.im, factor))


def mul(e: Any, z: Z, re: Any, im: Any) -> Z:
    return Z(e.sub(e.mul(z.re, re), e.mul(z.im, im)), e.add(e.mul(z.re, im), e.mul(z.im, re)))
