"""The small parts that speak with MongoDB and Prometheus."""

import struct
import unittest

import history
import mongo_wire
from balancer import Balancer
from history import Series


class Bson(unittest.TestCase):
    def test_what_is_encoded_is_decoded_again(self):
        document = {
            "text": "ü", "small": -5, "large": 2**40, "real": 0.5, "yes": True, "no": False, "nothing": None,
            "inner": {"list": [1, "two", {"three": 3}], "empty": {}, "none": []},
        }  # fmt: skip
        self.assertEqual(mongo_wire.decode(mongo_wire.encode(document)), document)

    def test_a_known_document_has_known_bytes(self):
        # The example of the specification.
        expected = b"\x16\x00\x00\x00\x02hello\x00\x06\x00\x00\x00world\x00\x00"
        self.assertEqual(mongo_wire.encode({"hello": "world"}), expected)

    def test_types_that_only_servers_send_are_read(self):
        inner = b"\x07id\x00" + bytes(12) + b"\x09at\x00" + struct.pack("<q", 7) + b"\x11ts\x00" + struct.pack("<Q", 9)
        inner += b"\x05raw\x00" + struct.pack("<i", 2) + b"\x00ab" + b"\x08ok\x00\x01"
        data = struct.pack("<i", len(inner) + 5) + inner + b"\x00"
        self.assertEqual(mongo_wire.decode(data), {"id": bytes(12), "at": 7, "ts": 9, "raw": b"ab", "ok": True})

    def test_what_cannot_be_encoded_is_refused(self):
        with self.assertRaises(TypeError):
            mongo_wire.encode({"x": object()})


class History(unittest.TestCase):
    def test_metrics_are_found_in_expressions(self):
        expressions = ['sum(rate(linkup_a_total{command="send"}[5m]))', "linkup:recorded:rate5m / linkup_b_count"]
        self.assertEqual(history.metrics_in(expressions), {"linkup_a_total", "linkup_b_count"})

    def test_samples_are_read_with_their_labels(self):
        text = '# HELP linkup_a_total x\nlinkup_a_total{k="v, }"} 3\nlinkup_b 1e3\nlinkup_c 2\n'
        expected = {("linkup_a_total", 'k="v, }"'): 3.0, ("linkup_b", ""): 1000.0}
        self.assertEqual(history.samples(text, {"linkup_a_total", "linkup_b"}), expected)

    def test_the_past_leads_up_to_the_present_and_its_samples_are_ordered(self):
        text = history.open_metrics([Series("linkup_a_total", 'k="v"', 10, 2)], 100, 3)
        self.assertEqual(
            text.splitlines(),
            [
                'linkup_a_total{k="v"} 4.000 97.000',
                'linkup_a_total{k="v"} 6.000 98.000',
                'linkup_a_total{k="v"} 8.000 99.000',
                "# EOF",
            ],
        )


class Balance(unittest.TestCase):
    def test_ready_gateways_take_turns(self):
        balancer = Balancer([(1, 0), (2, 0), (3, 0)])
        balancer.ready[2] = False
        self.assertEqual([balancer._candidates()[0] for _ in range(4)], [1, 3, 1, 3])

    def test_where_none_is_ready_all_are_tried(self):
        balancer = Balancer([(1, 0), (2, 0)])
        balancer.ready = dict.fromkeys(balancer.ready, False)
        self.assertEqual(sorted(balancer._candidates()), [1, 2])
