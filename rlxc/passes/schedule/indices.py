"""Indices as affine forms: 8 i + j + 3, where i and j are counters of loops, or index values of which nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlxc.ir.core import Func, Op, Value
from rlxc.ir.types import INDEX
from rlxc.passes.schedule.rewrite import is_for, rules


@dataclass(frozen=True, slots=True)
class Form:
    """`constant` plus the sum of coefficient times value; no coefficient is 0."""

    constant: int
    terms: dict[Value, int]

    def of(self, v: Value) -> int:
        """The coefficient of a value."""
        return self.terms.get(v, 0)

    def plus(self, other: Form, factor: int = 1) -> Form:
        """This form, and `factor` times another."""
        terms = dict(self.terms)
        for v, c in other.terms.items():
            terms[v] = terms.get(v, 0) + c * factor
        return Form(self.constant + other.constant * factor, {v: c for v, c in terms.items() if c})


class Indices:
    """The forms of all index values of a kernel, and the first and last value of each counter."""

    def __init__(self, func: Func) -> None:
        self.forms: dict[Value, Form] = {}
        self.range: dict[Value, tuple[int, int]] = {}
        for op in func.walk():
            if is_for(op):
                start, stop, step = (op.attrs[k] for k in ("start", "stop", "step"))
                counter = op.regions[0].args[0]
                self.range[counter] = (start, max(start, start + (stop - 1 - start) // step * step))
            elif len(op.results) == 1 and op.result.type == INDEX and not op.regions:
                form = self._result(op)
                if form is not None:
                    self.forms[op.result] = form

    def __getitem__(self, v: Value) -> Form:
        return self.forms.get(v) or Form(0, {v: 1})

    def span(self, form: Form, values: Sequence[Value] | dict | set) -> tuple[int, int] | None:
        """The least and largest value of what `form` says of `values`; None where that is not known."""
        low = high = 0
        for v, c in form.terms.items():
            if v in values:
                if v not in self.range:
                    return None
                ends = sorted(c * end for end in self.range[v])
                low, high = low + ends[0], high + ends[1]
        return low, high

    def _result(self, op: Op) -> Form | None:
        number = op.attrs.get("value")
        if not op.operands:
            return None if number is None else Form(int(number.array), {})
        if any(v.type != INDEX for v in op.operands):
            return None
        forms = [self[v] for v in op.operands]
        known = [None if f.terms else f.constant for f in forms]
        terms = {}
        for v in {v: None for f in forms for v in f.terms}:
            step = rules(op).affine([f.of(v) for f in forms], known)
            if step is None:
                return None
            if step:
                terms[v] = step
        return Form(int(rules(op).eval(*[INDEX.dtype.numpy.type(f.constant) for f in forms], **op.attrs)), terms)
