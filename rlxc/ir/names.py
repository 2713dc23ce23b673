"""Names and their near misses: which names need quotes in text, and what a misspelled one may have meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches

_PLAIN = re.compile(r"[A-Za-z_$.][A-Za-z0-9_.$]*|[0-9]+[A-Za-z_$.][A-Za-z0-9_.$]*")


class OwnNames:
    """Gives out names that nobody has yet: the wished one, else `x_`, `x_2`, `x_3`, ..."""

    def __init__(self, taken: Iterable[str | None] = ()) -> None:
        self.taken = set(taken)
        self.repeats: dict[str, int] = {}

    def give(self, wish: str) -> str:
        name = wish
        while name in self.taken:
            self.repeats[wish] = self.repeats.get(wish, 0) + 1
            count = self.repeats[wish]
            name = f"{wish}_" if count == 1 else f"{wish}_{count}"
        self.taken.add(name)
        return name


def value_text(name: str) -> str:
    """How a value called `name` is written: `%x`, or in quotes `%"onnx::Add_3"`."""
    return f"%{name}" if _PLAIN.fullmatch(name) else f"%{json.dumps(name)}"


def symbol_text(name: str) -> str:
    """How a function called `name` is written: `@f`, or in quotes `@"my func"`."""
    return f"@{name}" if _PLAIN.fullmatch(name) or (name.isascii() and name.isdigit()) else f"@{json.dumps(name)}"


def nearest(name: str, candidates: Iterable[str], limit: int = 2000) -> str | None:
    """The candidate most like `name`, if one is like it at all; at most `limit` of similar length are looked at."""
    if len(name) > 64:
        return None
    similar = []
    for c in candidates:
        if abs(len(c) - len(name)) <= 3:
            similar.append(c)
            if len(similar) >= limit:
                break
    if len(name) <= 2:
        return next((c for c in similar if c.lower() == name.lower() or sorted(c) == sorted(name)), None)
    return next(iter(get_close_matches(name, similar, 1, 0.6)), None)


def did_you_mean(name: str, candidates: Iterable[str], sigil: str = "") -> str | None:
    """A help line for a name that does not exist, or None."""
    near = nearest(name, candidates)
    return f"did you mean '{sigil}{near}'?" if near else None
