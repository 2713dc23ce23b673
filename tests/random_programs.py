"""Random well-typed programs over the whole registry, with inputs on which they are tame.

Ops are chosen at random and evaluated as they are put down, so that every operand can be kept inside its op's domain and no result
is huge. A value is *exact* if native code must compute its very bits; only such values reach ops that jump (comparisons, floor, ...),
since elsewhere the last bit of an operand is not defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

import rlxc.primitives  # noqa: F401
from rlxc.errors import Error
from rlxc.ir.attributes import Symbol
from rlxc.ir.builder import Builder, make_op
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.interp import interpret
from rlxc.ir.primitive import REGISTRY, Primitive, lookup
from rlxc.ir.types import BOOL, INTEGERS, DType, TensorType
from rlxc.testing.cases import Case, cases_of, random_array

SHAPES = [(), (3,), (1,), (4,), (17,), (2, 3), (1, 3), (2, 1), (0, 3), (2, 3, 4), (5, 1, 2), (8, 16), (40,)]
LARGEST = 1e3
JUMPS = {"rem", "floor_div", "sort", "argsort", "top_k", "erf_inv", "bitcast", "atan2"}  # continuous in most places, but not in all


@dataclass(eq=False)
class Known:
    """A value and what it is on the inputs."""

    value: Value
    array: np.ndarray
    exact: bool


@dataclass
class Program:
    module: Module
    inputs: list[np.ndarray]
    magnitude: float  # of the largest number that comes up
    names: set[str] = field(default_factory=set)  # of its ops

    @property
    def func(self) -> Func:
        return self.module["f"]

    def __str__(self) -> str:
        return f"{self.module}\n// inputs: {[x.tolist() for x in self.inputs]}"


@cache
def primitives() -> tuple[Primitive, ...]:
    """All ops that are functions of their operands; not of matrices, which may be singular, or nearly so."""
    chosen = [p for p in REGISTRY.all() if p.samples and Symbol not in p.signature.attrs.values() and not hasattr(p, "infer_regions")]
    ours = [p for p in chosen if type(p).__module__.startswith("rlxc.") and not type(p).__module__.startswith("rlxc.primitives.linalg")]
    return tuple(p for p in ours if cases(p))


@cache
def cases(prim: Primitive) -> tuple[Case, ...]:
    return tuple(c for c in cases_of(prim) if c.size <= 600)


@cache
def elementwise_on_floats() -> tuple[Primitive, ...]:
    return tuple(p for p in primitives() if p.elementwise and p.differentiable and "f64" in p.dtypes)


def random_program(seed: int, size: int = 10, floats: Sequence[str] = ("f64",), integers: bool = True) -> Program:
    """A program of about `size` ops, the same for the same arguments; every third one calls a function of its own."""
    rng = np.random.default_rng([seed, size])
    funcs: list[Func] = []
    if seed % 3 == 2:
        helper = _Generator(rng, floats, integers).run("g", max(1, size // 3))
        funcs.append(helper.module.funcs[0])
    main = _Generator(rng, floats, integers)
    if funcs:
        main.helper = funcs[0]
    program = main.run("f", size)
    return Program(Module((*funcs, program.module.funcs[0])), program.inputs, program.magnitude, program.names)


class _Generator:
    def __init__(self, rng: np.random.Generator, floats: Sequence[str], integers: bool) -> None:
        self.rng = rng
        self.floats = [DType(d) for d in floats]
        self.allowed = {*self.floats, BOOL, *(INTEGERS if integers else ())}
        self.b = Builder()
        self.args: list[Value] = []
        self.inputs: list[np.ndarray] = []
        self.known: list[Known] = []
        self.magnitude = 1.0
        self.helper: Func | None = None

    def run(self, name: str, size: int) -> Program:
        tries = 0
        while len(self.b.ops) < size and tries < 20 * size:
            tries += 1
            if self.helper is not None and (tries == 3 or len(self.b.ops) == size - 1):
                self.call()
            else:
                self.step()
        results = self.results()
        func = Func(name, tuple(self.args), tuple(self.b.ops), results)
        return Program(Module((func,)), self.inputs, self.magnitude, {op.prim.name for op in self.b.ops})

    def results(self) -> tuple[Value, ...]:
        """A few values, the last ones most likely; now and then one twice, or an argument."""
        if not self.known:
            self.argument(TensorType(self.floats[0], (3,)), (-2, 2))
        recent = self.known[-4:]
        count = int(self.rng.integers(1, 4))
        chosen = [recent[-1], *(recent[int(self.rng.integers(len(recent)))] for _ in range(count - 1))]
        if self.rng.random() < 0.1:
            chosen.append(self.pick(self.known))
        return tuple(k.value for k in chosen)

    def step(self) -> None:
        """One random op, if operands for it can be found and its results are tame."""
        prim = self.pick(elementwise_on_floats() if self.known and self.rng.random() < 0.4 else primitives())
        mark = len(self.b.ops), len(self.known), len(self.args), self.magnitude
        try:
            done = self.elementwise(prim) if prim.elementwise and self.rng.random() < 0.7 else self.sample(prim)
        except Error:
            done = False
        if not done:
            del self.b.ops[mark[0] :], self.known[mark[1] :], self.args[mark[2] :], self.inputs[mark[2] :]
            self.magnitude = mark[3]

    def elementwise(self, prim: Primitive) -> bool:
        """An elementwise op on operands that broadcast."""
        case = self.likely_case(prim)
        if case.attrs or any(f is not None for f in case.fixed) or not self.takes(case):
            return self.sample(prim)
        near = [k.value.type for k in self.known[-5:] if k.value.type.dtype == case.types[0].dtype]
        whole = self.pick(near).shape if near and self.rng.random() < 0.85 else self.pick(SHAPES)
        types = []
        for t in case.types:
            shape = tuple(1 if self.rng.random() < 0.15 else n for n in whole)
            types.append(t.with_shape(shape[int(self.rng.integers(len(shape) + 1)) :] if self.rng.random() < 0.2 else shape))
        operands = [self.operand(t, case.domain, self.needs_exact(case)) for t in types]
        return self.emit(prim, operands, case.attrs)

    def sample(self, prim: Primitive) -> bool:
        """An op on operands of the types of one of its samples."""
        case = self.likely_case(prim)
        if not self.takes(case):
            return False
        operands = []
        for fixed, t in zip(case.fixed, case.types, strict=True):
            if fixed is not None and not t.dtype.is_float:
                operands.append(self.constant(fixed, t))
            else:
                operands.append(self.operand(t, case.domain, self.needs_exact(case)))
        return self.emit(prim, operands, case.attrs)

    def likely_case(self, prim: Primitive) -> Case:
        """One of the cases, rather one of the dtypes at hand, and rather one that a known value fits."""
        found = [c for c in cases(prim) if self.takes(c)] or list(cases(prim))
        floating = [c for c in found if any(t.dtype.is_float for t in c.types)]
        if floating and self.rng.random() < 0.7:
            found = floating
        types = {k.value.type for k in self.known}
        fitting = [c for c in found if any(t in types for t in c.types)]
        return self.pick(fitting if fitting and self.rng.random() < 0.7 else found)

    def takes(self, case: Case) -> bool:
        return all(t.dtype in self.allowed for t in (*case.types, *case.results))

    def needs_exact(self, case: Case) -> bool:
        from_floats = any(t.dtype.is_float for t in case.types)
        return from_floats and (not case.prim.differentiable or case.prim.name in JUMPS or not all(t.dtype.is_float for t in case.results))

    def operand(self, type: TensorType, domain: tuple[float, float], exact: bool) -> Known:
        """A value of that type, inside the domain: one there is, one made from another, or a new argument."""
        usable = [k for k in self.known if k.value.type == type and (k.exact or not exact)]
        if usable and self.rng.random() < 0.8:
            found = self.pick(usable[-6:])
            if _inside(found.array, domain):
                return found
            if not exact and type.dtype.is_float and type.dtype in ("f32", "f64"):
                return self.squashed(found, domain)
        if not exact and self.rng.random() < 0.4 and (other := self.reshaped(type)) is not None and _inside(other.array, domain):
            return other
        if self.rng.random() < 0.05 and type.size <= 12:
            return self.constant(random_array(self.rng, type, domain), type)
        return self.argument(type, domain)

    def argument(self, type: TensorType, domain: tuple[float, float]) -> Known:
        array = random_array(self.rng, type, domain)
        value = Value(type, f"x{len(self.args)}", param=bool(self.rng.random() < 0.1))
        self.args.append(value)
        self.inputs.append(array)
        self.known.append(Known(value, array, True))
        return self.known[-1]

    def constant(self, array: np.ndarray, type: TensorType) -> Known:
        return Known(self.b.constant(array, type=type), array, True)

    def squashed(self, k: Known, domain: tuple[float, float]) -> Known:
        """low + (high - low) (sin x + 1.5) / 3: well inside the domain, whatever x is."""
        low, high = domain
        scale = (high - low) / 3
        self.emit(lookup("sin"), [k], {})
        self.emit(lookup("mul"), [self.known[-1], self.splat(scale, k)], {})
        self.emit(lookup("add"), [self.known[-1], self.splat(low + 1.5 * scale, k)], {})
        return self.known[-1]

    def splat(self, number: float, like: Known) -> Known:
        value = self.b.constant(number, like=like.value)
        return Known(value, np.full(like.array.shape, number, like.array.dtype), True)

    def reshaped(self, type: TensorType) -> Known | None:
        """A value of the same dtype brought to the type: by a reshape, or summed up and repeated."""
        others = [k for k in self.known if k.value.type.dtype == type.dtype and k.value.type != type and k.array.size]
        if not others or not type.dtype.is_float:
            return None
        k = self.pick(others)
        if k.array.size == type.size:
            return self.known[-1] if self.emit(lookup("reshape"), [k], {"shape": type.shape}) else None
        ok = not k.array.ndim or self.emit(lookup("reduce_sum"), [k], {"axes": tuple(range(k.array.ndim))})
        ok = ok and (
            not type.shape or self.emit(lookup("broadcast"), [self.known[-1] if k.array.ndim else k], {"shape": type.shape, "axes": tuple(range(type.rank))})
        )
        return self.known[-1] if ok and self.known[-1].value.type == type else None

    def emit(self, prim: Primitive, operands: Sequence[Known], attrs: dict[str, Any]) -> bool:
        """Put the op down, unless its results are not tame."""
        if prim.name == "clamp" and not _strictly_between(*(k.array for k in operands)):
            return False  # on its bounds its derivative is zero by convention, which no difference shows
        op = make_op(prim, [k.value for k in operands], attrs)
        with np.errstate(all="ignore"):
            arrays = prim.eval(*[k.array for k in operands], **op.attrs)
        arrays = [np.asarray(a) for a in (arrays if isinstance(arrays, tuple) else (arrays,))]
        for a in arrays:
            if a.dtype.kind not in "iub":
                wide = a.astype(np.float64)
                if not np.isfinite(wide).all() or np.max(np.abs(wide), initial=0.0) > LARGEST:
                    return False
                self.magnitude = max(self.magnitude, float(np.max(np.abs(wide), initial=0.0)))
        if sum(a.size for a in arrays) > 4000 or (prim.name == "std" and not all((a > 1e-3).all() for a in arrays)):
            return False  # a deviation of zero has no derivative
        exact = all(k.exact for k in operands) and (prim.cost.flops == 0 or all(a.dtype.kind in "iub" for a in arrays))
        self.b.insert(op)
        self.known += [Known(v, a, exact) for v, a in zip(op.results, arrays, strict=True)]
        return True

    def call(self) -> None:
        """Call the helper, with values that fit or new arguments."""
        helper = self.helper
        assert helper is not None
        operands = []
        for a in helper.args:
            operands.append(self.argument(a.type, (0.2, 0.9)))  # type: ignore[arg-type]
        arrays = interpret(helper, [k.array for k in operands])
        if not all(np.isfinite(np.asarray(a, np.float64)).all() for a in arrays):
            return
        types = tuple(v.type for v in helper.results)
        op = Op(lookup("call"), tuple(k.value for k in operands), {"callee": Symbol("g"), "type": types}, tuple(Value(t) for t in types))
        self.b.insert(op)
        self.known += [Known(v, np.asarray(x), False) for v, x in zip(op.results, arrays, strict=True)]
        self.magnitude = max(self.magnitude, *(float(np.max(np.abs(np.asarray(a, np.float64)), initial=0.0)) for a in arrays))
        self.helper = None

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]


def _strictly_between(low: np.ndarray, x: np.ndarray, high: np.ndarray) -> bool:
    return bool(np.all(low < high) and np.all(x != low) and np.all(x != high))


def _inside(array: np.ndarray, domain: tuple[float, float]) -> bool:
    if array.dtype.kind in "iub":
        return array.dtype.kind == "b" or bool(np.all((array >= domain[0]) & (array <= domain[1])))
    wide = array.astype(np.float64)
    return bool(np.all((wide >= domain[0]) & (wide <= domain[1])))
