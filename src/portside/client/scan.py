"""Port scan: connects to many ports of a host at a time, and closes each connection at once."""

import errno
import os
import resource
import select
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

from portside.addresses import NEEDS_INTERFACE, Address
from portside.client.dial import (
    Candidate,
    ConnectOptions,
    describe_failure,
    display_name,
    is_self_connected,
    needs_interface,
    open_socket,
    resolve,
)
from portside.errors import PortsideError

MAX_SOCKETS = 256  # at a time; half of RLIMIT_NOFILE where that is less

_MAX_RESULTS_AHEAD = 4096


class PortResult(NamedTuple):
    """The result for a port: the address that took the connection or, where none did, the last one and its reason."""

    address: str
    failure: str | None  # None: open

    def __str__(self) -> str:
        return f"{self.address} open" if self.failure is None else f"{self.address} closed: {self.failure}"


class _Probe(NamedTuple):
    """A connection attempt to one port; ``rest`` are the candidates to try after this one."""

    port: int
    candidate: Candidate
    rest: list[Candidate]
    sock: socket.socket
    deadline: float  # time.monotonic()


def scan(address: Address, options: ConnectOptions) -> Iterator[PortResult]:
    """Try each port of an address: a result for each, in the order of the ports, as soon as that order allows.

    Raises PortsideError where the host is not known or no socket can be made.
    """
    candidates = resolve(address, options)
    if all(needs_interface(candidate, options) for candidate in candidates):
        raise PortsideError(f"cannot scan {display_name(address)}", "its interface is not known", NEEDS_INTERFACE)
    run = _Scan(options)
    ports = iter(address.ports)
    in_order = iter(address.ports)
    expected = next(in_order, None)
    try:
        while expected is not None:
            while run.has_room and (port := next(ports, None)) is not None:
                run.start(port, [_at_port(candidate, port) for candidate in candidates])
            if expected not in run.results:
                run.wait()
            while expected in run.results:
                yield run.results.pop(expected)
                expected = next(in_order, None)
    finally:
        run.close()


def _at_port(candidate: Candidate, port: int) -> Candidate:
    host, _, *rest = candidate.sockaddr
    return Candidate(candidate.family, (host, port, *rest))


class _Scan:
    """Attempts in progress, oldest first, and results that wait for those of earlier ports."""

    def __init__(self, options: ConnectOptions) -> None:
        self.results: dict[int, PortResult] = {}
        self._options = options
        self._under_way: dict[int, _Probe] = {}
        self._poll = select.poll()
        self._max_sockets = max(1, min(MAX_SOCKETS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))

    @property
    def has_room(self) -> bool:
        """Whether another port may be started.

        Results that wait for an earlier port are bounded, too: behind one port that does not answer, those of all
        others would pile up.
        """
        under_way, waiting = len(self._under_way), len(self.results)
        return under_way < self._max_sockets and under_way + waiting < _MAX_RESULTS_AHEAD

    def start(self, port: int, candidates: list[Candidate]) -> None:
        """Try a port at the first of the candidates."""
        candidate, *rest = candidates
        try:
            sock = open_socket(candidate, self._options)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise PortsideError("cannot scan", error) from None
            self._failed(port, candidate, rest, error)
            return
        sock.setblocking(False)
        probe = _Probe(port, candidate, rest, sock, time.monotonic() + self._options.timeout)
        number = sock.connect_ex(candidate.sockaddr)
        if number == errno.EINPROGRESS:
            self._under_way[sock.fileno()] = probe
            self._poll.register(sock, select.POLLOUT)
        else:
            self._conclude(probe, number)

    def wait(self) -> None:
        """Wait until one attempt at least has ended."""
        oldest = next(iter(self._under_way.values()))
        for fd, _ in self._poll.poll(max(0.0, oldest.deadline - time.monotonic()) * 1000):
            probe = self._forget(fd)
            self._conclude(probe, probe.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        now = time.monotonic()
        for fd, probe in list(self._under_way.items()):
            if probe.deadline > now:
                break
            self._forget(fd).sock.close()
            self._failed(probe.port, probe.candidate, probe.rest, TimeoutError())

    def close(self) -> None:
        """Close the sockets of attempts under way."""
        for probe in self._under_way.values():
            probe.sock.close()

    def _forget(self, fd: int) -> _Probe:
        self._poll.unregister(fd)
        return self._under_way.pop(fd)

    def _conclude(self, probe: _Probe, number: int) -> None:
        """Take the end of an attempt: an errno, or 0."""
        with probe.sock:
            if not number and is_self_connected(probe.sock):
                number = errno.ECONNREFUSED
        if number:
            self._failed(probe.port, probe.candidate, probe.rest, OSError(number, os.strerror(number)))
        else:
            self.results[probe.port] = PortResult(str(probe.candidate), None)

    def _failed(self, port: int, candidate: Candidate, rest: list[Candidate], error: OSError) -> None:
        if rest:
            self.start(port, rest)
        else:
            self.results[port] = PortResult(str(candidate), describe_failure(error, self._options))
