"""One table for everything that NumPy's functions mean on tracers: `np.sin(x)`, `rlxc.numpy.sin(x)` and `x.sin`'s kin all look here.

    @implements(np.expand_dims)
    def expand_dims(x, axis): ...

`rlxc.numpy` fills it. NumPy itself gets here by its two protocols (`__array_ufunc__`, `__array_function__`), which Tracer has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from rlxc.errors import Unsupported
from rlxc.tracing.augmented import instead_of, is_augmented_assignment, is_temporary
from rlxc.tracing.location import user_location, with_source

#: by the function of NumPy's, or (ufunc, method) for `np.add.reduce` and its like
_TABLE: dict[Any, Callable[..., Any]] = {}
#: NumPy's own function, by what stands for it while somebody traces (see `array_makers`)
PLAIN: dict[Any, Any] = {}
#: by the name of a ufunc of another package
_BY_NAME: dict[str, Callable[..., Any]] = {}


def implements(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates what functions of NumPy's mean where a tracer is among their arguments.

    Gives the public function: on tracers it is the decorated one, on everything else NumPy's (the first one named).
    """

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        _TABLE.update({PLAIN.get(f, f): rule for f in functions})
        plain = PLAIN.get(functions[0], functions[0])

        @functools.wraps(rule)
        def public(*args: Any, **kwargs: Any) -> Any:
            return (rule if mentions_tracer(args) or mentions_tracer(kwargs.values()) else plain)(*args, **kwargs)

        return public

    return register


def implements_named(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates what ufuncs of these names, of other packages than NumPy, mean on tracers. Gives the function itself."""

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        _BY_NAME.update(dict.fromkeys(names, rule))
        return rule

    return register


def rule_of(function: Any) -> Callable[..., Any]:
    """What `function` of NumPy's means on tracers; raises Unsupported where rlxc does not say."""
    function = PLAIN.get(function, function)
    rule = _TABLE.get(function)
    if rule is None:
        import_module("rlxc.numpy")  # which fills the table
        rule = _TABLE.get(function)
    if rule is None and isinstance(function, np.ufunc):
        import_module("rlxc.special")  # which knows ufuncs of other packages
        rule = _BY_NAME.get(function.__name__)
    if rule is None:
        name = _name(function)
        help = "write it with functions that are there (dir(rlxc.numpy)), or compute it outside of the traced function"
        raise with_source(Unsupported(f"{name} is not defined on traced arrays", code="RLX0803", loc=user_location(), help=help))
    return rule


def apply(function: Any, *args: Any, **kwargs: Any) -> Any:
    """`function` of NumPy's on tracers."""
    return rule_of(function)(*args, **kwargs)


def mentions_tracer(args: Any) -> bool:
    """Whether a tracer is among arguments, or in lists and tuples among them."""
    return any([hasattr(x, "_trace") or (type(x) in (list, tuple) and mentions_tracer(x)) for x in args])


class NumPyProtocols:
    """What makes NumPy's functions take tracers."""

    __slots__ = ()
    __array_priority__ = 1000
    _trace: Any

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs and method == "__call__" and is_augmented_assignment(inputs, kwargs["out"], self._trace._kept):
            return instead_of(inputs[0], rule_of(ufunc)(*inputs))
        if "out" in kwargs and method == "__call__" and is_temporary(kwargs["out"]):
            (out,), where = kwargs.pop("out"), kwargs.pop("where", True)
            y = rule_of(ufunc)(*inputs, **kwargs)
            return instead_of(out, apply(np.broadcast_to, y, out.shape) if where is True else apply(np.where, where, y, out))
        refuse_options(f"np.{ufunc.__name__}", kwargs, out=None, where=True)
        return rule_of(ufunc if method == "__call__" else (ufunc, method))(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return rule_of(function)(*args, **kwargs)


#: what to write for an option that traced arrays do not have
_INSTEAD = {
    "out": "results are new arrays: y = f(x), or x.at[...].set(y); an array made in the call, out=np.zeros_like(x), is one of these",
    "where": "np.where(condition, f(x), y) chooses between results; f sees all elements: give it harmless ones, np.where(condition, x, 1.0)",
}


def refuse_options(name: str, given: dict[str, Any], **neutral: Any) -> None:
    """Take out of `given` what is as `neutral` says; raise Unsupported for what is not."""
    for option, value in neutral.items():
        if given.pop(option, value) is not value:
            help = _INSTEAD.get(option)
            raise with_source(Unsupported(f"{name} on traced arrays does not take {option}=", code="RLX0803", loc=user_location(), help=help))


def _name(function: Any) -> str:
    if isinstance(function, tuple):
        return f"np.{function[0].__name__}.{function[1]}"
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{getattr(function, '__name__', function)}"
