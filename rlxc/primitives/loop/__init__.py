"""The loop level: scalar and vector arithmetic, memory, and loops. Each op knows how it is written in LLVM IR (`llvm`)."""

from rlxc.primitives.loop import arithmetic, bits, clock, compare, control, convert, foreign, lanes, math, memory  # noqa: F401
