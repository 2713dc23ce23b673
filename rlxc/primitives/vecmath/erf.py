"""erf, erfc and erf_inv.

erf: x + x p(x^2) for small |x|; beyond, 1 - 2^-p(|x|) with a polynomial for -log2(erfc), whose errors shrink with erfc.
erfc: e^(-x^2) / (1 + 2x) p(t) with t = (x - c) / (x + c), which maps [0, inf) to [-1, 1) (Shepherd and Laframboise);
    x^2 is a double word; erfc(-x) = 2 - erfc(x).
erf_inv: x p(w) with w = -log(1 - x^2), and polynomials in sqrt(w) for the tails (after Giles).
"""

from __future__ import annotations

from rlxc.primitives.vecmath.coefficients import ERF, ERF_INV, ERF_INV_MIDDLE, ERF_INV_TAIL, ERF_TAIL, ERFC
from rlxc.primitives.vecmath.double import divide, quick_two_sum, two_product
from rlxc.primitives.vecmath.exp import exp2_reduced, exp_of_sum
from rlxc.primitives.vecmath.floats import INF, NAN, at_most, power_of_two, scale
from rlxc.primitives.vecmath.log import log1p_of_sum
from rlxc.primitives.vecmath.polynomial import polynomial


def erf(e, x):
    """Bound: 1 ulp (f64: 1.25)."""
    dtype = x.type.dtype
    a = e.abs(x)
    near = _erf_near(e, x)
    switch, one_from = {"f32": (0.94, 4.0), "f64": (1.0, 6.0)}[dtype]
    p = polynomial(e, e.sub(at_most(e, a, one_from), 1.0), ERF_TAIL[dtype])
    y, t = exp2_reduced(e, e.neg(p))
    far = e.fma(e.neg(y), power_of_two(e, t), 1.0)
    return e.select(e.lt(a, switch), near, e.copysign(far, x))


def erfc(e, x):
    """Bound: 2.5 ulp, down to denormal results."""
    dtype = x.type.dtype
    highest, middle = {"f32": (10.5, 2.0), "f64": (28.0, 4.0)}[dtype]
    a = at_most(e, e.abs(x), highest)
    p = polynomial(e, e.div(e.sub(a, middle), e.add(a, middle)), ERFC[dtype])
    square, square_low = two_product(e, a, a)
    y, t = exp_of_sum(e, e.neg(square), e.neg(square_low))
    product, product_low = two_product(e, y, p)
    y = scale(e, divide(e, product, product_low, *quick_two_sum(e, e.add(a, a), e.constant(1.0, like=x))), t)
    y = e.select(e.lt(x, 0.0), e.sub(2.0, y), y)
    return e.select(e.lt(a, 0.5), e.sub(1.0, _erf_near(e, x)), y)


def erf_inv(e, x):
    """Inverse of erf on (-1, 1); +-inf at +-1, NaN beyond. Bound: 3 ulp."""
    dtype = x.type.dtype
    square, square_low = two_product(e, x, x)
    w = e.neg(log1p_of_sum(e, e.neg(square), e.neg(square_low)))
    root = e.sqrt(w)
    if dtype == "f32":
        p = polynomial(e, e.sub(w, 2.5), ERF_INV[dtype])
        p = e.select(e.gt(w, 5.0), polynomial(e, e.sub(root, 3.0), ERF_INV_TAIL[dtype]), p)
    else:
        p = polynomial(e, e.sub(w, 3.125), ERF_INV[dtype])
        p = e.select(e.gt(w, 6.25), polynomial(e, e.sub(root, 3.25), ERF_INV_MIDDLE[dtype]), p)
        p = e.select(e.gt(w, 16.0), polynomial(e, e.sub(root, 5.0), ERF_INV_TAIL[dtype]), p)
    y = e.mul(x, p)
    a = e.abs(x)
    y = e.select(e.gt(a, 1.0), NAN, y)
    return e.select(e.eq(a, 1.0), e.copysign(e.constant(INF, like=x), x), y)


def _erf_near(e, x):
    return e.fma(x, polynomial(e, e.mul(x, x), ERF[x.type.dtype]), x)
