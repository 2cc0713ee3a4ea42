"""Healthy hours before a drill: what the counters of the objectives would have said.

A burn rate over six hours sees little of a fault that lasts minutes, if the hours before it were good. In a Prometheus
that has just started there are no such hours, and every window would hold nothing but the fault. So the counters'
recent growth is continued into the past, up to the moment in which the drill begins.
"""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cluster import Role
from processes import DrillError

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
METRIC = re.compile(r"\blinkup_\w+")
# The growth is taken from this many seconds; the samples are a second apart, as those of the scrapes.
MEASURED_SECONDS = 4
STEP = 1


@dataclass(frozen=True)
class Series:
    """A counter at one process: its labels as they are scraped, where it stands, how fast it grows."""

    name: str
    labels: str
    value: float
    growth: float


def metrics_in(expressions: list[str]) -> set[str]:
    """The names of LinkUp's metrics in some expressions."""
    return {name for expression in expressions for name in METRIC.findall(expression)}


def samples(text: str, names: set[str]) -> dict[tuple[str, str], float]:
    """Values by name and labels, of these metrics."""
    return {(name, labels): float(value) for name, labels, value in SAMPLE.findall(text) if name in names}


def measure(roles: list[Role], names: set[str]) -> list[Series]:
    """How fast counters grow at present."""
    before = [samples(role.metrics(), names) for role in roles]
    time.sleep(MEASURED_SECONDS)
    found = []
    for role, earlier in zip(roles, before, strict=True):
        target = f'job="linkup",role="{role.job}",instance="127.0.0.1:{role.admin_port}"'
        for (name, labels), value in samples(role.metrics(), names).items():
            growth = (value - earlier.get((name, labels), value)) / MEASURED_SECONDS
            found.append(Series(name, f"{target},{labels}" if labels else target, value, growth))
    return found


def open_metrics(series: list[Series], now: float, seconds: float) -> str:
    """The series' past as text in the OpenMetrics format, oldest first."""
    count = int(seconds / STEP)
    lines = []
    for each in series:
        for index in range(count, 0, -1):
            value = each.value - each.growth * index * STEP
            lines.append(f"{each.name}{{{each.labels}}} {value:.3f} {now - index * STEP:.3f}\n")
    lines.append("# EOF\n")
    return "".join(lines)


def write_blocks(promtool: str, text: str, folder: Path) -> None:
    """Makes blocks of Prometheus' database of it."""
    file = folder / "history.txt"
    file.write_text(text)
    blocks = folder / "data"
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", file, blocks]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    file.unlink()
    if done.returncode != 0:
        raise DrillError(f"promtool tsdb create-blocks-from: {done.stderr}")
