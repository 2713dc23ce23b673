"""Ops that move elements: broadcast, reshape, transpose, reverse, slice, pad, concat and what is made of them."""

import numpy as np
import pytest
from checks import apply, check_infer_raises_only_errors, check_op, close, op_func, run

from rlxc.errors import AttrError, Error, ShapeError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.interp import interpret
from rlxc.ir.types import ANY, DType, parse_type
from rlxc.passes.legalize import legalize
from rlxc.passes.simplify import simplify

OPS = ["broadcast", "reshape", "transpose", "reverse", "slice", "pad", "concat", "stack", "squeeze", "expand_dims"]


@pytest.mark.parametrize("name", OPS)
def test_the_rules_agree_on_all_samples(name):
    check_op(name, orders=2)


@pytest.mark.parametrize("name", [*OPS, "split"])
def test_infer_raises_nothing_but_errors(name):
    check_infer_raises_only_errors(name, np.random.default_rng(1))


def data(dtype, shape):
    counts = np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    return (counts % 2 == 1) if dtype == "bool" else counts.astype(DType(dtype).numpy)


@pytest.mark.parametrize("dtype", ANY)
def test_every_dtype_is_moved_as_it_is(dtype):
    x = data(dtype, (2, 3))
    v = data(dtype, ())
    cases = [
        ("broadcast", (x,), {"shape": (2, 2, 3), "axes": (1,)}, np.broadcast_to(x[:, None], (2, 2, 3))),
        ("reshape", (x,), {"shape": (3, 2)}, x.reshape(3, 2)),
        ("transpose", (x,), {"perm": (1, 0)}, x.T),
        ("reverse", (x,), {"axes": (1,)}, x[:, ::-1]),
        ("slice", (x,), {"start": (0, 0), "stop": (2, 3), "step": (1, 2)}, x[:, ::2]),
        ("pad", (x, v), {"low": (1, 0), "high": (0, 2)}, np.pad(x, ((1, 0), (0, 2)), constant_values=v)),
        ("concat", (x, x), {"axis": 1}, np.concatenate([x, x], 1)),
        ("stack", (x, x), {"axis": 2}, np.stack([x, x], 2)),
    ]
    for name, arrays, attrs, want in cases:
        close(apply(name, *arrays, **attrs), want)


def test_pad_puts_gaps_between_elements():
    close(apply("pad", np.array([1.0, 2.0, 3.0]), np.array(9.0), low=(1,), high=(0,), interior=(2,)), [9, 1, 9, 9, 2, 9, 9, 3])


def test_a_negative_pad_is_refused_with_help():
    with pytest.raises(AttrError, match="use slice"):
        op_func("pad", "f64[3]", "f64[]", low=(-1,), high=(0,))


def test_a_slice_must_lie_inside():
    for start, stop, step in [((0,), (4,), None), ((-1,), (2,), None), ((2,), (1,), None), ((0,), (3,), (0,)), ((0, 0), (1, 1), None)]:
        with pytest.raises(AttrError, match="slice"):
            op_func("slice", "f64[3]", start=start, stop=stop, step=step)


def test_a_named_dimension_can_be_sliced_and_padded_around():
    b = Builder()
    x = Value(parse_type("f32[B, 4]"))
    assert str(b.slice(x, start=(0, 1), stop=(x.type.shape[0], 3)).type) == "f32[B, 2]"
    assert str(b.pad(x, b.constant(0.0, type=parse_type("f32[]")), low=(0, 1), high=(0, 0)).type) == "f32[B, 5]"
    assert str(b.concat(x, x, axis=1).type) == "f32[B, 8]"
    assert [str(p.type) for p in b.split(x, axis=1, sizes=(1, 3))] == ["f32[B, 1]", "f32[B, 3]"]
    with pytest.raises(ShapeError, match="no size yet"):
        b.concat(x, x, axis=0)


def test_split_gives_each_part():
    x = np.arange(12.0).reshape(2, 6)
    func = op_func("split", "f64[2, 6]", axis=1, sizes=(1, 0, 5))
    for f in (func, legalize.on_func(func)):
        for part, want in zip(interpret(f, [x]), (x[:, :1], x[:, 1:1], x[:, 1:]), strict=True):
            close(part, want)


def chain(type, *steps):
    """A function that applies ops one after the other: `(name, attrs)` or a function of builder and value."""
    b = Builder()
    x = Value(parse_type(type), "x")
    y = x
    for step in steps:
        y = step(b, y) if callable(step) else getattr(b, step[0])(y, **step[1])
    return Func("f", (x,), tuple(b.ops), (y,))


@pytest.mark.parametrize(
    ("type", "steps", "left"),
    [
        ("f64[2, 3]", [("reshape", {"shape": (6,)}), ("reshape", {"shape": (2, 3)})], 0),
        ("f64[2, 3]", [("reshape", {"shape": (6,)}), ("reshape", {"shape": (3, 2)})], 1),
        ("f64[2, 3]", [("transpose", {"perm": (1, 0)}), ("transpose", {"perm": (1, 0)})], 0),
        ("f64[2, 3, 4]", [("transpose", {"perm": (1, 2, 0)}), ("transpose", {"perm": (0, 2, 1)})], 1),
        ("f64[2, 1, 4]", [("transpose", {"perm": (1, 0, 2)})], 1),
        ("f64[2, 3]", [("broadcast", {"shape": (2, 3), "axes": ()})], 0),
        ("f64[3]", [("broadcast", {"shape": (2, 3), "axes": (0,)}), ("broadcast", {"shape": (2, 4, 3, 5), "axes": (1, 3)})], 1),
        ("f64[3]", [("reverse", {"axes": (0,)}), ("reverse", {"axes": (0,)})], 0),
        ("f64[3, 1, 2]", [("reverse", {"axes": (0, 1)}), ("reverse", {"axes": (2,)})], 1),
        ("f64[9]", [("slice", {"start": (0,), "stop": (9,)})], 0),
        ("f64[19]", [("slice", {"start": (2,), "stop": (19,), "step": (3,)}), ("slice", {"start": (1,), "stop": (6,), "step": (2,)})], 1),
        ("f64[9]", [("slice", {"start": (8,), "stop": (9,), "step": (5,)}), ("slice", {"start": (1,), "stop": (1,)})], 1),
        ("f64[3, 2]", [("reduce_sum", {"axes": ()})], 0),
        ("f64[3, 1]", [("reduce_max", {"axes": (1,)})], 1),
        ("f64[3]", [("broadcast", {"shape": (2, 3), "axes": (0,)}), ("reduce_sum", {"axes": (0,)})], 2),
        ("f64[3]", [("broadcast", {"shape": (2, 3), "axes": (0,)}), ("reduce_max", {"axes": (0, 1)})], 1),
        ("f64[3]", [("broadcast", {"shape": (2, 3, 4), "axes": (0, 2)}), ("reduce_min", {"axes": (0, 1)})], 2),
        ("f64[3]", [("concat", {"axis": 0})], 0),
        ("f64[1]", [("cumsum", {"axis": 0})], 0),
        ("f64[5]", [lambda b, x: b.concat(*b.split(x, axis=0, sizes=(2, 1, 2)), axis=0)], 0),
        ("f64[3]", [lambda b, x: b.pad(x, b.constant(0.0, type=parse_type("f64[]")), low=(0,), high=(0,))], 0),
        (
            "f64[3]",
            [lambda b, x: b.pad(b.pad(x, (z := b.constant(0.0, type=parse_type("f64[]"))), low=(1,), high=(0,), interior=(1,)), z, low=(2,), high=(3,))],
            2,
        ),
    ],
)
def test_what_cancels_or_merges_is_simplified(type, steps, left):
    func = legalize.on_func(chain(type, *steps))
    simple = simplify.on_func(func)
    x = np.random.default_rng(0).normal(size=func.args[0].type.shape)
    close(run(simple, x), run(func, x))
    assert len(simple.ops) == left, str(simple)


def test_errors_name_the_op_and_the_types():
    for name, types, attrs in [
        ("concat", ["f64[2]", "f32[2]"], {"axis": 0}),
        ("concat", ["f64[2, 3]", "f64[3, 3]"], {"axis": 1}),
        ("squeeze", ["f64[2, 3]"], {"axes": (0,)}),
        ("stack", ["f64[2]", "f64[3]"], {"axis": 0}),
        ("split", ["f64[5]"], {"axis": 0, "sizes": (2, 2)}),
        ("reverse", ["f64[5]"], {"axes": (0, 0)}),
    ]:
        with pytest.raises(Error, match=rf"{name}.*f64\[{types[0][4:-1]}\]"):
            op_func(name, *types, **attrs)
