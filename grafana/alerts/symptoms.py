"""Symptoms beside the burn rates, what cannot be measured any more, and the aftermath of an outage."""

from causes import HOLD
from durations import TimeScale
from objectives import BURNS, OBJECTIVES, POST_MESSAGE, Burn, Objective
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
    blind = "Whether people can chat is measured in one way less: no alert on it can fire."

    def exchanges(matcher: str = "") -> str:
        return f"sum by (job, instance, role) (rate(linkup_probe_exchanges_total{matcher}[{scale('5m')}]))"

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
            expr=f"absent(count(linkup_probe_exchanges_total))\nor {exchanges()} == 0",
            summary="A probe tries nothing, or there is none",
            description="A probe has tried nothing for ten minutes: its place, the instance, is not watched any more."
            f" Without an instance there is no probe at all. {blind}",
            **common,
        ),
        Alert(
            name="LinkUpProbeBroken",
            expr=exchanges('{result="probe_error"}') + f"\n> 0.5 * {exchanges()}",
            summary="A probe has a fault of its own",
            description="Most of what {{ $labels.instance }} tries fails for reasons that are not the server's: this"
            " place is not watched any more.",
            **common,
        ),
    ]


def aftermath(scale: TimeScale) -> list[Alert]:
    """They reach nobody: they inhibit what is explained, though it is not by what fires at that moment."""
    return [*recent_outage(scale), *overload_explains_burn(scale)]


def recent_outage(scale: TimeScale) -> list[Alert]:
    """They inhibit what still sees an outage in its window after that is over."""
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
            description="Nobody is notified of this. It inhibits alerts whose window still holds the outage.",
        )
        for reach, window, layers in explained
    ]


def overload_explains_burn(scale: TimeScale) -> list[Alert]:
    """They inhibit a burn rate that would be none without the gateways that are or were overloaded.

    What the probe tries is not counted by gateway: that one is overloaded has to do.
    """
    pages = [burn for burn in BURNS if burn.severity == "page"]
    return [
        Alert(
            name="LinkUpOverloadExplainsBurn",
            severity="none",
            layer="aftermath",
            expr=explained(scale, objective, burn),
            labels={"slo": objective.slo, "window": burn.short},
            dashboard="linkup-gateway",
            summary="Only overloaded gateways use up the budget of {{ $labels.slo }}",
            description="Nobody is notified of this. It inhibits the burn rate, which would be none without them.",
        )
        for objective in OBJECTIVES
        for burn in pages
    ]


def explained(scale: TimeScale, objective: Objective, burn: Burn) -> str:
    window = scale(burn.short)
    firing = 'ALERTS{alertname="LinkUpGatewayOverloaded",alertstate="firing"}'
    overloaded = f"count by (job, instance) (count_over_time({firing}[{window}]))"
    if not objective.by_instance:
        return f"count({overloaded}) > 0"
    others = f"{window}])\n  unless on (job, instance) {overloaded}\n"
    bad, total = (expr.replace("RANGE])", others) for expr in (objective.bad, objective.total))
    return f"count({overloaded}) > 0\nunless (\n{bad}\n) / (\n{total}\n) > {burn.factor} * {objective.budget}"
