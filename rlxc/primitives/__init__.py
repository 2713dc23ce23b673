"""What each op means. Importing this package registers the built-in primitives."""

from rlxc.primitives import constant, control, elementwise, reduce, shape  # noqa: F401
