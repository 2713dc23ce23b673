"""fft, ifft, rfft, irfft: over one axis or several, with NumPy's norms."""
