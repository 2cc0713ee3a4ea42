"""Queries that the overview and the load test's dashboard share: they must not come to mean different things."""

from queries import REST, Query, gauge, rate


def traffic() -> list[Query]:
    """What people do, or who plays people."""
    return [
        rate("linkup_api_messages_committed_total").named("messages"),
        rate("linkup_message_delivery_seconds_count").named("deliveries"),
        rate("linkup_gateway_commands_total").named("commands"),
        rate("linkup_api_requests_total", where=REST).named("REST requests"),
    ]


def errors() -> list[Query]:
    """Failures that are the server's fault, by part."""
    return [
        rate("linkup_gateway_commands_total", where='result="failed"').named("commands failed"),
        rate("linkup_api_requests_total", where='status=~"500|503"').named("api 500 and 503"),
        rate("linkup_gateway_proxied_total", where='outcome=~"unreachable|late"').named("gateway without api"),
        rate("linkup_mongodb_command_failures_total").named("MongoDB commands"),
        rate("linkup_gateway_closes_total", where='reason="slow_consumer"').named("slow consumers closed"),
        rate("linkup_bus_failures_total").named("bus"),
        rate("linkup_probe_exchanges_total", where='result=~"late|refused|unreachable"').named("probe"),
    ]


def asked_for() -> Query:
    """What load harnesses ask for in a second."""
    return gauge("linkup_loadtest_offered_per_second")
