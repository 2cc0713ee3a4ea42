"""Cases of causes and conditions: what is wrong with a part."""

from shorthand import (
    AFTER_APART,
    AFTER_BURN,
    AFTER_CAUSE,
    AFTER_CONDITION,
    AFTER_OVERLOAD,
    DOWN_MEMBERS,
    EVER,
    HEADROOM,
    LAG,
    LOSSES,
    LOST,
    QUICK_INSERTS,
    RECOVERED,
    RESUME_AGE,
    SKIPPED,
    SLOW_CONSUMER,
    TIMERS_100,
    TIMERS_250,
    UNREACHABLE,
    case,
)
from simulated import GONE, LAUNCHER, Case, Change, Slope, down, withdrawn

CAUSES = [
    Case(
        "no process is up",
        down(10, 30, "g1", "g2", "a1", "a2", "s1", "s2"),
        {
            10: [],
            12: [
                "LinkUpEverythingDown",
                "LinkUpGatewayAway role=gateway",
                "LinkUpApiAway role=api",
                "LinkUpStreamerAway role=streamer",
                "LinkUpStreamerNoLeader",
                *AFTER_CAUSE,
            ],
        },
    ),
    Case(
        "only the last api node is up",
        down(10, 30, "g1", "g2", "a2", "s1", "s2"),
        {
            12: [
                "LinkUpGatewayAway role=gateway",
                "LinkUpStreamerAway role=streamer",
                "LinkUpStreamerNoLeader",
                *AFTER_CAUSE,
            ]
        },
        spares=["LinkUpEverythingDown", "LinkUpApiAway"],
    ),
    # With static targets `up` is 0; with discovered ones it is not there.
    Case(
        "service discovery names no process any more",
        [withdrawn(10, 30, "g1", "g2", "a1", "a2", "s1", "s2")],
        {
            10.5: [],
            12: [
                "LinkUpEverythingDown",
                "LinkUpGatewayAway role=gateway",
                "LinkUpApiAway role=api",
                "LinkUpStreamerAway role=streamer",
                "LinkUpStreamerNoLeader",
                *AFTER_CAUSE,
            ],
        },
    ),
    Case(
        "service discovery names no gateway any more",
        [withdrawn(10, 30, "g1", "g2")],
        {12: ["LinkUpGatewayAway role=gateway", *AFTER_CAUSE]},
    ),
    Case(
        "service discovery names no api node any more",
        [withdrawn(10, 30, "a1", "a2")],
        {12: ["LinkUpApiAway role=api", *AFTER_CAUSE]},
    ),
    Case(
        "service discovery names one of two for each role",
        [withdrawn(10, 30, "g1", "a1", "s2")],
        {12: [], 25: []},
        spares=["LinkUpGatewayAway", "LinkUpApiAway", "LinkUpStreamerAway"],
    ),
    Case(
        "everything runs in one process",
        [],
        {5: [], 30: []},
        spares=["LinkUpEverythingDown", "LinkUpGatewayAway", "LinkUpApiAway", "LinkUpStreamerAway"],
        roles=LAUNCHER,
    ),
    Case(
        "the one process of everything is down",
        down(10, 30, "l1"),
        {
            12: [
                "LinkUpEverythingDown",
                "LinkUpGatewayAway role=gateway",
                "LinkUpApiAway role=api",
                "LinkUpStreamerAway role=streamer",
                "LinkUpStreamerNoLeader",
                *AFTER_CAUSE,
            ],
        },
        roles=LAUNCHER,
    ),
    Case(
        "both streamers restart within a minute",
        down(10, 10.5, "s1", "s2"),
        {n: [] for n in (10.5, 11, 12, 16)},
        spares=["LinkUpStreamerAway", "LinkUpStreamerNoLeader"],
    ),
    Case(
        "both gateways restart within a minute",
        down(10, 10.5, "g1", "g2"),
        {n: [] for n in (11, 12, 16)},
        spares=["LinkUpGatewayAway"],
    ),
    Case(
        "one api node goes and comes back after six minutes",
        down(10, 16, "a1"),
        {14.5: [], 15.5: ["LinkUpTargetDown instance=a1 role=api"], 16.5: []},
    ),
    Case(
        "one api node goes for four minutes", down(10, 14, "a1"), {14: [], 15: [], 16: []}, spares=["LinkUpTargetDown"]
    ),
    case(
        "MongoDB does not answer",
        10,
        13,
        {"linkup_mongodb_up": 0},
        {
            10.5: [],
            11.5: ["LinkUpMongoDBAway", *AFTER_CAUSE],
            17: ["LinkUpMongoDBAway", *AFTER_CAUSE],
            18.5: AFTER_CAUSE,
            25: ["LinkUpRecentOutage reach=burns window=30m", *AFTER_BURN],
        },
    ),
    case(
        "MongoDB does not answer one of those who ask",
        10,
        30,
        {"linkup_mongodb_up@a1": 0, "linkup_mongodb_up@s2": 0},
        {20: []},
        spares=["LinkUpMongoDBAway"],
    ),
    case(
        "two members of three are down",
        10,
        30,
        {"linkup_mongodb_majority_margin": -1, "linkup_mongodb_has_primary": 0, DOWN_MEMBERS: 2},
        {
            12: ["LinkUpMongoDBNoMajority", "LinkUpMongoDBNoPrimary", *AFTER_CAUSE],
            16: ["LinkUpMongoDBNoMajority", "LinkUpMongoDBNoPrimary", "LinkUpMongoDBMemberDown", *AFTER_CAUSE],
        },
    ),
    case(
        "one member of three is down",
        10,
        30,
        {"linkup_mongodb_majority_margin": 0, DOWN_MEMBERS: 1},
        {14.5: [], 16: ["LinkUpMongoDBMemberDown"]},
        spares=["LinkUpMongoDBNoMajority"],
    ),
    # To them all three are down.
    case(
        "one api host cannot reach MongoDB",
        10,
        30,
        {
            "linkup_mongodb_up@a1": 0,
            f"{DOWN_MEMBERS}@a1": 3,
            "linkup_mongodb_has_primary@a1": 0,
            "linkup_mongodb_majority_margin@a1": -2,
        },
        {16: [], 29: []},
        spares=["LinkUpMongoDBMemberDown", "LinkUpMongoDBNoMajority", "LinkUpMongoDBNoPrimary", "LinkUpMongoDBAway"],
    ),
    case(
        "an election takes half a minute",
        10,
        10.5,
        {"linkup_mongodb_has_primary": 0},
        {n: [] for n in (10.5, 11, 12)},
        spares=["LinkUpMongoDBNoPrimary"],
    ),
    case(
        "a member restarts", 10, 13, {DOWN_MEMBERS: 1}, {13: [], 15.5: [], 16: []}, spares=["LinkUpMongoDBMemberDown"]
    ),
    case("NATS is away", 10, 30, {"linkup_bus_connected": 0}, {11.5: ["LinkUpBusAway", *AFTER_CAUSE]}),
    case("one process has no bus", 10, 30, {"linkup_bus_connected@g1": 0}, {20: []}, spares=["LinkUpBusAway"]),
    case(
        "the streamer is behind and the oplog is eaten up",
        10,
        90,
        {f"{LAG}@s1": Slope(0, 0.5), f"{HEADROOM}@s1": Slope(7000, -2), "linkup_mongodb_oplog_window_seconds": 7000},
        {40: ["LinkUpOplogRunningOut", "LinkUpStreamLag", *AFTER_CONDITION]},
    ),
    case(
        "a busy evening makes the oplog's window shrink",
        10,
        120,
        {HEADROOM: Slope(86_400, -9)},
        {120: []},
        spares=["LinkUpOplogRunningOut"],
    ),
]

READINESS = [
    case(
        "no api node is ready",
        10,
        30,
        {"linkup_ready@api": 0},
        {
            11.5: [],
            12.5: ["LinkUpNoApiReady", *AFTER_CONDITION],
            16: [
                "LinkUpNoApiReady",
                "LinkUpNotReady instance=a1 role=api",
                "LinkUpNotReady instance=a2 role=api",
                *AFTER_CONDITION,
            ],
        },
    ),
    case(
        "one api node is not ready for four minutes",
        10,
        14,
        {"linkup_ready@a1": 0},
        {n: [] for n in (13, 15, 16)},
        spares=["LinkUpNoApiReady", "LinkUpNotReady"],
    ),
    case(
        "no gateway is ready", 10, 14, {"linkup_ready@gateway": 0}, {12.5: ["LinkUpNoGatewayReady", *AFTER_CONDITION]}
    ),
    case(
        "one gateway is not ready",
        10,
        30,
        {"linkup_ready@g1": 0},
        {16: ["LinkUpNotReady instance=g1 role=gateway"]},
        spares=["LinkUpNoGatewayReady"],
    ),
]

STREAMER = [
    case(
        "nobody takes the lease",
        10,
        30,
        {"linkup_streamer_active": 0},
        {11: [], 12: ["LinkUpStreamerNoLeader", *AFTER_CONDITION]},
    ),
    case("two streamers are active", 10, 30, {"linkup_streamer_active": 1}, {11.5: [], 12.5: ["LinkUpTwoLeaders"]}),
    case(
        "two streamers are active for a minute",
        10,
        11,
        {"linkup_streamer_active": 1},
        {n: [] for n in (11, 12.5, 13)},
        spares=["LinkUpTwoLeaders"],
    ),
    case("the streamer is 11 seconds behind", 10, 30, {f"{LAG}@s1": 11}, {12.5: ["LinkUpStreamLag", *AFTER_CONDITION]}),
    case("the streamer is 9 seconds behind", 10, 30, {f"{LAG}@s1": 9}, {20: []}, spares=["LinkUpStreamLag"]),
    case(
        "history is lost while it runs",
        10,
        10.5,
        {f"{LOSSES}@s1": 1 / 30},
        {11: ["LinkUpHistoryLost", *AFTER_CONDITION], 17: AFTER_CONDITION, 80: AFTER_BURN[1:]},
    ),
    # The counter is 1 when Prometheus first sees it.
    Case(
        "history was lost when it started",
        [*down(10, 10.5, "s2"), Change(10.5, EVER, {f"{LOSSES}@s2": Slope(1, 0)})],
        {12: ["LinkUpHistoryLost", *AFTER_CONDITION], 18: AFTER_CONDITION, 80: AFTER_BURN[1:]},
    ),
    Case(
        "a streamer restarts and has lost nothing",
        down(10, 10.5, "s1"),
        {n: [] for n in (11, 12, 20)},
        spares=["LinkUpHistoryLost"],
    ),
    case("the oplog is short", 0, 200, {HEADROOM: 5000}, {50: [], 80: ["LinkUpOplogShort"]}),
    case("the database is new", 0, 200, {HEADROOM: Slope(10, 1)}, {100: [], 200: []}, spares=["LinkUpOplogShort"]),
    case(
        "the leader cannot save its resume point",
        10,
        40,
        {f"{RESUME_AGE}@s1": Slope(1, 1)},
        {15: [], 19: [], 21: ["LinkUpResumePointStale"]},
    ),
    case(
        "the leader saves its resume point once in four minutes",
        10,
        40,
        {f"{RESUME_AGE}@s1": 240},
        {20: [], 39: []},
        spares=["LinkUpResumePointStale"],
    ),
    case("an event is too large", 20, 20.5, {f"{SKIPPED}@s1": 1 / 30}, {21: ["LinkUpEventsSkipped"], 36: []}),
    Case(
        "a streamer that has skipped something restarts, and skips nothing",
        [Change(0, 10, {f"{SKIPPED}@s1": Slope(4, 0)}), *down(10, 10.5, "s1")],
        {n: [] for n in (9, 11, 20)},
        spares=["LinkUpEventsSkipped"],
    ),
]

MONGODB = [
    case(
        "an eighth of the inserts is slow",
        10,
        60,
        {QUICK_INSERTS: 17.4},
        {15: [], 21: ["LinkUpMongoDBSlow", *AFTER_CONDITION]},
    ),
    case(
        "few commands, one of them slow",
        0,
        60,
        {QUICK_INSERTS: 0.001, 'linkup_mongodb_command_seconds_count{command="insert"}': 0.002},
        {30: [], 60: []},
        spares=["LinkUpMongoDBSlow"],
    ),
    case(
        "a secondary is behind",
        10,
        30,
        {"linkup_mongodb_replication_lag_seconds@a1": 61},
        {14.5: [], 15.5: ["LinkUpMongoDBReplicationLag"]},
    ),
    case(
        "a secondary is a little behind",
        10,
        30,
        {"linkup_mongodb_replication_lag_seconds": 55},
        {20: []},
        spares=["LinkUpMongoDBReplicationLag"],
    ),
    # There is no headroom where there is no window.
    case(
        "LinkUp's user may not ask MongoDB how it is",
        10,
        60,
        {"linkup_mongodb_oplog_window_seconds": 0, HEADROOM: GONE},
        {19: [], 21: ["LinkUpMongoDBUnmeasured"], 59: ["LinkUpMongoDBUnmeasured"]},
    ),
    case(
        "one of those who ask MongoDB gets no answer to that",
        10,
        60,
        {"linkup_mongodb_oplog_window_seconds@a1": 0},
        {30: [], 59: []},
        spares=["LinkUpMongoDBUnmeasured"],
    ),
]

OVERLOADED = "LinkUpGatewayOverloaded instance=g1 role=gateway reason="
WAITING = "linkup_gateway_send_waiting_bytes@g1"

GATEWAY = [
    case(
        "messages pile up",
        10,
        30,
        {WAITING: 60e6},
        {
            11.5: [OVERLOADED + "sends", *AFTER_OVERLOAD],
            16: [OVERLOADED + "sends", "LinkUpNearLimit instance=g1 role=gateway limit=sends", *AFTER_OVERLOAD],
        },
    ),
    case(
        "a queue is full",
        10,
        30,
        {'linkup_batcher_refused_total{batcher="gateway_send"}@g1': 1},
        {12: [OVERLOADED + "queues", *AFTER_OVERLOAD]},
    ),
    case(
        "a queue is full for a moment",
        10,
        10.5,
        {'linkup_batcher_refused_total{batcher="gateway_send"}@g1': 2 / 30},
        {n: [] for n in (11, 12, 15)},
        spares=["LinkUpGatewayOverloaded"],
    ),
    case(
        "a gateway gets no processor",
        10,
        30,
        {f"{TIMERS_250}@g1": 5, f"{TIMERS_100}@g1": 5},
        {
            14: [OVERLOADED + "event_loop", *AFTER_OVERLOAD],
            23: [OVERLOADED + "event_loop", "LinkUpEventLoopStarving instance=g1 role=gateway", *AFTER_OVERLOAD],
        },
    ),
    case(
        "a gateway cannot accept",
        10,
        30,
        {"linkup_gateway_accept_errors_total@g1": 1},
        {12: [OVERLOADED + "accept", *AFTER_OVERLOAD]},
    ),
    case(
        "a gateway cannot accept twice",
        10,
        10.5,
        {"linkup_gateway_accept_errors_total@g1": 2 / 30},
        {n: [] for n in (11, 12, 15)},
        spares=["LinkUpGatewayOverloaded"],
    ),
    case(
        "a gateway does not get through to the api",
        10,
        40,
        {f"{UNREACHABLE}@g1": 0.1},
        {19: [], 24: ["LinkUpApiUnreachable instance=g1 role=gateway"]},
    ),
    case(
        "a few requests do not get through to the api",
        10,
        40,
        {f"{UNREACHABLE}@g1": 0.04},
        {25: [], 39: []},
        spares=["LinkUpApiUnreachable"],
    ),
    case(
        "a loop of one process stands still",
        10,
        14,
        {"linkup_alive@a1": 0},
        {10.5: [], 11.5: ["LinkUpProcessStuck instance=a1 role=api", *AFTER_APART], 20: AFTER_APART},
    ),
    case(
        "a loop of one process stands still for half a minute",
        10,
        10.5,
        {"linkup_alive@a1": 0},
        {n: [] for n in (10.5, 11, 12)},
        spares=["LinkUpProcessStuck"],
    ),
    case(
        "files get scarce",
        10,
        30,
        {"process_open_fds@g1": 16_500},
        {16: ["LinkUpNearLimit instance=g1 role=gateway limit=files"]},
    ),
    case(
        "returning clients read slowly",
        10,
        30,
        {"linkup_gateway_backlog_bytes@g1": 60e6},
        {16: ["LinkUpNearLimit instance=g1 role=gateway limit=backlog"]},
    ),
    case(
        "everything is fairly full",
        10,
        30,
        {
            "process_open_fds": 15_500,
            "linkup_gateway_backlog_bytes": 50e6,
            "linkup_gateway_send_waiting_bytes": 32e6,
            TIMERS_250: 9.5,
            TIMERS_100: 9.2,
        },
        {30: []},
        spares=["LinkUpGatewayOverloaded", "LinkUpNearLimit", "LinkUpEventLoopStarving"],
    ),
    case(
        "an api node gets too little processor",
        10,
        30,
        {f"{TIMERS_100}@a1": 8},
        {24: ["LinkUpEventLoopStarving instance=a1 role=api"]},
    ),
    case(
        "everybody is cut off and comes back",
        20,
        21,
        {LOST: 8, RECOVERED: 8},
        {21.5: [], 23: ["LinkUpReconnectStorm", *AFTER_CONDITION], 38: AFTER_CONDITION[1:]},
    ),
    Case(
        "everybody is cut off four minutes after a gateway was started",
        [*down(10, 10.5, "g1"), Change(14.5, 15.5, {LOST: 8, RECOVERED: 8})],
        {14: [], 17.5: ["LinkUpReconnectStorm", *AFTER_CONDITION]},
    ),
    Case(
        "gateways are replaced one after the other",
        [
            *down(20, 20.5, "g1"),
            *down(22, 22.5, "g2"),
            Change(20, 24, {f"{RECOVERED}@g2": 8}),
            Change(22, 24, {f"{RECOVERED}@g1": 8}),
        ],
        {n: [] for n in (21, 23, 25, 30)},
        spares=["LinkUpReconnectStorm"],
    ),
    case(
        "hundreds of people come, and none was here before",
        20,
        25,
        {'linkup_gateway_handshakes_total{outcome="accepted"}': 20},
        {24: [], 26: []},
        spares=["LinkUpReconnectStorm"],
    ),
    case("clients do not read", 20, 25, {SLOW_CONSUMER: 0.1}, {23: ["LinkUpSlowConsumers"], 45: []}),
    case(
        "a few of many clients do not read",
        10,
        30,
        {SLOW_CONSUMER: 0.004},
        {25: [], 30: []},
        spares=["LinkUpSlowConsumers"],
    ),
    case(
        "deliveries get lost",
        20,
        20.5,
        {'linkup_gateway_gaps_total{reason="numbers"}@g1': 0.1},
        {22.5: ["LinkUpBusLosing"], 40: []},
    ),
    case("gateways register anew after a new streamer", 0, 30, {}, {30: []}, spares=["LinkUpBusLosing"]),
    Case(
        "an api node starts again and again",
        [change for start in (10, 13, 16) for change in down(start, start + 0.5, "a1")],
        {17: ["LinkUpRestartLoop instance=a1 role=api"], 45: []},
    ),
    Case(
        "a gateway crashes every eight minutes",
        [
            *[change for start in range(10, 70, 8) for change in down(start, start + 0.5, "g1")],
            # Its people come back to it and to the other one.
            *[Change(start, start + 2, {RECOVERED: 4}) for start in range(10, 70, 8)],
        ],
        {
            34: [],
            35: ["LinkUpRestartLoop instance=g1 role=gateway"],
            60: ["LinkUpRestartLoop instance=g1 role=gateway"],
            116: [],
        },
        spares=["LinkUpReconnectStorm"],
    ),
    Case(
        "three deployments in an hour",
        [change for start in (10, 30, 50) for change in down(start, start + 0.5, "g1")],
        {51: [], 60: []},
        spares=["LinkUpRestartLoop"],
    ),
    Case(
        "an api node starts twice",
        [change for start in (10, 13) for change in down(start, start + 0.5, "a1")],
        {14: [], 20: []},
        spares=["LinkUpRestartLoop"],
    ),
]


CASES = CAUSES + READINESS + STREAMER + MONGODB + GATEWAY
