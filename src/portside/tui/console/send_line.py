"""The line in which the user types what is sent to a client: text with escapes, or hexadecimal digits."""

from collections.abc import Awaitable, Callable

from textual import events

from portside.control.client.http_client import ApiError, Unreachable
from portside.errors import InvalidValue
from portside.tui.console.acts import As
from portside.tui.console.prompt import Prompt
from portside.tui.worker import Worker

_MOST_KEPT = 100


class SendLine(Prompt):
    """The line stays open for the next one; up and down bring back what was sent, Tab changes what it stands for."""

    def __init__(self, worker: Worker, changed: Callable[[], None], send: Callable[[bytes], Awaitable[None]]) -> None:
        super().__init__(worker, changed)
        self._send = send
        self._as = As.LINE
        self._sent: list[str] = []
        self._at = 0

    @property
    def keys(self) -> str:
        return "Enter send  Tab line/text/hex  Up Down what was sent  Escape done"

    def open_line(self) -> None:
        """Begin to type."""
        self.bar.prompt = f"send {self._as}> "
        self.bar.open()
        self._changed()

    def submit(self) -> None:
        """Send the line, and begin the next: what is typed meanwhile belongs to that one."""
        text = self.bar.line.text
        try:
            data = self._as.data(text)
        except InvalidValue as error:
            self.bar.explain(str(error))
            return
        if self._sent[-1:] != [text]:
            self._sent = [*self._sent, text][-_MOST_KEPT:]
        self._at = len(self._sent)
        self.bar.open()
        self._worker.start(self._send_data(data, text))

    async def _send_data(self, data: bytes, text: str) -> None:
        try:
            await self._send(data)
        except (ApiError, Unreachable, InvalidValue) as error:
            if not self.bar.line.text:
                self.bar.open(text)
            self.bar.explain(error.why if isinstance(error, ApiError | Unreachable) else str(error))

    def press(self, event: events.Key) -> None:
        if event.key == "tab":
            self._as = self._as.next()
            self.bar.prompt = f"send {self._as}> "
            self.bar.explain(None)
        elif event.key in ("up", "down"):
            self._recall(-1 if event.key == "up" else 1)
        else:
            super().press(event)

    def _recall(self, step: int) -> None:
        at = min(max(0, self._at + step), len(self._sent))
        if at != self._at:
            self._at = at
            self.bar.open(self._sent[at] if at < len(self._sent) else "")
