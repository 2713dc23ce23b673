"""What all functions of a file share: heads, which callers see before any body is read, and how names and places are written."""

from __future__ import annotations

from dataclasses import dataclass

from lark import Token

from rlxc.errors import UNKNOWN, DTypeError, Error, Label, Loc, Report, UnknownName
from rlxc.frontend.literals import read_annotation, read_string
from rlxc.frontend.syntax import ArgumentSyntax, FuncSyntax
from rlxc.ir.core import Value
from rlxc.ir.names import value_text
from rlxc.ir.types import TENSOR_DTYPES, DType, TensorType, Type

POISON = Value(TensorType(DType("f32")), "poison")  # stands for a value that could not be made


@dataclass(slots=True)
class Signature:
    """The head of a function, as its callers see it. `args` is None if it could not be read."""

    name: str
    loc: Loc
    level: str
    args: tuple[Value, ...] | None
    results: tuple[tuple[Type, bool], ...]


@dataclass(slots=True)
class Context:
    """What all functions of a file share."""

    file: str
    report: Report
    signatures: dict[str, Signature]
    broken: set[str]

    def declare(self, function: FuncSyntax) -> None:
        """Make the head of a function known, before any body is read."""
        name = symbol_name(function.name)
        loc = self.loc(function.name)
        if name in self.signatures:
            first = Label(self.signatures[name].loc, f"@{name} first defined here")
            self.report.add(UnknownName(f"there are two functions @{name}", code="RLX0107", loc=loc, labels=(first,), help="rename one of them"))
            return
        tensor = function.keyword.type == "FUNC"
        args = self.arguments(function.arguments, {}, tensor)
        results = [self.annotation(t) for t in function.results]
        known = tuple(r for r in results if r is not None)
        whole = args is not None and len(known) == len(results)
        self.signatures[name] = Signature(name, loc, "tensor" if tensor else "loop", args if whole else None, known)

    def arguments(self, arguments: list[ArgumentSyntax], seen: dict[str, Value], tensor: bool) -> tuple[Value, ...] | None:
        """Values of arguments, or None if one cannot be read. All names are put into `seen`."""
        values = []
        failed = False
        for a in arguments:
            if self.report.is_full:
                return None
            name, loc = value_name(a.name), self.loc(a.name)
            annotation = self.annotation(a.type)
            if name in seen and not failed:
                self.report.add(defined_twice(name, loc, seen[name]))
                failed = True
            if annotation is None:
                failed = True
                seen[name] = POISON
                continue
            type, linear = annotation
            if tensor and not isinstance(type, TensorType):
                help = f"a scalar is {type}[]" if str(type) in TENSOR_DTYPES else None
                self.report.add(DTypeError(f"%{name} must be a tensor, not {type}", code="RLX0204", loc=self.loc(a.type), help=help))
                failed = True
            seen[name] = value = Value(type, wish(name), linear=linear, param=a.param, loc=loc)
            values.append(value)
        return None if failed else tuple(values)

    def annotation(self, token: Token) -> tuple[Type, bool] | None:
        """A written type and whether it is `lin`, or None if it is not a type."""
        try:
            return read_annotation(token)
        except Error as error:
            self.report.add(error.at(self.loc(token)))
            return None

    def loc(self, first: Token, last: Token | None = None) -> Loc:
        """From the start of one token to the end of it or of another."""
        last = last or first
        return Loc(self.file, first.line, first.column, last.end_line, last.end_column)  # type: ignore[arg-type]


def value_name(token: str) -> str:
    """The name in `%x` or `%"x y"`. `%1` has no name and `%"1"` is called 1; to tell them apart, the latter has a NUL before it here."""
    if token[1] != '"':
        return token[1:]
    name = read_string(token[1:])
    return "\0" + name if _is_number(name) or name.startswith("\0") else name


def symbol_name(token: str) -> str:
    """The name in `@f` or `@"my f"`."""
    return token[1:] if token[1] != '"' else read_string(token[1:])


def wish(name: str) -> str | None:
    """The name a value asks for: one of digits only stands for none."""
    return None if _is_number(name) else name.removeprefix("\0")


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def defined_twice(name: str, loc: Loc, first: Value) -> Error:
    name = name.removeprefix("\0")
    labels = (Label(first.loc, f"{value_text(name)} first defined here"),) if first.loc is not UNKNOWN else ()
    return UnknownName(f"{value_text(name)} is defined twice", code="RLX0106", loc=loc, labels=labels, help="every value has a name of its own")
