"""Native functions of this process for other native code: an address with the C interface of libraries, and callables for scipy."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

from rlxc.codegen.thunks import SYMBOL, Fixed, Numbers, c_thunk, numbers_thunk, one_number_thunk
from rlxc.errors import MissingExtra, Unsupported
from rlxc.ir.core import Func
from rlxc.runtime import jit
from rlxc.runtime.arguments import fit
from rlxc.runtime.cpu import target_cpu

STACK = 1 << 16  # bytes of workspace that a scalar function may take from its caller's stack


def c_function(executable: Any) -> jit.Loaded:
    """`int f(const void *const *in, void *const *out, void *workspace)` around an executable; the address of SYMBOL in it."""
    func = executable.func
    return _load(c_thunk(executable.entry, len(func.args), len(func.results)))


def scalar_function(executable: Any, fixed: Mapping[str, Any]) -> Any:
    """`double f(double)` or `double f(int n, double *x)` as a ctypes function, for a func of f64 numbers that gives one.

    Arguments named in `fixed` keep these arrays (by reference where they fit as they are); x holds the others one after another. One f64[]
    that is left alone makes `double f(double)`. Raises Unsupported for other functions.
    """
    func: Func = executable.func
    arrays: list[Any] = []
    arguments: list[Fixed | Numbers] = []
    for a, name in zip(func.args, func.arg_names, strict=True):
        if name in fixed:
            array = fit(fixed[name], a, f"@{func.name}: %{name}")
            arrays.append(array)
            arguments.append(Fixed(array.__array_interface__["data"][0]))
        elif a.type.dtype != "f64":
            raise Unsupported(f"@{func.name}: %{name} is {a.type}, not f64", code="RLX0702", help=f"fix it: {name}=array")
        else:
            arguments.append(Numbers(a.type.size))
    _check_result(executable)
    thunk, kind = _thunk(executable, arguments, [a for a, name in zip(func.args, func.arg_names, strict=True) if name not in fixed])
    loaded = _load(thunk)
    function = kind(loaded.address(SYMBOL))
    function._rlxc_keep = (loaded, executable, arrays)
    return function


def _check_result(executable: Any) -> None:
    func = executable.func
    if len(func.results) != 1 or func.results[0].type.dtype != "f64" or func.results[0].type.shape != ():
        given = ", ".join(str(v.type) for v in func.results)
        raise Unsupported(f"@{func.name} returns {given or 'nothing'}; a scalar function returns f64[]", code="RLX0702")
    if executable.workspace > STACK:
        raise Unsupported(f"@{func.name} needs {executable.workspace} bytes in between, too many for the stack of its caller", code="RLX0702")


def _thunk(executable: Any, arguments: Sequence[Fixed | Numbers], free: Sequence[Any]) -> tuple[str, Any]:
    if len(free) == 1 and free[0].type.shape == ():
        return one_number_thunk(executable.entry, arguments, executable.workspace), ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))
    return numbers_thunk(executable.entry, arguments, executable.workspace), kind


def lowlevel_callable(function: Any) -> Any:
    """A ctypes function as scipy.LowLevelCallable; raises MissingExtra without scipy."""
    try:
        import scipy
    except ImportError:
        raise MissingExtra("a LowLevelCallable needs the package scipy", help="pip install scipy") from None
    return scipy.LowLevelCallable(function)


def _load(text: str) -> Any:
    return jit.load(jit.object_code(text, target_cpu("plain"), opt=1), [SYMBOL])
