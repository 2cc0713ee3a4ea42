#!/bin/sh
# A unit test of an alert that does not exist passes, if it expects silence.
#
# Package:   prometheus 2.42 (Debian package, with promtool)
#
# Behaviour: `promtool test rules` takes the `alertname` of a test case as a filter. A name that no rule has matches
#            nothing, and nothing is what `exp_alerts: []` asks for: SUCCESS, status 0, no warning. So after a rule
#            was renamed, all its "must stay silent" cases go on passing and prove nothing.
#
# Expected:  an error: the tool has read the rules and knows their names, and it is strict elsewhere (a misspelt field
#            of the same case is refused).
#
# Seen:      misspelt alert           status 0  SUCCESS
#            misspelt field           status 1  field exp_alert not found
#            right name, same series  status 1  FAILED … got: QueueFull
#
# Needs apt-get and dpkg-deb. Exits 1 when the behaviour has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
apt-get -qq download prometheus 2> apt.log || { cat apt.log >&2; exit 2; }
dpkg-deb -x prometheus_*.deb unpacked
promtool=$work/unpacked/usr/bin/promtool
"$promtool" --version 2>&1 | grep -o 'version 2\.42[^ ,]*' || { echo "not Prometheus 2.42" >&2; exit 1; }

cat > rules.yml <<'YAML'
groups:
  - name: queues
    rules:
      - alert: QueueFull
        expr: queue_items > 10
YAML

# check ALERTNAME FIELD: runs one case that expects silence while the queue is full.
check() {
    cat > test.yml <<YAML
rule_files: [rules.yml]
tests:
  - input_series: [{series: queue_items, values: '100x10'}]
    alert_rule_test:
      - {eval_time: 5m, alertname: $1, $2: []}
YAML
    status=0
    "$promtool" test rules test.yml > out 2>&1 || status=$?
}

check QueueFul exp_alerts
echo "misspelt alert           status $status  $(grep -o SUCCESS out || true)"
[ "$status" = 0 ] || exit 1
grep -qi -e warn -e 'no such' out && exit 1

check QueueFull exp_alert
echo "misspelt field           status $status  $(grep -o 'field exp_alert not found' out || true)"
[ "$status" != 0 ] || exit 1

check QueueFull exp_alerts
echo "right name, same series  status $status  $(grep -o FAILED out || true) … got: $(grep -o -m1 '"QueueFull"' out)"
[ "$status" != 0 ] || exit 1
