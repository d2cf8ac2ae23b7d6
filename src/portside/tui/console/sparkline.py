"""A series of numbers as a line of small bars."""

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], most: float | None = None) -> str:
    """One character for each value, from 0 to the largest (or ``most``); a space for one that is not known."""
    largest = max((value for value in values if value is not None), default=0.0) if most is None else most
    return "".join(" " if value is None else _bar(value, largest) for value in values)


def _bar(value: float, largest: float) -> str:
    """The lowest bar stands for 0 alone: what is little is still seen."""
    if value <= 0 or largest <= 0:
        return _BARS[0]
    steps = len(_BARS) - 1
    return _BARS[min(steps, max(1, round(value / largest * steps)))]
