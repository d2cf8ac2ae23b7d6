"""The console of ``listen --tui``: a process that shows its parent, the server, and ends with it.

Arguments: the path of the server's control socket, the descriptor from which the server's notices are read, and the one
that comes to its end when the server has ended.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from portside.control.client.exchange import Api
from portside.control.client.http_client import ControlClient, Silent
from portside.control.client.server_info import Asks, ask_server
from portside.errors import reason_of
from portside.tui.console.app import END_SIGNALS, ConsoleApp
from portside.wire.escaping import escape, escape_text

_READ_BYTES = 1 << 16
_MOST_LINE_BYTES = 4096
_FIRST_ANSWER_S = 60.0
_AGAIN_S = 0.1


class Notices:
    """The lines that the server writes to standard error, out of a pipe."""

    def __init__(self, fd: int, show: Callable[[list[str]], None]) -> None:
        self._fd = fd
        self._show = show
        self._rest = b""

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read from now on."""
        os.set_blocking(self._fd, False)
        loop.add_reader(self._fd, self._read, loop)

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            loop.remove_reader(self._fd)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MOST_LINE_BYTES or not data:
            lines.append(self._rest)
            self._rest = b""
        self._show([escape(line[:_MOST_LINE_BYTES]) for line in lines if line])


class BesideServer(ConsoleApp):
    """A console that ends with its server. ``notices`` and ``ends`` are the descriptors of the pipes."""

    def __init__(self, client: ControlClient, info: Mapping[str, Any], notices: int, ends: int) -> None:
        super().__init__(lambda _: client, client, info, ends_server=True)
        self._notices = Notices(notices, self.show_notices)
        self._ends = ends

    def on_mount(self) -> None:
        super().on_mount()
        loop = asyncio.get_running_loop()
        self._notices.attach(loop)
        loop.add_reader(self._ends, self._server_ended, loop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)

    def _server_ended(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._ends)
        self.exit(0)


def first_answer(client: Asks, most_s: float = _FIRST_ANSWER_S) -> dict[str, Any]:
    """The facts of the server, which has only just begun. Raises PortsideError.

    It ends with its console: on a machine that is too busy to answer within the time of one request, it is asked again.
    """
    until = time.monotonic() + most_s
    while True:
        try:
            return ask_server(client)
        except Silent:
            if time.monotonic() >= until:
                raise
            time.sleep(_AGAIN_S)  # where as many wait for it as may, it is silent at once


def run(path: str, notices: int, ends: int) -> int:
    """Show the server until it ends, or the user ends both; the exit status. Raises PortsideError."""
    client = ControlClient(Api("the server", path))
    app = BesideServer(client, first_answer(client), notices, ends)
    app.run()
    # What the server said while the console had the screen, for whoever looks at the terminal afterwards.
    sys.stderr.write("".join(f"{line}\n" for line in app.session.notices))
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0


def main() -> int:
    """Run with the arguments of the process; a failure is said in a line."""
    path, notices, ends = sys.argv[1:]
    try:
        return run(path, int(notices), int(ends))
    except Exception as error:
        if os.environ.get("PORTSIDE_DEBUG"):
            raise
        sys.stderr.write(f"portside: console: {escape_text(reason_of(error))}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
