"""The rules of Grafana's dashboard linter that concern classic dashboards on Prometheus, by the linter's names."""

import re

from generate import panels
from promql import selectors

# Of Grafana's units those that the dashboards use; a new one is looked up there before it is added.
UNITS = {
    *("none", "short", "string", "percentunit", "s", "bytes", "Bps", "dateTimeAsIso"),
    *("cps", "ops", "reqps", "wps", "mps", "eps", "pps"),
}
DATASOURCE = {"$datasource", "${datasource}"}


def lint(board: dict, excluded: dict) -> list[str]:
    """Every violation as `rule: where`."""
    found = [f"{name}: {board['title']}{': ' if where else ''}{where}" for name, where in of_dashboard(board)]
    for panel in panels(board):
        for name, where in [*of_panel(panel), *of_targets(panel)]:
            if not is_excluded(excluded, name, board["title"], panel["title"]):
                found.append(f"{name}: {board['title']}: {panel['title']}: {where}")
    return found


def is_excluded(excluded: dict, rule: str, board: str, panel: str) -> bool:
    entries = excluded["exclusions"].get(rule, {"entries": []})["entries"]
    return {"dashboard": board, "panel": panel} in entries


def of_dashboard(board: dict):
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    source = variables.get("datasource", {})
    if (source.get("type"), source.get("query"), source.get("label")) != ("datasource", "prometheus", "Data source"):
        yield "template-datasource-rule", ""
    for name in ("job", "instance"):
        variable = variables.get(name, {})
        wanted = {"type": "query", "label": name.title(), "multi": True, "allValue": ".+"}
        if any(variable.get(key) != value for key, value in wanted.items()) or not from_source(variable):
            yield f"template-{name}-rule", ""
    for variable in variables.values():
        if variable["type"] != "query":
            continue
        if not re.fullmatch(r"(label_names|label_values|metrics|query_result)\(.+\)", variable["query"]):
            yield "template-label-promql-rule", variable["name"]
        if variable["refresh"] != 2:
            yield "template-on-time-change-reload-rule", variable["name"]
    if board["editable"]:
        yield "uneditable-dashboard", ""


def from_source(thing: dict) -> bool:
    return thing.get("datasource", {}).get("uid") in DATASOURCE


def of_panel(panel: dict):
    if not from_source(panel) or not all(from_source(target) for target in panel.get("targets", [])):
        yield "panel-datasource-rule", ""
    if not panel.get("title") or not panel.get("description"):
        yield "panel-title-description-rule", ""
    if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
        yield "panel-units-rule", str(panel["fieldConfig"]["defaults"].get("unit"))
    if not panel.get("targets"):
        yield "panel-no-targets-rule", ""


def of_targets(panel: dict):
    """All but target-promql-rule, which promtool checks."""
    for target in panel.get("targets", []):
        for selector in selectors(target["expr"]):
            innermost = selector.functions[-1] if selector.functions else ""
            for name in ("job", "instance"):
                if f'{name}=~"${name}"' not in selector.matchers:
                    yield f"target-{name}-rule", target["expr"]
            if innermost in ("rate", "irate") and selector.window != "$__rate_interval":
                yield "target-rate-interval-rule", target["expr"]
            if selector.metric.endswith("_total") and innermost not in ("rate", "irate", "increase"):
                yield "target-counter-agg-rule", target["expr"]
            if selector.metric.endswith("_bucket") and "histogram_quantile" not in selector.functions:
                yield "target-histogram-rule", target["expr"]
