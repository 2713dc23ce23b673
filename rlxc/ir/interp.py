"""The reference interpreter: a fold over `eval`. It defines what a program means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.errors import Error, OutOfMemory, RuleError
from rlxc.ir.attributes import Symbol
from rlxc.ir.core import Func, Op, Value


def interpret(func: Func, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Results of `func` on `arrays` (one for each argument), computed op by op in NumPy.

    Nothing is checked here about the arrays. Functions that it calls are looked up in its module. A kernel writes to its arrays.
    """
    env: dict[Value, Any] = dict(zip(func.args, arrays, strict=True))
    with np.errstate(all="ignore"):
        for op in func.ops:
            callee = op.attrs.get("callee")
            if isinstance(callee, Symbol) and func.module is not None:
                results = interpret(func.module[callee], [env[v] for v in op.operands])
                env.update(zip(op.results, results, strict=True))
            else:
                run_ops((op,), env)
    return tuple(env[v] for v in func.results)


def run_ops(ops: Sequence[Op], env: dict[Value, Any]) -> None:
    """Evaluate `ops` in order, in and into `env`."""
    for op in ops:
        try:
            if op.regions:
                results = op.prim.eval_regions(env, op)  # type: ignore[attr-defined]
            else:
                results = op.prim.eval(*[env[v] for v in op.operands], **op.attrs)
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
