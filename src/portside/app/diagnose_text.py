"""Findings as text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from portside.app.cell_text import owner_text
from portside.diagnosis.findings import Finding, Number, Subject
from portside.diagnosis.words import amount, duration, percent

if TYPE_CHECKING:
    from portside.diagnosis.rule import Rule  # numpy, which the console does not load

_INDENT = 10
_LEAST_WIDTH = 50
_PLURAL = re.compile(r"(?<=ss)es\b|(?<=[a-z][a-rt-z])s\b")  # of the first word that has one


def finding_lines(finding: Finding, width: int | None) -> Iterator[str]:
    """A finding: what and who, then in sentences below it what is wrong, the evidence and what to do.

    ``width`` is that of the terminal; None: each sentence is a line.
    """
    yield f"{finding.severity:<{_INDENT}}{finding.code:<15}   {subject_text(finding.subject)}"
    parts = [finding.summary, f"Evidence: {evidence_text(finding.evidence)}.", f"Do: {finding.remedy}"]
    if finding.unseen:
        parts.append(f"Not seen: {'; '.join(finding.unseen)}.")
    for part in parts:
        yield from _indented(part, width)


def gone_line(finding: Finding) -> str:
    """A line that says that a finding is gone."""
    return f"{'gone':<{_INDENT}}{finding.code:<15}   {subject_text(finding.subject)}"


def subject_text(subject: Subject) -> str:
    """The subject of a condition as text: ends and program, as far as they are known."""
    remote = f"-> {subject.remote}" if subject.remote else ""
    ends = " ".join(end for end in (subject.local, remote) if end)
    holder = owner_text(subject.pid, subject.program) if subject.pid is not None else ""
    return "  ".join(part for part in (ends, holder) if part) or "this machine"


def evidence_text(evidence: Mapping[str, Number | str]) -> str:
    """The numbers of a finding in words: ``214 in CLOSE_WAIT, 190 older than 1m00s, oldest 3m12s``."""
    age_s = evidence.get("age_s") if "older_than_age" in evidence else None
    if isinstance(age_s, int | float):
        named = {"older_than_age": f"older_than_{duration(age_s)}"}
        evidence = {named.get(name, name): value for name, value in evidence.items() if name != "age_s"}
    return ", ".join(_part(name, value) for name, value in evidence.items())


def list_lines(rules: "Sequence[Rule]", width: int | None) -> Iterator[str]:
    """Each code with its sentence."""
    longest = max(len(rule.code) for rule in rules) + 2
    for rule in rules:
        first, *more = wrap(rule.sentence, max(_LEAST_WIDTH, width - longest)) if width else [rule.sentence]
        yield f"{rule.code:<{longest}}{first}"
        yield from (f"{'':<{longest}}{line}" for line in more)


def _part(name: str, value: Number | str) -> str:
    if isinstance(value, str):
        return f"{_words(name)} {value}"
    for suffix, write in (("_bytes", amount), ("_ms", _milliseconds), ("_s", duration), ("share", percent)):
        if name.endswith(suffix):
            return f"{_words(name.removesuffix(suffix)) or suffix} {write(value)}"
    words = _words(name)
    return f"{value} {_PLURAL.sub('', words, count=1) if value == 1 else words}"


def _words(name: str) -> str:
    """A name as words; names of states, which are in capitals, stay as they are."""
    return re.sub(r"(?<![A-Z])_|_(?![A-Z])", " ", name)


def _milliseconds(value: float) -> str:
    return f"{value:g} ms"


def _indented(text: str, width: int | None) -> list[str]:
    if width is None:
        return [" " * _INDENT + text]
    lines = wrap(text, max(_LEAST_WIDTH, width - _INDENT), break_long_words=False, break_on_hyphens=False)
    return [" " * _INDENT + line for line in lines]
