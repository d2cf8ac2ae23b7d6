"""Findings of the API as text: the selected one in full, one in a line, and how the watch is going."""

from collections.abc import Mapping
from typing import Any

import msgspec
from rich.text import Text

from portside.app.cell_text import seconds_text
from portside.app.diagnose_text import evidence_text
from portside.app.diagnose_text import subject_text as text_of_subject
from portside.diagnosis.findings import Subject
from portside.events import parse_utc
from portside.tui.console.columns import Column, Row, number_text
from portside.tui.severity_marks import MARKS, STYLES
from portside.units import counted
from portside.wire.escaping import escape_text

_MOST_CONNS = 12


def subject_text(row: Row) -> str:
    """The subject of a finding: ends and program, as far as they are known."""
    return escape_text(text_of_subject(msgspec.convert(row["subject"], Subject)))


def finding_line(row: Row) -> Text:
    """A finding in a line: its mark, code and sentence."""
    return Text(escape_text(f"{MARKS[row['severity']]} {row['code']}: {row['summary']}"), STYLES[row["severity"]])


def finding_text(row: Row) -> Text:
    """A finding in full, a line for each part."""
    parts = [("", row["summary"]), ("", row["why"]), ("Evidence: ", f"{evidence_text(row['evidence'])}.")]
    parts.append(("Do: ", row["remedy"]))
    if row["unseen"]:
        parts.append(("Not seen: ", "; ".join(row["unseen"])))
    if names := row.get("nodes"):
        more = row["nodes_total"] - len(names)
        parts.append(("Nodes: ", " ".join(names) + (f" and {more:,} more" if more else "")))
    if row["conns"]:
        some = row["conns"][:_MOST_CONNS]
        more = row["conns_total"] - len(some)
        numbers = " ".join(f"#{conn}" for conn in some)
        parts.append(("Connections: ", numbers + (f" and {more:,} more" if more else "")))
    shown = Text(subject_text(row), "bold")
    for label, text in parts:
        shown.append(f"\n{label}", "bold").append(escape_text(text), "not bold")
    return shown


def progress_text(page: Mapping[str, Any] | None) -> str:
    """How many were found of which severity, and how long the server has been looking."""
    if page is None:
        return "findings"
    severities = [each["severity"] for each in page["items"]]
    counts = [f"{severities.count(each)} {each}" for each in MARKS if each in severities]
    looks = f"{counted(page['looks'], 'look')} in {seconds_text(page['watched'])}"
    looks = looks if page["looks"] else "as the nodes told last"
    hidden = len(page["blind"]) + len(page["notes"])
    parts = [f"findings: {', '.join(counts) or 'none'}", looks, *([f"{hidden} not looked at"] if hidden else [])]
    return "; ".join(parts)


def since_text(row: Row) -> str:
    """For how long a finding has been there; ``at`` of the row is when the server looked last."""
    return seconds_text(max(0, parse_utc(row["at"]) - parse_utc(row["first_seen"])) / 1e9)


FINDING_COLUMNS = (
    Column(
        "Severity", lambda row: f"{MARKS[row['severity']]:<2} {row['severity']}", "", 11, 11, 0, 0,
        tone=lambda row: STYLES[row["severity"]],
    ),
    Column("Code", lambda row: escape_text(row["code"]), "", 12, 22, 0, 1),
    Column("Count", lambda row: number_text(row["count"]), "count", 5, 7, 4, 0, right=True),
    Column("Since", since_text, "age", 5, 7, 3, 0, right=True),
    Column("Where", subject_text, "", 20, 100, 1, 2),
)  # fmt: skip

NODE = Column("Node", lambda row: escape_text(row["node"]), "", 8, 40, 2, 1)
FLEET_FINDING_COLUMNS = (*FINDING_COLUMNS[:2], NODE, *FINDING_COLUMNS[2:])
