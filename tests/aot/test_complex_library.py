"""Complex numbers in libraries: pairs in the header, which are C99's and C++'s complex numbers."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

import rlxc
from rlxc.cli import main

needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")

PROGRAM = """
func @spectrum(%z: c128[8], %g: c64[]) -> (c128[8], c64[]) {
  %y = fft %z
  %h = exp %g
  return %y, %h
}
"""
MAIN = """
#include <complex.h>
#include <stdio.h>
#include "m.h"
static char workspace[M_SPECTRUM_WORKSPACE_SIZE + 1];
int main(void) {
  double complex z[8], y[8];
  float complex g = 0.5f + 1.0f * I, h;
  for (int i = 0; i < 8; i++) z[i] = i - 0.5 * i * i * I;
  int code = m_spectrum((const double *)z, (const float *)&g, (double *)y, (float *)&h, workspace);
  for (int i = 0; i < 8; i++) printf("%.17g %.17g ", creal(y[i]), cimag(y[i]));
  printf("%.9g %.9g\\n", crealf(h), cimagf(h));
  return code;
}
"""


@needs_compiler
def test_c_programs_pass_complex_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.rlx").write_text(PROGRAM)
    (tmp_path / "main.c").write_text(MAIN)
    assert main(["build", "m.rlx", "--emit", "so,header"]) == 0
    assert "z: c128[8] as pairs of double, (re, im)" in (tmp_path / "m.h").read_text()
    subprocess.run(["cc", "main.c", "./libm.so", "-o", "main", "-Wl,-rpath,."], check=True)
    printed = np.array(subprocess.run(["./main"], check=True, capture_output=True, text=True).stdout.split(), float).view(complex)
    z, g = np.arange(8) - 0.5j * np.arange(8) ** 2, np.complex64(0.5 + 1j)
    np.testing.assert_allclose(printed[:8], np.fft.fft(z), rtol=1e-14, atol=1e-13)
    np.testing.assert_allclose(printed[8], np.exp(g), rtol=1e-6)
    y, h = rlxc.load_library("./libm.so")["spectrum"](z, g)
    assert (y.dtype, h.dtype) == (np.complex128, np.complex64)
    np.testing.assert_array_equal(y, printed[:8])
