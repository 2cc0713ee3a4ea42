"""What became of alerts during a drill, in seconds after its beginning."""

import time
from dataclasses import dataclass, field

from monitoring import Monitoring
from webhook import Notification

# Labels that tell alerts of one name apart, for the table.
TELLING = ("slo", "window", "reason", "limit", "reach")
# It reaches nobody by design: it says why others are silent.
SILENT_SEVERITY = "none"


def title(labels: dict) -> str:
    """The alert's name, and what tells it from others of that name, without the prefix that all share."""
    telling = [labels[name] for name in TELLING if name in labels]
    name = labels["alertname"].removeprefix("LinkUp")
    return f"{name} ({' '.join(telling)})" if telling else name


@dataclass
class Record:
    """When alerts first fired, were first inhibited, and last were seen to fire."""

    fired: dict[str, float] = field(default_factory=dict)
    inhibited: dict[str, float] = field(default_factory=dict)
    last_seen: dict[str, float] = field(default_factory=dict)
    severities: dict[str, str] = field(default_factory=dict)

    def note(self, at: float, firing: list[dict], suppressed: list[dict]) -> None:
        """Takes in what fires, and what is inhibited, as lists of labels."""
        for labels in firing:
            name = title(labels)
            self.fired.setdefault(name, at)
            self.last_seen[name] = at
            self.severities[name] = labels["severity"]
        for labels in suppressed:
            self.inhibited.setdefault(title(labels), at)

    def told(self) -> dict[str, float]:
        """What fired and is meant for somebody."""
        return {name: at for name, at in self.fired.items() if self.severities[name] != SILENT_SEVERITY}


class Watch:
    """Looks at Prometheus and Alertmanager again and again."""

    def __init__(self, monitoring: Monitoring):
        self.monitoring, self.began, self.record = monitoring, time.monotonic(), Record()
        self.unseen_before = len(monitoring.webhook.notifications)

    def now(self) -> float:
        return time.monotonic() - self.began

    def look(self) -> None:
        firing = [alert["labels"] for alert in self.monitoring.alerts() if alert["state"] == "firing"]
        received = self.monitoring.received_alerts()
        suppressed = [alert["labels"] for alert in received if alert["status"]["inhibitedBy"]]
        self.record.note(self.now(), firing, suppressed)

    def notifications(self, status: str) -> list[tuple[float, Notification]]:
        """What receivers were told, with when."""
        new = self.monitoring.webhook.notifications[self.unseen_before :]
        return [(each.at - self.began, each) for each in new if each.status == status]

    def first(self, status: str, alert: str) -> float | None:
        """When a receiver was first told this of this alert."""
        return next((at for at, each in self.notifications(status) if each.alert == alert), None)

    def last(self, status: str, alert: str) -> float | None:
        """When a receiver was last told this of this alert."""
        return next((at for at, each in reversed(self.notifications(status)) if each.alert == alert), None)

    def audible(self) -> set[str]:
        """Alerts that fire now and are meant for somebody, inhibited or not."""
        alerts = [alert["labels"] for alert in self.monitoring.alerts() if alert["state"] == "firing"]
        return {labels["alertname"] for labels in alerts if labels["severity"] != SILENT_SEVERITY}
