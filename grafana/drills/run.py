#!/usr/bin/env python3
"""Drills for dashboards, rules and alerts, against a whole LinkUp on this machine.

    run.py queries            every panel's query and every rule, against a Prometheus that watches a LinkUp in use
    run.py faults [NAME …]    faults, the alerts that they cause, and who is told of them; prints a table in Markdown
    run.py list               the names of the faults

Needs a Python that has PyYAML, such as target/grafana-venv/bin/python, which grafana/check.sh makes; mongod (or what
LinkUp's launcher has fetched), nats-server, prometheus, promtool and alertmanager; and LinkUp and its load generator,
built with `cargo build --release -p linkup -p linkup-loadtest`. Everything listens on the loopback interface and ends
with this program.
"""

import argparse
import sys
from pathlib import Path

import drill
import programs
import queries
from faults import FAULTS
from processes import DrillError, Workshop, say
from report import Outcome, table
from scene import Scene

TARGET = Path(__file__).resolve().parents[2] / "target" / "release"
# With 20 a minute of the rules takes three seconds: LinkUp's own times, most of all five seconds between two looks at
# MongoDB, are still short beside those of the rules.
SCALE = 20.0


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("queries", "faults"):
        command = commands.add_parser(name)
        command.add_argument("--linkup", default=str(TARGET / "linkup"), metavar="PATH")
        command.add_argument("--loadtest", default=str(TARGET / "loadtest"), metavar="PATH")
        command.add_argument("--scale", type=float, default=SCALE, help=f"how much faster rules run; default {SCALE:g}")
        command.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
        if name == "faults":
            command.add_argument("names", nargs="*", metavar="NAME", help="default: all; see `run.py list`")
            command.add_argument("--report", type=Path, metavar="FILE", help="write the table there as well")
            command.add_argument(
                "--afterwards", default=drill.AFTERWARDS, metavar="TIME",
                help=f"listen so long, in shipped time, after the last alert; default {drill.AFTERWARDS}",
            )  # fmt: skip
    commands.add_parser("list")
    options = parser.parse_args(given)
    if unknown := [name for name in getattr(options, "names", []) if name not in FAULTS]:
        parser.error(f"no such fault: {', '.join(unknown)}; see `run.py list`")
    return options


def main() -> int:
    options = arguments()
    if options.command == "list":
        for word, fault in FAULTS.items():
            print(f"{word:16}{fault.name} → {fault.alert or 'nothing'}")
        return 0
    try:
        linkup, loadtest = programs.linkup(options.linkup), programs.linkup(options.loadtest)
        with Workshop(options.keep) as workshop:
            if options.keep:
                say(f"logs and data: {workshop.folder}")
            scene = Scene(workshop, linkup, loadtest, options.scale)
            scene.start()
            return run_queries(scene) if options.command == "queries" else run_faults(scene, options)
    except DrillError as error:
        say(f"drills: {error}")
        return 2


def run_queries(scene: Scene) -> int:
    problems = queries.run(scene)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def run_faults(scene: Scene, options: argparse.Namespace) -> int:
    words = options.names or list(FAULTS)
    outcomes = [taken(scene, word, options.afterwards) for word in words]
    text = table(outcomes, options.scale)
    print(text, end="")
    if options.report:
        options.report.write_text(text)
    return 0 if all(outcome.held for outcome in outcomes) else 1


def taken(scene: Scene, word: str, afterwards: str) -> Outcome:
    """One drill; what keeps it from taking place is its outcome, so that the others take place."""
    fault = FAULTS[word](scene)
    try:
        return drill.run(scene, fault, word, afterwards)
    except DrillError as error:
        say(f"{fault.name}: {error}")
        return Outcome.failed(fault.name, fault.alert, str(error))


if __name__ == "__main__":
    sys.exit(main())
