"""Fourier transforms: one primitive along one axis, and composites over axes, norms and real arrays."""

from rlxc.primitives.fft import dft, stages, transforms  # noqa: F401
