"""What the tape does: who accumulates what, what is freed when, what is refused."""

import gc
import hashlib
import os
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import rlxc
from rlxc import eager
from rlxc.eager.tensor import MAX_RULES


def leaf(value):
    return eager.tensor(value, requires_grad=True)


# -- gradients of leaves


def test_gradients_add_up_until_they_are_zeroed():
    x = leaf(3.0)
    for expected in (6, 12):
        (x * x).backward()
        assert x.grad.item() == expected
    x.zero_grad()
    assert x.grad is None
    (x * x).backward()
    assert x.grad.item() == 6


def test_grad_leaves_the_gradients_of_leaves_alone():
    x, y = leaf(3.0), leaf(2.0)
    assert eager.grad(x * y, [x, y])[1].item() == 3
    assert x.grad is None
    assert y.grad is None


def test_grad_with_respect_to_what_was_computed():
    x = leaf(3.0)
    y = x * x
    z = y * y
    dy, dx = eager.grad(z, [y, x])
    assert (dy.item(), dx.item()) == (18, 108)


def test_grad_does_not_walk_where_no_input_is():
    x, y = leaf(3.0), leaf(2.0)
    aside = y * y
    aside.backward()  # its node is free now: to pass it would be an error
    assert eager.grad(x * 2.0 + aside, x).item() == 2


def test_an_input_that_no_output_depends_on():
    x, y = leaf(3.0), leaf(2.0)
    with pytest.raises(rlxc.DifferentiationError, match="no output depends on input 1"):
        eager.grad(x * x, [x, y])
    assert eager.grad(x * x, [x, y], allow_unused=True)[1] is None


def test_the_seed_is_the_cotangent():
    x = leaf(np.array([1.0, 2.0]))
    (x * x).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]
    with pytest.raises(rlxc.ArgumentError, match=r"f64\[2\], not f64\[3\]"):
        (x * x).backward(np.ones(3))
    with pytest.raises(rlxc.DifferentiationError, match="needs a seed"):
        (x * x).backward()


def test_a_leaf_is_its_own_derivative():
    x = leaf(3.0)
    x.backward(5.0)
    assert x.grad.item() == 5


# -- what is recorded


def test_what_does_not_need_a_gradient_is_not_recorded():
    y = eager.tensor(2.0) * 3.0
    assert (y.requires_grad, y.is_leaf, y._edge) == (False, True, None)
    with pytest.raises(rlxc.DifferentiationError, match="not recorded"):
        y.backward()


def test_nothing_is_recorded_under_no_grad():
    x = leaf(3.0)
    with eager.no_grad():
        y = x * x
        assert not eager.is_grad_enabled()
        with eager.enable_grad():
            z = x * x
    assert (y.item(), y.requires_grad, z.requires_grad) == (9, False, True)
    assert eager.is_grad_enabled()
    assert (x * x).requires_grad


def test_no_grad_holds_in_its_own_thread():
    x = leaf(3.0)
    seen = []
    with eager.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * x).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_stop_gradient_is_detach_of_tensors():
    x = leaf(3.0)
    (rlxc.stop_gradient(x) * x).backward()
    assert x.grad.item() == 3.0


def test_detach_stops_derivatives():
    x = leaf(3.0)
    y = x * x
    z = y.detach() * x
    z.backward()
    assert x.grad.item() == 9
    assert not y.detach().requires_grad


def test_integers_and_comparisons_are_not_recorded():
    x = leaf(np.array([1.0, -1.0]))
    assert not (x > 0).requires_grad
    with pytest.raises(rlxc.DifferentiationError, match=r"i64\[\] has no derivative"):
        eager.tensor(3, requires_grad=True)


def test_a_node_keeps_its_residuals_and_nothing_else():
    x, y = leaf(np.ones(1000)), leaf(np.ones(1000))
    assert (x + y)._edge.residuals == ()
    assert len((x * y)._edge.residuals) == 2
    assert len((x * x)._edge.residuals) == 1
    assert len((x * y.detach())._edge.residuals) == 1
    z = np.exp(x)
    assert z._edge.residuals[0] is z._data
    assert np.sin(x)._edge.residuals[0] is x._data
    assert np.sum(x)._edge.residuals == ()


# -- hooks


def test_hooks_see_and_change_cotangents():
    x = leaf(3.0)
    y = x * x
    seen = []
    y.register_hook(lambda ct: seen.append(ct.item()))
    remove = y.register_hook(lambda ct: ct * 10.0)
    x.register_hook(lambda ct: ct + 1.0)
    z = y * 2.0
    z.backward(retain_graph=True)
    assert (seen, x.grad.item()) == ([2], 121)
    remove()
    x.zero_grad()
    z.backward()
    assert x.grad.item() == 13


def test_a_hook_of_one_result_of_several():
    x = leaf(np.arange(4.0))
    a, b = np.split(x, 2)
    b.register_hook(lambda ct: ct * 10.0)
    eager.backward([a, b], [np.ones(2), np.ones(2)])
    assert x.grad.tolist() == [1, 1, 10, 10]


def test_a_hook_that_changes_the_type_is_refused():
    x = leaf(3.0)
    x.register_hook(lambda ct: np.ones(2))
    with pytest.raises(rlxc.ArgumentError, match=r"f64\[\], not f64\[2\]"):
        (x * x).backward()


def test_gradients_of_what_was_computed_are_kept_on_request():
    x = leaf(3.0)
    y = x * x
    assert y.grad is None
    y.retain_grad()
    (y * 2.0).backward()
    assert (y.grad.item(), x.grad.item()) == (2, 12)


# -- freed graphs


def test_a_second_backward_is_an_error_that_names_the_node():
    x = leaf(3.0)
    y = x * x
    y.backward()
    with pytest.raises(rlxc.DifferentiationError, match=r"through multiply\(f64\[\]") as error:
        y.backward()
    assert error.value.code == "RLX0321"
    assert error.value.diagnostics[0].labels[0].loc.line


def test_a_derivative_through_a_freed_graph_is_an_error_and_never_none():
    x = leaf(3.0)
    y = x * x
    z = np.sin(y)
    z.backward()
    for allow_unused in (False, True):
        with pytest.raises(rlxc.DifferentiationError, match="what it kept has been freed"):
            eager.grad(z + y, x, allow_unused=allow_unused)


def test_retain_graph_keeps_the_graph():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12


def test_residuals_are_freed_as_the_sweep_passes():
    alive = []
    x = leaf(np.ones(1000))
    y = np.exp(x)
    kept = weakref.ref(y._data)
    x.register_hook(lambda ct: alive.append(kept() is not None))
    z = np.sum(y)
    del y
    z.backward()
    assert alive == [False]


def test_a_tape_is_freed_with_its_result():
    x = leaf(np.ones(10))
    y = np.exp(x)
    kept = weakref.ref(y._data)
    del y
    gc.disable()
    try:
        assert kept() is None
    finally:
        gc.enable()


# -- arrays that nodes keep


def test_writing_to_a_kept_array_is_an_error():
    x = leaf(np.array([1.0, 2.0]))
    y = np.exp(x)
    for kept in (x, y):
        with pytest.raises(ValueError, match="read-only"):
            kept.numpy()[0] = 7.0
        with pytest.raises(ValueError, match="WRITEABLE"):
            kept.numpy().flags.writeable = True
        with pytest.raises(rlxc.ArgumentError, match="not assigned"):
            kept[0] = 7.0


def test_arrays_of_the_user_are_not_what_nodes_keep():
    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    x = leaf(a)
    y = x * b
    z = np.multiply(b, x)
    a[:] = b[:] = 100.0
    (y + z).backward(np.ones(2))
    assert x.grad.tolist() == [6, 8]
    assert x.tolist() == [1, 2]


def test_a_leaf_that_gets_another_value_leaves_the_tape_right():
    x = leaf(3.0)
    y = x * x
    with eager.no_grad():
        x -= 1.0
    y.backward()
    assert (x.item(), x.grad.item(), x.is_leaf) == (2, 6, True)
    x.assign(5.0)
    assert (x * 1.0).item() == 5
    with pytest.raises(rlxc.ArgumentError, match=r"f64\[\]"):
        x.assign(np.ones(3))
    with pytest.raises(rlxc.DifferentiationError, match="only a leaf"):
        y.assign(1.0)


def test_a_tensor_does_not_silently_become_an_array():
    x = leaf(3.0)
    with pytest.raises(rlxc.DifferentiationError, match="becomes an array"):
        np.asarray(x)
    assert np.asarray(x.detach()) == 3
    with eager.no_grad():
        assert np.asarray(x) == 3


# -- size


def test_a_tape_of_twenty_thousand_operations():
    def chain(n):
        x = leaf(1.0)
        y = x
        for _ in range(n):
            y = y * 1.0001
        start = time.perf_counter()
        y.backward()
        return x.grad.item(), time.perf_counter() - start

    chain(10)
    value, _ = chain(20_000)
    assert value == pytest.approx(1.0001**20_000, rel=1e-10)
    one, many = min(chain(5_000)[1] for _ in range(3)), min(chain(50_000)[1] for _ in range(3))
    assert many < 40 * one  # 10, if it is linear


def test_a_long_tape_that_is_never_walked_is_freed():
    y = leaf(1.0)
    for _ in range(200_000):
        y = y * 1.0
    del y


def test_a_thousand_uses_of_one_variable():
    x = leaf(np.ones(3))
    total = x * 0.0
    for i in range(1000):
        total = total + x * float(i)
    total.backward(np.ones(3))
    assert x.grad.tolist() == [499500.0] * 3


def test_large_sums_are_made_in_place_and_change_nothing_else():
    n = 20_000
    x, z = leaf(np.ones(n)), leaf(np.full(n, 2.0))
    seed = eager.tensor(np.ones(n))
    y = x + x + z + z + x + x * z + z
    y.retain_grad()
    y.backward(seed)
    assert set(x.grad.tolist()) == {5.0}
    assert set(z.grad.tolist()) == {4.0}
    assert set(seed.tolist()) == set(y.grad.tolist()) == {1.0}
    assert (set(x.tolist()), set(z.tolist())) == ({1.0}, {2.0})


def test_a_tower_of_squares_is_walked_once():
    x = leaf(1.0)
    y = x
    for _ in range(60):  # 2^60 paths
        y = y * y
    y.backward()
    assert x.grad.item() == 2.0**60


def test_gradients_have_the_same_bits_every_time():
    rng = np.random.default_rng(0)
    w, v = rng.standard_normal((16, 8)), rng.standard_normal((8, 4))

    def bits():
        a, b = leaf(w), leaf(v)
        h = np.tanh(a @ b)
        loss = np.sum(h * h) + np.mean(np.exp(a)) + np.linalg.norm(b) + np.sum(h)
        loss.backward()
        return hashlib.sha256(a.grad.numpy().tobytes() + b.grad.numpy().tobytes()).hexdigest()

    assert len({bits() for _ in range(5)}) == 1


def test_many_threads_record_and_walk_tapes_at_once():
    shared = leaf(2.0)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            a = rng.standard_normal(seed % 3 + 1)
            x = leaf(a)
            y = np.sum(np.sin(x) * x) * shared
            (dx,) = eager.grad(y, [x], retain_graph=True)
            y.backward()
            want = 2 * (np.sin(a) + a * np.cos(a))
            if not (np.allclose(dx.numpy(), want) and np.allclose(x.grad.numpy(), want)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
    total = sum(float(np.sum(np.sin(a) * a)) for i in range(8) for a in _arrays(i))
    assert shared.grad.item() == pytest.approx(total, rel=1e-12)  # no contribution is lost


def _arrays(seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(seed % 3 + 1) for _ in range(50)]


FORK = """
import os, threading
import numpy as np
from rlxc import eager

def step(n):
    x = eager.tensor(np.ones(n), requires_grad=True)
    np.sum(x * x).backward()
    return x.grad.tolist() == [2.0] * n

assert step(3)
stop = threading.Event()
def work():
    while not stop.is_set():
        step(3)
threads = [threading.Thread(target=work) for _ in range(2)]
for t in threads: t.start()
children = []
for n in range(3):
    child = os.fork()
    if not child:
        os._exit(0 if step(3) and step(n + 4) else 1)
    children.append(child)
codes = [os.waitpid(c, 0)[1] for c in children]
stop.set()
for t in threads: t.join()
assert codes == [0, 0, 0], codes
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_while_other_threads_record():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=120)


def test_rules_for_many_types_are_not_kept_for_ever():
    f = eager.function("func @f(%x: f64[N]) -> f64[N] { %y = neg %x return %y }")
    rules = f._recorded.rules
    for n in range(3):
        f(leaf(np.ones(n)))
    assert len(rules) == 3
    kept = next(iter(rules))
    rules.update({(kept, i): rules[kept] for i in range(MAX_RULES)})
    f(leaf(np.ones(7)))
    assert len(rules) == MAX_RULES
    assert kept not in rules


def test_seeds_and_gradients_are_made_of_numbers_or_fit():
    x, s = leaf(np.ones(2, np.float32)), leaf(3.0)
    (x * x).backward([1, 10.0])
    (s * s).backward(2)
    assert (x.grad.tolist(), s.grad.item()) == ([2, 20], 12)
    x.grad = [1, 2]
    assert x.grad.tolist() == [1, 2]
    assert x.grad.dtype == np.float32
    with pytest.raises(rlxc.Error, match=r"f32\[2\], not f64\[2\]"):
        (x * x).backward(np.ones(2))


def test_each_registration_of_a_hook_is_one_of_its_own():
    x, seen = leaf(1.0), []
    remove = x.register_hook(seen.append)
    x.register_hook(seen.append)
    remove()
    remove()
    (x * 2.0).backward()
    assert len(seen) == 1
    with pytest.raises(rlxc.Error, match="a hook is a function"):
        x.register_hook(3)


def test_a_kept_gradient_makes_no_cycle():
    x = leaf(np.ones(3))
    gc.disable()
    try:
        y, (q, _) = np.exp(x), np.linalg.qr(leaf(np.eye(2)))
        for value in (y, q):
            value.retain_grad()
            np.sum(value).backward(retain_graph=True)
            assert value.grad.tolist() == np.ones(value.shape).tolist()
        seen = [weakref.ref(v._data) for v in (y, q)]
        del y, q, _, value
        assert [r() for r in seen] == [None, None]
    finally:
        gc.enable()


def test_derivatives_of_a_constant_are_none_if_that_is_allowed():
    x = leaf(2.0)
    (slope,) = eager.grad(x * 3.0, [x], create_graph=True)
    assert eager.grad(slope, x, allow_unused=True) is None
    assert eager.grad([slope, x * x], [x], allow_unused=True)[0].item() == 4
    with pytest.raises(rlxc.Error, match="was not recorded"):
        eager.grad(slope, x)


def test_arrays_of_other_byte_orders_and_masks():
    assert (leaf(np.ones(2, ">f8")) * np.array([1.0, 2.0], ">f8")).tolist() == [1, 2]
    for use in (leaf, leaf(np.ones(2)).__mul__):
        with pytest.raises(rlxc.Error, match="would lose its mask"):
            use(np.ma.array([1.0, 2.0], mask=[0, 1]))


def test_numbers_that_a_narrow_integer_does_not_hold():
    x = eager.tensor(np.ones(2, np.int8))
    assert (x * 100).tolist() == [100, 100]
    for use in (lambda: x * 300, lambda: 300 + x, lambda: np.multiply(x, -129)):
        with pytest.raises(rlxc.Error, match="i8 does not hold"):
            use()


def test_an_argument_that_is_a_result_may_be_written_to_afterwards():
    x, a = leaf(np.array([1.0, 2.0])), np.array([5.0, 6.0])
    _, same = eager.function(lambda x, y: (x * 1.0, y))(x, a)
    loss = (x * same).sum()
    a[:] = 100
    loss.backward()
    assert x.grad.tolist() == [5, 6]


def test_which_input_requires_no_gradient_is_told():
    x, c = leaf(np.ones(2)), eager.tensor(np.ones(2))
    with pytest.raises(rlxc.DifferentiationError, match="input 1 does not require a gradient"):
        eager.grad((x * c).sum(), [x, c])
