"""LinkUp overview: can people chat right now, and if not, which part is at fault?"""

from board import Row, board
from panels import AMOUNT, TRUE, YES_NO, above, bar_panel, below, exactly, named_values
from panels import stat_panel, table_panel, time_panel
from processes import processes
from queries import WINDOW, Query, any_holds, fullness, gauge, quantile, rate, series, share, without
from signals import asked_for, errors, traffic

# Objectives: the name of the recorded share that is bad, what it is called, and how much of it may be bad.
OBJECTIVES = [
    ("delivery_slow", "deliveries within 0.25 s", 0.01),
    ("send_errors", "sends", 0.001),
    ("probe_failures", "probe", 0.005),
]
# Without those that notify nobody: they only keep others silent.
FIRING = 'ALERTS{alertstate="firing", alertname=~"LinkUp.*", severity!="none"}'


def recorded(name: str, window: str) -> str:
    """A share that the recording rules keep. It is of the whole system, so the variables do not narrow it."""
    return f"linkup:{name}:ratio_rate{window}"


def health() -> list:
    return [
        stat_panel(
            "Can two people chat?",
            "Whether the last message that some probe sent through the public port reached its other user. NO: no "
            "probe gets through, so people cannot chat, or all probes are at fault: the row Probe tells which, Health "
            "by check which part. Failing probes beside a yes: a fault of theirs, or of the network on their way here.",
            any_holds("linkup_probe_up").named("some probe"),
            exceptions=without("linkup_probe_up").named("failing probes"),
            unit="none", limits=TRUE, values=YES_NO,
        ),
        stat_panel(
            "Since last probe delivery",
            "A probe tries every 10 s; this is of the one that succeeded last. A minute without success is an outage "
            "for people; decades mean that no message was ever delivered. Next: the row Probe.",
            Query(f"time() - max({series('linkup_probe_last_success_timestamp_seconds')})"),
            unit="s", limits=above(yellow=30, red=60), decimals=0,
        ),
        stat_panel(
            "Delivery latency, p99",
            "Of 100 messages 99 are written on the recipient's socket within this time. Above 0.25 s chatting feels "
            "slow. Next: Latency by stage below, which names the part that is slow.",
            quantile("linkup_message_delivery_seconds", q="0.99"),
            unit="s", limits=above(yellow=0.1, red=0.25), to="linkup-gateway",
        ),
        stat_panel(
            "Deliveries within 0.25 s",
            "Share of message deliveries in five minutes that were quick enough; the objective is 99 %. "
            "Next: Latency by stage below.",
            Query(f"1 - {recorded('delivery_slow', '5m')}"),
            unit="percentunit", limits=below(red=0.99, yellow=0.995), decimals=2, to="linkup-gateway",
        ),
        stat_panel(
            "Failed sends",
            "Share of sends in five minutes that the server failed; 0.1 % is the objective. People see \"not sent\". "
            "Next: MongoDB writable, then API, row Messages.",
            Query(recorded("send_errors", "5m")),
            unit="percentunit", limits=above(yellow=0.0005, red=0.001), decimals=2, to="linkup-api",
        ),
        stat_panel(
            "Firing alerts",
            "LinkUp's alerts that fire. Their names are in the table below; the runbook says what to do for "
            "each.",
            Query(f"count({FIRING}) or vector(0)"),
            unit="none", limits=above(red=1),
        ),
        stat_panel(
            "Streamer leaders",
            "Streamers that hold the lease. With 0 nothing that is written reaches a socket (it is not lost); 2 for "
            "longer than a scrape means that one has not noticed yet that it lost the lease.",
            gauge("linkup_streamer_active"),
            unit="none", limits=exactly(1), to="linkup-streamer",
        ),
        stat_panel(
            "MongoDB writable",
            "MongoDB answers, there is a primary, and a majority of the members is up, as the processes tell that see "
            "most. NO means that nobody can send; what is stored is safe. Cut off: processes that see no primary; "
            "others do their work while there are any. Next: MongoDB, Primary, by instance.",
            Query(f"{any_holds('linkup_mongodb_up', 'linkup_mongodb_has_primary')}"
                  f" * (max({series('linkup_mongodb_majority_margin')}) >= bool 0)", "writable"),
            exceptions=without("linkup_mongodb_up", "linkup_mongodb_has_primary").named("cut off"),
            unit="none", limits=TRUE, values=YES_NO, to="linkup-mongodb",
        ),
        stat_panel(
            "Bus connected",
            "Whether the bus is there for any streamer or gateway. NO: nobody gets anything new until it is back; "
            "then they catch up. Cut off: processes without a connection; people of such a gateway get nothing new. "
            "Next: Streamer and bus, Bus by instance.",
            any_holds("linkup_bus_connected").named("connected"),
            exceptions=without("linkup_bus_connected").named("cut off"),
            unit="none", limits=TRUE, values=YES_NO, to="linkup-streamer",
        ),
        stat_panel(
            "Processes not ready",
            "Processes that answer /readyz with 503 cannot do their job: see Health by check. Those that answer "
            "/livez with 503 hang and have to be restarted: see Alive, row Processes.",
            without("linkup_ready").named("not ready"),
            without("linkup_alive").named("not alive"),
            unit="none", limits=above(red=1),
        ),
        stat_panel(
            "Connected",
            "People with a socket, and the connections that they have, at all gateways. A sudden fall is an outage of "
            "the network or a gateway; a peak after it, people coming back. Somebody at two gateways counts twice.",
            gauge("linkup_gateway_users").named("users"),
            gauge("linkup_gateway_connections").named("connections"),
            unit="short", limits=AMOUNT, to="linkup-gateway",
        ),
        stat_panel(
            "Messages a second",
            "Messages that were stored. None although people are connected is a fault, unless it is a quiet night: "
            "compare with the probe.",
            rate("linkup_api_messages_committed_total"),
            unit="mps", limits=AMOUNT, to="linkup-api",
        ),
        bar_panel(
            "Error budget left of 30 days",
            "How much of what may go wrong in 30 days is left; below zero the promise is broken. A bar that is short "
            "but does not shrink needs no one at night. Next: the row Objectives shows how fast it is being spent.",
            *[Query(f"1 - {recorded(name, '30d')} / {allowed}", title) for name, title, allowed in OBJECTIVES],
            unit="percentunit", limits=below(red=0.0001, yellow=0.25), high=1, h=5, decimals=1,
        ),
        stat_panel(
            "Health by check",
            "What any process says about what it needs. The check that fails names the part to look at; "
            "Health by instance and check (row Processes) names the process.",
            gauge("linkup_health", by="check", how="min"),
            unit="none", limits=TRUE, values=named_values(_1="ok", _0="FAILS"), w=8, h=5,
        ),
        table_panel(
            "Firing alerts by name",
            "What fires now; one line \"none\" when nothing does. The alert's runbook_url leads to what to do.",
            Query(f"count by (alertname, severity) ({FIRING}) or on () "
                  'label_replace(vector(0), "alertname", "none", "", "")'),
            unit="none", limits=above(red=1), value="firing", w=8, h=5,
        ),
    ]


def golden_signals() -> list:
    return [
        time_panel(
            "Latency: delivery",
            "From receipt of a message to the write on a recipient's socket. The dashed line is the objective for 99 "
            "of 100. Next: Latency by stage.",
            quantile("linkup_message_delivery_seconds", q="0.5").named("p50"),
            quantile("linkup_message_delivery_seconds", q="0.99").named("p99"),
            unit="s", limits=above(red=0.25), w=6, to="linkup-gateway",
        ),
        time_panel(
            "Traffic",
            "What people do: messages stored, deliveries of messages to sockets, commands over sockets, REST requests. "
            "load test: what a load harness asks for; above zero, the others are mostly its doing.",
            *traffic(),
            Query(f"{asked_for()} or vector(0)", "load test"),
            unit="cps", w=6, to=("linkup-gateway", "linkup-loadtest"),
        ),
        time_panel(
            "Errors",
            "Failures that are the server's fault, by part. The line that rose first is the cause, the others are its "
            "consequences. gateway without api: REST requests that a gateway answers itself, because no api node "
            "could be reached or was in time. Next: the dashboard of that part.",
            *errors(),
            unit="cps", limits=above(red=1), w=6, to="linkup-api",
        ),
        time_panel(
            "Saturation",
            "How full the fullest of each kind is. At 1: sends are refused (send queue), people catch up over REST "
            "(backlog), nobody can connect (open files), everything waits (runtime, cache, connections).",
            fullness("linkup_gateway_send_waiting_bytes", "linkup_gateway_send_waiting_limit_bytes", "send queue"),
            fullness("linkup_gateway_backlog_bytes", "linkup_gateway_backlog_limit_bytes", "backlog"),
            fullness("process_open_fds", "process_max_fds", "open files"),
            Query(f"max(rate({series('linkup_runtime_busy_seconds_total')}[{WINDOW}])"
                  f" / clamp_min({series('linkup_runtime_workers')}, 1))", "runtime"),
            share(gauge("linkup_mongodb_cache_bytes", where='kind="used"', how="max"),
                  gauge("linkup_mongodb_cache_bytes", where='kind="max"', how="max"), "MongoDB cache"),
            share(gauge("linkup_mongodb_connections", where='state="current"', how="max"),
                  gauge("linkup_mongodb_connections", by="instance", where='state=~"current|available"').largest(),
                  "MongoDB connections"),
            unit="percentunit", limits=above(yellow=0.8, red=0.95), high=1, w=6, to="linkup-gateway",
        ),
        time_panel(
            "Latency by stage",
            "Where a message spends its time, at the chosen quantile. gateway_queue, api_queue: the api does not keep "
            "up. commit: MongoDB. stream: streamer or change stream. bus: NATS. socket: gateway or its network. The "
            "stages' quantiles do not add up to that of the whole.",
            quantile("linkup_message_stage_seconds", by="stage"),
            unit="s", limits=above(red=0.25), w=12, to="linkup-streamer",
        ),
        table_panel(
            "What runs",
            "Each process, its version and when it started. A start that fits the beginning of the trouble, or a "
            "version that is not that of the others, is the first suspect.",
            Query(f"max by (instance, role, version, revision) ({series('linkup_build_info')} * on (job, instance)"
                  f" group_left () {series('process_start_time_seconds')}) * 1000"),
            unit="dateTimeAsIso", limits=AMOUNT, value="started",
        ),
        time_panel(
            "Restarts and leader changes",
            "Processes that started again and streamers that took the lease, in each step. Also drawn as vertical "
            "lines in all charts.",
            Query(f"sum(changes({series('process_start_time_seconds')}[{WINDOW}]))", "restarts"),
            Query(f"sum(changes({series('linkup_streamer_term')}[{WINDOW}]))", "leader changes"),
            unit="none", limits=above(red=1), w=12, h=6, to="linkup-streamer",
        ),
        time_panel(
            "Processes by version",
            "How many processes run which version. Two versions for long: a deployment that did not finish.",
            gauge("linkup_build_info", by="version, revision"),
            unit="none", w=12, h=6, stack=True,
        ),
    ]


def objectives() -> Row:
    windows = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")

    def burn(name: str, allowed: float, window: str) -> Query:
        return Query(f"{recorded(name, window)} / {allowed}", window)

    about = (
        "How many times faster than allowed the budget is being spent, over several windows. 14.4 over an hour and "
        "six over six hours wake somebody (the budget is gone in two or five days); 1 to 3 makes a ticket."
    )
    charts = [
        time_panel(f"Burn rate: {title}", about, *[burn(name, allowed, window) for window in windows],
                   unit="none", limits=above(yellow=1, red=14.4), decimals=2)
        for name, title, allowed in OBJECTIVES
    ]
    return Row("Objectives and burn rates", charts)


def probe() -> Row:
    return Row("Probe", [
        time_panel(
            "Exchanges by result",
            "late: slow or lost deliveries, see Latency by stage. refused: the server said no, see API. unreachable: "
            "no connection, see balancer and gateways. probe_error: the probe's own fault; people are not affected.",
            rate("linkup_probe_exchanges_total", by="result"),
            unit="cps", stack=True,
        ),
        time_panel(
            "Time of an exchange",
            "From the beginning of a send to its arrival at the other user, as people have it, through the public "
            "port.",
            quantile("linkup_probe_seconds", q="0.5").named("p50"),
            quantile("linkup_probe_seconds").named("quantile $quantile"),
            unit="s", limits=above(yellow=0.25, red=1.25),
        ),
        time_panel(
            "Time by step",
            "connect: opening a socket. acknowledge: until the send is answered, so until it is stored. deliver: from "
            "there to the other user.",
            quantile("linkup_probe_stage_seconds", by="stage"),
            unit="s", limits=above(yellow=0.25, red=1.25),
        ),
        time_panel(
            "Delivered, by probe",
            "1 while a probe's last message was delivered. One probe of several at 0: the fault lies on its way here.",
            gauge("linkup_probe_up", by="instance", how="min"),
            unit="none", limits=below(red=1), high=1, w=12,
        ),
        time_panel(
            "Since the last delivery, by probe",
            "A saw tooth of about 10 s is health. A line that climbs is an outage as long as the line is high.",
            Query(f"time() - {series('linkup_probe_last_success_timestamp_seconds')}", "{{instance}}"),
            unit="s", limits=above(yellow=30, red=60), w=12,
        ),
    ])


def overview() -> dict:
    return board(
        "linkup-overview",
        "Can people chat right now? If not, which part is at fault? A click on a panel leads to the part's dashboard.",
        Row("Can people chat right now?", health() + golden_signals()),
        objectives(),
        probe(),
        processes(),
    )
