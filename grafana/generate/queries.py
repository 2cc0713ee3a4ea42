"""PromQL for panels: every series is filtered by the dashboard's variables, and an idle system gives 0 and not NaN."""

from dataclasses import dataclass

CHOSEN = 'job=~"$job", instance=~"$instance"'
WINDOW = "$__rate_interval"
# Requests of people: gateways call the api as well.
REST = 'route!~"[A-Z]+ /internal/.*"'


@dataclass(frozen=True)
class Query:
    """An expression and the name of its series in the legend."""

    expr: str
    legend: str = ""

    def __str__(self) -> str:
        return self.expr

    def named(self, legend: str) -> "Query":
        return Query(self.expr, legend)

    def largest(self) -> "Query":
        """The largest of its series."""
        return Query(f"max({self.expr})")

    def most(self, count: int) -> "Query":
        """Only the largest of its series."""
        return Query(f"topk({count}, {self.expr})", self.legend)


def series(metric: str, where: str = "") -> str:
    """A selector of the chosen jobs and instances, and of what `where` asks besides."""
    return f"{metric}{{{CHOSEN}{', ' + where if where else ''}}}"


def aggregate(how: str, by: str, expr: str) -> str:
    return f"{how} by ({by}) ({expr})" if by else f"{how}({expr})"


def legend_of(by: str) -> str:
    return " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",")) if by else ""


def gauge(metric: str, by: str = "", where: str = "", how: str = "sum") -> Query:
    """The value of a gauge now."""
    return Query(aggregate(how, by, series(metric, where)), legend_of(by))


def per_second(metric: str, where: str = "") -> str:
    return f"rate({series(metric, where)}[{WINDOW}])"


def rate(metric: str, by: str = "", where: str = "", how: str = "sum") -> Query:
    """How much a counter grows a second."""
    return Query(aggregate(how, by, per_second(metric, where)), legend_of(by))


def quantile(metric: str, by: str = "", where: str = "", q: str = "$quantile") -> Query:
    """A quantile of a histogram; 0 where nothing was observed, since histogram_quantile says NaN there."""
    buckets = aggregate("sum", f"le, {by}" if by else "le", per_second(f"{metric}_bucket", where))
    nothing = aggregate("sum", by, per_second(f"{metric}_count", where))
    return Query(f"histogram_quantile({q}, {buckets}) >= 0 or {nothing} * 0", legend_of(by))


def share(part, whole, legend: str = "") -> Query:
    """`part` of `whole`; 0 of nothing is 0."""
    return Query(f"{part} / clamp_min({whole}, 1e-9)", legend)


def fullness(used: str, limit: str, legend: str = "") -> Query:
    """How full the fullest instance is."""
    return Query(f"max({series(used)} / clamp_min({series(limit)}, 1))", legend)


def any_holds(*gauges: str) -> Query:
    """1 while each of these gauges is 1 on some instance, as the alerts have it: one that is cut off sees less."""
    return Query(" * ".join(f"max({series(name)})" for name in gauges))


def without(*gauges: str) -> Query:
    """On how many instances one of these gauges is 0."""
    return Query(f"sum({' * '.join(series(name) for name in gauges)} == bool 0)")
