"""Conditions: something is wrong that has a cause of its own, or is the consequence of one.

Those that look back over a window go on nearly long enough by themselves; the others are held as causes are.
"""

from causes import API, GATEWAY, HOLD, JOB
from durations import TimeScale
from rule import Alert

STORM_LEAST = 75
HOLD_AFTER_WINDOW = "1m"


def conditions(scale: TimeScale) -> list[Alert]:
    return [
        *readiness(),
        *streamer(scale),
        *mongodb(scale),
        *gateway(scale),
        reconnect_storm(scale),
        slow_consumers(scale),
        bus_losing(scale),
        event_loop_starving(scale),
        restart_loop(scale),
    ]


def readiness() -> list[Alert]:
    return [
        Alert(
            name="LinkUpNoApiReady",
            severity="page",
            layer="condition",
            expr=f"sum(linkup_ready{{{JOB},{API}}}) == 0",
            pending="2m",
            hold=HOLD,
            dashboard="linkup-api",
            summary="No api node is ready",
            description="Api nodes run, but none can do its job. Messages are not taken and nobody can sign in.",
        ),
        Alert(
            name="LinkUpNoGatewayReady",
            severity="page",
            layer="condition",
            expr=f"sum(linkup_ready{{{JOB},{GATEWAY}}}) == 0",
            pending="2m",
            hold=HOLD,
            dashboard="linkup-gateway",
            summary="No gateway is ready",
            description="Gateways run, but none can do its job. New connections are refused; open ones stay.",
        ),
        Alert(
            name="LinkUpNotReady",
            severity="ticket",
            layer="condition",
            expr=f'linkup_ready{{{JOB},role!="probe"}} == 0',
            pending="5m",
            dashboard="linkup-overview",
            summary="A {{ $labels.role }} is not ready",
            description="{{ $labels.instance }} runs, but has not been able to do its job for five minutes.",
        ),
    ]


def streamer(scale: TimeScale) -> list[Alert]:
    common = {"layer": "condition", "dashboard": "linkup-streamer"}
    losses = "linkup_streamer_history_losses_total"
    return [
        Alert(
            name="LinkUpStreamerNoLeader",
            severity="page",
            expr="(sum(linkup_streamer_active) or vector(0)) == 0",
            pending="90s",
            hold=HOLD,
            summary="No streamer is active",
            description="No streamer holds the lease, or none is watched. Messages are stored, but nobody is told of"
            " them.",
            **common,
        ),
        Alert(
            name="LinkUpTwoLeaders",
            severity="ticket",
            expr="sum(linkup_streamer_active) > 1",
            pending="2m",
            summary="{{ $value }} streamers are active",
            description="Gateways take only the one of the highest term, so people notice nothing; but the lease does"
            " not do what it is there for.",
            **common,
        ),
        Alert(
            name="LinkUpStreamLag",
            severity="page",
            expr="max(linkup_streamer_lag_seconds) > 10",
            pending="2m",
            hold=HOLD,
            summary="The streamer is {{ $value | humanizeDuration }} behind",
            description="Everything that people are told live, they are told so much later.",
            **common,
        ),
        Alert(
            name="LinkUpHistoryLost",
            severity="page",
            # A streamer that finds its history lost when it starts has counted it before it is first asked.
            expr=f"sum(increase({losses}[{scale('30m')}])) > 0\n"
            f"or sum({losses} and on (job, instance) time() - process_start_time_seconds < {scale.seconds('30m')}) > 0",
            summary="The change stream could not be resumed",
            description="The oplog no longer held what the streamer had to read next. Everybody was disconnected and"
            " had to catch up; no message is lost.",
            **common,
        ),
        Alert(
            name="LinkUpOplogShort",
            severity="ticket",
            # The oplog of a new database is short as well, but grows by a second each second.
            expr=f"min(\n"
            f"  linkup_streamer_oplog_headroom_seconds > 0\n"
            f"  and linkup_streamer_oplog_headroom_seconds < 7200\n"
            f"  and deriv(linkup_streamer_oplog_headroom_seconds[{scale('30m')}]) < 0.5\n"
            f")",
            pending="1h",
            summary="The oplog reaches back only {{ $value | humanizeDuration }}",
            description="If all streamers stand still for longer than that, everybody is disconnected and has to"
            " catch up.",
            **common,
        ),
    ]


def mongodb(scale: TimeScale) -> list[Alert]:
    common = {"layer": "condition", "dashboard": "linkup-mongodb"}
    seconds = "linkup_mongodb_command_seconds"
    of = 'command=~"insert|update|find|findAndModify"'
    window = scale("5m")
    total = f"sum(rate({seconds}_count{{{of}}}[{window}]))"
    slow = f'(\n  {total}\n  - sum(rate({seconds}_bucket{{{of},le="0.25"}}[{window}]))\n)'
    return [
        Alert(
            name="LinkUpMongoDBSlow",
            severity="page",
            expr=f"{slow} / (\n  {total} > 0\n) > 0.1\nand {slow} * {scale.seconds('5m')} >= 20",
            pending="5m",
            hold=HOLD_AFTER_WINDOW,
            labels={"window": "5m"},
            summary="MongoDB is slow",
            description="{{ $value | humanizePercentage }} of the commands take longer than 0.25 s; so late do messages"
            " arrive at least.",
            **common,
        ),
        Alert(
            name="LinkUpMongoDBReplicationLag",
            severity="ticket",
            expr="max(linkup_mongodb_replication_lag_seconds) > 60",
            pending="5m",
            summary="A secondary of MongoDB is {{ $value | humanizeDuration }} behind",
            description="People notice nothing while the others keep up. Should it be needed for the majority, or"
            " become primary, they will.",
            **common,
        ),
    ]


def gateway(scale: TimeScale) -> list[Alert]:
    window = scale("5m")
    overloads = [
        (
            "sends",
            "linkup_gateway_send_waiting_bytes / linkup_gateway_send_waiting_limit_bytes > 0.8",
            "Messages wait for the api and fill {{ $value | humanizePercentage }} of what may wait; beyond that they"
            " are refused.",
            "1m",
            {},
        ),
        (
            "queues",
            "sum by (job, instance, role) (\n"
            f'  increase(linkup_batcher_refused_total{{batcher=~"gateway_.+"}}[{window}])\n'
            ") > 0",
            "Requests are refused because a queue before the api is full.",
            "1m",
            {"window": "5m"},
        ),
        (
            "event_loop",
            share_of_late_timers(window, "0.25", f"{{{JOB},{GATEWAY}}}") + " > 0.1",
            "{{ $value | humanizePercentage }} of what it does waits longer than 0.25 s for a processor.",
            "2m",
            {"window": "5m"},
        ),
        (
            "accept",
            f"increase(linkup_gateway_accept_errors_total[{window}]) > 0",
            "It fails to accept connections; most likely it may open no more files.",
            "1m",
            {"window": "5m"},
        ),
    ]
    limits = [
        ("files", "process_open_fds / process_max_fds", 0.8, "open files"),
        (
            "sends",
            "linkup_gateway_send_waiting_bytes / linkup_gateway_send_waiting_limit_bytes",
            0.5,
            "waiting messages",
        ),
        (
            "backlog",
            "linkup_gateway_backlog_bytes / linkup_gateway_backlog_limit_bytes",
            0.8,
            "what returning clients have not read yet",
        ),
    ]
    return [
        Alert(
            name="LinkUpGatewayOverloaded",
            severity="page",
            layer="condition",
            expr=expr,
            pending=pending,
            hold=HOLD_AFTER_WINDOW if more else HOLD,
            labels={"reason": reason, **more},
            dashboard="linkup-gateway",
            summary="A gateway is overloaded",
            description="{{ $labels.instance }}: " + text + " Its users wait or are refused.",
        )
        for reason, expr, text, pending, more in overloads
    ] + [
        Alert(
            name="LinkUpNearLimit",
            severity="ticket",
            layer="condition",
            expr=f"{expr} > {limit}",
            pending="5m",
            labels={"limit": name},
            dashboard="linkup-gateway",
            summary="A process comes near a limit",
            description=f"{{{{ $labels.instance }}}}: {what}, {{{{ $value | humanizePercentage }}}} of what may be.",
        )
        for name, expr, limit, what in limits
    ]


def share_of_late_timers(window: str, late: str, where: str) -> str:
    """How many of the timers that ought to fire every 100 ms fire later than `late` seconds after that."""
    name = "linkup_runtime_timer_drift_seconds"
    on_time = where[:-1] + f',le="{late}"}}'
    return (
        "1 - (\n"
        f"  sum by (job, instance, role) (rate({name}_bucket{on_time}[{window}]))\n"
        f"  / sum by (job, instance, role) (rate({name}_count{where}[{window}]))\n"
        ")"
    )


def reconnect_storm(scale: TimeScale) -> Alert:
    window = scale("5m")
    ends = (
        f'(\n  sum(increase(linkup_gateway_closes_total{{reason=~"lost|heartbeat"}}[{window}]))'
        f"\n  + sum(increase(linkup_gateway_recoveries_total[{window}]))\n)"
    )
    return Alert(
        name="LinkUpReconnectStorm",
        severity="page",
        layer="condition",
        # Each socket that is lost and comes back counts twice. Gateways that were just started explain a storm.
        expr=f"{ends} > 0.75 * sum(max_over_time(linkup_gateway_connections[{window}]))\n"
        f"and {ends} > {STORM_LEAST}\n"
        f"unless time() - max(process_start_time_seconds{{{JOB},{GATEWAY}}}) < {scale.seconds('10m')}",
        pending="1m",
        hold=HOLD_AFTER_WINDOW,
        labels={"window": "5m"},
        dashboard="linkup-gateway",
        summary="Clients lose their connections and come back, all at once",
        description="{{ $value | humanize }} connections were lost or taken up again in five minutes, most of all there"
        " are. People see their client reconnect.",
    )


def slow_consumers(scale: TimeScale) -> Alert:
    window = scale("15m")
    closed = f'sum(increase(linkup_gateway_closes_total{{reason="slow_consumer"}}[{window}]))'
    return Alert(
        name="LinkUpSlowConsumers",
        severity="ticket",
        layer="condition",
        expr=f"{closed} > 10\nand {closed}\n  > 0.01 * sum(max_over_time(linkup_gateway_connections[{window}]))",
        pending="1m",
        labels={"window": "15m"},
        dashboard="linkup-gateway",
        summary="Clients are closed because they read too slowly",
        description="{{ $value | humanize }} connections in 15 minutes, more than one in a hundred. Those people are"
        " disconnected again and again; others are not affected.",
    )


def bus_losing(scale: TimeScale) -> Alert:
    window = scale("15m")
    counters = [
        "linkup_bus_slow_consumer_drops_total",
        "linkup_bus_decode_errors_total",
        "linkup_bus_failures_total",
        'linkup_gateway_gaps_total{reason="numbers"}',
    ]
    lost = "\n+ ".join(f"(sum(increase({counter}[{window}])) or vector(0))" for counter in counters)
    return Alert(
        name="LinkUpBusLosing",
        severity="ticket",
        layer="condition",
        expr=f"(\n{lost}\n) > 0",
        pending="2m",
        labels={"window": "15m"},
        dashboard="linkup-streamer",
        summary="The bus loses deliveries",
        description="{{ $value | humanize }} times in 15 minutes something did not get over the bus. Gateways notice"
        " and ask again: people get everything, a moment later.",
    )


def event_loop_starving(scale: TimeScale) -> Alert:
    return Alert(
        name="LinkUpEventLoopStarving",
        severity="ticket",
        layer="condition",
        expr=share_of_late_timers(scale("5m"), "0.1", f"{{{JOB}}}") + " > 0.1",
        pending="10m",
        dashboard="linkup-overview",
        summary="A {{ $labels.role }} gets too little processor",
        description="{{ $labels.instance }}: {{ $value | humanizePercentage }} of what it does waits more than 0.1 s.",
    )


def restart_loop(scale: TimeScale) -> Alert:
    return Alert(
        name="LinkUpRestartLoop",
        severity="ticket",
        layer="condition",
        expr=f"changes(process_start_time_seconds{{{JOB}}}[{scale('15m')}]) >= 3",
        hold="15m",
        dashboard="linkup-overview",
        summary="A {{ $labels.role }} starts again and again",
        description="{{ $labels.instance }} was started {{ $value }} times in 15 minutes.",
    )
