"""Random numbers: pure functions of a key and a counter, so that programs stay functions and every element can be made by itself."""

from rlxc.primitives.random import bits, distributions, dropout, threefry  # noqa: F401
