"""Faults as they look to Prometheus from their beginning to long after their end, and who is notified of what.

What fires at which minute stands in `firing.yml`, as `observe.py` had it from promtool. `test_rules.py` holds that the
shipped rules fire exactly that; `test_inhibition.py` gives it to a real Alertmanager with the shipped configuration and
holds that of all this only `notification` reaches a receiver.
"""

from dataclasses import dataclass, field

from shorthand import (
    ACCEPTED,
    ACTIVE,
    BUS_TIMEOUTS,
    DELIVERED,
    DELIVERIES,
    DOWN_MEMBERS,
    EVER,
    FAILED,
    HEADROOM,
    LAG,
    LATE,
    LOSSES,
    LOST,
    POST_503,
    QUICK,
    QUICK_INSERTS,
    RECOVERED,
    REFUSED,
    RESUME_AGE,
    SENT,
    SLOW_CONSUMER,
    TIMERS_100,
    TIMERS_250,
    UNREACHABLE,
)
from simulated import LAUNCHER, ROLES, Case, Change, Roles, Slope, down

PROBE_FAILS = {"linkup_probe_up": 0, DELIVERED: 0, LATE: 0.1}
NO_GATEWAY_IS_READY = {"linkup_ready@gateway": 0}
# Only while no api can commit: without a streamer or a bus gateways take connections, and let them in later.
NOBODY_GETS_IN = NO_GATEWAY_IS_READY | {REFUSED: 2, ACCEPTED: 0}
NOTHING_IS_DELIVERED = {DELIVERIES: 0, QUICK: 0}
NOTHING_IS_SENT = {SENT: 0, FAILED: 10, POST_503: 1}
# What waited is delivered late, all at once.
CATCHING_UP = {DELIVERIES: 200, QUICK: 0, f"{LAG}@s1": 60}

START, END = 20, 32
MINUTES = (21.5, 24, 30, 33, 36, 38, 40, 50, 90, 150, 240)


@dataclass(frozen=True)
class Fault:
    name: str
    # Severity and name of the only alert that reaches a receiver.
    notification: tuple[str, str] | None
    changes: list[Change]
    minutes: tuple[float, ...] = MINUTES
    step: float = 0.5
    roles: Roles = field(default_factory=lambda: ROLES)

    def case(self, firing: dict[float, list[str]]) -> Case:
        return Case(self.name, self.changes, firing, step=self.step, roles=self.roles)


def overloaded(gateway: str) -> dict:
    return {
        f"{series}@{gateway}": value
        for series, value in {
            TIMERS_250: 5,
            TIMERS_100: 4,
            "linkup_gateway_send_waiting_bytes": 64e6,
            QUICK: 8,
            FAILED: 5,
            SLOW_CONSUMER: 0.1,
            'linkup_gateway_closes_total{reason="heartbeat"}': 0.3,
            RECOVERED: 0.4,
        }.items()
    }


FAULTS = [
    Fault(
        "one of two streamers is stopped",
        ("ticket", "LinkUpTargetDown"),
        # The other one takes over within seconds.
        [Change(START, EVER, {f"{ACTIVE}@s2": 1, f"{ACTIVE}@s1": 0}), *down(START, END, "s1")],
        MINUTES[:7],
    ),
    Fault(
        "both streamers are stopped",
        ("page", "LinkUpStreamerAway"),
        [
            Change(START, END, NO_GATEWAY_IS_READY | NOTHING_IS_DELIVERED | PROBE_FAILS),
            *down(START, END, "s1", "s2"),
            Change(END, END + 2, CATCHING_UP),
        ],
    ),
    Fault(
        "MongoDB is stopped",
        ("page", "LinkUpMongoDBAway"),
        [
            Change(
                START,
                END,
                NOBODY_GETS_IN
                | NOTHING_IS_DELIVERED
                | NOTHING_IS_SENT
                | PROBE_FAILS
                | {
                    "linkup_mongodb_up": 0,
                    "linkup_mongodb_has_primary": 0,
                    "linkup_mongodb_majority_margin": -1,
                    "linkup_ready@api": 0,
                    "linkup_ready@streamer": 0,
                    ACTIVE: 0,
                    LAG: Slope(0, 1),
                    HEADROOM: Slope(86_400, -1),
                    DOWN_MEMBERS: 3,
                    UNREACHABLE: 0.1,
                },
            ),
            Change(END, END + 1, CATCHING_UP),
        ],
    ),
    Fault(
        "MongoDB's primary is lost",
        ("ticket", "LinkUpMongoDBMemberDown"),
        # The others elect a new one in some 12 seconds; messages wait so long.
        [
            Change(START, START + 0.5, {"linkup_mongodb_has_primary": 0, QUICK: 12}),
            Change(START, END, {DOWN_MEMBERS: 1, "linkup_mongodb_majority_margin": 0}),
            Change(START, END, {"linkup_mongodb_replication_lag_seconds": Slope(0, 1)}),
        ],
        MINUTES[:7],
    ),
    Fault(
        "NATS is stopped",
        ("page", "LinkUpBusAway"),
        [
            Change(
                START,
                END,
                NO_GATEWAY_IS_READY
                | NOTHING_IS_DELIVERED
                | PROBE_FAILS
                | {
                    "linkup_bus_connected": 0,
                    "linkup_ready@streamer": 0,
                    f"{BUS_TIMEOUTS}@streamer": 0.2,
                    f"{LAG}@s1": Slope(0, 1),
                    f"{RESUME_AGE}@s1": Slope(0, 1),
                },
            ),
            # Whoever could not be given what it missed is disconnected, and comes back.
            Change(END, END + 1, {LOST: 8, RECOVERED: 8, ACCEPTED: 8}),
            Change(END, END + 1, CATCHING_UP),
        ],
    ),
    Fault(
        "the api is stopped",
        ("page", "LinkUpApiAway"),
        [
            Change(START, END, NOBODY_GETS_IN | NOTHING_IS_DELIVERED | NOTHING_IS_SENT | PROBE_FAILS),
            Change(START, END, {"linkup_gateway_send_waiting_bytes": 64e6, UNREACHABLE: 1}),
            *down(START, END, "a1", "a2"),
        ],
    ),
    Fault(
        "the api nodes cannot reach MongoDB",
        ("page", "LinkUpNoApiReady"),
        [
            Change(
                START,
                END,
                NOBODY_GETS_IN
                | NOTHING_IS_DELIVERED
                | NOTHING_IS_SENT
                | PROBE_FAILS
                | {"linkup_mongodb_up@api": 0, "linkup_ready@api": 0, f"{DOWN_MEMBERS}@api": 3}
                | {UNREACHABLE: 0.1},
            ),
        ],
    ),
    Fault(
        "a gateway is overloaded",
        ("page", "LinkUpGatewayOverloaded"),
        # The probe comes to it every second time.
        [Change(START, END, overloaded("g1") | {DELIVERED: 0.05, LATE: 0.05})],
    ),
    Fault(
        "all gateways are overloaded",
        ("page", "LinkUpGatewayOverloaded"),
        [Change(START, END, overloaded("g1") | overloaded("g2") | {DELIVERED: 0.05, LATE: 0.05})],
    ),
    Fault(
        "a gateway has no file descriptors left",
        ("page", "LinkUpGatewayOverloaded"),
        [
            Change(
                START,
                END,
                {
                    "linkup_gateway_accept_errors_total@g1": 20,
                    "process_open_fds@g1": 20_000,
                    DELIVERED: 0.05,
                    LATE: 0.05,
                },
            )
        ],
    ),
    Fault(
        "history is lost",
        ("page", "LinkUpHistoryLost"),
        # Everybody is disconnected, and has to catch up.
        [
            Change(START, START + 0.5, {f"{LOSSES}@s1": 1 / 30}),
            Change(START, START + 1, {LOST: 8, RECOVERED: 8, ACCEPTED: 8, DELIVERIES: 200, QUICK: 0}),
        ],
    ),
    Fault(
        "a loop of an api node stands still",
        ("page", "LinkUpProcessStuck"),
        [Change(START, END, {"linkup_alive@a1": 0, "linkup_ready@a1": 0})],
    ),
    Fault(
        "the one process of everything is stopped",
        ("page", "LinkUpEverythingDown"),
        [Change(START, END, PROBE_FAILS), *down(START, END, "l1")],
        roles=LAUNCHER,
    ),
    Fault(
        "clients do not read",
        ("ticket", "LinkUpSlowConsumers"),
        [Change(START, END, {SLOW_CONSUMER: 0.1, ACCEPTED: 0.6})],
        MINUTES[:8],
    ),
    Fault(
        "a reconnect storm",
        ("page", "LinkUpReconnectStorm"),
        [
            Change(
                START,
                START + 4,
                {
                    LOST: 4,
                    RECOVERED: 4,
                    ACCEPTED: 5,
                    f"{TIMERS_250}@gateway": 5,
                    f"{TIMERS_100}@gateway": 4,
                    QUICK: 10,
                    SLOW_CONSUMER: 0.1,
                    DELIVERED: 0.05,
                    LATE: 0.05,
                },
            )
        ],
    ),
    Fault(
        "a quiet night",
        None,
        # Only the probe writes; the few who are there lose a connection now and then.
        [
            Change(60, 540, {SENT: 0.05, DELIVERIES: 0.05, QUICK: 0.05, ACCEPTED: 0.1, LOST: 0.002, RECOVERED: 0.002}),
            Change(60, 540, {"linkup_gateway_connections": 6, 'linkup_gateway_closes_total{reason="client"}': 0.1}),
            # One slow moment: of what was sent in it nothing arrived in time.
            Change(300, 302, {QUICK: 0.02, FAILED: 0.01, "linkup_mongodb_replication_lag_seconds": 20}),
        ],
        (64, 120, 302, 304, 310, 420, 540, 560),
        step=2,
    ),
    Fault(
        "a busy evening",
        None,
        [
            Change(
                30,
                240,
                {
                    SENT: 1000,
                    FAILED: 0.2,
                    DELIVERIES: 2000,
                    QUICK: 1990,
                    ACCEPTED: 10,
                    LOST: 4,
                    RECOVERED: 3.5,
                    SLOW_CONSUMER: 0.02,
                    QUICK_INSERTS: 19.8,
                    f"{TIMERS_100}@gateway": 9.7,
                    f"{TIMERS_250}@gateway": 9.9,
                    HEADROOM: Slope(86_400, -5),
                    f"{LAG}@s1": 0.4,
                    "process_open_fds@gateway": 6000,
                    "linkup_gateway_send_waiting_bytes": 2e6,
                },
            ),
            # People come faster than they go.
            Change(30, 60, {"linkup_gateway_connections": Slope(500, 3), LOST: 0.3, RECOVERED: 0.3}),
            Change(60, 240, {"linkup_gateway_connections": 5900}),
        ],
        (31, 34, 45, 60, 62, 90, 180, 239),
        step=1,
    ),
    Fault(
        "the gateways are stopped",
        ("page", "LinkUpGatewayAway"),
        [
            Change(START, END, PROBE_FAILS),
            *down(START, END, "g1", "g2"),
            # Everybody comes back at once.
            Change(END, END + 2, {ACCEPTED: 8, RECOVERED: 8}),
        ],
    ),
    Fault(
        "everything is stopped",
        ("page", "LinkUpEverythingDown"),
        [Change(START, END, PROBE_FAILS), *down(START, END, "g1", "g2", "a1", "a2", "s1", "s2")],
    ),
    Fault(
        "a fault that nothing explains",
        ("page", "LinkUpProbeFailing"),
        [Change(START, END, PROBE_FAILS | {QUICK: 2, FAILED: 5, REFUSED: 1})],
    ),
]
