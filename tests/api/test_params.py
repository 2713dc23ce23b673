"""Arrays in files: what is written is read, and hostile files are refused."""

import json
import random
import zipfile

import numpy as np
import pytest

import rlxc
from rlxc.runtime.params import read_arrays, write_arrays

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "s": np.array(1.5),
    "empty": np.zeros((0, 3), np.int8),
    "flags": np.array([True, False]),
    "f": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_arrays_read_back_as_they_were(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_arrays(path, ARRAYS)
    back = read_arrays(path)
    assert set(back) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_bfloat16_reads_back(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    write_arrays(tmp_path / "b.safetensors", {"b": array})
    back = read_arrays(tmp_path / "b.safetensors")["b"]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"w": {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": list(offsets)}}


HOSTILE = {
    "empty": b"",
    "short": b"\x01\x00",
    "a header longer than the file": safetensors(entry(), length=10**6),
    "a header of 2^64 - 1 bytes": b"\xff" * 8 + b"{}",
    "no JSON": safetensors(b"{]"),
    "no UTF-8": safetensors(b"\xff\xfe"),
    "a list": safetensors([1, 2]),
    "deep JSON": safetensors(b"[" * 200_000),
    "an entry that is no object": safetensors({"w": 3}),
    "an unknown dtype": safetensors(entry("F8"), bytes(8)),
    "a dtype that is a list": safetensors({"w": {"dtype": [], "shape": [], "data_offsets": [0, 0]}}),
    "a negative size": safetensors(entry(shape=(-2,)), bytes(8)),
    "a size that is no number": safetensors(entry(shape=("2",)), bytes(8)),
    "a size that is true": safetensors(entry("U8", (True,), (0, 1)), bytes(8)),
    "a huge shape": safetensors(entry(shape=(2**40, 2**40)), bytes(8)),
    "no shape": safetensors({"w": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)),
    "100 dimensions": safetensors(entry(shape=(1,) * 100, offsets=(0, 4)), bytes(8)),
    "offsets past the end": safetensors(entry(offsets=(4, 12)), bytes(8)),
    "offsets in the wrong order": safetensors(entry(offsets=(8, 0)), bytes(8)),
    "three offsets": safetensors(entry(offsets=(0, 4, 8)), bytes(8)),
    "too few bytes": safetensors(entry(offsets=(0, 4)), bytes(8)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_safetensors_file_is_refused(tmp_path, what):
    path = tmp_path / "x.safetensors"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(rlxc.FileError, match="not a safetensors file"):
        read_arrays(path)


def test_mutated_safetensors_files_are_read_or_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    write_arrays(path, ARRAYS)
    good = path.read_bytes()
    rng = random.Random(0)
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        path.write_bytes(bad[: rng.randint(0, len(bad))] if rng.random() < 0.3 else bad)
        try:
            for array in read_arrays(path).values():
                array.sum()
        except rlxc.FileError:
            pass


def test_other_files_are_refused(tmp_path):
    for name, data in {"x.npz": b"no zip", "y.npz": b"PK\x03\x04", "x.npy": b"\x93NUMPY\x01", "x.bin": b"", "e.npz": b""}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(rlxc.FileError):
            read_arrays(tmp_path / name)
    with pytest.raises(rlxc.FileError, match="cannot read"):
        read_arrays(tmp_path / "none.npz")
    np.save(tmp_path / "o.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(rlxc.FileError, match="plain array"):
        read_arrays(tmp_path / "o.npy")


PROGRAM = """func @f(%x: f32[2, 3]) -> f32[2, 3] {
  %w = constant resource "weights/w.npz" "KEY" : f32[2, 3]
  %y = add %x, %w
  return %y
}"""


def test_a_resource_is_read_from_beside_the_file(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    write_arrays(tmp_path / "weights" / "w.npz", ARRAYS)
    (tmp_path / "f.rlx").write_text(PROGRAM.replace("KEY", "a"))
    monkeypatch.chdir("/")
    f = rlxc.load(tmp_path / "f.rlx")["f"]
    for out in (rlxc.compile(f)(ARRAYS["a"]), rlxc.interpret(f, ARRAYS["a"])):
        np.testing.assert_array_equal(out, ARRAYS["a"] * 2)


@pytest.mark.parametrize(("key", "says"), [("aa", "did you mean 'a'"), ("s", r"is f64\[\], not f32\[2, 3\]")])
def test_a_resource_that_does_not_fit_is_an_error_at_the_constant(tmp_path, key, says):
    (tmp_path / "weights").mkdir()
    write_arrays(tmp_path / "weights" / "w.npz", ARRAYS)
    (tmp_path / "f.rlx").write_text(PROGRAM.replace("KEY", key))
    with pytest.raises(rlxc.FileError, match=says) as caught:
        rlxc.compile(tmp_path / "f.rlx")
    assert caught.value.loc.line == 2


def test_a_resource_without_its_file_is_an_error_at_the_constant(tmp_path):
    (tmp_path / "f.rlx").write_text(PROGRAM)
    with pytest.raises(rlxc.FileError, match="cannot read") as caught:
        rlxc.compile(tmp_path / "f.rlx")
    assert caught.value.loc.line == 2


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("header", ["{'descr':", "{'descr':'<f8','fortran_order':False,'shape':" + "(" * 5000])
def test_a_numpy_header_that_is_no_python_is_refused(tmp_path, suffix, header):
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    path = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        path.write_bytes(data)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", data)
    with pytest.raises(rlxc.FileError, match="plain array"):
        read_arrays(path)


def test_what_is_no_array_in_an_npz_is_left_out(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.ones(2))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes", b"hello")
    assert set(read_arrays(path)) == {"x"}
