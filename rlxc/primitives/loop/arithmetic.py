"""Arithmetic on scalars and vectors, with the meaning of the tensor ops of the same names."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rlxc.ir.primitive import register
from rlxc.primitives import numerics
from rlxc.primitives.loop.base import Binary, LoopPrimitive, Unary, require_same, require_vector


@register
class Add(Binary):
    """x + y; integers wrap."""

    name = "add"
    commutative = True
    folds = True
    sum = (1, 1)
    instructions: ClassVar = {"i": "add", "u": "add", "f": "fadd"}

    def eval(self, x, y):
        return np.add(x, y)

    def affine(self, steps, constants):
        return steps[0] + steps[1]


@register
class Sub(Binary):
    """x - y; integers wrap."""

    name = "sub"
    sum = (1, -1)
    instructions: ClassVar = {"i": "sub", "u": "sub", "f": "fsub"}

    def eval(self, x, y):
        return np.subtract(x, y)

    def affine(self, steps, constants):
        return steps[0] - steps[1]


@register
class Mul(Binary):
    """x y; integers wrap."""

    name = "mul"
    commutative = True
    folds = True
    product = True
    instructions: ClassVar = {"i": "mul", "u": "mul", "f": "fmul"}

    def eval(self, x, y):
        return np.multiply(x, y)

    def affine(self, steps, constants):
        if steps[1] == 0 and constants[1] is not None:
            return steps[0] * constants[1]
        return steps[1] * constants[0] if steps[0] == 0 and constants[0] is not None else None


@register
class MulHigh(Binary):
    """The high half of the full product of unsigned integers."""

    name = "mul_high"
    commutative = True
    kinds = "u"

    def eval(self, x, y):
        bits = x.dtype.itemsize * 8
        high = [int(a) * int(b) >> bits for a, b in zip(np.atleast_1d(x), np.atleast_1d(y), strict=True)]
        return np.array(high, x.dtype).reshape(np.shape(x))[()]

    def llvm(self, w, type, x, y):
        bits = type.dtype.bits
        wide = w.vector(f"i{2 * bits}", type.lanes)
        a, b = (w.inst(f"zext {w.type(type)} {v.text} to {wide}") for v in (x, y))
        product = w.inst(f"mul {wide} {a}, {b}")
        high = w.inst(f"lshr {wide} {product}, {w.splat(f'i{2 * bits}', str(bits), type.lanes)}")
        return w.inst(f"trunc {wide} {high} to {w.type(type)}")


@register
class Fma(LoopPrimitive):
    """x y + z, rounded once."""

    name = "fma"
    is_fma = True

    def infer(self, x, y, z):
        require_vector(self.name, x, "f")
        require_same(self.name, x, y, z)
        return x

    def eval(self, x, y, z):
        return numerics.fma(x, y, z)

    def fold_kind(self, position):
        return "add" if position == 2 else None

    def llvm(self, w, type, x, y, z):
        return w.fma(type, x, y, z)


def is_number(text: str) -> bool:
    """Whether an operand of LLVM IR is an integer literal."""
    return text.removeprefix("-").isdecimal()


class IntegerDivision(Binary):
    """Division that never traps: by zero it gives 0, and the lowest number by -1 wraps."""

    def integer(self, w, type, x, y, quotient: bool):
        """Truncating quotient or remainder."""
        signed = "s" if type.dtype.kind == "i" else "u"
        operation = f"{signed}{'div' if quotient else 'rem'}"
        zero = w.literal(0, type)
        t = w.type(type)
        if is_number(y.text) and int(y.text) not in (0, -1):  # nothing to guard, and no division at all in the end
            return w.inst(f"{operation} {t} {x.text}, {y.text}")
        mask = w.vector("i1", type.lanes)
        bad = w.inst(f"icmp eq {t} {y.text}, {zero}")
        unsafe = bad
        if type.dtype.kind == "i":
            lowest = w.literal(-(2 ** (type.dtype.bits - 1)), type)
            is_lowest = w.inst(f"icmp eq {t} {x.text}, {lowest}")
            is_minus_one = w.inst(f"icmp eq {t} {y.text}, {w.literal(-1, type)}")
            overflows = w.inst(f"and {mask} {is_lowest}, {is_minus_one}")
            unsafe = w.inst(f"or {mask} {bad}, {overflows}")
        safe = w.inst(f"select {mask} {unsafe}, {t} {w.literal(1, type)}, {t} {y.text}")
        result = w.inst(f"{operation} {t} {x.text}, {safe}")
        return w.inst(f"select {mask} {bad}, {t} {zero}, {t} {result}")


@register
class Div(IntegerDivision):
    """x / y; for integers truncated, 0 where y is 0."""

    name = "div"
    cycles = 8.0
    kinds = "iuf"

    def eval(self, x, y):
        return numerics.div(x, y)

    def llvm(self, w, type, x, y):
        if type.dtype.is_float:
            return w.inst(f"fdiv {w.type(type)} {x.text}, {y.text}")
        return self.integer(w, type, x, y, quotient=True)


@register
class Rem(IntegerDivision):
    """x - y trunc(x / y), with the sign of x; for integers 0 where y is 0."""

    name = "rem"
    cycles = 20.0
    kinds = "iuf"

    def eval(self, x, y):
        return numerics.rem(x, y)

    def llvm(self, w, type, x, y):
        if type.dtype.is_float:
            return w.lanewise("frem", type, x, y)
        return self.integer(w, type, x, y, quotient=False)


@register
class FloorDiv(Binary):
    """floor(x / y) of integers; 0 where y is 0."""

    name = "floor_div"
    kinds = "iu"

    def eval(self, x, y):
        return numerics.floor_div(x, y)

    def expand(self, e, x, y):
        q = e.div(x, y)
        if x.type.dtype.kind == "u":
            return q
        r = e.rem(x, y)
        differs = e.lt(e.xor_(r, y), 0)
        return e.select(e.and_(e.ne(r, 0), differs), e.sub(q, 1), q)


class Extremum(Binary):
    """The larger or smaller operand; nan wins. Unchecked, y is taken where either is nan."""

    kinds = "biuf"
    commutative = True
    folds = True
    which: ClassVar[str] = ""

    def infer(self, x, y, *, checked: bool = True):
        return super().infer(x, y)

    def llvm(self, w, type, x, y, *, checked):
        return w.extremum(self.which, type, x, y, propagate_nan=checked)


@register
class Max(Extremum):
    """The larger of x and y; nan if either is."""

    name = "max"
    which = "max"

    def eval(self, x, y, *, checked):
        return np.maximum(x, y) if checked else np.where(np.greater(x, y), x, y)[()]


@register
class Min(Extremum):
    """The smaller of x and y; nan if either is."""

    name = "min"
    which = "min"

    def eval(self, x, y, *, checked):
        return np.minimum(x, y) if checked else np.where(np.less(x, y), x, y)[()]


@register
class Neg(Unary):
    """-x; integers wrap."""

    name = "neg"

    def eval(self, x):
        return np.negative(x)

    def llvm(self, w, type, x):
        if type.dtype.is_float:
            return w.inst(f"fneg {w.type(type)} {x.text}")
        return w.inst(f"sub {w.type(type)} {w.literal(0, type)}, {x.text}")


@register
class Abs(Unary):
    """|x|; the lowest integer stays."""

    name = "abs"

    def eval(self, x):
        return np.abs(x)

    def llvm(self, w, type, x):
        match type.dtype.kind:
            case "f":
                return w.intrinsic("fabs", type, x)
            case "u":
                return x.text
        return w.call(f"llvm.abs.{w.suffix(type)}", type, [f"{w.type(type)} {x.text}", "i1 false"], [w.type(type), "i1"])


class Intrinsic(Unary):
    """A float function that the processor has, through an LLVM intrinsic."""

    kinds = "f"
    intrinsic: ClassVar[str] = ""

    def llvm(self, w, type, x):
        return w.intrinsic(self.intrinsic, type, x)


class Whole(Intrinsic):
    """A whole number near x."""

    def llvm(self, w, type, x):
        return w.rounded(self.intrinsic, type, x)


@register
class Sqrt(Intrinsic):
    """Square root, correctly rounded; nan below zero."""

    name = "sqrt"
    cycles = 10.0
    intrinsic = "sqrt"

    def eval(self, x):
        return np.sqrt(x)


@register
class Floor(Whole):
    """The largest whole number not above x."""

    name = "floor"
    intrinsic = "floor"

    def eval(self, x):
        return np.floor(x)


@register
class Ceil(Whole):
    """The smallest whole number not below x."""

    name = "ceil"
    intrinsic = "ceil"

    def eval(self, x):
        return np.ceil(x)


@register
class Round(Whole):
    """The nearest whole number, of two the even one."""

    name = "round"
    intrinsic = "roundeven"

    def eval(self, x):
        return np.rint(x)


@register
class Trunc(Whole):
    """x without its fraction."""

    name = "trunc"
    intrinsic = "trunc"

    def eval(self, x):
        return np.trunc(x)


@register
class Copysign(Binary):
    """|x| with the sign of y."""

    name = "copysign"
    kinds = "f"

    def eval(self, x, y):
        return np.copysign(x, y)

    def llvm(self, w, type, x, y):
        return w.intrinsic("copysign", type, x, y)


@register
class Scale(Binary):
    """x 2^y for a whole number y, rounded once; nan if either is. Emitted where the processor has it as an instruction."""

    name = "scale"
    kinds = "f"

    def eval(self, x, y):
        with np.errstate(all="ignore"):
            power = np.where(np.isnan(y), 0, np.clip(y, -4200, 4200)).astype(np.int32)
            return np.where(np.isnan(y), y, np.ldexp(x, power)).astype(x.dtype)[()]

    def llvm(self, w, type, x, y):
        return w.scale(type, x, y)
