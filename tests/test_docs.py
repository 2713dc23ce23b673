"""The documentation is executed: Python and commands are run, their output compared; `pytest --bless` writes it anew.

A fenced block ```` ```python ```` or ```` ```console ```` that is followed by ```` ```text ```` prints just that text. A block
```` ```rlx NAME ```` (or `c`, `rust`) is a file that later blocks may read; every `rlx` block parses. Commands that run other compilers, and
what these have made, are run where there are such compilers.
"""

import contextlib
import io
import math
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import rlxc
from rlxc.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NUMBER = re.compile(r"(?<![\w%.])-?\d+(?:\.\d*)?(?:e[-+]?\d+)?(?![\w.])")
COMPILERS = ("cc", "rustc")
FILES = ("rlx", "c", "rust")
BLOCK = re.compile(r"^```(\w+)(?: ([^\n]*))?\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def pages_with(*languages):
    return [p for p in PAGES if any(b[1] in languages for b in BLOCK.finditer(p.read_text()))]


def run_console(text):
    """Output of `$ rlxc ...` lines: stdout and stderr together, as a terminal shows them. None where a compiler is missing."""
    commands = [shlex.split(line[2:]) for line in text.splitlines() if line.startswith("$ ")]
    if any(words[0] in COMPILERS and not shutil.which(words[0]) for words in commands):
        return None
    out = io.StringIO()
    for words in commands:
        if words[0] == "rlxc":
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                main(words[1:])
        else:
            assert words[0] in COMPILERS or words[0].startswith("./"), "only rlxc, compilers and what they have made are run here"
            out.write(subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout)
    return out.getvalue()


def run_python(text, namespace, page):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, str(page), "exec"), namespace)
    return out.getvalue()


def same_text(printed, expected):
    """Equal but for the last digits of numbers, which may differ from one processor to another."""
    got, want = NUMBER.findall(printed), NUMBER.findall(expected)
    if NUMBER.sub("#", printed) != NUMBER.sub("#", expected) or len(got) != len(want):
        return False
    return all(math.isclose(float(x), float(y), rel_tol=1e-3, abs_tol=1e-3) for x, y in zip(got, want, strict=True))


@pytest.mark.parametrize("page", pages_with("python", "console"), ids=lambda p: p.name)
def test_code_prints_what_the_page_says(page, tmp_path, monkeypatch, request):
    text = page.read_text()
    monkeypatch.chdir(tmp_path)
    namespace = {}
    fresh, at = [], 0
    blocks = list(BLOCK.finditer(text))
    for i, block in enumerate(blocks):
        language, name, body = block[1], block[2], block[3]
        if language in FILES and name:
            Path(name).write_text(body)
        if language not in ("python", "console"):
            continue
        printed = run_python(body, namespace, page) if language == "python" else run_console(body)
        if printed is None:
            break  # what follows may need what the compiler would have made
        printed = "".join(f"{line.rstrip()}\n" for line in printed.rstrip().splitlines())
        follower = blocks[i + 1] if i + 1 < len(blocks) and blocks[i + 1][1] == "text" and not text[block.end() : blocks[i + 1].start()].strip() else None
        if request.config.getoption("--bless", default=False):
            fresh.append(text[at : block.end()])
            at = follower.end() if follower else block.end()
            fresh.append(f"\n```text\n{printed}```\n" if printed else "")
        else:
            expected = follower[3] if follower else ""
            assert same_text(printed, expected), f"{page.name}: after\n{body}\nit prints\n{printed}"
    if fresh:
        page.write_text("".join(fresh) + text[at:])


@pytest.mark.parametrize("page", pages_with("rlx"), ids=lambda p: p.name)
def test_every_program_on_the_page_parses(page):
    for block in BLOCK.finditer(page.read_text()):
        if block[1] == "rlx":
            module = rlxc.parse(block[3])
            assert rlxc.parse(str(module)) == module


@pytest.mark.parametrize(("page", "command"), [("ops.md", "ops"), ("passes.md", "passes")])
def test_generated_pages_are_up_to_date(page, command, capsys, request):
    assert main([command, "--markdown"]) == 0
    text = capsys.readouterr().out
    path = ROOT / "docs" / page
    if request.config.getoption("--bless", default=False):
        path.write_text(text)
    assert path.read_text() == text, f"run: rlxc {command} --markdown > docs/{page}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.rlx")), ids=lambda p: p.name)
def test_examples_parse_and_print_back(path):
    module = rlxc.load(path)
    assert rlxc.parse(str(module)) == module


def test_the_readme_starts_with_the_two_lines_that_set_up_everything():
    block = next(BLOCK.finditer((ROOT / "README.md").read_text()))
    first, second = block[3].splitlines()
    assert first.endswith("python examples/digits/train.py")
    assert second.endswith("python -m pytest")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
