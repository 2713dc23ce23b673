"""Syntax to Module: names become values, ops and functions; types are inferred and compared with what is written.

Whatever fails is reported and *poisoned*: its results stand for themselves in later statements, which are passed over
in silence, so that one mistake is one diagnostic.
"""

from __future__ import annotations

import re
from typing import Any

from lark import Token

from rlxc.errors import UNKNOWN, AttrError, DTypeError, Error, Label, Loc, ParseError, Report, RuleError, ShapeError, UnknownName, VerifyError
from rlxc.frontend.attributes import AttributeReader
from rlxc.frontend.heads import POISON, Context, defined_twice, symbol_name, value_name, wish
from rlxc.frontend.literals import clip, read_int
from rlxc.frontend.syntax import (
    MAX_DEPTH,
    AttributesSyntax,
    AttributeSyntax,
    Broken,
    FuncSyntax,
    LoopSyntax,
    ModuleSyntax,
    RegionSyntax,
)
from rlxc.ir.attributes import Symbol
from rlxc.ir.builder import make_op
from rlxc.ir.calls import call_types, find_recursion
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.names import did_you_mean, value_text
from rlxc.ir.primitive import REGISTRY, Primitive, coerce
from rlxc.ir.types import INDEX, DType, did_you_mean_dtype
from rlxc.ir.verify import recursion

_RESULT = re.compile(r'%(?:[A-Za-z0-9_.$]+|"[^"\\]*(?:\\.[^"\\]*)*")')
_KEYWORDS = {"return", "yield", "do", "carry", "func", "kernel", "param", "dense", "resource"}
_OTHER_LEVEL = {"tensor": ("loop", "a kernel"), "loop": ("tensor", "a func")}


def resolve(syntax: ModuleSyntax, file: str, report: Report) -> Module:
    """The module that `syntax` means. Errors go to `report`; what is returned then is of no use."""
    context = Context(file, report, {}, set(syntax.broken))
    for function in syntax.functions:
        context.declare(function)
    funcs = []
    for function in syntax.functions:
        if report.is_full:
            break
        func = FuncResolver(context, function).func()
        if func is not None:
            funcs.append(func)
    if not report.errors:
        for op, path in find_recursion(funcs):
            report.add(recursion(op, path))
    return Module(tuple(funcs))


class FuncResolver:
    """Reads one function, statement by statement."""

    def __init__(self, context: Context, function: FuncSyntax) -> None:
        self.context = context
        self.attributes = AttributeReader(context)
        self.report = context.report
        self.function = function
        self.file = context.file
        self.level = "tensor" if function.keyword.type == "FUNC" else "loop"
        self.scope: dict[str, Value] = {}
        self.trail: list[str] = []  # names in the order they came into scope
        self.outside: list[dict[str, Value]] = []  # scopes around the bodies of control flow that are being read
        self.later: dict[str, Loc] | None = None
        self.returned: list[Token] = []
        self.lost_end = False  # the `return` could not be read

    def func(self) -> Func | None:
        """The function, or None if it has errors."""
        name = symbol_name(self.function.name)
        signature = self.context.signatures[name]
        before = len(self.report.errors)
        if signature.args is None:
            for a in self.function.arguments:
                self.scope[value_name(a.name)] = POISON
        else:
            for a, value in zip(self.function.arguments, signature.args, strict=True):
                self.scope[value_name(a.name)] = value
        ops, results = self.block(self.function.body, "RETURN", self.function.end)
        if signature.args is None or len(self.report.errors) > before:
            return None
        kind = "func" if self.level == "tensor" else "kernel"
        return Func(name, signature.args, ops, results, kind, signature.loc)

    # ------------------------------------------------------------------------------------------------------- statements

    def block(self, body: list[Any], ending: str, end: Token | None) -> tuple[tuple[Op, ...], tuple[Value, ...]]:
        """Ops of a body, and the values that its `return` or `yield` names."""
        ops: list[Op] = []
        results: tuple[Value, ...] | None = None
        read_op = self.op
        for statement in body:
            if self.report.is_full:
                break
            if results is not None:
                self.after_the_end(statement, ending)
                break
            if type(statement) is list:
                kind = statement[0].type
                if kind != "RETURN" and kind != "YIELD":
                    op = read_op(statement)
                else:
                    results = self.terminator(statement, ending)
                    continue
            elif type(statement) is LoopSyntax:
                op = self.loop(statement)
            else:
                assert isinstance(statement, Broken)
                for name in statement.names:
                    self.scope[name] = POISON
                continue
            if op is not None:
                ops.append(op)
        if ending == "RETURN":
            self.check_returned(results, end)
        return tuple(ops), results or ()

    def op(self, statement: list[Any]) -> Op | None:
        """One op, its results put in scope; None if it has errors."""
        first = statement[0]
        results = None
        if first.type == "RESULTS":
            results, name = first, statement[1]
            parts = statement[2:]
        else:
            name, parts = first, statement[1:]
        operands: list[Token] = []
        types: list[Token] = []
        regions: list[RegionSyntax] = []
        attributes = literal = None
        last = name
        for part in parts:
            if type(part) is Token:
                kind = part.type
                if kind == "VALUE":
                    operands.append(part)
                elif kind == "TYPE":
                    types.append(part)
                    continue
                elif kind == "COLON":
                    continue
                elif kind != "COMMA" and kind != "LPAR" and kind != "RPAR":
                    literal = part
                last = part
            elif type(part) is AttributesSyntax:
                attributes, last = part.items, part.end
            elif type(part) is RegionSyntax:
                regions.append(part)
            else:
                literal = part
                last = part.end
        loc = Loc(self.file, name.line, name.column, last.end_line, last.end_column)  # type: ignore[arg-type]
        names = self.result_names(results) if results is not None else []
        op = self.make(name, loc, operands, literal, attributes, regions, types, names)
        define = self.define
        if op is None:
            for n, where in names:
                define(n, POISON, where)
            return None
        for value, (n, where) in zip(op.results, names, strict=True):
            value.loc = where
            define(n, value, where)
        return op

    def result_names(self, token: Token) -> list[tuple[str, Loc]]:
        """Names and places of `%s, %i =`."""
        if "," not in token and '"' not in token:
            name = token[1:-1].rstrip()
            return [(name, Loc(self.file, token.line, token.column, token.line, token.column + len(name) + 1))]  # type: ignore[arg-type, operator]
        names = []
        line, start = token.line, -(token.column - 1)  # type: ignore[operator]
        end = 0
        for m in _RESULT.finditer(token):
            newlines = token.count("\n", end, m.start())
            if newlines:
                line, start = line + newlines, token.rindex("\n", end, m.start()) + 1  # type: ignore[operator]
            end = m.end()
            names.append((value_name(m.group()), Loc(self.file, line, m.start() - start + 1, line, end - start + 1)))  # type: ignore[arg-type]
        return names

    def define(self, name: str, value: Value, loc: Loc) -> None:
        """Put a value in scope; a name in use is an error."""
        first = self.scope.get(name)
        if first is not None and first is not POISON and value is not POISON:
            self.report.add(defined_twice(name, loc, first))
            return
        if first is None:
            self.trail.append(name)
        self.scope[name] = value

    def make(
        self,
        name: Token,
        loc: Loc,
        operand_tokens: list[Token],
        literal: Any,
        attributes: list[AttributeSyntax] | None,
        region_syntax: list[RegionSyntax],
        type_tokens: list[Token],
        names: list[tuple[str, Loc]],
    ) -> Op | None:
        """Look everything up, infer, and compare with what is written; None if anything is wrong, which is reported."""
        prim = self.primitive(name)
        operands = [self.operand(t) for t in operand_tokens]
        annotations = [self.context.annotation(t) for t in type_tokens]
        failed = prim is None or POISON in operands or None in annotations
        attrs: dict[str, Any] | None = {}
        if prim is not None and None not in annotations and (attributes or literal is not None):
            attrs = self.attributes.read(prim, literal, attributes or [], annotations)
        regions = [self.body(r) if prim is not None and prim.control else self.region(r) for r in region_syntax] if region_syntax else []
        if failed or attrs is None or None in regions:
            return None
        assert prim is not None
        wishes = [wish(n) for n, _ in names]
        before = len(self.report.errors)
        try:
            if not self.check_call(attrs, operands) or (prim.typed and not self.complete_type(prim, attrs, annotations)):
                return None
            op = self.apply(prim, operands, attrs, tuple(regions), wishes, loc)  # type: ignore[arg-type]
        except Error as error:
            if len(self.report.errors) == before:
                self.report.add(self.placed(error, prim, operands, attrs, attributes or [], loc))
            return None
        if len(op.results) != len(names):
            self.report.add(wrong_count(prim, len(op.results), names, loc))
            return None
        return self.compared(op, annotations, type_tokens)

    def primitive(self, name: Token) -> Primitive | None:
        prim = REGISTRY.get(name, self.level)
        if prim is not None:
            if prim.syntax != "plain":
                self.report.add(ParseError(f"{clip(name)} is not written like other ops", code="RLX0001", loc=self.context.loc(name)))
                return None
            return prim
        if name in _KEYWORDS:
            self.lost_end = True
            self.report.add(ParseError(f"expected an op, found `{name}`", loc=self.context.loc(name)))
            return None
        other, place = _OTHER_LEVEL[self.level]
        if REGISTRY.get(name, other) is not None:
            self.report.add(
                UnknownName(f"{name} is an op of the {other} level", code="RLX0109", loc=self.context.loc(name), help=f"it can only stand in {place}")
            )
            return None
        help = did_you_mean(name, REGISTRY.levels[self.level]) or "`rlxc ops` lists the ops"
        self.report.add(UnknownName(f"there is no op '{clip(name)}'", code="RLX0102", loc=self.context.loc(name), help=help))
        return None

    def operand(self, token: Token) -> Value:
        """The value that `%x` names; an unknown one is reported once."""
        name = token[1:]
        value = self.scope.get(name)
        if value is not None:
            return value
        if name[0] == '"':
            name = value_name(token)
            if name in self.scope:
                return self.scope[name]
        self.undefined(name, token)
        self.scope[name] = POISON
        self.trail.append(name)
        return POISON

    def undefined(self, name: str, token: Token) -> None:
        text = clip(value_text(name))
        around = next((scope[name] for scope in reversed(self.outside) if name in scope), None)
        if around is POISON:
            return  # what is wrong with it has been said
        if around is not None:
            labels = (Label(around.loc, f"{text} defined here"),) if around.loc.line else ()
            help = "pass it as one more operand, and take it as an argument"
            message = f"{text} is outside of this body, which sees its arguments only"
            self.report.add(UnknownName(message, code="RLX0225", loc=self.context.loc(token), labels=labels, help=help))
            return
        if self.later is None:
            self.later = {}
            self.find_definitions(self.function.body, self.later)
        elsewhere = self.later.get(name)
        loc = self.context.loc(token)
        if elsewhere is None:
            near = did_you_mean(name, reversed([n for n, v in self.scope.items() if v is not POISON]), "%")
            error = UnknownName(f"there is no value {text} here", code="RLX0105", loc=loc, help=near)
        elif (elsewhere.line, elsewhere.column) > (loc.line, loc.column):
            error = UnknownName(
                f"{text} is used before it is defined",
                code="RLX0105",
                loc=loc,
                labels=(Label(elsewhere, f"{text} defined here"),),
                help="move its definition up",
            )
        else:
            help = "a region gives values to the outside by `yield`"
            error = UnknownName(
                f"{text} is not visible here", code="RLX0105", loc=loc, labels=(Label(elsewhere, f"{text} defined here, in a region"),), help=help
            )
        self.report.add(error)

    def find_definitions(self, body: list[Any], found: dict[str, Loc]) -> None:
        """Places of all values a body defines, the first where there are several."""
        for statement in body:
            results = statement.results if isinstance(statement, LoopSyntax) else statement[0] if isinstance(statement, list) else None
            if results is not None and results.type == "RESULTS":
                for name, loc in self.result_names(results):
                    found.setdefault(name, loc)
            if isinstance(statement, LoopSyntax) and statement.depth <= MAX_DEPTH:
                for token in (statement.counter, *(a for a, _ in statement.carried)):
                    found.setdefault(value_name(token), self.context.loc(token))
                self.find_definitions(statement.body, found)
            elif isinstance(statement, list):
                for region in statement:
                    if isinstance(region, RegionSyntax) and region.depth <= MAX_DEPTH:
                        for a in region.arguments:
                            found.setdefault(value_name(a.name), self.context.loc(a.name))
                        self.find_definitions(region.body, found)

    def apply(self, prim: Primitive, operands: list[Value], attrs: dict[str, Any], regions: tuple[Func, ...], wishes: list[str | None], loc: Loc) -> Op:
        takes_regions = hasattr(prim, "infer_regions")
        if takes_regions != bool(regions):
            what = "needs a region: `do (...) { ... }`" if takes_regions else "takes no regions"
            raise VerifyError(f"{prim.name} {what}", code="RLX0220")
        try:
            return make_op(prim, operands, attrs, regions=regions, names=wishes, loc=loc)
        except Error:
            raise
        except Exception as error:
            raise RuleError(f"{prim.name}: its infer rule failed: {type(error).__name__}: {error}", loc=loc) from error

    def check_call(self, attrs: dict[str, Any], operands: list[Value]) -> bool:
        """If this is a call, compare operands with the callee's arguments; False if the callee's head could not be read."""
        callee = attrs.get("callee")
        if not isinstance(callee, Symbol):
            return True
        signature = self.context.signatures.get(callee)
        if signature is None or signature.args is None:
            return False
        if signature.level != self.level:
            raise UnknownName(f"@{callee} is of the {signature.level} level", code="RLX0109", help="a func calls funcs, and a kernel kernels")
        types = call_types(callee, [a.type for a in signature.args], [t for t, _ in signature.results], [v.type for v in operands])
        if self.level == "tensor":
            attrs["type"] = types
        return True

    def complete_type(self, prim: Primitive, attrs: dict[str, Any], annotations: list[Any]) -> bool:
        """Give a typed op its attribute `type`: what is written (a call already has what its callee gives)."""
        if "type" in attrs:
            return True
        types = tuple(t for t, _ in annotations)
        if not types:
            raise VerifyError(f"{prim.name} needs its type written", code="RLX0213", help=f"as in `%x = {prim.name} ... : f32[2]`")
        several = getattr(prim.signature.attrs.get("type"), "__origin__", None) is tuple
        attrs["type"] = types if several else types[0]
        if not several and len(types) > 1:
            raise VerifyError(f"{prim.name} has one result, and {len(types)} types are written", code="RLX0212")
        return True

    def placed(self, error: Error, prim: Primitive, operands: list[Value], attrs: dict[str, Any], written: list[AttributeSyntax], loc: Loc) -> Error:
        """A rule's error with a place: the attribute at fault if it is one, else the op, with labels for its operands."""
        if isinstance(error, AttrError):
            for a in written:
                if str(a.name) not in prim.signature.attrs:
                    continue
                try:
                    coerce(prim.signature.attrs[a.name], attrs[a.name], "")
                except Error as wrong:
                    help = error.diagnostics[0].help
                    if prim.signature.attrs[a.name] is DType and isinstance(a.value, Token):
                        help = did_you_mean_dtype(a.value)
                    return type(wrong)(error.message, code=error.code, loc=self.attributes.value_loc(a), help=help)
            return error.at(loc)
        if isinstance(error, ShapeError | DTypeError) and not error.diagnostics[0].labels:
            labels = tuple(Label(v.loc, f"{value_text(v.name or '?')}: {v.signature}") for v in dict.fromkeys(operands) if v.loc.line)[:4]
            d = error.diagnostics[0]
            return type(error)(d.message, code=d.code, loc=loc if d.loc == UNKNOWN else d.loc, labels=labels, help=d.help)
        return error.at(loc)

    def compared(self, op: Op, annotations: list[Any], tokens: list[Token]) -> Op | None:
        """The op, if its inferred types are those written; `lin` as written where an op may give both kinds."""
        if not annotations:
            return self.with_callee_marks(op)
        if len(annotations) != len(op.results):
            n = len(op.results)
            gives = f"{op.prim.name} has {n} result{'s' * (n != 1)}, and {len(annotations)} types are written"
            self.report.add(VerifyError(gives, code="RLX0212", loc=self.context.loc(tokens[0], tokens[-1])))
            return None
        for value, (type, linear), token in zip(op.results, annotations, tokens, strict=True):
            if value.type != type:
                self.report.add(
                    VerifyError(
                        f"{op.prim.name} gives {value.type}, not {type}", code="RLX0212", loc=self.context.loc(token), help="correct the type, or leave it out"
                    )
                )
                return None
            value.type = type
            if value.linear != linear:
                if not linear and not op.regions and "callee" not in op.attrs:
                    self.report.add(
                        VerifyError(
                            f"this value is linear: its type is {value.signature}",
                            code="RLX0219",
                            loc=self.context.loc(token),
                            help="write `lin` before the type",
                        )
                    )
                    return None
                value.linear = linear
        return op

    def with_callee_marks(self, op: Op) -> Op:
        callee = op.attrs.get("callee")
        if isinstance(callee, Symbol):
            for value, (_, linear) in zip(op.results, self.context.signatures[callee].results, strict=True):
                value.linear = linear
        return op

    def region(self, syntax: RegionSyntax) -> Func | None:
        """A region's function; its names are gone afterwards."""
        if syntax.depth > MAX_DEPTH:
            self.report.add(too_deep("regions", self.context.loc(syntax.end)))
            return None
        mark = len(self.trail)
        before = len(self.report.errors)
        seen: dict[str, Value] = {}
        args = self.context.arguments(syntax.arguments, seen, self.level == "tensor")
        for name, value in seen.items():
            self.define(name, value, value.loc)
        ops, results = self.block(syntax.body, "YIELD", syntax.end)
        self.leave(mark)
        if args is None or POISON in results or len(self.report.errors) > before:
            return None
        return Func("", args, ops, results, "region", self.context.loc(syntax.end))

    def body(self, syntax: RegionSyntax) -> Func | None:
        """A region that sees its arguments only: its names are its own."""
        self.outside.append(self.scope)
        trail, self.scope, self.trail = self.trail, {}, []
        func = self.region(syntax)
        self.scope, self.trail = self.outside.pop(), trail
        return func

    def leave(self, mark: int) -> None:
        for name in self.trail[mark:]:
            self.scope.pop(name, None)
        del self.trail[mark:]

    def loop(self, syntax: LoopSyntax) -> Op | None:
        """`for`: an op whose operands are the initial values of what the body carries."""
        names = self.result_names(syntax.results) if syntax.results is not None else []
        op = self.make_loop(syntax, names)
        for i, (n, where) in enumerate(names):
            if op is not None:
                op.results[i].loc = where
            self.define(n, POISON if op is None else op.results[i], where)
        return op

    def make_loop(self, syntax: LoopSyntax, names: list[tuple[str, Loc]]) -> Op | None:
        keyword, last = syntax.keyword, syntax.step or syntax.range
        loc = Loc(self.file, keyword.line, keyword.column, last.end_line, last.end_column)  # type: ignore[arg-type]
        prim = REGISTRY.get("for", self.level)
        before = len(self.report.errors)
        if syntax.depth > MAX_DEPTH:
            self.report.add(too_deep("loops", loc))
            return None
        if prim is None:
            place = "a loop can only stand in a kernel" if self.level == "tensor" else "this rlxc has no loops"
            self.report.add(UnknownName("there is no op 'for' at this level", code="RLX0109", loc=loc, help=place))
        inits = [self.operand(init) for _, init in syntax.carried]
        bounds = self.bounds(syntax, loc)
        flags = self.attributes.read(prim, None, syntax.flags, []) if prim is not None else None
        mark = len(self.trail)
        counter = Value(INDEX, wish(value_name(syntax.counter)), loc=self.context.loc(syntax.counter))
        carried = [init.like(name=wish(value_name(a)), loc=self.context.loc(a), param=False) for (a, _), init in zip(syntax.carried, inits, strict=True)]
        self.define(value_name(syntax.counter), counter, counter.loc)
        for (a, _), init, value in zip(syntax.carried, inits, carried, strict=True):
            self.define(value_name(a), POISON if init is POISON else value, value.loc)
        ops, results = self.block(syntax.body, "YIELD", syntax.end)
        self.leave(mark)
        if len(self.report.errors) > before or flags is None or bounds is None or prim is None or POISON in inits or POISON in results:
            return None
        region = Func("", (counter, *carried), ops, results, "region", loc)
        wishes = [wish(n) for n, _ in names]
        try:
            op = self.apply(prim, inits, bounds | flags, (region,), wishes, loc)
        except Error as error:
            self.report.add(self.placed(error, prim, inits, bounds | flags, syntax.flags, loc))
            return None
        if len(op.results) != len(names):
            self.report.add(wrong_count(prim, len(op.results), names, loc))
            return None
        return op

    def bounds(self, syntax: LoopSyntax, loc: Loc) -> dict[str, Any] | None:
        start, stop = syntax.range.split("..")
        try:
            bounds = {"start": read_int(start.strip()), "stop": read_int(stop.strip())}
            step = read_int(syntax.step) if syntax.step is not None else 1
        except Error as error:
            self.report.add(error.at(loc))
            return None
        if step < 1:
            self.report.add(AttrError(f"the step of a loop is at least 1, not {step}", loc=self.context.loc(syntax.step)))  # type: ignore[arg-type]
            return None
        return {**bounds, "step": step}

    # ------------------------------------------------------------------------------------------------------- the end of a body

    def terminator(self, statement: list[Token], ending: str) -> tuple[Value, ...]:
        if statement[0].type != ending:
            here, wanted = statement[0], ending.lower()
            self.report.add(
                ParseError(
                    f"a {'func or kernel' if wanted == 'return' else 'region'} ends with `{wanted}`, not `{here}`", code="RLX0216", loc=self.context.loc(here)
                )
            )
        tokens = [t for t in statement[1:] if t.type == "VALUE"]
        values = tuple(self.operand(t) for t in tokens)
        self.returned = tokens
        return values

    def after_the_end(self, statement: Any, ending: str) -> None:
        first = statement[0] if isinstance(statement, list) else getattr(statement, "keyword", None)
        if first is not None:
            self.report.add(ParseError(f"nothing can stand after `{ending.lower()}`", code="RLX0216", loc=self.context.loc(first)))

    def check_returned(self, results: tuple[Value, ...] | None, end: Token | None) -> None:
        """Compare what a function returns with what its head says."""
        signature = self.context.signatures[symbol_name(self.function.name)]
        if signature.args is None or self.lost_end or any(isinstance(s, Broken) and s.ends for s in self.function.body):
            return
        if results is None:
            if signature.results and end is not None:
                gives = ", ".join(str(t) for t, _ in signature.results)
                self.report.add(
                    VerifyError(f"@{signature.name} does not return anything, and should return {gives}", code="RLX0216", loc=self.context.loc(end))
                )
            return
        if len(results) != len(signature.results):
            n, expected = len(results), len(signature.results)
            types = ", ".join(v.signature for v in results)
            help = f"write `-> {types if n == 1 else f'({types})'}` before the brace" if n and not expected and POISON not in results else None
            where = self.context.loc(self.returned[0], self.returned[-1]) if self.returned else self.context.loc(end or self.function.name)
            message = f"@{signature.name} returns {n} value{'s' * (n != 1)}, and its head says {expected}"
            self.report.add(VerifyError(message, code="RLX0215", loc=where, labels=(Label(signature.loc, "the head is here"),), help=help))
            return
        for value, token, (type, linear) in zip(results, self.returned, signature.results, strict=True):
            if value is not POISON and (value.type, value.linear) != (type, linear):
                says = f"lin {type}" if linear else str(type)
                labels = (Label(value.loc, f"{value_text(value.name or '?')} defined here"),) if value.loc.line else ()
                message = f"@{signature.name} returns {value.signature} here, and its head says {says}"
                self.report.add(VerifyError(message, code="RLX0215", loc=self.context.loc(token), labels=labels))


def too_deep(what: str, loc: Loc) -> Error:
    return ParseError(f"{what} nest deeper than {MAX_DEPTH}", code="RLX0006", loc=loc)


def wrong_count(prim: Primitive, count: int, names: list[tuple[str, Loc]], loc: Loc) -> Error:
    what = f"{prim.name} has {count} result{'s' * (count != 1)}"
    if not names:
        return VerifyError(f"{what}, and none is named", code="RLX0214", loc=loc, help="give each a name, as in `%x = ...`")
    return VerifyError(f"{what}, and {len(names)} are named", code="RLX0214", loc=names[0][1])
