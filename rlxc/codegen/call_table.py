"""A function that does nothing but call kernels, as a table that a small loop works through: its code does not grow with its calls.

A program of many layers makes hundreds of calls with a handful of operands each; as instructions they would take longer to compile than the
kernels. The table has, for each call, a word with the number of the kernel and of its operands, and a word for each operand that says where
it is:

    workspace + n        n << 2
    argument n           n << 2 | 1
    constant data n      n << 2 | 2

A kernel that is called once knows where small operands lie in the workspace: they are neither in the table nor arguments. A thousand scalars
between two kernels are so as good as variables of one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from rlxc.codegen.text import Ref, symbol_of
from rlxc.ir.core import Func, Value
from rlxc.ir.types import MemType

FEW = 16  # calls that are better written out
MANY = 16  # operands of a kernel: where there are more, it knows where small ones lie
SMALL = 64  # bytes
WORKSPACE, ARGUMENT, DATA = range(3)


def fits_call_table(func: Func) -> bool:
    """Whether the function only calls kernels, and often enough."""
    return len(func.ops) > FEW and all(getattr(op.prim, "tabular", False) for op in func.ops)


class CallTable:
    """Where memory is, and what is called with it: the part of a writer's vocabulary that tabular ops speak. A Ref's text is a word of the table."""

    def __init__(self, func: Func, own: int, data_name: Callable[[Any], str], once: Collection[str] = ()) -> None:
        self.func = func
        self.once = once  # kernels that are called from one place only
        self.known: dict[str, dict[int, int]] = {}  # of such a kernel, operands that are where? In bytes from its workspace
        self.data_name = data_name  # name of read-only data with an array in it
        self.own = own  # bytes of workspace that the function allocates itself
        self.allocated = 0
        self.words: list[int] = []
        self.kernels: dict[str, int] = {}  # number of each kernel
        self.operands: list[int] = []  # of each kernel, how many
        self.data: dict[str, int] = {}  # number of each constant
        self.refs: dict[Value, Ref] = {a: Ref(_word(ARGUMENT, i), a.type) for i, a in enumerate(func.args)}
        for op in func.ops:
            attrs = {k: v for k, v in op.attrs.items() if k != "type"}
            text = op.prim.llvm(self, op.results[0].type if op.results else None, *[self.refs[v] for v in op.operands], **attrs)  # type: ignore[attr-defined]
            if op.results:
                self.refs[op.result] = Ref(text, op.result.type)

    # what tabular ops ask for

    def allocate(self, type: MemType) -> str:
        offset = self.allocated
        self.allocated += type.room
        return _word(WORKSPACE, offset)

    def part_of(self, memory: Ref, offset: int) -> str:
        place = int(memory.text)
        assert place & 3 == WORKSPACE, "a part of memory that is not the function's own"
        return _word(WORKSPACE, (place >> 2) + offset)

    def global_data(self, value: Any) -> str:
        return _word(DATA, self.data.setdefault(self.data_name(value), len(self.data)))

    def call_kernel(self, callee: str, memory: Sequence[Ref]) -> None:
        words = [int(m.text) for m in memory]
        if callee in self.once and len(words) > MANY:
            small = [i for i, m in enumerate(memory) if words[i] & 3 == WORKSPACE and m.type.room <= SMALL]
            small = small[len(small) == len(words) :]  # the loop passes one operand or more
            self.known[callee] = {i: (words[i] >> 2) - self.own for i in small}
            words = [word for i, word in enumerate(words) if i not in self.known[callee]]
        if callee not in self.kernels:
            self.kernels[callee] = len(self.kernels)
            self.operands.append(len(words))
        self.words += [self.kernels[callee] << 16 | len(words), *words]

    # text

    def function(self, symbol: str, linkage: str, boxed: Collection[str]) -> str:
        """The function, which takes the addresses of all its arguments in one array, as `boxed` kernels do; and what it needs."""
        name = symbol_of(self.func.name)
        numbered = list(zip(self.kernels.items(), self.operands, strict=True))
        thunks = [_thunk(name, i, callee, n) for (callee, i), n in numbered if callee not in boxed]
        kernels = ", ".join([f'ptr @"{symbol_of(callee) if callee in boxed else f"{name}.$k{i}"}"' for callee, i in self.kernels.items()])
        data = ", ".join([f"ptr {d}" for d in self.data] or ["ptr null"])
        tables = [
            f'@"{name}.$words" = internal unnamed_addr constant [{len(self.words)} x i64] [{", ".join([f"i64 {w}" for w in self.words])}]',
            f'@"{name}.$kernels" = internal unnamed_addr constant [{len(self.kernels)} x ptr] [{kernels}]',
            f'@"{name}.$data" = internal unnamed_addr constant [{max(len(self.data), 1)} x ptr] [{data}]',
        ]
        loop = _LOOP.format(linkage=linkage, symbol=symbol, name=name, most=max(self.operands), own=self.own, words=len(self.words))
        return "\n".join([*tables, "", *thunks, loop])


def _word(kind: int, number: int) -> str:
    return str(number << 2 | kind)


def _thunk(name: str, number: int, callee: str, operands: int) -> str:
    """The kernel with its operands in an array."""
    lines = [f'define internal void @"{name}.$k{number}"(ptr %buffers, ptr %workspace, ptr %pool) {{']
    for i in range(operands):
        lines.append(f"  %p{i} = getelementptr inbounds ptr, ptr %buffers, i64 {i}")
        lines.append(f"  %a{i} = load ptr, ptr %p{i}")
    passed = ", ".join([*[f"ptr %a{i}" for i in range(operands)], "ptr %workspace", "ptr %pool"])
    return "\n".join([*lines, f'  call void @"{symbol_of(callee)}"({passed})', "  ret void", "}", ""])


_LOOP = """\
define {linkage}void @"{symbol}"(ptr %arguments, ptr %workspace, ptr %pool) {{
entry:
  %buffers = alloca [{most} x ptr], align 16
  %rest = getelementptr inbounds i8, ptr %workspace, i64 {own}
  br label %step
step:
  %at = phi i64 [ 0, %entry ], [ %following, %call ]
  %head.place = getelementptr inbounds i64, ptr @"{name}.$words", i64 %at
  %head = load i64, ptr %head.place
  %kernel = lshr i64 %head, 16
  %count = and i64 %head, 65535
  br label %operand
operand:
  %i = phi i64 [ 0, %step ], [ %i.next, %operand ]
  %i.next = add nuw nsw i64 %i, 1
  %word.at = add nuw nsw i64 %at, %i.next
  %word.place = getelementptr inbounds i64, ptr @"{name}.$words", i64 %word.at
  %word = load i64, ptr %word.place
  %number = lshr i64 %word, 2
  %kind = and i64 %word, 3
  %is.workspace = icmp eq i64 %kind, 0
  %is.data = icmp eq i64 %kind, 2
  %list = select i1 %is.data, ptr @"{name}.$data", ptr %arguments
  %listed.at = select i1 %is.workspace, i64 0, i64 %number
  %listed.place = getelementptr inbounds ptr, ptr %list, i64 %listed.at
  %listed = load ptr, ptr %listed.place
  %part = getelementptr i8, ptr %workspace, i64 %number
  %address = select i1 %is.workspace, ptr %part, ptr %listed
  %place = getelementptr inbounds ptr, ptr %buffers, i64 %i
  store ptr %address, ptr %place
  %more = icmp ult i64 %i.next, %count
  br i1 %more, label %operand, label %call
call:
  %following = add nuw nsw i64 %word.at, 1
  %code.place = getelementptr inbounds ptr, ptr @"{name}.$kernels", i64 %kernel
  %code = load ptr, ptr %code.place
  call void %code(ptr %buffers, ptr %rest, ptr %pool)
  %again = icmp ult i64 %following, {words}
  br i1 %again, label %step, label %done
done:
  ret void
}}
"""
