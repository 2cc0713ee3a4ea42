"""Streamer and bus: from committed changes to what gateways receive."""

from board import Row, board
from panels import AMOUNT, TRUE, YES_NO, above, bar_panel, below, exactly, stat_panel, time_panel
from processes import processes
from queries import Query, any_holds, gauge, quantile, rate, share, without


def key() -> Row:
    return Row("Does what is stored reach people?", [
        stat_panel(
            "Leaders",
            "Streamers that hold the lease. 0: nothing new reaches sockets; is any streamer up, and MongoDB? "
            "2 for longer than a scrape: one has not noticed that it lost the lease.",
            gauge("linkup_streamer_active"),
            unit="none", limits=exactly(1), w=6,
        ),
        stat_panel(
            "Lag",
            "How far the leader is behind what is stored: people get messages this much late. Next: row Change "
            "stream; is its processor busy, or MongoDB slow?",
            gauge("linkup_streamer_lag_seconds", how="max"),
            unit="s", limits=above(yellow=1, red=5), w=6, to="linkup-mongodb",
        ),
        stat_panel(
            "Lag, share of the oplog",
            "How much of the time that MongoDB's oplog covers the leader is behind. At 1 MongoDB drops what it has not "
            "read, and all clients have to read their conversations anew. Climbing: enlarge the oplog now, then find "
            "out why it lags. Oplog headroom has the same as time. Not reported: MongoDB does not tell how much that "
            "is; LinkUp's user needs the role clusterMonitor.",
            # A window of 0 is one that is not known.
            Query(f"{gauge('linkup_streamer_lag_seconds', how='max')}"
                  f" / ({gauge('linkup_mongodb_oplog_window_seconds', how='max')} > 0)"),
            unit="percentunit", limits=above(yellow=0.25, red=0.5), w=6, decimals=1, to="linkup-mongodb",
        ),
        stat_panel(
            "Changes not published yet",
            "Changes that were read and wait for the bus. Growing: the bus is slower than people write.",
            gauge("linkup_streamer_pending_changes", how="max"),
            unit="short", limits=above(yellow=1000, red=10000), w=6,
        ),
        stat_panel(
            "Bus connected",
            "Whether the bus is there for any streamer or gateway. NO: nobody gets anything new. Cut off: processes "
            "without a connection; Bus by instance tells which.",
            any_holds("linkup_bus_connected").named("connected"),
            exceptions=without("linkup_bus_connected").named("cut off"),
            unit="none", limits=TRUE, values=YES_NO, w=6,
        ),
        stat_panel(
            "Lost on the bus",
            "Deliveries a second that were dropped, malformed or not handed over. Gateways notice and ask again, so "
            "nobody misses anything, but it comes late.",
            Query(f"{rate('linkup_bus_slow_consumer_drops_total')} + {rate('linkup_bus_decode_errors_total')}"
                  f" + {rate('linkup_bus_failures_total')}"),
            unit="cps", limits=above(yellow=0.01, red=1), w=6,
        ),
        stat_panel(
            "Gateways known",
            "Gateways that the leader serves. Fewer than run: one cannot reach the bus, and its people get nothing "
            "new.",
            gauge("linkup_streamer_gateways", how="max"),
            unit="none", limits=below(red=1), w=6, to="linkup-gateway",
        ),
        stat_panel(
            "Users registered",
            "People whom the leader serves; close to the users of all gateways together.",
            gauge("linkup_streamer_users", how="max"),
            unit="short", limits=AMOUNT, w=6, to="linkup-gateway",
        ),
        time_panel(
            "Lag",
            "How far the active streamer is behind. A climb that does not end leads to lost history: see Oplog "
            "headroom.",
            gauge("linkup_streamer_lag_seconds", by="instance", how="max"),
            unit="s", limits=above(yellow=1, red=5), to="linkup-mongodb",
        ),
        time_panel(
            "Stages of a message",
            "stream: written to the oplog until handed to the bus. bus: until a gateway has it. At the chosen "
            "quantile.",
            quantile("linkup_message_stage_seconds", by="stage", where='stage=~"stream|bus"'),
            unit="s", limits=above(yellow=0.1, red=0.25), to="linkup-gateway",
        ),
        time_panel(
            "From changes to deliveries",
            "Changes read, events made of them, deliveries to gateways. Changes without events: nobody is registered, "
            "or they are skipped.",
            rate("linkup_streamer_changes_total").named("changes"),
            rate("linkup_streamer_events_total").named("events"),
            rate("linkup_streamer_deliveries_total").named("deliveries"),
            unit="cps",
        ),
    ])


def lease() -> Row:
    return Row("Lease and resume point", [
        time_panel(
            "Leader by instance",
            "1 for the streamer that holds the lease. Lines that take turns: a leader that loses it again and again.",
            gauge("linkup_streamer_active", by="instance", how="max"),
            unit="none", high=1,
        ),
        time_panel(
            "Term",
            "The term of the lease that each streamer holds or held. Each step up is a change of leader, which "
            "gateways answer by registering their users again.",
            gauge("linkup_streamer_term", by="instance", how="max"),
            unit="none",
        ),
        time_panel(
            "Lease by outcome",
            "renewed is the heartbeat. failed: MongoDB did not answer; a few in a row and the lease is lost.",
            rate("linkup_streamer_lease_total", by="outcome"),
            unit="cps", to="linkup-mongodb",
        ),
        time_panel(
            "Age of the saved resume point",
            "How far back a new leader would begin. Climbing: it cannot be saved, see Saves, or the bus does not "
            "confirm.",
            gauge("linkup_streamer_resume_age_seconds", by="instance", how="max"),
            unit="s", limits=above(yellow=30, red=120),
        ),
        time_panel(
            "Saves of the resume point",
            "failed: MongoDB did not take it, or another streamer holds the lease.",
            rate("linkup_streamer_resume_saves_total", by="result"),
            unit="cps", to="linkup-mongodb",
        ),
        time_panel(
            "Oplog headroom",
            "Oplog window minus lag. At 0 history is lost and all clients read anew. In a young replica set it is "
            "short and climbs. No line: MongoDB does not tell the window; LinkUp's user needs the role "
            "clusterMonitor.",
            gauge("linkup_streamer_oplog_headroom_seconds", by="instance", how="max"),
            unit="s", limits=below(red=600, yellow=3600), to="linkup-mongodb",
        ),
    ])


def change_stream() -> Row:
    return Row("Change stream", [
        time_panel(
            "Changes by collection",
            "What is written. One collection far above usual names the cause of a lag: a storm of reads or of "
            "presence.",
            rate("linkup_streamer_changes_total", by="collection"),
            unit="cps", stack=True,
        ),
        time_panel(
            "Changes in a batch",
            "At the chosen quantile. Large batches: the streamer catches up or there is much to do.",
            quantile("linkup_streamer_batch_changes", q="0.5").named("p50"),
            quantile("linkup_streamer_batch_changes").named("quantile $quantile"),
            unit="short",
        ),
        time_panel(
            "Changes not published yet",
            "Changes that were read and are not published. Growing with a quick bus: the streamer's core is full.",
            gauge("linkup_streamer_pending_changes", by="instance", how="max"),
            unit="short", limits=above(yellow=1000, red=10000),
        ),
        time_panel(
            "History losses",
            "The change stream could not be resumed and every client was made to read anew. Never in health: the "
            "oplog is too small, or the streamer was away too long.",
            rate("linkup_streamer_history_losses_total", by="instance"),
            unit="cps", limits=above(red=0.000001), to="linkup-mongodb",
        ),
        time_panel(
            "Stream opened again",
            "After a failure of MongoDB; a few at an election. Steady: read the streamer's log.",
            rate("linkup_streamer_failures_total", by="instance"),
            unit="cps", limits=above(yellow=0.01, red=0.1), to="linkup-mongodb",
        ),
        time_panel(
            "Skipped",
            "Changes that could not be made into events, and events too large to publish. Not zero: people miss these "
            "until they read over REST; the log names them.",
            rate("linkup_streamer_skipped_total", by="instance"),
            unit="cps", limits=above(red=0.001),
        ),
    ])


def events() -> Row:
    return Row("Events and registrations", [
        time_panel(
            "Events by name",
            "What people are told. One name far above the others is what keeps gateways busy: Gateway, row Traffic.",
            rate("linkup_streamer_events_total", by="event"),
            unit="eps", stack=True,
        ),
        time_panel(
            "Recipients of an event",
            "Users that one event was for, at the chosen quantile: the size of the conversations that are active.",
            quantile("linkup_streamer_recipients", q="0.5").named("p50"),
            quantile("linkup_streamer_recipients").named("quantile $quantile"),
            unit="short",
        ),
        time_panel(
            "Deliveries by kind",
            "beat is the heartbeat to gateways, replay is for people who came back, registered answers registrations.",
            rate("linkup_streamer_deliveries_total", by="kind"),
            unit="cps",
        ),
        time_panel(
            "Registrations",
            "join: a user's first socket. resync: a gateway registers everybody again, after a gap or a change of "
            "leader.",
            rate("linkup_streamer_registrations_total", by="kind"),
            unit="cps", to="linkup-gateway",
        ),
        time_panel(
            "Gateways and users",
            "Whom the leader serves. Users that fall while connections do not: registrations are lost on the bus.",
            gauge("linkup_streamer_gateways", how="max").named("gateways"),
            gauge("linkup_streamer_users", how="max").named("users"),
            unit="short", to="linkup-gateway",
        ),
        time_panel(
            "Gateways made to register again",
            "Because a request of theirs was lost on the bus.",
            rate("linkup_streamer_recalls_total").named("recalls"),
            unit="cps", limits=above(yellow=0.01, red=0.1),
        ),
        time_panel(
            "Replayed events",
            "Events sent again to gateways, for people who came back or after a gap.",
            rate("linkup_streamer_replayed_events_total").named("events"),
            unit="eps",
        ),
        time_panel(
            "Users who were away too long",
            "Registering users for whom the log no longer held everything: they read what they missed over REST.",
            rate("linkup_streamer_incomplete_users_total").named("users"),
            unit="cps",
        ),
        time_panel(
            "Log for replay: events",
            "Events held, and users of whom it is known when their last event was that is no longer held.",
            gauge("linkup_streamer_log_events", how="max").named("events"),
            gauge("linkup_streamer_forgotten_users", how="max").named("forgotten users"),
            unit="short",
        ),
        time_panel(
            "Log for replay: bytes",
            "Its size is bounded; at the bound, old events leave as new ones come, and people may be away less long.",
            gauge("linkup_streamer_log_bytes", how="max").named("bytes"),
            unit="bytes", w=12,
        ),
        time_panel(
            "Typing",
            "passed, refused (not a participant) or dropped (too many); and the queries that typing costs.",
            rate("linkup_streamer_typing_total", by="result"),
            rate("linkup_streamer_typing_lookups_total").named("queries"),
            unit="cps", w=12,
        ),
    ])


def caches() -> Row:
    return Row("Caches", [
        bar_panel(
            "Hits",
            "Share of lookups that need no query. Low after a start, then near 1; low for long: the cache is too "
            "small and the streamer slow.",
            Query("1 - " + share(rate("linkup_streamer_cache_lookups_total", by="cache", where='result="miss"'),
                                 rate("linkup_streamer_cache_lookups_total", by="cache")).expr, "{{cache}}"),
            unit="percentunit", limits=below(red=0.5, yellow=0.8), high=1,
        ),
        time_panel(
            "Lookups",
            "By cache and result. A miss costs a query to MongoDB.",
            rate("linkup_streamer_cache_lookups_total", by="cache, result"),
            unit="cps", to="linkup-mongodb",
        ),
        time_panel(
            "Queries for an audience",
            "For whom to tell that somebody came or went. timed_out: friends see it late.",
            rate("linkup_streamer_audience_queries_total", by="result"),
            unit="cps", to="linkup-mongodb",
        ),
    ])


def bus() -> Row:
    return Row("Bus", [
        time_panel(
            "Bus by instance",
            "1 while a process has its connection. All at 0: NATS is away. One at 0: the network of its host.",
            gauge("linkup_bus_connected", by="instance", how="min"),
            unit="none", limits=below(red=1), high=1,
        ),
        time_panel(
            "Deliveries",
            "From streamer to gateways. received below published for long: gateways do not keep up, or cannot reach "
            "the bus.",
            rate("linkup_bus_deliveries_total", by="direction"),
            unit="cps",
        ),
        time_panel(
            "Bytes of deliveries",
            "Encoded; 0 where all is one process.",
            rate("linkup_bus_delivery_bytes_total", by="direction"),
            unit="Bps",
        ),
        time_panel(
            "Uplinks",
            "Messages from gateways to streamers: registrations and typing. Every streamer receives them.",
            rate("linkup_bus_uplinks_total", by="direction"),
            unit="cps",
        ),
        time_panel(
            "Confirmation",
            "A round trip through the bus. High: NATS or the network is slow, and so is every delivery.",
            quantile("linkup_bus_confirm_seconds", q="0.5").named("p50"),
            quantile("linkup_bus_confirm_seconds").named("quantile $quantile"),
            unit="s", limits=above(yellow=0.05, red=0.5),
        ),
        time_panel(
            "Not handed over",
            "timeout: the bus does not answer. too_large: an event above the bus's limit (raise NATS' max_payload).",
            rate("linkup_bus_failures_total", by="reason"),
            unit="cps", limits=above(red=0.01),
        ),
        time_panel(
            "Reconnects",
            "Connections made anew. Steady: NATS restarts, or closes us as a slow consumer.",
            rate("linkup_bus_reconnects_total", by="instance"),
            unit="cps", limits=above(red=0.01),
        ),
        time_panel(
            "Dropped for a slow consumer",
            "This process did not keep up with the bus. Its gateway asks again for what is missing; look at its "
            "processor.",
            rate("linkup_bus_slow_consumer_drops_total", by="instance"),
            unit="cps", limits=above(red=0.01), to="linkup-gateway",
        ),
        time_panel(
            "Malformed",
            "Messages that could not be decoded: two versions that do not understand each other, or a stranger on the "
            "bus.",
            rate("linkup_bus_decode_errors_total", by="instance"),
            unit="cps", limits=above(red=0.01),
        ),
    ])


def streamer() -> dict:
    return board(
        "linkup-streamer",
        "From committed changes to what gateways receive: lease, change stream, events, and the bus between processes.",
        key(),
        lease(),
        change_stream(),
        events(),
        caches(),
        bus(),
        processes("streamer"),
    )
