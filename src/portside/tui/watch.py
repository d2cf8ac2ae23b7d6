"""The live display of ``portside watch``: the kernel's table on a terminal, again and again.

1. Looking and comparing run in one thread beside the display (``poller``), so that a key never waits for the kernel.
2. A view holds columns; text is made only for the rows that can be seen (``sockets``).
3. The terminal keeps its own colours and background, and nothing reaches it that was not made visible first.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from portside.app.watch import filter_text, wrong_filter
from portside.errors import PortsideError
from portside.kernel import FilterError
from portside.kernel.filter.tree import Filter
from portside.settings.watch import Watch
from portside.tui.columns import columns_of, owners_text, remote_text, safe
from portside.tui.driver import StandardOutput, end_if_hung_up, resume_only_what_was_stopped
from portside.tui.filter_bar import FilterBar
from portside.tui.filter_state import FilterState
from portside.tui.order import Sort, Sorter, parse_sort
from portside.tui.poller import Poller
from portside.tui.screens import HELP, Confirm, Details, Page
from portside.tui.snapshot_diff import ViewState
from portside.tui.socket_table import Sockets
from portside.tui.widths import cut
from portside.tui.worker import Worker
from portside.units import format_duration

_KEYS = "Enter details  / filter  < > sort  r reverse  space pause  k kill  ? help  q quit"
_TYPING_S = 0.15
_LONGEST_S = 10 * 365 * 86400.0  # an interval for ever: more the clocks do not bear


def run(settings: Watch) -> int:
    """Show the sockets until the user has seen enough; the exit status.

    Raises UsageError for a filter or column that is none, and PortsideError where the first look fails: both before
    the screen changes.
    """
    sort = parse_sort(settings.sort) if settings.sort else Sort()
    try:
        poller = Poller(settings, sort)
    except FilterError as error:
        raise wrong_filter(error) from None
    try:
        first = poller.look()
        app = WatchApp(settings, poller, first, sort)
        app.run()
        if app.failure is not None:
            raise app.failure
        return app.return_code or 0
    finally:
        poller.close()


class WatchApp(App[int]):
    """The display. It owns the poller until it ends."""

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = """
    Screen { background: ansi_default; }
    #head { height: 1; text-style: bold; }
    #filter, #notes { height: 1; }
    #notes { color: ansi_yellow; }
    #foot { height: 1; text-style: dim; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "quit", "quit", priority=True),
        Binding("q", "quit", "quit"),
        Binding("ctrl+z", "suspend_process", "stop", priority=True),
        Binding("escape", "escape"),
        Binding("enter", "details"),
        Binding("k", "kill"),
        Binding("slash", "filter"),
        Binding("space", "pause"),
        Binding("question_mark", "help"),
        Binding("r", "reverse"),
        Binding("less_than_sign", "sort_by(-1)"),
        Binding("greater_than_sign", "sort_by(1)"),
        *(Binding(str(number), f"sort_column({number})") for number in range(1, 10)),
    ]

    def __init__(self, settings: Watch, poller: Poller, first: ViewState, sort: Sort) -> None:
        super().__init__(StandardOutput, ansi_color=True)
        self.theme = "ansi-dark"
        self._settings = settings
        self._interval = min(settings.interval, _LONGEST_S)
        self._poller = poller
        self._view = first
        self._sort = sort
        self._sorter = Sorter()
        self._columns = columns_of(settings)
        self._worker = Worker(self._failed)
        self._filter = FilterState(filter_text(settings), self._look_through)
        self._filter_before = self._filter.text
        self._takes_keys = self._paused = self._looking = False
        self._message = self._trouble = ""
        self._wake = asyncio.Event()
        self._typing: asyncio.Task[None] | None = None
        self.failure: BaseException | None = None

    def compose(self) -> ComposeResult:
        """From top to bottom: counts, filter, notes, the table, what is typed, keys."""
        yield Static(id="head")
        yield Static(id="filter")
        yield Static(id="notes")
        yield Sockets(self._columns)
        yield FilterBar()
        yield Static(id="foot")

    def on_mount(self) -> None:
        """Begin to look."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end)
        resume_only_what_was_stopped()
        self._sockets.focus()
        self._takes_keys = True
        self._put()
        self._worker.start(self._watch())

    def _end(self) -> None:
        end_if_hung_up()
        self.exit(0)

    async def on_unmount(self) -> None:
        """Let the last look end before what it uses is given back."""
        self._worker.end()

    def on_resize(self, _: events.Resize) -> None:
        """Another width has room for other words."""
        self._put_words()

    @property
    def _sockets(self) -> Sockets:
        return self.screen_stack[0].query_one(Sockets)

    @property
    def _bar(self) -> FilterBar:
        return self.screen_stack[0].query_one(FilterBar)

    def _failed(self, error: BaseException) -> None:
        """End, and have `run` raise it.

        Once the display ends, what is on the screen goes away: that nothing can be put there any more is no failure.
        """
        if self.return_code is None:
            self.failure = error
            self.exit(return_code=1)

    async def _watch(self) -> None:
        """Look once in an interval, or when something wants it; after a long look, wait at least as long."""
        took_s = 0.0
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), max(self._interval - took_s, took_s, 0.02))
            except TimeoutError:
                if self._paused:
                    took_s = 0.0
                    continue
            self._wake.clear()
            self._looking = True
            began = time.monotonic()
            try:
                self._view = await self._worker.do(self._poller.look)
                self._trouble = ""
                await self._look_closer()
            except PortsideError as error:
                self._trouble = str(error)
            took_s = time.monotonic() - began
            self._looking = False
            end_if_hung_up()
            self._put()

    async def _look_closer(self) -> None:
        """Bring what is shown of one socket up to date."""
        details = self.screen
        if not isinstance(details, Details):
            return
        table = self._view.only(details.key)
        socket = None
        age_s = self._view.age_of(details.key)
        if table is not None:
            try:
                socket = await self._worker.do(lambda: self._poller.look_at(details.key, table))
            except PortsideError as error:
                self._trouble = str(error)
                return
        if details.is_current:
            details.tell(socket, age_s)

    def _put(self) -> None:
        order = self._sorter.order(self._view, self._sort)
        sockets = self._sockets
        sockets.empty = f"no socket matches  {safe(self._filter.text)}" if self._filter.text else self._nothing()
        sockets.show(self._view, order, self._sort)
        self._put_words()

    def _nothing(self) -> str:
        what = "sockets" if self._settings.all else "listeners" if self._settings.listening else "connections"
        return f"there are no {what} here now"

    def _put_words(self) -> None:
        """The lines around the table."""
        width = self.size.width
        view = self._view
        counts = "  ".join(f"{state} {count:,}" for state, count in view.counts().items())
        total = len(view.live.keys)
        every = format_duration(self._interval).replace(".000s", "s").lstrip()
        stands_still = self._paused and not self._looking
        right = f"  PAUSED  {view.source}" if stands_still else f"  {view.source}, every {every}"
        left = f"{total:,} socket{'s' if total != 1 else ''}  {counts}"
        self._line("head", cut(left, max(0, width - len(right))) + right)
        applied = self._filter.text
        self._line("filter", f"filter: {safe(applied)}" if applied and not self._bar.is_open else "")
        self._line("notes", safe(self._message or self._trouble or " · ".join(view.notes)))
        self._line("foot", "Enter keep  Escape take back" if self._bar.is_open else _KEYS)

    def _line(self, name: str, words: str) -> None:
        """Write a line around the table; an empty one is not there."""
        widget = self.screen_stack[0].query_one(f"#{name}", Static)
        widget.display = bool(words)
        if words:
            widget.update(Text(cut(words, self.size.width).rstrip(), no_wrap=True))

    def action_escape(self) -> None:
        """Take back what is typed, or select nothing."""
        if self._bar.is_open:
            self._close_bar()
            self._choose(self._filter_before)
        else:
            self._say("")
            self._sockets.unselect()

    def action_pause(self) -> None:
        """Stop looking, or go on; what a look under way shows comes before the word that nothing does."""
        self._paused = not self._paused
        if not self._paused:
            self._wake.set()
        self._put_words()

    def action_help(self) -> None:
        """Tell the keys, and the notes in full."""
        notes = "".join(f"\n{safe(note)}" for note in self._view.notes)
        self.push_screen(Page("portside watch", HELP + notes))

    def action_details(self) -> None:
        """Everything about the socket that is selected."""
        line = self._sockets.selected_line
        if line is None:
            self._say("select a socket first, with the arrow keys")
            return
        self.push_screen(Details(line.key, line.socket, line.age_s), lambda _: self._stop_details())
        self._worker.start(self._look_closer())

    def _stop_details(self) -> None:
        self._worker.do_some_time(self._poller.stop_details)

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._sort_by(Sort(self._sort.column, not self._sort.reverse))

    def action_sort_by(self, step: int) -> None:
        """Sort by the next column, or the one before."""
        names = [column.sort for column in self._columns]
        current = "program" if self._sort.column == "pid" else self._sort.column
        at = names.index(current) + step if current in names else 0
        self._sort_by(Sort(names[at % len(names)]))

    def action_sort_column(self, number: int) -> None:
        """Sort by the first column, the second …; by the same once more: the other way."""
        if number <= len(self._columns):
            self._sort_on(self._columns[number - 1].sort)

    @on(Sockets.Selected)
    def _moved(self) -> None:
        if self._message:
            self._say("")

    @on(Sockets.SortBy)
    def _title_clicked(self, message: Sockets.SortBy) -> None:
        self._sort_on(message.column)

    def _sort_on(self, column: str) -> None:
        self._sort_by(Sort(column, self._sort.column == column and not self._sort.reverse))

    def _sort_by(self, sort: Sort) -> None:
        self._sort = sort
        self._put()

    def action_filter(self) -> None:
        """Type a filter."""
        self._filter_before = self._filter.text
        self._bar.open(self._filter_before)
        self._put_words()

    async def on_event(self, event: events.Event) -> None:
        """Give keys to the filter while it is typed; everything else goes its usual way."""
        typing = self._takes_keys and len(self.screen_stack) == 1 and self._bar.is_open
        if typing and isinstance(event, events.Key) and event.key not in ("ctrl+c", "ctrl+q", "ctrl+z"):
            self._type(event)
        elif typing and isinstance(event, events.Paste):
            self._bar.line.insert(event.text)
            self._typed()
        else:
            await super().on_event(event)

    def _type(self, event: events.Key) -> None:
        line = self._bar.line
        if event.key == "escape":
            self.action_escape()
        elif event.key == "enter":
            self._choose(line.text, closing=True)
        else:
            before = line.text
            if event.character is not None and event.is_printable:
                line.insert(event.character)
            else:
                line.press(event.key)
            if line.text != before:
                self._typed()
            self._bar.put()

    def _typed(self) -> None:
        self._bar.put()
        self._choose(self._bar.line.text, after_s=_TYPING_S)

    def _choose(self, text: str, *, after_s: float = 0.0, closing: bool = False) -> None:
        """Take another filter: the last one that is asked for counts."""
        if self._typing is not None:
            self._typing.cancel()
        self._typing = self._worker.start(self._choose_soon(text, after_s, closing=closing))

    async def _choose_soon(self, text: str, after_s: float, *, closing: bool) -> None:
        try:
            await self._filter.take(text, after_s)
        except FilterError as error:
            if self._bar.is_open:
                self._bar.explain(error)
            return
        except PortsideError as error:
            self._say(str(error))
            return
        self._bar.explain(None)
        if closing:
            self._close_bar()

    async def _look_through(self, tree: Filter | None) -> None:
        await self._worker.do(lambda: self._poller.choose(tree))
        self._sockets.refit()
        self._wake.set()

    def _close_bar(self) -> None:
        self._bar.close()
        self._put_words()

    def action_kill(self) -> None:
        """Destroy the socket that is selected, when the user says yes."""
        line = self._sockets.selected_line
        if line is None:
            self._say("select a socket first, with the arrow keys")
            return
        table = self._view.only(line.key)
        if table is None:
            self._say("it is gone already")
            return
        if self._view.source != "netlink":
            self._say(f"sockets can be destroyed by netlink alone, and these come from {self._view.source}")
            return
        socket = line.socket
        what = f"{safe(socket.local)} - {remote_text(socket)}"
        question = f"Destroy this socket?\n\n{what}\n{socket.state}  {owners_text(socket.owners)}\n\ny yes   n no"

        def answered(answer: bool | None) -> None:  # noqa: FBT001 - as Textual calls it
            if answer:
                self._worker.start(self._kill(lambda: self._poller.destroy(table), what))

        self.push_screen(Confirm(question), answered)

    async def _kill(self, work: Callable[[], int], what: str) -> None:
        try:
            self._message = f"destroyed {what}" if await self._worker.do(work) else f"{what} was gone already"
        except PortsideError as error:
            self._message = f"{error}" + (f" ({error.hint})" if error.hint else "")
        self._wake.set()

    def _say(self, words: str) -> None:
        """Say something in the line of the notes until the next key."""
        self._message = words
        self._put_words()
