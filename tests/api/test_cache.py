"""The cache on disk: the next process loads what this one compiled, and nothing that happens to the folder can do harm."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rlxc
from rlxc.runtime import cache, jit
from rlxc.runtime.compile import Native, native

PROGRAM = """func @f(%x: f32[8]) -> f32[8] {
  %a = exp %x
  %y = add %a, %x
  return %y
}
"""
X = np.linspace(-1, 1, 8, dtype=np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RLXC_CACHE", "1")
    monkeypatch.setenv("RLXC_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compiled(monkeypatch):
    """The LLVM IR that was compiled for a program, in order."""
    with monkeypatch.context() as before:
        before.setenv("RLXC_CACHE", "0")
        run()  # what a process needs once is there
    texts = []
    original = jit.object_code
    monkeypatch.setattr(jit, "object_code", lambda text, *rest: texts.append(text) or original(text, *rest))
    return texts


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.bin"))


def run(text: str = PROGRAM, **options) -> np.ndarray:
    return rlxc.compile(text, **options)(X)


def test_what_was_compiled_is_loaded(folder, compiled):
    first = run()
    second = run()
    assert len(compiled) == 1
    assert first.tobytes() == second.tobytes()
    info = rlxc.cache_info()
    assert (info.entries, info.hits, info.misses) == (1, 1, 1)
    assert info.path == str(folder)


def test_a_hit_lowers_nothing(folder, monkeypatch):
    run()
    monkeypatch.setattr(Native, "kernels", property(lambda self: pytest.fail("lowered again")))
    run()


def test_another_process_finds_it(folder):
    compile_it = f"y = rlxc.compile('''{PROGRAM}''')(np.linspace(-1, 1, 8, dtype=np.float32))"
    script = f"import numpy as np, rlxc\n{compile_it}\nprint(y.tobytes().hex(), rlxc.cache_info().hits)"
    lines = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    assert [line[0] for line in lines] == [run().tobytes().hex()] * 2
    assert [line[1] for line in lines] == ["0", "1"]


@pytest.mark.parametrize(
    "other",
    [
        PROGRAM.replace("add %a, %x", "sub %a, %x"),
        PROGRAM.replace("f32[8]", "f32[9]"),
        PROGRAM.replace("@f", "@g"),
        PROGRAM.replace("%a = exp %x", "%a = constant dense<1.0> : f32[8]"),
    ],
)
def test_other_programs_have_other_entries(folder, other):
    assert native(rlxc.parse(PROGRAM)["f"]).binary
    (func,) = rlxc.parse(other)
    assert native(func).binary
    assert len(entries(folder)) == 2


def test_names_of_values_make_no_difference(folder, compiled):
    run()
    run(PROGRAM.replace("%a", "%other").replace("%x", "%input"))
    assert len(compiled) == 1


@pytest.mark.parametrize("options", [{"vectorize": False}, {"fuse": False}, {"cpu": "plain"}, {"precision": "bf16"}, {"threads": 3}])
def test_options_count(folder, options):
    run()
    run(**options)
    assert len(entries(folder)) == 2


def test_what_a_called_function_does_counts(folder, compiled):
    text = "func @f(%x: f32[8]) -> f32[8] {\n  %y = call @g(%x)\n  return %y\n}\n\nfunc @g(%x: f32[8]) -> f32[8] {\n  %y = exp %x\n  return %y\n}\n"
    one = rlxc.compile(text, "f")(X)
    other = rlxc.compile(text.replace("exp", "sin"), "f")(X)
    assert len(compiled) == 2
    assert not np.array_equal(one, other)


def test_the_content_of_constants_in_files_counts(folder, compiled, tmp_path):
    text = 'func @f(%x: f32[8]) -> f32[8] {\n  %w = constant resource "w.npz" "w" : f32[8]\n  %y = add %x, %w\n  return %y\n}\n'
    (tmp_path / "f.rlx").write_text(text)
    for value, count in ((1.0, 1), (2.0, 2), (1.0, 2)):
        np.savez(tmp_path / "w.npz", w=np.full(8, value, np.float32) + np.arange(8, dtype=np.float32))
        np.testing.assert_allclose(rlxc.compile(tmp_path / "f.rlx")(X), X + value + np.arange(8), rtol=1e-6)
        assert len(compiled) == count


def test_ops_made_on_the_spot_are_not_kept(folder):
    @rlxc.register
    class Twice(rlxc.Elementwise):
        name = "twice_for_the_cache"
        samples = ()

        def eval(self, x):
            return x + x

        def scalar(self, e, x):
            return e.add(x, x)

    func = rlxc.parse("func @f(%x: f32[8]) -> f32[8] {\n  %y = twice_for_the_cache %x\n  return %y\n}\n")["f"]
    np.testing.assert_array_equal(rlxc.compile(func)(X), X + X)
    assert not entries(folder)


# what may happen to the folder


DAMAGES = [lambda b: b[:-1], lambda b: b"", lambda b: b[:40], lambda b: b[:100] + b"?" + b[101:], lambda b: b"other" + b, lambda b: b + b"\0"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_compiled_again(folder, compiled, damage):
    want = run()
    (entry,) = entries(folder)
    entry.write_bytes(damage(entry.read_bytes()))
    assert run().tobytes() == want.tobytes()
    assert len(compiled) == 2
    assert run().tobytes() == want.tobytes()
    assert len(compiled) == 2


def test_an_entry_under_another_key_is_not_taken(folder, compiled):
    run()
    (entry,) = entries(folder)
    other = native(rlxc.parse(PROGRAM.replace("exp", "sin"))["f"])
    assert other.binary
    (wrong,) = set(entries(folder)) - {entry}
    wrong.write_bytes(entry.read_bytes())
    np.testing.assert_allclose(run(PROGRAM.replace("exp", "sin")), np.sin(X) + X, rtol=1e-5)
    assert len(compiled) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_no_cache(folder, compiled):
    folder.mkdir()
    folder.chmod(0o500)
    run()
    run()
    assert len(compiled) == 2


def test_a_folder_that_cannot_be_made_is_no_cache(folder, compiled, monkeypatch):
    folder.write_text("a file is in the way")
    run()
    run()
    assert len(compiled) == 2
    monkeypatch.setenv("RLXC_CACHE_DIR", "/proc/no/such/place")
    run()
    assert len(compiled) == 3


def test_a_folder_that_everybody_may_write_to_is_not_trusted(folder, compiled):
    run()
    folder.chmod(0o777)
    run()
    assert len(compiled) == 2
    assert rlxc.cache_info().path is None


def test_it_can_be_turned_off(folder, compiled, monkeypatch):
    monkeypatch.setenv("RLXC_CACHE", "0")
    run()
    run()
    assert len(compiled) == 2
    assert not folder.exists()


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv("RLXC_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder_of_cache() == tmp_path / "rlxc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder_of_cache() == tmp_path / ".cache" / "rlxc"


def test_what_was_used_longest_ago_goes_first(tmp_path):
    store = cache.Store(tmp_path)
    for i in range(10):
        store.put(f"{i:02x}key", {"i": i}, bytes(1000))
        os.utime(store._place(f"{i:02x}key"), (i, i))
    assert store.get("00key") is not None  # used just now
    store.trim(6000, 5000)
    kept = {i for i in range(10) if store.get(f"{i:02x}key")}
    assert kept == {0, 7, 8, 9}


def test_the_limit_holds_while_entries_come(tmp_path):
    store = cache.Store(tmp_path, limit=20_000)
    for i in range(200):
        store.put(f"{i % 256:02x}{i}", {}, bytes(1000))
    assert store.info().bytes <= 20_000 + cache.PUTS_BETWEEN_TRIMS * 1100


def test_what_a_dead_writer_left_goes(tmp_path):
    store = cache.Store(tmp_path)
    store.put("aakey", {}, b"code")
    left = tmp_path / "aa" / "aaother.1.2.part"
    left.write_bytes(b"half")
    store.trim(1000, 1000)
    assert left.exists()  # perhaps it is being written
    os.utime(left, (0, 0))
    store.trim(1000, 1000)
    assert not left.exists()
    assert store.get("aakey") is not None


def test_many_processes_at_once(folder):
    script = f"""
import numpy as np, rlxc
for i in range(12):
    text = '''{PROGRAM}'''.replace('@f', f'@f{{i % 6}}')
    y = rlxc.compile(text)(np.linspace(-1, 1, 8, dtype=np.float32))
print(y.tobytes().hex())
"""
    workers = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {w.communicate()[0].strip() for w in workers}
    assert [w.returncode for w in workers] == [0] * 4
    assert answers == {run().tobytes().hex()}
    assert len(entries(folder)) == 7
    assert not list(folder.glob("*/*.part"))
    info = rlxc.cache_info()
    assert info.hits + info.misses == 49


# the command


def command(*argv: str) -> str:
    return subprocess.run([sys.executable, "-m", "rlxc", "cache", *argv], capture_output=True, text=True, check=True).stdout


def test_the_command_shows_and_clears(folder):
    run()
    run()
    assert command("path").strip() == str(folder)
    shown = json.loads(command("--json"))
    assert shown["entries"] == shown["hits"] == shown["misses"] == 1
    assert "hits             1 of 2" in command()
    assert json.loads(command("--limit", "1K", "--json"))["entries"] == 0
    run()
    command("clear")
    assert json.loads(command("show", "--json")) == {**shown, "entries": 0, "bytes": 0, "hits": 0, "misses": 0}


@pytest.mark.parametrize(("text", "bytes"), [("100", 100), ("3K", 3072), ("2 MB", 2 << 20), ("1g", 1 << 30)])
def test_sizes(text, bytes):
    assert cache.parse_bytes(text) == bytes


@pytest.mark.parametrize("text", ["", "M", "-3", "1.5G", "many"])
def test_what_is_no_size(text):
    with pytest.raises(rlxc.PassError, match="not a size"):
        cache.parse_bytes(text)
