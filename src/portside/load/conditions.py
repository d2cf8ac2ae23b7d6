"""``--fail-if``: conditions on a report, such as ``p99 > 50ms`` or ``errors > 0``."""

import operator
import re
from typing import NamedTuple

from portside.errors import InvalidValue
from portside.load.report import LoadReport, show_time
from portside.nearest import nearest
from portside.units import parse_duration, parse_rate

_CONDITION = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(<=|>=|<|>|=|==|!=)\s*(\S+)\s*", re.ASCII)
_OPERATORS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
_TIMES = ("p50", "p90", "p95", "p99", "p99_9", "p99_99", "max")
_COUNTS = ("errors", "sent", "replies", "retransmitted")
_RATES = ("rate", "connect_rate")
_TABLES = {"": "latency_us", "connect.": "connect_us", "late.": "late_us"}


class FailCondition(NamedTuple):
    """A condition as it was written, and its parts; ``limit`` is in microseconds for times."""

    written: str
    name: str
    operator: str
    limit: float

    def holds(self, report: LoadReport) -> bool:
        """Whether it holds; what has no value is more than any limit, so that a run without answers does not pass."""
        value = value_of(report, self.name)
        return bool(_OPERATORS[self.operator](float("inf") if value is None else value, self.limit))

    def shown(self, report: LoadReport) -> str:
        """The value that it was compared with, for a person."""
        value = value_of(report, self.name)
        if value is None:
            return "there is no value"
        return show_time(value) if self.name.rpartition(".")[2] in _TIMES else f"{value:,.0f}"


def parse_condition(text: str) -> FailCondition:
    """Read ``NAME OPERATOR VALUE``. Raises InvalidValue."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InvalidValue(f"{text!r} is no condition: write 'p99 > 50ms' or 'errors > 0'")
    written, sign, value = match.groups()
    name = re.sub(r"(?<=\d)\.(?=\d)", "_", written)
    prefix = next((each for each in _TABLES if each and name.startswith(each)), "")
    if name[len(prefix) :] in _TIMES:
        limit = _duration_us(value)
    elif name in _COUNTS:
        limit = _count(value)
    elif name in _RATES:
        limit = parse_rate(value if value.endswith("/s") else f"{value}/s")
    else:
        near = nearest(name, (*_TIMES, *_COUNTS, *_RATES, *(f"{p}{t}" for p in _TABLES if p for t in _TIMES)))
        raise InvalidValue(f"a report has no {written!r}" + (f", did you mean {near}?" if near else ""))
    return FailCondition(text.strip(), name, sign, limit)


def value_of(report: LoadReport, name: str) -> float | None:
    """The value of a name in a report; None where there is none."""
    if name == "errors":
        return sum(report.errors.values())
    if name == "retransmitted":
        return report.kernel.retransmitted if report.kernel is not None else None
    if name in (*_COUNTS, *_RATES):
        return float(getattr(report, name))
    table, _, time = name.rpartition(".")
    times = getattr(report, _TABLES[f"{table}." if table else ""])
    value = times[time] if times is not None else None
    return None if value is None else float(value)


def _duration_us(text: str) -> float:
    if text.endswith("us"):
        return _count(text[:-2])
    return parse_duration(text) * 1e6


def _count(text: str) -> float:
    if not (text.isascii() and text.isdigit()):
        raise InvalidValue(f"{text!r} is no count")
    return float(text)
