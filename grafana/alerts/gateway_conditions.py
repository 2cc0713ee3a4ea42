"""Conditions of gateways: overload, and what clients suffer there."""

from causes import GATEWAY, HOLD, JOB
from durations import TimeScale
from rule import Alert

# So often in its window something has to happen before it is more than a coincidence.
HANDFUL = 3
STORM_LEAST = 75
HOLD_AFTER_WINDOW = "1m"


def gateway_conditions(scale: TimeScale) -> list[Alert]:
    return [
        *overloads(scale),
        *near_limits(),
        reconnect_storm(scale),
        slow_consumers(scale),
        api_unreachable(scale),
    ]


def overloads(scale: TimeScale) -> list[Alert]:
    window = scale("5m")
    reasons = [
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
            f") >= {HANDFUL}",
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
            f"increase(linkup_gateway_accept_errors_total[{window}]) >= {HANDFUL}",
            "It fails to accept connections; most likely it may open no more files.",
            "1m",
            {"window": "5m"},
        ),
    ]
    return [
        Alert(
            name="LinkUpGatewayOverloaded",
            severity="page",
            # It is about one gateway, and the alerts of a condition are about all.
            layer="apart",
            expr=expr,
            pending=pending,
            hold=HOLD_AFTER_WINDOW if more else HOLD,
            labels={"reason": reason, **more},
            dashboard="linkup-gateway",
            summary="A gateway is overloaded",
            description="{{ $labels.instance }}: " + text + " Its users wait or are refused.",
        )
        for reason, expr, text, pending, more in reasons
    ]


def near_limits() -> list[Alert]:
    limits = [
        ("files", f"process_open_fds{{{JOB}}} / process_max_fds{{{JOB}}}", 0.8, "open files"),
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
    window = scale("3m")
    ends = (
        f'(\n  sum(increase(linkup_gateway_closes_total{{reason=~"lost|heartbeat"}}[{window}]))'
        f"\n  + sum(increase(linkup_gateway_recoveries_total[{window}]))\n)"
    )
    return Alert(
        name="LinkUpReconnectStorm",
        severity="page",
        layer="condition",
        # Each socket that is lost and comes back counts twice. A gateway that was just started explains a storm; the
        # two minutes before it fires are for those who take as long to come back to it.
        expr=f"{ends} > 0.75 * sum(max_over_time(linkup_gateway_connections[{window}]))\n"
        f"and {ends} > {STORM_LEAST}\n"
        f"unless time() - max(process_start_time_seconds{{{JOB},{GATEWAY}}}) < {scale.seconds('3m')}",
        pending="2m",
        hold=HOLD_AFTER_WINDOW,
        # What keeps conditions silent after an outage does so for five minutes.
        labels={"window": "5m"},
        dashboard="linkup-gateway",
        summary="Clients lose their connections and come back, all at once",
        description="{{ $value | humanize }} connections were lost or taken up again in three minutes, most of all that"
        " there are. People see their client reconnect.",
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


def api_unreachable(scale: TimeScale) -> Alert:
    def requests(matcher: str = "") -> str:
        return f"sum by (job, instance, role) (increase(linkup_gateway_proxied_total{matcher}[{scale('5m')}]))"

    lost = requests('{outcome=~"unreachable|late"}')
    return Alert(
        name="LinkUpApiUnreachable",
        severity="ticket",
        layer="condition",
        expr=f"{lost}\n/ {requests()} > 0.01\nand {lost} >= {HANDFUL}",
        pending="10m",
        labels={"window": "5m"},
        dashboard="linkup-gateway",
        summary="Requests do not get from a gateway to the api",
        description="{{ $labels.instance }}: {{ $value | humanizePercentage }} of the requests that it passes on reach"
        " no api node, or get no answer in time. No objective counts them.",
    )
