"""What each op means. Importing this package registers the built-in primitives."""

from rlxc.primitives import constant, control, elementwise, reduce, shape  # noqa: F401, I001
from rlxc.primitives import contract, conv, matmul  # noqa: F401
