"""Gateways apart: a bad one among many good ones does not show in what all have together."""

from board import Row
from panels import above, time_panel
from queries import gauge, quantile, rate, share

SENDS = 'command="send"'
# How many instances a chart of the worst shows.
WORST = 5


def by_instance() -> Row:
    where = {"by": "instance"}
    not_let_in = 'outcome!~"admitted|recovered|gone"'
    return Row("By instance", [
        time_panel(
            "Slowest deliveries by instance",
            "Delivery latency of the gateways where it is highest, at the chosen quantile. One far above the others: "
            "its host or its network. All alike: what they have in common, see Delivery latency above.",
            quantile("linkup_message_delivery_seconds", **where).most(WORST),
            unit="s", limits=above(yellow=0.1, red=0.25),
        ),
        time_panel(
            "Failed sends by instance",
            "Share of its sends that failed by the server's fault, where it is largest. One instance alone: its way to "
            "the api, see Attempts after the first.",
            share(rate("linkup_gateway_commands_total", where=f'{SENDS}, result="failed"', **where),
                  rate("linkup_gateway_commands_total", where=SENDS, **where)).named("{{instance}}").most(WORST),
            unit="percentunit", limits=above(yellow=0.0005, red=0.001), to="linkup-api",
        ),
        time_panel(
            "Closes by instance",
            "Connections that ended otherwise than by the client's wish, where they are most. One instance alone: its "
            "network, or it was shut down; Closes by reason with this instance chosen tells which.",
            rate("linkup_gateway_closes_total", where='reason!="client"', **where).most(WORST),
            unit="cps",
        ),
        time_panel(
            "Connects by instance",
            "Sockets that were let in. One far below the others: the balancer avoids it, or it is not ready.",
            rate("linkup_gateway_connects_total", where='outcome=~"admitted|recovered"', **where),
            unit="cps",
        ),
        time_panel(
            "Connects turned away by instance",
            "Share of the sockets that asked to be let in and were not, where it is largest. One instance alone: it "
            "has another JWT_SECRET, or cannot reach the api.",
            share(rate("linkup_gateway_connects_total", where=not_let_in, **where),
                  rate("linkup_gateway_connects_total", **where)).named("{{instance}}").most(WORST),
            unit="percentunit", limits=above(yellow=0.1, red=0.5), high=1,
        ),
        time_panel(
            "Connections by instance",
            "What is open. They stay where they are when gateways are added; one that falls alone has lost its people.",
            gauge("linkup_gateway_connections", **where),
            unit="short",
        ),
    ])
