"""The control sockets of a run: open from the start, served from the first client on.

Until a client comes, a reader on the loop is all there is. Then the web stack is imported on a thread, while the server
serves; the client waits in the socket's backlog meanwhile.
"""

import asyncio
import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from portside.app.notices import write_notice
from portside.control.socket_path import make_folder, remove_stale, socket_of
from portside.errors import PortsideError, reason_of

if TYPE_CHECKING:
    from portside.app.running_server import RunningServer
    from portside.control.console import Console
    from portside.control.stack import Stack
    from portside.control.web_listener import WebListener
    from portside.settings.listen import Listen

_BACKLOG = 64
_RETRY_S = 10.0
_SWITCH_INTERVAL_S = 0.0005  # while the stack is imported: how long that thread keeps the others waiting


def open_endpoint(settings: "Listen") -> "ControlEndpoint":
    """Open the sockets that the settings ask for.

    Raises PortsideError where the page's address cannot be listened on. Where the unix socket cannot be made, a notice
    says why, and the server does without it; with ``--tui``, whose console needs it, that is a PortsideError too.
    """
    web = None
    if settings.web is not None:
        from portside.control.web_listener import open_web

        web = open_web(settings, settings.web)
    control = None
    if not settings.no_control:
        try:
            control = _open_control()
        except PortsideError as error:
            if settings.tui:
                if web is not None:
                    web.socket.close()
                raise
            write_notice(f"no control socket: {error.why}")
    return ControlEndpoint(control, web)


def _open_control() -> socket.socket:
    """The unix socket, listening. Raises PortsideError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder = make_folder()
        remove_stale(folder)
        sock.bind(socket_of(os.getpid(), folder))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except (OSError, PortsideError) as error:
        sock.close()
        why = f"{error.what}: {error.why}" if isinstance(error, PortsideError) else reason_of(error)
        raise PortsideError("no control socket", why) from None
    return sock


class ControlEndpoint:
    """The control sockets of one run; see ``app.running_server.Extension``.

    ``path`` is that of the unix socket, None where there is none.
    """

    def __init__(self, control: socket.socket | None, web: "WebListener | None") -> None:
        self._control = control
        self.path: str | None = control.getsockname() if control is not None else None
        self._web = web
        self._console: Console | None = None
        self._stack: Stack | None = None
        self._loading: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None

    def start(self, run: "RunningServer") -> None:
        """Wait for the first client; with a page or the terminal console what happens is kept from now on."""
        if self._web is not None or run.settings.tui:
            from portside.control.console import Console

            self._console = Console(run)
            self._console.start()
        if self._web is not None:
            self._web.announce()
        self._wait_for_client(run)

    def _sockets(self) -> list[socket.socket]:
        web = self._web.socket if self._web is not None else None
        return [sock for sock in (self._control, web) if sock is not None]

    def _wait_for_client(self, run: "RunningServer") -> None:
        for sock in self._sockets():
            run.loop.add_reader(sock, self._first_client, run)

    def _first_client(self, run: "RunningServer") -> None:
        for sock in self._sockets():
            run.loop.remove_reader(sock)
        self._loading = run.loop.create_task(self._load(run))

    async def _load(self, run: "RunningServer") -> None:
        loop = run.loop
        interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        try:
            await loop.run_in_executor(None, _import_stack)
            from portside.control.console import Console

            self._console = self._console or Console(run)
            stack = await loop.run_in_executor(None, self._make_stack, self._console)
        except OSError as error:  # no descriptor or no memory is left: there may be some later
            write_notice(f"the control API cannot be loaded now: {reason_of(error)}")
            self._loading = None
            self._retry = loop.call_later(_RETRY_S, self._wait_for_client, run)
            return
        except Exception as error:  # noqa: BLE001 -- a broken installation must not end the server
            write_notice(f"the control API cannot be loaded: {reason_of(error)}")
            self.close()
            return
        finally:
            sys.setswitchinterval(interval)
        self._stack = stack
        if self._control is not None:
            await stack.serve(self._control)
        if self._web is not None:
            await stack.serve(self._web.socket, self._web.context)

    def _make_stack(self, console: "Console") -> "Stack":
        from portside.control.app import make_app
        from portside.control.stack import Stack

        return Stack(make_app(console, self._web.access() if self._web is not None else None))

    async def stop(self) -> None:
        """Close the sockets and the connections of all consoles; waits two or three seconds at most."""
        if self._retry is not None:
            self._retry.cancel()
        if self._loading is None:
            for sock in self._sockets():
                asyncio.get_running_loop().remove_reader(sock)
        else:
            await asyncio.wait([self._loading], timeout=0.1)
            self._loading.cancel()
        if self._console is not None:
            await self._console.end_streams()
        if self._stack is not None:
            await self._stack.stop()
        if self._console is not None:
            await self._console.stop()
        self.close()

    def close(self) -> None:
        """Close the sockets, and remove the file of the unix socket; once or again."""
        for sock in self._sockets():
            sock.close()
        if self.path is not None:
            with suppress(OSError):
                os.unlink(self.path)
            self.path = None


def _import_stack() -> None:
    import portside.control.app
    import portside.control.stack  # noqa: F401
