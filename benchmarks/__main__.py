"""`python -m benchmarks`: run peers on cases, and write what came out.

    python -m benchmarks list
    python -m benchmarks run --peers jax,torch,rlxc --cases ffn,bert1_b1 --output results.json
    python -m benchmarks report results.json
    python -m benchmarks publish --quick                 # docs/performance.md, all of it, anew

Peers are run by the interpreters given as `--python torch=PATH`, or found in `--venvs FOLDER` (or $RLXC_BENCH_VENVS), a virtual environment
for each; else by this Python, if it has them. A peer that is nowhere is left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import publish, report
from benchmarks.cases import CASES, find
from benchmarks.peers import PEERS, interpreter
from benchmarks.runner import Plan, machine, run, warm_inductor


def main(argv: list[str] | None = None) -> int:
    args = _arguments(argv)
    if args.command == "list":
        for group in dict.fromkeys(c.group for c in CASES.values()):
            print(f"{group:10} {' '.join(c.name for c in CASES.values() if c.group == group)}")
        print(f"\npeers      {' '.join(PEERS)}")
        return 0
    if args.command == "report":
        results = [r for path in args.files for r in json.loads(Path(path).read_text())["results"]]
        for measure in args.measure.split(","):
            print(f"## {measure}\n\n{report.table_text(results, measure)}\n")
        if args.plot:
            Path(args.plot).write_text(report.plot(report.ratios(report.cells(results)), "best peer's time / rlxc's"))
        return 0
    if args.command == "publish":
        return publish.publish(args, pythons(args))
    done = measured(args, pythons(args), find(args.cases), args.threads)
    _write(args.output, done)
    print(report.table_text(done["results"]))
    return 0


def measured(args: argparse.Namespace, found: dict[str, str], cases: list, threads: int) -> dict[str, Any]:
    """Results of running what `args` ask for, and the machine they belong to."""
    pin = args.cpus or ("0" if threads == 1 else None)
    plan = Plan(cases, found, args.rounds, args.seconds, threads, args.minutes, pin)
    with tempfile.TemporaryDirectory() as folder:
        warm_inductor(plan, str(Path(folder) / "inductor"))
        return {"machine": machine(), "results": run(plan)}


def pythons(args: argparse.Namespace) -> dict[str, str]:
    """The interpreter of each peer that there is one for."""
    given = dict(p.partition("=")[::2] for p in args.python)
    found = {}
    for peer in args.peers.split(","):
        if peer not in PEERS:
            raise SystemExit(f"there is no peer {peer}: they are {', '.join(PEERS)}")
        path = interpreter(peer, given, args.venvs)
        if path:
            found[peer] = path
        else:
            print(f"{peer} is left out: no Python here has {' and '.join(PEERS[peer].needs)}", file=sys.stderr)
    return found


def _write(path: str | None, data: dict[str, Any]) -> None:
    if path:
        Path(path).write_text(json.dumps(data))


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="cases and peers")
    show = commands.add_parser("report", help="tables of stored results")
    show.add_argument("files", nargs="+")
    show.add_argument("--measure", default="time", help="time, cold, memory")
    show.add_argument("--plot", metavar="FILE", help="ratios as an SVG file")
    for name, help in (("run", "measure"), ("publish", "measure everything and write docs/performance.md")):
        command = commands.add_parser(name, help=help)
        command.add_argument("--peers", default=",".join(PEERS))
        command.add_argument("--python", action="append", default=[], metavar="PEER=PATH")
        command.add_argument("--venvs", default=os.environ.get("RLXC_BENCH_VENVS"), metavar="FOLDER")
        command.add_argument("--rounds", type=int, default=3)
        command.add_argument("--seconds", type=float, default=0.6, help="of measuring in one process")
        command.add_argument("--minutes", type=float, help="stop measuring then")
        command.add_argument("--cpus", help="processors, as taskset takes them (0, with one thread)")
        if name == "run":
            command.add_argument("--cases", default="all", help="groups, cases or beginnings of their names")
            command.add_argument("--threads", type=int, default=1)
            command.add_argument("--output", metavar="FILE", help="results as JSON")
        else:
            command.add_argument("--quick", action="store_true", help="one round, short measurements, the large cases left out")
            command.add_argument("--docs", metavar="FOLDER", default=str(publish.DOCS), help="where to write the page (docs)")
            command.add_argument("--keep", metavar="FOLDER", help="keep (and take up again) the results of each part there")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
