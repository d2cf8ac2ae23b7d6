"""The live display of ``portside watch``: the kernel's socket table on a terminal, refreshed regularly.

1. Polling and comparing run on a separate thread (``poller``), so that a key never waits for the kernel.
2. A view holds columns; text is made only for visible rows (``socket_table``).
3. The terminal keeps its own colours and background; all text is escaped before it reaches the terminal.
"""

import asyncio
import signal
from typing import ClassVar

from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from portside.app.cell_text import owners_text
from portside.app.sort_order import Sort, parse_sort
from portside.app.watch_columns import live_columns
from portside.app.watch_filter import filter_text, wrong_filter
from portside.errors import PortsideError
from portside.kernel.filter import FilterError
from portside.kernel.filter.tree import Filter
from portside.kernel.table import SocketTable
from portside.settings.watch import Watch
from portside.tui.cells import remote_text, safe
from portside.tui.details import all_findings_lines
from portside.tui.driver import StandardOutput, end_if_hung_up, resume_only_what_was_stopped
from portside.tui.filter_entry import FilterEntry
from portside.tui.filter_state import FilterState
from portside.tui.heading import HeadingClicked
from portside.tui.pages import Confirm, Page
from portside.tui.poll_loop import PollLoop
from portside.tui.poller import Poller
from portside.tui.row_order import RowSorter
from portside.tui.screens import HELP, Details
from portside.tui.snapshot_diff import SocketRow, ViewState
from portside.tui.socket_table import SocketTableView
from portside.tui.status_lines import StatusLines, no_sockets_text
from portside.tui.worker import Worker


def run(settings: Watch) -> int:
    """Show the sockets until the user quits; the exit status.

    Raises UsageError for a filter or column that is none, and PortsideError where the first poll fails: both before
    the screen changes.
    """
    sort = parse_sort(settings.sort, live=True) if settings.sort else Sort()
    try:
        poller = Poller(settings, sort)
    except FilterError as error:
        raise wrong_filter(error) from None
    try:
        first = poller.poll()
        app = WatchApp(settings, poller, first, sort)
        app.run()
        if app.failure is not None:
            raise app.failure
        return app.return_code or 0
    finally:
        poller.close()


class WatchApp(App[int]):
    """The display: connects its parts, and owns the poller until the display ends.

    The class has more than 12 attributes, one for each part, and more than 20 methods, because each key has one.
    """

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = """
    Screen { background: ansi_default; }
    #head { height: 1; text-style: bold; }
    #filter, #notes { height: 1; }
    #notes { color: ansi_yellow; }
    #findings { height: auto; background: ansi_default; }
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
        Binding("f", "findings"),
        Binding("r", "reverse"),
        Binding("less_than_sign", "sort_by(-1)"),
        Binding("greater_than_sign", "sort_by(1)"),
        *(Binding(str(number), f"sort_column({number})") for number in range(1, 10)),
    ]

    def __init__(self, settings: Watch, poller: Poller, first: ViewState, sort: Sort) -> None:
        super().__init__(StandardOutput, ansi_color=True)
        self.theme = "ansi-dark"
        self._settings = settings
        self._poller = poller
        self._view = first
        self._sort = sort
        self._sorter = RowSorter()
        self._sockets = SocketTableView(live_columns(settings), marked=settings.wide)
        self._status = StatusLines()
        self._polling = PollLoop(settings.interval)
        self._worker = Worker(self._failed)
        self._filter = FilterState(filter_text(settings), poller.parse_filter, self._apply_filter)
        self._entry = FilterEntry(self._filter, self._worker, self._show_message, self._put_status)
        self.failure: BaseException | None = None

    def compose(self) -> ComposeResult:
        """From top to bottom: counts, filter, notes, the table, findings, what is typed, keys."""
        yield self._status.head
        yield self._status.filter
        yield self._status.notes
        yield self._sockets
        yield self._status.findings
        yield self._entry.bar
        yield self._status.foot

    def on_mount(self) -> None:
        """Begin to poll."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end)
        resume_only_what_was_stopped()
        self._sockets.focus()
        self._put()
        self._worker.start(self._polling.run(self._poll, self._polled))

    def _end(self) -> None:
        end_if_hung_up()
        self.exit(0)

    async def on_unmount(self) -> None:
        """Let the last poll end before what it uses is given back."""
        self._worker.shutdown()

    def on_resize(self, _: events.Resize) -> None:
        """Fit the lines around the table into the new width."""
        self._put_status()

    def _failed(self, error: BaseException) -> None:
        """End, and have ``run`` raise the error.

        Once the display ends, what is on the screen goes away: that nothing can be put there any more is no failure.
        """
        if self.return_code is None:
            self.failure = error
            self.exit(return_code=1)

    # Polling.

    async def _poll(self) -> None:
        try:
            self._view = await self._worker.run(self._poller.poll)
            self._status.error = ""
            await self._poll_details()
        except PortsideError as error:
            self._status.error = str(error)

    def _polled(self) -> None:
        end_if_hung_up()
        self._put()

    async def _poll_details(self) -> None:
        """Bring what is shown of one socket up to date."""
        details = self.screen
        if not isinstance(details, Details):
            return
        table = self._view.only(details.key)
        socket = None
        age_s = self._view.age_of(details.key)
        if table is not None:
            try:
                socket = await self._worker.run(lambda: self._poller.poll_details(details.key, table))
            except PortsideError as error:
                self._status.error = str(error)
                return
        if details.is_current:
            details.update_socket(socket, age_s, self._view.findings.of(details.key))

    # What is on the screen.

    def _put(self) -> None:
        order = self._sorter.order(self._view, self._sort)
        self._sockets.empty = no_sockets_text(self._settings, self._filter.text)
        self._sockets.show(self._view, order, self._sort)
        self._put_status()

    def _put_status(self) -> None:
        self._status.update(self._view, self._polling, self._filter.text, self.size, typing=self._entry.bar.is_open)

    def _show_message(self, text: str) -> None:
        """Show a message in the line of the notes until the next key."""
        self._status.message = text
        self._put_status()

    # Keys.

    def action_escape(self) -> None:
        """Take back what is typed, or select nothing."""
        if self._entry.bar.is_open:
            self._entry.cancel()
        else:
            self._show_message("")
            self._sockets.unselect()

    def action_pause(self) -> None:
        """Stop polling, or go on; the word PAUSED comes after the poll that is in progress."""
        self._polling.toggle_pause()
        self._put_status()

    def action_help(self) -> None:
        """Show the keys, and the notes in full."""
        notes = "".join(f"\n{safe(note)}" for note in self._view.notes)
        self.push_screen(Page("portside watch", HELP + notes))

    def action_findings(self) -> None:
        """Show what is wrong, in full."""
        if not self._settings.wide:
            self._show_message("what is wrong is looked for with --wide")
            return
        lines = all_findings_lines(self._view.findings.findings, self.size.width - 2)
        self.push_screen(Page("what is wrong", "\n".join(lines) or "Nothing was found so far."))

    def action_details(self) -> None:
        """Show everything about the socket that is selected."""
        if (row := self._selected_row()) is not None:
            findings = self._view.findings.of(row.key)
            self.push_screen(Details(row.key, row.socket, row.age_s, findings), lambda _: self._stop_details())
            self._worker.start(self._poll_details())

    def _stop_details(self) -> None:
        self._worker.submit(self._poller.stop_details)

    def _selected_row(self) -> SocketRow | None:
        """The row that is selected; where there is none, a message tells how to select one."""
        row = self._sockets.selected_row
        if row is None:
            self._show_message("select a socket first, with the arrow keys")
        return row

    def action_filter(self) -> None:
        """Type a filter."""
        self._entry.open()
        self._put_status()

    async def on_event(self, event: events.Event) -> None:
        """Give keys to the filter while it is typed; everything else goes its usual way."""
        typing = self._entry.bar.is_open and len(self.screen_stack) == 1
        if not (typing and self._entry.handle(event)):
            await super().on_event(event)

    async def _apply_filter(self, tree: Filter | None) -> None:
        await self._worker.run(lambda: self._poller.set_filter(tree))
        self._sockets.refit()
        self._polling.wake()

    # The order.

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._sort_by(Sort(self._sort.column, not self._sort.reverse))

    def action_sort_by(self, step: int) -> None:
        """Sort by the next column, or the one before."""
        names = [column.name for column in self._sockets.columns]
        current = self._sort.shown_by
        at = names.index(current) + step if current in names else 0
        self._sort_by(Sort(names[at % len(names)]))

    def action_sort_column(self, number: int) -> None:
        """Sort by the first column, the second …; by the same once more: the other way."""
        if number <= len(self._sockets.columns):
            self._sort_on(self._sockets.columns[number - 1].name)

    @on(SocketTableView.Selected)
    def _selection_moved(self) -> None:
        if self._status.message:
            self._show_message("")

    @on(HeadingClicked)
    def _heading_clicked(self, message: HeadingClicked) -> None:
        self._sort_on(message.column)

    def _sort_on(self, column: str) -> None:
        self._sort_by(Sort(column, self._sort.column == column and not self._sort.reverse))

    def _sort_by(self, sort: Sort) -> None:
        self._sort = sort
        self._put()

    # Destroying.

    def action_kill(self) -> None:
        """Destroy the socket that is selected, when the user says yes."""
        row = self._selected_row()
        if row is None:
            return
        table = self._view.only(row.key)
        if table is None:
            self._show_message("it is gone already")
            return
        if self._view.source != "netlink":
            self._show_message(f"sockets can be destroyed by netlink alone, and these come from {self._view.source}")
            return
        socket = row.socket
        what = f"{safe(socket.local)} - {remote_text(socket)}"
        owners = owners_text(socket.owners or ())
        question = f"Destroy this socket?\n\n{what}\n{socket.state}  {owners}\n\ny yes   n no"

        def answered(answer: bool | None) -> None:  # noqa: FBT001 - as Textual calls it
            if answer:
                self._worker.start(self._kill(table, what))

        self.push_screen(Confirm(question), answered)

    async def _kill(self, table: SocketTable, what: str) -> None:
        try:
            destroyed = await self._worker.run(lambda: self._poller.destroy(table))
            self._status.message = f"destroyed {what}" if destroyed else f"{what} was gone already"
        except PortsideError as error:
            self._status.message = f"{error}" + (f" ({error.hint})" if error.hint else "")
        self._polling.wake()
