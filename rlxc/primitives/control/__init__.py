"""Control: which ops run, and how often. Bodies are regions that take all they need as arguments."""

from rlxc.primitives.control import call, cond, map, scan, while_loop  # noqa: F401
