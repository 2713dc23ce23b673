"""Passes over kernels: they make loops fast without changing what they compute."""

from rlxc.passes.schedule import block_transposes, chunk_loops, expand_math, form_fma, parallelize, profile, split_fma, split_reductions, vectorize

__all__ = ["block_transposes", "chunk_loops", "expand_math", "form_fma", "parallelize", "profile", "split_fma", "split_reductions", "vectorize"]
