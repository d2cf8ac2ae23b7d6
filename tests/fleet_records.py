"""Messages of simulated nodes, as agents would publish them, for tests of what reads them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from portside.diagnosis.findings import Finding, Severity, Subject
from portside.fleet.schema import (
    VERSION,
    ConnectionEvent,
    CurrentFindings,
    Envelope,
    Kind,
    NodeStatus,
    OpenConnections,
    OutboxStatus,
    Record,
    TrafficSummary,
)
from portside.kernel.models import Owner, Socket

T0 = 1_800_000_000.0
"""The time at which the tests begin, in seconds since 1970."""


def iso(seconds: float) -> str:
    """Seconds since 1970 as a record has them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def message(
    kind: Kind,
    *records: Record,
    node: str = "web1",
    site: str = "paris",
    boot: str = "0123abcd",
    seq: int = 1,
    at: float = T0,
    v: int = VERSION,
) -> Envelope:
    """A message of one node."""
    return Envelope(v=v, kind=kind, site=site, node=node, boot=boot, seq=seq, at=iso(at), records=records)


def status(at: float = T0, **other: Any) -> NodeStatus:
    """A sign of life."""
    given: dict[str, Any] = {
        "at": iso(at), "every_s": 10.0, "version": "0.1.0", "machine": "m1", "started": iso(T0 - 3600),
        "system": "Linux 6.18 x86_64", "cpus": 2, "load": 0.25, "sockets": {"ESTABLISHED": 3, "LISTEN": 2},
        "cpu_s": 1.5, "rss_bytes": 50_000_000, "records": 100,
        "outbox": OutboxStatus(records=0, bytes=0, oldest_s=None, dropped=0),
    }  # fmt: skip
    return NodeStatus(**{**given, **other})


def socket(
    local: str = "10.0.0.1:5432",
    remote: str | None = "10.0.0.2:40000",
    *,
    program: str | None = "postgres",
    pid: int = 77,
    state: str = "ESTABLISHED",
    recv_q: int | None = 0,
    send_q: int | None = 0,
    family: int = 4,
    **info: Any,
) -> Socket:
    """A connection of a node."""
    return Socket(
        proto="tcp" if family == 4 else "tcp6",
        family=family,
        state=state,
        recv_q=recv_q,
        send_q=send_q,
        local=local,
        remote=remote,
        inode=1234,
        uid=0,
        owners=None if program is None else (Owner(pid=pid, program=program, fd=5),),
        info=info or {"rtt_us": 250, "retrans_total": 0, "bytes_sent": 10, "bytes_received": 20},
        gaps={},
    )


def opened(*sockets: Socket, at: float = T0, total: int | None = None) -> OpenConnections:
    """The open connections of a node."""
    return OpenConnections(at=iso(at), total=len(sockets) if total is None else total, sockets=sockets)


def closed(connection: Socket, at: float = T0, duration: float | None = 2.5, **other: Any) -> ConnectionEvent:
    """A connection that has closed."""
    return ConnectionEvent(event="closed", at=iso(at), seen="destroy", socket=connection, duration=duration, **other)


def finding(
    code: str = "close-wait-leak",
    severity: Severity = "critical",
    subject: Subject | None = None,
    *,
    summary: str = "214 connections wait for close()",
    count: int = 214,
    last_seen: float = T0,
) -> Finding:
    """A condition of a node."""
    return Finding(
        code=code,
        severity=severity,
        subject=subject or Subject(kind="program", pid=77, program="postgres", local="10.0.0.1:5432"),
        summary=summary,
        evidence={"close_wait": count},
        why="it does not close",
        remedy="close it",
        first_seen=iso(T0 - 60),
        last_seen=iso(last_seen),
        count=count,
    )


def findings(*each: Finding, at: float = T0, **unseen: str) -> CurrentFindings:
    """What is wrong with a node."""
    return CurrentFindings(at=iso(at), findings=each, unseen=unseen)


def summary(program: str | None = "postgres", at: float = T0, **other: Any) -> TrafficSummary:
    """A group of a minute."""
    given: dict[str, Any] = {
        "period_s": 60.0, "local_port": 5432, "remote": "10.0.0.0/24", "state": "ESTABLISHED", "sockets": 3,
    }  # fmt: skip
    return TrafficSummary(at=iso(at), program=program, **{**given, **other})


def of_nodes(count: int, kind: Kind, records: Sequence[Record], *, at: float = T0) -> list[Envelope]:
    """The same records of as many nodes, ``node0`` and so on."""
    return [message(kind, *records, node=f"node{number}", boot=f"{number:08x}", at=at) for number in range(count)]
