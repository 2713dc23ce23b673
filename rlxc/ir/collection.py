"""Python's collector of cyclic garbage, kept quiet while IR is made: it would walk all of it, again and again, and find nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """No collection inside the block, or the function that this decorates. It takes a third of the time of large programs."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            _grow_old()
            gc.enable()


def _grow_old() -> None:
    """Put what was made into the oldest generation, without a walk over it, which the next collection of young objects would be."""
    if not gc.get_freeze_count():  # else somebody keeps objects apart, and unfreeze would mix them with the others again
        gc.freeze()
        gc.unfreeze()
