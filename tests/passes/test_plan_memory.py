"""The planner of memory: what lives at once never overlaps, and little is wasted."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlxc
from rlxc.ir.interp import interpret
from rlxc.passes.memory.lifetimes import Lifetime, lifetimes
from rlxc.passes.memory.placement import by_size, in_order, most_at_once, place
from rlxc.passes.pipelines import make_pipeline

BUFFERS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30), st.integers(0, 12)), max_size=40)
WAYS = [in_order, by_size, place]


@pytest.mark.parametrize("way", WAYS)
@given(buffers=BUFFERS)
def test_buffers_that_live_at_once_do_not_overlap(way, buffers):
    sizes, firsts, lasts = [64 * b[0] for b in buffers], [b[1] for b in buffers], [b[1] + b[2] for b in buffers]
    offsets, total = way(sizes, firsts, lasts)
    for i in range(len(buffers)):
        assert 0 <= offsets[i] <= total - sizes[i]
        assert offsets[i] % 64 == 0
        for j in range(i):
            apart_in_time = lasts[i] < firsts[j] or lasts[j] < firsts[i]
            apart_in_space = offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
            assert apart_in_time or apart_in_space
    brute = max((sum(s for s, f, m in zip(sizes, firsts, lasts, strict=True) if f <= t <= m) for t in range(60)), default=0)
    assert most_at_once(sizes, firsts, lasts) == brute <= total


def drawn(n: int, seed: int = 0):
    """Buffers as programs have them: each made by an op of its own, most of them short-lived, some as long as the program."""
    rng = random.Random(seed)
    sizes = [64 * rng.choice([1, 4, 1000, 1000, 3000, rng.randint(1, 5000)]) for _ in range(n)]
    lives = [rng.choice([1, 1, 2, 5, 30, n]) for _ in range(n)]
    return sizes, list(range(n)), [min(i + life, n) for i, life in enumerate(lives)]


def test_little_is_wasted():
    for seed in range(5):
        buffers = drawn(300, seed)
        assert place(*buffers)[1] <= 1.12 * most_at_once(*buffers)


def test_values_of_a_backward_pass_die_in_the_reverse_order_of_their_birth_and_waste_nothing():
    n = 200
    sizes = [64 * (1 + i % 7) for i in range(n)]
    assert place(sizes, list(range(n)), [2 * n - i for i in range(n)])[1] == sum(sizes)


def test_the_time_to_place_many_buffers_is_about_linear():
    def seconds(n):
        buffers = drawn(n)
        start = time.process_time()
        place(*buffers)
        return time.process_time() - start

    seconds(1000)
    assert seconds(60_000) < max(20 * seconds(6_000), 1.0)


FUNC = """
kernel @f(%x: mem f32[64], %y: mem f32[64]) {
  %a = alloc : mem f32[64]
  call @k(%x, %a)
  %0 = view %a {shape = [64]} : mem f32[64]
  %b = alloc : mem f32[64]
  call @k(%0, %b)
  %c = alloc : mem f32[64]
  call @k(%b, %c)
  call @k(%c, %y)
}
kernel @k(%x: mem f32[64], %y: mem f32[64]) {
  for %i in 0..64 {
    %0 = load %x, %i : f32
    %1 = add %0, %0 : f32
    store %y, %1, %i
  }
}
"""


def test_lifetimes_go_from_the_first_use_to_the_last_be_it_through_views():
    ops = rlxc.parse(FUNC)["f"].ops
    a, b, c = (op.result for op in ops if getattr(op.prim, "allocates", False))
    assert lifetimes(ops, {a, b, c}) == {a: Lifetime(1, 4), b: Lifetime(4, 6), c: Lifetime(6, 7)}


def test_a_planned_kernel_prints_and_parses_and_computes_the_same():
    planned = make_pipeline("plan-memory").run(rlxc.parse(FUNC))
    assert rlxc.parse(str(planned)) == planned
    assert make_pipeline("plan-memory").run(planned) == planned
    x, y = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    interpret(planned["f"], [x, y])
    np.testing.assert_array_equal(y, 16 * x)


@pytest.mark.parametrize(
    "line",
    [
        "%s = slot %x {offset = 0} : mem f32[2]",
        "%s = slot %a {offset = 32} : mem f32[2]",
        "%s = slot %a {offset = -64} : mem f32[2]",
        "%s = slot %a {offset = 64} : mem f32[17]",
    ],
)
def test_a_slot_lies_in_a_block_of_bytes_at_a_line_of_the_cache(line):
    with pytest.raises(rlxc.Error, match="slot"):
        rlxc.parse(f"kernel @f(%x: mem f32[64]) {{\n  %a = alloc : mem u8[128]\n  {line}\n}}")
