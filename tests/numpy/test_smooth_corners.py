"""Derivatives where formulas have corners that functions do not have: at ties, at zero, where a branch is not taken."""

import math

import numpy as np
import pytest

import rlxc


def test_logaddexp_is_smooth_at_ties():
    h = rlxc.hessian(lambda x: np.logaddexp(x[0], x[1]))(np.array([0.7, 0.7]))
    np.testing.assert_allclose(h, [[0.25, -0.25], [-0.25, 0.25]], rtol=1e-12)
    assert rlxc.grad(np.logaddexp)(-np.inf, 1.0) == 0.0


def test_sinc_has_its_second_derivative_at_zero():
    second = rlxc.grad(rlxc.grad(np.sinc))
    assert second(0.0) == pytest.approx(-(math.pi**2) / 3, rel=1e-12)
    assert second(1e-5) == pytest.approx(-(math.pi**2) / 3, rel=1e-6)


def test_hypot_and_norm_at_zero_have_no_nan():
    assert rlxc.grad(lambda x: np.hypot(x, x))(0.0) == 0.0
    assert rlxc.grad(np.linalg.norm)(np.zeros(3)).tolist() == [0.0] * 3


def test_a_branch_that_is_not_taken_gives_no_nan():
    x = np.array([-1.0, 0.0, 4.0])
    assert rlxc.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)))(x).tolist() == [0.0, 0.0, 0.25]
    assert rlxc.grad(lambda x: np.nansum(np.log(x)))(np.array([-1.0, 2.0])).tolist() == [0.0, 0.5]
    assert rlxc.grad(lambda x: np.nanmean(np.sqrt(x)))(np.array([-1.0, 4.0])).tolist() == [0.0, 0.25]


def test_extremes_share_their_derivative():
    x = np.array([3.0, 1.0, 3.0])
    assert rlxc.grad(np.max)(x).tolist() == [0.5, 0.0, 0.5]
    assert rlxc.grad(np.median)(np.array([4.0, 1.0, 2.0, 3.0])).tolist() == [0.0, 0.0, 0.5, 0.5]
    assert rlxc.grad(lambda x: np.prod(x))(np.array([0.0, 2.0, 3.0])).tolist() == [6.0, 0.0, 0.0]


def test_indices_have_no_derivative_and_values_do():
    x = np.array([0.5, 2.0, 1.0])
    assert rlxc.grad(lambda x: x[np.argmax(x)])(x).tolist() == [0.0, 1.0, 0.0]
    assert rlxc.grad(lambda x: np.sum(np.sort(x) * np.arange(3.0)))(x).tolist() == [0.0, 2.0, 1.0]
