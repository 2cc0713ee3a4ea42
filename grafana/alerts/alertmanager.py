"""A real Alertmanager with the shipped configuration, whose receivers are all at a local webhook."""

import json
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

import generate

BINARY = "prometheus-alertmanager"
GROUP_WAIT = "400ms"
DEADLINE = 20


def local_configuration(webhook: str) -> dict:
    """As it is shipped, but quick, and with `webhook` for every receiver, each under its own name."""
    config = yaml.safe_load(generate.ALERTMANAGER.read_text())
    for receiver in config["receivers"]:
        for hook in receiver.get("webhook_configs", []):
            hook["url"] = f"{webhook}/{receiver['name']}"
    for route in [config["route"], *config["route"]["routes"]]:
        route.update(group_wait=GROUP_WAIT, group_interval=GROUP_WAIT, repeat_interval="1h")
    return config


class Webhook:
    """Keeps notifications: receiver and name of each group of which something fires."""

    def __init__(self):
        self.notified: list[tuple[str, str]] = []
        self.news = threading.Condition()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                notification = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()
                if any(alert["status"] == "firing" for alert in notification["alerts"]):
                    with webhook.news:
                        webhook.notified.append((self.path.strip("/"), notification["groupLabels"]["alertname"]))
                        webhook.news.notify_all()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait_for(self, name: str) -> None:
        with self.news:
            if not self.news.wait_for(lambda: any(notified == name for _, notified in self.notified), DEADLINE):
                raise TimeoutError(f"nobody was notified of {name}, only of {self.notified}")


class Alertmanager:
    def __enter__(self) -> "Alertmanager":
        self.folder = tempfile.TemporaryDirectory()
        self.webhook = Webhook()
        self.sentinels = 0
        config = Path(self.folder.name) / "alertmanager.yml"
        config.write_text(yaml.safe_dump(local_configuration(self.webhook.url)))
        address = f"127.0.0.1:{free_port()}"
        self.api = f"http://{address}/api/v2"
        self.log = (Path(self.folder.name) / "log").open("w+")
        self.process = subprocess.Popen(
            [
                BINARY,
                f"--config.file={config}",
                f"--storage.path={self.folder.name}",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
            ],
            stdout=self.log,
            stderr=self.log,
        )
        self._wait_until_ready()
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait()
        self.webhook.server.shutdown()
        self.webhook.server.server_close()
        self.log.close()
        self.folder.cleanup()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + DEADLINE
        while True:
            try:
                with urllib.request.urlopen(f"{self.api}/status", timeout=DEADLINE):
                    return
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > end or self.process.poll() is not None:
                    self.log.seek(0)
                    raise TimeoutError(f"Alertmanager did not start: {self.log.read()}") from None
                time.sleep(0.05)

    def post(self, firing: list[dict], resolved: list[dict] = ()) -> None:
        now = datetime.now(UTC)
        # What began longer ago than the wait of its group reaches a receiver at once.
        alerts = [
            {"labels": labels, "startsAt": stamp(now), "endsAt": stamp(now + timedelta(hours=1))} for labels in firing
        ] + [
            {"labels": labels, "startsAt": stamp(now - timedelta(hours=1)), "endsAt": stamp(now)} for labels in resolved
        ]
        request = urllib.request.Request(
            f"{self.api}/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=DEADLINE):
            pass

    def settle(self) -> None:
        """Waits until everything posted before has been through a flush of its group.

        A group is flushed as long after its first alert as any other, so whoever comes later is sent later. Of two
        in a row, the second was posted when the first had been flushed: an older group's interval lies in between.
        """
        for _ in range(2):
            self.sentinels += 1
            name = f"Sentinel{self.sentinels}"
            self.post([{"alertname": name, "severity": "ticket", "layer": "sentinel"}])
            self.webhook.wait_for(name)

    def notified(self) -> set[tuple[str, str]]:
        with self.webhook.news:
            return {(receiver, name) for receiver, name in self.webhook.notified if not name.startswith("Sentinel")}


def stamp(moment: datetime) -> str:
    return moment.isoformat()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
