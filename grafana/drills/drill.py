"""One fault, from a healthy system to a healthy system, with fresh monitoring that has seen nothing but good hours."""

import time

import scaling
from faults import Fault
from monitoring import Monitoring
from processes import DrillError, say
from report import Outcome
from scene import Scene
from watch import Watch

LOOK_INTERVAL = 0.25
# Times in those of the shipped rules. So long nothing may fire or be pending before a fault:
CALM = "1m"
# So long the right alert may take, and everything may take to be over.
PATIENCE = "30m"
# So long is listened for late notifications after everything is over: two group intervals.
AFTERWARDS = "10m"
# LinkUp's own times, and those of a busy machine, come on top and are not scaled.
SLACK_SECONDS = 60


def run(scene: Scene, fault: Fault, word: str, afterwards: str = AFTERWARDS) -> Outcome:
    """Takes the fault through and says what became of it."""
    say(f"{fault.name}: preparing")
    if fault.evening:
        scene.begin_evening()
    else:
        scene.end_evening()
    fault.prepare()
    scene.settle()
    with Monitoring(scene.workshop, scene.cluster, scene.scale, word) as monitoring:
        monitoring.start()
        wait_for_calm(monitoring, scene.scale)
        outcome = observe(scene, fault, Watch(monitoring), afterwards)
    fault.restore()
    return outcome


def wait_for_calm(monitoring: Monitoring, scale: float) -> None:
    """Waits until no alert has been firing or pending for a while."""
    calm_since, deadline = time.monotonic(), time.monotonic() + in_wall(PATIENCE, scale) + SLACK_SECONDS
    while time.monotonic() - calm_since < in_wall(CALM, scale):
        if alerts := monitoring.alerts():
            calm_since = time.monotonic()
        if time.monotonic() > deadline:
            names = sorted({alert["labels"]["alertname"] for alert in alerts})
            raise DrillError(f"not calm before the fault: {', '.join(names)}")
        time.sleep(LOOK_INTERVAL)


def observe(scene: Scene, fault: Fault, watch: Watch, afterwards: str) -> Outcome:
    """Makes the fault, waits for its alert, undoes it, and waits for the end of everything that it caused."""
    say(f"{fault.name}: begins")
    problems = []
    fault.begin()
    try:
        if not lasts(fault, watch, scene.scale):
            problems.append(f"{fault.alert} reached no receiver")
    finally:
        fault.end()
    ended = watch.now()
    say(f"{fault.name}: undone after {ended:.0f} s")
    scene.settle()
    if not quietens(watch, scene.scale, afterwards):
        problems.append("still fires: " + ", ".join(sorted(watch.audible())))
    told = first_told(watch)
    problems += wrong(fault, told)
    over = None
    if fault.alert is None:
        problems += [f"{name} fired" for name in watch.record.told()]
    elif (resolved := watch.last("resolved", fault.alert)) is not None:
        over = resolved - ended
    else:
        problems.append(f"{fault.alert} was not told to be over")
    outcome = Outcome(fault.name, fault.alert, watch.record, told, over, problems)
    say(f"{fault.name}: {'as it must be' if outcome.held else '; '.join(problems)}")
    return outcome


def lasts(fault: Fault, watch: Watch, scale: float) -> bool:
    """Looks on while the fault lasts; whether its alert, if there is to be one, was told to somebody."""
    least = fault.minutes * 60 / scale
    most = in_wall(PATIENCE, scale) + SLACK_SECONDS
    while True:
        watch.look()
        fault.continue_()
        told = fault.alert is None or watch.first("firing", fault.alert) is not None
        if watch.now() > least and told:
            return True
        if watch.now() > most + least:
            return False
        time.sleep(LOOK_INTERVAL)


def quietens(watch: Watch, scale: float, afterwards: str) -> bool:
    """Looks on until no alert has been firing for a while; whether that happens."""
    deadline = watch.now() + in_wall(PATIENCE, scale) + SLACK_SECONDS + in_wall(afterwards, scale)
    quiet_since = watch.now()
    while watch.now() - quiet_since < in_wall(afterwards, scale):
        watch.look()
        if watch.audible():
            quiet_since = watch.now()
        if watch.now() > deadline:
            return False
        time.sleep(LOOK_INTERVAL)
    return True


def first_told(watch: Watch) -> list[tuple[str, str, float]]:
    """Alert, receiver and time of the first notification of each."""
    told: dict[tuple[str, str], float] = {}
    for at, each in watch.notifications("firing"):
        told.setdefault((each.alert, each.receiver), at)
    return [(alert, receiver, at) for (alert, receiver), at in told.items()]


def wrong(fault: Fault, told: list[tuple[str, str, float]]) -> list[str]:
    """What reached a receiver and should not have."""
    right = (fault.alert, fault.receiver)
    return [f"{alert} reached {receiver}" for alert, receiver, _ in told if (alert, receiver) != right]


def in_wall(text: str, scale: float) -> float:
    """A time of the shipped rules in seconds of the wall clock."""
    return scaling.seconds(text) / scale
