"""An epilogue: elementwise ops computed on each element of another op's result, as it is stored.

%0 = contract %x, %y          for %i { for %j {
%1 = add %0, %b                 %0 = ... the sum over k
%2 = max %1, %zero      =>      %1 = add %0, b[i, j]            the contraction calls out.store([i, j], %0),
                                %2 = max %1, 0                  and `out` is an Epilogue
                                store %y, %2, i, j
                              } }
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.ir.core import Value
from rlxc.ir.emitter import Emitter, Index, Memory
from rlxc.passes.lower.readers import Readers


class Epilogue:
    """Stands in for the memory of an op's result. Each of its elements must be stored exactly once, and cannot be read back."""

    def __init__(self, e: Emitter, result: Value, readers: Readers, outputs: Sequence[tuple[Value, Memory]]) -> None:
        self.e = e
        self.type = result.type
        self.result = result
        self.readers = readers
        self.outputs = outputs  # what the region yields, and where it goes

    def store(self, index: Sequence[Index], value: Any) -> None:
        """Take an element of the result: compute what follows from it, then store what is asked for."""
        if not isinstance(value, Value):
            value = self.e.constant(value, dtype=self.type.dtype)
        self.readers.bind(self.result, lambda _: value)
        elements = [self.readers[v](index) for v, _ in self.outputs]
        for (_, memory), element in zip(self.outputs, elements, strict=True):
            memory.store(index, element)
