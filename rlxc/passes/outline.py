"""Outline: the bodies of control flow become functions of the module, so that every pass after this one works on them.

    %y = scan %x, %xs {...} do (%c, %e) {           %y = scan %x, %xs {...} do (%c, %e) {
      %0 = contract %c, %e                            %1 = call @f.b0(%c, %e)
      %1 = tanh %0                            =>      yield %1
      yield %1                                      }
    }                                               func @f.b0(%c, %e) { ... }

Bodies that are the same become one function. What is computed on scalars and on arrays of a few elements stays where it is: it is lowered right in the loop.
"""

from __future__ import annotations

from rlxc.ir.attributes import Symbol
from rlxc.ir.builder import Builder
from rlxc.ir.canonical import canonical_text
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.names import OwnNames
from rlxc.ir.primitive import lookup
from rlxc.passes.manager import module_pass
from rlxc.primitives.control.folds import Parts

SMALL = 9  # elements of an array that may be held in registers
MOST_REGISTERS = 24  # elements of arrays that a body gives
MOST_ELEMENTS = 512  # that are computed right in a loop
CHEAP = 4.0  # flops of what is as fast for a few elements as for one, since they do not wait for each other
MORE = 40.0  # other flops that are done rather than a kernel called, which computes vectors


@module_pass("outline")
def outline(module: Module) -> Module:
    """Make a function of each body of control flow, but for those on scalars and small arrays; see the picture at the top of the file."""
    return _Outline(module).run()


class _Outline:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = OwnNames(f.name for f in module.funcs)
        self.known: dict[str, Func] = {}  # by canonical text
        self.made: list[Func] = []
        self.count = 0  # of bodies that have a name

    def run(self) -> Module:
        funcs = [self.func(f, f.name) if f.kind == "func" else f for f in self.module.funcs]
        return Module((*funcs, *self.made)) if self.made else self.module

    def func(self, func: Func, name: str) -> Func:
        """The function, or body, with its bodies outlined; bodies nest only as deep as loops do."""
        if not any(op.prim.control for op in func.ops):
            return func
        return func.with_(ops=tuple(self.op(op, name) if op.prim.control else op for op in func.ops))

    def op(self, op: Op, name: str) -> Op:
        if all(is_scalar(region) for region in op.regions):
            return op
        regions = tuple(self.call(region, name) for region in op.regions)
        return Op(op.prim, op.operands, op.attrs, op.results, regions, op.loc)

    def call(self, region: Func, name: str) -> Func:
        """A region that does nothing but call the function that the body becomes."""
        results = tuple(dict.fromkeys(region.results))
        body = region.with_(results=results)
        text = canonical_text(body)
        if text not in self.known:
            own = self.names.give(f"{name}.b{self.count}")
            self.count += 1
            self.known[text] = self.func(body, name).with_(name=own, kind="func", module=None)
            self.made.append(self.known[text])
        callee = self.known[text]
        b = Builder()
        b.loc = region.loc
        args = tuple(a.like() for a in region.args)
        attrs = {"callee": Symbol(callee.name), "type": tuple(v.type for v in results)}
        given = dict(zip(results, b.emit(lookup("call"), args, attrs, names=[v.name for v in results]).results, strict=True))
        return region.with_(args=args, ops=tuple(b.ops), results=tuple(given[v] for v in region.results))


def is_scalar(region: Func) -> bool:
    """Whether a body computes scalars, and arrays that are as good as a few scalars, by element rules; be it in loops and branches."""
    work = _Work()
    work.add(region)
    return work.is_little


class _Work:
    """What a body would do if it were done element by element."""

    def __init__(self) -> None:
        self.possible = True
        self.elements = 0  # that are computed
        self.more = 0.0  # flops of costly functions, besides those of one element
        self.kernels = 1

    @property
    def is_little(self) -> bool:
        return self.possible and self.elements <= MOST_ELEMENTS and self.more <= MORE * self.kernels

    def add(self, region: Func) -> None:
        self.possible &= all(map(_is_small, region.results)) and sum(v.type.size for v in region.results if v.type.shape) <= MOST_REGISTERS
        for op in region.ops:
            if self.possible:
                self.add_op(op)

    def add_op(self, op: Op) -> None:
        prim = op.prim
        if prim.control:
            for region in op.regions:
                self.add(region)
            self.possible &= all(map(_is_small, op.results)) and not (prim.stacks and Parts.of(op).ys)
            return
        if len(op.results) != 1 or op.regions or prim.has_effect or not (prim.elementwise or prim.has_rule("element")):
            self.possible = False
            return
        if not (prim.elementwise or prim.inline_attr):
            self.kernels += op.result.type.shape != () and not prim.view
        if prim.index_map or prim.view or prim.inline_attr:
            return
        self.possible &= all(map(_is_small, (*op.operands, *op.results)))
        if self.possible:
            flops = prim.flops([v.type for v in op.operands], [v.type for v in op.results], **op.attrs)
            each = max(1.0, prim.cost.flops)
            self.elements += max(op.result.type.size, int(flops / each))
            if each > CHEAP:
                self.more += flops - each


def _is_small(v: Value) -> bool:
    return v.type.is_static and v.type.size <= SMALL
