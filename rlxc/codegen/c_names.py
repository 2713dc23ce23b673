"""Identifiers of C for names of a program, which may hold any characters."""

from __future__ import annotations

import re

from rlxc.ir.names import OwnNames

_WORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr continue default delete do double
    else enum explicit export extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or
    or_eq private protected public register restrict return short signed sizeof static struct switch template this throw true try typedef typeid
    typename typeof union unsigned using virtual void volatile wchar_t while xor xor_eq int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t
    uint64_t size_t NULL
"""
_RESERVED = frozenset(_WORDS.split())


def identifier(name: str) -> str:
    """`ffn_loss.value_and_grad` as `ffn_loss_value_and_grad`: what C does not take becomes `_`."""
    text = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"_{text}" if not text or text[0].isdigit() else text


class LocalNames:
    """Names of the parameters of one C function: no keywords, and no two the same, nor their macros, which are in capitals."""

    def __init__(self) -> None:
        self.capitals = OwnNames(word.upper() for word in (*_RESERVED, "weights", "workspace"))

    def give(self, wish: str) -> str:
        name = identifier(wish)
        return name + self.capitals.give(name.upper())[len(name) :]
