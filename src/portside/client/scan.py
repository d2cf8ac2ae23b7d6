"""Which ports of a host are open: connecting to many at a time, and hanging up."""

import errno
import os
import resource
import select
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

from portside.addresses import Address
from portside.client.dial import Candidate, ConnectOptions, describe_failure, is_self_connected, open_socket, resolve
from portside.errors import PortsideError

AT_ONCE = 256  # sockets; half of the descriptors that we may have where that is less

_FINDINGS_AHEAD = 4096


class PortResult(NamedTuple):
    """One port: the address that took the connection or, where none did, the last one tried and why not."""

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
    """Try each port of an address: a finding a port, in the order of the ports, as soon as that allows.

    Raises PortsideError where the host is not known or no socket can be made.
    """
    candidates = resolve(address, options)
    run = _Scan(options)
    ports = iter(address.ports)
    waiting = iter(address.ports)
    expected = next(waiting, None)
    try:
        while expected is not None:
            while run.has_room and (port := next(ports, None)) is not None:
                run.start(port, [_at_port(candidate, port) for candidate in candidates])
            if expected not in run.findings:
                run.wait()
            while expected in run.findings:
                yield run.findings.pop(expected)
                expected = next(waiting, None)
    finally:
        run.close()


def _at_port(candidate: Candidate, port: int) -> Candidate:
    host, _, *rest = candidate.sockaddr
    return Candidate(candidate.family, (host, port, *rest))


class _Scan:
    """The attempts that are under way, oldest first, and what is known of ports so far."""

    def __init__(self, options: ConnectOptions) -> None:
        self.findings: dict[int, PortResult] = {}
        self._options = options
        self._under_way: dict[int, _Probe] = {}
        self._poll = select.poll()
        self._at_once = max(1, min(AT_ONCE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))

    @property
    def has_room(self) -> bool:
        """Whether another port may be started.

        Findings that wait for an earlier port are bounded, too: behind one that does not answer, all others would
        pile up.
        """
        under_way, waiting = len(self._under_way), len(self.findings)
        return under_way < self._at_once and under_way + waiting < _FINDINGS_AHEAD

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
        """Until something is known of one attempt at least."""
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
        """Give up what is under way."""
        for probe in self._under_way.values():
            probe.sock.close()

    def _forget(self, fd: int) -> _Probe:
        self._poll.unregister(fd)
        return self._under_way.pop(fd)

    def _conclude(self, probe: _Probe, number: int) -> None:
        """An attempt has ended with an errno, or with 0."""
        with probe.sock:
            if not number and is_self_connected(probe.sock):
                number = errno.ECONNREFUSED
        if number:
            self._failed(probe.port, probe.candidate, probe.rest, OSError(number, os.strerror(number)))
        else:
            self.findings[probe.port] = PortResult(str(probe.candidate), None)

    def _failed(self, port: int, candidate: Candidate, rest: list[Candidate], error: OSError) -> None:
        if rest:
            self.start(port, rest)
        else:
            self.findings[port] = PortResult(str(candidate), describe_failure(error, self._options))
