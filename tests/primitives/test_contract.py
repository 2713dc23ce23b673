"""Contractions and their spellings against np.einsum and plain loops."""

import string

import numpy as np
import pytest
from checks import apply, check_derivatives, check_infer_raises_only_errors, check_op, close, draw, legal, op_func, run

from rlxc.errors import Error
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.types import TensorType, parse_type
from rlxc.passes.simplify import simplify

OPS = ["contract", "matmul", "dot_general", "linear", "einsum"]


@pytest.mark.parametrize("name", OPS)
def test_the_rules_agree_on_all_samples(name):
    check_op(name, orders=3)


@pytest.mark.parametrize("name", OPS)
def test_infer_raises_nothing_but_errors(name):
    check_infer_raises_only_errors(name, np.random.default_rng(1))


def random_spec(rng):
    letters = "abcdef"[: rng.integers(0, 7)]
    sizes = {a: int(rng.integers(0, 4)) for a in letters}
    pick = lambda p: "".join(rng.permutation([a for a in letters if rng.random() < p]))  # noqa: E731
    x, y = pick(0.6), pick(0.6)
    out = "".join(rng.permutation([a for a in letters if a in x + y and rng.random() < 0.6]))
    return f"{x},{y}->{out}", [sizes[a] for a in x], [sizes[a] for a in y]


@pytest.mark.parametrize("seed", range(60))
def test_random_contractions_and_their_derivatives(seed):
    rng = np.random.default_rng(seed)
    spec, xs, ys = random_spec(rng)
    x, y = rng.normal(size=xs), rng.normal(size=ys)
    func = op_func("contract", f"f64{xs}", f"f64{ys}", spec=spec)
    want = np.einsum(spec, x, y)
    close(run(func, x, y), want, 1e-12)
    close(run(legal(func), x, y), want, 1e-12)
    check_derivatives(func, [x, y], rng, 2)


def test_a_contraction_is_its_triple_loop():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 5))
    want = np.zeros((2, 3, 5))
    for b in range(2):
        for m in range(3):
            for n in range(5):
                want[b, m, n] = sum(x[b, m, k] * y[b, k, n] for k in range(4))
    close(apply("contract", x, y, spec="bmk,bkn->bmn"), want)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint16"])
def test_integers_wrap_around(dtype):
    rng = np.random.default_rng(0)
    info = np.iinfo(dtype)
    x, y = (rng.integers(info.min, info.max, s, dtype=dtype) for s in ((3, 4), (4, 2)))
    want = np.zeros((3, 2), dtype)
    with np.errstate(all="ignore"):
        for i, j, k in np.ndindex(3, 2, 4):
            want[i, j] += x[i, k] * y[k, j]
    assert (apply("contract", x, y, spec="mk,kn->mn") == want).all()
    assert (apply("matmul", x, y) == want).all()
    assert (apply("einsum", x, y, spec="mk,kn->mn") == want).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_floats_are_summed_in_f32(dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    x, y = np.full((1, 5000), 0.01, dtype), np.ones((5000, 1), dtype)
    want = np.asarray(np.float32(x[0, 0]) * 5000, dtype)
    for name, attrs in (("contract", {"spec": "mk,kn->mn"}), ("matmul", {}), ("linear", {})):
        got = apply(name, x, y, **attrs)
        assert abs(float(got[0, 0]) - float(want)) <= 0.5, name


@pytest.mark.parametrize(
    ("types", "spec", "says"),
    [
        (("f64[3]", "f64[4]"), "a,a->", "a is 3 in f64[3], but 4 in f64[4]"),
        (("f64[3, 3]", "f64[3]"), "aa,a->a", "a stands twice in x"),
        (("f64[3]", "f64[3]"), "a,b->aa", "a stands twice in the result"),
        (("f64[3]", "f64[3]"), "a,b->c", "c is in neither operand"),
        (("f64[3]", "f64[3]"), "a,b", "does not name the axes"),
        (("f64[3]", "f64[3]"), "a->a", "does not name the axes"),
        (("f64[3]", "f64[3]"), "a,b->a->b", "not '-'"),
        (("f64[3]", "f64[3]"), "ab,b->a", "names 2 axes, but x is f64[3]"),
        (("f64[3]", "f64[3]"), "1,b->b", "named by letters"),
        (("f64[3]", "f32[3]"), "a,a->", "dtypes differ"),
        (("bool[3]", "bool[3]"), "a,a->", "does not take bool[3]"),
    ],
)
def test_wrong_specs_are_refused_with_a_reason(types, spec, says):
    with pytest.raises(Error) as error:
        op_func("contract", *types, spec=spec)
    assert says in str(error.value)


def test_named_dimensions_pass_through():
    func = op_func("contract", "f32[B, 3]", "f32[3, N]", spec="bk,kn->nb")
    assert str(func.results[0].type) == "f32[N, B]"
    assert str(op_func("matmul", "f32[B, 3]", "f32[3, 2]").results[0].type) == "f32[B, 2]"
    assert str(op_func("linear", "f32[B, 3]", "f32[3, 2]", "f32[2]").results[0].type) == "f32[B, 2]"
    legal(op_func("matmul", "f32[B, 2, 3]", "f32[3, 2]"))


def test_a_53rd_axis_is_refused():
    full = op_func("contract", f"f64{[1] * 26}", f"f64{[1] * 26}", spec=f"{string.ascii_lowercase},{string.ascii_uppercase}->")
    args = [Value(TensorType("f64", (1,) * 27)) for _ in range(2)]
    with pytest.raises(Error, match="more than 52"):
        full.ops[0].prim.batch(Builder(), *args, batched=(True, True), **full.ops[0].attrs)


@pytest.mark.parametrize("seed", range(20))
def test_matmul_is_numpys(seed):
    rng = np.random.default_rng(seed)
    m, k, n = (int(v) for v in rng.integers(0, 4, 3))
    lead = [int(v) for v in rng.integers(0, 3, rng.integers(0, 4))]
    cut = lambda: [1 if rng.random() < 0.3 else s for s in lead[rng.integers(0, len(lead) + 1) :]]  # noqa: E731
    x, y = rng.normal(size=(*cut(), m, k)), rng.normal(size=(*cut(), k, n))
    if rng.random() < 0.2:
        x = rng.normal(size=k)
    if rng.random() < 0.2:
        y = rng.normal(size=k)
    func = op_func("matmul", f"f64{list(x.shape)}", f"f64{list(y.shape)}")
    close(run(legal(func), x, y), np.matmul(x, y))
    check_derivatives(func, [x, y], rng, 2)


def test_infinities_and_nans_follow_ieee():
    x = np.array([[np.inf, 1.0], [0.0, np.nan]])
    y = np.array([[0.0, 2.0], [1.0, 1.0]])
    got = apply("matmul", x, y)
    assert np.isnan(got[0, 0])
    assert got[0, 1] == np.inf
    assert np.isnan(got[1]).all()


def test_einsum_of_many_operands_is_numpys():
    rng = np.random.default_rng(0)
    sizes = dict(zip("abcdef", (2, 3, 1, 4, 2, 3), strict=True))
    for spec in ("ab,bc,cd,de->ae", "ab,ab,ab->", "abc,cd,e->bde", "a,b,c->cba", "abc->", "f,ef,def->d", "ab,bc", "ba"):
        xs = [rng.normal(size=[sizes[a] for a in part]) for part in spec.split("->")[0].split(",")]
        func = op_func("einsum", *[f"f64{list(x.shape)}" for x in xs], spec=spec)
        close(run(legal(func), *xs), np.einsum(spec, *xs), 1e-11)
        check_derivatives(func, xs, rng, 1)
    assert draw(rng, func.args[0].type).shape == (3, 2)


def simplified(types, wrap, spec):
    """A contraction of wrapped operands, before and after simplify."""
    b = Builder()
    args = [Value(parse_type(t)) for t in types]
    out = b.contract(*wrap(b, *args), spec=spec)
    func = Func("f", tuple(args), tuple(b.ops), (out,))
    return func, simplify.on_func(func)


@pytest.mark.parametrize(
    ("types", "wrap", "spec", "ops"),
    [
        (["f64[3, 2, 4]", "f64[4, 5]"], lambda b, x, y: (b.transpose(x, perm=(2, 0, 1)), y), "abc,ad->bcd", ["contract"]),
        (["f64[3]", "f64[3, 5]"], lambda b, x, y: (b.broadcast(x, shape=(2, 3), axes=(0,)), y), "mk,kn->nm", ["contract", "broadcast"]),
        (["f64[2, 3]", "f64[]"], lambda b, x, y: (x, b.broadcast(y, shape=(2, 4), axes=(0, 1))), "mn,mp->np", ["reduce_sum", "contract", "broadcast"]),
        (["f64[3]", "f64[3, 5]"], lambda b, x, y: (b.broadcast(x, shape=(2, 3), axes=(0,)), y), "mk,kn->n", ["broadcast", "contract"]),
        (["f64[]", "f64[]"], lambda b, x, y: (b.broadcast(x, shape=(2, 3), axes=(0, 1)), b.broadcast(y, shape=(3,), axes=(0,))), "ab,b->ba", None),
    ],
)
def test_transposed_and_broadcast_operands_are_read_as_they_were(types, wrap, spec, ops):
    rng = np.random.default_rng(0)
    func, simple = simplified(types, wrap, spec)
    arrays = [rng.normal(size=a.type.shape) for a in func.args]
    close(run(simple, *arrays), run(func, *arrays))
    if ops is not None:
        assert [op.prim.name for op in simple.ops] == ops


@pytest.mark.parametrize("seed", range(60))
def test_simplify_keeps_what_random_contractions_of_views_mean(seed):
    rng = np.random.default_rng(seed)
    spec, xs, ys = random_spec(rng)

    def view(b, shape):
        """A value of the given shape made by a transposition or a broadcast, and the type it is made of."""
        if rng.random() < 0.5:
            perm = tuple(int(p) for p in rng.permutation(len(shape)))
            source = [0] * len(shape)
            for i, p in enumerate(perm):
                source[p] = shape[i]
            return source, lambda v: b.transpose(v, perm=perm)
        axes = tuple(a for a in range(len(shape)) if rng.random() < 0.5)
        return [n for a, n in enumerate(shape) if a not in axes], lambda v: b.broadcast(v, shape=tuple(shape), axes=axes)

    b = Builder()
    (from_x, make_x), (from_y, make_y) = view(b, xs), view(b, ys)
    args = [Value(TensorType("f64", tuple(s))) for s in (from_x, from_y)]
    out = b.contract(make_x(args[0]), make_y(args[1]), spec=spec)
    func = Func("f", tuple(args), tuple(b.ops), (out,))
    arrays = [rng.normal(size=s) for s in (from_x, from_y)]
    close(run(simplify.on_func(func), *arrays), run(func, *arrays), 1e-12)
