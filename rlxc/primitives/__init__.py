"""What each op means. Importing this package registers the built-in primitives."""

from rlxc.primitives import (  # noqa: F401
    arithmetic,
    compare,
    constant,
    contract,
    control,
    convert,
    exponential,
    hyperbolic,
    logical,
    matmul,
    powers,
    reduce,
    rounding,
    selection,
    shape,
    trigonometric,
)
