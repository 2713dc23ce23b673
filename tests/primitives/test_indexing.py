"""Gather, scatter, dynamic slices and one-hot rows."""

import numpy as np
import pytest
from checks import apply, check_derivatives, check_infer_raises_only_errors, check_op, close, legal, op_func, run

from rlxc.errors import Error
from rlxc.ir.types import ANY, INTEGERS, DType, TensorType, dtype_of

SMOOTH = ["gather", "take", "take_along_axis", "scatter_add", "scatter_set", "scatter_mul", "dynamic_slice", "dynamic_update_slice"]
OTHERS = ["scatter_max", "scatter_min", "one_hot"]


@pytest.mark.parametrize("name", SMOOTH)
def test_the_rules_agree_on_all_samples(name):
    check_op(name, orders=2)


@pytest.mark.parametrize("name", OTHERS)
def test_the_rules_agree_on_all_samples_to_first_order(name):
    check_op(name)


@pytest.mark.parametrize("name", SMOOTH + OTHERS)
def test_infer_raises_nothing_but_errors(name):
    check_infer_raises_only_errors(name, np.random.default_rng(1))


def data(dtype, shape):
    counts = np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    return (counts % 2 == 1) if dtype == "bool" else counts.astype(DType(dtype).numpy)


@pytest.mark.parametrize("dtype", ANY)
def test_every_dtype_is_gathered_and_set(dtype):
    x, i = data(dtype, (4, 3)), np.array([2, 0, 2])
    close(apply("gather", x, i, axes=(0,)), x[i])
    close(apply("take", x, i, axis=1), x[:, i])
    close(apply("dynamic_slice", x, np.array(1), np.array(1), sizes=(2, 2)), x[1:3, 1:3])
    want = x.copy()
    want[i] = x[:3]
    close(apply("scatter_set", x, x[:3], i, axes=(0,)), want)
    want = x.copy()
    want[1:3, 0:2] = x[2:, 1:]
    close(apply("dynamic_update_slice", x, x[2:, 1:], np.array(1), np.array(0)), want)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_index_has_any_integer_dtype(dtype):
    x, i = np.arange(6.0), np.array([5, 0, 3]).astype(DType(dtype).numpy)
    close(apply("gather", x, i, axes=(0,)), [5, 0, 3])
    close(apply("dynamic_slice", x, i[2], sizes=(2,)), [3, 4])
    close(apply("one_hot", i[:2], size=6, dtype=DType("i32")), np.eye(6, dtype=np.int32)[[5, 0]])
    far = np.array([np.iinfo(i.dtype).max, np.iinfo(i.dtype).min], i.dtype)
    close(apply("gather", x, far, axes=(0,)), [5, 0])
    low = 0 if dtype.startswith("u") else -1
    close(apply("gather", x, far, axes=(0,), bounds="fill"), [0, 0])
    close(apply("dynamic_slice", x, far[0], sizes=(2,)), [4, 5])
    close(apply("scatter_add", x, np.array([10.0, 20.0]), far, axes=(0,)), x + (20 if low == 0 else 0) * (np.arange(6) == 0))
    close(apply("scatter_add", x, np.array([10.0, 20.0]), far, axes=(0,), bounds="clamp"), x + 20 * np.eye(6)[0] + 10 * np.eye(6)[5])
    assert apply("one_hot", far[:1], size=6).sum() == 0


COMBINE = {"scatter_add": np.add, "scatter_mul": np.multiply, "scatter_max": np.maximum, "scatter_min": np.minimum, "scatter_set": lambda old, new: new}


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("name", ["gather", *COMBINE])
def test_gather_and_scatter_are_their_loops(name, seed):
    """Random ranks, axes, batch axes and bounds, with indices that repeat and leave the array."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = rng.integers(1, 4, rank)
    batch = int(rng.integers(0, rank))
    axes = tuple(int(a) for a in rng.permutation(np.arange(batch, rank))[: rng.integers(1, rank - batch + 1)])
    outer = (*shape[:batch], *rng.integers(0, 4, rng.integers(0, 3)))
    rest = tuple(n for a, n in enumerate(shape) if a >= batch and a not in axes)
    x = rng.normal(size=shape)
    indices = [rng.integers(-2, 5, outer) for _ in axes]
    clamp = bool(rng.integers(2))
    updates = rng.normal(size=(*outer, *rest))
    out = np.zeros((*outer, *rest)) if name == "gather" else x.copy()
    for p in np.ndindex(outer):
        at = [int(i[p]) for i in indices]
        if clamp:
            at = [min(max(i, 0), shape[a] - 1) for i, a in zip(at, axes, strict=True)]
        elif any(not 0 <= i < shape[a] for i, a in zip(at, axes, strict=True)):
            continue
        key = [slice(None)] * rank
        key[:batch] = p[:batch]
        for a, i in zip(axes, at, strict=True):
            key[a] = i
        if name == "gather":
            out[p] = x[tuple(key)]
        else:
            out[tuple(key)] = COMBINE[name](out[tuple(key)], updates[p])
    attrs = {"axes": axes, "batch": batch, "bounds": "clamp" if clamp else "fill" if name == "gather" else "drop"}
    operands = [x, *indices] if name == "gather" else [x, updates, *indices]
    close(apply(name, *operands, **attrs), out)
    func = op_func(name, *[TensorType(dtype_of(a.dtype), a.shape) for a in operands], **attrs)
    check_derivatives(func, operands, rng, 1 if name in ("scatter_max", "scatter_min") else 2)


def test_of_repeated_indices_the_last_is_set_and_only_it_gets_the_cotangent():
    from rlxc.ir.interp import interpret
    from rlxc.passes.gradient import grad_with_loss

    x, u, i = np.zeros(3), np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 5, 0])
    func = op_func("scatter_set", "f64[3]", "f64[4]", "i64[4]", axes=(0,))
    close(run(func, x, u, i), [4, 2, 0])
    _, dx, du = interpret(grad_with_loss(func), [x, u, i, np.array([10.0, 20.0, 30.0])])
    close(dx, [0, 0, 30])
    close(du, [0, 20, 0, 10])


def test_ties_of_scattered_extremes_share_the_gradient():
    from rlxc.ir.interp import interpret
    from rlxc.passes.gradient import grad_with_loss

    func = op_func("scatter_max", "f64[2]", "f64[3]", "i64[3]", axes=(0,))
    _, dx, du = interpret(grad_with_loss(func), [np.array([5.0, 1.0]), np.array([5.0, 5.0, 0.0]), np.array([0, 0, 1]), np.array([6.0, 7.0])])
    close(dx, [2, 7])
    close(du, [2, 2, 0])


def test_scattered_products_with_zeros_have_right_derivatives_to_third_order():
    rng = np.random.default_rng(0)
    func = op_func("scatter_mul", "f64[4]", "f64[7]", "i64[7]", axes=(0,))
    x, u = np.array([0.0, 2.0, 3.0, 1.5]), np.array([0.0, 2.0, 3.0, 0.0, 0.0, 1.5, 0.5])
    check_derivatives(func, [x, u, np.array([1, 0, 1, 2, 2, 9, 3])], rng, 3)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_narrow_updates_add_up_in_f32(dtype):
    x, u = np.zeros(1, DType(dtype).numpy), np.ones(5000, DType(dtype).numpy)
    for f in (func := op_func("scatter_add", f"{dtype}[1]", f"{dtype}[5000]", "i32[5000]", axes=(0,)), legal(func)):
        assert float(run(f, x, u, np.zeros(5000, np.int32))[0]) == float(np.float32(5000).astype(x.dtype))


def test_what_does_not_fit_is_refused():
    for name, types, attrs in [
        ("gather", ["f64[0]", "i64[2]"], {"axes": (0,)}),
        ("gather", ["f64[3]", "f64[2]"], {"axes": (0,)}),
        ("gather", ["f64[3]"], {"axes": ()}),
        ("gather", ["f64[3, 3]", "i64[2]", "i64[3]"], {"axes": (0, 1)}),
        ("gather", ["f64[3, 3]", "i64[2]"], {"axes": (1,), "batch": 1}),
        ("scatter_add", ["f64[3]", "f64[3]", "i64[2]"], {"axes": (0,)}),
        ("scatter_add", ["bool[3]", "bool[2]", "i64[2]"], {"axes": (0,)}),
        ("dynamic_slice", ["f64[3]", "i64[]"], {"sizes": (4,)}),
        ("dynamic_slice", ["f64[3]"], {"sizes": (2,)}),
        ("dynamic_slice", ["f64[3]", "i64[1]"], {"sizes": (2,)}),
        ("dynamic_update_slice", ["f64[3]", "f64[4]", "i64[]"], {}),
        ("take_along_axis", ["f64[3, 2]", "i64[3, 3]"], {"axis": 0}),
        ("one_hot", ["f64[3]"], {"size": 2}),
    ]:
        with pytest.raises(Error, match=name):
            op_func(name, *types, **attrs)
