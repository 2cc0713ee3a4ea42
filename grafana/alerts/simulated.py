"""A small LinkUp as Prometheus sees it, in good health, and how a test case changes it for a while.

It is written in promtool's notation: two gateways, two api nodes, two streamers (the first is active) and one probe.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

Roles = dict[str, tuple[str, ...]]
ROLES: Roles = {"gateway": ("g1", "g2"), "api": ("a1", "a2"), "streamer": ("s1", "s2"), "probe": ("p1",)}
GONE = "gone"
LONG_AGO = -30 * 86_400


@dataclass(frozen=True)
class Gauge:
    """A value, the same on every instance unless `only` says which ones have it (the others have 0)."""

    value: float
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counter:
    """Events a second."""

    rate: float = 0


EVERY_PROCESS = {
    "up": Gauge(1),
    "linkup_ready": Gauge(1),
    "linkup_alive": Gauge(1),
    "process_start_time_seconds": Gauge(LONG_AGO),
    "process_open_fds": Gauge(300),
    "process_max_fds": Gauge(20_000),
    'linkup_runtime_timer_drift_seconds_bucket{le="0.1"}': Counter(10),
    'linkup_runtime_timer_drift_seconds_bucket{le="0.25"}': Counter(10),
    "linkup_runtime_timer_drift_seconds_count": Counter(10),
}
MONGODB = {
    "linkup_mongodb_up": Gauge(1),
    "linkup_mongodb_has_primary": Gauge(1),
    "linkup_mongodb_majority_margin": Gauge(1),
    'linkup_mongodb_members{state="down"}': Gauge(0),
    "linkup_mongodb_replication_lag_seconds": Gauge(0),
    "linkup_mongodb_oplog_window_seconds": Gauge(86_400),
    'linkup_mongodb_command_seconds_bucket{command="insert",le="0.25"}': Counter(20),
    'linkup_mongodb_command_seconds_count{command="insert"}': Counter(20),
}
BUS = {
    "linkup_bus_connected": Gauge(1),
    "linkup_bus_slow_consumer_drops_total": Counter(),
    "linkup_bus_decode_errors_total": Counter(),
    'linkup_bus_failures_total{reason="timeout"}': Counter(),
}
OF_ROLE = {
    "gateway": EVERY_PROCESS
    | BUS
    | {
        'linkup_message_delivery_seconds_bucket{le="0.25"}': Counter(20),
        "linkup_message_delivery_seconds_count": Counter(20),
        'linkup_gateway_commands_total{command="send",result="ok"}': Counter(10),
        'linkup_gateway_commands_total{command="send",result="rejected"}': Counter(0.02),
        'linkup_gateway_commands_total{command="send",result="refused"}': Counter(0.02),
        'linkup_gateway_commands_total{command="send",result="failed"}': Counter(),
        'linkup_gateway_refused_total{policy="away"}': Counter(),
        'linkup_gateway_handshakes_total{outcome="accepted"}': Counter(0.5),
        'linkup_gateway_recoveries_total{result="recovered"}': Counter(0.1),
        'linkup_gateway_recoveries_total{result="missed"}': Counter(),
        'linkup_gateway_closes_total{reason="client"}': Counter(0.4),
        'linkup_gateway_closes_total{reason="lost"}': Counter(0.1),
        'linkup_gateway_closes_total{reason="heartbeat"}': Counter(),
        'linkup_gateway_closes_total{reason="slow_consumer"}': Counter(),
        "linkup_gateway_connections": Gauge(500),
        "linkup_gateway_accept_errors_total": Counter(),
        'linkup_batcher_refused_total{batcher="gateway_send"}': Counter(),
        'linkup_gateway_proxied_total{outcome="answered"}': Counter(5),
        'linkup_gateway_proxied_total{outcome="unreachable"}': Counter(),
        'linkup_gateway_proxied_total{outcome="late"}': Counter(),
        'linkup_gateway_gaps_total{reason="numbers"}': Counter(),
        "linkup_gateway_send_waiting_bytes": Gauge(10_000),
        "linkup_gateway_send_waiting_limit_bytes": Gauge(67_108_864),
        "linkup_gateway_backlog_bytes": Gauge(0),
        "linkup_gateway_backlog_limit_bytes": Gauge(67_108_864),
    },
    "api": EVERY_PROCESS
    | MONGODB
    | {
        'linkup_api_requests_total{route="POST /api/conversations/{id}/messages",status="2xx"}': Counter(1),
        'linkup_api_requests_total{route="POST /api/conversations/{id}/messages",status="500"}': Counter(),
        'linkup_api_requests_total{route="POST /api/conversations/{id}/messages",status="503"}': Counter(),
    },
    "streamer": EVERY_PROCESS
    | MONGODB
    | BUS
    | {
        "linkup_streamer_active": Gauge(1, only=("s1", "l1")),
        "linkup_streamer_lag_seconds": Gauge(0),
        "linkup_streamer_oplog_headroom_seconds": Gauge(86_400),
        "linkup_streamer_history_losses_total": Counter(),
        "linkup_streamer_skipped_total": Counter(),
        "linkup_streamer_resume_age_seconds": Gauge(1, only=("s1", "l1")),
    },
    "probe": EVERY_PROCESS
    | {
        "linkup_probe_up": Gauge(1),
        'linkup_probe_exchanges_total{result="delivered"}': Counter(0.1),
        'linkup_probe_exchanges_total{result="late"}': Counter(),
        'linkup_probe_exchanges_total{result="refused"}': Counter(),
        'linkup_probe_exchanges_total{result="unreachable"}': Counter(),
        'linkup_probe_exchanges_total{result="probe_error"}': Counter(),
    },
}
# The launcher is the three parts in one process.
OF_ROLE["all"] = OF_ROLE["gateway"] | OF_ROLE["api"] | OF_ROLE["streamer"]
LAUNCHER: Roles = {"all": ("l1",), "probe": ("p1",)}


@dataclass(frozen=True)
class Change:
    """From minute `start` to minute `end`, series are otherwise.

    `to` maps `metric{labels}@where` to a value, a rate, a slope, or `GONE`. `where` is a role or an
    instance; without it all are meant. Without a metric every series of it is meant, except `up`.
    """

    start: float
    end: float
    to: dict

    def value_for(self, name: str, role: str, instance: str):
        for selector, value in self.to.items():
            metric, _, where = selector.partition("@")
            if (not where or where in (role, instance)) and (metric == name or not metric and name != "up"):
                return value
        return None


@dataclass(frozen=True)
class Slope:
    """It begins with `value` and goes on by `rate` a second."""

    value: float
    rate: float


def down(start: float, end: float, *instances: str) -> list[Change]:
    """These processes are stopped and later started anew."""
    gone, back = {}, {}
    for instance in instances:
        gone |= {f"up@{instance}": 0, f"@{instance}": GONE}
        back |= {f"process_start_time_seconds@{instance}": end * 60}
    return [Change(start, end, gone), Change(end, 1e9, back)]


def withdrawn(start: float, end: float, *instances: str) -> Change:
    """Service discovery does not name these processes any more: not even `up` is left of them."""
    return Change(start, end, {key: GONE for instance in instances for key in (f"up@{instance}", f"@{instance}")})


@dataclass(frozen=True)
class Case:
    """`expect` maps a minute to the alerts that fire then, each as `Name label=value …`, and there must be no other."""

    name: str
    changes: list[Change]
    expect: dict[float, list[str]]
    # The alerts of which this is the case in which they ought not to fire, though it comes near.
    spares: list[str] = field(default_factory=list)
    step: float = 0.5
    roles: Roles = field(default_factory=lambda: ROLES)

    @property
    def minutes(self) -> float:
        return max(self.expect)

    def series(self) -> list[dict]:
        return [
            {"series": full_name(name, role, instance), "values": self.values(name, kind, role, instance)}
            for role, instances in self.roles.items()
            for instance in instances
            for name, kind in OF_ROLE[role].items()
        ]

    def values(self, name: str, kind, role: str, instance: str) -> str:
        """In pieces, one from each change to the next; a counter goes on where it was."""
        edges = {0.0, self.minutes + self.step}
        edges.update(float(edge) for change in self.changes for edge in (change.start, change.end))
        edges = sorted(edge for edge in edges if edge <= self.minutes + self.step)
        pieces, total = [], 0.0
        for start, end in pairwise(edges):
            samples = Fraction(end - start) / Fraction(self.step)
            assert samples.denominator == 1, f"{self.name}: a change has to be at a multiple of {self.step} minutes"
            count, seconds = int(samples), self.step * 60
            value = self.value_at(start, name, kind, role, instance)
            if value == GONE:
                # What Prometheus writes when a target does not answer.
                pieces.append("stale" + (f" _x{count - 1}" if count > 1 else ""))
                total = 0.0
            elif isinstance(value, Slope):
                pieces.append(ramp(value.value, value.rate * seconds, count))
            elif isinstance(kind, Counter):
                pieces.append(ramp(total, value * seconds, count))
                total += value * seconds * count
            else:
                pieces.append(ramp(value, 0, count))
        return " ".join(pieces)

    def value_at(self, minute: float, name: str, kind, role: str, instance: str):
        # Of several changes the last counts.
        for change in reversed(self.changes):
            if change.start <= minute < change.end:
                value = change.value_for(name, role, instance)
                if value is not None:
                    return value
        if isinstance(kind, Counter):
            return kind.rate
        return kind.value if not kind.only or instance in kind.only else 0


def ramp(first: float, step: float, count: int) -> str:
    """`a+bxn` are n+1 samples."""
    return f"{first:.12g}{step:+.12g}x{count - 1}"


def full_name(name: str, role: str, instance: str) -> str:
    metric, _, labels = name.partition("{")
    labels = f",{labels.removesuffix('}')}" if labels else ""
    return f'{metric}{{job="linkup",instance="{instance}",role="{role}"{labels}}}'
