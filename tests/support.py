"""What tests share: the program as a process of its own, and waiting for things with a deadline."""

import contextlib
import json
import os
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

DEADLINE_S = 30.0


def wait_until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of a condition that something outside this process brings about."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s for {what}")
        pause.wait(0.005)
    return value


class Program:
    """A running ``portside`` whose standard output and error are collected as they come."""

    def __init__(
        self,
        *arguments: str,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = subprocess.PIPE,
        env: dict[str, str] | None = None,
        command: tuple[str, ...] = (sys.executable, "-m", "portside"),
        prepare: Callable[[], None] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "TZ": "UTC", **(env or {})},
            cwd=cwd,
            preexec_fn=prepare,  # noqa: PLW1509
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
        """Wait until standard output (or error) holds a pattern so many times; what it found."""
        expression = re.compile(pattern.encode(), re.MULTILINE)
        where = self.err if err else self.out
        found: list[bytes] = []

        def there() -> bool:
            found[:] = [match[0] for match in expression.finditer(bytes(where))]
            return len(found) >= count

        self._wait(there, f"{count} of {pattern!r}")
        return [match.decode("utf-8", "replace") for match in found]

    def _wait(self, said: Callable[[], Any], what: str) -> Any:
        """The first true value of what is asked of its output."""
        with self._changed:
            if not (value := self._changed.wait_for(said, DEADLINE_S)):
                raise AssertionError(
                    f"waited for {what}; out: {bytes(self.out[-2000:])!r} err: {bytes(self.err[-2000:])!r}"
                )
        return value

    @property
    def port(self) -> int:
        """The port it listens on, once it said so."""
        pattern = re.compile(rb"(?:[Ll]istening on |\"address\":\").*?:(\d+)[^\d]")

        def said() -> re.Match[bytes] | None:
            return pattern.search(bytes(self.err)) or pattern.search(bytes(self.out))

        return int(self._wait(said, "it to say where it listens")[1])

    @property
    def lines(self) -> list[str]:
        """The lines of standard output so far."""
        return self.out.decode().splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of standard output so far; what is not a whole line yet is none."""
        whole, _, _ = bytes(self.out).rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines() if line]

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Its exit status, when it has ended by itself and all it printed is collected."""
        status = self.process.wait(deadline_s)
        for reader in self._readers:
            reader.join(deadline_s)
        return status

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit status."""
        self.signal(signal.SIGINT)
        return self.wait()

    def kill(self) -> None:
        """End it whatever it does."""
        self.process.kill()
        try:
            self.wait()
        finally:
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A client whose calls have a deadline."""
    return socket.create_connection((host, port), timeout=DEADLINE_S)


def reset(client: socket.socket) -> None:
    """Close a connection with RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def reset_at_once(port: int) -> bool:
    """Whether a client is reset without a byte; that may come in time for connect(2) to tell it."""
    try:
        with connect(port) as client:
            return client.recv(1) == b"?"
    except ConnectionResetError:
        return True


def fill(client: socket.socket, pause_s: float = 0.5, block: bytes = b"x" * (1 << 16)) -> int:
    """Send blocks until the peer takes nothing for so long; how many bytes it took. Fails where that has no end."""
    before = client.gettimeout()
    client.settimeout(pause_s)
    sent = 0
    try:
        while sent < 1 << 28:
            sent += client.send(block)
    except TimeoutError:
        client.settimeout(before)
        return sent
    raise AssertionError(f"it took {sent} bytes, and there was no end to it")


def has_ended(pid: int) -> bool:
    """Whether a process is no more, or only waits for its parent to take notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def read_to_end(client: socket.socket) -> bytes:
    """What the peer sends until it closes."""
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
    """What of a process's memory is its own, in KiB."""
    match = re.search(r"^Private_Dirty:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert match
    return int(match[1])


@contextlib.contextmanager
def several(number: int, port: int) -> Iterator[list[socket.socket]]:
    """So many clients at once."""
    clients: list[socket.socket] = []
    try:
        for _ in range(number):
            clients.append(connect(port))  # noqa: PERF401
        yield clients
    finally:
        for client in clients:
            client.close()
