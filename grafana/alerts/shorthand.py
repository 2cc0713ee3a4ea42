"""Short names for cases and faults: of the series that they change, and of what follows an outage."""

from simulated import Case, Change

EVER = 1e9
QUICK = 'linkup_message_delivery_seconds_bucket{le="0.25"}'
DELIVERIES = "linkup_message_delivery_seconds_count"
FAILED = 'linkup_gateway_commands_total{command="send",result="failed"}'
SENT = 'linkup_gateway_commands_total{command="send",result="ok"}'
POST_503 = 'linkup_api_requests_total{route="POST /api/conversations/{id}/messages",status="503"}'
DELIVERED = 'linkup_probe_exchanges_total{result="delivered"}'
LATE = 'linkup_probe_exchanges_total{result="late"}'
PROBE_ERROR = 'linkup_probe_exchanges_total{result="probe_error"}'
REFUSED = 'linkup_gateway_refused_total{policy="away"}'
LOST = 'linkup_gateway_closes_total{reason="lost"}'
RECOVERED = 'linkup_gateway_recoveries_total{result="recovered"}'
SLOW_CONSUMER = 'linkup_gateway_closes_total{reason="slow_consumer"}'
TIMERS_250 = 'linkup_runtime_timer_drift_seconds_bucket{le="0.25"}'
TIMERS_100 = 'linkup_runtime_timer_drift_seconds_bucket{le="0.1"}'
QUICK_INSERTS = 'linkup_mongodb_command_seconds_bucket{command="insert",le="0.25"}'
DOWN_MEMBERS = 'linkup_mongodb_members{state="down"}'
HEADROOM = "linkup_streamer_oplog_headroom_seconds"
LAG = "linkup_streamer_lag_seconds"
ACCEPTED = 'linkup_gateway_handshakes_total{outcome="accepted"}'
ACTIVE = "linkup_streamer_active"
SKIPPED = "linkup_streamer_skipped_total"
RESUME_AGE = "linkup_streamer_resume_age_seconds"
UNREACHABLE = 'linkup_gateway_proxied_total{outcome="unreachable"}'
LOSSES = "linkup_streamer_history_losses_total"
BUS_TIMEOUTS = 'linkup_bus_failures_total{reason="timeout"}'

# What keeps silent, after a page of each layer, what still has that in its window.
AFTER_CAUSE = [
    f"LinkUpRecentOutage reach={reach} window={window}"
    for reach, window in (
        ("conditions", "5m"),
        ("burns", "5m"),
        ("burns", "30m"),
        ("tickets", "15m"),
        ("tickets", "2h"),
        ("tickets", "6h"),
    )
]
AFTER_CONDITION = AFTER_CAUSE[1:]
AFTER_SYMPTOM = AFTER_CONDITION
AFTER_BURN = AFTER_CAUSE[3:]
AFTER_APART = AFTER_BURN
AFTER_OVERLOAD = AFTER_APART + [
    f"LinkUpOverloadExplainsBurn slo={slo} window={window}"
    for slo in ("delivery", "sends", "probe")
    for window in ("5m", "30m")
]


def case(name, start, end, to, expect, spares=(), step=0.5):
    return Case(name, [Change(start, end, to)], expect, list(spares), step)
