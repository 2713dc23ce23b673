"""What each op means. Importing this package registers the built-in primitives."""

from rlxc.primitives import constant, contract, control, elementwise, matmul, reduce, shape  # noqa: F401
