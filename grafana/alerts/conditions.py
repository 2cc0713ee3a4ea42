"""Conditions: something is wrong that has a cause of its own, or is the consequence of one.

Those that look back over a window go on nearly long enough by themselves; the others are held as causes are.
"""

from causes import API, GATEWAY, HOLD, JOB
from durations import TimeScale
from gateway_conditions import HOLD_AFTER_WINDOW, gateway_conditions, share_of_late_timers
from rule import Alert


def conditions(scale: TimeScale) -> list[Alert]:
    return [
        *readiness(),
        *streamer(scale),
        *mongodb(scale),
        *gateway_conditions(scale),
        process_stuck(),
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
            description="Gateways run, but none can do its job. While no api can commit, new connections are refused;"
            " while only the streamer or the bus is away, they wait. Open ones stay.",
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
    started = f"process_start_time_seconds{{{JOB}}}"
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
            # An event: it is over when it is noticed, and this only tells of it. A streamer that finds its history lost
            # when it starts has counted that before it is first asked.
            expr=f"sum(increase({losses}[{scale('5m')}])) > 0\n"
            f"or sum(\n  {losses}\n  and on (job, instance) time() - {started} < {scale.seconds('5m')}\n) > 0",
            hold=HOLD_AFTER_WINDOW,
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
        Alert(
            name="LinkUpResumePointStale",
            severity="ticket",
            expr="max(linkup_streamer_resume_age_seconds) > 300",
            pending="5m",
            summary="The streamer's resume point is {{ $value | humanizeDuration }} old",
            description="The active streamer cannot save how far it has come. People notice nothing; the one that takes"
            " over begins so far back, and may find the history gone.",
            **common,
        ),
        Alert(
            name="LinkUpEventsSkipped",
            severity="ticket",
            expr=f"sum(increase(linkup_streamer_skipped_total[{scale('15m')}])) > 0",
            summary="Events are skipped",
            description="{{ $value | humanize }} changes in 15 minutes could not be made into events, or were too large"
            " for the bus. People miss them until they load the page again.",
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
        Alert(
            name="LinkUpMongoDBUnmeasured",
            severity="ticket",
            # Without the role clusterMonitor MongoDB answers, and tells nothing.
            expr="max(linkup_mongodb_up) == 1\n"
            "and (max(linkup_mongodb_oplog_window_seconds and on (job, instance) linkup_mongodb_up == 1) or vector(0))"
            " == 0",
            pending="10m",
            summary="MongoDB does not say how it is",
            description="It answers, but LinkUp's user may not ask for its state. Alerts on its members, its majority"
            " and its oplog cannot fire.",
            **common,
        ),
    ]


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
    starts = f"changes(process_start_time_seconds{{{JOB}}}"
    return Alert(
        name="LinkUpRestartLoop",
        severity="ticket",
        layer="condition",
        # A slow loop is one as long as it goes on.
        expr=f"{starts}[{scale('15m')}]) >= 3\n"
        f"or (\n  {starts}[{scale('2h')}]) >= 4\n  and {starts}[{scale('30m')}]) > 0\n)",
        hold="15m",
        dashboard="linkup-overview",
        summary="A {{ $labels.role }} starts again and again",
        description="{{ $labels.instance }} was started {{ $value }} times in 15 minutes, or more slowly in two hours.",
    )


def process_stuck() -> Alert:
    return Alert(
        name="LinkUpProcessStuck",
        severity="page",
        layer="apart",
        expr=f'linkup_alive{{{JOB},role!="probe"}} == 0',
        pending="1m",
        hold=HOLD,
        dashboard="linkup-overview",
        summary="A {{ $labels.role }} stands still",
        description="{{ $labels.instance }}: a loop that must never stand still does, and only a restart of this"
        " process cures that.",
    )
