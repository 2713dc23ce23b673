"""Arrays on the command line: `x=@x.npy`, `x=@all.npz:key`, `y=f32[2]:[1, 2]`, `k=1.5`, `w=random`."""

from __future__ import annotations

import argparse
import json
import os
import re
from difflib import get_close_matches
from typing import Any

import numpy as np

from rlxc.cli import UsageError
from rlxc.errors import ArgumentError, Error, FileError
from rlxc.ir.core import Func, Value
from rlxc.ir.types import TensorType, parse_type
from rlxc.passes.dims import bind_type, match_dims
from rlxc.runtime.arguments import from_numbers
from rlxc.runtime.params import read_arrays

FILLS = ("zeros", "ones", "random")
_WORDS = re.compile(r"[+-]?\binf\b|[+-]?\bnan\b")
_COMPLEX = re.compile(r"\([^()]*\)|[^\s,\[\]()\"]+(?:\s*[+-]\s*[^\s,\[\]()\"]+)*")
_JSON = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN", "-nan": "NaN"}


def read_inputs(func: Func, args: argparse.Namespace, *, fill: str | None = None) -> dict[str, Any]:
    """Arrays for the arguments of `func` from `--input` and `--params`; `fill` says what the rest get."""
    given: dict[str, Any] = {}
    fills: dict[str, str] = {}
    for text in args.input:
        name, value = _split(text)
        arg = func.arg(name)
        if name in given or name in fills:
            raise UsageError(f"--input {name} is given twice")
        if value in FILLS:
            fills[name] = value
        else:
            given[name] = read_value(arg, name, value)
    if args.params:
        given = {**_params(func, args.params, {*given, *fills}), **given}
    if fill:
        fills = {**{name: fill for name in func.arg_names if name not in given}, **fills}
    return {**given, **_filled(func, given, fills, args.seed)}


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--input {text}: write NAME=VALUE", "as in --input x=@x.npy, or --input 'y=f32[2]:[1, 2]'")
    return name.strip().removeprefix("%"), value.strip()


def read_value(arg: Value, name: str, value: str) -> Any:
    """The array that `value` spells for `arg`, which is called `name`."""
    if value.startswith("@"):
        return _from_file(name, value[1:])
    type_ = arg.type
    head, colon, rest = value.partition(":")
    if colon and not head.lstrip().startswith("["):
        try:
            type_ = parse_type(head)
        except Error as error:
            raise UsageError(f"--input {name}={value}: {error.message}", "write TYPE:VALUE, as in f32[2]:[1, 2]") from None
        value = rest
    if not isinstance(type_, TensorType):
        raise UsageError(f"--input {name}: {type_} is not the type of an array", "a scalar is f32[]")
    return _numbers(name, type_, value)


def _numbers(name: str, type_: TensorType, text: str) -> np.ndarray:
    try:
        values = _complex_numbers(text) if type_.dtype.is_complex else json.loads(_WORDS.sub(lambda m: _JSON[m[0].lstrip("+")], text), strict=False)
    except (ValueError, RecursionError):
        try:
            values = float(text)
        except ValueError:
            example = "1+2j, [(1, 2), 3] or c64[2]:[1j, 2]" if type_.dtype.is_complex else "1.5, [1, 2] or f32[2]:[1, 2]"
            raise UsageError(f"--input {name}: '{_clip(text)}' is not a number or a list of numbers", f"as in {example}") from None
    where = f"--input {name}"
    array = from_numbers(values, type_, where)
    if array.ndim == 0 and type_.rank and type_.is_static:
        return np.full([int(n) for n in type_.shape], array, dtype=array.dtype)
    if len(array.shape) != type_.rank or (type_.is_static and array.shape != type_.shape):
        raise ArgumentError(f"{where} is {type_}, not {type_.with_shape(array.shape)}", code="RLX0505")
    return array


def _complex_numbers(text: str) -> Any:
    """A number or nested lists of them, each as Python writes it (`1+2j`) or as `.rlx` does (`(1, 2)`); raises ValueError."""
    values = json.loads(_COMPLEX.sub(lambda m: json.dumps(m[0]), text))
    stack = [values] if isinstance(values, list) else []
    while stack:
        items = stack.pop()
        stack += [item for item in items if isinstance(item, list)]
        items[:] = [item if isinstance(item, list) else _complex(item) for item in items]
    return values if isinstance(values, list) else _complex(values)


def _complex(word: Any) -> complex:
    if not isinstance(word, str):
        raise ValueError(word)
    if not word.startswith("("):
        return complex(word.replace(" ", ""))
    real, imag = word[1:-1].split(",")
    return complex(float(real), float(imag))


def _from_file(name: str, spec: str) -> np.ndarray:
    path, colon, key = spec.rpartition(":")
    if not colon or os.path.exists(spec):
        path, key = spec, ""
    arrays = read_arrays(path)
    if key:
        return _lookup(arrays, key, path)
    if name in arrays:
        return arrays[name]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    return _lookup(arrays, name, path)


def _lookup(arrays: dict[str, np.ndarray], key: str, path: str) -> np.ndarray:
    if key not in arrays:
        near = get_close_matches(key, arrays, 1)
        raise FileError(f"{path} holds no array '{key}'", code="RLX0606", help=f"did you mean '{near[0]}'?" if near else f"it holds {', '.join(arrays)}")
    return arrays[key]


def _params(func: Func, path: str, others: set[str]) -> dict[str, np.ndarray]:
    arrays = read_arrays(path)
    found = {name: arrays[name] for name in func.params if name in arrays}
    missing = [name for name in func.params if name not in found and name not in others]
    if missing:
        near = get_close_matches(missing[0], arrays, 1)
        raise ArgumentError(f"{path} has no array for param %{missing[0]}", code="RLX0508", help=f"did you mean '{near[0]}'?" if near else None)
    return found


def _filled(func: Func, given: dict[str, Any], fills: dict[str, str], seed: int) -> dict[str, np.ndarray]:
    known = [name for name in func.arg_names if name in given]
    sizes = match_dims(func.with_(args=tuple(func.arg(name) for name in known)), [np.shape(given[name]) for name in known])
    rng = np.random.default_rng(seed)
    out = {}
    for name, how in fills.items():
        type_ = bind_type(func.arg(name).type, sizes)
        assert isinstance(type_, TensorType)
        type_.require_static()
        out[name] = fill_array(type_, how, rng)
    return out


def fill_array(type_: TensorType, how: str, rng: np.random.Generator) -> np.ndarray:
    """Zeros, ones, or random elements: normal for floats and parts of complex numbers, 0 and 1 for the rest."""
    shape = [int(n) for n in type_.shape]
    if how == "random" and type_.dtype.is_complex:
        return np.asarray(rng.standard_normal([*shape, 2]).view(np.complex128)[..., 0]).astype(type_.dtype.numpy)
    if how == "random":
        raw = rng.standard_normal(shape) if type_.dtype.differentiable else rng.integers(0, 2, shape)
        return np.asarray(raw).astype(type_.dtype.numpy)
    return np.full(shape, how == "ones", dtype=type_.dtype.numpy)


def _clip(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[:length] + "..."
