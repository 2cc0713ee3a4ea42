#!/usr/bin/env python3
"""Writes into firing.yml what fires in each fault, as promtool has it; with `--table`, says what becomes of that.

Look at what changes in that file: the tests take it for right.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from faults import FAULTS
from promtool import WORKERS, observe

FIRING = Path(__file__).with_name("firing.yml")


def firing() -> dict[str, dict[float, list[str]]]:
    return yaml.safe_load(FIRING.read_text())


def write() -> None:
    with ThreadPoolExecutor(WORKERS) as workers:
        found = list(workers.map(observe, [fault.case(dict.fromkeys(fault.minutes, [])) for fault in FAULTS]))
    observed = {fault.name: alerts for fault, alerts in zip(FAULTS, found, strict=True)}
    header = "# Written by observe.py: per fault and minute, what fires.\n\n"
    FIRING.write_text(header + yaml.safe_dump(observed, sort_keys=False, width=118))


def table() -> None:
    print("| fault | notification | inhibited |\n|---|---|---|")
    observed = firing()
    for fault in FAULTS:
        names = {alert.split()[0] for alerts in observed[fault.name].values() for alert in alerts}
        severity, alert = fault.notification or ("", None)
        notification = f"{alert} ({severity})" if alert else "none"
        others = sorted(names - {alert, "LinkUpRecentOutage", "LinkUpOverloadExplainsBurn"})
        print(f"| {fault.name} | {notification} | {', '.join(others) or '–'} |")


if __name__ == "__main__":
    table() if "--table" in sys.argv else write()
