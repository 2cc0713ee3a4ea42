#!/usr/bin/env python3
"""Holds that of everything that a fault fires one alert reaches somebody, through a real Alertmanager with the shipped
configuration.

Each fault is played from minute to minute, its aftermath included.
"""

import re
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

import yaml

import generate
from alertmanager import Alertmanager
from faults import FAULTS, Fault
from observe import firing
from promtool import ALERTS, expected
from rule import Alert

CONFIG = yaml.safe_load(generate.ALERTMANAGER.read_text())
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
# Labels that come from the series, so that the rules alone do not say what they are.
FROM_SERIES = {"role", "instance", "job"}


def play(fault: Fault, observed: dict[float, list[str]]) -> set[tuple[str, str]]:
    with Alertmanager() as alertmanager:
        before: list[dict] = []
        for minute in fault.minutes:
            now = [expected(each)[1] for each in observed[minute]]
            alertmanager.post(now, [labels for labels in before if labels not in now])
            alertmanager.settle()
            before = now
        return alertmanager.notified()


class Faults(unittest.TestCase):
    maxDiff = None

    def test_of_each_fault_one_alert_reaches_somebody(self):
        observed = firing()
        with ThreadPoolExecutor(4) as workers:
            notified = list(workers.map(lambda fault: play(fault, observed[fault.name]), FAULTS))
        self.assertEqual(
            {fault.name: each for fault, each in zip(FAULTS, notified, strict=True)},
            {fault.name: {fault.notification} if fault.notification else set() for fault in FAULTS},
        )

    def test_what_has_no_cause_reaches_somebody(self):
        # Without this, a configuration that inhibits everything would pass.
        alone = [alert for alert in ALERTS if alert.severity in ("page", "ticket")]
        with ThreadPoolExecutor(4) as workers:
            notified = list(workers.map(notified_of, alone))
        self.assertEqual(notified, [{(alert.severity, alert.name)} for alert in alone])

    def test_a_page_and_a_ticket_of_other_things_both_reach_somebody(self):
        both = ["LinkUpTargetDown instance=a1 role=api", "LinkUpStreamerAway role=streamer"]
        with Alertmanager() as alertmanager:
            alertmanager.post([expected(each)[1] for each in both])
            alertmanager.settle()
            self.assertEqual(alertmanager.notified(), {("ticket", "LinkUpTargetDown"), ("page", "LinkUpStreamerAway")})

    def test_what_has_no_known_severity_is_a_ticket(self):
        with Alertmanager() as alertmanager:
            alertmanager.post([{"alertname": "Other"}])
            alertmanager.settle()
            self.assertEqual(alertmanager.notified(), {("ticket", "Other")})


def notified_of(alert: Alert) -> set[tuple[str, str]]:
    with Alertmanager() as alertmanager:
        alertmanager.post([{"alertname": alert.name, **alert.static_labels()}])
        alertmanager.settle()
        return alertmanager.notified()


class Configuration(unittest.TestCase):
    def test_amtool_takes_it(self):
        result = subprocess.run(
            ["amtool", "check-config", generate.ALERTMANAGER], capture_output=True, text=True, check=False
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_rule_is_about_alerts_that_there_are(self):
        names = {alert.name for alert in ALERTS}
        for rule in CONFIG["inhibit_rules"]:
            for side in ("source_matchers", "target_matchers"):
                self.assertTrue([alert for alert in ALERTS if fits(alert, rule[side])], rule)
                for label, _, value in matchers(rule[side]):
                    if label == "alertname":
                        self.assertLessEqual(set(value.split("|")), names, rule)

    def test_no_page_is_inhibited_by_a_ticket(self):
        for source, target in inhibitions():
            if target.severity == "page":
                self.assertIn(source.severity, ("page", "none"), f"{source.name} inhibits {target.name}")

    def test_one_process_and_one_event_do_not_hide_what_is_wrong_with_the_whole(self):
        whole = {
            "LinkUpProbeFailing",
            "LinkUpConnectionsRefused",
            "LinkUpNoApiReady",
            "LinkUpNoGatewayReady",
            "LinkUpStreamerNoLeader",
            "LinkUpMongoDBSlow",
            "LinkUpReconnectStorm",
            *(alert.name for alert in ALERTS if alert.layer in ("cause", "burn") and alert.severity == "page"),
        }
        self.assertEqual(inhibited_by("LinkUpGatewayOverloaded") & (whole | {"LinkUpStreamLag"}), set())
        self.assertEqual(inhibited_by("LinkUpProcessStuck") & (whole | {"LinkUpStreamLag"}), set())
        # Lateness is what a streamer that is behind makes.
        self.assertEqual(inhibited_by("LinkUpOplogRunningOut") & whole, {"LinkUpDeliverySlowBurn"})
        self.assertNotIn("LinkUpProbeFailing", inhibited_by("LinkUpHistoryLost"))

    def test_what_is_about_one_process_inhibits_only_what_is_about_the_same(self):
        for rule in CONFIG["inhibit_rules"]:
            sources = {alert.name for alert in ALERTS if fits(alert, rule["source_matchers"])}
            if sources & {"LinkUpGatewayOverloaded", "LinkUpProcessStuck"}:
                self.assertIn("instance", rule.get("equal", []), rule)

    def test_no_alerts_inhibit_each_other_even_by_way_of_others(self):
        # Of a circle nobody would be notified.
        targets: dict[str, set[str]] = {}
        for source, target in inhibitions():
            targets.setdefault(identity(source), set()).add(identity(target))
        done: set[str] = set()

        def visit(name: str, path: tuple[str, ...]) -> None:
            self.assertNotIn(name, path, " → ".join((*path, name)))
            if name not in done:
                for target in targets.get(name, ()):
                    visit(target, (*path, name))
                done.add(name)

        for name in targets:
            visit(name, ())

    def test_nobody_is_notified_of_what_recovers_before_its_cause_has_ended(self):
        # Alertmanager inhibits only while the cause fires. Members that come back have to elect first, which is no news
        # after the page that nobody answered: that one has to outlast those of the election.
        elections = {"LinkUpMongoDBNoMajority", "LinkUpMongoDBNoPrimary"}
        self.assertLessEqual(elections, inhibited_by("LinkUpMongoDBAway"))
        for alert in ALERTS:
            if alert.severity == "page" and alert.layer == "cause":
                self.assertEqual(alert.hold, "2m" if alert.name in elections else "5m", alert.name)


def matchers(written: list[str]) -> list[tuple[str, str, str]]:
    return [MATCHER.fullmatch(each).groups() for each in written]


def fits(alert: Alert, written: list[str]) -> bool:
    labels = {"alertname": alert.name, **alert.static_labels()}
    for label, operator, value in matchers(written):
        if label in FROM_SERIES - set(labels):
            continue
        found = labels.get(label, "")
        same = re.fullmatch(value, found) is not None if operator in ("=~", "!~") else found == value
        if same == operator.startswith("!"):
            return False
    return True


def inhibitions() -> list[tuple[Alert, Alert]]:
    """Whoever may inhibit whom."""
    return [
        (source, target)
        for rule in CONFIG["inhibit_rules"]
        for source in ALERTS
        if fits(source, rule["source_matchers"])
        for target in ALERTS
        if fits(target, rule["target_matchers"]) and agree(source, target, rule.get("equal", []))
    ]


def inhibited_by(name: str) -> set[str]:
    return {target.name for source, target in inhibitions() if source.name == name}


def agree(source: Alert, target: Alert, equal: list[str]) -> bool:
    one, other = source.static_labels(), target.static_labels()
    return all(
        one.get(label, "") == other.get(label, "") or label in FROM_SERIES and (label not in one or label not in other)
        for label in equal
    )


def identity(alert: Alert) -> str:
    return " ".join([alert.name, alert.severity, *alert.labels.values()])


if __name__ == "__main__":
    unittest.main()
