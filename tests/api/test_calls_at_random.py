"""Random calls, right and wrong ones: the wrapper and plain Python give the same results, or raise the same error."""

import random

import numpy as np
import pytest

import rlxc
from rlxc.runtime.compiled import Compiled
from rlxc.runtime.python_objects import supported

pytestmark = pytest.mark.skipif(not supported(), reason="this Python has no quick calls")

PROGRAMS = [
    """
func @mixed(%x: f32[2, 3], %n: i32[3], %k: f64[], %b: bool[], %s: f32[]) -> (f32[2, 3], i32[3], f64[], bool[]) {
  %y = mul %x, %s
  %m = neg %n
  %l = add %k, %k
  %c = not %b
  return %y, %m, %l, %c
}""",
    """
func @one(%x: f32[2, 3], %s: f32[]) -> f32[2, 3] {
  %y = mul %x, %s
  return %y
}""",
    """
func @sized(%x: f32[M, 3], %y: f32[M], %s: f32[]) -> (f32[M, 3], f32[M]) {
  %a = mul %x, %s
  %b = neg %y
  return %a, %b
}""",
]


class Mine(np.ndarray):
    pass


def as_it_should_be(rng, type_, sizes):
    shape = tuple(sizes if not isinstance(n, int) else n for n in type_.shape)
    return np.array(rng.choices(range(5), k=int(np.prod(shape)))).astype(type_.dtype.numpy).reshape(shape)


def disturbed(rng, x):
    """An array, or something else, that may or may not be taken for `x`."""
    ways = [
        lambda: x[::-1].copy()[::-1] if x.ndim else x[()],
        lambda: np.asfortranarray(x),
        lambda: x.astype(rng.choice(["f4", "f8", "i4", "i8", "?", "c8", ">f4", ">i4", "q"])),
        lambda: x.tolist(),
        lambda: x.view(Mine),
        lambda: np.ma.array(x),
        lambda: x.reshape(x.shape[::-1]),
        lambda: x.reshape(-1),
        lambda: x[..., None],
        lambda: x[:1] if x.ndim else x,
        lambda: rng.choice([0, 1, -1.5, 1e39, float("nan"), True, 10**30, None, "x", 1j]),
        lambda: x.view(np.dtype(x.dtype.str, copy=True)),
        lambda: memoryview(x),
    ]
    return rng.choice(ways)()


def random_call(rng, func):
    sizes = rng.choice([1, 2, 2, 3])
    args = [as_it_should_be(rng, a.type, sizes) for a in func.args]
    outs = [as_it_should_be(rng, v.type, sizes) for v in func.results]
    for xs, share in ((args, 0.15), (outs, 0.1)):
        for i, x in enumerate(xs):
            if rng.random() < share:
                xs[i] = disturbed(rng, x)
    if rng.random() < 0.05:
        outs[0] = args[0]
    if rng.random() < 0.05:
        outs[-1] = outs[0]
    if rng.random() < 0.05 and isinstance(outs[0], np.ndarray):
        outs[0].flags.writeable = False
    names = list(func.arg_names)
    split = rng.choice([len(args), len(args), rng.randrange(len(args) + 1)])
    positional, named = args[:split], dict(zip(names[split:], args[split:], strict=True))
    if rng.random() < 0.2:
        named = dict(rng.sample(list(named.items()), len(named)))
    if rng.random() < 0.04 and positional:
        positional.pop()
    if rng.random() < 0.04:
        positional.append(args[0])
    if rng.random() < 0.04:
        named[rng.choice(["x", "s", "zz", "%s"])] = args[-1]
    if rng.random() < 0.5:
        named["out"] = rng.choice([tuple(outs), tuple(outs), outs[0] if len(outs) == 1 else tuple(outs), list(outs), outs[0], tuple(outs[1:]), None])
    return positional, named


def outcome(f, positional, named):
    """What a call gives, and what is in `out` after it; or what it says."""
    try:
        results = f(*positional, **named)
    except rlxc.Error as error:
        return type(error), str(error)
    several = results if isinstance(results, tuple) else (results,)
    return type(results), [(r.dtype, r.shape, r.tobytes()) for r in several]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_wrapper_and_python_agree(program):
    rng = random.Random(5)
    quick = rlxc.compile(program)
    plain = Compiled(quick.func, quick._engine)
    assert type(quick) is not Compiled
    raised = 0
    for _ in range(3000):
        positional, named = random_call(rng, quick.func)
        before = [x.copy() if isinstance(x, np.ndarray) else x for x in positional]
        kept = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in named.items() if k != "out"}
        got = outcome(quick, positional, named)
        # an argument may have been written to as `out`
        for x, y in zip([*positional, *(named[k] for k in kept)], [*before, *kept.values()], strict=True):
            if isinstance(x, np.ndarray) and x.flags.writeable and not isinstance(x, np.ma.MaskedArray):
                x[...] = y
        want = outcome(plain, positional, named)
        assert got == want, (positional, named)
        raised += issubclass(want[0], Exception)
    assert 500 < raised < 2500
