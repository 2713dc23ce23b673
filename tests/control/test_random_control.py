"""Random loops and branches: native code gives what the interpreter gives, however it is compiled; passes keep the meaning, and the text reads back."""

from __future__ import annotations

import numpy as np
import pytest
from random_control import Bodies

import rlxc
from rlxc.ir.core import Module
from rlxc.ir.interp import interpret
from rlxc.ir.verify import verify

SETTINGS = [{}, {"fuse": False}, {"vectorize": False}, {"threads": 2, "share_all": True}]


def agree(got, want):
    for x, y in zip(got, want, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_native_code_and_passes_agree_with_the_interpreter(seed):
    func, arrays = Bodies(seed).program()
    module = Module((func,))
    verify(module)
    assert rlxc.parse(str(module)) == module
    want = interpret(func, arrays)
    simpler = rlxc.run_passes(module, "legalize,simplify,cse,dce,simplify,cse,dce")
    verify(simpler, stage="legal")
    agree(interpret(simpler["f"], arrays), want)
    settings = SETTINGS[seed % len(SETTINGS)]
    agree(rlxc.compile(func, **settings)(*arrays), want)
