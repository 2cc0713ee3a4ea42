#!/usr/bin/env bash
# Everything about dashboards, rules and alerts that needs no running LinkUp: what is generated is up to date, the
# dashboard linter's rules hold, every alert fires when it should and has its section in the runbook, and causes
# inhibit their symptoms in a real Alertmanager. Needs Python 3.11, Node, promtool, amtool and Alertmanager
# (Debian: prometheus, prometheus-alertmanager).
set -euo pipefail
cd "$(dirname "$0")"

venv="$(git rev-parse --show-toplevel)/target/grafana-venv"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check \
    -r generate/requirements.txt -r alerts/requirements.txt

(cd generate && "$venv/bin/python" generate.py --check && "$venv/bin/python" -m unittest)
(cd alerts && "$venv/bin/python" generate.py --check && "$venv/bin/python" -m unittest)
(cd drills && "$venv/bin/python" -m unittest discover -s tests -t .)
promtool check config --syntax-only prometheus/prometheus.yml
promtool check rules prometheus/linkup-recording.yml prometheus/linkup-alerts.yml
amtool check-config alertmanager/alertmanager.yml
(cd render && npm ci --silent --no-audit --no-fund && node --test)
