"""`--remarks`: what passes decided, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rlxc.ir.remarks import Remark


def show_remarks(remarks: Iterable[Remark]) -> None:
    """A line each; what was said of one place several times is shown once."""
    for line in dict.fromkeys(map(str, remarks)):
        print(line, file=sys.stderr)
