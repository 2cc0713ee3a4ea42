#!/usr/bin/env python3
"""Holds the runbook, the dashboards and the contract of metrics against the alerts."""

import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import generate
from promtool import ALERTS

RUNBOOK = (generate.GRAFANA / "RUNBOOK.md").read_text()
README = (generate.GRAFANA / "README.md").read_text()
METRICS = (generate.GRAFANA.parent / "docs" / "metrics.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
# Labels of targets, bounds of buckets, and patterns.
UNLISTED = {"job", "role", "le", "route", "batcher"}
PARTS = ("**People", "**Confirm:**", "**Do:**", "**Over:**")


def queries() -> list[str]:
    return [query.strip() for query in re.findall(r"```promql\n(.*?)```", RUNBOOK, re.DOTALL)]


def metrics_in(text: str) -> set[str]:
    names = set(re.findall(r"\b(?:linkup_[a-z_]+|process_[a-z_]+)\b", text))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


class Runbook(unittest.TestCase):
    def test_every_alert_has_its_section_and_every_section_its_alert(self):
        self.assertEqual(set(SECTIONS), {alert.name for alert in ALERTS})
        self.assertEqual(len(re.findall(r"^### ", RUNBOOK, re.MULTILINE)), len(SECTIONS), "a section is there twice")

    def test_every_section_has_its_four_parts_in_order(self):
        for name, section in SECTIONS.items():
            places = [section.find(part) for part in PARTS]
            self.assertNotIn(-1, places, f"{name} lacks one of {PARTS}")
            self.assertEqual(places, sorted(places), name)

    def test_links_lead_somewhere(self):
        for anchor in re.findall(r"\]\(#(\w+)\)", RUNBOOK):
            self.assertIn(anchor, {name.lower() for name in SECTIONS})
        for path in re.findall(r"\]\(([^#)]+)\)", RUNBOOK):
            self.assertTrue((generate.GRAFANA / path).exists(), path)

    def test_queries_are_promql(self):
        rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
        self.assertGreater(len(rules), len(SECTIONS))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "queries.yml"
            file.write_text(yaml.safe_dump({"groups": [{"name": "runbook", "rules": rules}]}))
            result = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class Settings(unittest.TestCase):
    def test_every_option_of_the_generator_is_explained(self):
        options = set(re.findall(r'"(--[a-z-]+)"', Path(generate.__file__).read_text()))
        self.assertIn("--runbook-url", options)
        # For end-to-end tests.
        options.remove("--time-scale")
        self.assertLessEqual(options, set(re.findall(r"--[a-z-]+", README)))

    def test_the_launcher_is_one_target(self):
        written = generate.files(generate.arguments(["--target", "all=127.0.0.1:5001"]))["prometheus.yml"]
        self.assertEqual(
            yaml.safe_load(written)["scrape_configs"][0]["static_configs"],
            [{"targets": ["127.0.0.1:5001"], "labels": {"role": "all"}}],
        )

    def test_a_load_harness_is_a_job_of_its_own_beside_those_of_linkup(self):
        def jobs(*targets: str) -> list[dict]:
            options = generate.arguments([part for target in targets for part in ("--target", target)])
            return yaml.safe_load(generate.files(options)["prometheus.yml"])["scrape_configs"]

        for of_linkup in ([], ["all=127.0.0.1:5001"]):
            (linkup,) = jobs(*of_linkup)
            unchanged, harness = jobs("loadtest=127.0.0.1:5009", *of_linkup)
            self.assertEqual(unchanged, linkup)
            self.assertEqual(harness["job_name"], "linkup-loadtest")
            self.assertEqual(
                harness["static_configs"], [{"targets": ["127.0.0.1:5009"], "labels": {"role": "loadtest"}}]
            )

    def test_no_rule_takes_a_load_harness_for_a_part_of_linkup(self):
        exprs = [alert.expr for alert in ALERTS]
        # What every target has, whatever it exports, and what any program may export.
        of_targets = [match for expr in exprs for match in re.findall(r"\b(?:up|process_\w+)\b(?:\{[^}]*\})?", expr)]
        self.assertGreater(len(of_targets), 9)
        for selector in of_targets:
            self.assertIn('{job="linkup"', selector)
        rules = generate.files(generate.arguments([]))
        for name in ("linkup-recording.yml", "linkup-alerts.yml"):
            self.assertEqual({each for each in metrics_in(rules[name]) if each.startswith("linkup_loadtest_")}, set())


class Contract(unittest.TestCase):
    def test_every_metric_is_documented(self):
        documented = metrics_in(METRICS)
        self.assertIn("linkup_probe_up", documented)
        for name, text in {"RUNBOOK.md": RUNBOOK, **generate.files(generate.arguments([]))}.items():
            self.assertEqual(metrics_in(text) - documented, set(), name)

    def test_every_value_of_a_label_is_documented(self):
        exprs = "\n".join(alert.expr for alert in ALERTS if alert.layer != "aftermath")
        exprs += generate.files(generate.arguments([]))["linkup-recording.yml"]
        documented = set(re.findall(r"`(\w+)`", METRICS))
        found = re.findall(r'\b(\w+)(=~?|!=)"([^"]+)"', exprs)
        asked = {value for label, _, values in found if label not in UNLISTED for value in values.split("|")}
        self.assertIn("slow_consumer", asked)
        self.assertEqual(asked - documented, set())

    def test_every_dashboard_that_is_linked_exists(self):
        there = {json.loads(file.read_text())["uid"] for file in (generate.GRAFANA / "dashboards").glob("*.json")}
        self.assertLessEqual({alert.dashboard for alert in ALERTS}, there)

    def test_annotations_are_complete_and_point_to_the_settings(self):
        options = ["--runbook-url", "https://a.example/r.md/", "--grafana-url", "https://b.example/"]
        made = yaml.safe_load(generate.files(generate.arguments(options))["linkup-alerts.yml"])
        for rule in (rule for group in made["groups"] for rule in group["rules"]):
            notes = rule["annotations"]
            self.assertEqual(set(notes), {"summary", "description", "runbook_url", "dashboard_url"})
            self.assertEqual(notes["runbook_url"], f"https://a.example/r.md#{rule['alert'].lower()}")
            self.assertRegex(notes["dashboard_url"], r"^https://b\.example/d/linkup-\w+$")
            self.assertIn(rule["labels"]["severity"], ("page", "ticket", "none"))


if __name__ == "__main__":
    unittest.main()
