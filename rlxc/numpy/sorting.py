"""Order: sort, argsort, places in what is sorted, medians and quantiles, histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.numpy.common import (
    BOOL,
    F64,
    I64,
    NO,
    U8,
    axes_of,
    constant,
    convert,
    emit,
    flat,
    given,
    inexact,
    is_traced,
    known,
    promoted,
    refuse,
    reshape,
    size_along,
    traced,
    unsupported,
    wrong,
)
from rlxc.numpy.reductions import along, kept
from rlxc.tracing.protocols import implements


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """In ascending order along an axis; nan last."""
    refuse("sort", order=order)
    x, at = along(a, axis)
    return convert(emit("sort", convert(x, U8), axis=at), BOOL) if x.aval.dtype.is_bool else emit("sort", x, axis=at)


@implements(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """The places that elements in ascending order come from; equal ones keep their order."""
    refuse("argsort", order=order)
    x, at = along(a, axis)
    return emit("argsort", convert(x, U8) if x.aval.dtype.is_bool else x, axis=at)


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    """With element k in its place, smaller ones before: here all of it in order."""
    refuse("partition", order=order)
    return sort(a, axis)


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    """The places that elements of `partition` come from."""
    refuse("argpartition", order=order)
    return argsort(a, axis)


@implements(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The places in the order of the last key, then of those before it."""
    columns = [traced(k) for k in (keys if isinstance(keys, tuple | list) else list(traced(keys)))]
    order = argsort(columns[0], axis)
    for key in columns[1:]:
        again = argsort(np.take_along_axis(key, order, axis), axis)
        order = np.take_along_axis(order, again, axis)
    return order


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Where values belong in a sorted vector: before equal elements, or after them (`side="right"`). Halving, in as many steps as log2 of its size."""
    if side not in ("left", "right"):
        wrong(f"np.searchsorted: side is 'left' or 'right', not {side!r}")
    x, values = promoted(a, v)
    if given(sorter):
        x = np.take(x, sorter)
    n = x.size
    found = traced(np.zeros(values.shape, np.int64))
    step = 1 << max(n.bit_length() - 1, 0)
    while step and n:
        probe = found + step
        element = x[np.minimum(probe, n) - 1]
        before = _sorts_before(element, values) if side == "left" else ~_sorts_before(values, element)
        found = np.where((probe <= n) & before, probe, found)
        step //= 2
    return found


def _sorts_before(x: Any, y: Any) -> Any:
    """x < y, with nan after everything."""
    if not x.aval.dtype.is_float:
        return x < y
    return (x < y) | (np.isnan(y) & ~np.isnan(x))


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The number of the bin of each element; bins are known, and ascend or descend."""
    edges = np.asarray(known("digitize", "bins", bins))
    side = "left" if right else "right"
    if np.all(edges[1:] >= edges[:-1]):
        return searchsorted(edges, x, side)
    if not np.all(edges[1:] <= edges[:-1]):
        wrong("bins must be monotonically increasing or decreasing")
    return edges.size - searchsorted(edges[::-1], x, side)


# -- quantiles. Virtual places after Hyndman & Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996).

_CONTINUOUS = {
    "linear": (1.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
    "interpolated_inverted_cdf": (0.0, 1.0),
}
_DISCRETE = ("lower", "higher", "nearest")


def _quantile(x: Any, q: Any, axis: Any, method: str, keepdims: Any, *, skip_nan: bool) -> Any:
    """Quantiles of x over `axis` for known q, whose axes come first in the result."""
    q = np.asarray(known("quantile", "q", q), np.float64)
    if np.any(q < 0) or np.any(q > 1):
        wrong("Quantiles must be in the range [0, 1]")
    x = traced(x) if method in _DISCRETE else inexact(x)
    if q.ndim and method not in _DISCRETE:
        x = convert(x, F64)
    axes = axes_of(axis, x.ndim)
    rest = [a for a in range(x.ndim) if a not in axes]
    rows = reshape(np.transpose(x, (*rest, *axes)), (*(x.shape[a] for a in rest), size_along(x, axes)))
    ordered = sort(rows)
    bad = np.isnan(rows)
    n = rows.shape[-1] - np.sum(bad, -1) if skip_nan else rows.shape[-1]
    results = [_at_virtual_place(ordered, n, float(v), method) for v in q.ravel()]
    if not skip_nan and x.aval.dtype.differentiable:
        results = [np.where(np.any(bad, -1), constant(np.nan, x), y) for y in results]
    if given(keepdims) and keepdims:
        results = [kept(y, x, axes, True) for y in results]
    return results[0] if q.ndim == 0 else reshape(np.stack(results), (*q.shape, *results[0].shape))


def _at_virtual_place(ordered: Any, n: Any, q: float, method: str) -> Any:
    """Element of rows in ascending order, of which the first n count, at the place that q is between."""
    if method in _CONTINUOUS:
        alpha, beta = _CONTINUOUS[method]
        place = n * q + (alpha + q * (1 - alpha - beta)) - 1 if method != "linear" else (n - 1) * q
    elif method in (*_DISCRETE, "midpoint"):
        place = (n - 1) * q
    else:
        unsupported(f"np.quantile on traced arrays has no method {method!r}", ", ".join([*_CONTINUOUS, *_DISCRETE, "midpoint"]))
    place = np.clip(place, 0, np.maximum(n - 1, 0))
    low, high = np.floor(place), np.ceil(place)
    if method in _DISCRETE:
        return _element(ordered, {"lower": low, "higher": high, "nearest": np.round(place)}[method])
    part: Any = np.where(high > low, 0.5, 0.0) if method == "midpoint" else place - low
    first, last = _element(ordered, low), _element(ordered, np.minimum(low + 1, np.maximum(n - 1, 0)))
    part = convert(traced(part), ordered.aval.dtype)
    between = last - first
    value = np.where(part >= 0.5, last - between * (1 - part), first + between * part)
    return np.where(first == last, first, value)  # infinities


def _element(ordered: Any, place: Any) -> Any:
    """The element of each row at a place, the same in all rows, or one for each."""
    if not is_traced(place):
        return ordered[..., int(place)]
    return np.take_along_axis(ordered, convert(place, I64)[..., None], -1)[..., 0]


@implements(np.quantile)
def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear", keepdims: Any = False, *, weights: Any = None
) -> Any:
    """Values below which parts q of the elements are; q is known."""
    refuse("quantile", out=out, weights=weights)
    return _quantile(a, q, axis, method, keepdims, skip_nan=False)


@implements(np.nanquantile)
def nanquantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear", keepdims: Any = NO, *, weights: Any = None
) -> Any:
    """Quantiles of the elements that are not nan."""
    refuse("nanquantile", out=out, weights=weights)
    return _quantile(a, q, axis, method, keepdims, skip_nan=True)


@implements(np.percentile)
def percentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear", keepdims: Any = False, *, weights: Any = None
) -> Any:
    """Quantiles, with q in percent."""
    return quantile(a, np.asarray(known("percentile", "q", q)) / 100, axis, out, overwrite_input, method, keepdims, weights=weights)


@implements(np.nanpercentile)
def nanpercentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear", keepdims: Any = NO, *, weights: Any = None
) -> Any:
    """Percentiles of the elements that are not nan."""
    return nanquantile(a, np.asarray(known("nanpercentile", "q", q)) / 100, axis, out, overwrite_input, method, keepdims, weights=weights)


@implements(np.median)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    """The element in the middle, or the mean of the two there."""
    refuse("median", out=out)
    return _quantile(a, 0.5, axis, "midpoint", keepdims, skip_nan=False)


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = NO) -> Any:
    """The median of the elements that are not nan."""
    refuse("nanmedian", out=out)
    return _quantile(a, 0.5, axis, "midpoint", keepdims, skip_nan=True)


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges of `bins` intervals of one length from the least element to the greatest, or in a range."""
    if is_traced(bins) or (not isinstance(bins, str) and np.ndim(bins)):
        return bins if is_traced(bins) else np.asarray(bins)
    if isinstance(bins, str):
        unsupported("np.histogram on traced arrays needs the number of bins: it would depend on the elements")
    x = flat(traced(a))
    low, high = range if range is not None else (np.min(x), np.max(x)) if x.size else (0.0, 1.0)
    low, high, _ = promoted(low, high, x, at_least="float")
    same = low == high
    return np.linspace(np.where(same, low - 0.5, low), np.where(same, high + 0.5, high), bins + 1)


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """How many elements (or what weights) are in each of `bins` intervals, and the edges of those."""
    x = flat(traced(a))
    edges = histogram_bin_edges(x, bins, range)
    count = edges.shape[0] - 1
    if is_traced(bins) or np.ndim(bins):
        place = searchsorted(edges, x, "right") - 1
        place = np.where(x == edges[-1], count - 1, place)
    else:
        place = _even_bin(x, edges, count)
    place = np.where((place < 0) | (place >= count) | np.isnan(x), count, place)  # beyond the last bin, where nothing is counted
    if weights is None:
        counts: Any = traced(np.zeros(count, np.int64)).at[place].add(np.ones(x.size, np.int64))
    else:
        w = flat(traced(weights))
        counts = traced(np.zeros(count, w.dtype)).at[place].add(w)
    if density:
        counts = counts / np.diff(edges) / np.sum(counts)
    return counts, edges


def _even_bin(x: Any, edges: Any, count: int) -> Any:
    """The bin of each element where all are of one length: by a quotient, which rounding may put one bin too far; -1 outside."""
    low, high = edges[0], edges[-1]
    place = np.clip(convert((x - low) * (count / (high - low)), I64), 0, count - 1)
    place = place - convert((x < edges[place]) & (place > 0), I64)
    place = place + convert((x >= edges[place + 1]) & (place < count - 1), I64)
    return np.where((x >= low) & (x <= high), place, -1)
