"""What a rule is: its code, its thresholds, and the functions that look and describe."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from portside.diagnosis.findings import Number, Severity, Subject
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask, RowNumbers
from portside.diagnosis.view import View

Unit = Literal["count", "s", "share", "bytes"]


class Threshold(NamedTuple):
    """A number that a rule compares with. ``unit`` is a count, seconds, a share of 1 or bytes."""

    name: str
    value: float
    unit: Unit
    meaning: str


Thresholds = Mapping[str, float]
"""The thresholds of one rule by name, as they hold in a run."""


class Verdict(NamedTuple):
    """The judgement of a rule about a subject that has its condition.

    ``affected`` is how many sockets or events have it; None is the size of the group. ``unseen`` says what could not be
    looked at. ``subject`` is that of a rule about the machine: None is the machine itself. ``rows`` are the sockets of
    the group that have the condition: None are all of them.
    """

    severity: Severity
    summary: str
    evidence: Mapping[str, Number | str]
    why: str
    remedy: str
    affected: int | None = None
    unseen: tuple[str, ...] = ()
    subject: Subject | None = None
    rows: RowNumbers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketRule:
    """A rule about sockets: it selects rows of the table, which are grouped, and describes each group.

    ``sentence`` says in one sentence what the condition is. ``describe`` returns None for a group that does not have
    the condition after all. ``columns`` are those without which nothing can be selected.
    """

    code: str
    sentence: str
    thresholds: tuple[Threshold, ...] = ()
    by: By
    columns: tuple[str, ...] = ()
    select: Callable[[View, Thresholds], Mask]
    describe: Callable[[SubjectGroup, Thresholds], Verdict | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRule:
    """A rule about the whole machine, or its network namespace. ``counters`` are those without which it is blind.

    ``blind`` says why it cannot look for another reason. ``filtered``: it looks only at what a filter matches, so that
    it holds for a part of the machine, too.
    """

    code: str
    sentence: str
    thresholds: tuple[Threshold, ...] = ()
    counters: tuple[str, ...] = ()
    look: Callable[[View, Thresholds], Iterable[Verdict]]
    blind: Callable[[View], str | None] = lambda _view: None
    filtered: bool = False


Rule = SocketRule | MachineRule
