"""Passes by name, and pipelines of them: `legalize,linearize{wrt=[w1]},transpose,cse,dce`."""

from __future__ import annotations

import inspect
import time
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from rlxc.errors import AttrError, Error, InternalError, PassError
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Func, Module
from rlxc.ir.primitive import coerce
from rlxc.ir.printer import print_module


@dataclass(frozen=True, slots=True)
class Pass:
    """A function from Module to Module with a name, options (its keyword-only arguments), and IR it asks for and leaves."""

    name: str
    run: Callable[..., Module]
    options: dict[str, inspect.Parameter]
    hints: dict[str, Any]

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.run) or "").split("\n", 1)[0]

    def complete(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options checked against the declaration."""
        for key in options:
            if key not in self.options:
                near = get_close_matches(key, self.options, 1)
                known = f"its options are {', '.join(self.options)}" if self.options else "it has none"
                raise PassError(f"pass {self.name} has no option '{key}'", code="RLX0403", help=f"did you mean '{near[0]}'?" if near else known)
        try:
            return {k: coerce(self.hints.get(k, Any), v, f"{self.name}: option '{k}'") for k, v in options.items()}
        except AttrError as error:
            raise PassError(error.message, code="RLX0403") from None


PASSES: dict[str, Pass] = {}


def module_pass(name: str) -> Callable[[Callable[..., Module]], Callable[..., Module]]:
    """Make `Module -> Module` known as a pass; its keyword-only arguments are its options."""

    def declare(run: Callable[..., Module]) -> Callable[..., Module]:
        parameters = inspect.signature(run).parameters.values()
        options = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
        PASSES[name] = Pass(name, run, options, typing.get_type_hints(run))
        return run

    return declare


def func_pass(name: str) -> Callable[[Callable[..., Func]], Callable[..., Module]]:
    """Like `module_pass` for `Func -> Func`, applied to every function at the tensor level."""

    def declare(run: Callable[..., Func]) -> Callable[..., Module]:
        def on_module(module: Module, **options: Any) -> Module:
            return Module(tuple(run(f, **options) if f.kind == "func" else f for f in module.funcs))

        on_module.__doc__ = run.__doc__
        parameters = inspect.signature(run).parameters.values()
        PASSES[name] = Pass(name, on_module, {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}, typing.get_type_hints(run))
        on_module.on_func = run  # type: ignore[attr-defined]
        return on_module

    return declare


def find_pass(name: str) -> Pass:
    """The pass called `name`; raises PassError with the nearest name as help."""
    if name not in PASSES:
        near = get_close_matches(name, PASSES, 1)
        raise PassError(f"there is no pass '{name}'", code="RLX0402", help=f"did you mean '{near[0]}'?" if near else "`rlxc passes` lists them")
    return PASSES[name]


@dataclass
class PassRun:
    """What happened in one pass: for timings and dumps."""

    name: str
    seconds: float
    ops_before: int
    ops_after: int


@dataclass
class Pipeline:
    """Passes with their options, in order; `observe(stage, module, changed)` is called before the first and after each."""

    steps: Sequence[tuple[Pass, dict[str, Any]]]
    verify: Callable[[Module], None] | None = None
    observe: Callable[[str, Module, bool], None] | None = None
    runs: list[PassRun] = field(default_factory=list)

    @without_collection()
    def run(self, module: Module) -> Module:
        """Apply the passes; an unexpected exception becomes an InternalError that names the pass."""
        if self.observe:
            self.observe("input", module, True)
        for step, options in self.steps:
            start = time.perf_counter()
            before = count_ops(module)
            try:
                result = step.run(module, **options)
                if self.verify:
                    self.verify(result)
            except InternalError as error:
                error.reproducer = reproducer(module, step.name, options)  # type: ignore[attr-defined]
                raise
            except Error:
                raise
            except Exception as error:
                internal = InternalError(f"pass {step.name} failed: {type(error).__name__}: {error}")
                internal.reproducer = reproducer(module, step.name, options)  # type: ignore[attr-defined]
                raise internal from error
            self.runs.append(PassRun(step.name, time.perf_counter() - start, before, count_ops(result)))
            if self.observe:
                self.observe(step.name, result, result != module)
            module = result
        return module


def count_ops(module: Module) -> int:
    return sum(len(f.ops) for f in module.funcs)


def reproducer(module: Module, name: str, options: dict[str, Any]) -> str:
    """Text of a file that shows the failure again."""
    spelled = name + ("{" + ", ".join(f"{k}={v!r}" for k, v in options.items()) + "}" if options else "")
    return f"// rlxc opt THIS_FILE -p '{spelled}'\n{print_module(module)}"
