#!/bin/sh
# An alert that was notified, and ends while it is inhibited, is never reported as resolved.
#
# Package:   prometheus-alertmanager 0.25 (Debian package)
#
# Behaviour: a symptom fires and is notified; then its cause fires and inhibits it; the symptom ends, then the cause
#            does. With `send_resolved: true` the receiver is told of the cause's end, and never of the symptom's: the
#            inhibition swallows the notice of the end too, Alertmanager forgets the alert, and the end of the
#            inhibition does not bring it back. An incident opened by the first notice stays open. The one rescue is
#            that the sender repeats the ended alert after the inhibition. (By its source, Prometheus repeats it for
#            15 minutes, so a cause that lasts longer leaves the incident open; that part is not measured here.)
#
# Expected:  inhibition holds back the news of trouble. That trouble which was already told is over is good news, and
#            could be told at the latest when the inhibition ends.
#
# Seen:      firing Symptom, firing Cause, resolved Cause, firing Control, resolved Control; no resolved Symptom,
#            until the sender repeats it: resolved Symptom
#
# Needs apt-get, dpkg-deb and python3. Exits 1 when the behaviour has changed.
set -eu
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || { kill "$pid"; wait "$pid" || true; }; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
apt-get -qq download prometheus-alertmanager 2> apt.log || { cat apt.log >&2; exit 2; }
dpkg-deb -x prometheus-alertmanager_*.deb unpacked
alertmanager=$work/unpacked/usr/bin/prometheus-alertmanager
"$alertmanager" --version 2>&1 | grep -o 'version 0\.25[^ ,]*' || { echo "not Alertmanager 0.25" >&2; exit 1; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
hook=$(free_port)
cat > alertmanager.yml <<YAML
route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: hook
    webhook_configs: [{url: 'http://127.0.0.1:$hook/', send_resolved: true}]
inhibit_rules:
  - {source_matchers: [severity="page"], target_matchers: [severity="ticket"], equal: [cluster]}
YAML
"$alertmanager" --config.file=alertmanager.yml --storage.path=data --cluster.listen-address= \
    --web.listen-address="127.0.0.1:$port" > alertmanager.log 2>&1 &
pid=$!

cat > check.py <<'PYTHON'
import datetime
import http.server
import json
import sys
import threading
import time
import urllib.error
import urllib.request

base, hook = f"http://127.0.0.1:{sys.argv[1]}", int(sys.argv[2])
notices = []


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for alert in body["alerts"]:
            notices.append((alert["status"], alert["labels"]["alertname"]))
            print(*notices[-1], flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", hook), Hook)
threading.Thread(target=server.serve_forever, daemon=True).start()


def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read()


def until(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def told(*notice):
    until(lambda: notice in notices, f"no notice {notice}: {notices}")


def is_ready():
    try:
        return ask("/-/ready")
    except (urllib.error.URLError, ConnectionError):
        return False


def now(seconds=0):
    time_ = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return time_.isoformat(timespec="milliseconds")


class Alert:
    def __init__(self, name, severity, cluster):
        self.alert = {"labels": {"alertname": name, "severity": severity, "cluster": cluster},
                      "startsAt": now(), "endsAt": now(600)}
        self.send()

    def send(self):
        ask("/api/v2/alerts", [self.alert])

    def end(self):
        self.alert["endsAt"] = now()
        self.send()


def states(name):
    return [alert["status"]["state"] for alert in json.loads(ask("/api/v2/alerts"))
            if alert["labels"]["alertname"] == name]


until(is_ready, "Alertmanager does not start")
symptom = Alert("Symptom", "ticket", "a")
told("firing", "Symptom")
cause = Alert("Cause", "page", "a")
told("firing", "Cause")
until(lambda: states("Symptom") == ["suppressed"], "not inhibited")
symptom.end()
# Several group intervals, in which the end could be told, and is taken note of.
time.sleep(4)
cause.end()
told("resolved", "Cause")
# The same life without a cause, as a measure of how long the notice of an end takes.
control = Alert("Control", "ticket", "b")
told("firing", "Control")
control.end()
told("resolved", "Control")
time.sleep(4)
assert ("resolved", "Symptom") not in notices, "the end was told after all"
print("the sender repeats the ended symptom")
symptom.send()
told("resolved", "Symptom")
PYTHON
python3 check.py "$port" "$hook"
