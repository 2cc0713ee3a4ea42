"""Durations, and Alertmanager's configuration on a faster clock."""

import unittest
from pathlib import Path

import yaml

import scaling

SHIPPED = Path(__file__).resolve().parents[2] / "alertmanager" / "alertmanager.yml"
HOOK = "http://127.0.0.1:9"


class Durations(unittest.TestCase):
    def test_are_read_as_prometheus_writes_them(self):
        expected = {"0": 0, "5m": 300, "1h30m": 5400, "250ms": 0.25, "1d": 86_400, "2w": 1_209_600}
        for text, seconds in expected.items():
            self.assertEqual(scaling.seconds(text), seconds, text)
        for text in ("", "5", "m", "5 m", "5x", "m5"):
            with self.assertRaises(ValueError, msg=text):
                scaling.milliseconds(text)

    def test_are_divided_and_never_vanish(self):
        self.assertEqual(scaling.scaled("5m", 20), "15000ms")
        self.assertEqual(scaling.scaled("30s", 60), "500ms")
        self.assertEqual(scaling.scaled("1ms", 60), "1ms")
        self.assertEqual(scaling.scaled("0s", 60), "0s")


class Configuration(unittest.TestCase):
    def config(self, **changes):
        shipped = {
            "route": {
                "receiver": "a",
                "routes": [{"receiver": "b", "group_wait": "1m", "routes": [{"group_interval": "2m"}]}],
            },
            "receivers": [
                {"name": "a", "email_configs": [{"to": "somebody"}]},
                {"name": "b", "webhook_configs": [{"url": "http://elsewhere"}]},
                {"name": "nobody"},
            ],
            "inhibit_rules": [{"equal": ["x"]}],
        }
        return scaling.alertmanager(shipped | changes, 10, HOOK)

    def test_times_of_all_routes_are_divided_and_defaults_are_too(self):
        route = self.config()["route"]
        self.assertEqual([route[name] for name in scaling.TIMES_OF_ROUTES], ["3000ms", "30000ms", "1440000ms"])
        child = route["routes"][0]
        self.assertEqual(child["group_wait"], "6000ms")
        # What a route does not say it inherits; it must not be given a time of its own.
        self.assertNotIn("group_interval", child)
        self.assertEqual(child["routes"][0], {"group_interval": "12000ms"})
        self.assertEqual(self.config()["global"]["resolve_timeout"], "30000ms")
        self.assertEqual(self.config(**{"global": {"resolve_timeout": "1m"}})["global"]["resolve_timeout"], "6000ms")

    def test_receivers_that_tell_anybody_tell_the_drill(self):
        receivers = {each["name"]: each for each in self.config()["receivers"]}
        self.assertEqual(set(receivers["a"]), {"name", "webhook_configs"})
        self.assertEqual(receivers["a"]["webhook_configs"][0]["url"], f"{HOOK}/a")
        self.assertTrue(receivers["b"]["webhook_configs"][0]["send_resolved"])
        self.assertEqual(receivers["nobody"], {"name": "nobody"})

    def test_what_is_shipped_keeps_its_routes_and_inhibitions(self):
        shipped = yaml.safe_load(SHIPPED.read_text())
        config = scaling.alertmanager(shipped, 20, HOOK)
        self.assertEqual(config["inhibit_rules"], shipped["inhibit_rules"])
        self.assertEqual([r["name"] for r in config["receivers"]], [r["name"] for r in shipped["receivers"]])
        self.assertEqual(
            [route["matchers"] for route in config["route"]["routes"]],
            [route["matchers"] for route in shipped["route"]["routes"]],
        )
        self.assertNotIn("9099", yaml.safe_dump(config))
        # The shipped one itself is left as it is.
        self.assertEqual(shipped, yaml.safe_load(SHIPPED.read_text()))
