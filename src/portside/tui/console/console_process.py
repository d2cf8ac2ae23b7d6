"""``listen --tui``: the console beside the server, as a child process that has the terminal.

The server is the parent, and everything of it is as without a console: its loop, its signals, its exit status. The
child is a client of the control socket. Two pipes join them: what the parent and its programs write to standard error
goes to the child, which shows it; and the end of the other one, which only the parent holds, tells the child that the
server has ended, however it did.
"""

import asyncio
import os
import signal
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from portside.app.notices import write_notice
from portside.errors import reason_of

if TYPE_CHECKING:
    from portside.app.running_server import RunningServer
    from portside.control.endpoint import ControlEndpoint

MODULE = "portside.tui.console.beside_server"
_PATIENCE_S = 2.0  # that the end of the server waits for the console to give the terminal back
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STDERR = 2
# Of a terminal whose program was killed: no mouse, no pasting in brackets, no reports of focus, keys as usual, the
# screen from before, and the cursor.
_RESTORE = b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?2004l\x1b[?1004l\x1b[<u\x1b[?1049l\x1b[?25h"


class ConsoleProcess:
    """The extension of a run with ``--tui``: that of the control sockets, and the console.

    ``stdout`` is the descriptor of the terminal. ``failed`` says whether the console ended other than by its user.
    """

    def __init__(self, endpoint: "ControlEndpoint", stdout: int) -> None:
        self.failed = False
        self._endpoint = endpoint
        self._stdout = stdout
        self._modes = termios.tcgetattr(0)
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr = -1  # the standard error of the user, while the console has ours
        self._alive = -1  # the pipe that ends with this process
        self._stopping = False

    def start(self, run: "RunningServer") -> None:
        """Begin with the console on the screen."""
        notices, to_notices = os.pipe()
        ends, self._alive = os.pipe()
        self._stderr = os.dup(_STDERR)
        os.dup2(to_notices, _STDERR)
        self._endpoint.start(run)
        # A key that is pressed before the console has the terminal is for the server: the console blocks its signals.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(self._endpoint.path), str(notices), str(ends)],
                stdout=self._stdout,
                stderr=self._stderr,
                pass_fds=(notices, ends),
            )
        except OSError as error:
            self.failed = True
            self._take_back_stderr()
            write_notice(f"the console cannot be started: {reason_of(error)}")
            run.loop.call_soon(run.stop)
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for fd in (notices, to_notices, ends):
                os.close(fd)
        threading.Thread(target=self._wait, args=(run,), name="console", daemon=True).start()

    def _wait(self, run: "RunningServer") -> None:
        """Wait for the end of the console, on a thread."""
        assert self._process is not None  # noqa: S101 -- it was started
        status = self._process.wait()
        with suppress(RuntimeError):  # the loop has ended before it
            run.loop.call_soon_threadsafe(self._ended, run, status)

    def _ended(self, run: "RunningServer", status: int) -> None:
        """End the server with the console: in order, as SIGTERM does."""
        self._take_back_stderr()
        if self._stopping:
            return
        if status:
            self._restore_terminal()
            self.failed = True
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            write_notice(f"the console {how}, and the server ends with it")
        run.drain(run.settings.drain)

    def _restore_terminal(self) -> None:
        with suppress(OSError, termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, self._modes)
            os.write(self._stdout, _RESTORE)

    def _take_back_stderr(self) -> None:
        if self._stderr >= 0:
            os.dup2(self._stderr, _STDERR)
            os.close(self._stderr)
            self._stderr = -1

    async def stop(self) -> None:
        """End the console and, once the terminal is given back, the control sockets."""
        self._stopping = True
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1
        if self._process is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._await_end, self._process)
        self._take_back_stderr()
        await self._endpoint.stop()

    def _await_end(self, process: "subprocess.Popen[Any]") -> None:
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._restore_terminal()
