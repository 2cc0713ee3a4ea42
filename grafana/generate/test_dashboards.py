"""Tests of the dashboards: python -m unittest, with promtool on the PATH."""

import copy
import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import idle_system
from generate import TARGET, differences, outputs, panels
from linter import UNITS, lint
from promql import selectors

GRAFANA = TARGET.parent
RECORDED = GRAFANA / "prometheus" / "linkup-recording.yml"
TYPES = {"timeseries", "stat", "bargauge", "table"}
VALUES = {"$job": ".+", "$instance": ".+", "$__rate_interval": "1m", "$__range": "1h", "$quantile": "0.99"}


def load() -> dict[str, dict]:
    return {board["uid"]: board for board in (json.loads(path.read_text()) for path in TARGET.glob("*.json"))}


def with_values(expr: str) -> str:
    for name, value in VALUES.items():
        expr = expr.replace(name, value)
    return expr


def promtool(command: list[str], content: dict) -> str:
    """What promtool says of a file with this content: nothing if it has no objection."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.yml"
        file.write_text(json.dumps(content))
        result = subprocess.run(["promtool", *command, str(file)], capture_output=True, text=True, check=False)
        return "" if result.returncode == 0 else result.stdout + result.stderr


def without_numbers(expressions: list[str]) -> str:
    """promtool's complaints about expressions that are empty or NaN in a healthy system that nobody uses."""
    case = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in idle_system.series()],
        # 1 if there is a value and all of them are numbers: a comparison with NaN is never true.
        "promql_expr_test": [
            {
                "expr": f"count(({expr}) > -Inf) == bool count({expr})",
                "eval_time": "10m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
            for expr in map(with_values, expressions)
        ],
    }
    return promtool(["test", "rules"], {"rule_files": [str(RECORDED)], "tests": [case]})


class Dashboards(unittest.TestCase):
    def setUp(self):
        self.boards = load()
        self.excluded = json.loads((TARGET / ".lint").read_text())

    def targets(self) -> list[str]:
        """The expressions of all panels."""
        of_panels = (panel["targets"] for board in self.boards.values() for panel in panels(board))
        return sorted({target["expr"] for targets in of_panels for target in targets})

    def of_type(self, kind: str) -> list[dict]:
        found = [panel for board in self.boards.values() for panel in panels(board) if panel["type"] == kind]
        self.assertTrue(found)
        return found

    def expressions(self) -> list[str]:
        """Of all panels and annotations, each once."""
        events = {each["expr"] for board in self.boards.values() for each in board["annotations"]["list"]}
        return sorted({*self.targets(), *events})

    def test_files_are_what_their_source_gives(self):
        self.assertEqual(differences(outputs()), [])

    def test_a_changed_file_and_a_foreign_file_are_noticed(self):
        files = outputs()
        files["linkup-api.json"] += " "
        del files["linkup-mongodb.json"]
        self.assertEqual(differences(files), ["linkup-api.json", "linkup-mongodb.json"])

    def test_linter_has_no_objection(self):
        self.assertEqual([each for board in self.boards.values() for each in lint(board, self.excluded)], [])

    def test_linter_notices_each_fault(self):
        def variable(board, name):
            return next(each for each in board["templating"]["list"] if each["name"] == name)

        def panel(board):
            return next(panels(board))

        def expr(text):
            return lambda board: panel(board)["targets"][0].update(expr=text)

        chosen = '{job=~"$job", instance=~"$instance"}'
        faults = {
            "template-datasource-rule": lambda board: variable(board, "datasource").update(label="Source"),
            "template-job-rule": lambda board: variable(board, "job").update(allValue=".*"),
            "template-instance-rule": lambda board: variable(board, "instance").update(multi=False),
            "template-label-promql-rule": lambda board: variable(board, "job").update(query="label_value(up, job)"),
            "template-on-time-change-reload-rule": lambda board: variable(board, "job").update(refresh=1),
            "uneditable-dashboard": lambda board: board.update(editable=True),
            "panel-datasource-rule": lambda board: panel(board)["targets"][0]["datasource"].update(uid="other"),
            "panel-title-description-rule": lambda board: panel(board).update(description=""),
            "panel-units-rule": lambda board: panel(board)["fieldConfig"]["defaults"].update(unit="seconds"),
            "panel-no-targets-rule": lambda board: panel(board).update(targets=[]),
            "target-job-rule": expr('sum by (job) (up{instance=~"$instance"})'),
            "target-instance-rule": expr('sum(up{job=~"$job"})'),
            "target-rate-interval-rule": expr(f"sum(rate(x_count{chosen}[5m]))"),
            "target-counter-agg-rule": expr(f"sum(x_total{chosen})"),
            "target-histogram-rule": expr(f"sum(rate(x_bucket{chosen}[$__rate_interval]))"),
        }
        for rule, break_it in faults.items():
            board = copy.deepcopy(self.boards["linkup-gateway"])
            break_it(board)
            self.assertEqual([each.split(":")[0] for each in lint(board, self.excluded)], [rule])

    def test_only_series_of_the_whole_system_are_excluded_from_the_linter(self):
        for rule in self.excluded["exclusions"].values():
            for entry in rule["entries"]:
                board = next(board for board in self.boards.values() if board["title"] == entry["dashboard"])
                panel = next(panel for panel in panels(board) if panel["title"] == entry["panel"])
                for target in panel["targets"]:
                    for selector in selectors(target["expr"]):
                        self.assertRegex(selector.metric, "^(linkup:|ALERTS$)", panel["title"])

    def test_promtool_understands_every_expression(self):
        rules = [{"record": f"e{n}", "expr": with_values(expr)} for n, expr in enumerate(self.expressions())]
        self.assertGreater(len(rules), 200)
        self.assertEqual(promtool(["check", "rules"], {"groups": [{"name": "all", "rules": rules}]}), "")

    def test_every_panel_shows_numbers_while_nobody_uses_a_healthy_system(self):
        self.assertEqual(without_numbers(self.targets()), "")

    def test_a_panel_without_numbers_is_noticed(self):
        self.assertIn("got: nil", without_numbers(["sum(linkup_of_no_process)"]))
        self.assertIn("got: nil", without_numbers(["sum(linkup_streamer_lag_seconds) / sum(linkup_streamer_users)"]))

    def test_every_documented_metric_is_on_a_panel(self):
        read = {selector.metric for expr in self.expressions() for selector in selectors(expr)}
        read |= {re.sub("_(bucket|sum|count)$", "", name) for name in read}
        self.assertGreater(len(idle_system.documented()), 130)
        self.assertEqual(sorted(idle_system.documented().keys() - read), [])

    def test_every_series_that_is_read_is_documented_or_recorded(self):
        groups = yaml.safe_load(RECORDED.read_text())["groups"]
        recorded = {rule["record"] for group in groups for rule in group["rules"]}
        documented = idle_system.documented()
        for expr in self.expressions():
            for name in (selector.metric for selector in selectors(expr)):
                base = re.sub("_(bucket|sum|count)$", "", name)
                histogram = base in documented and documented[base]["type"] == "histogram"
                self.assertTrue(name in {*documented, *recorded, "ALERTS"} or histogram, f"{name} in {expr}")

    def test_form(self):
        self.assertEqual(len(self.boards), 6)
        for board in self.boards.values():
            with self.subTest(board["title"]):
                self.assertEqual(board["schemaVersion"], 42)
                names = [variable["name"] for variable in board["templating"]["list"]]
                self.assertEqual(names, ["datasource", "job", "instance", "quantile", "filters"])
                events = [each["name"] for each in board["annotations"]["list"]]
                self.assertEqual(events, ["Start", "Deploy", "Leader change"])
                rows = [panel for panel in board["panels"] if panel["type"] == "row"]
                self.assertEqual([row["collapsed"] for row in rows], [False] + [True] * (len(rows) - 1))
                self.assertEqual({panel["type"] for panel in panels(board)} - TYPES, set())
                ids = [panel["id"] for panel in [*rows, *panels(board)]]
                self.assertEqual(len(ids), len(set(ids)))

    def test_every_panel_has_thresholds_and_says_what_it_means(self):
        for board in self.boards.values():
            for panel in panels(board):
                with self.subTest(board=board["title"], panel=panel["title"]):
                    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
                    self.assertIsNone(steps[0]["value"])
                    later = [step["value"] for step in steps[1:]]
                    self.assertEqual(later, sorted(set(later)))
                    self.assertGreater(len(panel["description"]), 25)

    def test_a_missing_number_has_a_colour_of_its_own(self):
        for panel in self.of_type("stat"):
            defaults = panel["fieldConfig"]["defaults"]
            (missing,) = [each["options"] for each in defaults["mappings"] if each["type"] == "special"]
            self.assertEqual((missing["match"], missing["result"]["text"]), ("null", defaults["noValue"]))
            used = {step["color"] for step in defaults["thresholds"]["steps"]}
            self.assertNotIn(missing["result"]["color"], used, panel["title"])

    def test_lines_of_zero_have_a_sensible_axis(self):
        for panel in self.of_type("timeseries"):
            defaults = panel["fieldConfig"]["defaults"]
            self.assertTrue("max" in defaults or "axisSoftMax" in defaults["custom"], panel["title"])

    def test_only_the_number_of_a_table_has_the_unit_of_numbers(self):
        for panel in self.of_type("table"):
            self.assertEqual(panel["fieldConfig"]["defaults"]["unit"], "string")
            (number,) = [each for each in panel["fieldConfig"]["overrides"] if each["matcher"]["options"] == "Value"]
            (unit,) = [each["value"] for each in number["properties"] if each["id"] == "unit"]
            self.assertIn(unit, UNITS - {"string"})

    def test_panels_do_not_overlap(self):
        for board in self.boards.values():
            for group in [board["panels"], *(panel.get("panels", []) for panel in board["panels"])]:
                taken = set()
                for place in (panel["gridPos"] for panel in group):
                    cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
                    self.assertFalse(cells & taken, board["title"])
                    self.assertTrue(all(x < 24 for x, _ in cells))
                    taken |= cells

    def test_links_lead_to_dashboards_and_keep_time_and_variables(self):
        reached = set()
        for board in self.boards.values():
            self.assertEqual([(link["includeVars"], link["keepTime"]) for link in board["links"]], [(True, True)])
            for panel in panels(board):
                for link in [*panel.get("links", []), *panel["fieldConfig"]["defaults"].get("links", [])]:
                    uid, query = re.fullmatch(r"/d/([\w-]+)\?(.*)", link["url"]).groups()
                    self.assertIn(uid, self.boards)
                    self.assertEqual(query, "${__url_time_range}&${__all_variables}")
                    reached.add((board["uid"], uid))
        details = self.boards.keys() - {"linkup-overview"}
        self.assertEqual({to for start, to in reached if start == "linkup-overview"}, details)
        servers = self.boards.keys() - {"linkup-loadtest"}
        self.assertEqual({to for start, to in reached if start == "linkup-loadtest"}, servers)

    def test_provisioning_fits_prometheus_and_the_readme(self):
        (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/linkup.yml").read_text())["datasources"]
        self.assertEqual((source["type"], source["isDefault"]), ("prometheus", True))
        scraped = yaml.safe_load((GRAFANA / "prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
        self.assertEqual(source["jsonData"]["timeInterval"], scraped)
        (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/linkup.yml").read_text())["providers"]
        self.assertEqual(provider["type"], "file")
        # Once for containers and once for binaries.
        variable = provider["options"]["path"].removeprefix("$")
        self.assertEqual((GRAFANA / "README.md").read_text().count(f"{variable}="), 2)


if __name__ == "__main__":
    unittest.main()
