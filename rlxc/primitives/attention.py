"""attention: scaled dot-product attention with masks, grouped heads, a sliding window and a soft cap."""

from __future__ import annotations

import math

import numpy as np

from rlxc.errors import AttrError, DTypeError, Error, ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS, DType, TensorType
from rlxc.primitives.composite import in_f64, spread
from rlxc.primitives.contract import fresh_letters
from rlxc.primitives.exact import round_to
from rlxc.primitives.families import Composite, broadcast_shapes, require_dtype, same_dtype

SHORT_RUN, MOST_RUNS = 128, 4  # of queries, which are computed on their own where they see only a part of the keys


@register
class Attention(Composite):
    """softmax(scale q k^T + mask) v, over the keys that each query may see.

    q is [..., H, S, D], k is [..., G, T, D], v is [..., G, T, E], the result [..., H, S, E]. The leading axes are equal; H is a multiple of
    G, and each head of k and v serves H / G neighbouring heads of q (grouped heads). Rank 2 has no heads.

    mask: bool (true: may see) or float (added to the scores), broadcast to [..., H, S, T].
    scale: 1 / sqrt(D) unless stated.
    softcap: scores become softcap tanh(score / softcap), before any mask.
    causal: the query at position p sees keys at positions up to p. Query i is at position i + offset; keys are at 0, 1, ... So `offset = 0` aligns
        the first query with the first key; for the last S of T positions (decoding with a cache) say `offset = T - S`.
    window: the query at p sees keys less than `window` positions away.

    A query that may see no key gives 0, with a gradient of 0. Keys and values should be finite even where no query may see them: what is hidden
    by position may not be looked at, or be weighed with 0. (Vaswani et al., arXiv:1706.03762; Ainslie et al., arXiv:2305.13245.)
    """

    name = "attention"
    dtypes = FLOATS
    samples = (
        "f64[3, 2], f64[4, 2], f64[4, 5]",
        Sample("f64[2, 3, 2], f64[2, 4, 2], f64[2, 4, 1]", causal=True, offset=1),
        Sample("f64[2, 4, 3, 2], f64[2, 2, 5, 2], f64[2, 2, 5, 3]", scale=0.3, softcap=2.0),
        Sample("f64[4, 5, 2], f64[1, 5, 2], f64[1, 5, 2]", causal=True, window=2),
        Sample("f64[4, 3, 2], f64[2, 4, 2], f64[2, 4, 2], bool[4, 3, 4]"),
        Sample("f64[2, 4, 3, 2], f64[2, 2, 4, 2], f64[2, 2, 4, 2], f64[2, 1, 1, 4]", window=3),
        Sample("f64[3, 2]", "f64[2, 2]", "f64[2, 2]", np.array([[True, False], [False, False], [True, True]])),
        "f64[2, 2], f64[0, 2], f64[0, 3]",
        "f64[0, 2], f64[3, 2], f64[3, 1]",
        "f64[1, 1], f64[1, 1], f64[1, 1]",
    )

    def infer(
        self,
        q,
        k,
        v,
        mask=None,
        *,
        causal: bool = False,
        window: int | None = None,
        offset: int = 0,
        scale: float | None = None,
        softcap: float | None = None,
    ):
        for t in (q, k, v):
            require_dtype(self.name, t, FLOATS)
        dtype = same_dtype(self.name, (q, k, v))
        shapes = f"q {q}, k {k}, v {v}"
        if q.rank < 2 or not q.rank == k.rank == v.rank:
            raise ShapeError(f"attention: {shapes} should have one rank, 2 or more")
        if q.shape[:-3] != k.shape[:-3] or k.shape[:-1] != v.shape[:-1] or q.shape[-1] != k.shape[-1]:
            raise ShapeError(f"attention: {shapes} do not fit", help="they are [..., H, S, D], [..., G, T, D] and [..., G, T, E]")
        if q.shape[-3:-2] != k.shape[-3:-2]:
            heads = q.with_shape((q.shape[-3], k.shape[-3]))
            heads.require_static()
            if k.shape[-3] == 0 or q.shape[-3] % k.shape[-3]:
                raise ShapeError(f"attention: {shapes}: {q.shape[-3]} query heads are no multiple of {k.shape[-3]} key heads")
        if mask is not None:
            _check_mask(mask, q.with_shape((*q.shape[:-1], k.shape[-2])))
        if window is not None and not 1 <= window < 2**31:
            raise AttrError(f"attention: window is 1 or more, not {window}")
        if not -(2**30) < offset < 2**30:
            raise AttrError(f"attention: offset is out of range: {offset}")
        if softcap is not None and not 0 < softcap < math.inf:
            raise AttrError(f"attention: softcap is a number above 0, not {softcap}")
        fresh_letters(self.name, q.rank + 3, "")
        return TensorType(dtype, (*q.shape[:-1], v.shape[-1]))

    def eval(self, q, k, v, mask=None, *, causal, window, offset, scale, softcap):
        out_type = q.dtype
        q, k, v = in_f64(q, k, v)
        if q.ndim > 2 and q.shape[-3] != k.shape[-3]:
            k, v = (np.repeat(a, q.shape[-3] // k.shape[-3], axis=-3) for a in (k, v))
        scores = q @ np.swapaxes(k, -1, -2) * (scale if scale is not None else 1 / math.sqrt(max(1, q.shape[-1])))
        if softcap is not None:
            scores = softcap * np.tanh(scores / softcap)
        if mask is not None:
            scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + in_f64(mask)
        for i, j in np.ndindex(scores.shape[-2:]):
            p = i + offset
            if (causal and j > p) or (window is not None and abs(p - j) >= window):
                scores[..., i, j] = -np.inf
        top = np.max(scores, -1, keepdims=True, initial=-np.inf)
        if mask is not None or window is not None or offset < 0 or k.shape[-2] == 0:  # rows may be empty
            top = np.where(top == -np.inf, 0, top)
        weights = np.exp(scores - top)
        total = weights.sum(-1, keepdims=True)
        return round_to(weights @ v / np.where(total == 0, 1, total), out_type)

    def decompose(self, b, q, k, v, mask=None, *, causal, window, offset, scale, softcap):
        """Runs of queries, each with the keys that are near enough and not after all of them; the other keys need not be looked at."""
        attrs = {"causal": causal, "window": window, "scale": scale, "softcap": softcap}
        may_be_empty = mask is not None or window is not None or offset < 0 or k.type.shape[-2] == 0
        runs = _runs(q.type.shape[-2], k.type.shape[-2], causal, window, offset)
        if len(runs) == 1:
            return self._decompose(b, q, k, v, mask, **attrs, offset=offset, may_be_empty=may_be_empty)
        parts = []
        for queries, keys in runs:
            seen = None if mask is None else _cut(b, _cut(b, mask, -2, queries), -1, keys)
            operands = (_cut(b, q, -2, queries), _cut(b, k, -2, keys), _cut(b, v, -2, keys), seen)
            parts.append(self._decompose(b, *operands, **attrs, offset=offset + queries.start - keys.start, may_be_empty=may_be_empty))
        return b.concat(*parts, axis=q.type.rank - 2)

    def _decompose(self, b, q, k, v, mask, *, causal, window, offset, scale, softcap, may_be_empty):
        shape = (*q.type.shape[:-1], v.type.shape[-1])
        if scale is None:
            q.type.with_shape(q.type.shape[-1:]).require_static()
            scale = 1 / math.sqrt(max(1, q.type.shape[-1]))
        mask = None if mask is None else _mask_by_group(b, mask, q.type, k.type)
        q = _by_group(b, q, k.type)
        lead = fresh_letters(self.name, k.type.rank - 2, "gstde")
        group = "g" * (q.type.rank - k.type.rank)
        scores = b.contract(b.mul(q, scale), k, spec=f"{lead}{group}sd,{lead}td->{lead}{group}st")
        if softcap is not None:
            scores = b.mul(b.tanh(b.div(scores, softcap)), softcap)
        if mask is not None and not mask.type.dtype.is_bool:
            scores = b.add(scores, mask)
        seen = mask if mask is not None and mask.type.dtype.is_bool else None
        near = _seen_by_position(b, scores.type, causal, window, offset)
        seen = near if seen is None else seen if near is None else b.and_(seen, near)
        if seen is not None:
            scores = b.select(seen, scores, b.constant(-math.inf, type=TensorType(scores.type.dtype)))
        last = (scores.type.rank - 1,)
        top = b.stop_gradient(b.reduce_max(scores, axes=last))
        if may_be_empty:
            top = b.select(b.eq(top, -math.inf), b.zeros(top.type), top)
        weights = b.exp(b.sub(scores, spread(b, top, scores, last)))
        total = b.reduce_sum(weights, axes=last)
        if may_be_empty:
            total = b.select(b.eq(total, 0.0), b.constant(1.0, like=total), total)
        out = b.contract(weights, v, spec=f"{lead}{group}st,{lead}te->{lead}{group}se")
        out = b.div(out, spread(b, total, out, (out.type.rank - 1,)))
        return out if out.type.shape == shape else b.reshape(out, shape=shape)


def _runs(queries, keys, causal: bool, window: int | None, offset: int) -> list[tuple[range, range]]:
    """Runs of queries, and the keys that some query of the run may see by its position."""
    if not isinstance(queries, int) or not isinstance(keys, int) or not keys or not (causal or window):
        return [(range(0), range(0))]  # one run, whatever its size
    count = max(1, min(MOST_RUNS, queries // SHORT_RUN))
    runs = []
    for i in range(count):
        run = range(queries * i // count, queries * (i + 1) // count)
        after = run.stop + offset + (0 if causal else (window or 1) - 1)
        stop = min(keys, max(1, after))
        start = 0 if window is None else min(max(0, run.start + offset - window + 1), stop - 1)
        runs.append((run, range(start, stop)))
    return runs if any(len(seen) < keys for _, seen in runs) else runs[:1]


def _cut(b, x, axis: int, part: range):
    """A part of x along an axis, counted from the end; x itself where it has no such axis, or only one element there."""
    shape, axis = x.type.shape, x.type.rank + axis
    if axis < 0 or shape[axis] == 1 or len(part) == shape[axis]:
        return x
    start, stop = [0] * len(shape), list(shape)
    start[axis], stop[axis] = part.start, part.stop
    return b.slice(x, start=tuple(start), stop=tuple(stop))


def _check_mask(mask, scores: TensorType) -> None:
    if not isinstance(mask, TensorType) or (mask.dtype != scores.dtype and not mask.dtype.is_bool):
        raise DTypeError(f"attention: a mask is bool or {scores.dtype}, like q, not {mask}")
    try:
        fits = broadcast_shapes("attention", (scores, mask)) == scores.shape
    except Error:
        fits = False
    if not fits:
        raise ShapeError(f"attention: mask {mask} does not broadcast to [..., H, S, T] = {list(scores.shape)}")


def _by_group(b, q, k: TensorType):
    """q [..., H, S, D] as [..., G, H / G, S, D], unless every head has keys of its own."""
    if q.type.rank == 2 or q.type.shape[-3] == k.shape[-3]:
        return q
    *lead, h, s, d = q.type.shape
    return b.reshape(q, shape=(*lead, k.shape[-3], h // k.shape[-3], s, d))


def _mask_by_group(b, mask, q: TensorType, k: TensorType):
    """A mask that broadcasts to [..., H, S, T] as one that broadcasts to [..., G, H / G, S, T]."""
    if mask.type.rank < 3 or q.shape[-3] == k.shape[-3]:
        return mask
    *lead, h, s, t = mask.type.shape
    groups = (1, 1) if h == 1 else (k.shape[-3], h // k.shape[-3])
    return b.reshape(mask, shape=(*lead, *groups, s, t))


def _seen_by_position(b, scores: TensorType, causal, window, offset):
    """Which keys (columns) are near enough to, and not after, the query (rows): bool[S, T], or None for all."""
    if not causal and window is None:
        return None
    square = TensorType(DType("i32"), scores.shape[-2:])
    ahead = b.sub(b.iota(axis=1, type=square), b.iota(axis=0, type=square))  # the key's position less the query's, plus offset
    seen = None if not causal else b.le(ahead, offset)
    if window is not None:
        behind = b.gt(ahead, offset - window)
        seen = behind if seen is None else b.and_(seen, behind)
        if not causal:
            seen = b.and_(seen, b.lt(ahead, offset + window))
    return seen
