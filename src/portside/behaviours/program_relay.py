"""The relay between one connection and its program, in both directions and at the pace of the slower side.

States of the program's standard output, which decides how the connection ends:

    state         entered when                                                  next
    RELAYING      opened: the program is to be started                          OUTPUT_ENDED, EXITED, ENDING
    OUTPUT_ENDED  the program closes its standard output; FIN goes to the
                  client                                                        CLOSED, ENDING
    EXITED        the program has ended, and its output is still open: what it
                  wrote last is unread, or a child of it holds the pipe         CLOSED, ENDING
    CLOSED        the program has ended, and its output too or has brought
                  nothing for LEAVES_S; the connection closes in order          ENDING
    ENDING        end: the connection is gone, or the run ends                  none

On a terminal (``pseudo_terminal``) standard output and error are one, and their end is the end of the input too.

Until the program's pipes are connected to the loop, the server does not read from the client, and what it has read is
held back. ``end`` in that time takes effect once the pipes are connected.
"""

import asyncio
import enum
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from portside.behaviours.process_group import ProcessGroup, ProcessState
from portside.behaviours.pseudo_terminal import PseudoTerminal, TerminalInput, TerminalOutput
from portside.server.connection import Connection
from portside.server.leg import Hold
from portside.wire.newlines import CrLf

LEAVES_S = 0.5  # that a program's output may stay open, and bring nothing, when the program has ended
_MAX_LINE_BYTES = 4096  # of standard error

_log = logging.getLogger("portside.behaviours.program")

ReportLine = Callable[[Connection, bytes], None]


class RelayState(enum.Enum):
    """The state of a program's output; the module docstring has the table of transitions."""

    RELAYING = enum.auto()
    OUTPUT_ENDED = enum.auto()
    EXITED = enum.auto()
    CLOSED = enum.auto()
    ENDING = enum.auto()


class ProgramRelay:
    """One connection and its program.

    ``report_line`` is called with each line of standard error, ``on_over`` when neither the program nor a child of it
    is left. With ``crlf`` each LF of the program's output becomes CR LF. ``hang_up_s``: the program gets a terminal,
    and a hang-up if it is silent for so many seconds after the end of its input; None: it gets pipes. More attributes
    than a class should have: both directions share the state.
    """

    def __init__(
        self,
        connection: Connection,
        report_line: ReportLine,
        on_over: Callable[["ProgramRelay"], None],
        *,
        crlf: bool = False,
        hang_up_s: float | None = None,
    ) -> None:
        self.connection = connection
        self._report_line = report_line
        self._on_over = on_over
        self._crlf = CrLf() if crlf else None
        self._state = RelayState.RELAYING
        self._group: ProcessGroup | None = None  # None before the program is started
        self._hang_up_s = hang_up_s
        self._input: asyncio.WriteTransport | TerminalInput | None = None
        self._output: asyncio.ReadTransport | TerminalOutput | None = None
        self._errors: asyncio.ReadTransport | None = None
        self._held: list[bytes] | None = []  # bytes from before the pipes are connected, FIN as b""; None from then on
        self._has_output = False  # or may have had some: since the program's end, or the last look after it
        self._partial_line = b""  # of standard error

    async def start(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the program and connect its pipes, or its terminal. Raises as ProcessGroup and PseudoTerminal do."""
        stdin = _StandardInput(self.connection)
        if self._hang_up_s is not None:
            group = self._start_on_terminal(words, environment, stdin, self._hang_up_s)
        else:
            group = await self._start_on_pipes(words, environment, stdin)
        held, self._held = self._held or [], None
        for data in held:
            if data:
                self.feed(data)
            else:
                self.feed_eof()
        if not stdin.is_paused:
            self.connection.resume_reading(Hold.FLOW)
        if self._state is RelayState.ENDING:
            self._terminate(group)

    async def _start_on_pipes(
        self, words: Sequence[str], environment: Mapping[str, str], protocol: "_StandardInput"
    ) -> ProcessGroup:
        loop = asyncio.get_running_loop()
        group = self._start_group(words, environment, None)
        stdin, stdout, stderr = group.pipes
        self._input = (await loop.connect_write_pipe(lambda: protocol, stdin))[0]
        output = partial(_PipeReader, self._on_output, self._on_output_end)
        self._output = (await loop.connect_read_pipe(output, stdout))[0]
        errors = partial(_PipeReader, self._on_errors, self._on_errors_end)
        self._errors = (await loop.connect_read_pipe(errors, stderr))[0]
        return group

    def _start_on_terminal(
        self, words: Sequence[str], environment: Mapping[str, str], protocol: "_StandardInput", hang_up_s: float
    ) -> ProcessGroup:
        terminal = PseudoTerminal()
        try:
            group = self._start_group(words, environment, terminal.path)
        except BaseException:
            terminal.close()
            raise
        terminal.release()
        output = self._output = TerminalOutput(terminal.output_fd, _PipeReader(self._on_output, self._on_output_end))
        self._input = TerminalInput(terminal.input_fd, protocol, output, hang_up_s, self._hang_up)
        return group

    def _start_group(self, words: Sequence[str], environment: Mapping[str, str], terminal: str | None) -> ProcessGroup:
        on_over = partial(self._on_over, self)
        group = self._group = ProcessGroup(words, environment, self._on_exit, on_over, terminal)
        _log.debug("#%d: process %d started: %s", self.connection.number, group.pid, words[0])
        return group

    # From the program.

    def _on_output(self, data: bytes) -> None:
        self._has_output = True
        self.connection.send(data if self._crlf is None else self._crlf.convert(data))
        if self.connection.write_paused and self._output is not None and not self._output.is_closing():
            self._output.pause_reading()

    def _on_output_end(self) -> None:
        self._output = None
        if isinstance(self._input, TerminalInput):
            self._input.abort()
        if self._state is RelayState.RELAYING:
            self._state = RelayState.OUTPUT_ENDED
        elif self._state is RelayState.EXITED:
            self._state = RelayState.CLOSED
        if self._group is not None and self._group.has_exited:
            self.connection.close_gracefully()
        else:
            self.connection.write_eof()

    def _on_errors(self, data: bytes) -> None:
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        if len(self._partial_line) > _MAX_LINE_BYTES:
            lines.append(self._partial_line)
            self._partial_line = b""
        for line in lines:
            self._report_line(self.connection, line[:_MAX_LINE_BYTES])

    def _on_errors_end(self) -> None:
        if self._partial_line:
            self._on_errors(b"\n")

    def _on_exit(self, status: int) -> None:
        """Close the connection when the output has ended; that, and what the program wrote last, may be unread yet."""
        _log.debug("#%d: process ended: status %d", self.connection.number, status)
        if self._state is RelayState.RELAYING:
            self._state = RelayState.EXITED
        else:
            if self._state is RelayState.OUTPUT_ENDED:
                self._state = RelayState.CLOSED
            self.connection.close_gracefully()
        self._has_output = False
        asyncio.get_running_loop().call_later(LEAVES_S, self._close)

    def _close(self) -> None:
        """Close the connection of a program that has ended, unless its output still brings something."""
        # A child of the program may hold its output open for ever.
        is_unread = self._state is RelayState.EXITED and (self._has_output or self.connection.write_paused)
        is_over = self._group is None or self._group.state is ProcessState.OVER
        if (is_unread or self._held is not None) and not is_over:
            self._has_output = False
            asyncio.get_running_loop().call_later(LEAVES_S, self._close)
            return
        if self._state is RelayState.EXITED:
            self._state = RelayState.CLOSED
        if self._errors is not None:
            self._errors.close()
        self.connection.close_gracefully()

    # To the program, called by the behaviour.

    def feed(self, data: bytes) -> None:
        """Write bytes to the program's standard input."""
        if self._held is not None:
            self._held.append(data)
            self.connection.pause_reading(Hold.FLOW)
        elif self._input is not None and not self._input.is_closing():
            self._input.write(data)

    def feed_eof(self) -> None:
        """Close the program's standard input, after what is buffered for it."""
        if self._held is not None:
            self._held.append(b"")
        elif self._input is not None and not self._input.is_closing():
            self._input.close()

    def resume_output(self) -> None:
        """Read the program's output again, for the client reads."""
        if self._output is not None and not self._output.is_closing():
            self._has_output = True  # for all we know: it has not been looked at since the pause
            self._output.resume_reading()

    def end(self) -> None:
        """End the program and its children, for the connection is gone."""
        if self._state is not RelayState.ENDING:
            self._state = RelayState.ENDING
            if self._group is not None and self._held is None:
                self._terminate(self._group)

    def _terminate(self, group: ProcessGroup) -> None:
        for pipe in (self._input, self._output):
            if pipe is not None:
                pipe.close()
        if isinstance(self._input, TerminalInput):
            self._input.abort()  # both directions are closed now: the terminal hangs up
        group.terminate()

    def _hang_up(self) -> None:
        """End a program that takes no notice of the end of its input, as a terminal does that is closed."""
        _log.debug("#%d: hangs up: no output since the end of input", self.connection.number)
        self.connection.close_gracefully()
        self.end()

    def kill(self) -> None:
        """End the program and its children by SIGKILL."""
        if self._group is None:
            self._on_over(self)
        else:
            self._group.kill()


class _StandardInput(asyncio.BaseProtocol):
    """The program's standard input; while the program does not read, the server does not read from its client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_paused = False

    def pause_writing(self) -> None:
        self.is_paused = True
        self._connection.pause_reading(Hold.FLOW)

    def resume_writing(self) -> None:
        self.is_paused = False
        self._connection.resume_reading(Hold.FLOW)

    def connection_lost(self, exc: Exception | None) -> None:
        # The program will never read again: what the client still sends is dropped, so that its FIN is seen.
        self.is_paused = False
        self._connection.resume_reading(Hold.FLOW)


class _PipeReader(asyncio.Protocol):
    """The program's standard output or error."""

    def __init__(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_data = on_data
        self._on_end = on_end

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()
