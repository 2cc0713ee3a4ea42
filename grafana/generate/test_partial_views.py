"""What panels show when processes see different things: the system's truth, and beside it who does not see it."""

import unittest

from generate import panels
from test_dashboards import load, promtool, with_values

# What processes export of MongoDB: (up, has_primary, margin, members primary, secondary and down).
WELL = (1, 1, 1, 1, 2, 0)
# It gets no answer from any member, and takes all for down.
CUT_OFF = (0, 0, -2, 0, 0, 3)
# It is cut off together with a secondary, which answers.
IN_THE_MINORITY = (1, 0, -1, 0, 1, 2)
MEMBERS = ("primary", "secondary", "down")


def mongodb(*processes: tuple) -> dict[str, float]:
    found = {}
    for number, (up, has_primary, margin, *members) in enumerate(processes):
        target = f'job="linkup",instance="{number}"'
        found[f"linkup_mongodb_up{{{target}}}"] = up
        found[f"linkup_mongodb_has_primary{{{target}}}"] = has_primary
        found[f"linkup_mongodb_majority_margin{{{target}}}"] = margin
        for state, count in zip(MEMBERS, members, strict=True):
            found[f'linkup_mongodb_members{{{target},state="{state}"}}'] = count
    return found


def each_instance(metric: str, *values: float, labels: str = "") -> dict[str, float]:
    return {f'{metric}{{job="linkup",instance="{n}"{labels}}}': value for n, value in enumerate(values)}


class ShownNumbers(unittest.TestCase):
    """Panels against systems that are made up. Values of series are numbers, or promtool's notation up to an `x`."""

    def setUp(self):
        self.boards = load()

    def of_title(self, board: str, title: str) -> list[dict]:
        return [panel for panel in panels(self.boards[board]) if panel["title"] == title]

    def assert_shown(self, board: str, title: str, system: dict[str, float], *expected):
        """Holds each query of the panel against what it has to show: a number, numbers by labels, or nothing."""
        # A title may be both the number of now and its course.
        targets = self.of_title(board, title)[0]["targets"]
        self.assertEqual(len(targets), len(expected), title)
        self.assert_equal([with_values(target["expr"]) for target in targets], system, *expected)

    def assert_equal(self, expressions: list[str], system: dict[str, float | str], *expected):
        tests = []
        for expr, wanted in zip(expressions, expected, strict=True):
            by_labels = wanted if isinstance(wanted, dict) else {"{}": wanted}
            samples = [{"labels": labels, "value": value} for labels, value in by_labels.items() if value is not None]
            tests.append({"expr": expr, "eval_time": "5m", "exp_samples": samples})
        series = [{"series": name, "values": f"{value}x20"} for name, value in system.items()]
        content = {"tests": [{"interval": "15s", "input_series": series, "promql_expr_test": tests}]}
        self.assertEqual(promtool(["test", "rules"], content), "", expressions)


class PartialViews(ShownNumbers):
    def assert_mongodb(self, processes, *, writable, reached, primary, margin, members):
        system = mongodb(*processes)
        self.assert_shown("linkup-overview", "MongoDB writable", system, *writable)
        self.assert_shown("linkup-mongodb", "Reached", system, *reached)
        self.assert_shown("linkup-mongodb", "Primary", system, *primary)
        self.assert_shown("linkup-mongodb", "Majority margin", system, *margin)
        by_state = {f'{{state="{state}"}}': count for state, count in zip(MEMBERS, members, strict=True)}
        self.assert_shown("linkup-mongodb", "Members", system, by_state)

    def test_all_see_mongodb(self):
        self.assert_mongodb(
            [WELL, WELL, WELL], writable=(1, 0), reached=(1, 0), primary=(1, 0), margin=(1, 0), members=(1, 2, 0)
        )

    def test_a_process_that_is_cut_off_does_not_make_mongodb_red(self):
        self.assert_mongodb(
            [WELL, CUT_OFF, WELL], writable=(1, 1), reached=(1, 1), primary=(1, 1), margin=(1, 1), members=(1, 2, 0)
        )

    def test_a_member_that_is_cut_off_with_a_process_tells_nothing_of_the_others(self):
        left = (1, 1, 0, 1, 1, 1)
        self.assert_mongodb(
            [left, IN_THE_MINORITY], writable=(1, 1), reached=(1, 0), primary=(1, 1), margin=(0, 1), members=(1, 1, 1)
        )

    def test_without_a_majority_those_tell_that_get_answers(self):
        self.assert_mongodb(
            [CUT_OFF, IN_THE_MINORITY],
            writable=(0, 2), reached=(1, 1), primary=(0, 2), margin=(-1, 2), members=(0, 1, 2),
        )

    def test_mongodb_is_away(self):
        self.assert_mongodb(
            [CUT_OFF, CUT_OFF], writable=(0, 2), reached=(0, 2), primary=(0, 2), margin=(-2, 2), members=(0, 0, 3)
        )

    def test_one_probe_that_gets_through_is_a_yes(self):
        for values, shown in (((1, 1), (1, 0)), ((1, 0), (1, 1)), ((0, 0), (0, 2))):
            system = each_instance("linkup_probe_up", *values)
            self.assert_shown("linkup-overview", "Can two people chat?", system, *shown)
        system = each_instance("linkup_probe_last_success_timestamp_seconds", 290, 0)
        self.assert_shown("linkup-overview", "Since last probe delivery", system, 10)

    def test_the_bus_is_there_while_one_process_has_it(self):
        for values, shown in (((1, 1, 1), (1, 0)), ((1, 0, 1), (1, 1)), ((0, 0, 0), (0, 3))):
            system = each_instance("linkup_bus_connected", *values)
            self.assert_shown("linkup-overview", "Bus connected", system, *shown)
            self.assert_shown("linkup-streamer", "Bus connected", system, *shown)

    def test_numbers_of_processes_are_not_shown_as_words(self):
        counted = 0
        for board in self.boards.values():
            for panel in panels(board):
                options = panel["fieldConfig"]
                if panel["type"] != "stat" or not options["overrides"]:
                    continue
                counted += 1
                of_all = options["defaults"]["mappings"]
                self.assertEqual([each["type"] for each in of_all], ["special"], panel["title"])
                by_query = {each["matcher"]["options"]: each["properties"] for each in options["overrides"]}
                last = panel["targets"][-1]["refId"]
                self.assertEqual([each["id"] for each in by_query[last]], ["thresholds"], panel["title"])
        self.assertEqual(counted, 7)

    def test_processes_that_hang_are_counted(self):
        system = {**each_instance("linkup_ready", 1, 0, 0), **each_instance("linkup_alive", 1, 1, 0)}
        self.assert_shown("linkup-overview", "Processes not ready", system, 2, 1)

    def test_nothing_is_said_where_nobody_reports(self):
        for board, title in (
            ("linkup-overview", "Can two people chat?"),
            ("linkup-overview", "MongoDB writable"),
            ("linkup-overview", "Processes not ready"),
            ("linkup-mongodb", "Majority margin"),
        ):
            self.assert_shown(board, title, {"up": 0}, None, None)

    def test_lag_is_a_share_of_an_oplog_that_is_known(self):
        title, lag = "Lag, share of the oplog", each_instance("linkup_streamer_lag_seconds", 0, 30)
        known = {**lag, **each_instance("linkup_mongodb_oplog_window_seconds", 120, 120, 0)}
        self.assert_shown("linkup-streamer", title, known, 0.25)
        unknown = {**lag, **each_instance("linkup_mongodb_oplog_window_seconds", 0, 0, 0)}
        self.assert_shown("linkup-streamer", title, unknown, None)

    def test_a_streamer_that_stands_by_does_not_hide_what_the_leader_holds(self):
        for title, metrics in (
            ("Gateways known", ["linkup_streamer_gateways"]),
            ("Users registered", ["linkup_streamer_users"]),
            ("Changes not published yet", ["linkup_streamer_pending_changes"]),
            ("Gateways and users", ["linkup_streamer_gateways", "linkup_streamer_users"]),
            ("Log for replay: events", ["linkup_streamer_log_events", "linkup_streamer_forgotten_users"]),
            ("Log for replay: bytes", ["linkup_streamer_log_bytes"]),
        ):
            system = {}
            for metric in metrics:
                system |= each_instance(metric, 0, 7)
            self.assert_shown("linkup-streamer", title, system, *[7] * len(metrics))


class GatewaysApart(unittest.TestCase):
    """Of ten gateways one is bad: the average hides it, the row By instance does not."""

    def shown(self, title: str, system: list[tuple[str, str]], instance: str, value: float):
        (panel,) = [panel for panel in panels(load()["linkup-gateway"]) if panel["title"] == title]
        (target,) = panel["targets"]
        asked = with_values(target["expr"])
        expr = f'({asked}) and on (instance) label_replace(vector(1), "instance", "{instance}", "", "")'
        samples = [{"labels": f'{{instance="{instance}"}}', "value": value}]
        test = {
            "interval": "15s",
            "input_series": [{"series": name, "values": values} for name, values in system],
            "promql_expr_test": [{"expr": expr, "eval_time": "5m", "exp_samples": samples}],
        }
        self.assertEqual(promtool(["test", "rules"], {"tests": [test]}), "", title)

    def of_ten(self, metric: str, labels: str, usual: int, bad: int) -> list[tuple[str, str]]:
        """A counter of ten gateways, by how much it grows in 15 s; the last one is bad."""
        return [
            (f'{metric}{{job="linkup",instance="{n}"{labels}}}', f"0+{bad if n == 9 else usual}x20") for n in range(10)
        ]

    def test_failed_sends(self):
        system = [
            *self.of_ten("linkup_gateway_commands_total", ',command="send",result="ok"', 100, 50),
            *self.of_ten("linkup_gateway_commands_total", ',command="send",result="failed"', 0, 50),
        ]
        self.shown("Failed sends by instance", system, "9", 0.5)

    def test_slow_deliveries(self):
        bucket = "linkup_message_delivery_seconds_bucket"
        system = [
            *self.of_ten(bucket, ',le="0.1"', 100, 0),
            *self.of_ten(bucket, ',le="0.25"', 100, 0),
            *self.of_ten(bucket, ',le="+Inf"', 100, 100),
            *self.of_ten("linkup_message_delivery_seconds_count", "", 100, 100),
        ]
        self.shown("Slowest deliveries by instance", system, "9", 0.25)

    def test_closes(self):
        system = [
            *self.of_ten("linkup_gateway_closes_total", ',reason="client"', 500, 0),
            *self.of_ten("linkup_gateway_closes_total", ',reason="lost"', 15, 150),
        ]
        self.shown("Closes by instance", system, "9", 10)

    def test_connects(self):
        system = [
            *self.of_ten("linkup_gateway_connects_total", ',outcome="admitted"', 150, 15),
            *self.of_ten("linkup_gateway_connects_total", ',outcome="bad_token"', 0, 45),
        ]
        self.shown("Connects by instance", system, "9", 1)
        self.shown("Connects turned away by instance", system, "9", 0.75)


if __name__ == "__main__":
    unittest.main()
