"""What to do where text is not `.rlx`: say so, skip the statement (or function), and read on.

The parser's stack is cut back to the last place where a statement could begin, and the lexer moved to the next line that
looks like one:

    %y = sin %x %z       <- error here: the statement from `%y` on is dropped, `%y` is known to be broken
    %w = cos %x          <- reading goes on here
"""

from __future__ import annotations

import re
from typing import Any

from lark import Token, UnexpectedInput, UnexpectedToken

from rlxc.errors import Label, Loc, ParseError, Report
from rlxc.frontend.literals import clip
from rlxc.frontend.syntax import Broken, FuncSyntax

_LANDMARK = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|//[^\n]*|[{}\n]')
_STATEMENT = re.compile(r'[ \t]*(?:%[\w.$]+[ \t]*[=,]|%"|[A-Za-z_}])')
_FUNCTION = re.compile(r"^(?:func|kernel)\b", re.MULTILINE)
_RESULT = re.compile(r"%([\w.$]+)[ \t]*(?=[=,])")
_WORD = re.compile(r'%?@?[\w.$]+|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|->|\.\.|\S')

_NAMES = {
    "VALUE": "a value (%x)",
    "RESULTS": "a statement",
    "RETURN": "a statement",
    "YIELD": "a statement",
    "FOR": "a statement",
    "NAME": "a name",
    "TYPE": "a type (f32[2])",
    "SYMBOL": "a function (@f)",
    "INT": "an integer",
    "RANGE": "bounds (0..8)",
    "STRING": "a string",
    "FUNC": "`func`",
    "KERNEL": "`kernel`",
    "PARAM": "`param`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "RSQB": "`]`",
    "EQUAL": "`=`",
    "IN": "`in`",
    "DO": "`do`",
    "CARRY": "`carry`",
    "STEP": "`step`",
    "$END": "the end of the file",
    "VERSION": "the version line",
}
_LITERALS = {"FLOAT", "INTS", "DENSE", "RESOURCE", "LSQB", "SHAPED", "FLAGS"}


class Recovery:
    """Handles the errors of one parse; afterwards `functions` and `broken` hold what could be saved."""

    def __init__(self, text: str, file: str, report: Report) -> None:
        self.text = text
        self.file = file
        self.report = report
        self.broken: list[str] = []
        self.functions: list[Any] = []
        self.reached = -1  # where reading went on last

    def __call__(self, error: UnexpectedInput) -> bool:
        """Report `error` and make the parser ready to go on; False where it cannot."""
        state = error.interactive_parser.parser_state  # type: ignore[attr-defined]
        at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        position = len(self.text) if at_end else _position(error)
        self.settle(state)
        depth, inside = self.boundary(state)
        start = self.start_of(state, depth, position)
        unclosed = inside == "body" and any(_FUNCTION.match(self.text, p) for p in (start, position))
        if unclosed and _FUNCTION.match(self.text, position):
            start = position
        if at_end or unclosed:
            self.report.add(self.not_closed(state, start if unclosed else None))
        else:
            self.report.add(self.unexpected(error, position))
        self.functions = next((v for v in state.value_stack if isinstance(v, list)), [])
        saved = (at_end or unclosed) and self.save(state, start)
        if at_end or self.report.is_full:
            if not saved:
                self.lose(start)
            return False
        if inside == "body" and not unclosed:
            self.drop_statement(state, depth, start, position)
            resume = self.end_of_statement(start, position)
        else:
            self.drop_function(state, start, saved)
            resume = start if unclosed else self.next_function(position)
        if resume <= self.reached and resume < len(self.text) and not unclosed:
            return False
        self.reached = resume
        self.move(error, resume)
        return True

    # ------------------------------------------------------------------------------------------------------ the parser's stack

    def settle(self, state: Any) -> None:
        """Finish what is complete whatever comes next, so that it is not dropped."""
        while True:
            actions = state.parse_conf.states[state.state_stack[-1]]
            rules = {target for _, target in actions.values()}
            if len(rules) != 1 or any(_shifts(action) for action in actions.values()):
                return
            (rule,) = rules
            size = len(rule.expansion)
            if not size:
                return
            children = state.value_stack[-size:]
            self.cut(state, len(state.value_stack) - size)
            state.value_stack.append(state.parse_conf.callbacks[rule](children))
            state.state_stack.append(state.parse_conf.states[state.state_stack[-1]][rule.origin.name][1])

    def boundary(self, state: Any) -> tuple[int, str]:
        """How many values stand before the statement or function that is being read, and which of the two it is."""
        states = state.parse_conf.states
        for depth in range(len(state.state_stack) - 1, -1, -1):
            actions = states[state.state_stack[depth]]
            for terminal, inside in (("RESULTS", "body"), ("FUNC", "module")):
                if terminal in actions and (terminal == "FUNC" or "RETURN" in actions) and _begins(actions[terminal]):
                    return depth, inside
        return 0, "module"

    def start_of(self, state: Any, depth: int, position: int) -> int:
        """Where the statement begins that is being read: at the first token above the boundary."""
        for value in state.value_stack[depth:]:
            token = first_token(value)
            if token is not None:
                return token.start_pos
        return position

    def drop_statement(self, state: Any, depth: int, start: int, position: int) -> None:
        """Cut the stack back, and put a Broken in place of the statement."""
        self.cut(state, depth)
        actions = state.parse_conf.states[state.state_stack[-1]]
        if "body" in actions:  # nothing has been read of it yet
            state.value_stack.append([])
            state.state_stack.append(actions["body"][1])
        end = self.end_of_statement(start, position)
        dropped = self.text[start:end]
        if re.match(r"dense\b", dropped) and state.value_stack[-1] and isinstance(state.value_stack[-1][-1], list):
            constant = state.value_stack[-1].pop()  # taken for a whole statement: `%c = constant`
            dropped = self.text[first_token(constant).start_pos : end]
        state.value_stack[-1].append(Broken(_RESULT.findall(dropped), bool(re.match(r"return\b|yield\b", dropped))))

    def save(self, state: Any, end: int) -> bool:
        """Keep what has been read of a function whose end is missing; False if that is not even its head."""
        stack = state.value_stack
        at = next((i for i, v in enumerate(stack) if isinstance(v, list) and v and isinstance(v[0], Token) and v[0].type in ("FUNC", "KERNEL")), None)
        if at is None or at + 1 >= len(stack) or not isinstance(stack[at + 1], list) or not at:
            return False
        keyword, name, arguments, *results = stack[at]
        lost = [t for v in stack[at + 2 :] if (t := first_token(v)) is not None][:1]
        broken = _RESULT.findall(self.text, lost[0].start_pos, end) if lost else []
        body = [*stack[at + 1], Broken(broken, ends=True)]
        stack[at - 1].append(FuncSyntax(keyword, name, arguments, [t for t in results if t.type == "TYPE"], body, None))
        return True

    def drop_function(self, state: Any, start: int, saved: bool) -> None:
        """Cut the stack back to the functions before this one, whose name is remembered."""
        depth = next((i for i, s in enumerate(state.state_stack) if _begins(state.parse_conf.states[s].get("FUNC"))), 0)
        functions = [i for i, v in enumerate(state.value_stack) if isinstance(v, list)]
        if functions:
            depth = functions[0] + 1
        lost = [t for v in state.value_stack[depth:] if (t := first_token(v)) is not None]
        if not saved:
            self.lose(lost[0].start_pos if lost else start)
        self.cut(state, depth)

    def cut(self, state: Any, depth: int) -> None:
        del state.value_stack[depth:]
        del state.state_stack[depth + 1 :]

    def lose(self, start: int) -> None:
        """Remember the name of the function that stands at or before `start`."""
        heads = [m.start() for m in _FUNCTION.finditer(self.text, 0, start + 6)]
        m = re.compile(r"(?:func|kernel)\s+@([\w.$]+)").match(self.text, heads[-1]) if heads else None
        if m:
            self.broken.append(m[1])

    # ---------------------------------------------------------------------------------------------------------------- the text

    def end_of_statement(self, start: int, position: int) -> int:
        """Where to go on: after the line of `position` and all braces opened since `start`, at a line that looks like a statement."""
        open_braces = 0
        for m in _LANDMARK.finditer(self.text, start):
            mark = m.group()
            if mark == "{":
                open_braces += 1
            elif mark == "}":
                if open_braces == 0 and m.start() >= position and m.start() > self.reached:
                    return m.start()
                open_braces = max(open_braces - 1, 0)
            elif mark == "\n":
                if _FUNCTION.match(self.text, m.end()):
                    return m.end()
                if m.end() <= position and m.end() > self.reached and not self.text[m.end() : position].strip() and _STATEMENT.match(self.text, m.end()):
                    return m.end()  # the line before is at fault
                if open_braces == 0 and m.start() >= position and _STATEMENT.match(self.text, m.end()):
                    return m.end()
        return len(self.text)

    def next_function(self, position: int) -> int:
        """The next line that begins with `func` or `kernel`, after `position`."""
        m = _FUNCTION.search(self.text, position + 1)
        return m.start() if m else len(self.text)

    def move(self, error: UnexpectedInput, position: int) -> None:
        """Let the lexer go on at `position`."""
        counter = error.interactive_parser.lexer_thread.state.line_ctr  # type: ignore[attr-defined, union-attr]
        counter.char_pos = position
        counter.line = self.text.count("\n", 0, position) + 1
        counter.line_start_pos = self.text.rfind("\n", 0, position) + 1
        counter.column = position - counter.line_start_pos + 1

    def loc(self, position: int, length: int = 1) -> Loc:
        line = self.text.count("\n", 0, position) + 1
        column = position - self.text.rfind("\n", 0, position)
        return Loc(self.file, line, column, line, column + max(length, 1))

    # ------------------------------------------------------------------------------------------------------------ the messages

    def unexpected(self, error: UnexpectedInput, position: int) -> ParseError:
        """What stands here that should not."""
        word = _WORD.match(self.text, position)
        found = word.group() if word else self.text[position]
        loc = self.loc(position, min(len(found), 80))
        if found == '"':
            return ParseError("this string is not closed", code="RLX0004", loc=loc, help="a string ends on its line")
        if found.isspace() or not found.isprintable() or (found not in "%@" and not re.match(r'[\w%@"(){}\[\]<>,.:;=+\-*/|&!?~^#$\'\\`]', found, re.ASCII)):
            return ParseError(f"the character U+{ord(found[0]):04X} cannot stand here", code="RLX0003", loc=self.loc(position))
        if self.text.startswith("dense<", position):
            return ParseError("this constant is not closed, or has a string in it", code="RLX0009", loc=self.loc(position, 6), help="it ends with `>`")
        if found == "dense" or self.text[max(position - 5, 0) : position] == "dense":
            return ParseError("a constant is written `dense<...>`", code="RLX0009", loc=loc)
        if found == "rlx":
            return ParseError("the version line is the first of a file, as in `rlx 0.1`", code="RLX0002", loc=loc)
        expected = _expected(getattr(error, "expected", None) or getattr(error, "allowed", None) or ())
        help = None
        if found.startswith("%") and len(found) > 1 and "statement" in expected:
            help = "operands are separated by commas" if "`,`" in expected else "results are followed by `=`"
        return ParseError(f"expected {expected}, found `{clip(found)}`" if expected else f"`{clip(found)}` cannot stand here", loc=loc, help=help)

    def not_closed(self, state: Any, function: int | None) -> ParseError:
        """The text, or a function, ends too early."""
        before = [v for v in state.value_stack if not (function is not None and isinstance(v, Token) and v.start_pos >= function)]  # type: ignore[operator]
        opened = next((v for v in reversed(before) if isinstance(v, Token) and v.type in _OPEN), None)
        heads = [v[1] for v in before if isinstance(v, list) and len(v) > 1]
        name = next((t for t in heads if isinstance(t, Token) and t.type == "SYMBOL"), None)
        token: Any = opened or name
        end = len(self.text.rstrip()) if function is None else function
        what = "the file ends" if function is None else "another function begins"
        if token is None:
            return ParseError(f"{what} too early", code="RLX0008", loc=self.loc(end), help=None if self.text.strip() else "write a function")
        closing = _OPEN.get(token.type, "}")
        text = f"the body of {token} begins here" if token is name else f"`{token[0]}` opened here"
        label = Label(Loc(self.file, token.line, token.column, token.line, token.column + len(token)), text)
        return ParseError(f"{what} before `{closing}`", code="RLX0008", loc=self.loc(end), labels=(label,), help=f"write the missing `{closing}`")


_OPEN = {"LBRACE": "}", "FLAGS": "}", "LPAR": ")", "LSQB": "]"}


def _begins(action: Any) -> bool:
    """Whether a parser's action on the first token of a statement is to begin one (not to end another)."""
    if action is None:
        return False
    return _shifts(action) or not action[1].expansion


def _shifts(action: Any) -> bool:
    return getattr(action[0], "name", "") == "Shift"


def _position(error: UnexpectedInput) -> int:
    """Where in the text the error is."""
    position = error.token.start_pos if isinstance(error, UnexpectedToken) else error.pos_in_stream
    return position or 0


def first_token(value: Any) -> Any:
    """The first token in a piece of syntax."""
    while isinstance(value, list):
        if not value:
            return None
        value = value[0]
    if isinstance(value, Token):
        return value
    for name in ("keyword", "name", "start", "body"):
        if isinstance(getattr(value, name, None), Token):
            return getattr(value, name)
    return None


def _expected(terminals: Any) -> str:
    """What could stand here, in words."""
    terminals = set(terminals)
    if {"RESULTS", "RBRACE"} <= terminals:
        terminals -= {"VALUE", "NAME", "RETURN", "YIELD", "FOR", "DO", *_LITERALS}
    if _LITERALS & terminals and {"STRING", "FLOAT"} <= terminals:
        return "a value" if "NAME" in terminals else "an operand or a literal"
    words = list(dict.fromkeys(_NAMES[t] for t in sorted(terminals) if t in _NAMES))
    if not words:
        return ""
    if len(words) > 5:
        words = [*words[:4], "..."]
        return ", ".join(words)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
