"""What is kept of a drill, and the table that is made of it."""

import unittest

import drill
from faults import FAULTS, Fault
from report import HEADER, Outcome, row, shipped, table
from watch import Record, title


def labels(name, severity="page", **more):
    return {"alertname": f"LinkUp{name}", "severity": severity, "instance": "x", **more}


class Records(unittest.TestCase):
    def test_titles_tell_alerts_of_one_name_apart(self):
        self.assertEqual(title(labels("Down")), "Down")
        self.assertEqual(title(labels("Burn", slo="sends", window="5m")), "Burn (sends 5m)")

    def test_the_first_time_counts(self):
        record = Record()
        record.note(1, [labels("A")], [])
        record.note(2, [labels("A"), labels("B", "ticket"), labels("Quiet", "none")], [labels("B", "ticket")])
        record.note(3, [labels("B", "ticket")], [labels("B", "ticket")])
        self.assertEqual(record.fired, {"A": 1, "B": 2, "Quiet": 2})
        self.assertEqual(record.inhibited, {"B": 2})
        self.assertEqual(record.last_seen["A"], 2)
        # What is meant for nobody is not reported as if it had been.
        self.assertEqual(record.told(), {"A": 1, "B": 2})


class Tables(unittest.TestCase):
    def outcome(self, problems=(), over=2.0):
        record = Record()
        record.note(3.04, [labels("Away")], [])
        record.note(4.5, [labels("Burn", slo="sends", window="5m")], [labels("Burn", slo="sends", window="5m")])
        told = [("LinkUpAway", "page", 5.0)]
        return Outcome("both gone", "LinkUpAway", record, told, over, list(problems))

    def test_times_are_told_as_they_would_be_with_the_shipped_rules(self):
        self.assertEqual(shipped(3, 20), "1 min")
        self.assertEqual(shipped(4.25, 20), "1 min 25 s")
        self.assertEqual(shipped(0.5, 20), "10 s")
        self.assertEqual(shipped(0, 20), "0 s")
        self.assertEqual(shipped(200, 20), "1 h 6 min")

    def test_a_row_says_all_there_is_to_say(self):
        self.assertEqual(
            row(self.outcome(), 20),
            "| both gone | Away 3.0<br>Burn (sends 5m) 4.5 | Burn (sends 5m) | LinkUpAway → page | 5.0 s (1 min 40 s) "
            "| 2.0 s (40 s) | as it must be |",
        )

    def test_a_failure_says_what_is_wrong(self):
        outcome = self.outcome(["LinkUpX reached page", "LinkUpAway was not told to be over"], over=None)
        self.assertFalse(outcome.held)
        self.assertTrue(row(outcome, 20).endswith("| – | LinkUpX reached page<br>LinkUpAway was not told to be over |"))
        failed = Outcome.failed("a fault", None, "not calm\nwith a log")
        self.assertEqual(row(failed, 20), "| a fault | – | – | – | – | – | not calm |")

    def test_every_row_has_as_many_cells_as_the_head(self):
        lines = table([self.outcome(), Outcome.failed("a", None, "b")], 20).splitlines()
        self.assertEqual(len(lines), len(HEADER) + 2)
        self.assertEqual({line.count("|") for line in lines}, {8})


class Verdicts(unittest.TestCase):
    def fault(self, word) -> Fault:
        return FAULTS[word](None)

    def test_only_the_right_alert_at_the_right_receiver_is_right(self):
        fault = self.fault("streamers")
        right = ("LinkUpStreamerAway", "page", 1.0)
        self.assertEqual(drill.wrong(fault, [right]), [])
        for other in (("LinkUpStreamerAway", "ticket", 1.0), ("LinkUpStreamLag", "page", 1.0)):
            self.assertEqual(len(drill.wrong(fault, [right, other])), 1)

    def test_in_a_healthy_system_every_notification_is_wrong(self):
        self.assertEqual(len(drill.wrong(self.fault("quiet-night"), [("LinkUpStreamLag", "page", 1.0)])), 1)

    def test_every_fault_has_its_alert_or_none_at_all(self):
        for word, fault in FAULTS.items():
            self.assertEqual(fault.alert is None, fault.receiver is None, word)
            self.assertTrue(fault.name)
