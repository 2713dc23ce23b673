"""Is this module well formed? Asked after parsing, between passes, and of modules built by hand; stricter stage by stage.

any      values defined before use and once, attributes and types as the rules say, calls resolved, no recursion
legal    also: every op in its legal form (no composites, no implicit broadcasting, no arithmetic on narrow floats)
loops    also: kernels only
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rlxc.errors import Error, Label, Report, RuleError, UnknownName, VerifyError
from rlxc.ir.attributes import Symbol, attrs_key
from rlxc.ir.builder import Builder
from rlxc.ir.calls import call_types, callee_of, find_recursion
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.names import did_you_mean, symbol_text, value_text
from rlxc.ir.types import TensorType

STAGES = ("any", "legal", "loops")
_LEVELS = {"func": "tensor", "kernel": "loop"}


def verify(module: Module, stage: str = "any", *, static: bool = False) -> None:
    """Raise an Error with a diagnostic for everything that is wrong (at most 20); `static` refuses named dimensions."""
    assert stage in STAGES, stage
    report = Report()
    seen: dict[str, Func] = {}
    for func in module.funcs:
        if func.name in seen:
            first = Label(seen[func.name].loc, "the first one is here")
            report.add(UnknownName(f"there are two functions {symbol_text(func.name)}", code="RLX0107", loc=func.loc, labels=(first,)))
        seen[func.name] = func
    for func in module.funcs:
        if report.is_full:
            break
        _FuncVerifier(func, seen, stage, static, report).run()
    if not report.errors:
        for op, path in find_recursion(module.funcs):
            report.add(recursion(op, path))
    report.raise_if_any()


def verify_func(func: Func, stage: str = "any", *, static: bool = False) -> None:
    """Like `verify`, for one function; calls are looked up in its module."""
    report = Report()
    known = {f.name: f for f in func.module.funcs} if func.module else {func.name: func}
    _FuncVerifier(func, known, stage, static, report).run()
    report.raise_if_any()


def recursion(op: Op, path: Sequence[str]) -> Error:
    """The error for functions that call each other in a circle; `op` closes it."""
    chain = " calls ".join(symbol_text(name) for name in path[:6])
    return VerifyError(f"recursion: {chain}", code="RLX0217", loc=op.loc, help="a function cannot call itself; write a loop with `scan` or `while`")


class _FuncVerifier:
    """One function: a walk over its ops, regions included, with a set of the values in sight."""

    def __init__(self, func: Func, funcs: dict[str, Func], stage: str, static: bool, report: Report) -> None:
        self.func = func
        self.funcs = funcs
        self.stage = stage
        self.static = static
        self.report = report
        self.visible: set[Value] = set()
        self.defined: set[Value] = set()
        self.level = _LEVELS.get(func.kind, "tensor")

    def run(self) -> None:
        if self.func.kind not in _LEVELS:
            self.fail(VerifyError(f"{symbol_text(self.func.name)} is a {self.func.kind}, neither a func nor a kernel", code="RLX0210"))
            return
        if self.stage == "loops" and self.func.kind != "kernel":
            self.fail(VerifyError(f"{symbol_text(self.func.name)} is a func; only kernels may be left here", code="RLX0223", help="run the pass `lower`"))
            return
        self.arguments()
        self.body()
        for value in self.func.results:
            self.use(value, None)

    def arguments(self) -> None:
        names: dict[str, Value] = {}
        for a in self.func.args:
            self.define(a, None)
            if self.level == "tensor" and a.name is not None and a.name in names:
                first = Label(names[a.name].loc, "the first one is here")
                message = f"two arguments of {symbol_text(self.func.name)} are called {value_text(a.name)}"
                self.fail(UnknownName(message, code="RLX0106", loc=a.loc, labels=(first,)))
            names[a.name or ""] = a
            if self.level == "tensor" and not isinstance(a.type, TensorType):
                self.fail(VerifyError(f"an argument of a func is a tensor, not {a.type}", code="RLX0210", loc=a.loc))

    def body(self) -> None:
        """Every op, inner ones after the op that holds their region; `None` on the stack ends a region."""
        stack: list[Iterator[Op] | Func] = [iter(self.func.ops)]
        while stack and not self.report.is_full:
            top = stack[-1]
            if isinstance(top, Func):
                self.leave(top)
                stack.pop()
                continue
            op = next(top, None)
            if op is None:
                stack.pop()
                continue
            for v in op.operands:
                self.use(v, op)
            self.check(op)
            for v in op.results:
                self.define(v, op)
            for region in op.regions:
                for a in region.args:
                    self.define(a, op)
                stack.append(region)
                stack.append(iter(region.ops))

    def leave(self, region: Func) -> None:
        """The end of a region: what it yields must be in sight, and what it defines is not any more."""
        for v in region.results:
            self.use(v, None)
        self.visible.difference_update(region.args)
        for op in region.ops:
            self.visible.difference_update(op.results)

    def use(self, value: Value, op: Op | None) -> None:
        if value not in self.visible:
            where = f"{op.prim.name} uses" if op is not None else f"{symbol_text(self.func.name)} returns or yields"
            labels = (Label(value.loc, "it comes from here"),) if value.loc.line else ()
            message = f"{where} {value_text(value.name or '?')}, which is not defined before"
            self.fail(UnknownName(message, code="RLX0105", labels=labels), op)

    def define(self, value: Value, op: Op | None) -> None:
        if value in self.defined:
            self.fail(UnknownName(f"{value_text(value.name or '?')} is defined twice", code="RLX0106", loc=value.loc), op)
        self.visible.add(value)
        self.defined.add(value)

    def check(self, op: Op) -> None:
        """The op's own rules: level, operands, attributes, result types, and what the stage asks."""
        prim = op.prim
        try:
            if prim.level != self.level:
                raise UnknownName(f"{prim.name} is an op of the {prim.level} level, in a {self.func.kind}", code="RLX0109")
            prim.signature.check_count(prim.name, len(op.operands))
            if op.attrs or prim.signature.attrs:
                self.attributes(op)
            self.result_types(op)
            if self.stage != "any":
                self.legal(op)
        except Error as error:
            self.fail(error, op)

    def attributes(self, op: Op) -> None:
        complete = op.prim.signature.complete(op.prim.name, dict(op.attrs))
        if attrs_key(complete) != attrs_key(op.attrs):
            raise VerifyError(f"{op.prim.name} has attributes that are left out or in another form", code="RLX0224")
        for value in op.attrs.values():
            if isinstance(value, Symbol) and value not in self.funcs:
                raise UnknownName(f"there is no function {symbol_text(value)}", code="RLX0103", help=did_you_mean(value, self.funcs, "@"))

    def result_types(self, op: Op) -> None:
        types = [v.type for v in op.operands]
        callee = callee_of(op)
        if callee is not None:
            target = self.funcs[callee]
            if target.kind != self.func.kind:
                raise UnknownName(f"{symbol_text(callee)} is a {target.kind}, called from a {self.func.kind}", code="RLX0109")
            inferred = call_types(callee, [a.type for a in target.args], [v.type for v in target.results], types)
        elif hasattr(op.prim, "infer_regions"):
            inferred = self.region_types(op, types)
        elif op.regions:
            raise VerifyError(f"{op.prim.name} takes no regions", code="RLX0220")
        else:
            inferred = op.prim.infer_types(types, op.attrs)  # type: ignore[arg-type]
        if len(inferred) != len(op.results):
            raise VerifyError(f"{op.prim.name} gives {len(inferred)} results, not {len(op.results)}", code="RLX0214")
        for given, value in zip(inferred, op.results, strict=True):
            if given != value.type:
                raise VerifyError(f"{op.prim.name} gives {given}, not {value.type}", code="RLX0212")

    def region_types(self, op: Op, types: list[Any]) -> tuple[Any, ...]:
        if not op.regions:
            raise VerifyError(f"{op.prim.name} needs a region", code="RLX0220")
        try:
            return tuple(op.prim.infer_regions(types, op.regions, op.attrs))  # type: ignore[attr-defined]
        except Error:
            raise
        except Exception as error:
            raise RuleError(f"{op.prim.name}: its infer_regions rule failed: {type(error).__name__}: {error}") from error

    def legal(self, op: Op) -> None:
        if self.static:
            for v in op.results:
                if isinstance(v.type, TensorType):
                    v.type.require_static()
        if self.level != "tensor":
            return
        if op.regions:
            legal = op.prim.legalize_regions(Builder(), op.operands, op.regions, **op.attrs)
        else:
            legal = op.prim.legalize(Builder(), *op.operands, **op.attrs)
        if legal is not None:
            raise VerifyError(f"{op.prim.name} is not in its legal form: {_why(op)}", code="RLX0222", help="run the pass `legalize`")

    def fail(self, error: Error, op: Op | None = None) -> None:
        """Report, at the op, or at the function for want of a better place."""
        loc = op.loc if op is not None and op.loc.line else self.func.loc
        self.report.add(error.at(loc))


def _why(op: Op) -> str:
    if op.prim.composite:
        return "it stands for simpler ops"
    tensors = [v.type for v in (*op.operands, *op.results) if isinstance(v.type, TensorType)]
    if op.prim.elementwise and len({t.shape for t in tensors}) > 1:
        return f"it broadcasts {' and '.join(str(t) for t in tensors[: len(op.operands)])}"
    if any(t.dtype.is_narrow for t in tensors):
        return "it computes in a narrow float"
    return "it has to be rewritten"
