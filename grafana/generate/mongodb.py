"""MongoDB: as the processes see it, and what it says of itself."""

from board import Row, board
from panels import AMOUNT, TRUE, YES_NO, above, bar_panel, below, named_values, stat_panel, time_panel
from queries import Query, any_holds, gauge, legend_of, quantile, rate, series, share, without

# What MongoDB says of itself every process reports alike: the largest is the one to believe.
SAYS = {"how": "max"}
# A getMore of the change stream waits for changes, so its time says nothing.
ANSWERED = 'command!="getMore"'


def told(metric: str, by: str) -> Query:
    """As processes tell that see a primary; if none does, that get answers; if none does, as they suppose."""
    seeing = [f"{series(metric)} and on (job, instance) {series(f'linkup_mongodb_{sight}')} == 1"
              for sight in ("has_primary", "up")]
    return Query(" or ".join(f"max by ({by}) ({each})" for each in [*seeing, series(metric)]), legend_of(by))


def key() -> Row:
    return Row("Does MongoDB take and give?", [
        stat_panel(
            "Reached",
            "Whether MongoDB answered the last question of some process. NO: it is down, and nobody can do anything "
            "but read what they have. Cut off: processes that get no answer; see Reached, by instance, row Replica set "
            "and oplog.",
            any_holds("linkup_mongodb_up").named("reached"),
            exceptions=without("linkup_mongodb_up").named("cut off"),
            unit="none", limits=TRUE, values=YES_NO, w=6,
        ),
        stat_panel(
            "Primary",
            "Whether some process sees a primary. NO for more than 15 s: the election does not succeed; is a majority "
            "up? Beside it the processes that see none; while others do, they are cut off, or ask a member that is.",
            any_holds("linkup_mongodb_has_primary").named("primary"),
            exceptions=without("linkup_mongodb_has_primary").named("see none"),
            unit="none", limits=TRUE, values=YES_NO, w=6,
        ),
        stat_panel(
            "Majority margin",
            "Voting members that are up beyond a majority, as the process tells that sees most. 0: none more may fail. "
            "Below 0: nothing is acknowledged, and nobody can send. Start the members that are down. Beside it the "
            "processes that see no majority; while others do, they are cut off.",
            gauge("linkup_mongodb_majority_margin", **SAYS).named("margin"),
            exceptions=Query(f"sum({series('linkup_mongodb_majority_margin')} < bool 0)", "see none"),
            unit="none", limits=below(red=0), w=6,
        ),
        stat_panel(
            "Replication lag",
            "How far the last secondary is behind. High: a commit waits longer for its majority, and an election may "
            "take longer.",
            gauge("linkup_mongodb_replication_lag_seconds", **SAYS),
            unit="s", limits=above(yellow=5, red=30), w=6,
        ),
        stat_panel(
            "Oplog window",
            "Time between the first and the last entry of the oplog: for how long a streamer or secondary may be "
            "away. Short windows come with heavy writing; enlarge the oplog (replSetResizeOplog).",
            gauge("linkup_mongodb_oplog_window_seconds", **SAYS),
            unit="s", limits=AMOUNT, w=6, to="linkup-streamer",
        ),
        stat_panel(
            "Time of a command",
            "Commands of all processes, without those that wait for changes, at the chosen quantile. "
            "Next: Time by command.",
            quantile("linkup_mongodb_command_seconds", where=ANSWERED),
            unit="s", limits=above(yellow=0.1, red=0.5), w=6,
        ),
        stat_panel(
            "Failed commands",
            "Share of commands that failed. A peak is an election; steady is an outage or a fault: read the "
            "processes' logs.",
            share(rate("linkup_mongodb_command_failures_total"), rate("linkup_mongodb_command_seconds_count")),
            unit="percentunit", limits=above(yellow=0.001, red=0.01), w=6, decimals=2,
        ),
        stat_panel(
            "Slows writes down",
            "Flow control: MongoDB holds writes back because its secondaries do not keep up. See Replication lag.",
            gauge("linkup_mongodb_flow_control", **SAYS),
            unit="none", limits=above(red=1), values=named_values(_0="no", _1="YES"), w=6,
        ),
        time_panel(
            "Time by command",
            "At the chosen quantile. insert: how long sends wait. find, aggregate: how long lists take to open. All "
            "slow: cache, disk or processor of MongoDB; one slow: its query.",
            quantile("linkup_mongodb_command_seconds", by="command", where=ANSWERED),
            unit="s", limits=above(yellow=0.1, red=0.5),
        ),
        time_panel(
            "Failures by command",
            "Which commands fail. For whom: Failures by client, row Commands and connections.",
            rate("linkup_mongodb_command_failures_total", by="command"),
            unit="cps", limits=above(red=1),
        ),
        time_panel(
            "Members",
            "Members of the replica set by state, as the processes tell that see a primary. down: start it, or find "
            "out why it does not come up.",
            told("linkup_mongodb_members", by="state"),
            unit="none", stack=True,
        ),
    ])


def commands() -> Row:
    return Row("Commands and connections", [
        time_panel(
            "Commands",
            "Commands a second by client and command.",
            rate("linkup_mongodb_command_seconds_count", by="client, command"),
            unit="ops", stack=True, w=12,
        ),
        time_panel(
            "Time of the change stream's getMore",
            "It waits for changes, up to a second when there are none: far above that the stream is stuck.",
            quantile("linkup_mongodb_command_seconds", by="client", where='command="getMore"'),
            unit="s", limits=above(yellow=2.5, red=7.5), w=12, to="linkup-streamer",
        ),
        time_panel(
            "Pools",
            "Connections of the processes' pools, open and in use. In use at its ceiling: commands wait, see below.",
            gauge("linkup_mongodb_pool_connections", by="client, state"),
            unit="short", w=6,
        ),
        time_panel(
            "Wait for a connection",
            "At the chosen quantile. High with quick commands: pools are too small. High with slow ones: MongoDB is "
            "slow.",
            quantile("linkup_mongodb_pool_wait_seconds", by="client"),
            unit="s", limits=above(yellow=0.05, red=0.5), w=6,
        ),
        time_panel(
            "Connections that could not be had",
            "MongoDB is away, refuses, or is out of connections.",
            rate("linkup_mongodb_pool_failures_total", by="client"),
            unit="cps", limits=above(red=0.1), w=6,
        ),
        time_panel(
            "Failures by client",
            "Whose commands fail: those of the api (people cannot send or read) or of the streamer (nothing new "
            "arrives).",
            rate("linkup_mongodb_command_failures_total", by="client"),
            unit="cps", limits=above(red=1), w=6,
        ),
    ])


def replica_set() -> Row:
    return Row("Replica set and oplog", [
        time_panel(
            "Reached, by instance",
            "1 while a process had its last question answered. One at 0: the network of its host. All: MongoDB.",
            gauge("linkup_mongodb_up", by="instance", how="min"),
            unit="none", limits=below(red=1), high=1,
        ),
        time_panel(
            "Primary, by instance",
            "1 while a process knows of a primary. A short dip is an election.",
            gauge("linkup_mongodb_has_primary", by="instance", how="min"),
            unit="none", limits=below(red=1), high=1,
        ),
        time_panel(
            "Majority margin",
            "Voting members that are up beyond a majority; below 0 nothing is acknowledged. Lowest below the margin: "
            "the process that sees least is cut off.",
            gauge("linkup_mongodb_majority_margin", **SAYS).named("margin"),
            gauge("linkup_mongodb_majority_margin", how="min").named("lowest that a process sees"),
            unit="none", limits=below(red=0), low=None,
        ),
        time_panel(
            "Replication lag",
            "How far the last secondary is behind. It grows under heavy writing or with a slow disk.",
            gauge("linkup_mongodb_replication_lag_seconds", **SAYS).named("lag"),
            unit="s", limits=above(yellow=5, red=30),
        ),
        time_panel(
            "Oplog window",
            "It shortens as people write more. The streamer's lag must stay far below it.",
            gauge("linkup_mongodb_oplog_window_seconds", **SAYS).named("window"),
            unit="s", to="linkup-streamer",
        ),
        time_panel(
            "Flow control",
            "1 while MongoDB slows writes down for its secondaries: sends take longer.",
            gauge("linkup_mongodb_flow_control", **SAYS).named("slowed down"),
            unit="none", limits=above(red=1), high=1,
        ),
    ])


def server() -> Row:
    return Row("Server", [
        bar_panel(
            "Cache",
            "Used and dirty share of WiredTiger's cache. Used above 0.95 or dirty above 0.2: people's commands have "
            "to write pages out themselves and become slow. Give it more memory or a quicker disk.",
            share(gauge("linkup_mongodb_cache_bytes", where='kind="used"', **SAYS),
                  gauge("linkup_mongodb_cache_bytes", where='kind="max"', **SAYS), "used"),
            share(gauge("linkup_mongodb_cache_bytes", where='kind="dirty"', **SAYS),
                  gauge("linkup_mongodb_cache_bytes", where='kind="max"', **SAYS), "dirty"),
            unit="percentunit", limits=above(yellow=0.85, red=0.95), high=1,
        ),
        time_panel(
            "Cache in bytes",
            "Used, dirty and the most there may be.",
            gauge("linkup_mongodb_cache_bytes", by="kind", **SAYS),
            unit="bytes",
        ),
        time_panel(
            "Connections",
            "Of all clients. available near 0: new connections are refused (ulimit -n of mongod, or "
            "maxIncomingConnections).",
            gauge("linkup_mongodb_connections", by="state", **SAYS),
            unit="short",
        ),
        time_panel(
            "Operations that wait",
            "Readers and writers that wait inside MongoDB. Above zero for long: it is overloaded; disk or processor?",
            gauge("linkup_mongodb_queue_operations", by="kind", **SAYS),
            unit="short", limits=above(yellow=10, red=100), w=12,
        ),
        time_panel(
            "Operations",
            "By kind, of all clients, LinkUp's and others'. More than Commands above: somebody else uses this MongoDB.",
            rate("linkup_mongodb_operations_total", by="kind", **SAYS),
            unit="ops", w=12,
        ),
    ])


def mongodb() -> dict:
    return board(
        "linkup-mongodb",
        "The only place where anything is kept: as the processes see it, and what it says of itself.",
        key(),
        commands(),
        replica_set(),
        server(),
    )
