"""The table of faults and alerts."""

from dataclasses import dataclass

from watch import Record

HEADER = (
    "| fault | fired (seconds after the fault) | inhibited | reached a receiver | after (shipped time) "
    "| over after the fault's end (shipped time) | verdict |",
    "|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Outcome:
    """One drill. Times are in seconds of the wall clock after the fault began, `over` after it ended."""

    fault: str
    expected: str | None
    record: Record
    # Who was told of what, and when first.
    told: list[tuple[str, str, float]]
    over: float | None
    problems: list[str]

    @staticmethod
    def failed(fault: str, expected: str | None, why: str) -> "Outcome":
        """A drill that did not come to its end."""
        return Outcome(fault, expected, Record(), [], None, [why.splitlines()[0]])

    @property
    def held(self) -> bool:
        return not self.problems


def shipped(seconds: float, scale: float) -> str:
    """How long it would be with the rules as they are shipped."""
    whole = round(seconds * scale)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    # Who reads hours does not ask for seconds.
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def wall_and_shipped(seconds: float | None, scale: float) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s ({shipped(seconds, scale)})"


def row(outcome: Outcome, scale: float) -> str:
    """One line of the table."""
    record = outcome.record
    cells = [
        outcome.fault,
        "<br>".join(f"{name} {at:.1f}" for name, at in sorted(record.told().items(), key=lambda each: each[1])),
        "<br>".join(sorted(record.inhibited)),
        "<br>".join(f"{alert} → {receiver}" for alert, receiver, _ in outcome.told),
        "<br>".join(wall_and_shipped(at, scale) for _, _, at in outcome.told),
        wall_and_shipped(outcome.over, scale),
        "as it must be" if outcome.held else "<br>".join(outcome.problems),
    ]
    return "| " + " | ".join(cell or "–" for cell in cells) + " |"


def table(outcomes: list[Outcome], scale: float) -> str:
    """The whole table in Markdown."""
    return "\n".join([*HEADER, *(row(outcome, scale) for outcome in outcomes)]) + "\n"
