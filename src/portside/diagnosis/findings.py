"""What a diagnosis says: findings with their severity, subject and evidence."""

from collections.abc import Mapping
from typing import Literal

import msgspec

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""From the least severe to the most."""

Number = int | float


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """The subject of a condition. ``kind`` is ``program``, ``listener``, ``socket``, ``peer`` or ``machine``.

    ``local`` and ``remote`` are ends as text; ``remote`` of a peer may be a host without a port. ``pid`` and
    ``program`` are of the process that holds the sockets, the one with the lowest number where there are several; they
    are left out where no process is known.
    """

    kind: str
    pid: int | None = None
    program: str | None = None
    local: str | None = None
    remote: str | None = None


class Finding(msgspec.Struct, frozen=True):
    """One condition of one subject.

    ``evidence`` are the numbers that prove it, units in their names. ``count`` is how many sockets (or events) have
    the condition. ``unseen`` says what could not be looked at. ``first_seen`` and ``last_seen`` are wall-clock times in
    ISO 8601, each as the clock was at that moment.

    >>> for finding in portside.diagnose(duration=0.2, only=["close-wait-leak"]):
    ...     print(finding.severity, finding.summary)
    """

    code: str
    severity: Severity
    subject: Subject
    summary: str
    evidence: Mapping[str, Number | str]
    why: str
    remedy: str
    first_seen: str
    last_seen: str
    count: int
    unseen: tuple[str, ...] = ()


def rank(severity: str) -> int:
    """The place of a severity in their order: a larger number is more severe. Raises ValueError where it is none."""
    return SEVERITIES.index(severity)
