"""Variable: a value, and how it was computed. The base of `eager.Tensor`, and of classes that compute with operands of another sort.

class Number(eager.Variable):
    executor = Floats()                         # see rlxc.eager.executor

    def __mul__(self, other):
        return eager.apply("scalar_mul", self, other)

x = Number(3.0, requires_grad=True)             # after which x * x is recorded
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, ClassVar

from rlxc.eager.executor import Executor
from rlxc.eager.function import primitive_function
from rlxc.eager.kinds import Kind, kind_of
from rlxc.eager.sweep import leading_to, sweep, variable
from rlxc.eager.tape import Edge, Leaf
from rlxc.errors import ArgumentError, DifferentiationError
from rlxc.ir.core import Value
from rlxc.ir.locks import lock
from rlxc.ir.primitive import lookup

_GRADS = lock()


class Variable:
    """A value that operations can be recorded on; `x.value` is what was computed.

    With `requires_grad`, results that depend on it remember how, and `backward` leaves their derivative in `x.grad`.
    """

    __slots__ = ("__weakref__", "_data", "_edge", "_kind")

    executor: ClassVar[Executor]

    #: Whether a Python number among operands takes the dtype of the others; else the executor makes an operand of it.
    promotes_numbers: ClassVar[bool] = False

    _data: Any
    _kind: Kind
    _edge: Edge | None

    def __init__(self, value: Any, requires_grad: bool = False) -> None:
        self._set(self.executor.take(value), requires_grad)

    @classmethod
    def constant(cls, value: Any) -> Any:
        """`value` as an operand that derivatives do not flow to. It is not copied; `kept` does that where a node keeps it."""
        self = cls.__new__(cls)
        self._set(self.executor.view(value), False)
        return self

    @classmethod
    def fitted(cls, value: Any, arg: Value, where: str) -> Any:
        """`value` as an operand for an argument of a function, which `where` names."""
        return value

    def kept(self) -> Any:
        return type(self)(self._data)

    def _set(self, value: Any, requires_grad: bool) -> None:
        self._data = value
        self._kind = self._kind_of(value, bool(requires_grad))
        if requires_grad and not self._kind.type.dtype.differentiable:
            raise DifferentiationError(f"a variable of type {self._kind.type} has no derivative", code="RLX0305", help="only floats may require a gradient")
        self._edge = Leaf(self._kind.leaf) if requires_grad else None

    @classmethod
    def _kind_of(cls, value: Any, active: bool) -> Kind:
        return kind_of(cls, cls.executor.type_of(value), active)

    # what it is

    @property
    def value(self) -> Any:
        return self.executor.show(self._data)

    @property
    def type(self) -> Any:
        """The type that rules see."""
        return self._kind.type

    @property
    def requires_grad(self) -> bool:
        return self._kind.active

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user, not computed from what requires a gradient."""
        return self._edge is None or type(self._edge) is Leaf

    @property
    def grad(self) -> Any:
        """The derivative that `backward` has added up here, a variable; None before. Kept for leaves, and where `retain_grad` was called."""
        return getattr(self._edge, "grad", None)

    @grad.setter
    def grad(self, grad: Any) -> None:
        if self._edge is None:
            raise DifferentiationError("a variable that does not require a gradient has none", code="RLX0320")
        self._edge.grad = None if grad is None else self.like(grad, self._kind)

    # the tape

    def backward(self, seed: Any = None, *, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add the derivative of this value to `.grad` of every leaf that it depends on, for the cotangent `seed` (1, which only a scalar may leave out).

        What nodes have kept is freed, so that backward can be called once; unless `retain_graph`. With `create_graph` the derivative is recorded.
        """
        backward([self], [seed], retain_graph=retain_graph, create_graph=create_graph)

    def zero_grad(self) -> None:
        """Forget the derivative added up so far."""
        if self.grad is not None:
            self.grad = None

    def detach(self) -> Any:
        """The same value, which derivatives do not flow through."""
        return variable(self._kind.inactive, self._data)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Make a leaf require a gradient, or not."""
        if not self.is_leaf:
            raise DifferentiationError("only a leaf can be told whether it requires a gradient", code="RLX0322", help="use detach()")
        if requires_grad != self.requires_grad:
            self._set(self._data, requires_grad)
        return self

    def assign(self, value: Any) -> None:
        """Give a leaf another value of its type, as after a step of an optimizer. What was recorded with the value before stays right."""
        if not self.is_leaf:
            raise DifferentiationError("only a leaf can be given another value", code="RLX0322", help="compute a new variable")
        if isinstance(value, Variable) and value._kind.inactive is self._kind.inactive:
            self._data = value._data
            return
        value = value._data if isinstance(value, Variable) else self.executor.take(value)
        if self.executor.type_of(value) != self._kind.type:
            raise ArgumentError(f"a variable of type {self._kind.type} is given a value of type {self.executor.type_of(value)}", code="RLX0504")
        self._data = value

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Call `hook` with the cotangent of this value in every backward pass; what it returns, unless None, takes its place.

        Gives a function that removes the hook.
        """
        edge = self._edge
        if edge is None:
            raise DifferentiationError("a hook is for a variable that requires a gradient", code="RLX0320")
        if not callable(hook):
            raise ArgumentError(f"a hook is a function of a cotangent, not {hook!r}", code="RLX0501")
        return edge.add_hook(hook)

    def retain_grad(self) -> None:
        """Let backward leave the derivative in `.grad` here too, where this is no leaf."""
        edge = self._edge
        if edge is None:
            raise DifferentiationError("a variable that does not require a gradient has none", code="RLX0320")
        if not isinstance(edge, Leaf):
            edge.retain_grad()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are leaves, too."""
        if not self.is_leaf:
            raise DifferentiationError("only a leaf can be copied or pickled", code="RLX0322", help="use detach()")
        return type(self), (self._data, self.requires_grad)

    @classmethod
    def like(cls, value: Any, kind: Kind) -> Any:
        """`value` as a variable of a type that is given; raises ArgumentError if it has another."""
        made = value if isinstance(value, cls) else cls(cls.fitted(value, Value(kind.type), "a cotangent"))
        if made._kind.inactive is not kind.inactive:
            raise ArgumentError(f"a cotangent is {kind.type} as its value is, not {made._kind.type}", code="RLX0505")
        return made

    def __repr__(self) -> str:
        flag = ", requires_grad=True" if self.requires_grad else ""
        return f"{type(self).__name__}({self._data!r}{flag})"


def backward(outputs: Sequence[Variable], seeds: Sequence[Any] | None = None, *, retain_graph: bool | None = None, create_graph: bool = False) -> None:
    """Like `Variable.backward` for several results at once, with a cotangent for each."""
    given = _seeds(outputs, seeds, create_graph)
    leaves, _ = sweep(given, retain=create_graph if retain_graph is None else retain_graph, recorded=create_graph)
    with _GRADS:
        sums = [_added(leaf, ct, create_graph) for leaf, ct in leaves.items()]
        any(map(setattr, leaves, repeat("grad"), sums))  # in C, where no interrupt comes between: all of them or none


def _added(leaf: Leaf, ct: Any, recorded: bool) -> Any:
    """What `.grad` of a leaf is to be: the cotangent, added to what is there."""
    kind = leaf.rule.kind
    have = leaf.grad
    if have is None:
        return ct if recorded else variable(kind.inactive, ct)
    if recorded:
        return primitive_function(lookup("add"))(have, ct)
    return variable(kind.inactive, kind.add(have._data, ct))


def grad(
    outputs: Any,
    inputs: Any,
    seeds: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """Derivatives of `outputs` (one variable, or several) with respect to `inputs`: one for one, a tuple for several. No `.grad` changes.

    An input that no output depends on is an error; with `allow_unused` its derivative is None, and outputs may be constants. With `create_graph`
    derivatives are recorded, so that they can be differentiated again.
    """
    outs = [outputs] if isinstance(outputs, Variable) else list(outputs)
    given = _seeds(outs, [seeds] if isinstance(outputs, Variable) else seeds, create_graph, allow_unused)
    ins = [inputs] if isinstance(inputs, Variable) else list(inputs)
    for i, x in enumerate(ins):
        if not isinstance(x, Variable) or x._edge is None:
            raise DifferentiationError(f"input {i} does not require a gradient", code="RLX0320")
    edges: list[Edge] = [x._edge for x in ins]  # type: ignore[misc]
    only = leading_to([edge for edge, _ in given], edges)
    seeded = [(edge, ct) for edge, ct in given if edge in only]
    retain = create_graph if retain_graph is None else retain_graph
    _, found = sweep(seeded, retain=retain, recorded=create_graph, only=only, wanted=edges)
    results = []
    for i, x in enumerate(ins):
        ct = found.get(x._edge)  # type: ignore[arg-type]
        if ct is None and not allow_unused:
            raise DifferentiationError(f"no output depends on input {i}", code="RLX0307", help="allow_unused=True gives None")
        results.append(ct if ct is None or create_graph else variable(x._kind.inactive, ct))
    return results[0] if isinstance(inputs, Variable) else tuple(results)


def _seeds(outputs: Sequence[Variable], seeds: Sequence[Any] | None, recorded: bool, constants: bool = False) -> list[tuple[Edge, Any]]:
    """The edges of `outputs` with their cotangents: what was given, or the one of a scalar. Constants among them have no edge, if they are allowed."""
    given = [None] * len(outputs) if seeds is None else list(seeds)
    if len(given) != len(outputs):
        raise ArgumentError(f"there are {len(given)} seeds for {len(outputs)} outputs", code="RLX0502")
    pairs = zip(outputs, given, strict=True)
    return [_seed(x, seed, recorded) for x, seed in pairs if not (constants and isinstance(x, Variable) and x._edge is None)]


def _seed(x: Any, seed: Any, recorded: bool) -> tuple[Edge, Any]:
    if not isinstance(x, Variable):
        raise ArgumentError(f"derivatives are those of variables, not of {type(x).__name__}", code="RLX0502")
    if x._edge is None:
        help = "none of what it was computed from requires a gradient, or it was computed under no_grad"
        raise DifferentiationError("this variable was not recorded", code="RLX0320", help=help)
    if seed is None:
        if x._kind.type.shape != ():
            help = "reduce it to a scalar, or give a cotangent: backward(seed)"
            raise DifferentiationError(f"the derivative of {x._kind.type}, which is no scalar, needs a seed", code="RLX0306", help=help)
        ct = variable(x._kind.inactive, x.executor.ones(x._kind.type))
    else:
        ct = x.like(seed, x._kind)
    return x._edge, ct if recorded else ct._data
