"""Unit tests: `python3 -m unittest discover -s grafana/drills/tests -t grafana/drills`."""
