"""Writes grafana/dashboards/ from the sources beside this file; with --check, says whether it is what they give."""

import argparse
import json
import sys
from pathlib import Path

from api import api
from gateway import gateway
from loadtest import loadtest
from mongodb import mongodb
from overview import overview
from streamer import streamer

TARGET = Path(__file__).resolve().parent.parent / "dashboards"
# Series of the whole system: no rule keeps a job or an instance in them.
WITHOUT_INSTANCE = ("linkup:", "ALERTS")


def panels(board: dict):
    """All panels but the rows, those of collapsed rows too."""
    for panel in board["panels"]:
        yield from panel["panels"] if panel.get("panels") else [] if panel["type"] == "row" else [panel]


def exclusions(boards: list[dict]) -> dict:
    """What Grafana's dashboard linter is to leave alone, in the form of its .lint file."""
    entries = [
        {"dashboard": board["title"], "panel": panel["title"]}
        for board in boards
        for panel in panels(board)
        if any(name in target["expr"] for target in panel["targets"] for name in WITHOUT_INSTANCE)
    ]
    reason = "Recorded shares and alerts are of the whole system: they have no job and no instance."
    rule = {"reason": reason, "entries": entries}
    return {"exclusions": {"target-job-rule": rule, "target-instance-rule": rule}}


def outputs() -> dict[str, str]:
    """The files' names and texts."""
    boards = [overview(), gateway(), api(), streamer(), mongodb(), loadtest()]
    files = {f"{board['uid']}.json": board for board in boards}
    # JSON is YAML as well, which the linter reads.
    files[".lint"] = exclusions(boards)
    return {name: json.dumps(content, indent=2, sort_keys=True) + "\n" for name, content in files.items()}


def differences(files: dict[str, str]) -> list[str]:
    present = {path.name: path.read_text() for path in TARGET.iterdir()} if TARGET.is_dir() else {}
    return sorted(name for name in files.keys() | present.keys() if files.get(name) != present.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs from its source")
    check = parser.parse_args().check
    files = outputs()
    if check:
        different = differences(files)
        for name in different:
            print(f"grafana/dashboards/{name} is not what its source gives: run generate.py", file=sys.stderr)
        return 1 if different else 0
    TARGET.mkdir(exist_ok=True)
    for name, text in files.items():
        (TARGET / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
