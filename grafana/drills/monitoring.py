"""A Prometheus with the shipped rules, and an Alertmanager with the shipped routes, both faster than the real ones."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

import history
import programs
import scaling
from cluster import Cluster
from http_client import get, query
from processes import DrillError, Process, Workshop, free_port, wait_until
from webhook import Webhook

GRAFANA = Path(__file__).resolve().parent.parent
GENERATOR = GRAFANA / "alerts" / "generate.py"
ALERTMANAGER_CONFIG = GRAFANA / "alertmanager" / "alertmanager.yml"
RECORDING_RULES, ALERT_RULES = "linkup-recording.yml", "linkup-alerts.yml"
START_SECONDS = 30
# Prometheus' own times, which are settings of its command line.
LOOKBACK, RESEND_DELAY = "5m", "1m"
# So far back reach the windows that are measured by counters.
HISTORY = "6h"


class Monitoring:
    """One Prometheus and one Alertmanager, with what their receivers were told."""

    def __init__(self, workshop: Workshop, cluster: Cluster, scale: float, name: str, harness_port: int | None = None):
        self.cluster, self.scale, self.harness_port = cluster, scale, harness_port
        self.folder = workshop.place(f"monitoring-{name}")
        self.webhook = Webhook()
        prometheus, alertmanager = free_port(), free_port()
        self.prometheus_url = f"http://127.0.0.1:{prometheus}"
        self.alertmanager_url = f"http://127.0.0.1:{alertmanager}"
        self._write_config(alertmanager)
        self.prometheus = self._prometheus(workshop, prometheus, name)
        self.alertmanager = self._alertmanager(workshop, alertmanager, name)

    def _write_config(self, alertmanager: int) -> None:
        command = [sys.executable, GENERATOR, "--time-scale", f"1/{self.scale:g}", "--out", self.folder]
        command += ["--alertmanager", f"127.0.0.1:{alertmanager}"]
        for role in self.cluster.roles:
            command += ["--target", f"{role.job}=127.0.0.1:{role.admin_port}"]
        if self.harness_port:
            command += ["--target", f"loadtest=127.0.0.1:{self.harness_port}"]
        subprocess.run(command, check=True, timeout=60)
        # Prometheus begins to scrape five seconds after its start, which are minutes for faster rules: they come later.
        self.config = self.folder / "prometheus.yml"
        self.with_rules = self.config.read_text()
        self.config.write_text(yaml.safe_dump(yaml.safe_load(self.with_rules) | {"rule_files": []}))
        shipped = yaml.safe_load(ALERTMANAGER_CONFIG.read_text())
        config = scaling.alertmanager(shipped, self.scale, self.webhook.url)
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(config, sort_keys=False))

    def _prometheus(self, workshop: Workshop, port: int, name: str) -> Process:
        arguments = [
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            "--storage.tsdb.retention.time=35d",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--query.lookback-delta={scaling.scaled(LOOKBACK, self.scale)}",
            f"--rules.alert.resend-delay={scaling.scaled(RESEND_DELAY, self.scale)}",
            "--log.level=warn",
        ]
        return workshop.process(f"prometheus-{name}", [programs.find("prometheus"), *arguments])

    def _alertmanager(self, workshop: Workshop, port: int, name: str) -> Process:
        arguments = [
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
        return workshop.process(f"alertmanager-{name}", [programs.find("alertmanager"), *arguments])

    def __enter__(self) -> "Monitoring":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self, with_history: bool = True) -> None:
        """Starts both; returns when every process of LinkUp was scraped and every rule evaluated."""
        if with_history:
            self._write_history()
        self.alertmanager.start()
        self.prometheus.start()
        for process, url in ((self.alertmanager, self.alertmanager_url), (self.prometheus, self.prometheus_url)):
            wait_until(lambda: self._answers(process, url), f"{process.name} is ready", START_SECONDS)
        wait_until(self._scrapes_all, "every target is scraped", START_SECONDS)
        self._load_rules()
        wait_until(self._evaluated, "every rule is evaluated", START_SECONDS + scaling.seconds("1m") / self.scale)

    def _write_history(self) -> None:
        rules = yaml.safe_load((self.folder / RECORDING_RULES).read_text())
        expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
        series = history.measure(self.cluster.roles, history.metrics_in(expressions))
        text = history.open_metrics(series, time.time(), scaling.seconds(HISTORY) / self.scale)
        history.write_blocks(programs.find("promtool"), text, self.folder)

    def _load_rules(self) -> None:
        self.config.write_text(self.with_rules)
        self.prometheus.signal(signal.SIGHUP)
        wait_until(self.rules, "the rules are loaded", START_SECONDS)

    @staticmethod
    def _answers(process: Process, url: str) -> bool:
        if not process.alive:
            raise DrillError(f"{process.name} ended:\n{process.tail()}")
        return get(f"{url}/-/ready")[0] == 200

    def _scrapes_all(self) -> bool:
        return len(self.instant('up{job="linkup"} == 1')) == len(self.cluster.roles)

    def _evaluated(self) -> bool:
        return all(rule["health"] != "unknown" for rule in self.rules())

    def stop(self) -> None:
        self.prometheus.kill()
        self.alertmanager.kill()
        self.webhook.close()

    def instant(self, expression: str) -> list[dict]:
        """The samples that the expression has now. Raises DrillError where Prometheus does not take it."""
        answer = query(f"{self.prometheus_url}/api/v1/query", query=expression)
        if answer["status"] != "success":
            raise DrillError(answer["error"])
        return answer["data"]["result"]

    def rules(self) -> list[dict]:
        """All rules, with their health."""
        groups = query(f"{self.prometheus_url}/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def alerts(self) -> list[dict]:
        """Alerts that are pending or firing."""
        return query(f"{self.prometheus_url}/api/v1/alerts")["data"]["alerts"]

    def received_alerts(self) -> list[dict]:
        """What Alertmanager holds, with what it does with each."""
        return query(f"{self.alertmanager_url}/api/v2/alerts")
