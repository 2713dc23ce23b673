"""The command line: `rlxc COMMAND ...`. Results go to stdout, everything else to stderr.

Exit codes: 0 all well, 1 the input was rejected or a check failed, 2 the command line is wrong, 3 a defect of rlxc.
Commands live in `rlxc.commands` and are imported when they are run, so that `rlxc --help` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

from rlxc import __version__
from rlxc.errors import Error, InternalError, PassError

CPUS = ("host", "avx512", "avx2", "plain")
PRECISIONS = ("highest", "bf16x6", "bf16x3", "bf16")
OK, REJECTED, USAGE, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130


class UsageError(Exception):
    """A command line that makes no sense; the message says why, in one sentence."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises instead of ending the process, and that knows no abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self.prog} --help")

    def flags(self) -> list[str]:
        return [flag for flag in self._option_string_actions if flag.startswith("--")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    _open_streams()
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _silence_stdout()
        return OK
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except UsageError as error:
        if debug:
            raise
        return _usage(error, argv)
    except InternalError as error:
        if debug:
            raise
        return _internal(error, argv)
    except Error as error:
        if debug:
            raise
        _report(error, argv)
        return USAGE if isinstance(error, PassError) and error.loc.file == "<pipeline>" else REJECTED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT, errno.EFBIG):
            return _internal(error, argv)
        _silence_stdout()
        print(f"error: cannot write the output: {error.strerror}", file=sys.stderr)
        return REJECTED
    except MemoryError:
        print("error: there is not enough memory", file=sys.stderr)
        return REJECTED
    except Exception as error:
        if debug:
            raise
        return _internal(error, argv)


def _open_streams() -> None:
    """A process may be started without stdout or stderr; what is written there is lost."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


def _run(argv: list[str]) -> int:
    argv = [a.removeprefix("-") if a.startswith("-@") else a for a in argv]  # `-@f` is a function of stdin, no flag
    argv = _common_flags_last(argv)
    parser, commands = build_parser()
    word = next((a for a in argv if not a.startswith("-")), None)
    if not argv:
        parser.print_help()
        return OK
    if word is None and not {"-h", "--help", "--version"} & set(argv):
        unknown = next((a for a in argv if a.partition("=")[0] not in ("--debug", "--error-format")), None)
        raise UsageError(f"there is no flag {unknown}" if unknown else "which command?", "rlxc --help")
    if word is not None and word not in commands:
        near = get_close_matches(word, commands, 1)
        raise UsageError(f"there is no command '{word}'", f"did you mean '{near[0]}'?" if near else f"commands are {', '.join(commands)}")
    try:
        args, extra = parser.parse_known_args(argv)
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    if extra:
        _unknown_arguments(extra, commands[args.command])
    return int(_command(args.command)(args) or 0)


def _common_flags_last(argv: list[str]) -> list[str]:
    """`rlxc --debug check f.rlx` as `rlxc check f.rlx --debug`: the flags that every command takes may stand before it."""
    n = 0
    while n < len(argv) and (argv[n] == "--debug" or argv[n].partition("=")[0] == "--error-format"):
        n += 2 if argv[n] == "--error-format" else 1
    return [*argv[n : n + 1], *argv[:n], *argv[n + 1 :]] if n < len(argv) and not argv[n].startswith("-") else argv


def _unknown_arguments(extra: list[str], parser: _Parser) -> NoReturn:
    flag = next((a for a in extra if a.startswith("-")), None)
    if flag is None:
        raise UsageError(f"{parser.prog} does not take the argument '{extra[0]}'", f"{parser.prog} --help")
    near = get_close_matches(flag.partition("=")[0], parser.flags(), 1)
    raise UsageError(f"{parser.prog} has no flag {flag.partition('=')[0]}", f"did you mean {near[0]}?" if near else f"{parser.prog} --help")


def _command(name: str) -> Callable[[argparse.Namespace], int | None]:
    from rlxc.commands.files import SOURCES

    SOURCES.clear()
    module, function = COMMANDS[name][:2]
    command: Callable[[argparse.Namespace], int | None] = getattr(import_module(f"rlxc.commands.{module}"), function)
    return command


# --- what is shown on stderr -----------------------------------------------------------------------------------------


def error_format(argv: Sequence[str]) -> str:
    for i, a in enumerate(argv):
        if a == "--error-format" and i + 1 < len(argv):
            return argv[i + 1]
        if a.startswith("--error-format="):
            return a.partition("=")[2]
    return "text"


def use_color(stream: Any) -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and hasattr(stream, "isatty") and stream.isatty()


def _usage(error: UsageError, argv: Sequence[str]) -> int:
    if error_format(argv) == "json":
        import json

        print(json.dumps({"severity": "error", "code": "usage", "message": str(error), "help": error.help}), file=sys.stderr)
    else:
        print(f"error: {error}", file=sys.stderr)
        if error.help:
            print(f"  help: {error.help}", file=sys.stderr)
    return USAGE


def _report(error: Error, argv: Sequence[str]) -> None:
    """Every diagnostic of `error`, with the source text where it is known."""
    from rlxc import diagnostics
    from rlxc.commands.files import SOURCES

    if error_format(argv) == "json":
        print(diagnostics.to_json(error), end="", file=sys.stderr)
    else:
        print(diagnostics.render(error, sources=SOURCES, color=use_color(sys.stderr)).rstrip("\n"), file=sys.stderr)


def _internal(error: BaseException, argv: Sequence[str]) -> int:
    """Write what is needed to see the failure again, and say where."""
    import traceback

    from rlxc.commands.files import SOURCES, write_reproducer

    trace = "".join(traceback.format_exception(error))
    path = write_reproducer(argv, trace, getattr(error, "reproducer", None), SOURCES)
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    message = first if isinstance(error, InternalError) else f"{type(error).__name__}: {first}"
    if error_format(argv) == "json":
        import json

        print(json.dumps({"severity": "internal error", "code": "RLX0900", "message": message, "reproducer": path}), file=sys.stderr)
        return INTERNAL
    print(f"internal error: {message}", file=sys.stderr)
    print("This is a defect of rlxc, not of your program.", file=sys.stderr)
    if path:
        print(f"  {path} shows it again; please send it along with a report", file=sys.stderr)
    print("  help: --debug shows the traceback", file=sys.stderr)
    return INTERNAL


def _silence_stdout() -> None:
    """The reader has gone: nothing more can be written, and nothing should be said about it at exit."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


# --- the commands ----------------------------------------------------------------------------------------------------

Add = Callable[..., Any]


def _file(add: Add, what: str = "FILE, FILE@function, or - for stdin") -> None:
    add("file", metavar="FILE[@func]", help=what)


def _fn(add: Add) -> None:
    add("--fn", metavar="NAME", help="the function, where there are several")


def _dims(add: Add) -> None:
    add("--dim", metavar="NAME=SIZE", action="append", default=[], help="give a named dimension its size")


def _precision(add: Add) -> None:
    add("--precision", choices=PRECISIONS, default="highest", help="what f32 contractions may be computed in where that is faster (highest: f32)")


def _output(add: Add) -> None:
    add("-o", "--output", metavar="FILE", help="write there instead of stdout")


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(text)


def _positive(text: str) -> int:
    if _natural(text) == 0:
        raise argparse.ArgumentTypeError("0 is too few")
    return int(text)


def _duration(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return value


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a tolerance: a number, 0 or more")
    return value


def _inputs(add: Add) -> None:
    add("--input", metavar="NAME=VALUE", action="append", default=[], help="@x.npy, @x.npz:key, f32[2]:[1, 2], 1.5, zeros, ones or random")
    add("--params", metavar="FILE", help="model parameters from a .npz or .safetensors file")
    add("--seed", type=_natural, default=0, metavar="N", help="seed of random inputs (0)")


def _run_flags(add: Add) -> None:
    _file(add)
    _fn(add)
    _inputs(add)
    _dims(add)
    add("--output", metavar="@FILE", help="write the results to a .npz, .npy or .safetensors file")
    add("--grad", metavar="NAMES", help="value and gradient with respect to these arguments (comma-separated)")
    add("--expect", metavar="@FILE", help="compare with these arrays; a difference is exit code 1")
    add("--rtol", type=_tolerance, default=1e-5, metavar="X", help="relative tolerance of --expect (1e-5)")
    add("--atol", type=_tolerance, default=1e-6, metavar="X", help="absolute tolerance of --expect (1e-6)")
    add("--interpret", action="store_true", help="run op by op in NumPy instead of native code")
    add("--cpu", choices=CPUS, default="host", help="what to compile for (host)")
    _precision(add)


def _bench_flags(add: Add) -> None:
    _file(add)
    _fn(add)
    _inputs(add)
    _dims(add)
    add("--grad", metavar="NAMES", help="value and gradient with respect to these arguments (comma-separated)")
    add("--cpu", choices=CPUS, default="host", help="what to compile for (host)")
    _precision(add)
    add("--threads", type=_positive, metavar="N", help="threads to use (as many as RLXC_NUM_THREADS says, or as there are processors)")
    add("--seconds", type=_duration, default=1.0, metavar="S", help="how long to measure (1)")
    add("--trace", metavar="FILE", help="write a Chrome trace of the kernels, for chrome://tracing or Perfetto")
    add("--json", action="store_true", help="as JSON")


def _opt_flags(add: Add) -> None:
    add("file", metavar="FILE", nargs="?", help="a .rlx file, or - for stdin")
    add("-p", "--pipeline", default="", metavar="PASSES", help="such as 'legalize,linearize{wrt=[w1]},transpose,dce'")
    _output(add)
    add("--print-ir-before", metavar="PASS", action="append", default=[], help="IR before this pass, to stderr")
    add("--print-ir-after", metavar="PASS", action="append", default=[], help="IR after this pass, to stderr")
    add("--print-ir-before-all", action="store_true", help="IR before every pass, to stderr")
    add("--print-ir-after-all", action="store_true", help="IR after every pass, to stderr")
    add("--print-ir-changed", action="store_true", help="IR after every pass that changed it, to stderr")
    add("--verify-each", action="store_true", default=True, help="verify after every pass (on)")
    add("--no-verify", dest="verify_each", action="store_false", help="do not verify")
    add("--remarks", action="store_true", help="what passes decided, and why, to stderr")
    add("--timing", nargs="?", const="text", choices=("text", "json"), help="time of every pass, to stderr")
    add("--list-passes", action="store_true", help="list the passes and leave")


def _transpose_flags(add: Add) -> None:
    _file(add)
    _fn(add)
    _dims(add)
    add("--wrt", default="", metavar="NAMES", help="arguments by name or position, comma-separated (all float ones, unless stated)")
    add("--raw", action="store_true", help="the IR as the transform leaves it, not simplified")
    _output(add)


def _transform_flags(add: Add) -> None:
    _transpose_flags(add)
    add("--has-aux", action="store_true", help="results after the first are returned, and not differentiated")


def _residuals_flags(add: Add) -> None:
    _file(add)
    _fn(add)
    _dims(add)
    add("--wrt", default="", metavar="NAMES", help="arguments by name or position, comma-separated (all float ones, unless stated)")
    _output(add)


def _grad_flags(add: Add) -> None:
    _transform_flags(add)
    add("--with-seed", action="store_true", help="take the cotangent of the result as an argument `d_output`")
    add("--no-value", action="store_true", help="the gradient alone")


def _vmap_flags(add: Add) -> None:
    _file(add)
    _fn(add)
    _dims(add)
    add("--in-axes", default="", metavar="AXES", help="where each argument has the new axis, or none: 0,none (0 unless stated)")
    add("--out-axes", default="", metavar="AXES", help="where each result has it (0 unless stated)")
    add("--size", default="", metavar="N", help="the number of examples, or a name for it (N unless stated)")
    add("--raw", action="store_true", help="the IR as the transform leaves it, not simplified")
    _output(add)


def _check_flags(add: Add) -> None:
    _file(add)
    _fn(add)
    add("--grad", action="store_true", help="also compare derivatives with finite differences, and J with its transpose")
    _inputs(add)
    _dims(add)


def _fmt_flags(add: Add) -> None:
    add("files", metavar="FILE", nargs="+", help=".rlx files, or - for stdin")
    add("--check", action="store_true", help="write nothing; exit code 1 if a file is not formatted")
    add("--diff", action="store_true", help="show what would change; exit code 1 if anything would")
    add("--write", action="store_true", help="rewrite the files")


def _build_flags(add: Add) -> None:
    _file(add)
    add("--fn", metavar="NAMES", help="the functions, where there are several (comma-separated)")
    add("--grad", metavar="NAMES", help="value and gradient with respect to these arguments (comma-separated)")
    add("--primal", action="store_true", help="with --grad: the functions themselves as well")
    add("-o", "--output", metavar="DIR", default=".", help="folder to write to (.)")
    add("--emit", default="obj", metavar="KINDS", help="rlx, loops, llvm, asm, obj, header, static, so (comma-separated)")
    add("--name", metavar="NAME", help="what the library is called (as FILE)")
    add("--cpu", choices=CPUS, help="what to compile for (host; plain with --target)")
    _precision(add)
    add("--target", metavar="TRIPLE", default="", help="another machine: aarch64-linux, x86_64-windows, wasm32, ...")
    add("--embed-weights", metavar="FILE", help="params from a .npz or .safetensors file, as part of the object code")
    add("--map-weights", metavar="FILE", help="the same as a file NAME.weights, whose address callers pass")
    add("--remarks", action="store_true", help="what fused into which kernel, what did not, and why, to stderr")
    add("--profile", action="store_true", help="also run it on random arrays: times of its kernels to stderr, and a Chrome trace as a file")
    add("--memory", action="store_true", help="how much memory a call needs, and for which buffers, to stderr")
    _dims(add)


def _ops_flags(add: Add) -> None:
    add("name", metavar="NAME", nargs="?", help="one op in full")
    add("--markdown", action="store_true", help="the reference page")


def _passes_flags(add: Add) -> None:
    add("name", metavar="NAME", nargs="?", help="one pass in full")
    add("--markdown", action="store_true", help="the reference page")


def _explain_flags(add: Add) -> None:
    add("code", metavar="CODE", nargs="?", help="such as RLX0201; all of them, unless stated")


def _info_flags(add: Add) -> None:
    add("--json", action="store_true", help="as JSON")


def _cache_flags(add: Add) -> None:
    add("action", nargs="?", choices=("show", "path", "clear"), default="show", help="show what is there, say where it is, or delete it all (show)")
    add("--limit", metavar="SIZE", help="first delete what was used longest ago, until at most this is left: 300M, 2G")
    add("--json", action="store_true", help="as JSON")


#: name -> module in rlxc.commands, function, flags, one line
COMMANDS: dict[str, tuple[str, str, Callable[[Add], None], str]] = {
    "run": ("run", "run", _run_flags, "compile a function and call it"),
    "check": ("check", "check", _check_flags, "types, linearity and (with --grad) derivatives"),
    "fmt": ("fmt", "fmt", _fmt_flags, "format files"),
    "opt": ("opt", "opt", _opt_flags, "run passes, IR to IR"),
    "grad": ("transforms", "grad", _grad_flags, "value and gradient, IR to IR"),
    "jvp": ("transforms", "jvp", _transform_flags, "forward mode, IR to IR"),
    "vjp": ("transforms", "vjp", _transform_flags, "a forward part with residuals and a pullback, IR to IR"),
    "residuals": ("transforms", "residuals", _residuals_flags, "what a backward pass keeps, how many bytes, and why"),
    "hvp": ("transforms", "hvp", _transform_flags, "Hessian times vector, IR to IR"),
    "jacfwd": ("transforms", "jacfwd", _transform_flags, "the Jacobian by forward mode, IR to IR"),
    "jacrev": ("transforms", "jacrev", _transform_flags, "the Jacobian by reverse mode, IR to IR"),
    "hessian": ("transforms", "hessian", _transform_flags, "second derivatives, IR to IR"),
    "vmap": ("transforms", "vmap", _vmap_flags, "a function of many examples, IR to IR"),
    "linearize": ("transforms", "linearize", _transform_flags, "primal and linear part, IR to IR"),
    "transpose": ("transforms", "transpose", _transpose_flags, "a linear function turned around, IR to IR"),
    "build": ("build", "build", _build_flags, "write IR, object code, a library and its C header"),
    "bench": ("bench", "bench", _bench_flags, "time a call and its kernels"),
    "ops": ("reference", "ops", _ops_flags, "the ops, or one of them"),
    "passes": ("reference", "passes", _passes_flags, "the passes, or one of them"),
    "explain": ("reference", "explain", _explain_flags, "what an error code means"),
    "cache": ("cache", "cache", _cache_flags, "machine code kept on disk"),
    "info": ("info", "info", _info_flags, "versions and this machine"),
}

_EXAMPLES = """\
examples:
  rlxc run ffn.rlx --input x=@x.npy --params w.safetensors --output @out.npz
  rlxc run f.rlx --input 'x=f32[2]:[1, 2]' --grad x
  rlxc grad ffn.rlx --wrt w1,b1 | rlxc opt - -p 'simplify,cse,dce'
"""


def build_parser() -> tuple[_Parser, dict[str, _Parser]]:
    common = _Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show Python tracebacks")
    common.add_argument("--error-format", choices=("text", "json"), default="text", help="how errors are written to stderr (text)")
    parser = _Parser(
        prog="rlxc",
        description="A lowering compiler for differentiable array programs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rlxc {__version__}")
    sub = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands = {}
    for name, (_, _, flags, line) in COMMANDS.items():
        commands[name] = sub.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".", parents=[common])
        flags(commands[name].add_argument)
    return parser, commands
