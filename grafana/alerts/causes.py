"""Causes: a part of the system that is gone. While one of them pages, what follows from it is inhibited.

And what will be gone: `LinkUpOplogRunningOut` is a prediction, so it explains little of what is wrong now.
"""

from durations import TimeScale
from rule import Alert

JOB = 'job="linkup"'
# So long a cause goes on after its end, so that what it made fire has stopped before.
HOLD = "5m"
# Shorter: after an outage of all members there is no primary yet when the first of them answers, and that is no news.
HOLD_OF_ELECTIONS = "2m"

# The launcher runs the three parts in one process.
GATEWAY = 'role=~"gateway|all"'
API = 'role=~"api|all"'
STREAMER = 'role=~"streamer|all"'


def causes(scale: TimeScale) -> list[Alert]:
    return [everything_down(), *parts_away(), *mongodb(), bus_away(), oplog_running_out(scale), target_down()]


def everything_down() -> Alert:
    return Alert(
        name="LinkUpEverythingDown",
        severity="page",
        layer="cause",
        expr=f'absent(up{{{JOB},role!="probe"}} == 1)',
        pending="1m",
        hold=HOLD,
        dashboard="linkup-overview",
        summary="No process of LinkUp answers",
        description="Prometheus reaches no gateway, api or streamer, or knows of none. Nobody can chat, or nobody can"
        " see whether people can.",
    )


def parts_away() -> list[Alert]:
    parts = [
        ("LinkUpGatewayAway", "gateway", GATEWAY, "linkup-gateway", "No gateway answers", "Nobody can connect."),
        (
            "LinkUpApiAway",
            "api",
            API,
            "linkup-api",
            "No api node answers",
            "Messages are not taken, nobody can sign in, and gateways let nobody in. Open connections stay.",
        ),
        (
            "LinkUpStreamerAway",
            "streamer",
            STREAMER,
            "linkup-streamer",
            "No streamer answers",
            "Messages are stored, but nobody is told of them until a page is loaded again. Gateways take new"
            " connections, which wait.",
        ),
    ]
    return [
        Alert(
            name=name,
            severity="page",
            layer="cause",
            # Where targets are discovered, those of a role that is gone are gone as well.
            expr=f"(sum(up{{{JOB},{selector}}}) or vector(0)) == 0",
            pending="1m",
            hold=HOLD,
            labels={"role": role},
            dashboard=dashboard,
            summary=summary,
            description=f"All targets of the role {role} are down, or there are none. {people}",
        )
        for name, role, selector, dashboard, summary, people in parts
    ]


def mongodb() -> list[Alert]:
    common = {"layer": "cause", "dashboard": "linkup-mongodb"}
    stored = "No message is stored: those that were sent wait for up to half a minute and fail then."
    return [
        Alert(
            name="LinkUpMongoDBAway",
            severity="page",
            expr="max(linkup_mongodb_up) == 0",
            pending="1m",
            hold=HOLD,
            summary="MongoDB answers nobody",
            description=f"No api node and no streamer gets an answer from MongoDB. {stored}",
            **common,
        ),
        Alert(
            name="LinkUpMongoDBNoMajority",
            severity="page",
            expr="max(linkup_mongodb_majority_margin) < 0",
            pending="1m",
            hold=HOLD_OF_ELECTIONS,
            summary="MongoDB has no majority",
            description="{{ $value }} voting members beyond a majority are up. Nothing is acknowledged. " + stored,
            **common,
        ),
        Alert(
            name="LinkUpMongoDBNoPrimary",
            severity="page",
            expr="max(linkup_mongodb_has_primary) == 0",
            pending="1m",
            hold=HOLD_OF_ELECTIONS,
            summary="MongoDB has no primary",
            description="Members answer, but for a minute none of them is primary; an election takes seconds. "
            + stored,
            **common,
        ),
        Alert(
            name="LinkUpMongoDBMemberDown",
            severity="ticket",
            # To a process that is cut off from MongoDB every member is down.
            expr='max(\n  linkup_mongodb_members{state="down"}\n  and on (job, instance) linkup_mongodb_up == 1\n) > 0',
            pending="5m",
            summary="A member of MongoDB's replica set is down",
            description="{{ $value }} member(s) are down. People notice nothing, but the next one that goes may take"
            " the majority with it.",
            **common,
        ),
    ]


def bus_away() -> Alert:
    return Alert(
        name="LinkUpBusAway",
        severity="page",
        layer="cause",
        expr="max(linkup_bus_connected) == 0",
        pending="1m",
        hold=HOLD,
        dashboard="linkup-streamer",
        summary="NATS is away",
        description="No gateway and no streamer is connected to the bus. Messages are stored, but nobody is told of"
        " them. Gateways take new connections, which wait.",
    )


def oplog_running_out(scale: TimeScale) -> Alert:
    headroom = "linkup_streamer_oplog_headroom_seconds"
    return Alert(
        name="LinkUpOplogRunningOut",
        severity="page",
        layer="apart",
        # The window alone shrinks on every busy evening. Only a streamer that is behind can lose history.
        expr=f"min(\n"
        f"  predict_linear({headroom}[{scale('15m')}], {scale.seconds('1h')}) < 0\n"
        f"  and on (job, instance) linkup_streamer_lag_seconds > 60\n"
        f")",
        pending="5m",
        hold=HOLD,
        dashboard="linkup-streamer",
        summary="The oplog runs out within the hour",
        description="The streamer is behind, and what it has not read yet will be overwritten within an hour. Then"
        " everybody is disconnected and has to catch up.",
    )


def target_down() -> Alert:
    return Alert(
        name="LinkUpTargetDown",
        severity="ticket",
        layer="cause",
        expr=f"up{{{JOB}}} == 0",
        pending="5m",
        dashboard="linkup-overview",
        summary="A {{ $labels.role }} is down",
        description="{{ $labels.instance }} has not answered Prometheus for five minutes."
        ' {{ if eq $labels.role "probe" }}This place is not watched any more.'
        "{{ else }}If there are others of its role, they do its work.{{ end }}",
    )
