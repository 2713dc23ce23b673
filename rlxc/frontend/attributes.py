"""Attributes as they are written: which ones an op has, and what their values mean."""

from __future__ import annotations

from typing import Any

from lark import Token

from rlxc.errors import AttrError, Error, Loc, UnknownName, VerifyError
from rlxc.frontend.heads import Context, symbol_name
from rlxc.frontend.literals import clip, read_annotation, read_dense, read_float, read_int, read_ints, read_string
from rlxc.frontend.syntax import AttributeSyntax, DenseSyntax, ListSyntax, ResourceSyntax
from rlxc.ir.attributes import Resource, Symbol
from rlxc.ir.names import did_you_mean
from rlxc.ir.primitive import Primitive
from rlxc.ir.types import TENSOR_DTYPES, Dim, DType, Type

_NAMES: dict[str, Any] = {"true": True, "false": False, "none": None}


class AttributeReader:
    """Reads the attributes of ops; what is wrong goes to the report of its context."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.report = context.report

    def read(self, prim: Primitive, literal: Any, written: list[AttributeSyntax], annotations: list[Any]) -> dict[str, Any] | None:
        """Attributes by name, or None if one is wrong."""
        attrs: dict[str, Any] = {}
        type = annotations[0][0] if annotations and annotations[0] is not None else None
        before = len(self.report.errors)
        if literal is not None:
            if prim.inline_attr is None:
                self.report.add(AttrError(f"{prim.name} has no attribute without a name", code="RLX0207", loc=self.value_loc(literal), help=_known(prim)))
            else:
                attrs[prim.inline_attr] = self.value(literal, type)
        for a in written:
            name = str(a.name)
            if name in attrs:
                self.report.add(AttrError(f"attribute '{clip(name)}' is given twice", code="RLX0209", loc=self.context.loc(a.name)))
            elif name not in prim.signature.attrs or (name == "type" and prim.typed):
                by_colon = f"the type is written after a colon: {prim.name} ... : f32[3]"
                help = by_colon if name == "type" and prim.typed else did_you_mean(name, prim.signature.attrs) or _known(prim)
                self.report.add(AttrError(f"{prim.name} has no attribute '{clip(name)}'", code="RLX0207", loc=self.context.loc(a.name), help=help))
            else:
                attrs[name] = True if a.value is None else self.value(a.value, type if name == prim.inline_attr else None)
        return attrs if len(self.report.errors) == before else None

    def value(self, node: Any, type: Type | None = None) -> Any:
        """What an attribute's syntax means; `type` is that of a constant written before the colon."""
        try:
            return self.meaning(node, type)
        except Error as error:
            self.report.add(error.at(self.value_loc(node)))
            return None

    def meaning(self, node: Any, type: Type | None) -> Any:
        match node:
            case ListSyntax():
                return tuple(self.value(item) for item in node.items)
            case DenseSyntax():
                return read_dense(node.body, read_annotation(node.type)[0])
            case ResourceSyntax():
                return Resource(read_string(node.file), read_string(node.key))
        match node.type:
            case "INT":
                return read_int(node)
            case "INTS":
                return read_ints(node)
            case "FLOAT":
                return read_float(node)
            case "STRING":
                return read_string(node)
            case "SHAPED":
                return read_annotation(node)[0]
            case "SYMBOL":
                return self.symbol(node)
            case "DENSE":
                if type is None:
                    raise VerifyError("a constant needs its type written", code="RLX0213", help="as in `constant dense<[1.0, 2.0]> : f32[2]`")
                return read_dense(node, type)
        return _NAMES[node] if node in _NAMES else DType(node) if node in TENSOR_DTYPES or node == "index" else Dim(node)

    def symbol(self, token: Token) -> Symbol:
        """A function of the module."""
        name = symbol_name(token)
        if name not in self.context.signatures and name not in self.context.broken:
            known = self.context.signatures
            help = did_you_mean(name, known, "@") or (f"there is {', '.join('@' + n for n in list(known)[:8])}" if known else None)
            raise UnknownName(f"there is no function @{clip(name)}", code="RLX0103", help=help)
        return Symbol(name)

    def value_loc(self, node: Any) -> Loc:
        match node:
            case AttributeSyntax():
                return self.value_loc(node.value) if node.value is not None else self.context.loc(node.name)
            case ListSyntax():
                return self.context.loc(node.start, node.end)
            case DenseSyntax():
                return self.context.loc(node.body, node.type)
            case ResourceSyntax():
                return self.context.loc(node.keyword, node.key)
        return self.context.loc(node)


def _known(prim: Primitive) -> str:
    names = [n for n in prim.signature.attrs if not (n == "type" and prim.typed)]
    return f"its attributes are {', '.join(names)}" if names else "it has no attributes"
