"""Every primitive's native code is right for lower levels of instructions and at every setting of the compiler.

Each primitive is tried at one level here; the laws try it without fusion and vectors, and tests/test_shared_loops.py with all loops shared.
`pytest --all-settings` tries all, and gradients too, which are made of other primitives.
"""

from __future__ import annotations

import contextlib
import warnings
import zlib

import numpy as np
import pytest
from levels import lower_levels
from test_laws import PRIMITIVES

from rlxc.testing.cases import cases_of
from rlxc.testing.laws import Skip, check_native, check_native_gradient

SETTINGS = {
    **{f"cpu={level}": {"cpu": level} for level in lower_levels()},
    "fuse=False": {"fuse": False},
    "vectorize=False": {"vectorize": False},
    "share_all=True": {"share_all": True},
}


@pytest.mark.parametrize("name", [p.name for p in PRIMITIVES])
def test_native_code_is_right(request, name):
    prim = next(p for p in PRIMITIVES if p.name == name)
    cases = [case for case in cases_of(prim) if case.original and case.results]
    thorough = request.config.getoption("--all-settings")
    for setting in SETTINGS if thorough else one_setting(name):
        rng = np.random.default_rng(zlib.crc32(f"{name} {setting}".encode()))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_native(cases, rng, **SETTINGS[setting])
            if not thorough:
                continue
            with contextlib.suppress(Skip):  # nothing to differentiate
                check_native_gradient(cases, rng, **SETTINGS[setting])


def one_setting(name: str) -> list[str]:
    """A lower level, another one for other primitives; where there is none, some other setting."""
    every = [key for key in SETTINGS if key.startswith("cpu=")] or [*SETTINGS]
    return [every[zlib.crc32(name.encode()) % len(every)]]
