"""A healthy LinkUp that nobody uses, as series for promtool: what docs/metrics.md lists, zero where that is well."""

import itertools
import re
from pathlib import Path

METRICS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>counter|gauge|histogram) \| (?P<labels>[^|]+) \| (?P<rest>.+) \|$")
INSTANCES = ("one:5001", "two:5001")
SAMPLES = 60
HEALTHY = {
    **dict.fromkeys(("linkup_build_info", "linkup_health", "linkup_ready", "linkup_alive"), 1),
    "linkup_runtime_workers": 1,
    **dict.fromkeys(("linkup_probe_up", "linkup_bus_connected", "linkup_mongodb_up", "linkup_mongodb_has_primary"), 1),
    # 0 is one that is not known.
    "linkup_mongodb_oplog_window_seconds": 86400,
}
# Values of labels that a row of the table does not list itself.
ELSEWHERE = {
    "stage": ["gateway_queue", "api_queue", "commit", "stream", "bus", "socket", "connect", "acknowledge", "deliver"],
    "result": ["first_try", "retried", "failed"],
    "batcher": ["gateway_send", "api_commit"],
    "client": ["api", "streamer"],
    "command": ["find", "insert", "getMore"],
    "event": ["message:new"],
    "library": ["other"],
    "check": ["mongodb"],
    "route": ["GET /api/users", "none"],
}


def documented() -> dict[str, re.Match]:
    """Each metric's line in docs/metrics.md."""
    return {row["name"]: row for row in map(ROW.match, METRICS.read_text().splitlines()) if row}


def values_of(row: re.Match, label: str) -> list[str]:
    listed = [word for word in re.findall(r"`([\w:]+)`", row["rest"]) if not word.startswith("linkup_")]
    return sorted({*listed, *ELSEWHERE.get(label, [])} or {"any"})


def series() -> list[tuple[str, str]]:
    """Names with labels, and values in promtool's notation."""
    found = []
    for name, row in documented().items():
        labels = re.findall(r"`(\w+)`", row["labels"])
        for instance in INSTANCES:
            for combination in itertools.product(*(values_of(row, label) for label in labels)):
                # Prometheus' configuration gives every target its job and its role.
                of_harness = name.startswith("linkup_loadtest_")
                job, role = ("linkup-loadtest", "loadtest") if of_harness else ("linkup", "all")
                target = {"job": job, "instance": instance, "role": role}
                pairs = {**dict(zip(labels, combination, strict=True)), **target}
                if name == "linkup_build_info":
                    # One series a process, and not one for each word in the line.
                    pairs.update(version="1", revision="1")
                found += of_type(row["type"], name, pairs)
    return sorted(set(found))


def of_type(kind: str, name: str, labels: dict) -> list[tuple[str, str]]:
    constant = f"{HEALTHY.get(name, 0)}x{SAMPLES}"
    if name == "linkup_streamer_active":
        constant = f"{int(labels['instance'] == INSTANCES[0])}x{SAMPLES}"
    if kind != "histogram":
        return [(selector(name, labels), constant)]
    buckets = [(selector(f"{name}_bucket", {**labels, "le": bound}), constant) for bound in ("0.25", "30.5", "+Inf")]
    return [*buckets, *((selector(f"{name}_{part}", labels), constant) for part in ("sum", "count"))]


def selector(name: str, labels: dict) -> str:
    return f"{name}{{{','.join(f'{key}={value!r}' for key, value in sorted(labels.items()))}}}"
