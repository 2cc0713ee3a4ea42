"""A dashboard: its variables, annotations and links, and the places of its panels."""

import json
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from panels import DATASOURCE, TITLES
from queries import WINDOW, series

# The newest classic schema. The builders write 41; 42 differs only for hidden series, of which there are none here.
SCHEMA_VERSION = 42
WIDTH = 24


@dataclass(frozen=True)
class Row:
    """A title and the panels below it; panels go from left to right, and a new line begins where one is full."""

    title: str
    panels: list


def board(uid: str, about: str, *rows: Row, reporters: tuple = ("linkup_build_info",)) -> dict:
    """The dashboard as Grafana's classic JSON: the first row is open, the others are collapsed.

    Whatever has a series of one of `reporters` can be chosen as job and instance.
    """
    builder = (
        dashboard.Dashboard(TITLES[uid])
        .uid(uid)
        .description(about)
        .tags(["linkup"])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .variables(variables(reporters))
        .link(
            dashboard.DashboardLink("LinkUp")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["linkup"])
            .include_vars(True)
            .keep_time(True)
        )
        .annotations([annotation(**each) for each in ANNOTATIONS])
    )
    y, identifier = 0, 0
    for index, row in enumerate(rows):
        identifier += 1
        header = dashboard.Row(row.title).id(identifier).collapsed(index > 0)
        header.grid_pos(model.GridPos(h=1, w=WIDTH, x=0, y=y))
        y += 1
        height = place(row.panels, y)
        for panel in row.panels:
            identifier += 1
            panel.id(identifier)
        if index > 0:
            # A collapsed row holds its panels, and the next row is right below it.
            for panel in row.panels:
                header.with_panel(panel)
            builder.with_row(header)
        else:
            builder.with_row(header)
            for panel in row.panels:
                builder.with_panel(panel)
            y += height
    result = json.loads(json.dumps(builder.build(), cls=JSONEncoder))
    result["schemaVersion"] = SCHEMA_VERSION
    for written, wanted in zip(result["annotations"]["list"], ANNOTATIONS, strict=True):
        # The builders do not know these fields of annotations from Prometheus.
        written.update(titleFormat=wanted["name"], textFormat=wanted["text"], useValueForTime=wanted["value_is_time"])
    return result


def place(panels: list, top: int) -> int:
    """Gives each panel its place; returns the height of them all."""
    x, y, tallest = 0, top, 0
    for panel in panels:
        size = panel.build().grid_pos
        if x + size.w > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        panel.grid_pos(model.GridPos(h=size.h, w=size.w, x=x, y=y))
        x, tallest = x + size.w, max(tallest, size.h)
    return y + tallest - top


def variables(reporters: tuple) -> list:
    everyone, of_job = (named(reporters, where) for where in ("", 'job=~"$job"'))
    everything = model.VariableOption(text=["All"], value=["$__all"])
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        from_label("job", "Job", f"label_values({everyone}, job)", everything),
        from_label("instance", "Instance", f"label_values({of_job}, instance)", everything),
        dashboard.CustomVariable("quantile")
        .label("Quantile")
        .values("0.5,0.9,0.95,0.99")
        .options([model.VariableOption(text=q, value=q, selected=q == "0.99") for q in ("0.5", "0.9", "0.95", "0.99")])
        .current(model.VariableOption(text="0.99", value="0.99", selected=True)),
        dashboard.AdHocVariable("filters").label("Filter").datasource(DATASOURCE),
    ]


def named(metrics: tuple, where: str) -> str:
    """A selector of what has one of these names."""
    if len(metrics) == 1:
        return f"{metrics[0]}{{{where}}}" if where else metrics[0]
    names = '__name__=~"' + "|".join(metrics) + '"'
    return f"{{{names}{', ' + where if where else ''}}}"


def from_label(name: str, label: str, query: str, everything: model.VariableOption):
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(DATASOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(everything)
    )


def builds(when: str = "") -> str:
    return f"sum by (version, revision) ({series('linkup_build_info')}{when})"


def term(when: str = "") -> str:
    return f"max({series('linkup_streamer_term')}{when})"


BEFORE = f" offset {WINDOW}"
ANNOTATIONS = [
    {
        # The value says when each process started, so that a process under a new name counts as well.
        "name": "Start",
        "expr": f"{series('process_start_time_seconds')} * 1000",
        "text": "{{job}} {{instance}}",
        "color": "blue",
        "value_is_time": True,
    },
    {
        "name": "Deploy",
        "expr": f"{builds()} unless {builds(BEFORE)}",
        "text": "{{version}} {{revision}}",
        "color": "purple",
        "value_is_time": False,
    },
    {
        "name": "Leader change",
        "expr": f"{term()} > {term(BEFORE)}",
        "text": "another streamer took the lease",
        "color": "orange",
        "value_is_time": False,
    },
]


def annotation(name: str, expr: str, color: str, **_):
    return dashboard.AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(color).expr(expr)
