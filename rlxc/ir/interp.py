"""The reference interpreter: a fold over `eval`. It defines what a program means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.errors import Error, OutOfMemory, RuleError
from rlxc.ir.attributes import Symbol
from rlxc.ir.core import Func, Module, Op, Value


class Env(dict):
    """What each value is, and where calls are looked up."""

    module: Module | None = None


def interpret(func: Func, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Results of `func` on `arrays` (one for each argument), computed op by op in NumPy.

    Nothing is checked here about the arrays. Functions that it calls are looked up in its module. A kernel writes to its arrays.
    """
    env = Env(zip(func.args, arrays, strict=True))
    env.module = func.module
    with np.errstate(all="ignore"):
        run_ops(func.ops, env)
    return tuple(env[v] for v in func.results)


def run_region(region: Func, arrays: Sequence[Any], env: dict[Value, Any]) -> list[Any]:
    """Results of a region on `arrays`, one for each of its arguments; what it takes from outside is in `env`."""
    env.update(zip(region.args, arrays, strict=True))
    run_ops(region.ops, env)
    return [env[v] for v in region.results]


def run_ops(ops: Sequence[Op], env: dict[Value, Any]) -> None:
    """Evaluate `ops` in order, in and into `env`."""
    for op in ops:
        try:
            results = _run_op(op, env)
        except Error as error:
            raise error.at(op.loc) from None
        except MemoryError as error:
            raise OutOfMemory(f"{op.prim.name}: {error}", loc=op.loc) from None
        if len(op.results) == 1 and not isinstance(results, tuple):
            results = (results,)
        elif not op.results:
            continue
        if len(results) != len(op.results):
            raise RuleError(f"{op.prim.name}: its eval rule gave {len(results)} results, not {len(op.results)}", loc=op.loc)
        env.update(zip(op.results, results, strict=True))


def _run_op(op: Op, env: dict[Value, Any]) -> Any:
    if op.regions:
        return op.prim.eval_regions(env, op)  # type: ignore[attr-defined]
    arrays = [env[v] for v in op.operands]
    callee = op.attrs.get("callee")
    module = getattr(env, "module", None)
    if isinstance(callee, Symbol) and module is not None:
        return interpret(module[callee], arrays)
    try:
        return op.prim.eval(*arrays, **op.attrs)
    except Exception as error:  # of the arithmetic, as like as not: it stays what it is
        error.add_note(f"in the eval rule of {op.prim.name}, {op.loc}")
        raise
