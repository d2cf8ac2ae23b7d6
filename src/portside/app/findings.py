"""``portside.diagnose``: what is wrong, as a Python function; and the looks that it and the command take."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from portside.app.diagnose_source import DiagnosisSource
from portside.app.diagnosis_choice import chosen_rules, filtered_rules, read_thresholds
from portside.diagnosis.diagnosis import Diagnosis, Report, by_severity
from portside.diagnosis.findings import Finding, Subject
from portside.kernel.filter import parse
from portside.kernel.filter.tree import EVERYTHING
from portside.kernel.netns import Namespace
from portside.kernel.resolver import SystemResolver
from portside.settings.diagnose import parse_setting


class Looked(NamedTuple):
    """The findings of a watch over a machine: ``blind`` are the codes that could not be looked for, and why."""

    findings: tuple[Finding, ...]
    blind: Mapping[str, str]
    sockets: int


def diagnose(
    filter: str | None = None,  # noqa: A002 - it is the filter, here as everywhere
    *,
    duration: float = 3.0,
    interval: float = 1.0,
    netns: str | None = None,
    source: str | None = None,
    only: Iterable[str] = (),
    ignore: Iterable[str] = (),
    thresholds: Mapping[str, str] | None = None,
) -> list[Finding]:
    """The findings about the TCP of this machine, the most severe first: watches it for ``duration`` seconds.

    A filter selects the sockets that are looked at; with one, conditions of the whole machine are left out. The machine
    is looked at every ``interval`` seconds. ``netns`` is another network namespace by its name, a process in it or its
    path. ``source`` is one of ``netlink``, ``proc`` and ``psutil``. ``only`` and ``ignore`` are codes. ``thresholds``
    are values as ``--set`` takes them: ``{"close-wait-leak.age": "10s"}``.

    Raises FilterError (a ValueError) for a filter that cannot be read, UsageError for a code or threshold that does not
    exist, and PortsideError where no socket can be read.

    >>> portside.diagnose("sport = :12345", duration=0.2, only=["close-wait-leak", "receiver-slow"])
    []
    """
    rules = chosen_rules(tuple(only), tuple(ignore))
    changed = read_thresholds([parse_setting(f"{name}={value}") for name, value in (thresholds or {}).items()])
    namespace = Namespace(netns) if netns is not None else None
    try:
        tree = parse(filter, SystemResolver(namespace)) if filter and filter.strip() else EVERYTHING
        if tree is not EVERYTHING:
            rules = filtered_rules(rules)
        with DiagnosisSource(tree, namespace, source=source) as looked_at:
            looks = reports(looked_at, Diagnosis(rules, changed), interval, time.monotonic() + duration, _sleep)
            return list(everything_found(looks).findings)
    finally:
        if namespace is not None:
            namespace.close()


def reports(
    source: DiagnosisSource, diagnosis: Diagnosis, interval: float, end: float | None, wait: Callable[[float], bool]
) -> Iterator[tuple[Report, int]]:
    """A report and the number of sockets for each look: at least one, and one at the end.

    ``end`` is a time of the monotonic clock, None for never. ``wait`` waits for so many seconds, and is true where that
    is to be the end.
    """
    due = time.monotonic()
    while True:
        seen = source.observe()
        yield diagnosis.observe(seen), len(seen.sockets)
        if end is not None and due >= end:
            return
        due = max(due + interval, time.monotonic() + interval / 2)
        due = due if end is None else min(due, end)
        if wait(max(0.0, due - time.monotonic())):
            return


def everything_found(looks: Iterable[tuple[Report, int]]) -> Looked:
    """All that was found in any of the looks, each finding as it was seen last."""
    found: dict[tuple[str, Subject], Finding] = {}
    blind: Mapping[str, str] = {}
    sockets = 0
    for report, count in looks:
        sockets, blind = count, report.blind
        for finding in (*report.current, *report.gone):
            found[finding.code, finding.subject] = finding
    return Looked(by_severity(found.values()), blind, sockets)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
