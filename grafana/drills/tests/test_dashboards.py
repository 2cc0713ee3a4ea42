"""Queries of dashboards with their variables in place, and what is said of the answers."""

import unittest

import dashboards
import queries
from dashboards import PanelQuery, substituted
from processes import DrillError

BOARD = {
    "title": "Board",
    "templating": {
        "list": [
            {"name": "job", "includeAll": True, "allValue": ".+", "current": {"value": ["$__all"]}},
            {"name": "in", "includeAll": True, "current": {"value": "$__all"}},
            {"name": "instance", "includeAll": True, "allValue": ".*", "current": {}},
            {"name": "quantile", "current": {"value": "0.99"}},
        ]
    },
    "annotations": {"list": [{"name": "built in"}, {"name": "Start", "expr": 'starts{job=~"$job"}'}]},
    "panels": [
        {"type": "row", "title": "open", "panels": []},
        {
            "type": "stat",
            "title": "One",
            "targets": [{"refId": "A", "expr": 'up{job=~"$job", instance=~"${instance:regex}"}'}],
        },
        {
            "type": "row",
            "title": "collapsed",
            "panels": [
                {
                    "type": "timeseries",
                    "title": "Two",
                    "targets": [
                        {"refId": "A", "expr": "rate(x[$__rate_interval])"},
                        {"refId": "B", "expr": "histogram_quantile($quantile, y)"},
                    ],
                }
            ],
        },
    ],
}


class Substitution(unittest.TestCase):
    def test_every_form_of_a_variable_is_replaced(self):
        values = {"job": "j", "instance": "i", "in": "n"}
        for text, expected in (
            ("$job", "j"),
            ("${job}", "j"),
            ("${job:regex} $instance $in ${in}", "j i n n"),
            ("$jobs", "js"),
            ("$other ${other} 1$", "$other ${other} 1$"),
        ):
            self.assertEqual(substituted(text, values), expected)

    def test_panels_in_collapsed_rows_are_asked_as_well(self):
        found = {query.place: query.expression for query in dashboards.queries(BOARD, "15s")}
        self.assertEqual(
            found,
            {
                "Board / One / A": 'up{job=~".+", instance=~".*"}',
                "Board / Two / A": "rate(x[15s])",
                "Board / Two / B": "histogram_quantile(0.99, y)",
            },
        )

    def test_annotations_that_ask_prometheus_are_found(self):
        (query,) = dashboards.annotations(BOARD, "15s")
        self.assertEqual(query.expression, 'starts{job=~".+"}')

    def test_nothing_of_what_is_shipped_is_left_unreplaced(self):
        boards = dashboards.load()
        self.assertGreater(len(boards), 0)
        for board in boards:
            found = dashboards.queries(board, "15s")
            self.assertGreater(len(found), 0, board["title"])
            for query in [*found, *dashboards.annotations(board, "15s")]:
                self.assertNotIn("$", query.expression, query.place)


class Judgement(unittest.TestCase):
    query = PanelQuery("Board", "One", "A", "up")

    def judge(self, samples, may_be_empty=()):
        def ask(expression):
            self.assertEqual(expression, "up")
            if isinstance(samples, Exception):
                raise samples
            return samples

        return queries.judge(self.query, ask, dict.fromkeys(may_be_empty, "because"))

    def sample(self, value):
        return {"metric": {"job": "x"}, "value": [1.0, value]}

    def test_data_are_good_and_zero_is_data(self):
        self.assertIsNone(self.judge([self.sample("0"), self.sample("1.5")]))

    def test_nothing_and_no_number_are_bad(self):
        self.assertIn("no data", self.judge([]))
        for value in ("NaN", "+Inf", "-Inf"):
            self.assertIn("not a number", self.judge([self.sample("1"), self.sample(value)]))

    def test_what_is_listed_may_be_empty_but_must_be_understood(self):
        self.assertIsNone(self.judge([], [self.query.place]))
        self.assertIn("parse error", self.judge(DrillError("parse error"), [self.query.place]))

    def test_what_the_harness_tells_may_be_empty_when_it_has_ended(self):
        told = PanelQuery("Board", "Two", "A", "sum(linkup_loadtest_connections)")
        self.assertEqual(list(queries.of_harness([self.query, told])), [told.place])

    def test_the_list_names_only_queries_that_there_are(self):
        listed = queries.exceptions("- panel: Board / One / A\n  reason: r\n- panel: Gone / X / A\n  reason: r\n")
        (problem,) = queries.unknown(listed, [self.query])
        self.assertIn("Gone / X / A", problem)

    def test_a_rule_is_good_only_if_prometheus_says_so(self):
        self.assertIsNone(queries.judge_rule({"name": "r", "health": "ok"}))
        self.assertIn("boom", queries.judge_rule({"name": "r", "health": "err", "lastError": "boom"}))
        self.assertIsNotNone(queries.judge_rule({"name": "r", "health": "unknown"}))
