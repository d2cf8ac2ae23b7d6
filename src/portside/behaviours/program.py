"""``--exec`` and ``--sh-exec``: a program for each client, with the connection as its standard input and output.

What one side does, and what the other one sees of it:

    client's bytes   its standard input; while it does not read, the client is not read
    client's FIN     the end of its standard input
    its output       to the client; while the client does not read, the program's output is not read
    end of output    FIN to the client
    its end          the connection closes in order, whatever the client still sends
    standard error   said line by line on the server's
    connection gone  it and its children are ended (its process group: SIGTERM, then SIGKILL)
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import IO, cast

from portside.errors import reason_of
from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection
from portside.server.leg import Hold

LEAVES_S = 0.5  # that its output may stay open, and bring nothing, when it has ended
TERMINATES_S = 2.0  # that a program may take after SIGTERM
_LOOKS_S = 0.02  # between looks whether its children are gone
_LONGEST_LINE = 4096  # bytes of its standard error

Say = Callable[[Connection, bytes], None]


def environment(connection: Connection) -> dict[str, str]:
    """What the program learns of the connection, as programs of ncat, ucspi-tcp and socat expect it."""
    peer_host, peer_port = _ends(connection.peer)
    local_host, local_port = _ends(connection.info.local)
    return {
        "NCAT_REMOTE_ADDR": peer_host,
        "NCAT_REMOTE_PORT": peer_port,
        "NCAT_LOCAL_ADDR": local_host,
        "NCAT_LOCAL_PORT": local_port,
        "NCAT_PROTO": "TCP" if peer_port else "UNIX",
        "TCPREMOTEIP": peer_host,
        "TCPREMOTEPORT": peer_port,
        "TCPLOCALIP": local_host,
        "TCPLOCALPORT": local_port,
        "PROTO": "TCP" if peer_port else "UNIX",
        "SOCAT_PEERADDR": peer_host,
        "SOCAT_PEERPORT": peer_port,
        "SOCAT_SOCKADDR": local_host,
        "SOCAT_SOCKPORT": local_port,
        "PORTSIDE_CONN": str(connection.number),
    }


def _ends(address: str) -> tuple[str, str]:
    """Host and port of a printed address; a unix socket's path has no port."""
    if address.startswith("unix:"):
        return address.removeprefix("unix:"), ""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), port


class Programs(Behaviour):
    """Runs ``words`` for each client. ``say`` is called with each line of a program's standard error."""

    def __init__(self, words: list[str], say: Say) -> None:
        self._words = words
        self._say = say
        self._of: dict[Connection, _Program] = {}  # while the client is connected
        self._alive: set[_Program] = set()  # until nothing of it and its children is left
        self._none_alive = asyncio.Event()
        self._starting: set[asyncio.Task[None]] = set()

    def opened(self, connection: Connection) -> None:
        program = self._of[connection] = _Program(connection, self._say, self._over)
        self._alive.add(program)
        task = asyncio.get_running_loop().create_task(self._start(program))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, program: "_Program") -> None:
        """A task for as long as the program takes to start; it has none while it runs."""
        connection = program.connection
        try:
            await program.start(self._words, {**os.environ, **environment(connection)})
        except (OSError, ValueError) as error:
            self._say(connection, f"cannot run {self._words[0]}: {reason_of(error)}".encode())
            program.kill()
            connection.close("error")

    def received(self, connection: Connection, data: bytes) -> None:
        if program := self._of.get(connection):
            program.feed(data)

    def half_closed(self, connection: Connection) -> bool:
        program = self._of.get(connection)
        if program is None:
            return False
        program.feed_eof()
        return True

    def writable(self, connection: Connection) -> None:
        if program := self._of.get(connection):
            program.read(wanted=True)

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        if program := self._of.pop(connection, None):
            # Where both sides have said their last it may still read to the end of its input.
            asyncio.get_running_loop().call_later(LEAVES_S if reason == "peer_closed" else 0.0, program.end)

    def kill(self) -> None:
        for program in list(self._alive):
            program.kill()

    def _over(self, program: "_Program") -> None:
        self._alive.discard(program)
        if not self._alive:
            self._none_alive.set()

    async def end(self) -> None:
        """End what still runs, and wait until nothing is left, but for what sleeps in the kernel."""
        if self._starting:
            await asyncio.wait(self._starting)
        self._none_alive.clear()
        for program in list(self._alive):
            program.end()
        if self._alive:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._none_alive.wait(), TERMINATES_S + LEAVES_S)


class _Program:
    """One program and its pipes; ``on_over`` is called when nothing of it and its children is left."""

    def __init__(self, connection: Connection, say: Say, on_over: Callable[["_Program"], None]) -> None:
        self.connection = connection
        self._say = say
        self._on_over = on_over
        self._process: subprocess.Popen[bytes] | None = None
        self._exit_fd = -1  # readable when it has ended; -1 before it started and after
        self._input: asyncio.WriteTransport | None = None
        self._output: asyncio.ReadTransport | None = None
        self._errors: asyncio.ReadTransport | None = None
        self._early: list[bytes] | None = []  # what came before it had started
        self._eof = False  # its input is at its end
        self._asked_to_end = False
        self._is_over = False  # nothing of it and its children is left
        self._killed = False
        self._has_written = False  # since it was last asked
        self._output_ended = False
        self._said = b""  # the beginning of a line of its standard error

    async def start(self, words: list[str], variables: dict[str, str]) -> None:
        """Start it. Raises OSError, and ValueError for words that no program can have."""
        # Not the loop's own way, which keeps an end of standard output open until the program has ended.
        loop = asyncio.get_running_loop()
        pipe = subprocess.PIPE
        process = self._process = subprocess.Popen(  # noqa: ASYNC220 - a millisecond
            words, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, env=variables, start_new_session=True
        )
        try:
            self._exit_fd = os.pidfd_open(process.pid)
        except OSError:  # no descriptor is left for it
            for file in (process.stdin, process.stdout, process.stderr):
                cast("IO[bytes]", file).close()
            self._signal(signal.SIGKILL)
            process.wait()  # it has hardly begun
            raise
        loop.add_reader(self._exit_fd, self._exited)
        self._input = (await loop.connect_write_pipe(lambda: _Input(self), process.stdin))[0]
        output = partial(_Output, self.output, self.output_ended)
        self._output = (await loop.connect_read_pipe(output, process.stdout))[0]
        errors = partial(_Output, self.tell, self.tell_rest)
        self._errors = (await loop.connect_read_pipe(errors, process.stderr))[0]
        early, self._early = self._early or [], None
        for data in early:
            self.feed(data)
        if self._eof:
            self.feed_eof()
        self.connection.resume_reading(Hold.FLOW)
        if self._asked_to_end:
            self._terminate()

    # What the program does.

    def output(self, data: bytes) -> None:
        """It wrote to its standard output."""
        self._has_written = True
        self.connection.send(data)
        if self.connection.write_paused:
            self.read(wanted=False)

    def output_ended(self) -> None:
        """It closed it."""
        self._output, self._output_ended = None, True
        if self._exit_fd < 0:
            self.connection.close_gracefully()
        else:
            self.connection.write_eof()

    def tell(self, data: bytes) -> None:
        """It wrote to its standard error."""
        *lines, self._said = (self._said + data).split(b"\n")
        if len(self._said) > _LONGEST_LINE:
            lines.append(self._said)
            self._said = b""
        for line in lines:
            self._say(self.connection, line[:_LONGEST_LINE])

    def tell_rest(self) -> None:
        """It closed it."""
        if self._said:
            self.tell(b"\n")

    def _exited(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._exit_fd)
        os.close(self._exit_fd)
        self._exit_fd = -1
        if self._process is not None:
            self._process.wait()
        if self._killed:
            self._over()
        elif self._asked_to_end:
            self._wait_for_rest()
        if self._output_ended:
            self.connection.close_gracefully()
        self._has_written = False
        loop.call_later(LEAVES_S, self._close)

    def _close(self) -> None:
        """It has ended. What it wrote last is read first; a child of it may hold its output open for ever."""
        starting = self._early is not None
        unread = not self._output_ended and (starting or self._has_written or self.connection.write_paused)
        if unread and not self._killed:
            self._has_written = False
            asyncio.get_running_loop().call_later(LEAVES_S, self._close)
            return
        if self._errors is not None:
            self._errors.close()
        self.connection.close_gracefully()

    def _wait_for_rest(self) -> None:
        """It has ended, and its children were asked to: until they are gone, or are killed."""
        if self._is_over:
            return
        if self._signal(0):
            asyncio.get_running_loop().call_later(_LOOKS_S, self._wait_for_rest)
        else:
            self._over()

    # Called by the behaviour.

    def feed(self, data: bytes) -> None:
        """Bytes for its standard input."""
        if self._early is not None:
            self._early.append(data)
            self.connection.pause_reading(Hold.FLOW)
        elif self._input is not None and not self._input.is_closing():
            self._input.write(data)

    def feed_eof(self) -> None:
        """The end of its standard input, after what waits for it."""
        self._eof = True
        if self._input is not None and not self._input.is_closing():
            self._input.close()

    def read(self, *, wanted: bool) -> None:
        """Read its output, or let it wait."""
        if self._output is None or self._output.is_closing():
            return
        if wanted:
            self._output.resume_reading()
        else:
            self._output.pause_reading()

    def end(self) -> None:
        """Its connection is gone: end it and its children."""
        if not self._asked_to_end:
            self._asked_to_end = True
            if self._early is None:  # else when it has started
                self._terminate()

    def _terminate(self) -> None:
        for pipe in (self._input, self._output):
            if pipe is not None:
                pipe.close()
        if self._signal(signal.SIGTERM):
            asyncio.get_running_loop().call_later(TERMINATES_S, self.kill)
            if self._exit_fd < 0:
                self._wait_for_rest()
        else:
            self._over()

    def kill(self) -> None:
        """End what did not end by itself. One that sleeps in the kernel goes when it wakes: nobody waits for that."""
        if not self._is_over:
            self._killed = True
            self._signal(signal.SIGKILL)
            if self._exit_fd < 0:  # it is gone, and only children of it were left
                self._over()

    def _over(self) -> None:
        self._is_over = True
        self._on_over(self)

    def _signal(self, number: int) -> bool:
        """To the whole session, a shell's children too; whether any of them is left."""
        if self._process is None:
            return False
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


class _Input(asyncio.BaseProtocol):
    """The program's standard input: while it does not read, its client is held back."""

    def __init__(self, program: _Program) -> None:
        self._connection = program.connection

    def pause_writing(self) -> None:
        self._connection.pause_reading(Hold.FLOW)

    def resume_writing(self) -> None:
        self._connection.resume_reading(Hold.FLOW)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.resume_reading(Hold.FLOW)  # it reads no more: what the client still sends is dropped


class _Output(asyncio.Protocol):
    """Its standard output or error."""

    def __init__(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_data = on_data
        self._on_end = on_end

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()
