"""Passes: Module to Module. Importing this package makes all of them known by name."""

from rlxc.passes import cse, dce, gradient, inline, legalize, linearity, linearize, simplify, transpose

__all__ = ["cse", "dce", "gradient", "inline", "legalize", "linearity", "linearize", "simplify", "transpose"]
