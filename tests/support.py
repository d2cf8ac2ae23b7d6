"""Helpers for many tests: ``portside`` as a process, TCP clients, and waiting with a deadline."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import psutil

DEADLINE_S = 30.0


def wait_until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Poll a condition on another process or the kernel until it is true; its value. Fails after the deadline."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s for {what}")
        pause.wait(0.005)
    return value


def free_port() -> int:
    """A port of 127.0.0.1 that no socket has, not even one in TIME_WAIT, and that the kernel gives to nobody meanwhile.

    It is below the range of ports that the kernel picks (ip_local_port_range): for a port that is listened on later,
    and for tests that count all sockets of a port, since a client of another test may have been given its number too.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", random.randrange(lowest // 2, lowest)))
            port = int(free.getsockname()[1])
            look = ["ss", "-tanH", f"( sport = :{port} or dport = :{port} )"]
            if not subprocess.run(look, capture_output=True, check=True).stdout:
                return port


class Program:
    """A running ``portside``; threads collect its standard output in ``out`` and its standard error in ``err``."""

    def __init__(
        self,
        *arguments: str,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = subprocess.PIPE,
        env: dict[str, str] | None = None,
        command: tuple[str, ...] = (sys.executable, "-m", "portside"),
        preexec: Callable[[], None] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "TZ": "UTC", **(env or {})},
            cwd=cwd,
            preexec_fn=preexec,  # noqa: PLW1509
        )
        self.out = bytearray()
        self.err = bytearray()
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._collect, args=(stream, into), daemon=True)
            for stream, into in ((self.process.stdout, self.out), (self.process.stderr, self.err))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def _collect(self, stream: IO[bytes], into: bytearray) -> None:
        while data := os.read(stream.fileno(), 1 << 16):
            with self._changed:
                into += data
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, pattern: str, *, err: bool = False, count: int = 1) -> list[str]:
        """Wait until standard output (or error) matches a pattern ``count`` times; the matches."""
        expression = re.compile(pattern.encode(), re.MULTILINE)
        where = self.err if err else self.out
        found: list[bytes] = []

        def there() -> bool:
            found[:] = [match[0] for match in expression.finditer(bytes(where))]
            return len(found) >= count

        self._wait(there, f"{count} of {pattern!r}")
        return [match.decode("utf-8", "replace") for match in found]

    def _wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition on the collected output is true; its value."""
        with self._changed:
            if not (value := self._changed.wait_for(condition, DEADLINE_S)):
                raise AssertionError(
                    f"waited for {what}; out: {bytes(self.out[-2000:])!r} err: {bytes(self.err[-2000:])!r}"
                )
        return value

    @property
    def port(self) -> int:
        """The port that the program listens on, once the program has printed it."""
        pattern = re.compile(rb"(?:[Ll]istening on |\"address\":\").*?:(\d+)[^\d]")

        def find() -> re.Match[bytes] | None:
            return pattern.search(bytes(self.err)) or pattern.search(bytes(self.out))

        return int(self._wait(find, "the port")[1])

    @property
    def lines(self) -> list[str]:
        """The lines of standard output so far."""
        return self.out.decode().splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of standard output so far, without an unfinished last line."""
        whole, _, _ = bytes(self.out).rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines() if line]

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)

    def signals_at_once(self, *numbers: int) -> None:
        """Send signals so that none arrives before the others, however slow this machine is."""
        for each in (signal.SIGSTOP, *numbers, signal.SIGCONT):
            self.signal(each)

    def signal_until_end(self, number: int) -> None:
        """Send a signal again and again until the program has ended: one that comes too early is the one before."""

        def has_ended() -> bool:
            self.signal(number)
            return self.process.poll() is not None

        wait_until(has_ended, "its end")

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait for the program to end by itself; its exit status. All its output is collected by then."""
        status = self.process.wait(deadline_s)
        for reader in self._readers:
            reader.join(deadline_s)
        return status

    def stop(self) -> int:
        """Stop the program as Ctrl-C does; its exit status."""
        self.signal(signal.SIGINT)
        return self.wait()

    def kill_all(self) -> None:
        """Kill the program with all that it has started, and close its pipes."""
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself
            left = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            for each in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        self.kill()

    def kill(self) -> None:
        """Kill the program and close its pipes."""
        self.process.kill()
        try:
            self.wait()
        finally:
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A client socket whose calls time out."""
    return socket.create_connection((host, port), timeout=DEADLINE_S)


def reset(client: socket.socket) -> None:
    """Close a connection with RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def is_reset_on_connect(port: int) -> bool:
    """Whether a new client is reset before it receives a byte: in connect(2) already, or in the first recv(2)."""
    try:
        with connect(port) as client:
            return client.recv(1) == b"?"
    except ConnectionResetError:
        return True


def fill(
    client: socket.socket, pause_s: float = 0.5, block: bytes = b"x" * (1 << 16), reader: Program | None = None
) -> int:
    """Send blocks until the peer has read nothing for ``pause_s``; the bytes sent. Fails after 256 MiB.

    Of a ``reader`` nothing is taken for its decision that only waits for a processor.
    """
    before = client.gettimeout()
    client.settimeout(pause_s)
    sent = 0
    while sent < 1 << 28:
        try:
            sent += client.send(block)
        except TimeoutError:
            if reader is None or _sleeps(reader.process.pid):
                client.settimeout(before)
                return sent
    raise AssertionError(f"the peer still reads after {sent} bytes")


def _sleeps(pid: int) -> bool:
    """Whether the first thread of a process waits for something other than a processor."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def has_ended(pid: int) -> bool:
    """Whether a process has ended; a zombie counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def read_to_end(client: socket.socket) -> bytes:
    """All that the peer sends until it closes."""
    data = bytearray()
    while chunk := client.recv(1 << 16):
        data += chunk
    return bytes(data)


def listening_port(pid: int) -> int | None:
    """The TCP port on which a process listens, by the kernel's table."""
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return None
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:
            return int(fields[1].split(":")[1], 16)
    return None


def memory_kib(pid: int) -> int:
    """The private memory of a process, in KiB (Private_Dirty)."""
    match = re.search(r"^Private_Dirty:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert match
    return int(match[1])


@contextlib.contextmanager
def connect_many(number: int, port: int) -> Iterator[list[socket.socket]]:
    """``number`` clients, connected until the end of the ``with``."""
    clients: list[socket.socket] = []
    try:
        for _ in range(number):
            clients.append(connect(port))  # noqa: PERF401
        yield clients
    finally:
        for client in clients:
            client.close()
