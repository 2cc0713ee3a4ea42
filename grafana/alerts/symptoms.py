"""Symptoms beside the burn rates, what cannot be measured any more, and the aftermath of an outage."""

from causes import HOLD
from durations import TimeScale
from objectives import POST_MESSAGE
from rule import Alert


def symptoms(scale: TimeScale) -> list[Alert]:
    return [probe_failing(scale), connections_refused(scale)]


def probe_failing(scale: TimeScale) -> Alert:
    return Alert(
        name="LinkUpProbeFailing",
        severity="page",
        layer="symptom",
        # A probe that has a fault of its own says nothing of the server.
        expr="max(linkup_probe_up) == 0\n"
        f'and sum(rate(linkup_probe_exchanges_total{{result=~"late|refused|unreachable"}}[{scale("5m")}])) > 0',
        pending="2m",
        hold=HOLD,
        dashboard="linkup-overview",
        summary="People cannot chat",
        description="No probe gets a message through, and no known cause explains it.",
    )


def connections_refused(scale: TimeScale) -> Alert:
    window = scale("5m")
    refused = f'sum(increase(linkup_gateway_refused_total{{policy="away"}}[{window}]))'
    accepted = f'sum(increase(linkup_gateway_handshakes_total{{outcome="accepted"}}[{window}]))'
    return Alert(
        name="LinkUpConnectionsRefused",
        severity="page",
        layer="symptom",
        expr=f"{refused}\n/ (\n  {refused}\n  + {accepted} > 0\n) > 0.1\nand {refused} >= 20",
        pending="2m",
        dashboard="linkup-gateway",
        summary="People cannot connect",
        description="{{ $value | humanizePercentage }} of those who want to connect are refused because a gateway"
        " cannot do its job.",
    )


def absences(scale: TimeScale) -> list[Alert]:
    common = {"severity": "ticket", "layer": "symptom", "dashboard": "linkup-overview", "pending": "10m"}
    exchanges = f"sum(rate(linkup_probe_exchanges_total[{scale('5m')}]))"
    blind = "Whether people can chat is measured in one way less: no alert on it can fire."
    return [
        Alert(
            name="LinkUpDeliveriesUnmeasured",
            expr="absent(count(linkup_message_delivery_seconds_count))",
            summary="Nothing tells how long deliveries take",
            description=f"Prometheus knows of no gateway that counts deliveries. {blind}",
            **common,
        ),
        Alert(
            name="LinkUpSendsUnmeasured",
            expr='absent(count(linkup_gateway_commands_total{command="send"}))\n'
            f"or absent(count(linkup_api_requests_total{{{POST_MESSAGE}}}))",
            summary="Nothing tells how many sends fail",
            description=f"Prometheus knows of no gateway, or of no api node, that counts sends. {blind}",
            **common,
        ),
        Alert(
            name="LinkUpProbeSilent",
            expr=f"absent(count(linkup_probe_exchanges_total))\nor {exchanges} == 0",
            summary="No probe is running",
            description=f"No probe has tried anything for ten minutes. {blind}",
            **common,
        ),
        Alert(
            name="LinkUpProbeBroken",
            expr=f'sum(rate(linkup_probe_exchanges_total{{result="probe_error"}}[{scale("5m")}]))\n> 0.5 * {exchanges}',
            summary="The probe has a fault of its own",
            description=f"Most of what the probe tries fails for reasons that are not the server's. {blind}",
            **common,
        ),
    ]


def aftermath(scale: TimeScale) -> list[Alert]:
    """They reach nobody: they inhibit what still sees an outage in its window after that is over."""
    explained = [
        ("conditions", "5m", "cause"),
        ("burns", "5m", "cause|condition|symptom"),
        ("burns", "30m", "cause|condition|symptom"),
        ("tickets", "15m", ".+"),
        ("tickets", "2h", ".+"),
        ("tickets", "6h", ".+"),
    ]
    pages = 'alertname=~"LinkUp.+",alertstate="firing",severity="page"'
    return [
        Alert(
            name="LinkUpRecentOutage",
            severity="none",
            layer="aftermath",
            expr=f'count(count_over_time(\n  ALERTS{{{pages},layer=~"{layers}"}}[{scale(window)}]\n)) > 0',
            labels={"reach": reach, "window": window},
            dashboard="linkup-overview",
            summary="There was an outage in the last {{ $labels.window }}",
            description="Nobody is notified of this. It keeps alerts whose window still holds the outage from telling"
            " of it again.",
        )
        for reach, window, layers in explained
    ]
