"""Passes over kernels: they make loops fast without changing what they compute."""
