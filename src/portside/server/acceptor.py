"""Accepting clients from the listeners' backlogs.

Accepting is our own, not the loop's: a client that is refused costs one accept and one close; running out of file
descriptors is noticed before the kernel reports it; and accepting can pause without losing the clients that wait in the
backlog. An accepted client is asked, in this order:

    is a descriptor left for it                     else refused as no_file_descriptors
    its PROXY header (the pre-connect stage)        proxy_header
    admission: networks, number of clients          denied, max_conns, max_conns_per_ip
    has it the fault ``refuse``                     fault
    the TLS handshake (the pre-connect stage)       tls_failed

Then it gets a number and a connection.
"""

import asyncio
import errno
import logging
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from select import EPOLLIN
from typing import TYPE_CHECKING

from portside.errors import PortsideError
from portside.events import Refused, RefuseReason, Tls
from portside.server.admission import Admission
from portside.server.connection import Connection, ConnectionFaults, ConnectionInfo, Publish
from portside.server.listener import Listener
from portside.server.pending_connection import PendingConnection
from portside.server.poller import SocketPoller
from portside.server.pre_connect import PreConnect
from portside.server.socket_transport import SocketTransport
from portside.server.timer_wheel import DeadlineScheduler
from portside.sockopts import MANY_DESCRIPTORS, set_abortive_close

if TYPE_CHECKING:
    from portside.server.faults.injector import FaultInjector

ACCEPTS_PER_TURN = 64  # so that those connected are served between them
SPARE_DESCRIPTORS = 16  # for log files, name look-ups and the like
RETRY_ACCEPT_S = 1.0
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_log = logging.getLogger("portside.server.accept")


class _Backlog:
    """The clients that wait at a listener; see ``poller.SocketOwner``."""

    __slots__ = ("_accept", "_listener")

    def __init__(self, listener: Listener, accept: Callable[[Listener], None]) -> None:
        self._listener = listener
        self._accept = accept

    def ready(self, _events: int) -> None:
        self._accept(self._listener)

    def failed(self, error: Exception) -> None:
        """Leave the listener open: the error was one client's."""


MakeFaults = Callable[[Connection], ConnectionFaults] | None


class Acceptor:
    """Accepts clients, and has ``make_connection`` called with the number and the facts of each that is admitted.

    After ``most_clients`` in all the ports close. ``on_descriptors_exhausted`` is called each time the kernel has none
    left, ``on_listener_killed`` when somebody had the kernel destroy a listening socket, which is closed then. More
    attributes than a class should have: half of them are other parts' methods, kept for speed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: SocketPoller,
        publish: Publish,
        scheduler: DeadlineScheduler,
        make_connection: Callable[[int, ConnectionInfo, MakeFaults], Connection],
        *,
        admission: Admission,
        pre_connect: PreConnect,
        faults: "FaultInjector | None" = None,
        most_clients: int | None = None,
    ) -> None:
        self.loop = loop
        self.now = loop.time
        self.schedule_check = scheduler.schedule
        self.on_descriptors_exhausted: Callable[[OSError], None] = lambda _error: None
        self.on_listener_killed: Callable[[Listener], None] = lambda _listener: None
        self._poller = poller
        self._publish = publish
        self._make_connection = make_connection
        self._admission = admission
        self._pre_connect = pre_connect
        self._faults = faults
        self._throttle = (
            faults.make_throttle(self._accept, self._stop_watching, self._update_watches)
            if faults is not None
            else None
        )
        self._listeners: list[Listener] = []
        self._accepted: list[SocketTransport] | None = None  # in this turn, not read yet; None while none is accepted
        self.connected = 0  # clients, since the start
        self.refused: Counter[RefuseReason] = Counter()  # clients, since the start
        self._last_number = 0
        self._most_clients = most_clients
        self._paused = False
        self._exhausted = False  # no descriptor is left; accepting is tried again after a while
        self._crowded = False  # the pre-connect stage has no room
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most_descriptors = sys.maxsize if limit == resource.RLIM_INFINITY else limit - SPARE_DESCRIPTORS
        pre_connect.bind(self)

    def check_descriptor_limit(self) -> None:
        """Raise PortsideError where the limit of descriptors leaves none for a client, with what is open now."""
        try:
            lowest_free = os.dup(0)
            os.close(lowest_free)
        except OSError:
            lowest_free = self._most_descriptors + SPARE_DESCRIPTORS
        if lowest_free >= self._most_descriptors:
            least = lowest_free + SPARE_DESCRIPTORS + 1
            raise PortsideError(
                "cannot serve any client",
                f"of the {self._most_descriptors + SPARE_DESCRIPTORS} file descriptors that this process may have none "
                f"would be left, at least {least} are needed",
                f"`ulimit -n {least}` before it, or more for more clients; each needs one",
            )

    def use_faults(self, faults: "FaultInjector | None") -> None:
        """Give the clients that come from now on these faults; those of ports stay as they are."""
        self._faults = faults

    # Listening.

    def start(self, listeners: Sequence[Listener], *, last_number: int = 0) -> None:
        """Accept from these listeners from now on, and close them at the end; numbers go on after ``last_number``."""
        self._listeners = list(listeners)
        self._last_number = last_number
        if self._throttle is not None:
            self._throttle.start()
        self._update_watches()

    def stop_listening(self) -> None:
        """Close the ports. Clients that are accepted go on."""
        for listener in self._listeners:
            self._stop_watching(listener)
            listener.close()
            _log.debug("closed %s", listener.name)
        self._listeners = []

    @property
    def last_number(self) -> int:
        """The number of the newest connection."""
        return self._last_number

    @property
    def is_listening(self) -> bool:
        """Whether any port is open."""
        return bool(self._listeners)

    def _lose(self, listener: Listener) -> None:
        self._stop_watching(listener)
        listener.close()
        self._listeners.remove(listener)
        self.on_listener_killed(listener)

    def end(self) -> None:
        """Close the ports, and the clients that are not connected yet."""
        self.stop_listening()
        self._pre_connect.end()

    def pause(self) -> None:
        """Let new clients wait in the backlog."""
        self._paused = True
        self._update_watches()

    def resume(self) -> None:
        """Accept again after ``pause``."""
        self._paused = False
        self._update_watches()

    def _update_watches(self) -> None:
        throttle, poller = self._throttle, self._poller
        accept = self._accept if throttle is None else throttle.on_acceptable
        for listener in self._listeners:
            self._stop_watching(listener)
            waits = self._paused or self._exhausted or self._crowded or (throttle is not None and throttle.is_closed)
            if not waits:
                poller.register(listener.socket.fileno(), _Backlog(listener, accept), EPOLLIN)

    def _stop_watching(self, listener: Listener) -> None:
        self._poller.unregister(listener.socket.fileno())

    def _accept(self, listener: Listener, most: int = ACCEPTS_PER_TURN) -> None:
        """Accept clients, and read them after the last: each is connected before the bytes of an earlier one."""
        self._accepted = []
        try:
            self._accept_pending(listener, most)
        finally:
            accepted, self._accepted = self._accepted, None
            for transport in accepted:
                transport.read_first()

    def _accept_pending(self, listener: Listener, most: int) -> None:
        accept, has_room = listener.accept, self._pre_connect.has_room
        for _ in range(most):
            if not self._listeners or self._paused:
                return
            if not has_room():
                self._crowded = True
                self._update_watches()
                return
            try:
                fd, address = accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    self._wait_for_descriptors(error)
                    return
                if error.errno == errno.EINVAL:  # not listening any more: somebody had the kernel destroy the socket
                    self._lose(listener)
                    return
                continue  # that client went away while it waited (accept(2): treat as EAGAIN)
            os.set_blocking(fd, False)
            if fd >= MANY_DESCRIPTORS and not fd % ACCEPTS_PER_TURN:
                listener.vary_probes()
            pending = PendingConnection(fd, address, listener)
            try:
                if fd >= self._most_descriptors:
                    self.refuse(pending, "no_file_descriptors")
                else:
                    self._pre_connect.begin(pending)
            except BaseException:
                if pending.fd >= 0:
                    pending.close()
                raise

    def attach(self, fd: int, protocol: asyncio.Protocol) -> None:
        """Make a transport of a connected descriptor, and give it to the protocol."""
        transport = SocketTransport(self._poller, fd, protocol)
        if self._accepted is None:
            transport.start()
        else:
            transport.open()
            self._accepted.append(transport)

    def _wait_for_descriptors(self, error: OSError) -> None:
        """Let new clients wait until a descriptor may be free: none is left, for all that were kept spare."""
        _log.info("no file descriptor left: %s; accepting again in %g s", error, RETRY_ACCEPT_S)
        self._exhausted = True
        self._update_watches()
        self.on_descriptors_exhausted(error)
        self.loop.call_later(RETRY_ACCEPT_S, self._retry)

    def _retry(self) -> None:
        if self._exhausted:
            self._exhausted = False
            self._update_watches()

    # Called by the pre-connect stage.

    def resume_accepting(self) -> None:
        """Accept again after the stage had no room."""
        self._crowded = False
        self._update_watches()

    def admit(self, pending: PendingConnection) -> bool:
        """Count a client in, or refuse it. One that was admitted is either connected or released."""
        refusal = self._admission.admit(pending.ip)
        if refusal is not None:
            self.refuse(pending, refusal)
            return False
        if self._faults is not None:
            faults = self._faults.assign(pending.ip)
            if faults.refused:
                self.release(pending)
                set_abortive_close(pending.sock)
                self.refuse(pending, "fault")
                return False
            pending.make_faults = self._faults.factory(faults)
        return True

    def release(self, client: PendingConnection | ConnectionInfo) -> None:
        """Count out a client that was admitted: its connection is gone, or it was never connected."""
        self._admission.release(client.ip)
        if self._exhausted:
            self._retry()

    def refuse(self, pending: PendingConnection, reason: RefuseReason, error: str | None = None) -> None:
        """Close the socket of a client that is not admitted, and publish why."""
        pending.close()
        self.publish_refusal(pending, reason, error)

    def publish_refusal(self, pending: PendingConnection, reason: RefuseReason, error: str | None = None) -> None:
        """Publish why a client was refused whose socket is closed elsewhere."""
        self.refused[reason] += 1
        _log.debug("refused %s: %s", pending.peer, reason)
        self._publish(Refused(time.time_ns(), pending.peer, reason, error))

    @property
    def limit_reached(self) -> bool:
        """Whether as many clients were connected as there may be in this run."""
        return self.connected == self._most_clients

    def connect(self, pending: PendingConnection) -> None:
        """Make an admitted client a connection, and give it its socket."""
        if self.connected == self._most_clients:
            self.refuse(pending, "max_conns")
            self.release(pending)
            return
        try:
            connection = self.open_connection(pending, None)
        except BaseException:
            self.release(pending)
            raise
        self.attach(pending.take_fd(), connection.protocol)

    def open_connection(self, pending: PendingConnection, tls: Tls | None) -> Connection:
        """Make an admitted client a connection; not more of them than may be in this run."""
        self.connected += 1
        self._last_number += 1
        info = ConnectionInfo(pending.peer, pending.local, pending.ip, tls, pending.proxy, pending.listener.name)
        if self.connected == self._most_clients:
            self.stop_listening()
        return self._make_connection(self._last_number, info, pending.make_faults)
