"""What is wrong with the machine: a diagnosis that goes on, and a record of it where that changes."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from portside.app.diagnose_source import Closed, DiagnosisSource
from portside.app.diagnosis_choice import filtered_rules
from portside.diagnosis.diagnosis import Diagnosis, Report
from portside.diagnosis.findings import Finding
from portside.diagnosis.registry import RULES
from portside.errors import PortsideError
from portside.fleet.agent.ending import StopSignal
from portside.fleet.agent.event_records import now
from portside.fleet.agent.memory import small_reader, trim_memory
from portside.fleet.agent.taken_ports import ports_run_out
from portside.fleet.agent.tally import Outlet
from portside.fleet.schema import CurrentFindings
from portside.kernel.filter.tree import EVERYTHING, Filter

MOST_BYTES: Final = 800_000
_FIRST_S, _EVERY_S, _SLOWEST_S = 2.0, 5.0, 60.0  # between two looks: the first two, then at least and at most
_SHARE: Final = 0.002  # of a core: what looks may take
_ALWAYS_S: Final = 60.0  # between two records where nothing has changed
_LOOKS_BEFORE_A_RECORD: Final = 2  # from one look nothing is known that only growth shows
_NO_ROOM: Final = "all"


class FindingsSource:
    """Looks every five seconds, more seldom where that would take more than 0.2 % of a core.

    ``size_of`` is how many bytes a finding takes in a message.
    """

    def __init__(
        self,
        tree: Filter,
        closed: Closed,
        outlet: Outlet,
        size_of: Callable[[Finding], int],
    ) -> None:
        self._tree = tree
        self._closed = closed
        self._add, self._tally, self._notices = outlet
        self._size_of = size_of
        self._published: tuple[Finding, ...] = ()
        self._at_s: float | None = None

    def run(self, ending: StopSignal) -> None:
        """Look until the end, on a thread of its own."""
        while not ending.is_set:
            try:
                self._watch(ending)
            except (PortsideError, OSError) as error:
                self._notices(f"findings cannot be looked for: {error}")
                ending.wait(_SLOWEST_S)

    def _watch(self, ending: StopSignal) -> None:
        diagnosis = Diagnosis(RULES if self._tree is EVERYTHING else filtered_rules(RULES))
        looks = 0
        with_time_wait = False
        while True:
            with DiagnosisSource(
                self._tree, closed=self._closed, time_wait=with_time_wait, reader=small_reader()
            ) as source:
                while True:
                    began_s, cpu_s = time.monotonic(), time.thread_time()
                    report = diagnosis.observe(source.observe())
                    looks += 1
                    if looks >= _LOOKS_BEFORE_A_RECORD:
                        self.publish(report, time.monotonic())
                    wanted = ports_run_out()
                    trim_memory()
                    pause_s = _FIRST_S if looks < _LOOKS_BEFORE_A_RECORD else pause_after(time.thread_time() - cpu_s)
                    if ending.wait(max(0.0, began_s + pause_s - time.monotonic())):
                        return
                    if wanted != with_time_wait:
                        with_time_wait = wanted
                        break

    def publish(self, report: Report, at_s: float) -> None:
        """Make a record of a report that differs from the last record, or comes a minute after it."""
        findings = report.current
        self._tally.findings = findings
        is_due = self._at_s is None or at_s - self._at_s >= _ALWAYS_S
        if not is_due and not is_other(self._published, findings):
            return
        fitting = self._fitting(findings)
        unseen = dict(report.blind)
        if len(fitting) < len(findings):
            unseen[_NO_ROOM] = f"{len(findings) - len(fitting)} more findings had no room in the message"
        self._add("findings", [CurrentFindings(at=now(), findings=fitting, unseen=unseen)])
        self._published, self._at_s = findings, at_s

    def _fitting(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """As many as a message has room for; the most severe come first."""
        size = 0
        for at, each in enumerate(findings):
            size += self._size_of(each)
            if size > MOST_BYTES:
                return tuple(findings[:at])
        return tuple(findings)


def pause_after(took_s: float) -> float:
    """The seconds from the begin of a look that took so much CPU time to that of the next one."""
    return min(_SLOWEST_S, max(_EVERY_S, took_s / _SHARE))


def is_other(before: Sequence[Finding], findings: Sequence[Finding]) -> bool:
    """Whether findings came or went, have another severity, or many more or fewer sockets."""
    known = {(each.code, each.subject): each for each in before}
    if known.keys() != {(each.code, each.subject) for each in findings}:
        return True
    for each in findings:
        earlier = known[each.code, each.subject]
        if each.severity != earlier.severity or abs(each.count - earlier.count) > max(2, earlier.count // 4):
            return True
    return False
