"""Polynomial evaluation: Horner (fewest ops) and Estrin (shortest chain), coefficients lowest power first."""

from __future__ import annotations


def horner(e, x, coefficients):
    """c0 + x (c1 + x (c2 + ...)), one fma per coefficient, every one waiting for the one before."""
    *rest, result = coefficients
    if not rest:
        return e.constant(result, like=x)
    for c in reversed(rest):
        result = e.fma(x, result, c)
    return result


def estrin(e, x, coefficients):
    """Pairs (c0 + c1 x) + (c2 + c3 x) x^2 + ..., combined as a binary tree: depth log2(n), log2(n) squarings more."""
    terms = list(coefficients)
    while len(terms) > 1:
        pairs = [e.fma(x, b, a) for a, b in zip(terms[0::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
        if len(terms) > 1:
            x = e.mul(x, x)
    return terms[0]


def polynomial(e, x, coefficients):
    """The better of the two for a loop whose iterations are independent: Estrin once the chain gets long.

    Even then the last step is Horner's, which leaves one rounding on the largest terms instead of three.
    """
    if len(coefficients) <= 8:
        return horner(e, x, coefficients)
    first, *rest = coefficients
    return e.fma(x, estrin(e, x, rest), first)
