"""Shorthand for the tests of derivatives."""

import numpy as np
import pytest

import rlxc
from rlxc.ir.interp import interpret
from rlxc.passes.gradient import prepare
from rlxc.passes.linearize import linearize
from rlxc.passes.transpose import transpose


def function(args, body, result, header=""):
    """`f`, from its arguments, its ops and its results, as text."""
    results = result if result.startswith("->") else f"-> {result}"
    return rlxc.parse(f"{header}\nfunc @f({args}) {results} {{\n{body}\n}}")["f"]


class Derivatives:
    """Evaluation of derivatives by the interpreter, with Python numbers in and out."""

    function = staticmethod(function)

    @staticmethod
    def run(func, *inputs):
        arrays = [np.asarray(x, a.type.dtype.numpy) for x, a in zip(inputs, func.args, strict=True)]
        out = interpret(func, arrays)
        return [np.asarray(x).tolist() for x in out]

    def jvp(self, func, primals, tangents, wrt=()):
        """Tangents of the results."""
        return self.run(rlxc.jvp(func, wrt), *primals, *tangents)[len(func.results) :]

    def vjp(self, func, primals, cotangents, wrt=()):
        """Cotangents of the arguments, by the transposed linear part."""
        primal, linear = linearize(prepare(func), wrt).functions("f")
        residuals = self.run(primal, *primals)[len(func.results) :]
        return self.run(transpose(linear), *residuals, *cotangents)


@pytest.fixture
def ad():
    return Derivatives()
