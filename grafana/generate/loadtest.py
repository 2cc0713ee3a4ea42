"""Load test: what was asked of LinkUp, what it did, what it says of that itself, and whether the harness kept up."""

from board import Row, board
from panels import AMOUNT, above, named_values, stat_panel, time_panel
from queries import WINDOW, Query, gauge, per_second, quantile, rate, series, share
from signals import asked_for, errors, traffic

# In the order in which a run goes through them.
PHASES = ("connect", "warmup", "measure", "settle", "verify")
# From here on the harness measures itself: it says so, and a run fails.
LATENESS = above(yellow=0.01, red=0.05)
SKIPPED = above(yellow=0.0001, red=0.001)
FAILED = 'outcome="failed"'
MESSAGES = 'latency=~"delivery|acknowledgement"'


def phase() -> Query:
    """The number of the phase that a harness is in, from 1 on; of several harnesses the latest."""
    each = [
        f"{number} * " + series("linkup_loadtest_phase", f'phase="{name}"') for number, name in enumerate(PHASES, 1)
    ]
    return Query(f"max({' or '.join(each)})")


def by_latency(q: str, where: str = "") -> Query:
    return quantile("linkup_loadtest_latency_seconds", by="latency", where=where, q=q)


def numbers() -> list:
    return [
        stat_panel(
            "Phase",
            "Where the run is. Only what is in measure counts for its result. Not reported: no harness runs with "
            "--prometheus, or Prometheus does not know of it; grafana/README.md says how.",
            phase(),
            unit="none", limits=AMOUNT, w=6,
            values=named_values(_0="none", **{f"_{number}": name for number, name in enumerate(PHASES, 1)}),
        ),
        stat_panel(
            "Asked for",
            "What the harness asks of the server in a second, all actions together, whatever the server does. Does it "
            "do that? See Asked for and done.",
            asked_for(),
            unit="cps", limits=AMOUNT, w=6,
        ),
        stat_panel(
            "Delivery latency",
            "From the scheduled time of a send to its arrival at a recipient, at the chosen quantile; for p99 the "
            "objective is 0.25 s. High: is Lateness of the harness green? Then Server: latency by stage names the "
            "part that is slow.",
            quantile("linkup_loadtest_latency_seconds", where='latency="delivery"'),
            unit="s", limits=above(yellow=0.1, red=0.25), w=6, to="linkup-gateway",
        ),
        stat_panel(
            "Connections",
            "Authenticated connections of the harness. Fewer than it has users after connect: the server turned some "
            "away, or cut them off. Next: Gateway, Closes by reason and Handshakes by outcome.",
            gauge("linkup_loadtest_connections"),
            unit="short", limits=AMOUNT, w=6, to="linkup-gateway",
        ),
        stat_panel(
            "Failed answers",
            "Share of the answers that said no. Next: Failed answers by action, and below it the server's errors by "
            "part.",
            share(rate("linkup_loadtest_answers_total", where=FAILED), rate("linkup_loadtest_answers_total")),
            unit="percentunit", limits=above(yellow=0.0001, red=0.001), w=6, decimals=2, to="linkup-api",
        ),
        stat_panel(
            "Faults in the time shown",
            "What must never happen, about as often as it did in the time that this page shows: any is red. lost, "
            "absent and contradicted are known when the run is judged, at its end. Next: Faults; the run's report has "
            "examples.",
            Query(f"round(sum(increase({series('linkup_loadtest_faults_total')}[$__range])))"),
            unit="none", limits=above(red=1), w=6,
        ),
        stat_panel(
            "Lateness of the harness",
            "How late the harness starts what is due, at the chosen quantile. It is part of every latency here. Above "
            "50 ms at p99 the harness is the bottleneck: give it another host or more cores, or ask for less.",
            quantile("linkup_loadtest_lateness_seconds"),
            unit="s", limits=LATENESS, w=6,
        ),
        stat_panel(
            "Skipped arrivals",
            "Share of what was due and was not even begun, since too much is unanswered. Less than what was asked for "
            "reaches the server then. Lateness is high as well: the harness. It is not: the server.",
            share(rate("linkup_loadtest_arrivals_total", where='outcome="skipped"'),
                  rate("linkup_loadtest_arrivals_total")),
            unit="percentunit", limits=SKIPPED, w=6, decimals=2,
        ),
    ]


def as_clients_see_it() -> list:
    return [
        time_panel(
            "Asked for and done",
            "Asked for: the plan. Started: what the harness did of it. Answered: well. Delivered: messages at sockets, "
            "one for each recipient. Started below asked for: skipped arrivals. Answered below started: the server "
            "does not keep up; see Server: traffic.",
            asked_for().named("asked for"),
            rate("linkup_loadtest_arrivals_total", where='outcome="started"').named("started"),
            rate("linkup_loadtest_answers_total", where='outcome="ok"').named("answered"),
            rate("linkup_loadtest_deliveries_total").named("delivered"),
            unit="cps", w=6, to="linkup-gateway",
        ),
        time_panel(
            "Latency of messages",
            "From the scheduled time to the arrival at a recipient, and to the answer that the sender gets. The dashed "
            "line is the objective for 99 of 100. Other latencies are in the row By action.",
            by_latency("0.5", MESSAGES).named("{{latency}} p50"),
            by_latency("0.99", MESSAGES).named("{{latency}} p99"),
            unit="s", limits=above(red=0.25), w=6, to="linkup-streamer",
        ),
        time_panel(
            "Failed answers by action",
            "What was refused, or failed. The action tells the way: a send goes over a socket, list, upload and post "
            "go over REST. Below it, Server: errors tells the part.",
            rate("linkup_loadtest_answers_total", by="action", where=FAILED),
            unit="cps", limits=above(red=1), w=6, to="linkup-api",
        ),
        time_panel(
            "Faults",
            "How many in each step; none is the only good number. duplicated, reordered, misdelivered, lost, absent: "
            "what people got is wrong. contradicted: two answers that cannot both be true. disconnected, "
            "protocol_error: see Gateway, Closes by reason.",
            Query(f"sum by (fault) (increase({series('linkup_loadtest_faults_total')}[{WINDOW}]))", "{{fault}}"),
            unit="none", limits=above(red=1), w=6, to="linkup-gateway",
        ),
    ]


def as_the_server_sees_it() -> list:
    return [
        time_panel(
            "Server: traffic",
            "What LinkUp itself counts: messages stored, deliveries to sockets, commands over sockets, REST requests. "
            "More than the harness does: somebody else is here as well. Messages below commands: the api does not "
            "keep up.",
            *traffic(),
            unit="cps", w=6, to=("linkup-gateway", "linkup-api"),
        ),
        time_panel(
            "Server: latency by stage",
            "Where a message waits, and the whole, from receipt to the write on a socket, at the chosen quantile. "
            "gateway_queue, api_queue: the api. commit: MongoDB. stream: streamer. bus: NATS. socket: gateway. A whole "
            "far below the harness's: network or harness.",
            quantile("linkup_message_stage_seconds", by="stage"),
            quantile("linkup_message_delivery_seconds").named("whole"),
            unit="s", limits=above(red=0.25), w=6, to=("linkup-streamer", "linkup-mongodb"),
        ),
        time_panel(
            "Server: errors",
            "Failures that are the server's fault, by part. The line that rose first is the cause. None, and answers "
            "fail nevertheless: a limit refused them; see Gateway, Refused by policy, and API, Throttled by limit.",
            *errors(),
            unit="cps", limits=above(red=1), w=6, to=("linkup-api", "linkup-mongodb"),
        ),
        time_panel(
            "Server: streamer lag",
            "How far the leader is behind what is stored. A climb while the rate stays: more is stored than streamed, "
            "and deliveries come later and later. Next: Streamer and bus.",
            gauge("linkup_streamer_lag_seconds", how="max").named("lag"),
            unit="s", limits=above(yellow=1, red=5), w=6, to="linkup-streamer",
        ),
    ]


def who_limits() -> list:
    return [
        time_panel(
            "Connections: harness and gateways",
            "Authenticated connections of the harness, and what the gateways have open. The gateways' line far above: "
            "others are connected, or connections hang.",
            gauge("linkup_loadtest_connections").named("harness"),
            gauge("linkup_gateway_connections").named("gateways"),
            unit="short", w=6, to="linkup-gateway",
        ),
        time_panel(
            "Lateness",
            "How late the harness starts what is due. Where this rises together with Latency of messages, the harness "
            "measures itself, and says nothing of the server.",
            quantile("linkup_loadtest_lateness_seconds", q="0.5").named("p50"),
            quantile("linkup_loadtest_lateness_seconds", q="0.99").named("p99"),
            unit="s", limits=LATENESS, w=6,
        ),
        time_panel(
            "Skipped arrivals by action",
            "What was due and not begun. They are counted and never made up for in a burst, so that what is asked for "
            "stays as even as it was planned.",
            rate("linkup_loadtest_arrivals_total", by="action", where='outcome="skipped"'),
            unit="cps", limits=above(red=1), w=6,
        ),
        time_panel(
            "Processor time: harness and server",
            "Cores in use by each. All together near the number of cores of the host: they take the processor from "
            "each other, and the numbers are those of this host. Put the harness elsewhere.",
            rate("linkup_loadtest_cpu_seconds_total", by="instance").named("harness {{instance}}"),
            Query(per_second("process_cpu_seconds_total"), "{{instance}}"),
            unit="none", w=6, to="linkup-overview",
        ),
    ]


def by_action() -> Row:
    return Row("By action", [
        time_panel(
            "Asked for by action",
            "The plan: what is due in a second. A step is a new rate of the run, or of its search for the highest one.",
            gauge("linkup_loadtest_offered_per_second", by="action"),
            unit="cps",
        ),
        time_panel(
            "Started by action",
            "What the harness began in a second. Below what was asked for: see Skipped arrivals by action.",
            rate("linkup_loadtest_arrivals_total", by="action", where='outcome="started"'),
            unit="cps",
        ),
        time_panel(
            "Answered by action",
            "What was answered well in a second. Below what was started: the server fails it, or takes its time.",
            rate("linkup_loadtest_answers_total", by="action", where='outcome="ok"'),
            unit="cps",
        ),
        time_panel(
            "Latency by kind, p50",
            "What half of all take, from the scheduled time on; 0 where nothing happened. One line alone is slow: its "
            "own work; list, upload and post: see API, Slowest routes.",
            by_latency("0.5"),
            unit="s", w=12, to="linkup-api",
        ),
        time_panel(
            "Latency by kind, p99",
            "What one of a hundred exceeds, from the scheduled time on. connect and reconnect: see Gateway, Time to be "
            "let in. All lines together: the host, or MongoDB.",
            by_latency("0.99"),
            unit="s", limits=above(yellow=0.25, red=1), w=12, to="linkup-mongodb",
        ),
    ])


def harnesses() -> Row:
    return Row("Harness", [
        time_panel(
            "Phases",
            "What each harness did when. What is outside of measure is not in the run's result: compare only there.",
            gauge("linkup_loadtest_phase", by="phase"),
            unit="none", w=6, stack=True,
        ),
        time_panel(
            "Lateness by harness",
            "How late each harness starts what is due, at the chosen quantile. One of several far above the others: "
            "its host.",
            quantile("linkup_loadtest_lateness_seconds", by="instance"),
            unit="s", limits=LATENESS, w=6,
        ),
        time_panel(
            "Connections by harness",
            "Authenticated connections of each harness. One that falls alone: its network or its limit of open files.",
            gauge("linkup_loadtest_connections", by="instance"),
            unit="short", w=6,
        ),
        time_panel(
            "Resident memory: harness and server",
            "Memory of each. A harness that only climbs holds what was not answered; a server that only climbs: see "
            "the row Processes of its dashboard.",
            gauge("linkup_loadtest_resident_memory_bytes", by="instance").named("harness {{instance}}"),
            Query(series("process_resident_memory_bytes"), "{{instance}}"),
            unit="bytes", w=6, to="linkup-overview",
        ),
    ])


def loadtest() -> dict:
    return board(
        "linkup-loadtest",
        "Does LinkUp do what a load harness asks of it, and is it the harness that limits? The harness's numbers are "
        "above, those of the server below, on the same time axis.",
        Row(
            "Does LinkUp do what is asked of it?",
            numbers() + as_clients_see_it() + as_the_server_sees_it() + who_limits(),
        ),
        by_action(),
        harnesses(),
        reporters=("linkup_build_info", "linkup_loadtest_phase"),
    )
