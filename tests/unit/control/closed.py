"""Closed connections as rows, for tests of filters and orders that need no server."""

from typing import Any

from portside.control.closed_connections import ClosedConnection
from portside.control.connection_columns import ConnectionRows
from portside.control.connection_ends import EndsIndex
from portside.control.kernel_facts import NO_FACTS
from portside.control.notes import Notes
from portside.events import Proxy, Tls
from portside.server.connection import ConnectionInfo


def closed(
    number: int, peer: str = "127.0.0.1:1", tls: Tls | None = None, proxy: Proxy | None = None, **more: Any
) -> Any:
    """A closed connection; times count from 1000."""
    values: dict[str, Any] = {
        "received": 0, "sent": 0, "opened_at": 1000.0, "active_at": 1000.0, "closed_at": 1010.0,
        "reason": "peer_closed", "error": None, "by": None, "fault_count": 0,
    }  # fmt: skip
    info = ConnectionInfo(peer, more.pop("local", "127.0.0.1:12345"), None, tls, proxy)
    return ClosedConnection(number=number, info=info, **(values | more))


def rows_of(connections: list[Any], notes: Notes | None = None) -> ConnectionRows:
    """Closed connections as rows."""
    return ConnectionRows(
        [],
        connections,
        ends=EndsIndex().of(connections),
        facts=NO_FACTS,
        peers=None,
        notes=notes or Notes(),
        now=2000.0,
    )
