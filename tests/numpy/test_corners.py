"""NumPy's functions on traced arrays at their corners: nan and infinities, nothing at all, rank 0, integers of all kinds; as native code."""

import ast
import warnings

import numpy as np
import pytest

import rlxc

KNOWN = {
    "e": np.zeros((0, 3)), "e1": np.zeros(0), "n": np.array([[1.5, np.nan, -2.0, 0.25], [np.nan, 3.0, -1.0, 0.5]]),
    "f": np.array([np.inf, -np.inf, 1.0, 0.0, -0.0, np.nan]), "s": np.array(2.5), "o": np.array([[3.5]]), "x": np.arange(6.0).reshape(2, 3),
    "i": np.array([3, -7, 0, 5]), "j": np.array([2, 2, -3, -2]), "u": np.array([250, 3, 0], np.uint8), "b": np.array([True, False]),
}  # fmt: skip
EXPRESSIONS = {
    "nan and infinities": """
np.max(n); np.min(n, axis=1); np.argmax(n, axis=1); np.argmin(n); np.sort(n); np.argsort(n, axis=1); np.maximum(n, 0.5); np.minimum(n, 0.5); np.clip(n, -1, 1)
np.cumsum(n, axis=1); np.cumprod(n); np.sign(f); np.floor(f); np.round(f); np.sqrt(f); np.log(f); np.exp(f); np.tanh(f); np.arctan(f); np.sum(f); np.std(n)
np.searchsorted(np.sort(f), f); np.nanmax(n, axis=0); np.median(f); np.isclose(f, f); f == f; f < 1; f != f; np.where(np.isnan(f), 0, f); np.ptp(n); np.diff(f)
np.fmax(f, 0); np.hypot(f, f); np.logaddexp(f, f); np.arctan2(f, f[::-1]); f % 2; f // 2; np.fmod(f, 2); 2 / f; np.power(f, 2); f**0.5; f**-1; np.signbit(f)
np.copysign(1.0, f); np.nan_to_num(f); np.heaviside(f, 0.5); np.modf(f); np.cbrt(f); np.expm1(f); np.log1p(f); np.sinc(f); np.interp(f, [0.0, 1.0], [1.0, 2.0])
""",
    "nothing": """
np.sum(e); np.sum(e, axis=0); np.prod(e, axis=1); np.mean(e, axis=0); np.any(e); np.all(e, axis=0); np.concatenate([e, x]); np.sort(e, axis=0); np.argsort(e1)
np.cumsum(e1); np.reshape(e, (3, 0)); e.T; np.stack([e1, e1]); np.diff(x[:1], axis=0); e @ x.T; x @ e.T; np.dot(e1, e1); np.einsum('ij,ij->j', e, e)
np.tile(e1, 3); np.repeat(x, 0); np.pad(e1, 2); np.roll(e1, 1); np.flip(e); np.max(e, axis=1); np.max(e, axis=0, initial=0); np.where(e > 0, e, 1)
np.linalg.norm(e1); np.outer(e1, x); np.meshgrid(e1, x[0]); np.diag(e1); np.split(x, [0, 0], axis=1); np.array_split(e1, 2); np.searchsorted(x[0], e1)
np.isin(e1, x); np.atleast_2d(e1); np.take(x, np.zeros(0, int), axis=1); np.kron(e, x); np.vander(e1); np.column_stack([e1, e1])
""",
    "rank 0 and size 1": """
np.sum(s); np.max(s); np.sort(o); np.reshape(s, (1, 1)); np.squeeze(o); np.atleast_3d(s); np.stack([s, s]); np.cumsum(s); np.argmax(s); np.ravel(s); s.T
np.tile(s, 2); np.repeat(s, 3); np.diag(o); np.var(s); np.median(s); np.where(s > 0, s, 0); np.expand_dims(s, 0); np.dot(s, s); np.outer(s, s); np.inner(s, x)
np.broadcast_to(s, (2, 2)); np.full_like(s, 3); np.trapezoid(np.ravel(o)); np.diff(np.ravel(o)); np.flip(s); np.quantile(s, 0.5); np.hstack([s, s])
np.roll(s, 1); np.einsum('->', s); np.sum(s, axis=0); np.prod(s, -1); np.max(s, axis=0); np.all(s, axis=-1)
""",
    "integers and bools": """
i // j; i % j; np.fmod(i, j); np.divmod(i, j); i / j; np.abs(i); np.sign(i); i**3; -u; u + u; u - 4; u * 2; ~u; u << 1; np.sum(u); np.prod(u); np.mean(u)
np.cumsum(u); np.var(u); np.square(u); np.bitwise_count(i); i & j; i | 3; i ^ j; np.right_shift(i, 1); np.max(u); np.sum(b); np.mean(b); b + b; b * b; ~b
np.where(b, 1, 2); np.where(b, 1.5, 2); np.where(b, u[:2], i[:2]); np.logical_not(i); np.maximum(u, 4); u / 2; u + 1.5; i * np.float32(2); u * np.float32(2)
np.float32(2) * i; np.sqrt(u); np.sin(i); np.exp(b); np.floor(i); np.round(i, -1); np.isnan(i); np.power(2.0, j); x[np.abs(j) % 2]; u > -1; u < 300
np.angle(u); np.angle(b)
np.append(u, 9); np.append(np.float32(2) * u, 1.5); np.vander(i); np.hstack([u, 1]); np.concatenate([u, [2.5]])
""",
}


@pytest.mark.parametrize("corner", EXPRESSIONS)
def test_native_code_gives_what_numpy_gives(corner):
    texts = [t.strip() for line in EXPRESSIONS[corner].strip().splitlines() for t in line.split(";")]
    names = list(KNOWN)
    functions = [eval(f"lambda {', '.join(names)}: {t}", {"np": np}) for t in texts]
    assert all({n.id for n in ast.walk(ast.parse(t)) if isinstance(n, ast.Name)} <= {"np", "int", *KNOWN} for t in texts)
    args = list(KNOWN.values())

    def everything(*xs):
        return [list(y) if isinstance(y, tuple | list) else [y] for y in (f(*xs) for f in functions)]

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = everything(*args)
        got = rlxc.jit(everything)(*args)
    for text, gs, ws in zip(texts, got, want, strict=True):
        for g, w in zip(gs, map(np.asarray, ws), strict=True):
            assert (g.shape, g.dtype) == (w.shape, w.dtype), text
            np.testing.assert_allclose(g.astype(float), w.astype(float), rtol=1e-12 if w.dtype.itemsize == 8 else 1e-3, err_msg=text)
