"""Gateway: connections, what clients ask for, and what reaches them."""

from board import Row, board
from gateway_instances import SENDS, by_instance
from panels import AMOUNT, above, bar_panel, stat_panel, time_panel
from processes import processes
from queries import Query, fullness, gauge, quantile, rate, series, share


def batchers(prefix: str, next_step: str) -> list:
    """What is known of the batchers whose names begin with `prefix`."""
    which = f'batcher=~"{prefix}_.*"'
    return [
        time_panel(
            "Batchers: requests that wait",
            f"Requests that wait for a batch. Growing means that {next_step}.",
            gauge("linkup_batcher_queue_items", by="batcher", where=which),
            unit="short", w=6,
        ),
        time_panel(
            "Batchers: wait",
            "From enqueueing a request to the start of its batch, at the chosen quantile: part of what people wait "
            "for.",
            quantile("linkup_batcher_wait_seconds", by="batcher", where=which),
            unit="s", limits=above(yellow=0.1, red=0.25), w=6,
        ),
        time_panel(
            "Batchers: size of batches",
            "Requests in a batch, at the chosen quantile. Batches grow with load, which makes each request cheaper; "
            "at their limit the queues grow instead.",
            quantile("linkup_batcher_batch_items", by="batcher", where=which),
            unit="short", w=6,
        ),
        time_panel(
            "Batchers: refused",
            f"Requests refused because a queue was full; people see a failure. It means that {next_step}.",
            rate("linkup_batcher_refused_total", by="batcher", where=which),
            unit="cps", limits=above(red=0.1), w=6,
        ),
    ]


def key() -> Row:
    return Row("Are people connected, and does what they do arrive?", [
        stat_panel(
            "Open connections",
            "Connections to the chosen gateways. A sudden fall: people lost their connection; look at Closes by "
            "reason.",
            gauge("linkup_gateway_connections"),
            unit="short", limits=AMOUNT, w=6,
        ),
        stat_panel(
            "Users with a socket",
            "People connected to the chosen gateways.",
            gauge("linkup_gateway_users"),
            unit="short", limits=AMOUNT, w=6,
        ),
        stat_panel(
            "Handshakes refused",
            "Share of handshakes that were not accepted. Near 1 nobody can come in: see Handshakes by outcome.",
            share(rate("linkup_gateway_handshakes_total", where='outcome!="accepted"'),
                  rate("linkup_gateway_handshakes_total")),
            unit="percentunit", limits=above(yellow=0.1, red=0.5), w=6, decimals=1,
        ),
        stat_panel(
            "Sends failed",
            "Share of sends that failed by the server's fault. Next: Calls to the api; if those are fine, MongoDB.",
            share(rate("linkup_gateway_commands_total", where=f'{SENDS}, result="failed"'),
                  rate("linkup_gateway_commands_total", where=SENDS)),
            unit="percentunit", limits=above(yellow=0.0005, red=0.001), w=6, decimals=2, to="linkup-api",
        ),
        stat_panel(
            "Delivery latency",
            "From receipt to the write on the recipient's socket, at the chosen quantile; for p99 the objective is "
            "0.25 s.",
            quantile("linkup_message_delivery_seconds"),
            unit="s", limits=above(yellow=0.1, red=0.25), w=6, to="linkup-streamer",
        ),
        stat_panel(
            "Slow consumers closed",
            "Connections a second that were closed because their client did not read. They come back and catch up; "
            "many of them: a network that is too slow, or too large a burst.",
            rate("linkup_gateway_closes_total", where='reason="slow_consumer"'),
            unit="cps", limits=above(yellow=0.1, red=1), w=6,
        ),
        stat_panel(
            "Send queue, fullest",
            "How full the queue of messages that wait for the api is. At 1 sends are refused. Next: Calls to the api.",
            fullness("linkup_gateway_send_waiting_bytes", "linkup_gateway_send_waiting_limit_bytes"),
            unit="percentunit", limits=above(yellow=0.5, red=0.8), w=6, to="linkup-api",
        ),
        stat_panel(
            "Users registered again",
            "Times a second that a gateway registered all its users again, because something may have been lost. "
            "Now and then is harmless; steady means that the bus loses messages or streamers change.",
            rate("linkup_gateway_resyncs_total"),
            unit="cps", limits=above(yellow=0.01, red=0.1), w=6, to="linkup-streamer",
        ),
        time_panel(
            "Connections by protocol and transport",
            "What is open. A growing share of polling means that something on the way does not let WebSockets through.",
            gauge("linkup_gateway_connections", by="protocol, transport"),
            unit="short", w=12, stack=True,
        ),
        time_panel(
            "Closes by reason",
            "Why connections ended. client and lost are daily life; heartbeat and lost together: the network. "
            "slow_consumer, too_many, shutdown: ours.",
            rate("linkup_gateway_closes_total", by="reason"),
            unit="cps", w=12,
        ),
        time_panel(
            "Commands by result",
            "ok; rejected: the client's fault; failed: the server's; refused: too many. failed is what people call "
            "broken.",
            rate("linkup_gateway_commands_total", by="result"),
            unit="cps", w=12,
        ),
        time_panel(
            "Delivery latency",
            "The whole way of a message, and the two stages that are the gateway's: waiting for the api, and the "
            "write.",
            quantile("linkup_message_delivery_seconds").named("whole"),
            quantile("linkup_message_stage_seconds", by="stage", where='stage=~"gateway_queue|socket"'),
            unit="s", limits=above(red=0.25), w=12, to="linkup-streamer",
        ),
    ])


def coming_and_going() -> Row:
    return Row("Coming and going", [
        time_panel(
            "Handshakes by outcome",
            "accepted, or why not. application: the gateway cannot do its job and sends people elsewhere. version, "
            "method, broken: clients that do not speak our protocol.",
            rate("linkup_gateway_handshakes_total", by="outcome"),
            unit="cps",
        ),
        time_panel(
            "Connects by outcome",
            "Sockets that asked to be let in. bad_token for everybody: JWT_SECRET differs between processes. away: "
            "the api or MongoDB did not answer. recovered: came back and missed nothing.",
            rate("linkup_gateway_connects_total", by="outcome"),
            unit="cps",
        ),
        time_panel(
            "Time to be let in",
            "From asking to be connected to being admitted: the api is asked about the user and the streamer "
            "registers it.",
            quantile("linkup_gateway_connect_seconds", q="0.5").named("p50"),
            quantile("linkup_gateway_connect_seconds").named("quantile $quantile"),
            unit="s", limits=above(yellow=1, red=5),
        ),
        time_panel(
            "Refused by policy",
            "Limits that people or attackers ran into. One policy far above the others names the kind of client: "
            "origin: a page on another address (CLIENT_URL); address_connections: many behind one address.",
            rate("linkup_gateway_refused_total", by="policy"),
            unit="cps", limits=above(red=10),
        ),
        time_panel(
            "Heartbeat",
            "From a ping to the client's pong, at the chosen quantile: the network between people and us, and their "
            "devices.",
            quantile("linkup_gateway_heartbeat_seconds", q="0.5").named("p50"),
            quantile("linkup_gateway_heartbeat_seconds").named("quantile $quantile"),
            unit="s", limits=above(yellow=1, red=5),
        ),
        time_panel(
            "TCP connections that could not be accepted",
            "Not zero: the process is out of open files, or the kernel out of memory. People see a timeout.",
            rate("linkup_gateway_accept_errors_total", by="instance"),
            unit="cps", limits=above(red=0.01),
        ),
        time_panel(
            "Upgrades and polls",
            "Polling sessions that went on over a WebSocket, and polls answered. Many polls and no upgrades: "
            "something on the way blocks WebSockets.",
            rate("linkup_gateway_upgrades_total").named("upgrades"),
            rate("linkup_gateway_polls_total").named("polls"),
            unit="cps",
        ),
        bar_panel(
            "Connections by client",
            "What clients say that they are. If only one version has trouble, it is that version's.",
            gauge("linkup_gateway_client_connections", by="library, version").most(12),
            unit="short", limits=AMOUNT,
        ),
        time_panel(
            "Sockets turned away",
            "Because of a change to their user: all sessions ended, or the user is gone. A peak follows a password "
            "reset for many.",
            rate("linkup_gateway_dismissed_total", by="reason"),
            unit="cps",
        ),
    ])


def traffic() -> Row:
    return Row("Traffic", [
        time_panel(
            "Commands",
            "What clients ask for, by command.",
            rate("linkup_gateway_commands_total", by="command"),
            unit="cps", w=12,
        ),
        time_panel(
            "Commands that did not succeed",
            "By command and result. failed needs you; refused is the limit for each user or connection at work.",
            rate("linkup_gateway_commands_total", by="command, result", where='result!="ok"'),
            unit="cps", w=12, limits=above(red=1),
        ),
        time_panel(
            "Events to sockets",
            "Events put into sockets' queues, by name. typing above everything: a client that repeats itself.",
            rate("linkup_gateway_events_total", by="event"),
            unit="eps", w=12, stack=True,
        ),
        time_panel(
            "Sockets for each event",
            "To how many sockets here one event went, at the chosen quantile: the size of the rooms that are active.",
            quantile("linkup_gateway_fanout_sockets", q="0.5").named("p50"),
            quantile("linkup_gateway_fanout_sockets").named("quantile $quantile"),
            unit="short", w=12,
        ),
        time_panel(
            "Frames",
            "WebSocket frames and polling clients' packets.",
            rate("linkup_gateway_frames_total", by="direction"),
            unit="pps", w=12,
        ),
        time_panel(
            "Bytes",
            "Their bytes. Compare out with what the network card carries.",
            rate("linkup_gateway_bytes_total", by="direction"),
            unit="Bps", w=12,
        ),
    ])


def queues() -> Row:
    slower = "the api does not keep up, see Calls to the api"
    return Row("Queues and limits", [
        time_panel(
            "Messages that wait for the api",
            "Bytes of messages that wait, and the limit above which sends are refused.",
            gauge("linkup_gateway_send_waiting_bytes", by="instance"),
            gauge("linkup_gateway_send_waiting_limit_bytes", how="max").named("limit"),
            unit="bytes", to="linkup-api",
        ),
        time_panel(
            "Backlog of people who came back",
            "What clients that came back have not read yet, and its limit. At the limit people catch up over REST "
            "instead.",
            gauge("linkup_gateway_backlog_bytes", by="instance"),
            gauge("linkup_gateway_backlog_limit_bytes", how="max").named("limit"),
            unit="bytes",
        ),
        time_panel(
            "Queue of the hub",
            "What waits for the task that knows all users. Growing: one core is not enough for this gateway, add "
            "another.",
            gauge("linkup_gateway_hub_queue_commands", by="instance"),
            unit="short", limits=above(yellow=1000, red=10000),
        ),
        *batchers("gateway", slower),
    ])


def calls() -> Row:
    return Row("Calls to the api", [
        time_panel(
            "Batches by result",
            "retried: another attempt was needed, nobody noticed more than a delay. failed: people were told so.",
            rate("linkup_gateway_api_batches_total", by="result"),
            unit="cps", to="linkup-api",
        ),
        time_panel(
            "Commands by result of their batch",
            "As before, but counted by commands: how many people's commands were retried or failed.",
            rate("linkup_gateway_api_commands_total", by="result"),
            unit="cps", to="linkup-api",
        ),
        time_panel(
            "Attempts after the first",
            "Not zero: an api node died, was restarted, or did not answer in time. Steady: look at the API's "
            "processes.",
            rate("linkup_gateway_api_retries_total", by="instance"),
            unit="cps", limits=above(yellow=0.1, red=5), to="linkup-api",
        ),
        time_panel(
            "Time of a call",
            "From sending a batch to its answer. Follows the time of a commit; if it does not, the network between is "
            "slow.",
            quantile("linkup_gateway_api_call_seconds", q="0.5").named("p50"),
            quantile("linkup_gateway_api_call_seconds").named("quantile $quantile"),
            unit="s", limits=above(yellow=0.1, red=0.25), to="linkup-api",
        ),
        time_panel(
            "Requests passed to the api",
            "REST requests that come through the gateway. unreachable: no api node; late: it did not answer in time.",
            rate("linkup_gateway_proxied_total", by="outcome"),
            unit="reqps", to="linkup-api",
        ),
        time_panel(
            "Time of a passed request",
            "From a request's head to the head of the api's answer.",
            quantile("linkup_gateway_proxy_seconds", q="0.5").named("p50"),
            quantile("linkup_gateway_proxy_seconds").named("quantile $quantile"),
            unit="s", limits=above(yellow=0.25, red=1), to="linkup-api",
        ),
        time_panel(
            "Requests for another gateway's session",
            "Requests of polling clients that reached the wrong gateway and were passed on. Many: the balancer does "
            "not keep clients with their gateway. unreachable, late: gateways cannot reach each other.",
            rate("linkup_gateway_passed_requests_total", by="outcome"),
            unit="reqps", w=12,
        ),
        time_panel(
            "Batches of presence",
            "Presence and heartbeats to the api. failed: who is online is out of date for people until it works again.",
            rate("linkup_gateway_presence_batches_total", by="result"),
            unit="cps", w=12, to="linkup-api",
        ),
    ])


def recovery() -> Row:
    return Row("Recovery and presence", [
        time_panel(
            "Gaps by reason",
            "Why users had to be registered again. numbers: the bus lost a delivery. new_streamer: the leader changed. "
            "bus_reconnected, silence: the bus or the streamer was away.",
            rate("linkup_gateway_gaps_total", by="reason"),
            unit="cps", limits=above(red=0.1), to="linkup-streamer",
        ),
        time_panel(
            "Users registered again",
            "Times that all users of a gateway were registered again. Nothing is lost by it, but it costs the "
            "streamer.",
            rate("linkup_gateway_resyncs_total", by="instance"),
            unit="cps", limits=above(yellow=0.01, red=0.1), to="linkup-streamer",
        ),
        time_panel(
            "Sockets that came back",
            "recovered: they got exactly what they missed. missed: the streamer no longer had it, and the client "
            "reads it over REST.",
            rate("linkup_gateway_recoveries_total", by="result"),
            unit="cps", to="linkup-streamer",
        ),
        time_panel(
            "Events given to those who came back",
            "A peak follows every outage: this is people catching up.",
            rate("linkup_gateway_recovered_events_total").named("events"),
            unit="eps",
        ),
        time_panel(
            "Sockets replaced by their client's new one",
            "The client came back before its old socket was noticed as lost. Many: a network that drops connections.",
            rate("linkup_gateway_replaced_total").named("replaced"),
            unit="cps",
        ),
        time_panel(
            "Presence",
            "People who are here, or were a moment ago.",
            gauge("linkup_gateway_presence_users").named("people"),
            unit="short",
        ),
        time_panel(
            "Changes of presence",
            "Changes that the api was told. A storm of them follows a network that flaps.",
            rate("linkup_gateway_presence_changes_total").named("changes"),
            unit="cps", w=12, to="linkup-api",
        ),
        time_panel(
            "Shown as typing",
            "People who are shown as typing to somebody here.",
            Query(f"sum({series('linkup_gateway_typing')})", "people"),
            unit="short", w=12,
        ),
    ])


def gateway() -> dict:
    return board(
        "linkup-gateway",
        "The edge: connections, what clients ask for, and what reaches them.",
        key(),
        coming_and_going(),
        traffic(),
        queues(),
        calls(),
        recovery(),
        by_instance(),
        processes("gateway"),
    )
