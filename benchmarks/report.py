"""Results as Markdown tables and an SVG plot.

A cell is the best of the rounds' medians; a ratio is the best peer's cell divided by rlxc's: above 1, rlxc is faster (or needs less).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from benchmarks.cases import CASES
from benchmarks.peers import PEERS
from benchmarks.timing import difference

Results = Sequence[dict[str, Any]]

#: what of a result is compared -> how to read it, how to write it
MEASURES: dict[str, tuple[Callable[[dict], float], Callable[[float], str]]] = {
    "time": (lambda r: r["time"]["median"], lambda s: seconds_text(s)),
    "cold": (lambda r: r["cold"], lambda s: seconds_text(s)),
    "memory": (lambda r: max(r["memory"], 2**20), lambda n: f"{n / 2**20:.0f} MiB"),
}


def seconds_text(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def cells(results: Results, measure: str = "time") -> dict[str, dict[str, float]]:
    """case -> peer -> the best of the rounds, in the order of the cases."""
    read = MEASURES[measure][0]
    table: dict[str, dict[str, float]] = {}
    for name in CASES:
        for r in results:
            if r["case"] == name and "time" in r:
                row = table.setdefault(name, {})
                row[r["peer"]] = min(row.get(r["peer"], math.inf), read(r))
    return table


def wrong_answers(results: Results) -> dict[tuple[str, str], str]:
    """(case, peer) -> how its answer differs from that of the first other peer that has one."""
    wrong = {}
    answers: dict[str, dict[str, Any]] = {}
    for r in results:
        if "answer" in r:
            answers.setdefault(r["case"], {})[r["peer"]] = r["answer"]
    for case, by_peer in answers.items():
        order = [p for p in ("torch", "jax", "numpy", "onnxruntime", "openvino", "torch_compile", "rlxc") if p in by_peer]
        for peer in order[1:]:
            said = difference(by_peer[peer], by_peer[order[0]])
            if said:
                wrong[case, peer] = f"{said} (as {order[0]} says)"
    return wrong


def ratios(table: dict[str, dict[str, float]], ours: str = "rlxc", excluded: Iterable[tuple[str, str]] = ()) -> dict[str, float]:
    """case -> best peer / ours."""
    bad = set(excluded)
    found = {}
    for case, row in table.items():
        others = [v for peer, v in row.items() if peer != ours and (case, peer) not in bad]
        if others and ours in row and (case, ours) not in bad:
            found[case] = min(others) / row[ours]
    return found


def geometric_mean(numbers: Iterable[float]) -> float:
    logs = [math.log(n) for n in numbers]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def table_text(results: Results, measure: str = "time", groups: Sequence[str] | None = None) -> str:
    """One Markdown table a group, each with the geometric mean of its ratios."""
    table, wrong, write = cells(results, measure), wrong_answers(results), MEASURES[measure][1]
    ratio = ratios(table, excluded=wrong)
    peers = [p for p in PEERS if any(p in row for row in table.values())]
    parts = []
    for group in dict.fromkeys(CASES[c].group for c in table):
        names = [c for c in table if CASES[c].group == group and (groups is None or group in groups)]
        if not names:
            continue
        shown = [p for p in peers if any(p in table[c] for c in names)]
        rates = measure == "time" and any(_rate(c, 1.0) for c in names)
        rows = [["case", *shown, "ratio", *(["rate"] if rates else [])]]
        for c in names:
            row = [f"`{c}`"]
            best = min((v for p, v in table[c].items() if (c, p) not in wrong), default=math.nan)
            for p in shown:
                text = write(table[c][p]) if p in table[c] else ""
                row.append(f"{text} !" if (c, p) in wrong else f"**{text}**" if table[c].get(p) == best else text)
            row.append(f"{ratio[c]:.2f}" if c in ratio else "")
            rows.append([*row, _rate(c, table[c].get("rlxc"))] if rates else row)
        mean = geometric_mean(ratio[c] for c in names if c in ratio)
        if not math.isnan(mean):
            rows.append(["geometric mean", *[""] * len(shown), f"**{mean:.2f}**", *([""] if rates else [])])
        parts.append(f"### {group}\n\n{markdown(rows)}")
    notes = [f"* `{c}` of {p}: {said}" for (c, p), said in wrong.items()]
    notes += [f"* `{c}` of {p}: {said}" for (c, p), said in failures(results).items()]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def failures(results: Results) -> dict[tuple[str, str], str]:
    return {(r["case"], r["peer"]): r["error"].splitlines()[0][:200] for r in results if r.get("error")}


def _rate(case: str, seconds: float | None) -> str:
    c = CASES[case]
    if not seconds:
        return ""
    if c.bytes:
        return f"{c.bytes / seconds / 1e9:.1f} GB/s"
    return f"{c.flops / seconds / 1e9:.0f} GFLOP/s" if c.flops else ""


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table; the first is its head, and all columns but the first stand to the right."""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))) + " |" for r in rows]
    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def speedups(results: Results) -> str:
    """Where there are runs with one and with several threads of rlxc: how much the latter gain."""
    counts = sorted({r["threads"] for r in results})
    if len(counts) < 2:
        return ""
    one = cells([r for r in results if r["threads"] == counts[0]])
    rows = [["case", f"{counts[0]} thread", *(f"{n} threads" for n in counts[1:]), "gain"]]
    for case, row in one.items():
        more = [cells([r for r in results if r["threads"] == n]).get(case, {}).get("rlxc") for n in counts[1:]]
        if "rlxc" in row and all(more):
            rows.append([f"`{case}`", seconds_text(row["rlxc"]), *map(seconds_text, more), f"{row['rlxc'] / more[-1]:.2f}"])
    return markdown(rows) if len(rows) > 1 else ""


def plot(ratio: dict[str, float], title: str) -> str:
    """Ratios as bars on a logarithmic scale, in SVG; the line is at 1."""
    if not ratio:
        return ""
    bar, label, width, top = 14, 170, 560, 40
    low, high = min(0.5, *ratio.values()), max(2.0, *ratio.values())
    scale = (width - 40) / math.log(high / low)

    def x(r: float) -> float:
        return label + scale * math.log(r / low)

    height = top + bar * len(ratio) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{label + width + 60}" height="{height}" font-family="sans-serif" font-size="10">']
    out.append('<rect width="100%" height="100%" fill="white"/>')
    out.append(f'<text x="{label}" y="18" font-size="13">{escape(title)}</text>')
    for tick in (t for t in (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high):
        color = "#444" if tick == 1 else "#ddd"
        out.append(f'<line x1="{x(tick):.1f}" y1="{top - 8}" x2="{x(tick):.1f}" y2="{height - 24}" stroke="{color}"/>')
        out.append(f'<text x="{x(tick):.1f}" y="{height - 10}" text-anchor="middle">{tick:g}</text>')
    for i, (case, r) in enumerate(ratio.items()):
        y = top + bar * i
        color = "#2b7a4b" if r >= 1 else "#b5533c"
        left, right = sorted((x(1.0), x(r)))
        out.append(f'<rect x="{left:.1f}" y="{y}" width="{max(right - left, 0.5):.1f}" height="{bar - 4}" fill="{color}"/>')
        out.append(f'<text x="{label - 6}" y="{y + 9}" text-anchor="end">{escape(case)}</text>')
        out.append(f'<text x="{right + 4:.1f}" y="{y + 9}">{r:.2f}</text>')
    return "\n".join([*out, "</svg>", ""])
