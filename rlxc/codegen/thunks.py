"""Thunks: functions with another signature around native code that is in this process already, whose address they contain.

    int f(const void *const *in, void *const *out, void *workspace)       the C interface of libraries
    double f(double x)                                                    what scipy takes as a LowLevelCallable
    double f(int n, double *x)                                            the same for several numbers, one after another

The native code takes all addresses in one array, a workspace, and a pool of threads, which is null here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SYMBOL = "rlxc.thunk"
ALIGNMENT = 64  # of a workspace


@dataclass(frozen=True, slots=True)
class Fixed:
    """An argument that is always the array at this address."""

    address: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """An argument made of the next `count` numbers."""

    count: int


def c_thunk(entry: int, arguments: int, results: int) -> str:
    """The function of the C interface, but that it does not look for null pointers."""
    lines = _alloca_buffers(arguments + results)
    for i in range(arguments + results):
        array, place = ("%in", i) if i < arguments else ("%out", i - arguments)
        lines += [f"%from{i} = getelementptr inbounds ptr, ptr {array}, i64 {place}", f"%buffer{i} = load ptr, ptr %from{i}"]
        lines += _store(f"%buffer{i}", i)
    lines += [
        "%address = ptrtoint ptr %workspace to i64",
        "%below = sub i64 0, %address",
        f"%skip = and i64 %below, {ALIGNMENT - 1}",
        "%aligned = getelementptr i8, ptr %workspace, i64 %skip",
        _call(entry, "%aligned"),
        "ret i32 0",
    ]
    return _define("i32", "ptr %in, ptr %out, ptr %workspace", lines)


def one_number_thunk(entry: int, arguments: Sequence[Fixed | Numbers], workspace: int) -> str:
    """`double f(double x)`, for one argument that is a number."""
    lines = ["%number = alloca double", "store double %x, ptr %number"]
    return _define("double", "double %x", [*lines, *_evaluate(entry, arguments, workspace, "%number")])


def numbers_thunk(entry: int, arguments: Sequence[Fixed | Numbers], workspace: int) -> str:
    """`double f(int n, double *x)`; nan for another n than there are numbers in all."""
    count = sum(a.count for a in arguments if isinstance(a, Numbers))
    lines = [f"%right = icmp eq i32 %n, {count}", "br i1 %right, label %run, label %refuse", "refuse:", "ret double 0x7FF8000000000000", "run:"]
    return _define("double", "i32 %n, ptr %x", [*lines, *_evaluate(entry, arguments, workspace, "%x")])


def _evaluate(entry: int, arguments: Sequence[Fixed | Numbers], workspace: int, numbers: str) -> list[str]:
    lines = [*_alloca_buffers(len(arguments) + 1), "%result = alloca double", f"%workspace = alloca [{workspace} x i8], align {ALIGNMENT}"]
    at = 0
    for i, argument in enumerate(arguments):
        match argument:
            case Fixed(address):
                lines += _store(f"inttoptr (i64 {address} to ptr)", i)
            case Numbers(count):
                lines += [f"%argument{i} = getelementptr inbounds double, ptr {numbers}, i64 {at}", *_store(f"%argument{i}", i)]
                at += count
    return [*lines, *_store("%result", len(arguments)), _call(entry, "%workspace"), "%value = load double, ptr %result", "ret double %value"]


def _alloca_buffers(count: int) -> list[str]:
    return [f"%buffers = alloca [{max(count, 1)} x ptr]"]


def _store(buffer: str, place: int) -> list[str]:
    return [f"%to{place} = getelementptr inbounds ptr, ptr %buffers, i64 {place}", f"store ptr {buffer}, ptr %to{place}"]


def _call(entry: int, workspace: str) -> str:
    return f"call void inttoptr (i64 {entry} to ptr)(ptr %buffers, ptr {workspace}, ptr null)"


def _define(result: str, arguments: str, lines: list[str]) -> str:
    body = "\n".join(line if line.endswith(":") else f"  {line}" for line in lines)
    return f'define {result} @"{SYMBOL}"({arguments}) nounwind {{\n{body}\n}}\n'
