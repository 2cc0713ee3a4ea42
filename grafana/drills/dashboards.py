"""The queries of dashboards, as Grafana would send them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "dashboards"
# What a variable that may be anything stands for.
EVERYTHING = ".+"


@dataclass(frozen=True)
class PanelQuery:
    """One query of one panel, with its variables in place."""

    dashboard: str
    panel: str
    ref: str
    expression: str

    @property
    def place(self) -> str:
        return f"{self.dashboard} / {self.panel} / {self.ref}"


def load(folder: Path = FOLDER) -> list[dict]:
    """All dashboards."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def panels(panels_or_rows: list[dict]) -> Iterator[dict]:
    """All panels, those of collapsed rows too."""
    for panel in panels_or_rows:
        yield panel
        yield from panels(panel.get("panels") or [])


def substituted(expression: str, variables: dict[str, str]) -> str:
    """The expression with `$name`, `${name}` and `${name:format}` replaced; nothing here has to be escaped."""
    # Long names first: `$instance` is no `$in` with something after it.
    for name in sorted(variables, key=len, reverse=True):
        head = "${" + name
        while (start := expression.find(head)) >= 0 and expression[start + len(head)] in ":}":
            end = expression.index("}", start)
            expression = expression[:start] + variables[name] + expression[end + 1 :]
        expression = expression.replace(f"${name}", variables[name])
    return expression


def variables(dashboard: dict, window: str) -> dict[str, str]:
    """Every variable of the dashboard as it is when the page is opened, and Grafana's own."""
    built_in = {
        "__rate_interval": window,
        "__interval": window,
        "__range": window,
        "__range_s": "60",
        "__interval_ms": "1000",
    }
    return built_in | {each["name"]: _value(each) for each in dashboard["templating"]["list"]}


def _value(variable: dict) -> str:
    value = (variable.get("current") or {}).get("value")
    chosen = value[0] if isinstance(value, list) and value else value
    if chosen in (None, "", "$__all") or variable.get("includeAll"):
        return variable.get("allValue") or EVERYTHING
    return str(chosen)


def queries(dashboard: dict, window: str) -> list[PanelQuery]:
    """What the dashboard asks Prometheus."""
    values = variables(dashboard, window)
    return [
        PanelQuery(dashboard["title"], panel["title"], target["refId"], substituted(target["expr"], values))
        for panel in panels(dashboard["panels"])
        for target in panel.get("targets", [])
    ]


def annotations(dashboard: dict, window: str) -> list[PanelQuery]:
    """What it asks for its annotations, which are empty where nothing happened."""
    values = variables(dashboard, window)
    return [
        PanelQuery(dashboard["title"], f"annotation {each['name']}", "", substituted(each["expr"], values))
        for each in dashboard.get("annotations", {}).get("list", [])
        if "expr" in each
    ]
