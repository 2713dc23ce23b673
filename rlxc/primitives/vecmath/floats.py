"""The binary formats f32 and f64, and the operations on the bits of their values.

    sign | exponent + bias | mantissa          f32: 1 + 8 + 23 bits     f64: 1 + 11 + 52 bits

Adding `magic` = 1.5 * 2^mantissa to a small x rounds it to an integer n and leaves n, in two's complement, in the low
bits of the sum. That gives n as a float and as an integer without a conversion, which for f64 is slow before AVX-512.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    dtype: str
    width: int
    mantissa: int  # stored bits
    bias: int
    signed: str
    unsigned: str

    @property
    def magic(self) -> float:
        return 1.5 * 2.0**self.mantissa

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)

    @property
    def one(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.mantissa

    @property
    def exponent_mask(self) -> int:
        """Sign and exponent, as a signed number."""
        return -(1 << self.mantissa)

    @property
    def mantissa_mask(self) -> int:
        return (1 << self.mantissa) - 1

    def bits(self, number: float) -> int:
        code = {"f32": ("<f", "<i"), "f64": ("<d", "<q")}[self.dtype]
        return struct.unpack(code[1], struct.pack(code[0], number))[0]


FORMATS = {
    "f32": Format("f32", 32, 23, 127, "i32", "u32"),
    "f64": Format("f64", 64, 52, 1023, "i64", "u64"),
}

INF = float("inf")
NAN = float("nan")


def format_of(x) -> Format:
    return FORMATS[x.type.dtype]


def is_scalar(x) -> bool:
    """Whether rare parts of what is computed of x are better called: in a loop over vectors calls take the registers of its constants."""
    return x.type.lanes == 1


def clamp(e, x, low, high):
    """x within [low, high]; NaN stays NaN."""
    return at_least(e, at_most(e, x, high), low)


def at_most(e, x, high):
    return e.select(e.gt(x, high), high, x)


def at_least(e, x, low):
    return e.select(e.lt(x, low), low, x)


def power_of_two(e, t):
    """2^n where t = n + magic, for n in the range of normal exponents."""
    f = format_of(t)
    shifted = e.shift_left(e.bitcast(t, f.signed), f.mantissa)
    return e.bitcast(e.add(shifted, f.one), f.dtype)


def scale(e, y, t):
    """y * 2^n where t = n + magic, y in about [1/2, 2].

    In two steps, 2^(n>>1) and then the rest, so that overflow and gradual underflow come out of the last
    multiplication correctly rounded; or by the one instruction that some processors have for this.
    """
    f = format_of(t)
    if e.target.scales:
        return e.scale(y, e.sub(t, f.magic))
    bits = e.bitcast(t, f.signed)
    half = e.and_(e.shift_left(bits, f.mantissa - 1), f.exponent_mask)
    rest = e.sub(e.shift_left(bits, f.mantissa), half)
    y = e.mul(y, e.bitcast(e.add(half, f.one), f.dtype))
    return e.mul(y, e.bitcast(e.add(rest, f.one), f.dtype))


def split_exponent(e, x, lowest: float, denormals: bool = True):
    """x = m * 2^k with m in [lowest, 2 lowest), for positive finite x: (m, k as float, the bits of k << mantissa).

    Zero, negative, infinite and NaN inputs give anything. With `denormals` false they do so too.
    """
    f = format_of(x)
    if denormals:
        tiny = e.lt(x, f.smallest_normal)
        x = e.select(tiny, e.mul(x, 2.0 ** (f.mantissa + 1)), x)
    bits = e.bitcast(x, f.signed)
    above = e.sub(bits, f.bits(lowest))
    k_bits = e.and_(above, f.exponent_mask)
    m = e.bitcast(e.sub(bits, k_bits), f.dtype)
    k = _exponent_as_float(e, above, f)
    if denormals:
        k = e.select(tiny, e.sub(k, f.mantissa + 1.0), k)
    return m, k, k_bits


def _exponent_as_float(e, above, f: Format):
    if f.dtype == "f32":
        return e.convert(e.shift_right(above, f.mantissa), f.dtype)
    # No arithmetic shift and no conversion of 64-bit integers in AVX2: bias + k >= 0 becomes the mantissa of 2^52 + ...
    biased = e.shift_right(e.bitcast(e.add(above, f.one), f.unsigned), f.mantissa)
    implicit = 2.0**f.mantissa
    number = e.bitcast(e.or_(biased, f.bits(implicit)), f.dtype)
    return e.sub(number, implicit + f.bias)


def sign_bit(e, x):
    """The sign of x alone, as signed integer bits."""
    f = format_of(x)
    return e.and_(e.bitcast(x, f.signed), -(1 << (f.width - 1)))


def flip_sign(e, x, sign):
    """x with its sign xor-ed by the sign bits."""
    f = format_of(x)
    return e.bitcast(e.xor(e.bitcast(x, f.signed), sign), f.dtype)


def format_of_word(word) -> Format:
    """The float format as wide as an integer value."""
    return next(f for f in FORMATS.values() if word.type.dtype in (f.signed, f.unsigned))
