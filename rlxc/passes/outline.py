"""Outline: the bodies of control flow become functions of the module, so that every pass after this one works on them.

    %y = scan %x, %xs {...} do (%c, %e) {           %y = scan %x, %xs {...} do (%c, %e) {
      %0 = contract %c, %e                            %1 = call @f.b0(%c, %e)
      %1 = tanh %0                            =>      yield %1
      yield %1                                      }
    }                                               func @f.b0(%c, %e) { ... }

Bodies that are the same become one function. What is computed on scalars alone stays where it is: it is lowered right in the loop.
"""

from __future__ import annotations

from rlxc.ir.attributes import Symbol
from rlxc.ir.builder import Builder
from rlxc.ir.canonical import canonical_text
from rlxc.ir.core import Func, Module, Op
from rlxc.ir.names import OwnNames
from rlxc.ir.primitive import lookup
from rlxc.passes.manager import module_pass

MOST_OPS = 256  # on scalars, that are lowered right in a loop


@module_pass("outline")
def outline(module: Module) -> Module:
    """Make a function of each body of control flow, but for those on scalars; see the picture at the top of the file."""
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
    """Whether a body computes scalars alone, each by an element rule: from scalars, and from elements of arrays; be it in loops and branches."""
    if sum(1 for _ in region.walk()) > MOST_OPS or any(v.type.shape for v in region.results):
        return False
    return all(map(_is_scalar_op, region.ops))


def _is_scalar_op(op: Op) -> bool:
    if op.prim.control:
        return all(v.type.shape == () for v in op.results) and all(map(is_scalar, op.regions))
    if len(op.results) != 1 or op.regions or op.prim.has_effect:
        return False
    if op.prim.elementwise:
        return op.result.type.shape == ()
    return op.prim.index_map or op.prim.view or (not op.operands and op.prim.inline_attr is not None)
