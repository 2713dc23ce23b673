"""The laws of primitives, for built-in ones and for those of other packages.

    rlxc.testing.check_primitive("cube")

tries every law on the primitive's samples, in every dtype that it takes, and raises `LawBroken` on the first that does not hold.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from rlxc.errors import Error
from rlxc.ir.primitive import REGISTRY, Primitive, lookup, read_signature
from rlxc.passes.gradient import prepare
from rlxc.testing.cases import Case, cases_of
from rlxc.testing.laws import LAWS, NATIVE_LAWS, Broken, Law, NativeLaw, Skip

__all__ = ["LawBroken", "Report", "check_primitive"]

_FAMILIES = ("rlxc.ir.primitive", "rlxc.primitives.families")


class LawBroken(AssertionError):
    """A primitive breaks a law; the message names the op, the rule, the law, and the sample."""


@dataclass
class Report:
    """Which laws were tried, on how many cases, and which said nothing, with the reasons."""

    name: str
    checked: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, set[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.checked)} laws hold"]
        lines += [f"  {count:4d} cases  {law}" for law, count in self.checked.items()]
        lines += [f"  not tried   {law}: {', '.join(sorted(why))}" for law, why in self.skipped.items() if law not in self.checked]
        return "\n".join(lines)


def check_primitive(primitive: str | type[Primitive] | Primitive, *, native: bool = True, every_dtype: bool = True) -> Report:
    """Try every law on a primitive, given by name, class or instance. Raises LawBroken on the first that does not hold.

    Without `native`, nothing is compiled. Without `every_dtype`, dtypes that are much alike are tried on one or two samples each.
    """
    with _known(primitive) as prim:
        if not prim.samples:
            raise LawBroken(f'{prim.name}: it has no samples for the laws to try: write `samples = ("f64[3]",)` in its class')
        try:
            cases = cases_of(prim, every_dtype=every_dtype)
        except Error as error:
            raise LawBroken(f"{prim.name}: infer: a sample is refused: {error}") from error
        report = Report(prim.name)
        for law in LAWS:
            for case in cases:
                if case.original or not law.derivative:
                    _try(law, lambda rng, law=law, case=case: law.check(case, rng), case, report)  # type: ignore[misc]
        for native_law in NATIVE_LAWS:
            if not native:
                report.skipped.setdefault(native_law.name, set()).add("native = False")
                continue
            chosen = [case for case in cases if case.original or not native_law.derivative]
            _try(native_law, lambda rng, law=native_law, chosen=chosen: law.check(chosen, rng), None, report)  # type: ignore[misc]
        _no_rule_is_idle(prim, cases)
        return report


def _no_rule_is_idle(prim: Primitive, cases: Sequence[Case]) -> None:
    """A rule that nobody asks is held to no law; so a class does not state it beside a legal form that never leaves the op standing."""
    own = {rule for c in type(prim).__mro__ if c.__module__ not in _FAMILIES for rule in ("jvp", "transpose", "batch") if rule in vars(c)}
    alone = not any(case.program for case in cases)
    if own and alone and not any(op.prim is prim for case in cases for op in prepare(case.func).walk()):
        detail = "no sample asks it: the legal form is made of other ops, whose rules are asked; leave it out"
        raise LawBroken(_message(prim.name, None, min(own), "every rule is asked", detail))


def _try(law: Law | NativeLaw, check: Callable[[np.random.Generator], None], case: Case | None, report: Report) -> None:
    rng = np.random.default_rng(zlib.crc32(f"{law.name} {report.name} {case}".encode()))
    try:
        check(rng)
    except Skip as reason:
        report.skipped.setdefault(law.name, set()).add(str(reason))
        return
    except Broken as broken:
        raise LawBroken(_message(report.name, case, broken.rule, law.name, broken.detail)) from broken
    except Exception as error:
        kind = "" if isinstance(error, Error) else f"{type(error).__name__}: "
        raise LawBroken(_message(report.name, case, law.rule, law.name, f"{kind}{error}")) from error
    report.checked[law.name] = report.checked.get(law.name, 0) + 1


def _message(name: str, case: Case | None, rule: str, law: str, detail: str) -> str:
    sample = f"\n  sample: {case}" if case else ""
    return f"{name}: its {rule} rule breaks the law '{law}'\n  {detail}{sample}"


@contextmanager
def _known(primitive: str | type[Primitive] | Primitive) -> Iterator[Primitive]:
    """The primitive, in the registry for as long as it is tried."""
    if isinstance(primitive, str):
        yield lookup(primitive)
        return
    prim = primitive() if isinstance(primitive, type) else primitive
    level = REGISTRY.levels[prim.level]
    before = level.get(prim.name)
    if type(before) is type(prim):
        yield before  # type: ignore[misc]
        return
    prim.signature = read_signature(prim)
    level[prim.name] = prim
    try:
        yield prim
    finally:
        if before is None:
            del level[prim.name]
        else:
            level[prim.name] = before
