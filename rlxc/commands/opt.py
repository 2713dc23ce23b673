"""`rlxc opt`: passes over a module, with the IR and the time of each on request."""

from __future__ import annotations

import argparse
import json
import sys

from rlxc.cli import OK, UsageError
from rlxc.commands.files import write_text
from rlxc.commands.program import read_module
from rlxc.commands.reference import list_passes
from rlxc.commands.remarks import show_remarks
from rlxc.errors import PassError
from rlxc.ir.core import Module
from rlxc.ir.remarks import collecting
from rlxc.ir.verify import verify
from rlxc.passes.manager import Pipeline, find_pass
from rlxc.passes.pipelines import make_pipeline


def opt(args: argparse.Namespace) -> int:
    if args.list_passes:
        list_passes()
        return OK
    if args.file is None:
        raise UsageError("rlxc opt needs a FILE, or - for stdin")
    for name in (*args.print_ir_before, *args.print_ir_after):
        try:
            find_pass(name)
        except PassError as error:
            raise UsageError(error.message, error.diagnostics[0].help) from None
    module = read_module(args.file)
    pipeline = make_pipeline(args.pipeline, verify=verify if args.verify_each else None)
    pipeline.observe = _Printer(args, pipeline)
    with collecting() as remarks:
        result = pipeline.run(module)
    if args.remarks:
        show_remarks(remarks)
    write_text(args.output, str(result))
    if args.timing:
        report_timing(pipeline, args.timing)
    return OK


class _Printer:
    """Prints IR to stderr between passes."""

    def __init__(self, args: argparse.Namespace, pipeline: Pipeline) -> None:
        self.args = args
        self.steps = [step.name for step, _ in pipeline.steps]
        self.at = 0

    def __call__(self, stage: str, module: Module, changed: bool) -> None:
        """Called with the input, then after each pass."""
        args = self.args
        if self.at and (stage in args.print_ir_after or args.print_ir_after_all or (args.print_ir_changed and changed)):
            _show(f"after {stage}", module)
        if self.at < len(self.steps):
            following = self.steps[self.at]
            if following in args.print_ir_before or args.print_ir_before_all:
                _show(f"before {following}", module)
        self.at += 1


def _show(title: str, module: Module) -> None:
    print(f"// IR {title}\n{module}", file=sys.stderr)


def report_timing(pipeline: Pipeline, how: str) -> None:
    """Seconds and op counts of each pass, to stderr."""
    if how == "json":
        rows = [{"pass": r.name, "seconds": r.seconds, "ops_before": r.ops_before, "ops_after": r.ops_after} for r in pipeline.runs]
        print(json.dumps(rows), file=sys.stderr)
        return
    total = sum(r.seconds for r in pipeline.runs) or 1.0
    for r in pipeline.runs:
        print(f"{r.seconds * 1e3:10.3f} ms {r.seconds / total:6.1%}  {r.name:24} {r.ops_before} -> {r.ops_after} ops", file=sys.stderr)
