"""Linear algebra: factorizations, what is solved with them, and functions of matrices, over any number of leading axes.

Each op is a class with its derivative, its meaning in NumPy, loops for small matrices and where there is no library, and calls of LAPACK for
large ones (`lapack.py`). What has no result (a matrix that is not positive definite, an iteration that fails) is nan, as far as it is concerned.
"""

from rlxc.primitives.linalg import cholesky, det, eigh, expm, lu, pinv, qr, solve, svd, triangular_solve  # noqa: F401
