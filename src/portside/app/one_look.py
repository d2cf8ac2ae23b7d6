"""What a single look at the sockets shows to be wrong: the conditions that ``watch --once --wide`` adds to its table.

One look has no growth and no duration, so it finds only what a table shows by itself: a full accept queue, a socket
that is connected to itself, an age that the kernel keeps. A diagnosis that watches finds more.
"""

from contextlib import closing
from typing import NamedTuple

from portside.app.cell_text import UNKNOWN
from portside.app.diagnose_text import subject_text
from portside.app.diagnosis_choice import filtered_rules
from portside.app.network_readings import NetworkReadings, known_holders
from portside.diagnosis.diagnosis import Diagnosis
from portside.diagnosis.findings import Finding
from portside.diagnosis.registry import RULES
from portside.kernel.netns import Namespace
from portside.kernel.table import SocketTable
from portside.units import counted

_MOST_SENTENCES = 5


class OneLook(NamedTuple):
    """The findings of one look, the most severe first, and for each socket the codes of those that it is part of."""

    findings: tuple[Finding, ...]
    codes: list[str]


def look_once(table: SocketTable, namespace: Namespace | None) -> OneLook:
    """Look at a table of sockets that may be a part of the machine's, so that the machine itself is left out."""
    with closing(NetworkReadings(namespace, descriptors=False)) as readings:
        seen = readings.observation(table, None, known_holders(table))
        report = Diagnosis(filtered_rules(RULES)).observe(seen)
    codes: list[list[str]] = [[] for _ in range(len(table))]
    for finding in report.current:
        rows = report.rows.get((finding.code, finding.subject))
        for row in rows.tolist() if rows is not None else ():
            if finding.code not in codes[row]:
                codes[row].append(finding.code)
    return OneLook(report.current, [",".join(each) or UNKNOWN for each in codes])


def sentences(look: OneLook) -> list[str]:
    """The sentences below the table: one for each finding above *info*, five at most."""
    serious = [finding for finding in look.findings if finding.severity != "info"]
    lines = [
        f"{finding.severity}: {finding.code}, {subject_text(finding.subject)}: {finding.summary}"
        for finding in serious[:_MOST_SENTENCES]
    ]
    if (more := len(serious) - len(lines)) > 0:
        lines.append(f"{counted(more, 'more finding')}: portside diagnose shows all")
    return lines
