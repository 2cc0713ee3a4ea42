"""Cases of what people notice, of the objectives, and of what can no longer be measured."""

from shorthand import (
    AFTER_BURN,
    AFTER_OVERLOAD,
    AFTER_SYMPTOM,
    DELIVERED,
    DELIVERIES,
    FAILED,
    LATE,
    POST_503,
    PROBE_ERROR,
    QUICK,
    REFUSED,
    SENT,
    case,
)
from simulated import GONE, ROLES, Case, Change, down

SLOW_BURN = "LinkUpDeliverySlowBurn window="
SEND_BURN = "LinkUpSendErrorsBurn window="
PROBE_BURN = "LinkUpProbeFailuresBurn window="

TWO_PROBES = ROLES | {"probe": ("p1", "p2")}

SYMPTOMS = [
    case(
        "the probe gets nothing through",
        20,
        30,
        {"linkup_probe_up": 0, DELIVERED: 0, LATE: 0.1},
        {22.5: ["LinkUpProbeFailing", *AFTER_SYMPTOM], 24: ["LinkUpProbeFailing", PROBE_BURN + "5m", *AFTER_SYMPTOM]},
    ),
    case(
        "the probe fails once",
        20,
        20.5,
        {"linkup_probe_up": 0, LATE: 0.1},
        {n: [] for n in (20.5, 21, 22.5, 25)},
        spares=["LinkUpProbeFailing"],
    ),
    case(
        "the probe has a fault of its own",
        20,
        50,
        {"linkup_probe_up": 0, DELIVERED: 0, PROBE_ERROR: 0.1},
        {25: [], 35: ["LinkUpProbeBroken instance=p1 role=probe"]},
        spares=["LinkUpProbeFailing", "LinkUpProbeFailuresBurn"],
    ),
    case("the probe has few faults of its own", 20, 50, {PROBE_ERROR: 0.05}, {40: []}, spares=["LinkUpProbeBroken"]),
    case("the probe stands still", 20, 50, {DELIVERED: 0}, {30: [], 36: ["LinkUpProbeSilent instance=p1 role=probe"]}),
    Case(
        "of two probes one is broken",
        [Change(20, 50, {f"{DELIVERED}@p1": 0, f"{PROBE_ERROR}@p1": 0.1})],
        {25: [], 35: ["LinkUpProbeBroken instance=p1 role=probe"]},
        roles=TWO_PROBES,
    ),
    Case(
        "of two probes one stands still",
        [Change(20, 50, {f"{DELIVERED}@p2": 0})],
        {30: [], 36: ["LinkUpProbeSilent instance=p2 role=probe"]},
        roles=TWO_PROBES,
    ),
    Case(
        "of two probes one is down",
        down(20, 50, "p1"),
        {36: ["LinkUpTargetDown instance=p1 role=probe"]},
        spares=["LinkUpProbeSilent", "LinkUpProbeBroken"],
        roles=TWO_PROBES,
    ),
    Case(
        "the probe is down",
        down(20, 50, "p1"),
        {
            25.5: ["LinkUpTargetDown instance=p1 role=probe"],
            30.5: ["LinkUpProbeSilent", "LinkUpTargetDown instance=p1 role=probe"],
        },
    ),
    case("the probe tries once a minute", 0, 60, {DELIVERED: 1 / 60}, {40: [], 60: []}, spares=["LinkUpProbeSilent"]),
    case("connections are refused", 20, 30, {REFUSED: 1}, {23: ["LinkUpConnectionsRefused", *AFTER_SYMPTOM]}),
    case(
        "a few connections are refused", 20, 30, {REFUSED: 0.04}, {25: [], 30: []}, spares=["LinkUpConnectionsRefused"]
    ),
    case(
        "no gateway counts deliveries",
        20,
        40,
        {DELIVERIES: GONE, QUICK: GONE},
        {29: [], 31: ["LinkUpDeliveriesUnmeasured"]},
    ),
    case(
        "one gateway counts deliveries",
        20,
        40,
        {f"{DELIVERIES}@g1": GONE, f"{QUICK}@g1": GONE},
        {40: []},
        spares=["LinkUpDeliveriesUnmeasured"],
    ),
    case(
        "no api node counts sends",
        20,
        40,
        {
            f'linkup_api_requests_total{{route="POST /api/conversations/{{id}}/messages",status="{status}"}}': GONE
            for status in ("2xx", "500", "503")
        },
        {29: [], 31: ["LinkUpSendsUnmeasured"]},
    ),
    case(
        "one api node counts sends",
        20,
        40,
        {
            f'linkup_api_requests_total{{route="POST /api/conversations/{{id}}/messages",status="{status}"}}@a1': GONE
            for status in ("2xx", "500", "503")
        },
        {40: []},
        spares=["LinkUpSendsUnmeasured"],
    ),
]

NIGHT = {QUICK: 0.001, DELIVERIES: 0.002, SENT: 0.001, FAILED: 0.0005}

BURNS = [
    case(
        "a third of the deliveries is late",
        60,
        95,
        {QUICK: 14},
        {64: [], 94: [SLOW_BURN + "5m", SLOW_BURN + "30m", *AFTER_BURN], 99: [SLOW_BURN + "30m", *AFTER_BURN]},
    ),
    case("a tenth of the deliveries is late", 0, 120, {QUICK: 18}, {10: [], 30: [SLOW_BURN + "30m", *AFTER_BURN]}),
    case(
        "four in a hundred deliveries are late",
        0,
        400,
        {QUICK: 19.2},
        {50: [], 130: [SLOW_BURN + "2h"], 200: [SLOW_BURN + "2h", SLOW_BURN + "6h"]},
        step=1,
    ),
    case("three in two hundred deliveries are late", 0, 400, {QUICK: 19.7}, {150: [], 200: [SLOW_BURN + "6h"]}, step=1),
    case("sends fail", 60, 75, {FAILED: 1}, {62: [], 75: [SEND_BURN + "5m", *AFTER_BURN]}),
    case("sends over REST fail", 60, 75, {POST_503: 1}, {62: [], 75: [SEND_BURN + "5m", *AFTER_BURN]}),
    case(
        "sends fail at a gateway that is overloaded",
        60,
        75,
        {f"{FAILED}@g1": 2, "linkup_gateway_send_waiting_bytes@g1": 60e6},
        {
            75: [
                SEND_BURN + "5m",
                "LinkUpGatewayOverloaded instance=g1 role=gateway reason=sends",
                *AFTER_OVERLOAD,
            ]
        },
    ),
    # So its overload does not explain them.
    case(
        "sends fail at the other gateway as well",
        60,
        75,
        {FAILED: 1, "linkup_gateway_send_waiting_bytes@g1": 60e6},
        {
            75: [
                SEND_BURN + "5m",
                "LinkUpGatewayOverloaded instance=g1 role=gateway reason=sends",
                *[each for each in AFTER_OVERLOAD if "slo=sends" not in each],
            ]
        },
    ),
    case(
        "one send in a hundred and twenty fails",
        0,
        110,
        {FAILED: 0.084},
        {10: [], 30: [SEND_BURN + "30m", *AFTER_BURN]},
    ),
    case(
        "one send in two hundred and fifty fails",
        0,
        400,
        {FAILED: 0.045},
        {50: [], 130: [SEND_BURN + "2h"], 200: [SEND_BURN + "2h", SEND_BURN + "6h"]},
        step=1,
    ),
    case("one send in seven hundred fails", 0, 400, {FAILED: 0.015}, {150: [], 200: [SEND_BURN + "6h"]}, step=1),
    case(
        "one of five exchanges fails",
        60,
        120,
        {DELIVERED: 0.08, LATE: 0.02},
        {120: [PROBE_BURN + "5m", PROBE_BURN + "30m", *AFTER_BURN]},
    ),
    case(
        "one of twenty exchanges fails",
        0,
        150,
        {DELIVERED: 0.094, LATE: 0.006},
        {15: [], 40: [PROBE_BURN + "30m", *AFTER_BURN]},
    ),
    case(
        "one of fifty exchanges fails",
        0,
        400,
        {DELIVERED: 0.098, LATE: 0.002},
        {50: [], 150: [PROBE_BURN + "2h"], 220: [PROBE_BURN + "2h", PROBE_BURN + "6h"]},
        step=1,
    ),
    case(
        "one of a hundred and fifty exchanges fails",
        0,
        400,
        {DELIVERED: 0.09933, LATE: 0.00067},
        {150: [], 300: [PROBE_BURN + "6h"]},
        step=1,
    ),
    Case(
        "a good day, then eight bad minutes",
        [Change(1500, 1508, {QUICK: 16, FAILED: 0.2, LATE: 0.01})],
        {n: [] for n in (750, 1500, 1506, 1510, 1540)},
        spares=["LinkUpDeliverySlowBurn", "LinkUpSendErrorsBurn", "LinkUpProbeFailuresBurn"],
        step=2,
    ),
    case(
        "at night, of nine messages five are late and four fail",
        20,
        95,
        NIGHT,
        {n: [] for n in (30, 60, 95)},
        spares=["LinkUpDeliverySlowBurn", "LinkUpSendErrorsBurn"],
    ),
]

CASES = SYMPTOMS + BURNS
