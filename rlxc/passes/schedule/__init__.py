"""Passes over kernels: they make loops fast without changing what they compute."""

from rlxc.passes.schedule import block_transposes, expand_math, form_fma, profile, vectorize

__all__ = ["block_transposes", "expand_math", "form_fma", "profile", "vectorize"]
