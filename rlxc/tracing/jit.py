"""`rlxc.jit`: a Python function that is traced and compiled when it is called with something new, and is machine code from then on.

A call whose arguments are arrays, of the dtypes and shapes last met, does not pass through Python: the wrapper that serves compiled functions
(`codegen/python_wrapper.py`) checks them and runs the native code. Trees, static arguments, integers and methods go through code that is written for
the calls met lately (`quick_call.py`). Everything else is looked up here.
"""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rlxc.errors import ArgumentError, TracingError
from rlxc.ir.locks import lock
from rlxc.runtime.compiled import Compiled
from rlxc.runtime.python_call import Call, CallableType
from rlxc.runtime.python_objects import supported
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.lowered import Lowered
from rlxc.tracing.pytree import Tree, flatten, unflatten
from rlxc.tracing.quick_call import NUMBERS, Quick, quick_call
from rlxc.tracing.staging import Aval, Staged, argument_names, aval_like, aval_of, compile_native, in_native_order, name_of, stage
from rlxc.tracing.static_values import distinction
from rlxc.tracing.trace import check_alive, current
from rlxc.tracing.tracer import Tracer

_WEAK = (float, int, complex)
_MAX_QUICK = 4
_PLAIN = frozenset((np.ndarray, float, int, complex, bool))


class CacheInfo(NamedTuple):
    """Calls that found compiled code, calls that made some, and how many there are now."""

    hits: int
    misses: int
    currsize: int


def jit(
    f: Callable[..., Any] | None = None,
    /,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    **options: Any,
) -> Any:
    """Compile a function of NumPy arrays, as a decorator or by a call: `@rlxc.jit`, `@rlxc.jit(static_argnums=1)`, `rlxc.jit(f)`.

    The function runs in Python once for each new set of shapes, dtypes, tree forms and static values of its arguments, on tracers; what it did
    is compiled. Static arguments are given to it as they are, and must be hashable; `self` of a method is one, by identity. Arrays that the function
    uses from outside are taken as they are at that time. `options` are those of `rlxc.compile` (cpu, threads, precision).
    """
    if f is None:
        return functools.partial(jit, static_argnums=static_argnums, static_argnames=static_argnames, **options)
    if not callable(f):
        raise TracingError(f"jit takes a Python function, not {f!r}", code="RLX0804", help="rlxc.compile takes a Func")
    kind = _kind()
    cls = Jit if kind is None else kind.type
    return cls(f, static_argnums, static_argnames, options)


class Jit:
    """A function that `rlxc.jit` compiles. `lower(*args)` shows what it becomes, `cache_info()` how often it was compiled."""

    _call: Any  # what the wrapper runs; see CallableType

    def __init__(self, f: Callable[..., Any], static_argnums: Any, static_argnames: Any, options: dict[str, Any]) -> None:
        functools.update_wrapper(self, f, updated=())
        if not hasattr(f, "__name__"):
            self.__name__ = name_of(f)
        self._f = f
        self._static = _static_arguments(f, static_argnums, static_argnames)
        self._options = options
        self._entries: dict[Any, Entry] = {}
        self._quick: tuple[Quick, ...] = ()  # calls met lately
        self._tapes: dict[Any, Callable[[list[Any]], Any]] = {}
        self._hits = self._misses = 0
        self._lock = lock()
        kind = _kind()
        if kind is not None and type(self) is kind.type:
            kind.prepare(self)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if current() is not None:  # its ops become part of the function that is being traced
            return self._f(*args, **kwargs)
        for quick in self._quick:
            result = quick(None, args, kwargs)
            if result is not NotImplemented:
                return result
        return self._apply(args, kwargs)

    def _apply(self, args: tuple[Any, ...], kwargs: dict[str, Any], owner: Any = None) -> Any:
        leaves, tree, static = self._taken_apart(args, kwargs, owner)
        for x in leaves:
            if type(x) not in _PLAIN and hasattr(x, "__rlxc_record__"):  # an eager tensor: the call is one node of its tape
                return self._recorded(x, tree, static, owner)(leaves)
        key = (tree, static, tuple([_key(x) for x in leaves]))
        try:
            entry = self._entries.get(key)
        except TypeError:
            if self._static is not None:
                self._static.require_hashable(static)
            raise
        if entry is None:
            entry = self._compile(key, leaves, tree, static, owner)
        else:
            self._hits += 1
            self._make_quick(entry, leaves, tree, static, owner)
        if entry.call is not None and owner is None:
            self._call = entry.call  # and the next such call does not come here
        return entry(leaves)

    def _make_quick(self, entry: Entry, leaves: list[Any], tree: Tree, static: tuple[Any, ...], owner: Any) -> None:
        """Calls like this one are made by `quick_call` from now on."""
        if entry.quick is None and entry.is_native and (entry.call is None or any([type(x) in NUMBERS for x in leaves])):
            entry.quick = quick_call(leaves, tree, static, owner, entry.staged, entry.compiled) or ()
        if entry.quick:
            self._quick = (entry.quick[0], *[q for q in self._quick if q is not entry.quick[0]])[:_MAX_QUICK]

    def _compile(self, key: Any, leaves: list[Any], tree: Tree, static: tuple[Any, ...], owner: Any) -> Entry:
        with self._lock:
            entry = self._entries.get(key)  # another thread may have made it meanwhile
            if entry is None:
                names = argument_names(self._f, tree, skip=owner is not None)
                avals = [aval_of(x, f"{self.__name__}: {name}") for x, name in zip(leaves, names, strict=True)]
                staged = self._stage(avals, tree, static, owner)
                simple = tree == _flat(len(leaves)) and not static
                entry = Entry(staged, compile_native(staged.func, **self._options), self._parameter_names(len(leaves)) if simple else None)
                self._entries[key] = entry
                if owner is not None:
                    weakref.finalize(owner, self._entries.pop, key, None)
                self._misses += 1
            return entry

    def _recorded(self, x: Any, tree: Tree, static: tuple[Any, ...], owner: Any) -> Callable[[list[Any]], Any]:
        """What runs the function on leaves some of which are like `x`, and records it."""
        key = tree, static
        made: Callable[[list[Any]], Any] | None = self._tapes.get(key)
        if made is None:
            of = (lambda: None) if owner is None else weakref.ref(owner)
            made = self._tapes[key] = x.__rlxc_record__(self.__name__, lambda avals: self._stage(avals, tree, static, of()))
            if owner is not None:
                weakref.finalize(owner, self._tapes.pop, key, None)
        return made

    def _stage(self, avals: list[Aval], tree: Tree, static: tuple[Any, ...], owner: Any) -> Staged:
        f = self._f if owner is None else functools.partial(self._f, owner)
        values = static if owner is None else static[1:]

        def rebuild(leaves: list[Any]) -> tuple[Any, Any]:
            args, kwargs = unflatten(tree, leaves)
            return (args, kwargs) if self._static is None else self._static.put_into(args, kwargs, values)

        names = argument_names(self._f, tree, skip=owner is not None)
        return stage(_Named(f, self.__name__, self._f), avals, rebuild, names, hoists=False)

    def _parameter_names(self, count: int) -> list[str]:
        """What arguments may be called by name; what may not gets a name that nobody has."""
        try:
            parameters = list(inspect.signature(self._f).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        names = [p.name if p.kind is p.POSITIONAL_OR_KEYWORD else f"\0{i}" for i, p in enumerate(parameters)]
        if any(p.kind is p.VAR_POSITIONAL for p in parameters) or len(names) < count:
            names = [f"\0{i}" for i in range(count)]
        return names[:count]

    def lower(self, /, *args: Any, **kwargs: Any) -> Lowered:
        """What the function becomes for such arguments, or for arguments of such types (`"f32[3]"`): its text, LLVM IR, assembly, memory and cost."""
        return self._lower(args, kwargs)

    def _lower(self, args: tuple[Any, ...], kwargs: dict[str, Any], owner: Any = None) -> Lowered:
        leaves, tree, static = self._taken_apart(args, kwargs, owner)
        staged = self._stage([aval_like(x) for x in leaves], tree, static, owner)
        return Lowered(staged, (tree, static), lambda args, kwargs: self._taken_apart(args, kwargs, owner), self._options)

    def _taken_apart(self, args: tuple[Any, ...], kwargs: dict[str, Any], owner: Any) -> tuple[list[Any], Tree, tuple[Any, ...]]:
        """Leaves and form of the arguments that are arrays; and those that are not."""
        dynamic: Any = args, kwargs
        static: tuple[Any, ...] = () if owner is None else (Identity(owner),)
        if self._static is not None:
            dynamic, values = self._static.taken_from(args, kwargs)
            static += values
        leaves, tree = flatten(dynamic)
        return leaves, tree, static

    def cache_info(self) -> CacheInfo:
        """How many calls found compiled code (`hits`), and how many had to make it (`misses`)."""
        native = sum([call.calls for entry in self._entries.values() for call in (entry.call, *(entry.quick or ())[1:]) if call is not None])
        return CacheInfo(self._hits + native, self._misses, len(self._entries))

    def cache_clear(self) -> None:
        """Forget all compiled code."""
        with self._lock:
            self._entries.clear()
            self._quick = ()
            self._tapes.clear()
            self._hits = self._misses = 0
            if hasattr(self, "_call"):
                del self._call

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        return self if owner is None else BoundJit(self, owner)

    def __reduce__(self) -> Any:
        module = sys.modules.get(getattr(self, "__module__", None) or "")
        found: Any = module
        for part in getattr(self, "__qualname__", "?").split("."):
            found = getattr(found, part, None)
        if found is self:
            return self.__qualname__  # a decorated function is found by its name
        static = ((), ()) if self._static is None else (self._static.numbers, self._static.names)
        return _again, (self._f, *static, self._options)

    def __repr__(self) -> str:
        return f"<rlxc.jit {getattr(self, '__qualname__', self.__name__)}>"


class BoundJit:
    """A jitted method of one object. The object is static: the method is compiled for it, with its attributes as they are then."""

    __slots__ = ("__self__", "__weakref__", "_jitted")

    def __init__(self, jitted: Jit, owner: Any) -> None:
        self._jitted = jitted
        self.__self__ = owner

    @property
    def __func__(self) -> Jit:
        return self._jitted

    @property
    def __name__(self) -> str:
        return self._jitted.__name__

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self._jitted.__doc__

    def __reduce__(self) -> Any:
        return BoundJit, (self._jitted, self.__self__)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if current() is not None:
            return self._jitted._f(self.__self__, *args, **kwargs)
        for quick in self._jitted._quick:
            result = quick(self.__self__, args, kwargs)
            if result is not NotImplemented:
                return result
        return self._jitted._apply(args, kwargs, self.__self__)

    def lower(self, /, *args: Any, **kwargs: Any) -> Lowered:
        """See `Jit.lower`."""
        return self._jitted._lower(args, kwargs, self.__self__)

    def cache_info(self) -> CacheInfo:
        """Of the method, for all objects."""
        return self._jitted.cache_info()

    def __repr__(self) -> str:
        return f"<rlxc.jit {self.__name__} of {self.__self__!r}>"


class Entry:
    """Compiled code for one set of types: takes the leaves of the arguments, gives the tree of results."""

    def __init__(self, staged: Staged, compiled: Compiled, names: list[str] | None) -> None:
        self.compiled = compiled
        self.staged = staged
        self.call = _native_call(staged, compiled, names)
        self.is_native = _kind() is not None and hasattr(compiled, "_call")
        self.quick: Any = None  # not asked for yet; then what `quick_call` gives, or ()

    def __call__(self, leaves: list[Any]) -> Any:
        results = self.compiled(*[x if type(x) is np.ndarray and x.flags.c_contiguous and x.dtype.isnative else _as_array(x) for x in leaves])
        tree = self.staged.tree
        if tree.is_leaf:
            return results
        return unflatten(tree, results if tree.leaves > 1 else (results,) if tree.leaves else ())


def _native_call(staged: Staged, compiled: Compiled, names: list[str] | None) -> Any:
    """What the native wrapper needs to make the call on its own, for arrays in and an array, or a tuple of arrays, out; else None."""
    tree = staged.tree
    plain = tree.is_leaf or (tree.is_flat_tuple and tree.leaves > 1)
    if names is None or not plain or _kind() is None or not hasattr(compiled, "_call"):
        return None
    weak = [_weak_by(a) for a in staged.avals]
    return Call(compiled.executable(), names=(*names, "\0out"), numbers=weak)


def _weak_by(aval: Aval) -> str:
    """Whether an argument of rank 0 is a Python number or one of NumPy's; they are different types to the function."""
    return "python" if aval.weak else "numpy"


def _key(x: Any) -> Any:
    """What a leaf is compiled for."""
    cls = type(x)
    if cls is np.ndarray:
        return x.dtype, x.shape
    if cls in _WEAK or cls is bool:
        return cls
    if cls is Tracer:
        check_alive(x)
    if isinstance(x, np.ndarray):
        return cls, x.dtype, x.shape
    dtype, shape = getattr(x, "dtype", None), getattr(x, "shape", None)
    if dtype is not None and isinstance(shape, tuple):
        return np.dtype(dtype), shape
    array = np.asarray(x)
    return array.dtype, array.shape


def _as_array(x: Any) -> np.ndarray:
    """A leaf that is no ndarray, or one whose bytes lie in another order; a Python integer is to fit i64."""
    if type(x) is int and not -(2**63) <= x < 2**63:
        raise with_source(ArgumentError(f"i64 does not hold {x}", code="RLX0506", loc=user_location()))
    return in_native_order(np.asarray(x, np.int64 if type(x) is int else None, order="C"))


class Identity:
    """An object as a key: only the object itself is equal to it. The object is not kept alive."""

    __slots__ = ("_hash", "_of")

    def __init__(self, of: Any) -> None:
        self._hash = id(of)
        try:
            self._of = weakref.ref(of)
        except TypeError:
            message = f"a jitted method of {type(of).__name__}: an object that is static is known by a weak reference, and there is none to this one"
            help = "add '__weakref__' to its __slots__, or jit a function that takes the object's arrays"
            raise with_source(TracingError(message, code="RLX0804", loc=user_location(), help=help)) from None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and (self is other or (self._of() is not None and self._of() is other._of()))


class Static:
    """Which arguments are values rather than arrays: positions, and names."""

    def __init__(self, numbers: tuple[int, ...], names: tuple[str, ...]) -> None:
        self.numbers = numbers
        self.names = names

    def taken_from(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
        """The other arguments; and the static ones as a key."""
        rest: list[Any] = list(args)
        static: list[Any] = []
        for n in self.numbers:
            if -len(args) <= n < len(args):
                static.append((n % len(args), distinction(args[n]), args[n]))
                rest[n] = None
        if kwargs:
            static += [(k, distinction(x), x) for k, x in sorted(kwargs.items()) if k in self.names]
            kwargs = {k: x for k, x in kwargs.items() if k not in self.names}
        return (tuple(rest), kwargs), tuple(static)

    def require_hashable(self, static: tuple[Any, ...]) -> None:
        for where, _, x in static:
            try:
                hash(x)
            except TypeError:
                help = "static arguments are looked up by their value: use a tuple for a list, and pass arrays as arguments that are not static"
                message = f"the static argument {where} is not hashable: {type(x).__name__}"
                raise with_source(TracingError(message, code="RLX0804", loc=user_location(), help=help)) from None

    def put_into(self, args: tuple[Any, ...], kwargs: dict[str, Any], static: tuple[Any, ...]) -> tuple[Any, Any]:
        whole, named = list(args), dict(kwargs)
        for where, _, x in static:
            if isinstance(where, int):
                whole[where] = x
            else:
                named[where] = x
        return whole, named


def _static_arguments(f: Any, numbers: Any, names: Any) -> Static | None:
    numbers = tuple(numbers) if isinstance(numbers, Iterable) else (numbers,)
    names = (names,) if isinstance(names, str) else tuple(names)
    if not numbers and not names:
        return None
    try:
        known = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return Static(numbers, names)
    positional = [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    free = any(p.kind is p.VAR_KEYWORD for p in known)
    for name in names:
        if name not in [p.name for p in known] and not free:
            raise ArgumentError(f"{name_of(f)} has no parameter {name!r} (static_argnames)", code="RLX0503", help=f"it has {', '.join(p.name for p in known)}")
    for n in numbers:
        if not -len(positional) <= n < len(positional) and not any(p.kind is p.VAR_POSITIONAL for p in known):
            raise ArgumentError(f"{name_of(f)} has no argument {n} (static_argnums)", code="RLX0502")
    by_name = {positional.index(n) for n in names if n in positional}
    by_number = {positional[n] for n in numbers if -len(positional) <= n < len(positional)}
    return Static(tuple(sorted({*numbers, *by_name})), tuple(sorted({*names, *by_number})))


class _Named:
    """A function under another name, at the place of the one it was made of."""

    def __init__(self, f: Callable[..., Any], name: str, at: Any) -> None:
        self._f = f
        self.__name__ = name
        code = getattr(at, "__code__", None)
        if code is not None:
            self.__code__ = code

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._f(*args, **kwargs)


def _again(f: Any, numbers: Any, names: Any, options: dict[str, Any]) -> Any:
    return jit(f, static_argnums=numbers, static_argnames=names, **options)


@cache
def _flat(count: int) -> Tree:
    """The form of so many arrays by position."""
    return flatten(((0,) * count, {}))[1]


@cache
def _kind() -> Any:
    """The class whose instances are called by machine code; None where this Python does not allow it."""
    return CallableType(Jit) if supported() else None
