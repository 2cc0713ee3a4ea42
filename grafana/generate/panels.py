"""The four types of panel that the dashboards are made of, with what all of one type have in common."""

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from queries import Query

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
TITLES = {
    "linkup-overview": "LinkUp overview",
    "linkup-gateway": "Gateway",
    "linkup-api": "API",
    "linkup-streamer": "Streamer and bus",
    "linkup-mongodb": "MongoDB",
    "linkup-loadtest": "Load test",
}

BY_THRESHOLD = dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)
# Thresholds are steps (value from which, colour).
AMOUNT = [(None, "blue")]


def above(red: float, yellow: float | None = None) -> list:
    """Too much is bad."""
    return [(None, "green"), *([(yellow, "yellow")] if yellow is not None else []), (red, "red")]


def below(red: float, yellow: float | None = None) -> list:
    """Too little is bad: red below `red`, yellow below `yellow`."""
    if yellow is None:
        return [(None, "red"), (red, "green")]
    return [(None, "red"), (red, "yellow"), (yellow, "green")]


def exactly(value: float) -> list:
    return [(None, "red"), (value, "green"), (value + 1, "red")]


TRUE = below(red=1)


def named_values(**texts: str) -> list:
    """Words in the place of numbers: `_1="yes"`."""
    results = {key.strip("_"): model.ValueMappingResult(text=text) for key, text in texts.items()}
    return [model.ValueMap(options=results)]


YES_NO = named_values(_1="yes", _0="NO")

# Names of a panel's queries.
LETTERS = "ABCDEFGHIJ"

MISSING = "not reported"
# Without this, a number that is missing has the colour of the lowest numbers, which is green or red.
GREY_IF_MISSING = model.SpecialValueMap(
    options=model.DashboardSpecialValueMapOptions(
        match=model.SpecialValueMatch.NULL,
        result=model.ValueMappingResult(text=MISSING, color="#6e7077"),
    )
)

# How far the axis goes at the least. Without it, lines that are all 0 get an axis to 100. Rates are small enough for
# a single failure in a minute to be seen.
RATES = ("cps", "ops", "reqps", "wps", "mps", "eps", "pps")
AXIS_TO = {"none": 1, "short": 1, "percentunit": 1, "s": 0.01, "bytes": 1024, "Bps": 1024, **dict.fromkeys(RATES, 0.1)}


def dashboard_url(uid: str) -> str:
    return f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}"


def stat_panel(title: str, about: str, *queries: Query, unit: str, limits: list, w: int = 4, h: int = 3,
               exceptions: Query | None = None, **more):
    """One number for each query, coloured as a whole where a threshold says that it is bad.

    `exceptions` is shown beside them: how many processes see it otherwise, yellow from the first on.
    """
    neutral = limits == AMOUNT
    panel = (
        stat.Panel()
        .color_mode(options.BigValueColorMode.VALUE if neutral else options.BigValueColorMode.BACKGROUND)
        .graph_mode(options.BigValueGraphMode.NONE)
        .color_scheme(BY_THRESHOLD)
        .reduce_options(last_value())
        .orientation(options.VizOrientation.AUTO)
    )
    words = more.pop("values", [])
    if exceptions:
        # An override adds to the words for all queries, so those for the first alone have to be in one.
        if words:
            override(panel, LETTERS[0], mappings=[*words, GREY_IF_MISSING])
            words = []
        queries = (*queries, exceptions)
        override(panel, LETTERS[len(queries) - 1], thresholds=thresholds([(None, "green"), (1, "yellow")]).build())
    if len(queries) > 1:
        panel.text(common.VizTextDisplayOptions().title_size(14).value_size(28))
    more["values"] = [*words, GREY_IF_MISSING]
    return finish(panel, title, about, queries, unit, limits, w, h, instant=True, **more)


def override(panel, letter: str, **values):
    """Sets options for the query of this name alone."""
    panel.override_by_query(
        letter, [model.DynamicConfigValue(id_val=option, value=value) for option, value in values.items()]
    )


def bar_panel(title: str, about: str, *queries: Query, unit: str, limits: list, w: int = 8, h: int = 8, **more):
    """A bar for each series, as it is now."""
    panel = (
        bargauge.Panel()
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .color_scheme(BY_THRESHOLD)
        .value_mode(options.BarGaugeValueMode.COLOR)
        .name_placement(options.BarGaugeNamePlacement.LEFT)
        .orientation(options.VizOrientation.HORIZONTAL)
        .show_unfilled(True)
        .reduce_options(last_value())
    )
    more.setdefault("low", 0)
    return finish(panel, title, about, queries, unit, limits, w, h, instant=True, **more)


def table_panel(title: str, about: str, query: Query, unit: str, limits: list, value: str, w: int = 12, h: int = 8,
                **more):
    """A line for each series with its labels; `value` names the column of the number, the only one with `unit`."""
    hidden = [model.DynamicConfigValue(id_val="custom.hidden", value=True)]
    number = [
        model.DynamicConfigValue(id_val="displayName", value=value),
        model.DynamicConfigValue(id_val="unit", value=unit),
    ]
    panel = (
        table.Panel()
        .show_header(True)
        .override_by_name("Time", hidden)
        .override_by_name("Value", number)
    )
    return finish(panel, title, about, [query], "string", limits, w, h, instant=True, tabular=True, **more)


def time_panel(title: str, about: str, *queries: Query, unit: str, limits: list = AMOUNT, w: int = 8, h: int = 8,
               stack: bool = False, **more):
    """Lines over time, with thresholds as dashed lines."""
    mode = options.GraphThresholdsStyleMode.OFF if limits == AMOUNT else options.GraphThresholdsStyleMode.DASHED
    panel = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(30 if stack else 8)
        .show_points(options.VisibilityMode.NEVER)
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(mode))
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    )
    if stack:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if "high" not in more:
        panel.axis_soft_max(AXIS_TO[unit])
    more.setdefault("low", 0)
    return finish(panel, title, about, queries, unit, limits, w, h, **more)


def thresholds(limits: list):
    steps = [model.Threshold(value=value, color=color) for value, color in limits]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def last_value():
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")


def finish(panel, title, about, queries, unit, limits, w, h, *, instant=False, tabular=False, low=None, high=None,
           values=None, decimals=None, to=None):
    """What panels of all types have. `to` is the dashboard that a click leads to, or several to choose from."""
    panel.title(title).description(about).datasource(DATASOURCE).unit(unit).span(w).height(h)
    panel.thresholds(thresholds(limits))
    if values:
        panel.mappings(values)
    if decimals is not None:
        panel.decimals(decimals)
    if low is not None:
        panel.min(low)
    if high is not None:
        panel.max(high)
    if to:
        links = [
            dashboard.DashboardLink(f"Open {TITLES[uid]}").type(model.DashboardLinkType.LINK).url(dashboard_url(uid))
            for uid in ([to] if isinstance(to, str) else to)
        ]
        panel.links(links).data_links(links)
    # A number that is shown as "now" must be of now: the last value of a range would outlive the process it came from.
    panel.no_value(MISSING)
    for letter, query in zip(LETTERS, queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).ref_id(letter).datasource(DATASOURCE)
        target = target.instant() if instant else target.range()
        target.legend_format(query.legend or title)
        if tabular:
            target.format(PromQueryFormat.TABLE)
        panel.with_target(target)
    return panel

