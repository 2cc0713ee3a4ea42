"""Every query of every panel and every rule, against a LinkUp that runs and is used."""

import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import yaml

import dashboards
import programs
from dashboards import PanelQuery
from http_client import get
from monitoring import Monitoring
from processes import DrillError, free_port, say
from scene import Scene, finished

EXCEPTIONS = Path(__file__).resolve().parent / "empty.yml"
# Metrics of the load harness, which are there as long as it runs.
OF_HARNESS = "linkup_loadtest_"
# Wide enough for some scrapes, short enough that what was before is out of sight.
WINDOW = "15s"
LOAD_RATE, LOAD_SECONDS = 100, 20
# The drills' own people leave; then a window has to pass in which nobody was there.
QUIET_SECONDS = 25


def exceptions(text: str) -> dict[str, str]:
    """Places of queries that may be empty, with the reasons."""
    entries = yaml.safe_load(text)
    return {entry["panel"]: entry["reason"] for entry in entries}


def judge(query: PanelQuery, ask: Callable[[str], list[dict]], may_be_empty: dict[str, str]) -> str | None:
    """What is wrong with the query's answer; nothing where it has data, or is listed as empty and is so."""
    try:
        samples = ask(query.expression)
    except DrillError as error:
        return f"{query.place}: {error}"
    if query.place in may_be_empty:
        return None
    if not samples:
        return f"{query.place}: no data: {query.expression}"
    if bad := [sample["metric"] for sample in samples if not math.isfinite(float(sample["value"][1]))]:
        return f"{query.place}: not a number for {bad[0]}: {query.expression}"
    return None


def judge_rule(rule: dict) -> str | None:
    """What is wrong with how Prometheus evaluates the rule."""
    return None if rule["health"] == "ok" else f"rule {rule['name']}: {rule['health']}: {rule.get('lastError', '')}"


def unknown(may_be_empty: dict[str, str], asked: list[PanelQuery]) -> list[str]:
    """Exceptions of which there is no query any more."""
    places = {query.place for query in asked}
    return [f"{EXCEPTIONS.name}: there is no query {place}" for place in may_be_empty if place not in places]


def run(scene: Scene) -> list[str]:
    """Asks everything under load, and again when all have gone; returns what is wrong."""
    scene.begin_evening()
    boards = dashboards.load()
    if not boards:
        raise DrillError(f"there is no dashboard in {dashboards.FOLDER}")
    asked = [query for board in boards for query in dashboards.queries(board, WINDOW)]
    harness_port = free_port()
    with Monitoring(scene.workshop, scene.cluster, scene.scale, "queries", harness_port) as monitoring:
        monitoring.start(with_history=False)
        harness = scene.harness(LOAD_RATE, LOAD_SECONDS, harness_port)
        for _ in range(5):
            scene.rest()
        time.sleep(LOAD_SECONDS * 0.75)
        may_be_empty = exceptions(EXCEPTIONS.read_text())
        problems = [f"under load: {each}" for each in ask_all(monitoring, boards, asked, may_be_empty)]
        problems += check_metrics({role.name: role.metrics() for role in scene.cluster.roles})
        problems += check_metrics({"loadtest": get(f"http://127.0.0.1:{harness_port}/metrics", 5)[1]})
        finished(harness)
        scene.end_evening()
        time.sleep(QUIET_SECONDS)
        may_be_empty |= of_harness(asked)
        problems += [f"while it is quiet: {each}" for each in ask_all(monitoring, boards, asked, may_be_empty)]
        rules = monitoring.rules()
        say(f"{len(asked)} queries of {len(boards)} dashboards and {len(rules)} rules, under load and in quiet")
    return problems + unknown(exceptions(EXCEPTIONS.read_text()), asked)


def of_harness(asked: list[PanelQuery]) -> dict[str, str]:
    """Places of queries that are empty when no load harness runs, with the reason."""
    return {query.place: "no load harness runs" for query in asked if OF_HARNESS in query.expression}


def ask_all(
    monitoring: Monitoring, boards: list[dict], asked: list[PanelQuery], may_be_empty: dict[str, str]
) -> list[str]:
    """Asks every panel's queries, the annotations and the variables, and looks at the rules."""
    found = [judge(query, monitoring.instant, may_be_empty) for query in asked]
    for board in boards:
        for query in dashboards.annotations(board, WINDOW):
            found.append(judge(query, monitoring.instant, {query.place: "nothing happened"}))
    rules = monitoring.rules()
    if not rules:
        raise DrillError("Prometheus has no rules")
    found += [judge_rule(rule) for rule in rules]
    found += [f"alert {name} fires in a healthy system" for name in sorted(firing(monitoring))]
    return [each for each in found if each]


def firing(monitoring: Monitoring) -> set[str]:
    """The alerts that fire now, but for those that nobody is told of."""
    labels = [alert["labels"] for alert in monitoring.alerts() if alert["state"] == "firing"]
    return {of["alertname"] for of in labels if of["severity"] != "none"}


def check_metrics(answers: dict[str, str]) -> list[str]:
    """What `promtool check metrics` says of each process's answer."""
    promtool, problems = programs.find("promtool"), []
    for name, answer in answers.items():
        done = subprocess.run([promtool, "check", "metrics"], input=answer, capture_output=True, text=True, timeout=30)
        problems += [f"{name}: {line}" for line in (done.stdout + done.stderr).splitlines()]
        if done.returncode != 0 and not problems:
            problems.append(f"{name}: promtool check metrics ended with {done.returncode}")
    return problems
