"""Executor: who computes. Arrays are computed with by native code; a package may bring operands, and an executor, of its own.

    class Floats(eager.Executor):
        def type_of(self, operand): return rlxc.TensorType("f64")
        def zeros(self, type): return 0.0
        def ones(self, type): return 1.0
        def add(self, x, y): return x + y

Rules see types, never operands: what an operand is, only its executor knows. The tape asks it for the type of an operand, to run primitives (each by its `eval`
rule, unless `apply` says otherwise), for sums, and for the zeros and ones that a backward pass begins with. Operands are never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError, Error, RuleError
from rlxc.ir.attributes import Dense
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.primitive import REGISTRY, Primitive
from rlxc.ir.types import TensorType, dtype_of


class Executor:
    """Runs functions op by op on operands of any sort. Subclasses say what zeros, ones and sums are."""

    def type_of(self, operand: Any) -> Any:
        """The type that rules see: a TensorType, or another whose `dtype` says whether it is `differentiable`."""
        raise NotImplementedError

    def zeros(self, type: Any) -> Any:
        raise NotImplementedError

    def ones(self, type: Any) -> Any:
        raise NotImplementedError

    def add(self, x: Any, y: Any) -> Any:
        raise NotImplementedError

    def accumulate(self, total: Any, x: Any) -> Any:
        """The sum, perhaps in the memory of `total`, which nobody else has."""
        return self.add(total, x)

    def take(self, operand: Any) -> Any:
        """What is kept of an operand that a user gives: itself, where nobody can change it."""
        return operand

    def view(self, operand: Any) -> Any:
        """The same for an operand that is used once, and taken only if it is kept."""
        return operand

    def show(self, operand: Any) -> Any:
        """What a user is given of an operand: what cannot be changed."""
        return operand

    def constant(self, dense: Dense) -> Any:
        """The operand that stands for a constant which a rule has emitted; zeros, unless a subclass knows more."""
        if not dense.array.any():
            return self.zeros(dense.type)
        raise RuleError(f"{type(self).__name__} has no operand for a constant {dense.type}", help="define `constant(self, dense)`")

    def apply(self, primitive: Primitive, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The result of a primitive, or a tuple of several."""
        return primitive.eval(*operands, **attrs)

    # what the tape calls

    def adder(self, type: Any) -> Callable[[Any, Any], Any]:
        """A function that sums two operands of a type."""
        return self.add

    def compile(self, func: Func) -> Callable[..., Any]:
        """A function of operands that gives the result of `func`, or a tuple of several."""
        add, constant = REGISTRY.lookup("add"), REGISTRY.lookup("constant")

        def run(*operands: Any) -> Any:
            env: dict[Value, Any] = dict(zip(func.args, operands, strict=True))
            for op in func.ops:
                xs = [env[v] for v in op.operands]
                if op.prim is add:
                    results = self.add(*xs)
                elif op.prim is constant:
                    results = self.constant(_dense(op))
                else:
                    results = self._applied(op, xs)
                env.update(zip(op.results, results if isinstance(results, tuple) else (results,), strict=True))
            outs = tuple([env[v] for v in func.results])
            return outs[0] if len(outs) == 1 else outs

        return run

    def _applied(self, op: Op, xs: Sequence[Any]) -> Any:
        try:
            results = self.apply(op.prim, xs, dict(op.attrs))
        except Error as error:
            raise error.at(op.loc) from None
        count = len(results) if isinstance(results, tuple) else 1
        if count != len(op.results):
            raise RuleError(f"{op.prim.name}: its eval rule gave {count} results, not {len(op.results)}", loc=op.loc)
        return results


def _dense(op: Op) -> Dense:
    value = op.attrs["value"]
    if isinstance(value, Dense):
        return value
    raise RuleError(f"{op.prim.name}: a constant in a file cannot be read here", loc=op.loc)


class NativeExecutor(Executor):
    """Computes with NumPy arrays, by native code that is compiled once for each function."""

    def __init__(self, compiler: Callable[[Func], Callable[..., Any]]) -> None:
        self._compiler = compiler

    def type_of(self, operand: Any) -> TensorType:
        return TensorType(dtype_of(operand.dtype), operand.shape)

    def take(self, operand: Any) -> np.ndarray:
        array = np.array(operand, order="C", copy=True)
        return array if array.dtype.isnative and type(operand) is np.ndarray else _plain(operand, array)

    def view(self, operand: Any) -> np.ndarray:
        array = np.asarray(operand)
        if not array.flags.carray and not (array.flags.c_contiguous and array.flags.aligned):
            array = np.array(array, order="C")
        return array if array.dtype.isnative and type(operand) is np.ndarray else _plain(operand, array)

    def show(self, operand: np.ndarray) -> np.ndarray:
        """A view that cannot be written to, nor made writable. See Note [Arrays that nodes keep]."""
        operand.flags.writeable = False
        return operand.view()

    def zeros(self, type: Any) -> np.ndarray:
        return np.zeros(type.shape, type.dtype.numpy)

    def ones(self, type: Any) -> np.ndarray:
        return np.ones(type.shape, type.dtype.numpy)

    def accumulate(self, total: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.add(total, x, out=total)

    def compile(self, func: Func) -> Callable[..., Any]:
        return self._compiler(func)

    def adder(self, type: Any) -> Callable[[Any, Any], Any]:
        x, y = Value(type, "x"), Value(type, "y")
        op = Op(REGISTRY.lookup("add"), (x, y), {}, (Value(type),))
        return self._compiler(Func("add", (x, y), (op,), op.results))


def _plain(operand: Any, array: np.ndarray) -> np.ndarray:
    """The array of an operand in the byte order of the machine; a mask would be forgotten."""
    if isinstance(operand, np.ma.MaskedArray):
        raise ArgumentError("a masked array would lose its mask", code="RLX0504", help="fill it first: .filled(0), or multiply by what is not masked")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


# Note [Arrays that nodes keep]
# -----------------------------
# A node keeps arrays that the user sees as well: operands and results. If one of them were written to before the backward pass, the gradient would be
# silently wrong. NumPy's arrays have no versions that could be compared, so they are kept from being written to: an array that is given to
# `tensor` is copied, one that is an operand is copied if a node keeps it, and what a variable shows of its own is a read-only view of a
# read-only array. Writing to it is NumPy's ValueError, at the place of the mistake. An optimizer gives leaves new arrays (`assign`, `x -= ...`).
