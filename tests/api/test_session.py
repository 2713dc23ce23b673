"""Session: compile, set parameters, run."""

import numpy as np
import pytest

import rlxc

TEXT = """
func @f(%x: f32[2, 3], param %w: f32[3], param %v: f32[]) -> (f32[2, 3], f32[2, 3]) {
  %y = mul %x, %w
  %z = mul %y, %v
  return %y, %z
}
"""
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def program():
    return rlxc.Session(device="cpu").compile(TEXT)


def test_run_gives_a_list_of_arrays():
    p = program()
    p.set_param("w", [1, 2, 3])
    p.set_param("v", 2.0)
    for outs in (p.run({"x": X}), p.run(x=X)):
        assert isinstance(outs, list)
        np.testing.assert_array_equal(outs[1], X * [1, 2, 3] * 2)


def test_a_param_that_is_not_set_is_named():
    p = program()
    p.set_param("w", [1, 2, 3])
    with pytest.raises(rlxc.ArgumentError, match=r"params that are not set: %v: f32\[\]"):
        p.run(x=X)
    p.run(x=X, v=1.0)


def test_a_param_is_checked_and_copied():
    p = program()
    with pytest.raises(rlxc.UnknownName, match="no argument %u"):
        p.set_param("u", [1.0])
    with pytest.raises(rlxc.ArgumentError, match=r"%w is f32\[3\], not f64\[3\]"):
        p.set_param("w", np.zeros(3))
    w = np.ones(3, np.float32)
    p.set_param("w", w)
    p.set_param("v", 1.0)
    w[:] = 9
    np.testing.assert_array_equal(p.run(x=X)[0], X)


@pytest.mark.parametrize("name", ["p.npz", "p.safetensors"])
def test_params_come_from_files(tmp_path, name):
    from rlxc.runtime.params import write_arrays

    write_arrays(tmp_path / name, {"w": np.float32([1, 2, 3]), "v": np.float32(2), "other": np.zeros(1)})
    p = program()
    p.load_params(tmp_path / name)
    np.testing.assert_array_equal(p.run(x=X)[1], X * [1, 2, 3] * 2)
    write_arrays(tmp_path / name, {"w": np.float32([1, 2, 3]), "vv": np.float32(2)})
    with pytest.raises(rlxc.ArgumentError, match="no array for param %v"):
        p.load_params(tmp_path / name)


def test_there_is_one_device():
    with pytest.raises(rlxc.Unsupported, match="no device 'tpu'"):
        rlxc.Session("tpu")
