"""A server under load: started on its own core, measured by the kernel's accounting, stopped in order."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from bench import machine
from bench.build import OUT, compiled
from bench.peers import ENVIRONMENT, Peer
from bench.program import LIMIT_S, ask

START_LIMIT_S = 10
QUIET_S = 0.03  # a server that neither works nor writes for this long, twice, has done its work
LETTER = b"Q"  # what the load sends, 63 in a line, and no server says of itself


@dataclass(frozen=True)
class Work:
    """The work of one run of the load."""

    seconds: float
    """From the first byte sent until all was read and, with an output file, written."""
    server_cpu_s: float
    load_cpu_s: float
    failed: int
    """Connections that were reset instead of served."""
    missing: float = 0.0
    """The share of the lines that is missing from the output."""


class Server:
    """A running server, for a `with`; at its end the server has ended and its output is complete."""

    def __init__(self, peer: Peer, core: int | None = machine.SERVER_CORE) -> None:
        self.peer = peer
        self._core = core
        self.port = machine.free_port()

    def __enter__(self) -> Self:
        (OUT / "tmp").mkdir(parents=True, exist_ok=True)
        self._folder = TemporaryDirectory(dir=OUT / "tmp")
        self.output = Path(self._folder.name, "output")
        self._errors = Path(self._folder.name, "errors")
        to = os.devnull if self.peer.output == "null" else self.output
        with open(to, "wb") as output, open(self._errors, "wb") as errors, machine.on_core(self._core):
            self._process = subprocess.Popen(
                self.peer.command(self.port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        try:
            self._wait_until_listening()
        except BaseException:
            self.stop()
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        ended = self._process.poll()
        said = self.errors()
        self.stop()
        self._folder.cleanup()
        if ended is not None and isinstance(error, OSError):  # what is asked of /proc about nobody
            raise RuntimeError(f"{self.peer.name} ended by itself with {ended}: {said}") from error

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not machine.is_listening(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.peer.name} does not listen: {self.errors()}")
            time.sleep(0.01)
        self.wait_until_quiet()

    def errors(self) -> str:
        """The end of the server's standard error."""
        return self._errors.read_text("utf-8", "replace").strip()[-300:]

    def wait_until_quiet(self) -> None:
        """Wait until the server is idle: neither its CPU time nor its output grows."""
        quiet, before = 0, (-1.0, -1)
        deadline = time.monotonic() + LIMIT_S
        while quiet < 2:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.peer.name} still works {LIMIT_S} s after the last client has left")
            time.sleep(QUIET_S)
            now = (machine.cpu_s(self.pid), self.output.stat().st_size if self.output.exists() else 0)
            # A coarse timer of a server at rest is no work.
            quiet = quiet + 1 if now[1] == before[1] and now[0] - before[0] < QUIET_S / 20 else 0
            before = now

    def work(self, mode: str, clients: int, count: int, pack: int = 1, load: str = "load") -> Work:
        """Runs a load client against the server, on the other core, and waits until all is done."""
        cpu = machine.cpu_s(self.pid)
        command = [compiled(load), mode, str(self.port), str(clients), str(count), str(pack)]
        try:
            said = ask(command, machine.LOAD_CORE)
        except RuntimeError as error:
            raise RuntimeError(f"against {self.peer.name}, {error} {self.errors()}") from None
        self.wait_until_quiet()
        written = self.output.stat().st_mtime if self.output.exists() else 0.0
        return Work(
            seconds=max(said["ended"], written) - said["started"],
            server_cpu_s=machine.cpu_s(self.pid) - cpu,
            load_cpu_s=said["cpu_seconds"],
            failed=said["failed"],
        )

    def stop(self) -> None:
        """Stop the server, by SIGTERM and then by force, with all processes that it has started."""
        if self._process.returncode is not None:
            return
        self._process.send_signal(self.peer.stop_signal)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # a session of its own: its children and nobody else

    def missing(self, lines: int, failed: int = 0) -> float:
        """After `stop`: the share of the load's lines that is missing from the output. Raises if it is not 0.

        Each byte has to be there, and each line as the row it should be. Excused are those of failed connections, and
        a peer that is known to lose some.
        """
        letters = rows = 0
        with open(self.output, "rb") as output:
            while chunk := output.read(1 << 22):
                chunk += output.readline()  # up to the end of a row
                letters += len(chunk) - len(chunk.translate(None, LETTER))
                rows += chunk.count(self.peer.row) if self.peer.row else 0
        missing = lines * 63 - letters
        if not 0 <= missing <= (lines if self.peer.loses_some else failed) * 63:
            raise RuntimeError(f"{self.peer.name}: {letters / 63:.1f} lines in its output, {lines} were sent")
        if self.peer.row and rows * 63 != letters:
            raise RuntimeError(f"{self.peer.name}: {rows} rows in its output for {letters / 63:.1f} lines")
        return missing / 63 / lines


class IdleLoad:
    """`clients` idle connections until the end of the `with`, made `pause_us` apart."""

    def __init__(self, server: Server, clients: int, pause_us: int = 0) -> None:
        self._command = [compiled("load"), "idle", str(server.port), str(clients), "0", str(pause_us)]

    def __enter__(self) -> Self:
        with machine.on_core(machine.LOAD_CORE):
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout
        if self._process.stdout.readline() != b"ready\n":
            self._process.communicate()
            raise RuntimeError("not all idle clients could connect")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)
