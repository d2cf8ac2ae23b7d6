"""``portside rec replay``: replay recorded connections, and report whether the other side behaved as recorded.

As the client, connections begin at their recorded times divided by the speed, so connections that overlapped in the
recording overlap again; at speed ``max`` there are no such times, and they are replayed one after the other. As the
server, each client that connects gets the next recorded connection, in the order in which these began. At most
MAX_REPLAYS run at a time; the next one waits until one of them has ended.

Each replay runs on its own thread, with its own reader of the recording.
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
from portside.app.ipv6_alone import note_ipv6_alone
from portside.app.notices import write_notice
from portside.app.rec_notices import notice_damage, open_recording
from portside.app.replay_report import ReplayReport
from portside.app.signals import ending_signals
from portside.app.stdout import ends_with_reader
from portside.client.dial import ConnectOptions, connect
from portside.client.replay import Player
from portside.client.replay_timing import MOST_WAIT_S
from portside.client.script import Role, make_script
from portside.errors import InvalidValue, PortsideError, UsageError
from portside.record.connection_record import ConnectionRecord
from portside.record.recording import Recording, steady_events
from portside.server.listener import Listener, SocketOptions, open_listeners
from portside.settings.rec import RecReplay

MAX_REPLAYS = 100
_OTHER: dict[Role, Role] = {"client": "server", "server": "client"}

ConnectedPeer = tuple[socket.socket, str]  # a connected socket and the peer's address


def run(settings: RecReplay, path: str, conn: int | None, where: str) -> int:
    """Replay one connection or (None) all of a recording, at the address ``where``: the exit status.

    0 where the other side did all as recorded, 1 where it did not. Raises PortsideError.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    address = _address(settings, where)
    with open_recording(path) as recording:
        notice_damage(recording)
        recorded = list(recording.connections()) if conn is None else [recording.connection(conn)]
    if not recorded:
        raise PortsideError(f"recording {path}", "it holds no connection")
    role: Role = "server" if settings.role == "server" else "client"
    report = ReplayReport(role, json=settings.json, raises=conn is not None)
    pool = ReplayPool(settings, path, role, report)
    schedule = _schedule(recorded)
    if role == "server":
        _serve(pool, schedule, address)
    else:
        with ends_with_reader():
            _dial(pool, schedule, address)
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
    """A recorded connection, and the time (ns) from the beginning of the first connection to that of this one."""

    conn: int
    offset: int


def _schedule(recorded: list[ConnectionRecord]) -> list[ScheduledReplay]:
    """Connections in the order in which they began; one whose beginning is lost comes with the one before it."""
    first = min((each.began for each in recorded if each.began is not None), default=0)
    schedule, offset = [], 0
    for each in recorded:
        offset = each.began - first if each.began is not None else offset
        schedule.append(ScheduledReplay(each.conn, offset))
    return sorted(schedule, key=lambda each: each.offset)


class ReplayPool:
    """Threads that replay connections, a limited number at a time."""

    def __init__(self, settings: RecReplay, path: str, role: Role, report: ReplayReport) -> None:
        self.settings = settings
        self.report = report
        self._path = path
        self._role = role
        self._size = 1 if role == "client" and settings.speed is None else MAX_REPLAYS
        self._slots = threading.Semaphore(self._size)

    def wait_for_slot(self) -> bool:
        """Wait until one more replay may start; False where the report wants no more."""
        self._slots.acquire()
        return not self.report.is_over

    def start(self, conn: int, connect_peer: Callable[[], ConnectedPeer]) -> None:
        """Replay a connection on a thread, with the peer from ``connect_peer``; ``wait_for_slot`` comes before."""
        threading.Thread(target=self._run, args=(conn, connect_peer), name=f"replay #{conn}", daemon=True).start()

    def start_connected(self, conn: int, peer: ConnectedPeer) -> None:
        """Replay a connection on a thread, with a peer that is connected already."""
        self.start(conn, lambda: peer)

    def join(self) -> None:
        """Wait until all replays have ended."""
        for _ in range(self._size):
            self._slots.acquire()

    def _run(self, conn: int, connect_peer: Callable[[], ConnectedPeer]) -> None:
        try:
            self._replay(conn, connect_peer)
        except BaseException as error:  # noqa: BLE001 - the report keeps it for the main thread
            self.report.failed(conn, error)
        finally:
            self._slots.release()

    def _replay(self, conn: int, connect_peer: Callable[[], ConnectedPeer]) -> None:
        sock, peer = connect_peer()
        with sock, Recording(self._path) as recording:
            recorded = recording.connection(conn)
            role = self._role if not recording.is_outbound(conn) else _OTHER[self._role]  # our side was the client's
            script = make_script(
                lambda: steady_events(recording.timed_events(conn)),
                role,
                received=recorded.received,
                sent=recorded.sent,
                began=recorded.began,
            )
            settings = self.settings
            result = Player(sock, peer, script, speed=settings.speed, timeout=settings.timeout).play()
        self.report.add(conn, result)


def _dial(pool: ReplayPool, schedule: list[ScheduledReplay], address: Address) -> None:
    """Replay each connection with the server at an address."""
    settings = pool.settings
    began = time.monotonic()

    def connect_peer() -> ConnectedPeer:
        connection = connect(address, ConnectOptions(settings.timeout))
        return connection.sock, connection.peer

    for conn, offset in schedule:
        if settings.speed is not None:
            while (left := began + offset / 1e9 / settings.speed - time.monotonic()) > 0:
                time.sleep(min(left, MOST_WAIT_S))
        if not pool.wait_for_slot():
            return
        pool.start(conn, connect_peer)
    pool.join()


def _serve(pool: ReplayPool, schedule: list[ScheduledReplay], address: Address) -> None:
    """Replay each connection with the next client that connects to an address."""
    listeners = open_listeners((address,), families=(socket.AF_INET, socket.AF_INET6), options=SocketOptions())
    with _closing(listeners):
        for listener in listeners:
            write_notice(f"listening on {listener.name}")
        note_ipv6_alone(listeners)
        for conn, _ in schedule:
            if not pool.wait_for_slot():
                return
            pool.start_connected(conn, _accept(listeners))
    with ends_with_reader():
        pool.join()


def _accept(listeners: list[Listener]) -> ConnectedPeer:
    """Wait for the next client."""
    poll = select.poll()
    listener_of = {listener.socket.fileno(): listener for listener in listeners}
    for descriptor in listener_of:
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            listener = listener_of[descriptor]
            try:
                sock, address = listener.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # the client has gone while it was in the accept queue
            except OSError as error:
                raise PortsideError(f"cannot accept on {listener.name}", error) from None
            if listener.family == socket.AF_UNIX:
                return sock, listener.name
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock, format_sockaddr(listener.family, address)


@contextmanager
def _closing(listeners: list[Listener]) -> Iterator[None]:
    """Close listeners at the end; where one has a socket file, on a signal that ends the run, too."""

    def close() -> None:
        for listener in listeners:
            listener.close()

    with ExitStack() as stack:
        stack.callback(close)
        stack.enter_context(ends_with_reader(close))
        if any(listener.path is not None for listener in listeners):
            stack.enter_context(ending_signals(close))
        yield
