"""Expand: ops replaced by what rules emit for them, and that by what rules emit for it, until nothing is left to be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rlxc.errors import Error, RuleError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Op, Value

Env = dict[Value, Value]
Visit = Callable[[Op, Builder], Sequence[Value] | None]

MAX_DEPTH = 64


def expand(op: Op, env: Env, visit: Visit, what: str) -> None:
    """Call `visit` with `op`, and with each op that it emits into the builder it is given, innermost first, iteratively.

    It returns the values that stand for the results of the op, which `env` is told once their own ops have been visited, or None where it has
    dealt with the op itself. Ops that come of each other more than MAX_DEPTH deep are a RuleError, which blames the rule called `what`.
    """
    pending = [iter((op,))]
    while pending:
        current = next(pending[-1], None)
        if current is None:
            pending.pop()
            continue
        if len(pending) > MAX_DEPTH:
            raise RuleError(f"{op.prim.name}: its {what} rule never comes to an end", loc=op.loc)
        scratch = Builder()
        scratch.loc = op.loc
        try:
            results = visit(current, scratch)
        except Error as error:
            raise error.at(op.loc) from None
        if results is not None:
            pending.append(_then_bind(scratch.ops, current, results, env))


def _then_bind(ops: Sequence[Op], op: Op, results: Sequence[Value], env: Env) -> Iterator[Op]:
    """The ops a rule emitted; when they are used up, the results of `op` become the rule's results."""
    yield from ops
    env.update((old, env.get(new, new)) for old, new in zip(op.results, results, strict=True) if old is not new)


def keep_names(op: Op, results: Sequence[Value], ops: Sequence[Op]) -> None:
    """What `ops` make in place of the results of `op` is called as they were."""
    made = {v for o in ops for v in o.results}
    for old, new in zip(op.results, results, strict=True):
        if new in made and new.name is None:
            new.name = old.name
