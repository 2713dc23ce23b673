"""Passes over kernels: they make loops fast without changing what they compute."""

from rlxc.passes.schedule import expand_math, form_fma, profile, vectorize

__all__ = ["expand_math", "form_fma", "profile", "vectorize"]
