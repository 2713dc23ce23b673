"""How precise contractions of f32 have to be: what a program asks for, and what it gets on a processor.

`highest` is f32 as it is. The others allow products of bf16 numbers, each f32 being the sum of one (`bf16`), two (`bf16x3`: three products)
or three of them (`bf16x6`), which pays where a processor multiplies tiles of bf16. It is a permission: where there is nothing faster, f32 is what is computed.
"""

from __future__ import annotations

from difflib import get_close_matches

from rlxc.errors import PassError
from rlxc.ir.remarks import remark
from rlxc.runtime.cpu import Cpu

PRECISIONS = ("highest", "bf16x6", "bf16x3", "bf16")


def check_precision(precision: object) -> None:
    """Raise PassError unless there is a precision of that name."""
    if isinstance(precision, str) and precision in PRECISIONS:
        return
    near = get_close_matches(precision, PRECISIONS, 1) if isinstance(precision, str) else []
    help = f"did you mean '{near[0]}'?" if near else f"there is {', '.join(PRECISIONS)}"
    raise PassError(f"there is no precision {precision!r}", code="RLX0403", help=help)


def remark_precision(precision: str, cpu: Cpu) -> None:
    """Say what is computed where less than f32 was allowed."""
    if precision != "highest":
        why = "their code is not written for AMX yet" if cpu.has_amx else "the processor has no AMX"
        remark("precision", f"contractions are computed in f32, as with 'highest', although {precision} is allowed: {why}")
