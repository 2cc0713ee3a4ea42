#!/usr/bin/env python3
"""Writes the recording rules, the alert rules and Prometheus' configuration.

    generate.py                    writes the example that is shipped, into grafana/prometheus
    generate.py --check            fails if what is shipped is not what this would write
    generate.py --out DIR --target gateway=10.0.0.11:5001 ... --runbook-url URL --grafana-url URL
                                   writes yours; grafana/README.md says what has to be set
    generate.py --time-scale 1/60 --out DIR --target gateway=127.0.0.1:5001 ...

The last line is for end-to-end tests: the same rules, with every range, `for` and interval divided alike.
"""

import argparse
import sys
from fractions import Fraction
from pathlib import Path

import yaml

from causes import causes
from conditions import conditions
from durations import TimeScale
from objectives import burn_alerts, recording_groups
from rule import Alert, Links
from symptoms import absences, aftermath, symptoms

GRAFANA = Path(__file__).resolve().parent.parent
SHIPPED = GRAFANA / "prometheus"
ALERTMANAGER = GRAFANA / "alertmanager" / "alertmanager.yml"

RUNBOOK_URL = "https://linkup.example.org/grafana/RUNBOOK.md"
GRAFANA_URL = "http://127.0.0.1:3000"
ALERTMANAGER_ADDRESS = "127.0.0.1:9093"
# The admin ports that the processes have by default.
TARGETS = {
    "gateway": ["127.0.0.1:5001"],
    "api": ["127.0.0.1:5003"],
    "streamer": ["127.0.0.1:5004"],
    "probe": ["127.0.0.1:5005"],
}

# The load harness is no part of LinkUp: it has a job of its own, so that no rule takes it for an instance.
HARNESS = "loadtest"
HARNESS_JOB = "linkup-loadtest"
# Runs are short: of one that lasts 20 s, more than one sample has to be had.
HARNESS_SCRAPE_INTERVAL = "5s"

ALERT_INTERVAL = "15s"
SCRAPE_INTERVAL = "15s"
# Processes are not asked more often than this, however fast the rules are.
LEAST_SCRAPE_INTERVAL = "1s"

HEADER = "# Written by grafana/alerts/generate.py: change that, not this.\n"
PROMETHEUS_HEADER = (
    HEADER
    + """\
#
# What is shipped in grafana/prometheus is an example. Yours is written to another directory, by
#   generate.py --out DIR --target ROLE=HOST:PORT ... --alertmanager HOST:PORT --runbook-url URL --grafana-url URL
#   targets        the admin port (ADMIN_ADDR:ADMIN_PORT) of every process, under its role: gateway, api, streamer or
#                  probe; the launcher, which is the first three in one process, under the role "all"; for the
#                  dashboard Load test, what a load harness was given as --prometheus, under "loadtest"
#   alertmanagers  where Alertmanager listens
# With service discovery, keep the job's name and the label "role": the rules ask for both. Windows of 30 days need
# --storage.tsdb.retention.time=35d on Prometheus' command line.
"""
)


def alert_groups(scale: TimeScale, links: Links) -> list[dict]:
    groups = {
        "linkup-causes": causes(scale),
        "linkup-conditions": conditions(scale),
        "linkup-symptoms": symptoms(scale) + burn_alerts(scale),
        "linkup-absences": absences(scale),
        "linkup-aftermath": aftermath(scale),
    }
    return [
        {"name": name, "interval": scale(ALERT_INTERVAL), "rules": [alert.rule(scale, links) for alert in alerts]}
        for name, alerts in groups.items()
    ]


def all_alerts() -> list[Alert]:
    scale = TimeScale()
    return causes(scale) + conditions(scale) + symptoms(scale) + burn_alerts(scale) + absences(scale) + aftermath(scale)


def prometheus_config(scale: TimeScale, targets: dict[str, list[str]], alertmanager: str) -> dict:
    every = scale.at_least(SCRAPE_INTERVAL, LEAST_SCRAPE_INTERVAL)
    of_linkup = {role: addresses for role, addresses in targets.items() if role != HARNESS} or TARGETS
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": scale(ALERT_INTERVAL)},
        "rule_files": ["linkup-recording.yml", "linkup-alerts.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": "linkup",
                "static_configs": [
                    {"targets": addresses, "labels": {"role": role}} for role, addresses in of_linkup.items()
                ],
                # linkup_build_info has a label of that name as well, and says the same.
                "metric_relabel_configs": [{"action": "labeldrop", "regex": "exported_role"}],
            },
            *harness_jobs(scale, targets.get(HARNESS, [])),
        ],
    }


def harness_jobs(scale: TimeScale, addresses: list[str]) -> list[dict]:
    every = scale.at_least(HARNESS_SCRAPE_INTERVAL, LEAST_SCRAPE_INTERVAL)
    job = {
        "job_name": HARNESS_JOB,
        "scrape_interval": every,
        "scrape_timeout": every,
        "static_configs": [{"targets": addresses, "labels": {"role": HARNESS}}],
    }
    return [job] if addresses else []


class Dumper(yaml.SafeDumper):
    """Expressions of several lines stay so."""

    def ignore_aliases(self, data):
        return True


def text(dumper, value):
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


Dumper.add_representer(str, text)


def written(data: dict, header: str = HEADER) -> str:
    return header + "\n" + yaml.dump(data, Dumper=Dumper, sort_keys=False, width=110)


def files(options: argparse.Namespace) -> dict[str, str]:
    scale = TimeScale(options.time_scale)
    links = Links(options.runbook_url.rstrip("/"), options.grafana_url.rstrip("/"))
    targets: dict[str, list[str]] = {}
    for role, address in options.target:
        targets.setdefault(role, []).append(address)
    return {
        "linkup-recording.yml": written({"groups": recording_groups(scale)}),
        "linkup-alerts.yml": written({"groups": alert_groups(scale, links)}),
        "prometheus.yml": written(
            prometheus_config(scale, targets, options.alertmanager), PROMETHEUS_HEADER
        ),
    }


def target(given: str) -> tuple[str, str]:
    role, found, address = given.partition("=")
    if not found or role not in (*TARGETS, "all", HARNESS):
        raise argparse.ArgumentTypeError(f"{given} is not of the form ROLE=HOST:PORT")
    return role, address


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time-scale", type=Fraction, default=Fraction(1), metavar="F", help="such as 1/60; default 1")
    parser.add_argument("--out", type=Path, default=SHIPPED, metavar="DIR", help="default: what is shipped")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a file would change")
    parser.add_argument(
        "--runbook-url", default=RUNBOOK_URL, help=f"where RUNBOOK.md can be read; default {RUNBOOK_URL}"
    )
    parser.add_argument("--grafana-url", default=GRAFANA_URL, help=f"of Grafana; default {GRAFANA_URL}")
    parser.add_argument(
        "--alertmanager",
        default=ALERTMANAGER_ADDRESS,
        metavar="HOST:PORT",
        help=f"where Alertmanager listens; default {ALERTMANAGER_ADDRESS}",
    )
    parser.add_argument(
        "--target",
        type=target,
        action="append",
        default=[],
        metavar="ROLE=HOST:PORT",
        help=f"a process's role ({', '.join((*TARGETS, 'all'))}) and admin address, or {HARNESS} and what a load "
        "harness was given as --prometheus; once for each process",
    )
    return parser.parse_args(given)


def main() -> int:
    options = arguments()
    made = files(options)
    if options.check:
        stale = [
            name
            for name, content in made.items()
            if not (options.out / name).is_file() or (options.out / name).read_text() != content
        ]
        for name in stale:
            print(f"{options.out / name} is not what generate.py writes", file=sys.stderr)
        return 1 if stale else 0
    options.out.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (options.out / name).write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
