"""One alert, as the tables in this folder write it."""

from dataclasses import dataclass, field

from durations import TimeScale


@dataclass(frozen=True)
class Links:
    """Where the pages are that the annotations point to."""

    runbook: str
    grafana: str


@dataclass(frozen=True)
class Alert:
    """`pending` and `hold` are in real time; `expr` is in the scale already.

    `layer` says what inhibits what: pages of a cause inhibit conditions, symptoms and burn rates, those of a condition
    the latter two, those of a symptom burn rates. Pages that are `apart` explain only what alertmanager.yml names,
    and are explained by what is named there.
    """

    name: str
    severity: str
    layer: str
    expr: str
    dashboard: str
    summary: str
    description: str
    pending: str = "0s"
    hold: str = "0s"
    labels: dict = field(default_factory=dict)

    def static_labels(self) -> dict:
        return {"severity": self.severity, "layer": self.layer, **self.labels}

    def rule(self, scale: TimeScale, links: Links) -> dict:
        rule = {"alert": self.name, "expr": self.expr}
        if self.pending != "0s":
            rule["for"] = scale(self.pending)
        if self.hold != "0s":
            rule["keep_firing_for"] = scale(self.hold)
        rule["labels"] = self.static_labels()
        rule["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{links.runbook}#{self.name.lower()}",
            "dashboard_url": f"{links.grafana}/d/{self.dashboard}",
        }
        return rule
