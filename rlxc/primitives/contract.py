"""contract: products of two arrays summed over the indices they share; matrix products of every kind are this one op.

    contract %x, %y {spec = "bmk,bkn->bmn"}       z[b, m, n] = sum over k of x[b, m, k] y[b, k, n]

The letters name the axes of x, y and the result, as in Einstein's notation; sizes of one letter are equal (1 does not stretch). Within
one operand a letter stands once. A letter that the result lacks is summed over; one that only a single operand has may be summed too
(`"ab,b->b"`), and `legalize` makes that a `reduce_sum` of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_letters
from typing import Any

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.emitter import Memory
from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import NUMBERS, TensorType
from rlxc.primitives.contraction.letters import Operand, Roles, find_roles
from rlxc.primitives.contraction.nest import lower_contraction, pack_ahead
from rlxc.primitives.contraction.row_times_matrix import is_row_times_matrix, lower_row_times_matrix
from rlxc.primitives.families import Multilinear, conj, is_linear, require_dtype, same_dtype
from rlxc.primitives.planes import Planes
from rlxc.primitives.shape import Broadcast, Transpose

MIN_PRODUCTS = 256  # a contraction of fewer is not worth a schedule
NEAR = 128 << 10  # bytes of a matrix that is read as fast in any order


@register
class Contract(Multilinear):
    """Einstein summation of two operands: `spec` names the axes of x, of y and of the result, as in "bmk,bkn->bmn".

    Linear in each operand. The cotangents are contractions again: of the result's cotangent and the other operand. Integers wrap
    around; f16 and bf16 are summed in f32. A sum over no elements is 0.
    """

    name = "contract"
    dtypes = NUMBERS
    linear_in = (0, 1)
    contraction = True
    cost = Cost(flops=2, recompute=False)
    stores_once = True
    samples = (
        Sample("f64[2, 3]", "f64[3, 4]", spec="mk,kn->mn"),
        Sample("f64[2, 3, 4]", "f64[2, 4, 5]", spec="bmk,bkn->bmn"),
        Sample("f64[4, 2, 3]", "f64[5, 4, 3]", spec="kbm,nkm->nbm"),
        Sample("f64[3]", "f64[3]", spec="i,i->"),
        Sample("f64[3]", "f64[2]", spec="i,j->ji"),
        Sample("f64[]", "f64[2, 1]", spec=",ab->ba"),
        Sample("f64[2, 3, 2]", "f64[3, 4]", spec="abc,bd->b"),
        Sample("f64[2, 0]", "f64[0, 3]", spec="mk,kn->mn"),
        Sample("f64[0, 3]", "f64[3, 1]", spec="mk,kn->nm"),
        Sample("f64[17, 9]", "f64[9, 5]", spec="mk,kn->mn"),
        Sample("i32[2, 3]", "i32[3, 2]", spec="mk,kn->mn"),
    )

    def infer(self, x, y, *, spec: str):
        require_dtype(self.name, x, NUMBERS)
        require_dtype(self.name, y, NUMBERS)
        dtype = same_dtype(self.name, (x, y))
        in_x, in_y, out = parse_spec(self.name, spec, x, y)
        sizes = dict(zip(in_x, x.shape, strict=True))
        for letter, n in zip(in_y, y.shape, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ShapeError(f'contract "{spec}": {letter} is {sizes[letter]} in {x}, but {n} in {y}')
        return TensorType(dtype, tuple(sizes[letter] for letter in out))

    def eval(self, x, y, *, spec):
        if x.dtype.itemsize < 4 and x.dtype.kind not in "iu":
            return self.eval(x.astype(np.float32), y.astype(np.float32), spec=spec).astype(x.dtype)
        return np.asarray(np.einsum(spec, x, y, optimize=True), x.dtype)

    def legalize(self, b, x, y, *, spec):
        if x.type.dtype.is_narrow:
            return b.convert(b.contract(b.convert(x, dtype="f32"), b.convert(y, dtype="f32"), spec=spec), dtype=x.type.dtype)
        in_x, in_y, out = split_spec(spec)
        lone_x, lone_y = _missing_from(in_x, in_y + out), _missing_from(in_y, in_x + out)
        if not lone_x and not lone_y:
            return None
        in_x, x = _sum_out(b, in_x, x, lone_x)
        in_y, y = _sum_out(b, in_y, y, lone_y)
        return b.contract(x, y, spec=f"{in_x},{in_y}->{out}")

    def transpose(self, b, cts, operands, *, spec):
        x, y = operands
        in_x, in_y, out = split_spec(spec)
        if is_linear(x):
            return _cotangent(b, cts[0], out, conj(b, y), in_y, x.type, in_x), None
        return None, _cotangent(b, cts[0], out, conj(b, x), in_x, y.type, in_y)

    def planes(self, b, x, y, *, spec):
        """Four real contractions, the last of which of each plane adds in its kernel what the first gave."""
        re = b.sub(b.contract(x.re, y.re, spec=spec), b.contract(x.im, y.im, spec=spec))
        return Planes(re, b.add(b.contract(x.re, y.im, spec=spec), b.contract(x.im, y.re, spec=spec)))

    def flops(self, operands, results, *, spec):
        """A product and a sum for each setting of all letters."""
        sizes = {letter: n for letters, t in zip(split_spec(spec), operands, strict=False) for letter, n in zip(letters, t.shape, strict=True)}
        return 2.0 * math.prod(sizes.values())

    def batch(self, b, x, y, *, batched, spec):
        in_x, in_y, out = split_spec(spec)
        new = fresh_letters(self.name, 1, in_x + in_y)
        return b.contract(x, y, spec=f"{new * batched[0]}{in_x},{new * batched[1]}{in_y}->{new}{out}")

    def batch_sum(self, b, x, y, *, batched, spec):
        in_x, in_y, out = split_spec(spec)
        new = fresh_letters(self.name, 1, in_x + in_y)
        if all(batched):
            return b.contract(x, y, spec=f"{new}{in_x},{new}{in_y}->{out}")
        x, y = (b.reduce_sum(v, axes=(0,)) if flag else v for v, flag in zip((x, y), batched, strict=True))
        return b.contract(x, y, spec=spec)

    def fold(self, b, x, y, *, spec):
        """A transposed operand is read in another order; one that is broadcast is read without the axes along which it repeats."""
        letters, out = list(split_spec(spec)[:2]), split_spec(spec)[2]
        operands, repeated = [x, y], ""
        for i, other in ((0, 1), (1, 0)):
            inner = b.producer(operands[i])
            if inner is None:
                continue
            if isinstance(inner.prim, Transpose):
                letters[i] = "".join(letters[i][inner.attrs["perm"].index(a)] for a in range(len(letters[i])))
                operands[i] = inner.operands[0]
            elif isinstance(inner.prim, Broadcast):
                gone = "".join(letters[i][a] for a in inner.attrs["axes"])
                if any(letter not in out and letter not in letters[other] for letter in gone):
                    continue  # a sum of equal terms
                letters[i] = _missing_from(letters[i], gone)
                repeated += _missing_from(gone, letters[other])
                operands[i] = inner.operands[0]
        if operands[0] is x and operands[1] is y:
            return None
        for i, other in ((0, 1), (1, 0)):  # what only met a broadcast axis is summed inside its operand
            letters[i], operands[i] = _sum_out(b, letters[i], operands[i], _missing_from(letters[i], letters[other] + out))
        small = b.contract(*operands, spec=f"{letters[0]},{letters[1]}->{_missing_from(out, repeated)}")
        if not repeated:
            return small
        sizes = dict(zip("".join(split_spec(spec)[:2]), x.type.shape + y.type.shape, strict=True))
        return b.broadcast(small, shape=tuple(sizes[a] for a in out), axes=tuple(i for i, a in enumerate(out) if a in repeated))

    def trace_axes(self, operands, result, ranks, *, spec):
        parts = split_spec(spec)
        label = dict.fromkeys("".join(parts), -1)
        for letters, labels in zip(parts, (*operands, result), strict=True):
            label.update((a, x) for a, x in zip(letters, labels or (), strict=False) if x >= 0)
        x, y, out = (tuple(label[a] for a in letters) for letters in parts)
        return [x, y], out

    def lower(self, e, reads, writes, *, spec):
        """Tiles of sums in registers, where the target has vectors and the sums are not few; else loops around `element`."""
        (x, y), (out,) = (r.reader if isinstance(r, Prepared) else r for r in reads), writes
        packed = next((r.packed for r in reads if isinstance(r, Prepared)), None)
        roles = _roles(e, x, y, out, spec)
        if roles is not None and packed is None and is_row_times_matrix(roles):
            lower_row_times_matrix(e, roles)
        elif roles is not None:
            lower_contraction(e, roles, packed=packed)
        else:
            e.for_each(out.type.shape, lambda index: out.store(index, self.element(e, index, x, y, spec=spec)))

    def prepare(self, e, reads, out, fixed, *, spec):
        """An operand whose vectors do not lie as tiles want them is packed."""
        roles = _roles(e, *reads, out, spec)
        if roles is None or is_row_times_matrix(roles):
            return {}
        position = 0 if roles.n[0] in split_spec(spec)[0] else 1
        packed = pack_ahead(e, roles) if position in fixed else None
        return {} if packed is None else {position: Prepared(reads[position], packed)}

    def read_order(self, operand, types, *, spec):
        """Neighbours in the result are best neighbours in the operand that has them, unless it is large, and used for a row or two."""
        letters, out = split_spec(spec)[operand], split_spec(spec)[2]
        rows = math.prod(n for a, n in zip(split_spec(spec)[1 - operand], types[1 - operand].shape, strict=True) if a in out and a not in letters)
        last = out[-1:]
        if not last or last not in letters or letters[-1] == last or last in split_spec(spec)[1 - operand]:
            return None
        if rows < 4 and types[operand].nbytes > NEAR:
            return None
        at = letters.index(last)
        return (*(i for i in range(len(letters)) if i != at), at)

    def with_order(self, operand, order, *, spec):
        parts = list(split_spec(spec))
        parts[operand] = "".join(parts[operand][i] for i in order)
        return {"spec": f"{parts[0]},{parts[1]}->{parts[2]}"}

    def packs(self, operand):
        return True

    def element(self, e, index, x, y, *, spec):
        in_x, in_y, out = split_spec(spec)
        at = dict(zip(out, index, strict=True))
        sizes = dict(zip(in_x + in_y, x.type.shape + y.type.shape, strict=True))
        summed = [letter for letter in sizes if letter not in out]
        zero = e.constant(0, dtype=x.type.dtype)

        def add_term(counters, total):
            where = at | dict(zip(summed, counters, strict=True))
            left, right = x([where[a] for a in in_x]), y([where[a] for a in in_y])
            if x.type.dtype.is_float:
                return (e.fma(left, right, total),)
            return (e.add(total, e.mul(left, right)),)

        (total,) = e.loop([sizes[a] for a in summed], (zero,), add_term)
        return total


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operand that is packed in panels already."""

    reader: Any
    packed: Sequence[Memory]


def _roles(e, x, y, out, spec) -> Roles | None:
    """The parts that axes play in a schedule; None where the target has no vectors, or there are few products."""
    in_x, in_y, in_out = split_spec(spec)
    sizes = dict(zip(in_x + in_y, x.type.shape + y.type.shape, strict=True))
    if not e.target.vector_bytes or math.prod(sizes.values()) < MIN_PRODUCTS:
        return None
    return find_roles(e, Operand(in_x, x), Operand(in_y, y), Operand(in_out, out), sizes)


@lru_cache(maxsize=1024)
def split_spec(spec: str) -> tuple[str, str, str]:
    """Letters of x, of y and of the result, of a spec known to be right."""
    operands, out = spec.split("->")
    in_x, in_y = operands.split(",")
    return in_x, in_y, out


@lru_cache(maxsize=1024)
def parse_spec(name: str, spec: str, x: TensorType, y: TensorType) -> tuple[str, str, str]:
    """Like `split_spec`, after checking `spec` against the operands; raises AttrError or ShapeError."""
    operands, arrow, out = spec.partition("->")
    parts = operands.split(",")
    if not arrow or len(parts) != 2:
        raise AttrError(f"{name}: {_quoted(spec)} does not name the axes of two operands and a result", help='as in "mk,kn->mn"')
    for letters, what in zip((*parts, out), ("x", "y", "the result"), strict=True):
        check_letters(name, spec, letters, what)
    for letters, type, what in zip(parts, (x, y), ("x", "y"), strict=True):
        if len(letters) != type.rank:
            raise ShapeError(f"{name} {_quoted(spec)}: {letters!r} names {len(letters)} axes, but {what} is {type}")
    for letter in out:
        if letter not in operands:
            raise AttrError(f"{name} {_quoted(spec)}: the result's {letter} is in neither operand", help="use broadcast for a new axis")
    return parts[0], parts[1], out


def check_letters(name: str, spec: str, letters: str, what: str) -> None:
    """Raise AttrError unless `letters` are distinct ASCII letters."""
    for letter in letters:
        if letter not in ascii_letters:
            raise AttrError(f"{name} {_quoted(spec)}: axes are named by letters, not {letter!r}")
        if letters.count(letter) > 1:
            help = None if what == "the result" else "take the diagonal first"
            raise AttrError(f"{name} {_quoted(spec)}: {letter} stands twice in {what}", help=help)


def fresh_letters(name: str, n: int, taken: str) -> str:
    """`n` letters that are not `taken`; raises ShapeError where the 52 do not suffice."""
    free = [letter for letter in ascii_letters if letter not in taken]
    if len(free) < n:
        raise ShapeError(f"{name}: more than {len(ascii_letters)} different axes")
    return "".join(free[:n])


def _quoted(spec: str) -> str:
    return f'"{spec}"' if len(spec) < 60 else f'"{spec[:60]}..."'


def _missing_from(letters: str, others: str) -> str:
    return "".join(letter for letter in letters if letter not in others)


def _sum_out(b, letters, x, lone):
    """`x` summed over its axes named in `lone`, and the letters it keeps."""
    if not lone:
        return letters, x
    x = b.reduce_sum(x, axes=tuple(i for i, letter in enumerate(letters) if letter in lone))
    return _missing_from(letters, lone), x


def _cotangent(b, ct, out, other, in_other, type, letters):
    """Cotangent of the operand named `letters`: ct and the other operand contracted, spread along axes that were summed inside it alone."""
    lone = tuple(i for i, letter in enumerate(letters) if letter not in out + in_other)
    kept = "".join(letter for i, letter in enumerate(letters) if i not in lone)
    ct = b.contract(ct, other, spec=f"{out},{in_other}->{kept}")
    return b.broadcast(ct, shape=type.shape, axes=lone) if lone else ct
