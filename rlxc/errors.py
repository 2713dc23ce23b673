"""What can go wrong, as the user sees it: locations, diagnostics and the `Error` classes that carry them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Loc:
    """A place in a source file, and the transforms that led from it to here.

    Lines and columns count from 1; `end_column` is one past the last character, on `end_line`.
    """

    file: str = "<unknown>"
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    via: tuple[str, ...] = ()

    def through(self, transform: str) -> Loc:
        """This place as seen through one more transform: `ffn.rlx:4:3 via linearize(@ffn)`."""
        return Loc(self.file, self.line, self.column, self.end_line, self.end_column, (*self.via, transform))

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return place + (f" via {' via '.join(self.via)}" if self.via else "")


UNKNOWN = Loc()


@dataclass(frozen=True, slots=True)
class Label:
    """A secondary place that helps to understand a diagnostic (`%x defined here`)."""

    loc: Loc
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message for the user: a code, one sentence, where, and perhaps what to do."""

    code: str
    message: str
    loc: Loc = UNKNOWN
    labels: tuple[Label, ...] = ()
    help: str | None = None
    severity: str = field(default="error")

    def __str__(self) -> str:
        where = f"{self.loc}: " if self.loc != UNKNOWN else ""
        text = f"{where}{self.severity}[{self.code}]: {self.message}"
        for label in self.labels:
            text += f"\n  {label.loc}: {label.text}"
        return text + (f"\n  help: {self.help}" if self.help else "")


class Error(Exception):
    """Everything rlxc raises for a user to see; `.diagnostics` says what, `.code` the first one's code.

    Raised without a place by the rules of primitives, which do not know it; whoever calls the rule adds it with `at`.
    """

    default_code = "RLX0900"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        loc: Loc = UNKNOWN,
        labels: Iterable[Label] = (),
        help: str | None = None,
        diagnostics: Iterable[Diagnostic] = (),
    ) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics) or (Diagnostic(code or self.default_code, message, loc, tuple(labels), help),)
        Exception.__init__(self, str(self))

    @property
    def code(self) -> str:
        return self.diagnostics[0].code

    @property
    def message(self) -> str:
        return self.diagnostics[0].message

    @property
    def loc(self) -> Loc:
        return self.diagnostics[0].loc

    def at(self, loc: Loc) -> Error:
        """The same error, placed at `loc` where it has no place of its own yet."""
        placed = [d if d.loc != UNKNOWN else replace(d, loc=loc) for d in self.diagnostics]
        return type(self)(diagnostics=placed)

    def __str__(self) -> str:
        return "\n".join(str(d) for d in self.diagnostics)


class ParseError(Error, SyntaxError):
    """Text that is not `.rlx`."""

    default_code = "RLX0001"


class UnknownName(Error, LookupError):
    """An op, value, function, attribute, argument or pass that does not exist (or exists twice)."""

    default_code = "RLX0101"


class ShapeError(Error, ValueError):
    """Operand shapes that do not fit the op."""

    default_code = "RLX0201"


class DTypeError(Error, TypeError):
    """Operand dtypes that the op does not take."""

    default_code = "RLX0202"


class AttrError(Error, ValueError):
    """An attribute that is missing, unknown, of the wrong kind or out of range."""

    default_code = "RLX0203"


class VerifyError(Error, ValueError):
    """IR that is not well formed."""

    default_code = "RLX0210"


class LinearityError(Error, ValueError):
    """A function that claims to be linear and is not."""

    default_code = "RLX0301"


class MissingRule(Error, NotImplementedError):
    """A primitive lacks the rule that a transform asked for."""

    default_code = "RLX0302"


class RuleError(Error, TypeError):
    """A primitive's rule returned the wrong number or type of results."""

    default_code = "RLX0303"


class DifferentiationError(Error, ValueError):
    """A derivative that does not exist as asked: integer arguments, results that are not scalars, and so on."""

    default_code = "RLX0304"


class PassError(Error, ValueError):
    """A pipeline that cannot run: unknown passes or options, IR in the wrong stage."""

    default_code = "RLX0401"


class ArgumentError(Error, TypeError):
    """Arrays at call time that do not fit the function."""

    default_code = "RLX0501"


class OutOfMemory(Error, MemoryError):
    """Arrays that do not fit into memory."""

    default_code = "RLX0509"


class FileError(Error, OSError):
    """A file that cannot be read or written, or does not hold what it should."""

    default_code = "RLX0601"


class Unsupported(Error, NotImplementedError):
    """Right in itself, but not something rlxc can do."""

    default_code = "RLX0701"


class MissingExtra(Error, ImportError):
    """An optional dependency that is not installed."""

    default_code = "RLX0602"


class TracingError(Error, TypeError):
    """A Python function that cannot be traced as it is written."""

    default_code = "RLX0801"


class BoundsError(Error, IndexError):
    """An index outside of an array."""

    default_code = "RLX0807"


class InternalError(Error, RuntimeError):
    """A defect of rlxc itself."""

    default_code = "RLX0900"


class Report:
    """Gathers errors so that several are shown a run; `raise_if_any` raises them together, in the order of the text."""

    def __init__(self, limit: int = 20) -> None:
        self.limit = limit
        self.errors: list[Error] = []

    def add(self, error: Error) -> None:
        self.errors.append(error)

    @property
    def is_full(self) -> bool:
        return len(self.errors) >= self.limit

    def raise_if_any(self) -> None:
        if not self.errors:
            return
        placed = sorted(((d, type(e)) for e in self.errors for d in e.diagnostics), key=lambda p: (p[0].loc.file, p[0].loc.line, p[0].loc.column))
        raise placed[0][1](diagnostics=list(dict.fromkeys(d for d, _ in placed))[: self.limit]) from None
