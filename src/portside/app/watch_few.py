"""``portside watch --once`` where few sockets match and netstat's columns are all that is asked for: without numpy."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from portside.app.cell_text import ANY_PEER, PROTOCOLS, owners_text
from portside.app.notices import write_notice
from portside.app.stdout import terminal_width, write_stdout
from portside.app.table_layout import LOCAL, PROTO, RECV_Q, REMOTE, SEND_Q, STATE, table_lines
from portside.app.watch_filter import families_of, view_of
from portside.kernel import states
from portside.kernel.backend import BackendError, request_of
from portside.kernel.dump_reader import DumpReader, LostError
from portside.kernel.few_sockets import PlainSocket, can_answer, decode_few, matches
from portside.kernel.filter.tree import Filter
from portside.kernel.host_text import host_text, zoned
from portside.kernel.interfaces import interface_names
from portside.kernel.models import Owner
from portside.kernel.owners import OwnerFinder
from portside.kernel.views import in_view
from portside.settings.watch import Watch

if TYPE_CHECKING:
    from portside.app.proc_prefetcher import ProcPrefetcher


def suits(settings: Watch, tree: Filter) -> bool:
    """Whether what is asked for can be shown without numpy, if few sockets match."""
    more = settings.json or settings.summary or settings.wide or settings.kill or settings.listening
    elsewhere = settings.netns is not None or settings.source not in (None, "netlink")
    return not (more or elsewhere or settings.sort is not None) and can_answer(tree)


def open_reader() -> DumpReader | None:
    """A reader of dumps; None where there is no netlink, and the table has to find another source."""
    try:
        return DumpReader()
    except BackendError:
        return None


def read(reader: DumpReader, settings: Watch, tree: Filter) -> list[PlainSocket] | None:
    """The sockets that match. None where they are many or not as usual; then the reader keeps a dump that it has.

    Raises NetlinkError where the kernel refuses.
    """
    chosen = in_view(tree, view_of(settings))
    request = request_of(chosen, families_of(settings), details=False)
    try:
        dump = reader.read(request)
    except (BackendError, LostError):
        return None
    sockets = decode_few(dump)
    if sockets is None:
        reader.unread(request, dump)
        return None
    return [socket for socket in sockets if matches(chosen, socket)]


def show(settings: Watch, sockets: list[PlainSocket], prefetcher: "ProcPrefetcher | None") -> None:
    """Show the sockets. Raises PortsideError."""
    owners, notes = None, []
    if not settings.no_processes:
        owners, hidden = _owners(sockets, prefetcher)
        if missing := sum(bool(socket.inode) and not held for socket, held in zip(sockets, owners, strict=True)):
            notes.append(f"{hidden}: the programs of {missing} of these sockets are not known")
    if write_stdout(few_sockets_text(sockets, owners, terminal_width())):
        for note in notes:
            write_notice(note)


def _owners(sockets: list[PlainSocket], prefetcher: "ProcPrefetcher | None") -> tuple[list[tuple[Owner, ...]], str]:
    """The owners of each socket, and why one that is held may have none here."""
    finder = OwnerFinder()
    if prefetcher is not None:
        finder.preload(prefetcher.processes())
    found = finder.find([socket.inode for socket in sockets], [socket.cookie for socket in sockets])
    return [found.get(socket.inode, ()) for socket in sockets], finder.hidden


def few_sockets_text(
    sockets: list[PlainSocket], owners: list[tuple[Owner, ...]] | None, width: int | None = None
) -> Iterator[bytes]:
    """The table of ``table_text``, in the same words; ``width`` is that of the terminal, None where it is none."""
    zones = interface_names() if any(socket.interface for socket in sockets) else {}
    columns = [
        (PROTO, [PROTOCOLS[socket.family] for socket in sockets]),
        (RECV_Q, [str(socket.recv_q) for socket in sockets]),
        (SEND_Q, [str(socket.send_q) for socket in sockets]),
        (LOCAL, [_endpoint(socket.local, socket.local_port, socket.interface, zones) for socket in sockets]),
        (REMOTE, [_peer(socket, zones) for socket in sockets]),
        (STATE, [states.name_of(socket.state) for socket in sockets]),
    ]
    programs = None if owners is None else list(map(owners_text, owners))
    if width is None:
        return table_lines(columns, programs)
    from portside.app.table_folding import terminal_lines

    return terminal_lines(columns, programs, width)


def _peer(socket: PlainSocket, zones: Mapping[int, str]) -> str:
    if socket.state == states.LISTEN:
        return ANY_PEER[socket.family]
    return _endpoint(socket.remote, socket.remote_port, socket.zone(socket.remote), zones)


def _endpoint(address: bytes, port: int, zone: int, zones: Mapping[int, str]) -> str:
    host = host_text(address)
    if zone:
        host = zoned(host, zones.get(zone, zone))
    return f"{host}:{port}"
