"""One connection with the kernel's sockets of both ends, and where its bytes are."""

import socket
from typing import NamedTuple

import numpy as np

from portside.control.byte_counts import count_bytes
from portside.control.closed_connections import ClosedConnection
from portside.control.connection_columns import AnyConnection, ConnectionRows
from portside.control.connection_ends import EndsIndex
from portside.control.connection_items import OWN_FIELDS, Clock, make_item
from portside.control.connection_watch import ConnectionWatch
from portside.control.kernel_facts import NO_FACTS, KernelReader, peer_places
from portside.control.schema_connections import ConnectionDetails
from portside.errors import PortsideError
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket

_UNIX = "a unix socket has none"
_ENDED = "its socket has ended"
_CLOSED = "the connection is closed"


class _Pair(NamedTuple):
    """Both ends as the kernel has them, and why one is missing."""

    own: Socket | None
    peer: Socket | None
    gap: str = ""


async def details_of(watch: ConnectionWatch, connection: AnyConnection, now: float) -> ConnectionDetails:
    """All about a connection."""
    open_ones = [] if isinstance(connection, ClosedConnection) else [connection]
    closed = [connection] if isinstance(connection, ClosedConnection) else []
    ends = EndsIndex().of([connection])
    rows = ConnectionRows(open_ones, closed, ends=ends, facts=NO_FACTS, peers=None, notes=watch.notes, now=now)
    item = make_item(rows, connection, OWN_FIELDS, Clock(now, watch.offset_ns))
    found = ConnectionDetails(**{name: getattr(item, name) for name in ("conn", *OWN_FIELDS)})
    if isinstance(connection, ClosedConnection):
        found.gaps = dict.fromkeys(("kernel", "peer_socket", "bytes"), _CLOSED)
        return found
    found.bytes = count_bytes(connection)
    ports = _ports(connection.fd)
    if ports is None:
        gap = _ENDED if connection.info.ip is not None else _UNIX
        found.gaps = dict.fromkeys(("kernel", "peer_socket", "bytes"), gap)
        return found
    if found.bytes is None:
        found.gaps["bytes"] = "the kernel counts no bytes for it"
    pair = await watch.in_reader(_read_pair, watch.reader, ports, int(ends.inodes[0]))
    found.kernel, found.peer_socket = pair.own, pair.peer
    if pair.own is None:
        found.gaps["kernel"] = pair.gap
    if pair.peer is None:
        found.gaps["peer_socket"] = pair.gap or "it is not on this machine, or in another network namespace"
    return found


def _ports(fd: int) -> tuple[int, int] | None:
    """The ports of both ends; None on a unix socket, and where the socket has ended."""
    if fd < 0:
        return None
    sock = socket.socket(fileno=fd)
    try:
        return None if sock.family == socket.AF_UNIX else (sock.getsockname()[1], sock.getpeername()[1])
    except OSError:
        return None
    finally:
        sock.detach()


def _read_pair(reader: KernelReader, ports: tuple[int, int], inode: int) -> _Pair:
    try:
        table = reader.read_pair(*ports)
    except PortsideError as error:
        return _Pair(None, None, str(error))
    own = table.select(np.flatnonzero(table.base["inode"] == inode)[:1])
    if not len(own):
        return _Pair(None, None, "the kernel has it no more")
    others = table.select(np.maximum(peer_places(own, table), 0))
    has_other = peer_places(own, table)[0] >= 0
    return _Pair(next(to_sockets(own)), next(to_sockets(others)) if has_other else None)
