"""Alertmanager's configuration, as fast as the rules, with every receiver on this machine."""

import copy
import re

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
TIMES_OF_ROUTES = ("group_wait", "group_interval", "repeat_interval")
# What applies where a route does not say it. It has to be written down, since it is to be scaled as well.
DEFAULT_TIMES = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
DEFAULT_RESOLVE_TIMEOUT = "5m"


def milliseconds(text: str) -> int:
    """A duration as Prometheus writes it, such as `1h30m`."""
    if not re.fullmatch(r"(?:\d+(?:ms|[smhdwy]))+|0", text):
        raise ValueError(f"{text} is no duration")
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))


def seconds(text: str) -> float:
    return milliseconds(text) / 1000


def scaled(text: str, scale: float) -> str:
    """The duration divided by `scale`, at least a millisecond unless it was zero."""
    full = milliseconds(text)
    return f"{max(1, round(full / scale))}ms" if full else "0s"


def alertmanager(shipped: dict, scale: float, webhook: str) -> dict:
    """The shipped configuration with its times divided; whoever is told anything by it is `webhook`/NAME instead."""
    config = copy.deepcopy(shipped)
    shared = config.setdefault("global", {})
    shared["resolve_timeout"] = scaled(shared.get("resolve_timeout", DEFAULT_RESOLVE_TIMEOUT), scale)
    config["route"] = DEFAULT_TIMES | config["route"]
    _scale_route(config["route"], scale)
    config["receivers"] = [_local(receiver, webhook) for receiver in config["receivers"]]
    return config


def _scale_route(route: dict, scale: float) -> None:
    for name in TIMES_OF_ROUTES:
        if name in route:
            route[name] = scaled(route[name], scale)
    for child in route.get("routes", []):
        _scale_route(child, scale)


def _local(receiver: dict, webhook: str) -> dict:
    tells = any(key.endswith("_configs") and value for key, value in receiver.items())
    hook = {"url": f"{webhook}/{receiver['name']}", "send_resolved": True, "max_alerts": 0}
    return {"name": receiver["name"]} | ({"webhook_configs": [hook]} if tells else {})
