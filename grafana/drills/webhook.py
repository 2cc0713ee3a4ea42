"""The receivers of a drill: they keep what Alertmanager tells them."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Notification:
    """One alert in one message to a receiver."""

    at: float
    receiver: str
    status: str
    labels: dict

    @property
    def alert(self) -> str:
        return self.labels["alertname"]


class Webhook:
    """Listens on a port of this machine until it is closed."""

    def __init__(self):
        self.notifications: list[Notification] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802 - the name is the library's
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.take(self.path.strip("/"), body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Nothing: what arrives is in the report."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def take(self, receiver: str, body: dict) -> None:
        """Keeps a message in the form that Alertmanager gives it (version 4)."""
        now = time.monotonic()
        for alert in body["alerts"]:
            self.notifications.append(Notification(now, receiver, alert["status"], alert["labels"]))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
