#!/usr/bin/env python3
"""Compares what builds of LinkUp cost on the hot path, run in turns on the same machine.

    alternate.py fanout --a old=OLD/examples/realtime --b new=NEW/examples/realtime --pairs 8 --out fanout.json
    alternate.py chat --a old=OLD --b off=NEW:METRICS=off --c new=NEW --pairs 8 --out chat.json

A build is LABEL=PATH[:NAME=VALUE…]; the names are added to the environment of its servers. PATH is

- for `fanout` the example `realtime` (`cargo build --release -p linkup --example realtime`): a gateway alone sends
  300 events a second to 1,000 connections; CPU of a delivery is that of the gateway;
- for `chat` a directory with `linkup` and `loadtest` (`cargo build --release -p linkup -p linkup-loadtest`): the
  launcher with everything in one process and a MongoDB beside it, on data of their own, while 1,000 people write
  2,500 messages a second; CPU of a message is that of the launcher and of MongoDB. The first build's `loadtest` is
  the client of all builds.

Every round runs each build once, the next round beginning with the next build, so that a machine that becomes slower
or faster favours nobody. A round that is not counted comes first. Ratios are those of the two runs of one round: what
is printed is their median, a 95 % interval of it (bootstrap over the rounds, with a fixed seed), and the least and the
greatest of them. Give the same build twice under two labels to see the noise.

A run is discarded, told and repeated if anything was lost, or if other processes used the machine meanwhile. Python
3.11 or later and Linux; nothing to install.
"""

import argparse
import json
import os
import random
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

USERS = 1_000
RATE = 2_500
WARMUP_S = 5.0
DURATION_S = 15.0
# `loadtest` waits this long between its line about open connections and the first message.
HEAD_START_S = 0.2
OPEN = re.compile(rf"^{USERS} connections open")
# A launcher that is to be measured starts its own MongoDB and listens for this program alone.
UNSET = ["MONGODB_URI", "NATS_URL", "JWT_SECRET", "JWT_SECRET_PREVIOUS", "PUBLIC_URL", "TRUSTED_PROXIES"]
SET = {"LISTEN_ADDR": "127.0.0.1", "PORT": "0", "ADMIN_PORT": "0"}
READY = "LinkUp is ready: "

START_DEADLINE_S = 120.0
STOP_DEADLINE_S = 30.0
RUN_DEADLINE_S = 180.0
# How often one run is tried before everything is given up.
ATTEMPTS = 10
# How long, and how often, the machine must be found idle before a run.
IDLE_S = 2.0
IDLE_CORES = 0.2
RESAMPLES = 20_000
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Discarded(Exception):
    """A run that says nothing, and why."""


@dataclass(frozen=True)
class Build:
    """Something to measure."""

    label: str
    path: Path
    env: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "Build":
        """Reads LABEL=PATH[:NAME=VALUE…]."""
        label, separator, rest = text.partition("=")
        path, *settings = rest.split(":")
        if not (label and separator and path and all("=" in setting for setting in settings)):
            raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=PATH[:NAME=VALUE…]")
        return cls(label, Path(path).resolve(), dict(setting.split("=", 1) for setting in settings))

    def environment(self) -> dict[str, str]:
        """What its processes are started with."""
        return os.environ | self.env


@dataclass(frozen=True)
class Sample:
    """What one run gave."""

    # Microseconds for each delivery or message, by whose they are; the first is what is compared.
    cpu_us: dict[str, float]
    p50_ms: float
    p99_ms: float
    per_second: float


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# The machine and its processes.


def busy_seconds() -> float:
    """CPU that everything on this machine has used so far."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(field) for field in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND


def own_seconds() -> float:
    """CPU that this program has used so far, and all its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def stat(pid: int) -> tuple[str, int, float]:
    """Name, parent and CPU seconds of a process."""
    text = Path(f"/proc/{pid}/stat").read_text()
    name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    return name, int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def descendant(name: str, ancestor: int) -> int:
    """The process of this name below another one."""
    parents, found = {}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                its_name, parent, _ = stat(int(entry.name))
            except OSError:
                # It has ended since the directory was read.
                continue
            parents[int(entry.name)] = parent
            if its_name == name:
                found.append(int(entry.name))
    for pid in found:
        above = pid
        while above in parents:
            above = parents[above]
            if above == ancestor:
                return pid
    raise Discarded(f"there is no {name} below process {ancestor}")


def wait_until_idle(timeout: float) -> None:
    """Waits until nothing else uses the machine; for no longer than `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        before, start = busy_seconds(), time.monotonic()
        time.sleep(IDLE_S)
        cores = (busy_seconds() - before) / (time.monotonic() - start)
        if cores <= IDLE_CORES:
            return
        if time.monotonic() >= deadline:
            say(f"  other processes still use {cores:.2f} cores: going on")
            return


# The two scenarios.


@contextmanager
def started(command: list, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A process in a group of its own, of which nothing is left afterwards."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def results(process: subprocess.Popen) -> dict:
    """The line of results with which a process ends."""
    output, problems = process.communicate(timeout=RUN_DEADLINE_S)
    if not output.strip():
        raise Discarded(f"it ended with {process.returncode} and without results: {problems.strip()}")
    return json.loads(output.strip().splitlines()[-1])


def fanout(build: Build) -> Sample:
    """Runs the example."""
    with started([build.path, "--fanout"], build.environment()) as example:
        line = results(example)
    if line["wrong"] != 0 or example.returncode != 0:
        raise Discarded(f"it ended with {example.returncode}; {line['wrong']} deliveries went wrong")
    cpu_us = {"gateway": line["cpu_us_per_delivery"]}
    return Sample(cpu_us, line["p50_ms"], line["p99_ms"], line["deliveries_per_second"])


def chat(build: Build, client: Path) -> Sample:
    """Starts a launcher on data of its own, and loads it."""
    with tempfile.TemporaryDirectory(prefix="linkup-bench-") as folder:
        data, seed, output = Path(folder, "data"), Path(folder, "seed.jsonl"), Path(folder, "output")
        program = [build.path / "linkup", "--data-dir", data]
        environment = {name: value for name, value in build.environment().items() if name not in UNSET} | SET
        with output.open("wb") as file:
            launcher = subprocess.Popen(program, env=environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
        try:
            url = until_ready(launcher, output)
            people = ["--users", str(USERS), "--conversations", str(USERS // 2), "--out", seed]
            subprocess.run([*program, "seed", *people], env=environment, capture_output=True, check=True)
            pids = {"linkup": launcher.pid, "mongod": descendant("mongod", launcher.pid)}
            runs = Path(folder, "runs")
            command = [client, "chat", "--url", url, "--users", str(USERS), "--seed", seed, "--out", runs]
            return load(command, runs, pids)
        finally:
            launcher.terminate()
            try:
                launcher.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                launcher.kill()
                launcher.wait()


def until_ready(launcher: subprocess.Popen, output: Path) -> str:
    """The launcher's address, once it tells it."""
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and launcher.poll() is None:
        for line in output.read_text().splitlines():
            if line.startswith(READY):
                return line.removeprefix(READY).strip()
        time.sleep(0.1)
    raise Discarded(f"the launcher is not ready:\n{output.read_text()}")


def load(command: list, runs: Path, pids: dict[str, int]) -> Sample:
    """Runs the load, and reads the CPU of these processes when the measured time begins and when it ends."""
    plan = ["--rate", str(RATE), "--warmup", f"{WARMUP_S}s", "--duration", f"{DURATION_S}s"]
    # Without --json it says on standard error when all connections are open, and its times count from there.
    with started([*command, *plan], dict(os.environ)) as client:
        if not any(OPEN.match(line) for line in client.stderr):
            raise Discarded("not all connections could be opened")
        begin = time.monotonic() + HEAD_START_S + WARMUP_S
        (first, before), (last, after) = (cpu_at(begin + later, pids) for later in (0.0, DURATION_S))
        problems = client.communicate(timeout=RUN_DEADLINE_S)[1]
    reports = list(runs.glob("*/report.json"))
    if not reports:
        raise Discarded(f"it ended with {client.returncode} and without results: {problems.strip()}")
    report = json.loads(reports[0].read_text())
    if report["verdict"] != "ok":
        raise Discarded(report["verdict"])
    achieved = report["rates"]["achieved"]
    if achieved < 0.99 * RATE:
        raise Discarded(f"only {achieved} messages a second were achieved")
    messages = achieved * (last - first)
    each = {name: (after[name] - before[name]) * 1e6 / messages for name in pids}
    delivery = next(latency for latency in report["latencies"] if latency["name"] == "delivery")
    cpu_us = {"linkup and mongod": sum(each.values())} | each
    return Sample(cpu_us, delivery["p50"], delivery["p99"], achieved)


def cpu_at(when: float, pids: dict[str, int]) -> tuple[float, dict[str, float]]:
    """The CPU seconds that processes have used at a time, and that time."""
    time.sleep(max(0.0, when - time.monotonic()))
    try:
        return time.monotonic(), {name: stat(pid)[2] for name, pid in pids.items()}
    except OSError as error:
        raise Discarded(f"a server ended: {error}") from error


# Turns and results.


class Rounds:
    """Runs builds in turns, and keeps everything that came of it."""

    def __init__(self, measure: Callable[[Build], Sample], idle_timeout: float, max_other_cores: float) -> None:
        self.measure, self.idle_timeout, self.max_other_cores = measure, idle_timeout, max_other_cores
        self.kept: list[dict] = []
        self.discarded: list[dict] = []

    def run(self, builds: list[Build], pairs: int) -> None:
        """One round that is not kept, and then `pairs` of them."""
        for number in range(pairs + 1):
            turn = number % len(builds)
            for build in builds[turn:] + builds[:turn]:
                sample = self.sample(build, number)
                if number > 0:
                    self.kept.append(sample)

    def sample(self, build: Build, number: int) -> dict:
        """Runs one build until a run of it counts."""
        for _ in range(ATTEMPTS):
            wait_until_idle(self.idle_timeout)
            busy, own, start = busy_seconds(), own_seconds(), time.monotonic()
            about = {"round": number, "build": build.label}
            try:
                sample = self.measure(build)
            except (Discarded, subprocess.SubprocessError) as why:
                self.discard(about | {"why": str(why)})
                continue
            others = (busy_seconds() - busy - own_seconds() + own) / (time.monotonic() - start)
            about |= asdict(sample) | {"others_cores": round(max(others, 0.0), 3)}
            if others > self.max_other_cores:
                self.discard(about | {"why": f"other processes used {others:.2f} cores"})
                continue
            cpu = ", ".join(f"{name} {value:.3f}" for name, value in sample.cpu_us.items())
            say(
                f"round {number}, {build.label}: {cpu} µs; p50 {sample.p50_ms:.1f}, p99 {sample.p99_ms:.1f} ms; "
                f"{sample.per_second:.0f}/s; others {others:.2f} cores"
            )
            return about
        sys.exit(f"{build.label} gave nothing that counts in {ATTEMPTS} runs")

    def discard(self, run: dict) -> None:
        say(f"round {run['round']}, {run['build']}: discarded: {run['why']}")
        self.discarded.append(run)

    def of(self, build: Build) -> list[dict]:
        """What was kept of a build, round after round."""
        return sorted((run for run in self.kept if run["build"] == build.label), key=lambda run: run["round"])


def interval(values: list[float]) -> tuple[float, float]:
    """A 95 % interval of the median: the percentiles of medians of values drawn again and again from these."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975) - 1]


def table(rounds: Rounds, builds: list[Build], unit: str) -> str:
    """Everything as two Markdown tables."""
    runs = {build.label: rounds.of(build) for build in builds}
    parts = list(rounds.kept[0]["cpu_us"])
    lines = [
        f"| build | CPU of a {unit}, µs: of | median | min–max | p50, ms | p99, ms | a second | others, cores |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for label, its in runs.items():
        p50, p99, rate, others = (
            statistics.median(run[key] for run in its) for key in ("p50_ms", "p99_ms", "per_second", "others_cores")
        )
        beside = f"{p50:.1f} | {p99:.1f} | {rate:,.0f} | {others:.2f}"
        for part in parts:
            cpu = [run["cpu_us"][part] for run in its]
            spread = f"{statistics.median(cpu):.3f} | {min(cpu):.3f}–{max(cpu):.3f}"
            lines.append(f"| {label} | {part} | {spread} | {beside} |")
            beside = "| | |"
    lines += [
        "",
        "| CPU, as a ratio | of | median of pairs | 95 % interval | min–max |",
        "|---|---|---|---|---|",
    ]
    for one, other in combinations(runs, 2):
        for part in parts:
            pairs = zip(runs[one], runs[other], strict=True)
            ratios = [new["cpu_us"][part] / old["cpu_us"][part] for old, new in pairs]
            low, high = interval(ratios)
            lines.append(
                f"| {other} / {one} | {part} | {statistics.median(ratios):.3f} | {low:.3f}–{high:.3f} | "
                f"{min(ratios):.3f}–{max(ratios):.3f} |"
            )
    count = len(next(iter(runs.values())))
    lines += ["", f"{count} pairs in turns; {len(rounds.discarded)} runs discarded."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", choices=["fanout", "chat"])
    for name, required in (("--a", True), ("--b", True), ("--c", False)):
        parser.add_argument(name, type=Build.parse, required=required, metavar="LABEL=PATH[:NAME=VALUE…]")
    parser.add_argument("--pairs", type=int, default=8, help="rounds that count (default 8)")
    parser.add_argument("--idle-timeout", type=float, default=120.0, help="seconds to wait for idleness (default 120)")
    parser.add_argument("--max-other-cores", type=float, default=0.25, help="cores that others may use (default 0.25)")
    parser.add_argument("--out", type=Path, help="a file for everything that was measured, as JSON")
    options = parser.parse_args()
    builds = [build for build in (options.a, options.b, options.c) if build]
    if len({build.label for build in builds}) < len(builds):
        parser.error("two builds have the same label")
    if options.pairs < 1:
        parser.error("--pairs must be at least 1")
    # A thousand connections are as many open files on either side.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Ended in this way, it ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))

    client = builds[0].path / "loadtest"
    measure = fanout if options.scenario == "fanout" else lambda build: chat(build, client)
    rounds = Rounds(measure, options.idle_timeout, options.max_other_cores)
    rounds.run(builds, options.pairs)
    if options.out:
        about = {build.label: {"path": str(build.path), "env": build.env} for build in builds}
        everything = {"builds": about, "runs": rounds.kept, "discarded": rounds.discarded}
        options.out.write_text(json.dumps({"scenario": options.scenario} | everything, indent=1) + "\n")
    print(table(rounds, builds, "delivery" if options.scenario == "fanout" else "message"))


if __name__ == "__main__":
    main()
