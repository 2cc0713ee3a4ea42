"""Cases as `promtool test rules` takes them, run on the rules as they are shipped."""

import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

import generate
from rule import Alert
from simulated import Case

RULES = [generate.SHIPPED / "linkup-recording.yml", generate.SHIPPED / "linkup-alerts.yml"]
ALERTS = generate.all_alerts()
FIRING = 'sum without (__name__, alertstate) (ALERTS{alertstate="firing"})'
WORKERS = 2


def expected(written: str) -> tuple[Alert, dict]:
    """The alert that `Name label=value …` means, and all labels with which it fires."""
    name, *pairs = written.split()
    given = dict(pair.split("=") for pair in pairs)
    fitting = [
        alert
        for alert in ALERTS
        if alert.name == name and all(given.get(label, value) == value for label, value in alert.labels.items())
    ]
    assert len(fitting) == 1, f"{written} means {len(fitting)} alerts"
    labels = {"alertname": name, **fitting[0].static_labels(), **given}
    return fitting[0], labels | ({"job": "linkup"} if "instance" in labels else {})


def short(labels: dict) -> str:
    """What `expected` reads: only the labels that distinguish alerts of one name."""
    alert = [each for each in ALERTS if each.name == labels["alertname"]]
    same = {"alertname", "job", "severity", "layer", *(["window"] if len(alert) == 1 else [])}
    same |= {"slo"} if len({each.labels.get("slo") for each in alert}) == 1 else set()
    kept = [f"{label}={value}" for label, value in sorted(labels.items()) if label not in same]
    return " ".join([labels["alertname"], *kept])


def braces(labels: dict) -> str:
    return "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def rule_files() -> dict:
    groups = [group["name"] for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    # In this order, so that each finds what it asks for.
    return {"rule_files": [str(file) for file in RULES], "group_eval_order": groups}


def promtool_test(case: Case) -> dict:
    return {
        "name": case.name,
        "interval": f"{int(case.step * 60)}s",
        "input_series": case.series(),
        "promql_expr_test": [
            {
                "expr": FIRING,
                "eval_time": f"{int(minute * 60)}s",
                "exp_samples": [{"labels": braces(expected(each)[1]), "value": 1} for each in alerts],
            }
            for minute, alerts in case.expect.items()
        ],
    }


def run(case: Case) -> str:
    """What promtool has to say against it; nothing if it holds."""
    content = {
        **rule_files(),
        "evaluation_interval": f"{int(case.step * 60)}s",
        "tests": [promtool_test(case)],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.yml"
        file.write_text(yaml.safe_dump(content, width=1_000_000))
        result = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else f"{case.name}: {result.stdout}{result.stderr}"


def run_all(cases: list[Case]) -> list[str]:
    with ThreadPoolExecutor(WORKERS) as workers:
        return [failure for failure in workers.map(run, cases) if failure]


def observe(case: Case) -> dict[float, list[str]]:
    """What fires at the case's minutes: promtool says so when it is told to expect what never is."""
    never = {minute: ["LinkUpTargetDown instance=none role=none"] for minute in case.expect}
    output = run(Case(case.name, case.changes, never, step=case.step, roles=case.roles))
    answers = re.findall(r"got: (.*)", output)
    assert len(answers) == len(never), output
    return {
        minute: sorted(short(dict(re.findall(r'(\w+)="([^"]*)"', labels))) for labels in re.findall(r"{[^}]*}", answer))
        for minute, answer in zip(case.expect, answers, strict=True)
    }
