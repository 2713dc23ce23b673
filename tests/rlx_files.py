"""Test files in `.rlx`: what their comments say is done and compared.

// RUN: rlxc opt %s -p cse          the command is run in this process; its output must meet the CHECK lines
// RUN: not rlxc opt %s -p cse      the command must fail; its messages are checked
// RUN: rlxc opt %s -p cse | check ADJOINT      with another prefix than CHECK
// RUN-EXACT: rlxc opt %s -p cse    the output is what the lines `//| ...` of the file say; `pytest --bless` writes them anew
// run: @f([1.0, 2.0]) == [0.5]     what @f gives, as it stands and after each RUN, interpreted and native; `~=` allows rounding
// error: no op 'sinn'              the diagnostic for this line of the file
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import shlex
from pathlib import Path
from typing import Any

import filecheck
import numpy as np
import pytest

import rlxc
from rlxc.cli import main
from rlxc.errors import Error
from rlxc.ir.core import Func, Module
from rlxc.passes.pipelines import make_pipeline
from rlxc.runtime.compile import compile_func

RUN = re.compile(r"\s*//\s*RUN:\s*(not\s+)?rlxc\s+(.*?)(?:\s*\|\s*check\s+([A-Z]\w*))?\s*$")
EXACT = re.compile(r"\s*//\s*RUN-EXACT:\s*rlxc\s+(.*?)\s*$")
EXECUTE = re.compile(r"\s*//\s*run:\s*@([\w.]+)\((.*)\)\s*(==|~=)\s*(.*?)\s*$")
ERROR = re.compile(r"//\s*error:\s*(.*?)\s*$")


class RlxFile(pytest.File):
    """One test a command, one a line of execution, and one for the errors."""

    def collect(self):
        source = self.path.read_text()
        lines = source.splitlines()
        for number, line in enumerate(lines, 1):
            if re.match(r"\s*//\s*(RUN|run)\b.*:", line) and not any(p.match(line) for p in (RUN, EXACT, EXECUTE)):
                yield RlxItem.from_parent(self, name=f"line {number}", check=lambda line=line: pytest.fail(f"not a command: {line.strip()}"))
            if m := RUN.match(line):
                yield RlxItem.from_parent(self, name=f"line {number}", check=lambda m=m: self.command(source, m[2], bool(m[1]), m[3] or "CHECK"))
            elif m := EXACT.match(line):
                yield RlxItem.from_parent(self, name=f"line {number}", check=lambda m=m: self.exact(source, m[1]))
            elif m := EXECUTE.match(line):
                yield RlxItem.from_parent(self, name=f"line {number}", check=lambda m=m: self.execute(source, *m.groups()))
        if any(ERROR.search(line) for line in lines):
            yield RlxItem.from_parent(self, name="errors", check=lambda: self.errors(source))

    def command(self, source: str, words: str, fails: bool, prefix: str) -> None:
        if any(ERROR.search(line) for line in source.splitlines()):
            return  # the errors are compared instead
        code, out, messages = run_command(self.path, words)
        if fails:
            assert code, f"rlxc {words} did not fail"
            out = messages
        else:
            assert not code, f"rlxc {words} failed:\n{messages}"
        if prefix != "CHECK" or filecheck.directives_of(source):  # without any, to succeed is enough
            filecheck.check(out, source, prefix)

    def exact(self, source: str, words: str) -> None:
        code, out, messages = run_command(self.path, words)
        assert not code, f"rlxc {words} failed:\n{messages}"
        expected = [f"//| {line}".rstrip() for line in out.splitlines()]
        kept = [line for line in source.splitlines() if not line.startswith("//|")]
        if self.config.getoption("--bless"):
            self.path.write_text("\n".join([*kept, *expected]) + "\n")
            return
        found = [line.rstrip() for line in source.splitlines() if line.startswith("//|")]
        assert found == expected, "the output has changed; `pytest --bless` accepts it"

    def execute(self, source: str, name: str, arguments: str, relation: str, results: str) -> None:
        modules = [rlxc.parse(source, str(self.path))]
        for line in source.splitlines():
            if (m := RUN.match(line)) and not m[1] and (pipeline := pipeline_of(m[2])) is not None:
                modules.append(make_pipeline(pipeline).run(modules[0]))
        found = [m[name] for m in modules if name in m]
        assert found, f"there is no function @{name}"
        for func in found:
            want = read_values(results, [v.type for v in func.results])
            arrays = read_values(arguments, [a.type for a in func.args])
            for how, got in (("interpreted", rlxc.interpret(func, *arrays)), ("native", run_native(func, arrays))):
                for g, w in zip(got if isinstance(got, tuple) else (got,), want, strict=True):
                    assert_same(np.asarray(g), w, relation, f"@{name}, {how}")

    def errors(self, source: str) -> None:
        expected = [(n, m[1]) for n, line in enumerate(source.splitlines(), 1) if (m := ERROR.search(line))]
        pipelines = [p for line in source.splitlines() if (m := RUN.match(line)) and (p := pipeline_of(m[2])) is not None]
        with pytest.raises(Error) as caught:
            run_pipelines(source, self.path, pipelines)
        found = [(d.loc.line, d.message) for d in caught.value.diagnostics]
        for line, text in expected:
            assert any(line == n and text in message for n, message in found), f"line {line}: no error says {text!r}; there are {found}"
        for line, message in found:
            assert any(line == n and text in message for n, text in expected), f"line {line}: unexpected error: {message}"


class RlxItem(pytest.Item):
    """One thing that a file asks for."""

    def __init__(self, *, check, **kwargs):
        super().__init__(**kwargs)
        self.check = check

    def runtest(self):
        self.check()

    def repr_failure(self, excinfo):
        if isinstance(excinfo.value, AssertionError | Error):
            return f"{self.path}: {self.name}\n{excinfo.value}"
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, None, f"{self.path.name}: {self.name}"


def run_command(path: Path, words: str) -> tuple[int, str, str]:
    """Exit code, output and messages of `rlxc WORDS`, %s being the file."""
    args = [word.replace("%s", str(path)) for word in shlex.split(words)]
    out, messages = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(messages):
        code = main(args)
    return code, out.getvalue(), messages.getvalue()


def run_pipelines(source: str, path: Path, pipelines: list[str]) -> None:
    """Parse, then apply each of the pipelines."""
    module = rlxc.parse(source, str(path))
    for pipeline in pipelines:
        make_pipeline(pipeline).run(module)


def pipeline_of(words: str) -> str | None:
    """The pipeline of an `opt` command."""
    args = shlex.split(words)
    return args[args.index("-p") + 1] if args[:1] == ["opt"] and "-p" in args else None


def read_values(text: str, types: list[Any]) -> list[np.ndarray]:
    """Numbers and nested lists, comma-separated, as arrays of `types`."""
    names = {"nan": math.nan, "inf": math.inf, "true": True, "false": False}
    values = eval(f"[{text}]", {"__builtins__": {}}, names)
    assert len(values) == len(types), f"{len(types)} values are expected, not {len(values)}: {text}"
    return [np.array(v, t.dtype.numpy).reshape(t.shape) for v, t in zip(values, types, strict=True)]


def run_native(func: Func, arrays: list[np.ndarray]) -> Any:
    whole = func.with_(module=Module(tuple(func.module.funcs))) if func.module else func
    return compile_func(whole)(*arrays)


def assert_same(got: np.ndarray, want: np.ndarray, relation: str, who: str) -> None:
    if relation == "==":
        np.testing.assert_array_equal(got, want, err_msg=who)
    else:
        np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=1e-5, atol=1e-6, err_msg=who)
