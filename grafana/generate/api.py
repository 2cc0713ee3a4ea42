"""API: REST routes, and the commits of messages."""

from board import Row, board
from gateway import batchers
from panels import AMOUNT, above, bar_panel, stat_panel, time_panel
from processes import processes
from queries import REST, Query, gauge, quantile, rate, share

FAILED = 'status=~"500|503"'


def key() -> Row:
    return Row("Are messages stored, and are requests answered?", [
        stat_panel(
            "Messages stored",
            "Messages a second that a majority of MongoDB has. Zero with people connected and the probe failing: "
            "nobody can send.",
            rate("linkup_api_messages_committed_total"),
            unit="mps", limits=AMOUNT, w=6,
        ),
        stat_panel(
            "Time of a commit",
            "Duration of a group commit at the chosen quantile: the least that a sender waits. Next: MongoDB.",
            quantile("linkup_api_commit_seconds"),
            unit="s", limits=above(yellow=0.1, red=0.25), w=6, to="linkup-mongodb",
        ),
        stat_panel(
            "Messages given up",
            "Messages a second that failed because MongoDB was away or a lane was full. People see \"not sent\".",
            Query(f"{rate('linkup_api_messages_expired_total')} + {rate('linkup_api_messages_overload_total')}"),
            unit="mps", limits=above(yellow=0.01, red=1), w=6, to="linkup-mongodb",
        ),
        stat_panel(
            "REST requests",
            "Requests of people a second, of all routes. What gateways ask for is not among them: see Busiest routes.",
            rate("linkup_api_requests_total", where=REST),
            unit="reqps", limits=AMOUNT, w=6,
        ),
        stat_panel(
            "REST failures",
            "Share of requests answered with 500 or 503. 503: MongoDB is away; 500: a fault of ours, and the log has "
            "it.",
            share(rate("linkup_api_requests_total", where=f"{REST}, {FAILED}"),
                  rate("linkup_api_requests_total", where=REST)),
            unit="percentunit", limits=above(yellow=0.001, red=0.01), w=6, decimals=2, to="linkup-mongodb",
        ),
        stat_panel(
            "REST latency",
            "From the head of a person's request to its response, all routes together, at the chosen quantile. "
            "Next: Slowest routes.",
            quantile("linkup_api_request_seconds", where=REST),
            unit="s", limits=above(yellow=0.25, red=1), w=6,
        ),
        stat_panel(
            "Requests in flight",
            "Requests that are being answered. A climb means that something they wait for has become slow: MongoDB, or "
            "passwords.",
            gauge("linkup_api_requests_in_flight"),
            unit="short", limits=above(yellow=200, red=1000), w=6,
        ),
        stat_panel(
            "Throttled",
            "Requests a second refused because of too many before. High: an attack, or a client that repeats itself; "
            "see Throttled by limit.",
            rate("linkup_api_throttled_total"),
            unit="reqps", limits=above(yellow=1, red=50), w=6,
        ),
        time_panel(
            "Messages",
            "Stored; repeated (sent again and answered with the stored one); expired (MongoDB was away); overload (a "
            "lane was full). The last two are failures that people see.",
            rate("linkup_api_messages_committed_total").named("stored"),
            rate("linkup_api_messages_repeated_total").named("repeated"),
            rate("linkup_api_messages_expired_total").named("expired"),
            rate("linkup_api_messages_overload_total").named("overload"),
            unit="mps",
        ),
        time_panel(
            "Where a message waits",
            "api_queue: for its lane; commit: for MongoDB. A high queue with quick commits: too much for the lanes, "
            "or one conversation that takes it all.",
            quantile("linkup_message_stage_seconds", by="stage", where='stage=~"api_queue|commit"'),
            unit="s", limits=above(yellow=0.1, red=0.25), to="linkup-mongodb",
        ),
        time_panel(
            "Requests by status",
            "Of people and of gateways, which commit messages by requests. 4xx is what clients did wrong, 429 our "
            "limits, 500 and 503 our failures.",
            rate("linkup_api_requests_total", by="status"),
            unit="reqps", stack=True,
        ),
    ])


def routes() -> Row:
    by_route = rate("linkup_api_requests_total", by="route")
    return Row("Routes", [
        bar_panel(
            "Busiest routes",
            "Requests a second by route. What is far more than usual is a client that repeats itself, or people who "
            "catch up.",
            by_route.most(12),
            unit="reqps", limits=AMOUNT, h=10,
        ),
        bar_panel(
            "Slowest routes",
            "Time of a request by route, at the chosen quantile. All slow: MongoDB or processor. One slow: its query.",
            quantile("linkup_api_request_seconds", by="route").most(12),
            unit="s", limits=above(yellow=0.25, red=1), h=10, to="linkup-mongodb",
        ),
        bar_panel(
            "Failing routes",
            "Answers 500 and 503 a second by route.",
            rate("linkup_api_requests_total", by="route", where=FAILED).most(12),
            unit="reqps", limits=above(yellow=0.01, red=1), h=10,
        ),
        time_panel(
            "Requests by route",
            "The six busiest in the course of time.",
            by_route.most(6),
            unit="reqps",
        ),
        time_panel(
            "Requests in flight by instance",
            "One instance far above the others: it is slow, or the balancer prefers it.",
            gauge("linkup_api_requests_in_flight", by="instance"),
            unit="short", limits=above(yellow=200, red=1000),
        ),
        time_panel(
            "Size of responses",
            "Size of a response's body, at the chosen quantile. Growing: lists that become long.",
            quantile("linkup_api_response_bytes", q="0.5").named("p50"),
            quantile("linkup_api_response_bytes").named("quantile $quantile"),
            unit="bytes",
        ),
    ])


def commits() -> Row:
    return Row("Commits and batches", [
        time_panel(
            "Time of a commit",
            "Duration of a group commit, retries included.",
            quantile("linkup_api_commit_seconds", q="0.5").named("p50"),
            quantile("linkup_api_commit_seconds").named("quantile $quantile"),
            unit="s", limits=above(yellow=0.1, red=0.25), to="linkup-mongodb",
        ),
        time_panel(
            "Conflicts and retries",
            "conflicts: two api nodes numbered the same conversation; a few after a gateway or api node changed. "
            "retries: MongoDB did not say whether a commit succeeded; a peak is an election.",
            rate("linkup_api_commit_conflicts_total").named("conflicts"),
            rate("linkup_api_commit_retries_total").named("retries"),
            unit="cps", limits=above(yellow=1, red=10), to="linkup-mongodb",
        ),
        time_panel(
            "Views of last messages written",
            "Written behind the answer, at most once a second for each conversation; nobody waits for them.",
            rate("linkup_api_views_written_total").named("views"),
            unit="wps",
        ),
        *batchers("api", "MongoDB does not keep up, see Time of a commit"),
    ])


def limits_and_passwords() -> Row:
    return Row("Limits, passwords and presence", [
        time_panel(
            "Throttled by limit",
            "account: somebody guesses passwords; address: many requests from one place; the rest: people in a hurry.",
            rate("linkup_api_throttled_total", by="limit"),
            unit="reqps", limits=above(yellow=1, red=50),
        ),
        time_panel(
            "Time for a password",
            "To hash or check one, waiting included. High: a storm of logins uses all cores; people wait to log in.",
            quantile("linkup_api_password_seconds", q="0.5").named("p50"),
            quantile("linkup_api_password_seconds").named("quantile $quantile"),
            unit="s", limits=above(yellow=0.5, red=2),
        ),
        time_panel(
            "Gateways expired",
            "Gateways that fell silent and were taken for dead; their users were set offline. Not zero without a "
            "restart: a gateway cannot reach the api.",
            rate("linkup_api_gateways_swept_total").named("gateways"),
            unit="cps", limits=above(red=0.01), to="linkup-gateway",
        ),
        time_panel(
            "Changes of presence in a batch",
            "At the chosen quantile. Grows when many come or go at once.",
            quantile("linkup_api_presence_batch_changes").named("quantile $quantile"),
            unit="short",
        ),
        time_panel(
            "Status changes",
            "Users whose status changed; friends are told. A user at several gateways counts once.",
            rate("linkup_api_status_transitions_total").named("changes"),
            unit="cps",
        ),
        time_panel(
            "Old messages of probes removed",
            "Housekeeping: as many as the probe sends, a day later.",
            rate("linkup_api_probe_messages_removed_total").named("messages"),
            unit="mps",
        ),
    ])


def api() -> dict:
    return board(
        "linkup-api",
        "The only writer: REST routes, and the commits of messages.",
        key(),
        routes(),
        commits(),
        limits_and_passwords(),
        processes("api"),
    )
