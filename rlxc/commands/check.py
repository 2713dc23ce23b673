"""`rlxc check`: types, well-formedness and linearity; with `--grad` derivatives against finite differences and J against its transpose."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlxc import api
from rlxc.cli import OK, REJECTED, UsageError
from rlxc.commands.arrays import fill_array, read_inputs
from rlxc.commands.files import split_function
from rlxc.commands.program import read_module, with_dims
from rlxc.errors import UnknownName
from rlxc.ir.core import Func, Module
from rlxc.ir.verify import verify
from rlxc.passes.dims import named_dims
from rlxc.passes.linearity import verify_linearity
from rlxc.runtime.arguments import Arguments

# dtype -> step of the finite difference, relative tolerance of it, relative tolerance of the dot-product test
_PRECISION = {"f64": (1e-5, 1e-6, 1e-10), "f32": (1e-2, 2e-2, 1e-4), "f16": (3e-1, 3e-1, 2e-2), "bf16": (5e-1, 5e-1, 1e-1)}
DEFAULT_DIM = 3


def check(args: argparse.Namespace) -> int:
    file, name = split_function(args.file)
    module = read_module(file)
    verify(module)
    verify_linearity(module)
    wanted = name or args.fn
    funcs = [module[wanted]] if wanted else list(module)
    if args.dim and len(funcs) == 1:
        funcs = [with_dims(funcs[0], args.dim)]
    _say(f"{file}: {_count(module)} well formed")
    if not args.grad:
        return OK
    checks = [_check_func(f, args) for f in funcs if f.kind == "func" and not f.is_linear]
    if not checks:
        raise UnknownName("there is no function to differentiate", code="RLX0103")
    return OK if all(checks) else REJECTED


def _count(module: Module) -> str:
    n = len(module)
    return f"{n} function{'s' * (n != 1)}, {sum(len(f.ops) for f in module.funcs)} ops,"


def _check_func(func: Func, args: argparse.Namespace) -> bool:
    """Test the derivative of one function at one point; says what was found."""
    wrt = [name for a, name in zip(func.args, func.arg_names, strict=True) if a.type.dtype.differentiable]
    if not wrt or not any(v.type.dtype.differentiable for v in func.results):
        _say(f"@{func.name}: nothing to differentiate")
        return True
    func = _sized(func, args)
    if args.input or args.params:
        arrays = Arguments(func).bind((), read_inputs(func, args, fill="random"))
        point = dict(zip(func.arg_names, arrays, strict=True))
    else:
        point = _random_point(func, args.seed)
    report = derivative_report(func, wrt, point, args.seed)
    for line in report.lines:
        _say(f"@{func.name}: {line}")
    return report.ok


def _sized(func: Func, args: argparse.Namespace) -> Func:
    """Named dimensions that nothing gives a size get a small one."""
    free = named_dims(func)
    if not free or args.input or args.params:
        return func
    return api.bind(func, **dict.fromkeys(free, DEFAULT_DIM))


def _random_point(func: Func, seed: int) -> dict[str, np.ndarray]:
    """Random arguments at which the results are finite: normal ones, or positive ones where those fail."""
    for attempt in range(4):
        rng = np.random.default_rng(seed + attempt)
        point = {name: fill_array(a.type, "random", rng) for a, name in zip(func.args, func.arg_names, strict=True)}
        if attempt >= 2:
            point = {k: (np.abs(v) * 0.2 + 0.3).astype(v.dtype) if v.dtype.kind not in "biu" else v for k, v in point.items()}
        if all(np.isfinite(np.asarray(r, dtype=complex)).all() for r in _run(func, point)):
            return point
    raise UsageError(f"@{func.name}: the results are not finite at random arguments", "give some: --input x=...")


def _run(func: Func, point: dict[str, Any]) -> tuple[np.ndarray, ...]:
    out = api.interpret(func, **point)
    return out if isinstance(out, tuple) else (out,)


@dataclass
class Report:
    ok: bool
    lines: list[str]


def derivative_report(func: Func, wrt: list[str], point: dict[str, np.ndarray], seed: int) -> Report:
    """Compare J v with a central difference, and <ct, J v> with <J^T ct, v>, for a random v and ct."""
    rng = np.random.default_rng(seed + 17)
    results = [i for i, v in enumerate(func.results) if v.type.dtype.differentiable]
    step, fd_tolerance, dot_tolerance = max(_PRECISION[func.arg(w).type.dtype.part] for w in wrt)
    v = {w: fill_array(func.arg(w).type, "random", rng) for w in wrt}
    tangents = _tangents(func, wrt, point, v)
    ahead = _run(func, _moved(point, v, step))
    behind = _run(func, _moved(point, v, -step))
    lines, ok = [], True
    for i in results:
        want = (_wide(ahead[i]) - _wide(behind[i])) / (2 * step)
        apart = _relative(_wide(tangents[i]), want, _wide(ahead[i]))
        good = apart <= fd_tolerance
        ok &= good
        lines.append(f"J v against finite differences, {_result(func, i)}: {apart:.1e} {_verdict(good, fd_tolerance)}")
    ct = [fill_array(func.results[i].type, "random", rng) for i in range(len(func.results))]
    left = sum(float(np.vdot(_wide(ct[i]), _wide(tangents[i])).real) for i in results)
    right, scale = _pulled_back(func, wrt, point, v, ct)
    apart = abs(left - right) / max(abs(left), abs(right), scale, 1e-300)
    good = apart <= dot_tolerance
    lines.append(f"<ct, J v> = {left:.6g}, <J' ct, v> = {right:.6g}: {apart:.1e} {_verdict(good, dot_tolerance)}")
    return Report(ok and good, lines)


def _tangents(func: Func, wrt: list[str], point: dict[str, Any], v: dict[str, Any]) -> tuple[np.ndarray, ...]:
    forward = api.jvp(func, wrt)
    arrays = [point[name] for name in func.arg_names] + [v[w] for w in wrt]
    return api.interpret(forward, *arrays)[len(func.results) :]


def _pulled_back(func: Func, wrt: list[str], point: dict[str, Any], v: dict[str, Any], ct: list[np.ndarray]) -> tuple[float, float]:
    """<J^T ct, v>, and the sum of its terms' sizes."""
    halves = api.linearize(func, wrt)
    residuals = _run(halves.primal, point)[len(func.results) :]
    back = api.interpret(api.linear_transpose(halves.linear), *residuals, *ct)
    backs = back if isinstance(back, tuple) else (back,)
    terms = [np.conj(_wide(g)) * _wide(v[w]) for g, w in zip(backs, wrt, strict=True)]
    return sum(float(t.sum().real) for t in terms), sum(float(np.abs(t).sum()) for t in terms)


def _moved(point: dict[str, np.ndarray], v: dict[str, np.ndarray], step: float) -> dict[str, np.ndarray]:
    return {k: (_wide(x) + step * _wide(v[k])).astype(x.dtype) if k in v else x for k, x in point.items()}


def _wide(x: Any) -> np.ndarray:
    array = np.asarray(x)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _relative(got: np.ndarray, want: np.ndarray, value: np.ndarray) -> float:
    """The largest difference, relative to the largest number at hand."""
    if not got.size:
        return 0.0
    scale = max(np.abs(want).max(), np.abs(got).max(), 1e-3 * np.abs(value).max(), 1e-6)
    apart = float(np.abs(got - want).max() / scale)
    return apart if np.isfinite(apart) else float("inf")


def _result(func: Func, i: int) -> str:
    return f"%{func.results[i].name}" if func.results[i].name else f"result {i}"


def _verdict(good: bool, tolerance: float) -> str:
    return "ok" if good else f"WRONG (at most {tolerance:.0e} is expected)"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
