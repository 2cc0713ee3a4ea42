"""Durations as Prometheus writes them, and the factor by which all of them are divided for a fast test."""

from fractions import Fraction

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(text: str) -> int:
    """`5m` as 300000. One number and one unit: nothing here is written as `1h30m`."""
    number = text.rstrip("dhms")
    return int(number) * UNITS[text[len(number) :]]


class TimeScale:
    """Every range, `for` and interval passes through one of these."""

    def __init__(self, factor: Fraction = Fraction(1)):
        if not 0 < factor <= 1:
            raise ValueError("the factor is more than 0 and at most 1")
        self.factor = factor

    def __call__(self, text: str) -> str:
        """A duration in this scale, for a range, a `for` or an interval."""
        if self.factor == 1:
            return text
        scaled = self._scaled_milliseconds(text)
        unit = next(unit for unit in ("h", "m", "s", "ms") if scaled % UNITS[unit] == 0)
        return f"{scaled // UNITS[unit]}{unit}"

    def seconds(self, text: str) -> str:
        """The same as a number of seconds, for arithmetic in an expression."""
        return f"{self._scaled_milliseconds(text) / 1000:g}"

    def at_least(self, text: str, least: str) -> str:
        """The duration in this scale, but not below `least`: a process can be asked only so often."""
        return self(text) if self._scaled_milliseconds(text) >= milliseconds(least) else least

    def _scaled_milliseconds(self, text: str) -> int:
        return max(1, round(milliseconds(text) * self.factor))
