"""``--exec`` and ``--sh-exec``: a program for each client, with the connection as its standard input and output.

What one side does, and what the other side sees:

    client's bytes   the program's standard input; while the program does not read, the client is not read
    client's FIN     the end of the program's standard input
    output           to the client; while the client does not read, the program's output is not read
    end of output    FIN to the client
    program's end    the connection closes in order, whatever the client still sends
    standard error   line by line on the server's standard error
    connection gone  the process group (the program and its children) gets SIGTERM, then SIGKILL

``program_relay`` moves the bytes, ``process_group`` starts and ends the program. With ``--pty`` the program has a
terminal instead of pipes (``pseudo_terminal``), which changes two lines of the table:

    client's FIN     VEOF (Ctrl-D) on the terminal, and the hang-up of a program that is silent for HANGS_UP_S after it
    standard error   to the client, as standard output
"""

import asyncio
import os
from contextlib import suppress

from portside.behaviours.process_group import TERMINATES_S
from portside.behaviours.program_relay import LEAVES_S, ProgramRelay, ReportLine
from portside.behaviours.pseudo_terminal import TERM
from portside.descriptors import keep_inherited_descriptors
from portside.errors import reason_of
from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection

HANGS_UP_S = 5.0  # of silence after the client's FIN, where --half-close-timeout says nothing
_OF_THE_TERMINAL = ("COLUMNS", "LINES")  # variables that describe the terminal of the server


class Programs(Behaviour):
    """Runs the program ``words`` for each client. ``report_line`` is called with each line of its standard error.

    With ``crlf`` the lines that a program writes get to the client with CR LF. ``hang_up_s``: each program gets a
    terminal, and a hang-up if it is silent for so many seconds after the client's FIN; None: it gets pipes.
    """

    def __init__(
        self, words: list[str], report_line: ReportLine, *, crlf: bool = False, hang_up_s: float | None = None
    ) -> None:
        self._words = words
        self._report_line = report_line
        self._crlf = crlf
        self._hang_up_s = hang_up_s
        self._environment = dict(os.environ)
        if hang_up_s is not None:
            keep_inherited_descriptors()
            self._environment = {name: value for name, value in os.environ.items() if name not in _OF_THE_TERMINAL}
            self._environment["TERM"] = TERM
        self._relays: dict[Connection, ProgramRelay] = {}  # while the client is connected
        self._alive: set[ProgramRelay] = set()  # until nothing of the program and its children is left
        self._none_alive = asyncio.Event()
        self._starting: set[asyncio.Task[None]] = set()

    def opened(self, connection: Connection) -> None:
        relay = self._relays[connection] = ProgramRelay(
            connection, self._report_line, self._on_over, crlf=self._crlf, hang_up_s=self._hang_up_s
        )
        self._alive.add(relay)
        task = asyncio.get_running_loop().create_task(self._start(relay))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, relay: ProgramRelay) -> None:
        """Start a program: in a task for as long as that takes, for a running one has none."""
        connection = relay.connection
        try:
            await relay.start(self._words, {**self._environment, **environment(connection)})
        except (OSError, ValueError) as error:
            self._report_line(connection, f"cannot run {self._words[0]}: {reason_of(error)}".encode())
            relay.kill()
            connection.close("error")

    def received(self, connection: Connection, data: bytes) -> None:
        if relay := self._relays.get(connection):
            relay.feed(data)

    def half_closed(self, connection: Connection) -> bool:
        relay = self._relays.get(connection)
        if relay is None:
            return False
        relay.feed_eof()
        return True

    def writable(self, connection: Connection) -> None:
        if relay := self._relays.get(connection):
            relay.resume_output()

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        if relay := self._relays.pop(connection, None):
            # After FIN from both sides the program may still read to the end of its input.
            asyncio.get_running_loop().call_later(LEAVES_S if reason == "peer_closed" else 0.0, relay.end)

    def kill(self) -> None:
        for relay in list(self._alive):
            relay.kill()

    def _on_over(self, relay: ProgramRelay) -> None:
        self._alive.discard(relay)
        if not self._alive:
            self._none_alive.set()

    async def end(self) -> None:
        """End all programs, and wait until none is left but those that sleep in the kernel."""
        if self._starting:
            await asyncio.wait(self._starting)
        self._none_alive.clear()
        for relay in list(self._alive):
            relay.end()
        if self._alive:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._none_alive.wait(), TERMINATES_S + LEAVES_S)


def environment(connection: Connection) -> dict[str, str]:
    """Variables that describe a connection, with the names that programs of ncat, ucspi-tcp and socat expect."""
    peer_host, peer_port = _host_and_port(connection.peer)
    local_host, local_port = _host_and_port(connection.info.local)
    protocol = "TCP" if peer_port else "UNIX"
    return {
        "NCAT_REMOTE_ADDR": peer_host,
        "NCAT_REMOTE_PORT": peer_port,
        "NCAT_LOCAL_ADDR": local_host,
        "NCAT_LOCAL_PORT": local_port,
        "NCAT_PROTO": protocol,
        "TCPREMOTEIP": peer_host,
        "TCPREMOTEPORT": peer_port,
        "TCPLOCALIP": local_host,
        "TCPLOCALPORT": local_port,
        "PROTO": protocol,
        "SOCAT_PEERADDR": peer_host,
        "SOCAT_PEERPORT": peer_port,
        "SOCAT_SOCKADDR": local_host,
        "SOCAT_SOCKPORT": local_port,
        "PORTSIDE_CONN": str(connection.number),
    }


def _host_and_port(address: str) -> tuple[str, str]:
    """Host and port of a printed address; a unix socket's path has no port."""
    if address.startswith("unix:"):
        return address.removeprefix("unix:"), ""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), port
