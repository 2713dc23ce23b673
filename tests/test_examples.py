"""The examples run, and do what they say."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

import rlxc

DIGITS = Path(__file__).parent.parent / "examples" / "digits"


def test_the_digits_are_read_with_95_percent_or_better(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(DIGITS.parent.parent), os.environ.get("PYTHONPATH"))))}
    done = subprocess.run([sys.executable, DIGITS / "train.py"], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    (right,) = re.findall(r"accuracy on 359 held-out images: ([\d.]+)%", done.stdout)
    assert float(right) >= 95
    if importlib.util.find_spec("matplotlib"):
        for picture in ("loss.png", "predictions.png"):
            assert str(DIGITS / "out" / picture) in done.stdout
            assert (DIGITS / "out" / picture).read_bytes().startswith(b"\x89PNG")
    else:
        assert "matplotlib is not installed" in done.stdout


def test_the_data_is_what_its_readme_says():
    with np.load(DIGITS / "digits.npz") as data:
        images, labels = data["images"], data["labels"]
    assert (images.shape, images.dtype, images.max()) == ((1797, 8, 8), np.uint8, 16)
    assert sorted(set(labels.tolist())) == list(range(10))
    assert (DIGITS / "digits.npz").stat().st_size < 60_000


def test_the_loss_of_the_digits_is_the_same_interpreted_and_native():
    rng = np.random.default_rng(0)
    loss = rlxc.value_and_grad(rlxc.bind(rlxc.load(DIGITS / "digits.rlx")["loss"], B=5), wrt=["w1", "b1", "w2", "b2"])
    arrays = [rng.integers(0, 17, a.type.shape).astype(np.uint8) if a.name == "images" else None for a in loss.args]
    arrays[1] = rng.integers(0, 10, 5).astype(np.uint8)
    arrays[2:] = [0.2 * rng.standard_normal(a.type.shape).astype(np.float32) for a in loss.args[2:]]
    for native, meant in zip(rlxc.compile(loss)(*arrays), rlxc.interpret(loss, *arrays), strict=True):
        np.testing.assert_allclose(native, meant, rtol=1e-4, atol=1e-5)
