"""A terminal for programs under test: tmux, whose screen can be read and whose keys can be pressed."""

import contextlib
import os
import subprocess
from pathlib import Path

from support import DEADLINE_S, wait_until


class Terminal:
    """A tmux with a shell command in it; its size is given in columns and rows."""

    def __init__(self, socket: Path, command: str, size: tuple[int, int], env: dict[str, str] | None = None) -> None:
        self._tmux = ("tmux", "-S", str(socket), "-f", "/dev/null")
        new = ("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]))
        self.run(*new, "bash", "-c", command, env=env)

    def run(self, *words: str, env: dict[str, str] | None = None) -> str:
        """What a command of tmux prints."""
        environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TMUX")}
        done = subprocess.run(
            [*self._tmux, *words], capture_output=True, text=True, check=True, timeout=30, env=environment | (env or {})
        )
        return done.stdout

    @property
    def text(self) -> str:
        """What is on the screen."""
        return self.run("capture-pane", "-p")

    @property
    def styled(self) -> str:
        """The screen with its colours."""
        return self.run("capture-pane", "-p", "-e")

    @property
    def lines(self) -> list[str]:
        """All that was ever written, with lines that take several rows put together, without empty ones at the end."""
        return self.run("capture-pane", "-p", "-J", "-S", "-").rstrip("\n ").split("\n")

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self.run("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type text."""
        self.run("send-keys", "-l", text)

    def wait(self, *shown: str, deadline_s: float = DEADLINE_S) -> str:
        """The screen, once all of these are on it."""

        def there() -> str:
            screen = self.text
            return screen if all(each in screen for each in shown) else ""

        try:
            return str(wait_until(there, f"{shown}", deadline_s))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None

    def pid(self) -> int:
        """The process that the shell command has started."""
        return int(Path(f"/proc/{self.shell}/task/{self.shell}/children").read_text().split()[0])

    @property
    def shell(self) -> int:
        """The process of the shell command."""
        return int(self.run("display-message", "-p", "#{pane_pid}"))

    def end(self) -> None:
        """End it all, as closing the window does."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.run("kill-server")
