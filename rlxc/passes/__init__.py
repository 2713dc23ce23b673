"""Passes: Module to Module. Importing this package makes all of them known by name."""

from rlxc.passes import (
    bind,
    blocks,
    cse,
    dce,
    fuse,
    gradient,
    inline,
    legalize,
    linearity,
    linearize,
    lower,
    memory,
    planes,
    schedule,
    simplify,
    transpose,
)

__all__ = [
    "bind",
    "blocks",
    "cse",
    "dce",
    "fuse",
    "gradient",
    "inline",
    "legalize",
    "linearity",
    "linearize",
    "lower",
    "memory",
    "planes",
    "schedule",
    "simplify",
    "transpose",
]
