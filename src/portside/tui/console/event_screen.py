"""What happens on the server, as ``listen`` would show it, and what the server has written to standard error."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from portside.control.client.events import event_of
from portside.feed.render import Renderer, make_renderer
from portside.tui.console.event_stream import EventReader
from portside.tui.console.line_log import LineLog
from portside.tui.console.screen import ConsoleScreen, Typing
from portside.tui.console.server_filter import ServerFilter
from portside.tui.console.session import ConsoleSession
from portside.tui.filter_entry import FilterEntry
from portside.tui.widths import cut
from portside.units import counted
from portside.wire.escaping import escape_text
from portside.wire.frame import Frame

_PAYLOAD = ("head", "none")
_PATH = "/api/v1/events"


class EventScreen(ConsoleScreen):
    """The events that a filter leaves, from those that the server holds on; payload can be left out."""

    KEYS = "Escape back  / filter  o payload  End follow  ? all keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,e", "app.pop_screen"),
        Binding("slash", "filter"),
        Binding("o", "payload"),
    ]
    DEFAULT_CSS = "EventScreen .about { height: 1; }"

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        self.log_view = LineLog()
        self.filter = ServerFilter(self._apply_filter)
        self.entry = FilterEntry(self.filter, session.worker, self.say, self.put)
        self._about = Static("", classes="about")
        self._payload = _PAYLOAD[0]
        self._seen = 0
        self._notices = 0
        self._run = session.link.run
        self._stream: EventReader | None = None
        self._renderers: dict[int | None, Renderer] = {}  # by the process, where there are several servers

    def body(self) -> Iterable[Widget]:
        yield self._about
        yield self.log_view
        yield self.entry.bar

    @property
    def typing(self) -> Typing | None:
        return self.entry if self.entry.is_open else None

    def on_mount(self) -> None:
        self.log_view.focus()
        super().on_mount()

    def on_unmount(self) -> None:
        """Read no more."""
        self._close()

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def poll(self) -> None:
        link = self.session.link
        if link.run != self._run:
            self._run, self._seen = link.run, 0
            self._close()
            self.log_view.add(["-- the server was started anew"])
        if self._stream is None or self._stream.ended:
            query: dict[str, str | int] = {"payload": self._payload, "after": self._seen}
            if self.filter.text:
                query["filter"] = self.filter.text
            self._stream = EventReader(link.client, query, self._came)

    def _came(self) -> None:
        """On the thread of the stream: show what has come, unless the console is ending."""
        try:
            self.app.call_later(self._show)
        except RuntimeError:
            return

    def _show(self) -> None:
        if self._stream is None or not self.is_attached:
            return
        items, skipped = self._stream.take()
        lines: list[str] = []
        if skipped:
            lines.append(f"-- {counted(skipped, 'event')} skipped")
        for item in items:
            self._seen = max(self._seen, item.get("seq", 0))
            if item.get("event") == "missed":
                lines.append(f"-- {counted(item['count'], 'event')} not held any more")
            else:
                lines += self.lines_of(item)
        self.log_view.add(lines)

    def lines_of(self, item: Mapping[str, Any]) -> list[str]:
        """An event as lines of text that is safe to show."""
        event = event_of(dict(item))
        return [] if event is None else self._rendered(self._renderer(item.get("server")).render([event]))

    def _renderer(self, server: int | None) -> Renderer:
        if server not in self._renderers:
            self._renderers[server] = make_renderer("text", frame=Frame("none"), server=server)
        return self._renderers[server]

    @staticmethod
    def _rendered(pieces: list[bytes]) -> list[str]:
        return b"".join(pieces).decode("utf-8", "replace").splitlines()

    def put(self) -> None:
        super().put()
        notices = self.session.notices[self._notices :]
        self._notices = len(self.session.notices)
        self.log_view.add([f"-- {line}" for line in notices])
        about = "events, payload " + ("up to 256 B" if self._payload == "head" else "left out")
        if self.filter.text and not self.entry.is_open:
            about += f"  filter: {escape_text(self.filter.text)}"
        about += "" if self.log_view.follows else "  STAY (End follows)"
        self._about.update(Text(cut(about, self.app.size.width).rstrip(), no_wrap=True))

    def action_filter(self) -> None:
        """Type a filter."""
        self.entry.open()
        self.put()

    async def _apply_filter(self, text: str) -> None:
        query: dict[str, str | int] = {"payload": "none", "follow": "false", "filter": text}
        probe = self.session.link.client.lines(_PATH, query=query)
        await self.session.worker.run(lambda: deque(probe, maxlen=0))
        self._begin_anew()

    def action_payload(self) -> None:
        """Show payload, or leave it out."""
        self._payload = _PAYLOAD[(_PAYLOAD.index(self._payload) + 1) % len(_PAYLOAD)]
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._close()
        self._seen = 0
        self._renderers.clear()
        self.log_view.clear()
        self.session.wake()
