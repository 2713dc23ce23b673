"""Contractions by schedule against f64 sums: every role of axes, sizes around tiles and vectors, blocks of rows and of the summed axis."""

import numpy as np
import pytest

import rlxc
from rlxc.ir.interp import interpret
from rlxc.passes.pipelines import make_pipeline
from rlxc.runtime.compile import native
from rlxc.runtime.cpu import LEVELS, target_cpu

RNG = np.random.default_rng(11)


def available_levels() -> list[str]:
    return [level for level in LEVELS[1:] if _has(level)]


def _has(level: str) -> bool:
    try:
        target_cpu(level)
    except rlxc.Error:
        return False
    return True


def sized(spec: str, sizes: dict[str, int]) -> tuple[list[list[int]], list[int]]:
    operands, out = spec.split("->")
    return [[sizes[a] for a in letters] for letters in operands.split(",")], [sizes[a] for a in out]


def program(spec: str, sizes: dict[str, int], dtype: str = "f32", after: str = "") -> str:
    (x, y), out = sized(spec, sizes)
    return f"""
func @f(%x: {dtype}{x}, %y: {dtype}{y}) -> {dtype}{out} {{
  %z = contract %x, %y {{spec = "{spec}"}}
  {after or "return %z"}
}}"""


def operands(spec: str, sizes: dict[str, int], dtype: str = "f32") -> list[np.ndarray]:
    numpy = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i8": np.int8}[dtype]
    shapes = sized(spec, sizes)[0]
    if dtype.startswith("i"):
        return [RNG.integers(-100, 100, s).astype(numpy) for s in shapes]
    return [RNG.standard_normal(s).astype(numpy) for s in shapes]


def check(spec: str, sizes: dict[str, int], dtype: str = "f32", **options) -> None:
    x, y = operands(spec, sizes, dtype)
    (got,) = native(rlxc.parse(program(spec, sizes, dtype)).funcs[0], **options).executable()(x, y)
    if dtype.startswith("i"):
        np.testing.assert_array_equal(got, np.einsum(spec, x, y))
        return
    want = np.einsum(spec, x.astype(np.float64), y.astype(np.float64), optimize=True)
    bound = np.einsum(spec, abs(x.astype(np.float64)), abs(y.astype(np.float64)), optimize=True)
    assert np.all(abs(got - want) <= 4 * np.finfo(x.dtype).eps * bound * max(1, np.sqrt(x.size / max(1, got.size)))), abs(got - want).max()


SPECS = ["mk,kn->mn", "km,kn->mn", "mk,nk->mn", "km,nk->mn", "mk,kn->nm"]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("size", [(1, 40, 33), (7, 1, 300), (5, 17, 16), (6, 64, 64), (13, 65, 31), (64, 96, 100), (97, 129, 50)], ids=str)
def test_all_transpositions_of_sizes_around_tiles(spec, size):
    check(spec, dict(zip("mnk", size, strict=True)))


@pytest.mark.parametrize("spec", SPECS[:3])
@pytest.mark.parametrize("size", [(20, 40, 2500), (700, 50, 700), (300, 300, 1100), (1300, 20, 40), (9, 1500, 1030)], ids=str)
def test_blocks_of_rows_and_of_the_summed_axis(spec, size):
    check(spec, dict(zip("mnk", size, strict=True)))


@pytest.mark.parametrize("level", available_levels())
@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "i8"])
def test_all_targets_and_dtypes(level, dtype):
    for spec in ("mk,kn->mn", "km,nk->mn"):
        check(spec, {"m": 29, "n": 45, "k": 37}, dtype, cpu=level)


AXES = [
    "bmk,bkn->bmn",
    "bshd,bthd->bhst",
    "bhst,bthd->bshd",
    "abk,kn->abn",
    "kabm,kabn->mn",
    "bsd,dhk->bhsk",
    "akb,bmk->am",
    "mak,nbk->manb",
    "ak,bk->ab",
    "xay,xby->ab",
    "ma,nb->mnab",
]


@pytest.mark.parametrize("spec", AXES)
def test_axes_in_any_role(spec):
    letters = dict.fromkeys(a for a in spec if a.isalpha())
    check(spec, dict(zip(letters, [9, 8, 19, 33, 7], strict=False)))


def test_several_summed_axes_in_blocks():
    check("abcm,cnba->mn", {"a": 3, "b": 40, "c": 70, "m": 20, "n": 30})
    check("abcm,cnba->mn", {"a": 3, "b": 2, "c": 2000, "m": 20, "n": 30})


@pytest.mark.parametrize("k", [100, 2500])
def test_what_follows_is_computed_on_the_way(k):
    sizes = {"m": 50, "n": 70, "k": k}
    after = "%c = constant dense<1.5> : f32[]  %a = mul %z, %c  %r = relu %a  return %r"
    x, y = operands("mk,kn->mn", sizes)
    stages = native(rlxc.parse(program("mk,kn->mn", sizes, after=after)).funcs[0])
    assert len(stages.kernels.funcs) == 2, "one kernel, and the function that calls it"
    (got,) = stages.executable()(x, y)
    np.testing.assert_allclose(got, np.maximum(1.5 * (x.astype(np.float64) @ y), 0), rtol=1e-3, atol=1e-4)


def test_what_comes_before_is_read_on_the_way():
    text = """
func @f(%x: f32[40, 60], %y: f32[80, 50]) -> f32[40, 50] {
  %o = constant dense<0> : f32[]
  %a = pad %x, %o {low = [0, 2], high = [0, 1]}
  %b = slice %y {start = [5, 0], stop = [68, 50]}
  %z = contract %a, %b {spec = "mk,kn->mn"}
  return %z
}"""
    x, y = RNG.standard_normal((40, 60)).astype("f"), RNG.standard_normal((80, 50)).astype("f")
    func = rlxc.parse(text).funcs[0]
    (got,) = native(func).executable()(x, y)
    np.testing.assert_allclose(got, np.pad(x, ((0, 0), (2, 1))) @ y[5:68], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spec", ["mk,kn->mn", "km,nk->mn", "bkm,bkn->bmn"])
def test_the_schedule_prints_parses_and_means_the_same(spec):
    sizes = {"m": 7, "n": 18, "k": 11, "b": 2}
    arrays = operands(spec, sizes)
    module = make_pipeline("legalize,fuse,lower{bytes = 16, registers = 16},form-fma").run(rlxc.parse(program(spec, sizes)))
    assert rlxc.parse(str(module)) == module
    out = np.zeros(sized(spec, sizes)[1], np.float32)
    interpret(module["f"], [*arrays, out])
    np.testing.assert_allclose(out, np.einsum(spec, *arrays), rtol=1e-4, atol=1e-5)


def test_a_column_of_nan_stays_in_its_place():
    x, y = operands("mk,kn->mn", {"m": 20, "n": 37, "k": 40})
    y[3, 36] = np.nan
    (got,) = native(rlxc.parse(program("mk,kn->mn", {"m": 20, "n": 37, "k": 40})).funcs[0]).executable()(x, y)
    assert np.isnan(got[:, 36]).all()
    assert np.isfinite(got[:, :36]).all()


@pytest.mark.parametrize("spec", ["k,kn->n", "k,nk->n", "mk,k->m", "km,k->m", "bk,bkn->bn", "bk,bnk->bn", "bk,nbk->bn"])
@pytest.mark.parametrize("size", [(1, 300), (3, 100), (19, 33), (64, 64), (100, 1), (130, 70), (1000, 700)], ids=str)
@pytest.mark.parametrize("level", available_levels())
def test_a_row_times_a_matrix(spec, size, level):
    k, n = size
    check(spec, {"k": k, "n": n, "m": n, "b": 3}, cpu=level)
