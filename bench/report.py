"""The measurements and their bars, as a Markdown table and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.server import Work

FULL = 0.9  # a core busy for more than this part of the time sets the rate


@dataclass(frozen=True)
class Bar:
    """The bar for a row: a ratio of our median to the peer's; with `absolute`, a value of ours.

    With `beyond`, the most by which ours may exceed the peer's.
    """

    limit: float
    at_most: bool = False
    absolute: bool = False
    beyond: bool = False

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {'peer + ' if self.beyond else ''}{self.limit:g}"

    def is_met(self, value: float) -> bool:
        """Whether a ratio (with `absolute` a value, with `beyond` a difference) meets the bar."""
        return value <= self.limit if self.at_most else value >= self.limit


@dataclass(frozen=True)
class Result:
    """One line of the table. Values are in `unit`, one for each run; ours and the peer's are measured by turns."""

    row: str
    unit: str
    ours: Sequence[float]
    peer: str = ""
    theirs: Sequence[float] = ()
    bar: Bar | None = None
    note: str = ""
    works: tuple[Sequence[Work], ...] = ()
    """For a rate: the work of each run, ours and the peer's."""

    @property
    def ratio(self) -> float | None:
        """Our median divided by the peer's."""
        return median(self.ours) / median(self.theirs) if self.theirs else None

    @property
    def full(self) -> str:
        """The cores that were busy all the time and so limited the rate, with Portside and with the peer."""
        return ", ".join(map(_full_cores, self.works)) or "-"

    @property
    def verdict(self) -> str:
        """`met`, `NOT MET`, or nothing for a row without a bar."""
        if self.bar is None:
            return ""
        if self.bar.absolute:
            value = median(self.ours)
        elif self.bar.beyond:
            value = median(self.ours) - median(self.theirs)
        else:
            assert self.ratio is not None
            value = self.ratio
        return "met" if self.bar.is_met(value) else "NOT MET"


@dataclass(frozen=True)
class Run:
    """One run of the benchmark: its measurements, the machine, and the disturbances."""

    results: list[Result]
    failed: dict[str, str]
    """The rows that could not be run, each with the reason."""
    facts: Mapping[str, str]
    runs: int
    others: Sequence[float]
    """The share of a core that other programs used, for each measurement."""


def _full_cores(works: Sequence[Work]) -> str:
    server = median(work.server_cpu_s / work.seconds for work in works) > FULL
    load = median(work.load_cpu_s / work.seconds for work in works) > FULL
    return {(True, True): "both", (True, False): "server", (False, True): "load"}.get((server, load), "none")


def number(value: float) -> str:
    """A number with three significant digits and separated thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value < 0.1 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """The median, and for several values the smallest and the largest."""
    if len(values) < 2:
        return number(median(values))
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


def markdown(run: Run) -> str:
    """The whole report."""
    lines = [
        "| work | unit | Portside | peer | peer's | full cores | ratio | bar | |",
        "|---|---|--:|---|--:|---|--:|--:|---|",
    ]
    notes: list[str] = []
    for result in run.results:
        if result.note and result.note not in notes:
            notes.append(result.note)
        mark = f" [{notes.index(result.note) + 1}]" if result.note else ""
        cells = [
            result.row + mark,
            result.unit,
            spread(result.ours),
            result.peer or "-",
            spread(result.theirs) if result.theirs else "-",
            result.full,
            f"{result.ratio:.2f}" if result.ratio is not None else "-",
            str(result.bar or "-"),
            result.verdict,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"| {name} | | | | | | | | COULD NOT RUN: {reason} |" for name, reason in run.failed.items()]
    lines += ["", *(f"{at}. {note}" for at, note in enumerate(notes, 1))]
    method = (
        f"Medians of {run.runs} runs (the least to the most), ours and the peer's by turns. A ratio is that of the "
        f"medians, ours to theirs. A row without a bar is for information. Full cores: which of the two, the server's "
        f"or the load's, was busy for more than {FULL:.0%} of the time, with Portside and with the peer. "
        + _quiet(run.others)
    )
    lines += [
        "",
        method,
        "",
        *(f"- {name}: {fact}" for name, fact in run.facts.items()),
        "",
    ]
    return "\n".join(lines)


def _quiet(others: Sequence[float]) -> str:
    """How much other programs disturbed the measurements."""
    if not others:
        return ""
    return (
        f"Other programs took {median(others):.0%} of a core meanwhile (median of all runs; the worst: "
        f"{max(others):.0%})."
    )


def as_json(run: Run) -> str:
    """All raw values."""
    rows: list[dict[str, Any]] = [
        {**asdict(result), "ratio": result.ratio, "verdict": result.verdict or None} for result in run.results
    ]
    whole = {**asdict(run), "results": rows}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
