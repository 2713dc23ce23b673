"""Random damage to text: bytes, tokens and lines, from a seed."""

import random
import re

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|[%@]?[\w.$]+|->|\.\.|\s+|.', re.DOTALL)
_SPICE = [
    "%", "@", "{", "}", "(", ")", "[", "]", "<", ">", ",", ":", "=", "->", "..", '"', "\\", "//", "/", "\0", "\n", "\r", "\t", "\ufeff", "é", "\U0001f600",
    "func", "kernel", "return", "yield", "for", "do", "in", "carry", "step", "param", "lin", "mem", "dense<", "resource", "rlx 0.1", "rlx 9",
    "f32", "f32[", "f32[3]", "f32x16", "f32x99999999", "f32[100000000000]", "f32[100000000000, 100000000000]", "index", "bool", "i99",
    "0", "-1", "1e999", "0x1p99999", "nan(0x1)", "inf", "9" * 30, "9" * 5000, "1_0", "%0", "%x", "%x =", "@f", '%"', '%"\\u12"', "sin", "add", "call @f()",
    "constant dense<0>", "{axes = [0]}", "{a}", "[" * 100, "{" * 100, "do () {" * 70, "for %i in 0..1 {" * 70, "true", "none",
]  # fmt: skip


def mutate(text: str, seed: int) -> str:
    """`text` with one to six random changes."""
    rng = random.Random(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        text = rng.choice((_bytes, _tokens, _tokens, _lines))(text, rng)
    return text


def _bytes(text: str, rng: random.Random) -> str:
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    at = rng.randrange(len(data) + 1)
    match rng.randrange(4):
        case 0:
            data[at:at] = bytes([rng.randrange(256)])
        case 1:
            del data[at : at + rng.choice((1, 1, 5, 50))]
        case 2 if data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        case _:
            data = data[:at]
    return data.decode("utf-8", "replace")


def _tokens(text: str, rng: random.Random) -> str:
    tokens = _TOKEN.findall(text) or [""]
    at = rng.randrange(len(tokens))
    match rng.randrange(5):
        case 0:
            del tokens[at]
        case 1:
            tokens.insert(at, rng.choice(_SPICE))
        case 2:
            tokens[at] = rng.choice(_SPICE)
        case 3:
            tokens[at] = rng.choice(tokens)
        case _:
            other = rng.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
    return "".join(tokens)


def _lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[other])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at : at + 1] = [lines[at][: len(lines[at]) // 2]]
    return "\n".join(lines)
