"""What is wrong in a fleet, as ``GET /api/v1/findings`` has it: a condition is one finding, on however many nodes."""

from collections.abc import Sequence
from typing import Any, Final

from portside.control.client.http_client import Query
from portside.diagnosis.findings import Subject
from portside.events import utc
from portside.fleet.console.clean import clean_code, clean_evidence, clean_name, clean_text, clean_time
from portside.fleet.console.live import LiveFleet
from portside.fleet.console.row_list import refusal
from portside.fleet.query.conditions import FleetFinding, group
from portside.units import counted

MOST_ITEMS: Final = 1000
_MOST_NAMED: Final = 3
_MOST_LISTED: Final = 100


def findings_page(fleet: LiveFleet, query: Query) -> dict[str, Any]:
    """The findings, the most severe first, and of equal ones those of most nodes. Raises ApiError."""
    if query:
        raise refusal(fleet.name, f"there is no parameter {next(iter(query))!r}")
    now = utc(int(fleet.now() * 1_000_000_000))
    groups = group(fleet.findings())
    blind: dict[str, dict[str, list[str]]] = {}
    for name, code, why in fleet.unseen():
        blind.setdefault(clean_code(code), {}).setdefault(clean_text(why), []).append(clean_name(name.node))
    return {
        "items": [_item(each, now) for each in groups[:MOST_ITEMS]],
        "total": len(groups),
        "at": now,
        "watched": round(fleet.watched_s, 3),
        "looks": 0,
        "notes": fleet.unread() + [f"{count:,} {what} had no room here" for what, count in fleet.left_out().items()],
        "blind": {
            code: "; ".join(f"{nodes_text(names)}: {why}" for why, names in list(reasons.items())[:_MOST_NAMED])
            for code, reasons in blind.items()
        },
    }


def nodes_text(names: Sequence[str]) -> str:
    """The names of nodes in words: ``web1``, or ``40 nodes (web1, web2, web3 and 37 more)``."""
    names = sorted(set(names))
    if len(names) == 1:
        return names[0]
    some = ", ".join(names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"{counted(len(names), 'node')} ({some}{more})"


def _item(found: FleetFinding, now: str) -> dict[str, Any]:
    """A finding: the words and numbers are those of the node that has it worst, count and times those of all."""
    names = [clean_name(each.node) for each in found.nodes]
    where = nodes_text(names)
    worst = found.example
    return {
        "code": clean_code(found.code),
        "severity": found.severity,
        "subject": _subject(worst.subject, is_only=found.subjects == 1),
        "node": where,
        "nodes": names[:_MOST_LISTED],
        "nodes_total": len(names),
        "summary": clean_text(worst.summary if found.subjects == 1 else f"{found.example_node}: {worst.summary}"),
        "evidence": clean_evidence(worst.evidence),
        "why": clean_text(worst.why),
        "remedy": clean_text(worst.remedy),
        "first_seen": clean_time(found.first_seen, now),
        "last_seen": clean_time(found.last_seen, now),
        "count": found.count,
        "unseen": [clean_text(each) for each in worst.unseen[:_MOST_NAMED]],
        "conns": [],
        "conns_total": 0,
        "inodes": [],
    }


def _subject(subject: Subject, *, is_only: bool) -> dict[str, Any]:
    """The subject of the worst; a process is named where no other has the condition."""
    found: dict[str, Any] = {"kind": clean_name(subject.kind)}
    if subject.pid is not None and is_only:
        found["pid"] = subject.pid
    for field in ("program", "local", "remote"):
        if (value := getattr(subject, field)) is not None:
            found[field] = clean_name(value)
    return found
