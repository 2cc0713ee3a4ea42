"""The service level objectives, the recording rules that measure them, and the burn-rate alerts on them."""

from dataclasses import dataclass

from durations import TimeScale
from rule import Alert

# Up to six hours are read from the counters themselves. Longer windows average the five-minute rates, which are one
# series however many processes there are.
FROM_COUNTERS = ("5m", "30m", "1h", "2h", "6h")
FROM_RECORDED = ("1d", "3d", "30d")
COUNTERS_INTERVAL = "15s"
RECORDED_INTERVAL = "1m"

POST_MESSAGE = 'route="POST /api/conversations/{id}/messages"'


@dataclass(frozen=True)
class Objective:
    """`bad` and `total` are sums of rates with `RANGE` in the place of the window."""

    slo: str
    budget: float
    bad_name: str
    total_name: str
    bad: str
    total: str
    alert: str
    # So many bad events there must be in the long window: a share of nearly nothing says nothing.
    least_bad: int
    dashboard: str
    summary: str
    people: str
    # Whether its series are those of the processes that did it; a probe's are of the place where it runs.
    by_instance: bool = True


OBJECTIVES = [
    Objective(
        slo="delivery",
        budget=0.01,
        bad_name="delivery_slow",
        total_name="deliveries",
        bad="clamp_min(\n"
        "  sum(rate(linkup_message_delivery_seconds_count[RANGE]))\n"
        '  - sum(rate(linkup_message_delivery_seconds_bucket{le="0.25"}[RANGE])),\n'
        "  0\n"
        ") or vector(0)",
        total="sum(rate(linkup_message_delivery_seconds_count[RANGE])) or vector(0)",
        alert="LinkUpDeliverySlowBurn",
        least_bad=10,
        dashboard="linkup-overview",
        summary="Messages arrive late",
        people="of the deliveries took longer than 0.25 s",
    ),
    Objective(
        slo="sends",
        budget=0.001,
        bad_name="send_errors",
        total_name="sends",
        bad='(sum(rate(linkup_gateway_commands_total{command="send",result="failed"}[RANGE])) or vector(0))\n'
        f'+ (sum(rate(linkup_api_requests_total{{{POST_MESSAGE},status=~"500|503"}}[RANGE])) or vector(0))',
        total='(sum(rate(linkup_gateway_commands_total{command="send"}[RANGE])) or vector(0))\n'
        f"+ (sum(rate(linkup_api_requests_total{{{POST_MESSAGE}}}[RANGE])) or vector(0))",
        alert="LinkUpSendErrorsBurn",
        least_bad=10,
        dashboard="linkup-overview",
        summary="Messages cannot be sent",
        people="of the messages that people sent were not taken, and it was the server's fault",
    ),
    Objective(
        slo="probe",
        budget=0.005,
        bad_name="probe_failures",
        total_name="probe_exchanges",
        bad='sum(rate(linkup_probe_exchanges_total{result=~"late|refused|unreachable"}[RANGE])) or vector(0)',
        total='sum(rate(linkup_probe_exchanges_total{result!="probe_error"}[RANGE])) or vector(0)',
        alert="LinkUpProbeFailuresBurn",
        least_bad=3,
        dashboard="linkup-overview",
        summary="The probe's messages do not arrive",
        people="of the probe's messages did not arrive in time",
        by_instance=False,
    ),
]


@dataclass(frozen=True)
class Burn:
    """The budget of 30 days goes `factor` times too fast, over the long window and still over the short one."""

    severity: str
    factor: float
    short: str
    long: str
    pending: str


BURNS = [
    Burn("page", 14.4, "5m", "1h", "2m"),
    Burn("page", 6, "30m", "6h", "15m"),
    Burn("ticket", 3, "2h", "1d", "1h"),
    Burn("ticket", 1, "6h", "3d", "3h"),
]


def recording_groups(scale: TimeScale) -> list[dict]:
    """The names keep the window of the real rules, whatever the scale."""
    from_counters, from_recorded = [], []
    for objective in OBJECTIVES:
        for window in FROM_COUNTERS:
            from_counters += [
                record(f"linkup:{name}:rate{window}", expr.replace("RANGE", scale(window)))
                for name, expr in ((objective.bad_name, objective.bad), (objective.total_name, objective.total))
            ] + [ratio(objective, window)]
        for window in FROM_RECORDED:
            from_recorded += [
                record(f"linkup:{name}:rate{window}", f"avg_over_time(linkup:{name}:rate5m[{scale(window)}])")
                for name in (objective.bad_name, objective.total_name)
            ] + [ratio(objective, window)]
    return [
        {"name": "linkup-objectives", "interval": scale(COUNTERS_INTERVAL), "rules": from_counters},
        {"name": "linkup-objectives-long", "interval": scale(RECORDED_INTERVAL), "rules": from_recorded},
    ]


def record(name: str, expr: str) -> dict:
    return {"record": name, "expr": expr}


def ratio(objective: Objective, window: str) -> dict:
    # Of nothing it is 0 and not NaN: a comparison with NaN is never true, and a panel would show a gap.
    bad, total = f"linkup:{objective.bad_name}:rate{window}", f"linkup:{objective.total_name}:rate{window}"
    return record(f"linkup:{objective.bad_name}:ratio_rate{window}", f"{bad} / ({total} > 0) or vector(0)")


def burn_alerts(scale: TimeScale) -> list[Alert]:
    return [burn_alert(scale, objective, burn) for objective in OBJECTIVES for burn in BURNS]


def burn_alert(scale: TimeScale, objective: Objective, burn: Burn) -> Alert:
    name, limit = f"linkup:{objective.bad_name}", f"{burn.factor} * {objective.budget}"
    days = 30 / burn.factor
    spent = f"{days:.0f} days" if days >= 3 else f"{days * 24:.0f} hours"
    return Alert(
        name=objective.alert,
        severity=burn.severity,
        layer="burn",
        expr=f"{name}:ratio_rate{burn.short} > {limit}\n"
        f"and {name}:ratio_rate{burn.long} > {limit}\n"
        f"and {name}:rate{burn.long} * {scale.seconds(burn.long)} >= {objective.least_bad}",
        pending=burn.pending,
        labels={"slo": objective.slo, "window": burn.short},
        dashboard=objective.dashboard,
        summary=objective.summary,
        description=f"{{{{ $value | humanizePercentage }}}} {objective.people} in the last {burn.short}, and more than"
        f" {burn.factor * objective.budget:.2%} in the last {burn.long}."
        f" At this rate the error budget of 30 days is gone in {spent}.",
    )
