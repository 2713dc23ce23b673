"""Arithmetic on scalars and vectors, with the meaning of the tensor ops of the same names."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rlxc.errors import DTypeError
from rlxc.ir.attributes import Dense
from rlxc.ir.primitive import register
from rlxc.ir.types import DType, VectorType
from rlxc.primitives import numerics
from rlxc.primitives.loop.base import LoopPrimitive, require_same, require_vector


@register
class Constant(LoopPrimitive):
    """One number in every lane."""

    name = "constant"
    inline_attr = "value"
    typed = True

    def infer(self, *, value: Dense, type: VectorType):
        if not isinstance(type, VectorType) or not value.is_splat or value.type.dtype != type.dtype:
            raise DTypeError(f"constant: {value.type} is not one element of {type}")
        return type

    def eval(self, *, value, type):
        return value.array[()] if type.lanes == 1 else np.full(type.lanes, value.array)

    def llvm(self, w, type, *, value):
        return w.literal(value.array[()], type)

    def widen(self, e, lanes, *, value, type):
        return e.apply(self, value=value, type=type.with_lanes(lanes))


class Unary(LoopPrimitive):
    """One operand, result of the same type."""

    kinds: ClassVar[str] = "iuf"

    def infer(self, x):
        require_vector(self.name, x, self.kinds)
        return x


class Binary(LoopPrimitive):
    """Two operands of one type, result of the same type. `instructions` is the LLVM instruction by dtype kind."""

    kinds: ClassVar[str] = "iuf"
    folds: ClassVar[bool] = False
    instructions: ClassVar[dict[str, str]] = {}

    def infer(self, x, y):
        require_vector(self.name, x, self.kinds)
        require_same(self.name, x, y)
        return x

    def fold_kind(self, position):
        return self.name if self.folds else None

    def llvm(self, w, type, x, y):
        return w.inst(f"{self.instructions[type.dtype.kind]} {w.type(type)} {x.text}, {y.text}")


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


class IntegerDivision(Binary):
    """Division that never traps: by zero it gives 0, and the lowest number by -1 wraps."""

    def integer(self, w, type, x, y, quotient: bool):
        """Truncating quotient or remainder."""
        zero = w.literal(0, type)
        t = w.type(type)
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
        signed = "s" if type.dtype.kind == "i" else "u"
        result = w.inst(f"{signed}{'div' if quotient else 'rem'} {t} {x.text}, {safe}")
        return w.inst(f"select {mask} {bad}, {t} {zero}, {t} {result}")


@register
class Div(IntegerDivision):
    """x / y; for integers truncated, 0 where y is 0."""

    name = "div"
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


@register
class Sqrt(Intrinsic):
    """Square root, correctly rounded; nan below zero."""

    name = "sqrt"
    intrinsic = "sqrt"

    def eval(self, x):
        return np.sqrt(x)


@register
class Floor(Intrinsic):
    """The largest whole number not above x."""

    name = "floor"
    intrinsic = "floor"

    def eval(self, x):
        return np.floor(x)


@register
class Ceil(Intrinsic):
    """The smallest whole number not below x."""

    name = "ceil"
    intrinsic = "ceil"

    def eval(self, x):
        return np.ceil(x)


@register
class Round(Intrinsic):
    """The nearest whole number, of two the even one."""

    name = "round"
    intrinsic = "roundeven"

    def eval(self, x):
        return np.rint(x)


@register
class Trunc(Intrinsic):
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


class Bitwise(Binary):
    """On the bits of integers, or on bools."""

    kinds = "biu"
    commutative = True
    folds = True

    def llvm(self, w, type, x, y):
        return w.inst(f"{self.name} {w.type(type)} {x.text}, {y.text}")


@register
class And(Bitwise):
    """Bits set in both."""

    name = "and"

    def eval(self, x, y):
        return np.bitwise_and(x, y)


@register
class Or(Bitwise):
    """Bits set in either."""

    name = "or"

    def eval(self, x, y):
        return np.bitwise_or(x, y)


@register
class Xor(Bitwise):
    """Bits set in one of them."""

    name = "xor"

    def eval(self, x, y):
        return np.bitwise_xor(x, y)


@register
class Not(Unary):
    """Every bit the other way; of a bool, the other one."""

    name = "not"
    kinds = "biu"

    def eval(self, x):
        return np.invert(x)

    def llvm(self, w, type, x):
        return w.inst(f"xor {w.type(type)} {x.text}, {w.literal(True if type.dtype.is_bool else -1, type)}")


class Shift(Binary):
    """By y bits; by as many bits as there are, or more, everything is shifted out. Unchecked, y must be below that."""

    kinds = "iu"
    left: ClassVar[bool] = False

    def infer(self, x, y, *, checked: bool = True):
        return super().infer(x, y)

    def llvm(self, w, type, x, y, *, checked):
        t, bits = w.type(type), type.dtype.bits
        mask = w.vector("i1", type.lanes)
        op = "shl" if self.left else "ashr" if type.dtype.kind == "i" else "lshr"
        if not checked:
            return w.inst(f"{op} {t} {x.text}, {y.text}")
        inside = w.inst(f"icmp ult {t} {y.text}, {w.literal(bits, type)}")
        safe = w.inst(f"select {mask} {inside}, {t} {y.text}, {t} {w.literal(bits - 1, type)}")
        result = w.inst(f"{op} {t} {x.text}, {safe}")
        if op == "ashr":
            return result
        return w.inst(f"select {mask} {inside}, {t} {result}, {t} {w.literal(0, type)}")


@register
class ShiftLeft(Shift):
    """x 2^y."""

    name = "shift_left"
    left = True

    def eval(self, x, y, *, checked):
        return numerics.shift_left(x, y)


@register
class ShiftRight(Shift):
    """Signed numbers keep their sign, unsigned ones are filled with zeros."""

    name = "shift_right"

    def eval(self, x, y, *, checked):
        return numerics.shift_right(x, y)


class Compare(LoopPrimitive):
    """A bool for each lane; with nan, only `ne` is true."""

    predicates: ClassVar[tuple[str, str, str]] = ("", "", "")  # float, signed, unsigned

    def infer(self, x, y):
        require_vector(self.name, x)
        require_same(self.name, x, y)
        return x.with_dtype("bool")

    def llvm(self, w, type, x, y):
        kind = x.type.dtype.kind
        if kind == "f":
            return w.inst(f"fcmp {self.predicates[0]} {w.type(x.type)} {x.text}, {y.text}")
        return w.inst(f"icmp {self.predicates[1 if kind == 'i' else 2]} {w.type(x.type)} {x.text}, {y.text}")


def _compare(op: str, function: Any, predicates: tuple[str, str, str], says: str) -> type[Compare]:
    rules = {"name": op, "predicates": predicates, "__doc__": says, "eval": lambda self, x, y: function(x, y)}
    return register(type(op.capitalize(), (Compare,), rules))


_compare("eq", np.equal, ("oeq", "eq", "eq"), "x equals y.")
_compare("ne", np.not_equal, ("une", "ne", "ne"), "x differs from y.")
_compare("lt", np.less, ("olt", "slt", "ult"), "x is below y.")
_compare("le", np.less_equal, ("ole", "sle", "ule"), "x is not above y.")
_compare("gt", np.greater, ("ogt", "sgt", "ugt"), "x is above y.")
_compare("ge", np.greater_equal, ("oge", "sge", "uge"), "x is not below y.")


@register
class Select(LoopPrimitive):
    """x where the condition holds, else y; the condition is a bool for each lane, or one for all."""

    name = "select"

    def infer(self, condition, x, y):
        require_vector(self.name, condition, "b")
        require_vector(self.name, x)
        require_same(self.name, x, y)
        if condition.lanes not in (1, x.lanes):
            raise DTypeError(f"select: {condition} does not fit {x}")
        return x

    def eval(self, condition, x, y):
        return np.where(condition, x, y).astype(x.dtype)[()]

    def llvm(self, w, type, condition, x, y):
        t = w.type(type)
        return w.inst(f"select {w.type(condition.type)} {condition.text}, {t} {x.text}, {t} {y.text}")


@register
class Convert(LoopPrimitive):
    """Another dtype: to floats rounded to nearest; from floats to integers truncated and saturated, nan gives 0; to bool, whether not zero."""

    name = "convert"

    def infer(self, x, *, dtype: DType, checked: bool = True):
        require_vector(self.name, x)
        return x.with_dtype(dtype)

    def eval(self, x, *, dtype, checked):
        return numerics.convert(x, dtype)

    def llvm(self, w, type, x, *, dtype, checked):
        return w.convert(x, type, checked=checked)


@register
class Bitcast(LoopPrimitive):
    """The same bits as another dtype of the same width."""

    name = "bitcast"

    def infer(self, x, *, dtype: DType):
        require_vector(self.name, x)
        if x.dtype.bits != dtype.bits or x.dtype.is_bool != dtype.is_bool:
            raise DTypeError(f"bitcast: {x.dtype} and {dtype} differ in width")
        return x.with_dtype(dtype)

    def eval(self, x, *, dtype):
        return np.asarray(x).view(dtype.numpy)[()]

    def llvm(self, w, type, x, *, dtype):
        if w.type(type) == w.type(x.type):
            return x.text
        return w.inst(f"bitcast {w.type(x.type)} {x.text} to {w.type(type)}")


@register
class Splat(LoopPrimitive):
    """A scalar in every lane."""

    name = "splat"

    def infer(self, x, *, lanes: int):
        require_vector(self.name, x)
        if x.lanes != 1 or not 2 <= lanes <= 1024:
            raise DTypeError(f"splat: {x} to {lanes} lanes")
        return x.with_lanes(lanes)

    def eval(self, x, *, lanes):
        return np.full(lanes, x)

    def llvm(self, w, type, x, *, lanes):
        return w.broadcast(x, lanes)


@register
class LaneIndex(LoopPrimitive):
    """0, 1, 2, ... by lane."""

    name = "lane_index"
    typed = True

    def infer(self, *, type: VectorType):
        require_vector(self.name, type, "iu")
        return type

    def eval(self, *, type):
        return np.arange(type.lanes).astype(type.dtype.numpy)

    def llvm(self, w, type):
        return w.lane_numbers(type)


@register
class FoldLanes(LoopPrimitive):
    """All lanes combined into one scalar: upper half with lower half until one is left, so that the order is fixed."""

    name = "fold_lanes"

    def infer(self, x, *, kind: str):
        require_vector(self.name, x)
        if kind not in ("add", "mul", "max", "min", "and", "or", "xor"):
            raise DTypeError(f"fold_lanes: there is no kind '{kind}'")
        if x.lanes & (x.lanes - 1):
            raise DTypeError(f"fold_lanes: {x.lanes} lanes are not a power of two")
        return x.with_lanes(1)

    def eval(self, x, *, kind):
        combine = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}.get(kind)
        combine = combine or {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}[kind]
        x = np.atleast_1d(x)
        while len(x) > 1:
            x = combine(x[: len(x) // 2], x[len(x) // 2 :])
        return x[0]

    def llvm(self, w, type, x, *, kind):
        return w.fold_lanes(x, kind)


@register
class AnyLane(LoopPrimitive):
    """Whether the condition holds in some lane."""

    name = "any_lane"

    def infer(self, x):
        require_vector(self.name, x, "b")
        return x.with_lanes(1)

    def eval(self, x):
        return np.any(x)

    def llvm(self, w, type, x):
        if x.type.lanes == 1:
            return x.text
        t = w.type(x.type)
        return w.call(f"llvm.vector.reduce.or.v{x.type.lanes}i1", type, [f"{t} {x.text}"], [t])
