"""Findings beside the rows of the live display: which socket is part of which. No I/O."""

from collections.abc import Mapping, Sequence

import numpy as np

from portside.app.diagnose_text import subject_text
from portside.diagnosis.diagnosis import FindingKey, Report
from portside.diagnosis.findings import SEVERITIES, Finding, Severity, rank
from portside.kernel.tracked_sockets import Keys
from portside.tui.cells import safe
from portside.tui.severity_marks import MARK_WIDTH, MARKS
from portside.tui.widths import cut

_MOST_LINES = 5


class FindingMarks:
    """The findings of one view, the most severe first, and the keys of the sockets that are part of each."""

    def __init__(self, findings: tuple[Finding, ...] = (), keys: Mapping[FindingKey, Keys] | None = None) -> None:
        self.findings = findings
        self._keys = keys or {}
        parts = [(rank(finding.severity), part) for finding in findings if (part := self._part(finding)) is not None]
        # The most severe ones come first, and the first of equal keys is the one that stays.
        together: Keys = np.concatenate([part for _, part in parts] or [np.zeros(0, "u8")])
        ranks = np.repeat([each for each, _ in parts], [len(part) for _, part in parts]).astype("u1")
        self._marked, first = np.unique(together, return_index=True)
        self._ranks = ranks[first]

    def _part(self, finding: Finding) -> Keys | None:
        return self._keys.get((finding.code, finding.subject))

    def after(self, report: Report, keys: Keys) -> "FindingMarks":
        """The marks after another observation; ``keys`` are those of its table.

        A finding that comes and goes keeps its sockets while it is only away for a moment.
        """
        kept: dict[FindingKey, Keys] = {}
        for finding in report.current:
            key = finding.code, finding.subject
            if (rows := report.rows.get(key)) is not None:
                kept[key] = keys[rows]
            elif key in self._keys:
                kept[key] = self._keys[key]
        return FindingMarks(report.current, kept)

    def severities(self, keys: Sequence[int]) -> list[Severity | None]:
        """The severity of the worst finding that each of these sockets is part of; None where there is none."""
        if not len(self._marked):
            return [None] * len(keys)
        wanted = np.array(keys, "u8")
        at = np.minimum(np.searchsorted(self._marked, wanted), len(self._marked) - 1)
        ranks = np.where(self._marked[at] == wanted, self._ranks[at], len(SEVERITIES)).tolist()
        return [(*SEVERITIES, None)[each] for each in ranks]

    def of(self, key: int) -> tuple[Finding, ...]:
        """The findings that a socket is part of, the most severe first."""
        wanted = np.uint64(key)
        return tuple(
            finding
            for finding in self.findings
            if (part := self._part(finding)) is not None and bool((part == wanted).any())
        )


NOTHING_FOUND = FindingMarks()


def finding_rows(findings: Sequence[Finding], width: int, height: int) -> list[tuple[str, Severity]]:
    """The worst findings as lines of a screen of this size, a line each, and the severity of each line.

    There are at most five, and fewer on a low screen; the last one tells how many more there are.
    """
    most = min(_MOST_LINES, max(1, (height - 8) // 4))
    shown = findings if len(findings) <= most else findings[: max(1, most - 1)]
    lines = [(finding_row(finding, width), finding.severity) for finding in shown]
    more = findings[len(shown) :]
    if more and most > 1:
        text = f"{MARKS[more[0].severity]:<{MARK_WIDTH}} {len(more)} more: f shows them all"
        lines.append((cut(text, width).rstrip(), more[0].severity))
    return lines


def finding_row(finding: Finding, width: int) -> str:
    """A finding in one line, cut to the width: who has it stands before the words, so as not to be cut off."""
    text = f"{finding.code}  {subject_text(finding.subject)}: {finding.summary}"
    return cut(f"{MARKS[finding.severity]:<{MARK_WIDTH}} {safe(text)}", width).rstrip()
