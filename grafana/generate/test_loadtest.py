"""What the load test's dashboard shows of a run, and what it and the overview show when there is none."""

import re
import unittest

from loadtest import PHASES
from test_partial_views import ShownNumbers

HARNESS = 'job="linkup-loadtest",instance="h"'


def of_harness(metric: str, **by_value: float | str) -> dict[str, float | str]:
    """Series of one harness: `label__value=number`, or in promtool's notation up to its last `x`."""
    pairs = ((key.split("__"), number) for key, number in by_value.items())
    return {f'linkup_loadtest_{metric}{{{HARNESS},{label}="{value}"}}': number for (label, value), number in pairs}


def histogram(metric: str, labels: str, growth: dict[str, int]) -> dict[str, str]:
    """A histogram whose buckets grow by so much in each step."""
    found = {f'{metric}_bucket{{{labels},le="{bound}"}}': f"0+{growth[bound]}" for bound in growth}
    return found | {f"{metric}_count{{{labels}}}": f"0+{growth['+Inf']}"}


class LoadTest(ShownNumbers):
    board = "linkup-loadtest"

    def test_the_phase_is_told_by_its_name(self):
        (panel,) = self.of_title(self.board, "Phase")
        (words,) = [each["options"] for each in panel["fieldConfig"]["defaults"]["mappings"] if each["type"] == "value"]
        for name in PHASES:
            system = of_harness("phase", **{f"phase__{each}": int(each == name) for each in PHASES})
            (number,) = [number for number, word in words.items() if word["text"] == name]
            self.assert_shown(self.board, "Phase", system, int(number))
        self.assert_shown(self.board, "Phase", of_harness("phase", **{f"phase__{each}": 0 for each in PHASES}), 0)

    def test_shares_are_of_all_that_was_answered_and_of_all_that_was_due(self):
        # In whole numbers a second: the order in which promtool adds them up must not matter.
        system = {
            f'linkup_loadtest_answers_total{{{HARNESS},action="send",outcome="ok"}}': "0+1350",
            f'linkup_loadtest_answers_total{{{HARNESS},action="send",outcome="failed"}}': "0+75",
            f'linkup_loadtest_answers_total{{{HARNESS},action="list",outcome="failed"}}': "0+75",
            f'linkup_loadtest_arrivals_total{{{HARNESS},action="send",outcome="started"}}': "0+900",
            f'linkup_loadtest_arrivals_total{{{HARNESS},action="send",outcome="skipped"}}': "0+300",
        }
        self.assert_shown(self.board, "Failed answers", system, 0.1)
        self.assert_shown(self.board, "Skipped arrivals", system, 0.25)
        failed = {'{action="send"}': 5, '{action="list"}': 5}
        self.assert_shown(self.board, "Failed answers by action", system, failed)
        self.assert_shown(self.board, "Skipped arrivals by action", system, {'{action="send"}': 20})

    def test_what_was_asked_for_stands_beside_what_was_done(self):
        system = {
            **of_harness("offered_per_second", action__send=10, action__typing=2),
            f'linkup_loadtest_arrivals_total{{{HARNESS},action="send",outcome="started"}}': "0+150",
            f'linkup_loadtest_arrivals_total{{{HARNESS},action="send",outcome="skipped"}}': "0+30",
            f'linkup_loadtest_answers_total{{{HARNESS},action="send",outcome="ok"}}': "0+135",
            f'linkup_loadtest_answers_total{{{HARNESS},action="send",outcome="failed"}}': "0+15",
            f"linkup_loadtest_deliveries_total{{{HARNESS}}}": "0+270",
        }
        self.assert_shown(self.board, "Asked for and done", system, 12, 10, 9, 18)

    def test_a_fault_stays_in_sight_when_the_run_has_ended(self):
        system = of_harness("faults_total", fault__lost="0x4 1x4 _", fault__reordered="0x8 _")
        self.assert_shown(self.board, "Faults in the time shown", system, 1)
        system = of_harness("faults_total", fault__lost="0x8 _", fault__reordered="0x8 _")
        self.assert_shown(self.board, "Faults in the time shown", system, 0)

    def test_latencies_of_other_actions_are_not_those_of_messages(self):
        fast, slow = {"0.1": 100, "1": 100, "+Inf": 100}, {"0.1": 0, "1": 100, "+Inf": 100}
        system = {
            **histogram("linkup_loadtest_latency_seconds", f'{HARNESS},latency="delivery"', fast),
            **histogram("linkup_loadtest_latency_seconds", f'{HARNESS},latency="upload"', slow),
        }
        self.assert_shown(self.board, "Delivery latency", system, 0.099)
        p50, p99 = {'{latency="delivery"}': 0.05}, {'{latency="delivery"}': 0.099}
        self.assert_shown(self.board, "Latency of messages", system, p50, p99)
        self.assert_shown(self.board, "Latency by kind, p50", system, {**p50, '{latency="upload"}': 0.55})

    def test_harness_and_server_are_told_apart(self):
        system = {
            f"linkup_loadtest_cpu_seconds_total{{{HARNESS}}}": "0+15",
            'process_cpu_seconds_total{job="linkup",instance="s"}': "0+30",
            f"linkup_loadtest_resident_memory_bytes{{{HARNESS}}}": 5,
            'process_resident_memory_bytes{job="linkup",instance="s"}': 7,
        }
        server = 'job="linkup", instance="s"'
        for title, harness_uses, server_uses, name in (
            ("Processor time: harness and server", 1, 2, ""),
            ("Resident memory: harness and server", 5, 7, "process_resident_memory_bytes"),
        ):
            expected = ({'{instance="h"}': harness_uses}, {f"{name}{{{server}}}": server_uses})
            self.assert_shown(self.board, title, system, *expected)

    def test_without_a_harness_nothing_is_said_of_one_and_the_overview_has_zero(self):
        for title in ("Phase", "Asked for", "Failed answers", "Faults in the time shown", "Lateness of the harness"):
            self.assert_shown(self.board, title, {"up": 0}, None)
        self.assert_shown("linkup-overview", "Traffic", {"up": 0}, None, None, None, None, 0)
        system = of_harness("offered_per_second", action__send=10, action__typing=2)
        self.assert_shown("linkup-overview", "Traffic", system, None, None, None, None, 12)

    def test_a_harness_can_be_chosen_as_job_and_instance(self):
        for variable in self.boards[self.board]["templating"]["list"]:
            if variable["type"] != "query":
                continue
            with self.subTest(variable["name"]):
                (selector,) = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]).groups()
                expr = f"count by (job, instance) ({selector.replace('$job', '.+')})"
                found = {'{job="linkup", instance="s"}': 1, '{job="linkup-loadtest", instance="h"}': 1}
                system = {
                    'linkup_build_info{job="linkup",instance="s"}': 1,
                    f"linkup_loadtest_phase{{{HARNESS}}}": 0,
                }
                self.assert_equal([expr], system, found)


if __name__ == "__main__":
    unittest.main()
