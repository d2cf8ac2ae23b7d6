"""``portside rec replay``: recorded conversations played again, and what came of them.

As the client, connections begin at their recorded times divided by the speed, so those that overlapped do again;
without pauses (``max``) there are no such times, and one is played after the other. As the server, whoever connects
gets the next one in the order of their beginnings, whenever that is. At most AT_ONCE are played at a time; the next
waits for one of them to end.

Each is played on a thread of its own, with a recording of its own to read.
"""

import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from portside.addresses import Address, format_sockaddr, parse_address
from portside.app.notices import write_notice
from portside.app.rec_say import say_found
from portside.app.replay_report import ReplayReport
from portside.app.signals import ending_signals
from portside.client.dial import ConnectOptions, connect
from portside.client.replay import Player
from portside.client.script import Role, make_script
from portside.errors import InvalidValue, PortsideError, UsageError
from portside.record.recording import Recorded, Recording
from portside.server.listener import Listener, open_listeners
from portside.settings.rec import RecReplay

AT_ONCE = 100
_OTHER: dict[Role, Role] = {"client": "server", "server": "client"}

Peer = tuple[socket.socket, str]  # a connected socket and its peer


def run(settings: RecReplay, path: str, conn: int | None, where: str) -> int:
    """Replay one connection or (None) all of a recording, at the address ``where``.

    0 where the other side did all as recorded, 1 where it did not. Raises PortsideError.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    address = _address(settings, where)
    with Recording(path) as recording:
        say_found(recording)
        recorded = list(recording.connections()) if conn is None else [recording.connection(conn)]
    if not recorded:
        raise PortsideError(f"recording {path}", "it holds no connection")
    role: Role = "server" if settings.role == "server" else "client"
    report = ReplayReport(role, json=settings.json, raises=conn is not None)
    pool = ReplayPool(settings, path, role, report)
    in_order = _in_order(recorded)
    if role == "server":
        _serve(pool, in_order, address)
    else:
        _dial(pool, in_order, address)
    return report.status()


def _address(settings: RecReplay, where: str) -> Address:
    try:
        address = parse_address(where)
    except InvalidValue as problem:
        raise UsageError("rec replay", str(problem)) from None
    if len(address.ports) > 1:
        raise UsageError("rec replay", f"{address} is a range of ports, and it takes one")
    if settings.role == "client" and address.path is None and address.port == 0:
        raise UsageError("rec replay", "nobody can be reached at port 0")
    return address


class ScheduledReplay(NamedTuple):
    """A connection to play, and when it began after the first one (ns)."""

    conn: int
    offset: int


def _in_order(recorded: list[Recorded]) -> list[ScheduledReplay]:
    """By their beginnings; one whose beginning is lost comes with the one before it."""
    first = min((each.opened for each in recorded if each.opened is not None), default=0)
    schedule, offset = [], 0
    for each in recorded:
        offset = each.opened - first if each.opened is not None else offset
        schedule.append(ScheduledReplay(each.conn, offset))
    return sorted(schedule, key=lambda each: each.offset)


class ReplayPool:
    """Where conversations are played, some at a time."""

    def __init__(self, settings: RecReplay, path: str, role: Role, report: ReplayReport) -> None:
        self.settings = settings
        self.report = report
        self._path = path
        self._role = role
        self._size = 1 if role == "client" and settings.speed is None else AT_ONCE
        self._places = threading.Semaphore(self._size)

    def wait_for_place(self) -> bool:
        """Until one more may be played; False where it makes no sense any more."""
        self._places.acquire()
        return not self.report.over

    def play(self, conn: int, take: Callable[[], Peer]) -> None:
        """Play a connection, on a thread, to whom ``take`` connects; a place has been waited for."""
        threading.Thread(target=self._run, args=(conn, take), name=f"replay #{conn}", daemon=True).start()

    def play_on(self, conn: int, taken: Peer) -> None:
        """The same to whom is connected already."""
        self.play(conn, lambda: taken)

    def empty(self) -> None:
        """Wait until all are played."""
        for _ in range(self._size):
            self._places.acquire()

    def _run(self, conn: int, take: Callable[[], Peer]) -> None:
        try:
            self._play(conn, take)
        except BaseException as error:  # noqa: BLE001 - the report is told, and the main thread where it is ours
            self.report.failed(conn, error)
        finally:
            self._places.release()

    def _play(self, conn: int, take: Callable[[], Peer]) -> None:
        sock, peer = take()
        with sock, Recording(self._path) as recording:
            recorded = recording.connection(conn)
            role = self._role if not recording.dialled(conn) else _OTHER[self._role]  # our side was the client's
            script = make_script(
                lambda: recording.events(conn),
                role,
                received=recorded.received,
                sent=recorded.sent,
                began=recorded.opened,
            )
            settings = self.settings
            played = Player(sock, peer, script, speed=settings.speed, timeout=settings.timeout).play()
        self.report.tell(conn, played)


def _dial(pool: ReplayPool, schedule: list[ScheduledReplay], address: Address) -> None:
    """Play each to the server at an address."""
    settings = pool.settings
    began = time.monotonic()

    def dial() -> Peer:
        dialled = connect(address, ConnectOptions(settings.timeout))
        return dialled.sock, dialled.peer

    for conn, offset in schedule:
        if settings.speed is not None:
            time.sleep(max(0.0, began + offset / 1e9 / settings.speed - time.monotonic()))
        if not pool.wait_for_place():
            return
        pool.play(conn, dial)
    pool.empty()


def _serve(pool: ReplayPool, schedule: list[ScheduledReplay], address: Address) -> None:
    """Play each to a client that comes to an address."""
    listeners = open_listeners((address,), families=(socket.AF_INET, socket.AF_INET6), backlog=None)
    with _closing(listeners):
        for listener in listeners:
            write_notice(f"listening on {listener.name}")
        for conn, _ in schedule:
            if not pool.wait_for_place():
                return
            pool.play_on(conn, _accept(listeners))
    pool.empty()


def _accept(listeners: list[Listener]) -> Peer:
    """The next client."""
    poll = select.poll()
    by_descriptor = {listener.socket.fileno(): listener for listener in listeners}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            listener = by_descriptor[descriptor]
            try:
                sock, address = listener.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # that client went away while it waited
            except OSError as error:
                raise PortsideError(f"cannot accept on {listener.name}", error) from None
            if listener.family == socket.AF_UNIX:
                return sock, listener.name
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock, format_sockaddr(listener.family, address)


@contextmanager
def _closing(listeners: list[Listener]) -> Iterator[None]:
    """Close them at the end; where one has a file, on a signal that ends us, too."""

    def close() -> None:
        for listener in listeners:
            listener.close()

    with ExitStack() as stack:
        stack.callback(close)
        if any(listener.path is not None for listener in listeners):
            stack.enter_context(ending_signals(close))
        yield
