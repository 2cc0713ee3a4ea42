#!/usr/bin/env python3
"""Runs every case and every fault through `promtool test rules`, on the rules as they are shipped.

A case names everything that fires: an alert that it does not name, or names wrongly, fails it.
"""

import re
import unittest

import yaml

import generate
from cases import CASES
from durations import milliseconds
from faults import FAULTS
from observe import firing
from promtool import ALERTS, expected, run, run_all
from rule import Alert
from simulated import Case


def dynamic_labels(alert: Alert) -> set[str]:
    """The labels that the annotations ask for and that the rule does not set itself."""
    asked = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
    return asked - set(alert.static_labels())


def fired_in(case: Case) -> list[tuple[Alert, dict]]:
    return [expected(each) for alerts in case.expect.values() for each in alerts]


class Rules(unittest.TestCase):
    def test_what_is_shipped_is_what_the_generator_writes(self):
        made = generate.files(generate.arguments([]))
        self.assertEqual(set(made), {file.name for file in generate.SHIPPED.iterdir()})
        for name, content in made.items():
            self.assertEqual((generate.SHIPPED / name).read_text(), content, name)

    def test_every_case_fires_what_it_says_and_nothing_else(self):
        self.assertEqual(run_all(CASES), [])

    def test_every_fault_fires_what_was_observed_and_nothing_else(self):
        observed = firing()
        self.assertEqual(set(observed), {fault.name for fault in FAULTS})
        self.assertEqual(
            {fault.name: tuple(observed[fault.name]) for fault in FAULTS},
            {fault.name: fault.minutes for fault in FAULTS},
        )
        self.assertEqual(run_all([fault.case(observed[fault.name]) for fault in FAULTS]), [])

    def test_every_alert_fires_in_some_case_and_is_spared_in_another(self):
        fired = [alert for case in CASES for alert, _ in fired_in(case)]
        for alert in ALERTS:
            self.assertTrue(any(each is alert for each in fired), f"{alert.name} {alert.labels} fires nowhere")
        spared = {name for case in CASES for name in case.spares}
        names = {alert.name for alert in ALERTS if alert.severity != "none"}
        self.assertEqual(names - spared, set(), "there is no case that comes near these and does not fire")
        self.assertEqual(spared - names, set(), "there are no such alerts")

    def test_what_is_spared_does_not_fire(self):
        for case in CASES:
            self.assertEqual({alert.name for alert, _ in fired_in(case)} & set(case.spares), set(), case.name)

    def test_annotations_name_only_labels_that_there_are(self):
        for case in CASES:
            for alert, labels in fired_in(case):
                self.assertLessEqual(dynamic_labels(alert), set(labels), alert.name)

    def test_a_wrong_expectation_fails(self):
        self.assertIn("LinkUpApiAway", run(Case("healthy", [], {5: ["LinkUpApiAway role=api"]})))
        self.assertEqual("", run(Case("healthy", [], {5: []})))


class Scale(unittest.TestCase):
    def test_a_sixtieth_has_the_same_rules_with_every_duration_divided(self):
        shipped = generate.files(generate.arguments([]))
        fast = generate.files(generate.arguments(["--time-scale", "1/60"]))
        for name in ("linkup-recording.yml", "linkup-alerts.yml"):
            slow_groups, fast_groups = (yaml.safe_load(made[name])["groups"] for made in (shipped, fast))
            for slow, quick in zip(slow_groups, fast_groups, strict=True):
                self.assertEqual(milliseconds(slow["interval"]), 60 * milliseconds(quick["interval"]))
                for one, other in zip(slow["rules"], quick["rules"], strict=True):
                    for key in ("record", "alert", "labels"):
                        self.assertEqual(one.get(key), other.get(key))
                    self.assertEqual(durations(one), [60 * each for each in durations(other)], other)

    def test_no_range_is_below_three_scrapes(self):
        fast = generate.files(generate.arguments(["--time-scale", "1/60"]))
        self.assertEqual(yaml.safe_load(fast["prometheus.yml"])["global"]["scrape_interval"], "1s")
        ranges = re.findall(r"\[(\w+)\]", fast["linkup-recording.yml"] + fast["linkup-alerts.yml"])
        self.assertGreaterEqual(min(milliseconds(each) for each in ranges), 3_000)

    def test_mistakes_in_the_factor_are_refused(self):
        for factor in ("0", "-1", "2"):
            with self.assertRaises(ValueError):
                generate.files(generate.arguments([f"--time-scale={factor}"]))


def durations(rule: dict) -> list[int]:
    """The ranges, `for` and `keep_firing_for` of a rule, in milliseconds."""
    found = re.findall(r"\[(\w+)\]", rule["expr"]) + [rule[key] for key in ("for", "keep_firing_for") if key in rule]
    return [milliseconds(each) for each in found]


if __name__ == "__main__":
    unittest.main()
