"""The console on a terminal: it polls the server for the screen that is shown, and gives keys to what is typed."""

import asyncio
import signal
from collections.abc import Mapping
from typing import Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType

from portside.control.client.finder import ApiClient, Find
from portside.control.client.http_client import ApiError, Unreachable
from portside.errors import PortsideError
from portside.tui.console.connection_list import ConnectionList
from portside.tui.console.fleet_screen import FleetScreen
from portside.tui.console.help_text import FLEET_HELP, HELP
from portside.tui.console.link import THREADS, ServerLink
from portside.tui.console.screen import ConsoleScreen
from portside.tui.console.session import MOST_NOTICES, ConsoleSession
from portside.tui.driver import StandardOutput, end_if_hung_up, resume_only_what_was_stopped
from portside.tui.pages import Confirm, Page
from portside.tui.poll_loop import PollLoop
from portside.tui.worker import Worker
from portside.units import counted

INTERVAL_S = 0.5
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ConsoleApp(App[int]):
    """The console of one server, given by how it is found, its API, and what it has said of itself.

    ``ends_server``: the server runs for this console alone and ends with it.
    """

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave"),
        Binding("question_mark", "help"),
    ]

    def __init__(
        self,
        find: Find,
        client: ApiClient,
        info: Mapping[str, Any],
        *,
        ends_server: bool = False,
        interval_s: float = INTERVAL_S,
    ) -> None:
        super().__init__(StandardOutput, ansi_color=True)
        self.theme = "ansi-dark"
        self._polling = PollLoop(interval_s)
        self._worker = Worker(self._failed, THREADS)
        link = ServerLink(find, client, info, self._worker)
        self.session = ConsoleSession(link, self._worker, self._polling.wake, ends_server=ends_server)
        self.failure: BaseException | None = None

    def on_mount(self) -> None:
        """Show the connections, of the server or of the fleet, and begin to poll."""
        loop = asyncio.get_running_loop()
        for number in END_SIGNALS:
            loop.add_signal_handler(number, self._end)
        resume_only_what_was_stopped()
        self.push_screen((FleetScreen if self.session.link.is_fleet else ConnectionList)(self.session))
        self._worker.start(self._polling.run(self._poll, self._put))

    def _end(self) -> None:
        end_if_hung_up()
        self.exit(0)

    async def on_unmount(self) -> None:
        """Wait for no answer any more."""
        self._worker.shutdown(wait=False)

    def _failed(self, error: BaseException) -> None:
        """End, and have ``run`` raise the error; what cannot be shown any more while the console ends is no failure."""
        if self.return_code is None:
            self.failure = error
            self.exit(return_code=1)

    # Polling.

    @property
    def console_screen(self) -> ConsoleScreen | None:
        """The screen that is shown, under a page or a question."""
        return next((each for each in reversed(self.screen_stack) if isinstance(each, ConsoleScreen)), None)

    async def _poll(self) -> None:
        session, screen = self.session, self.console_screen
        try:
            await session.link.look()
            session.rates.add(session.link.info)
            session.findings.ask(shown=False)
        except PortsideError as error:  # a token of the run before is one too
            session.link.lost(error)
            return
        if screen is None or not screen.is_attached:
            return
        try:
            await screen.poll()
        except ApiError as error:
            screen.problem = error.why
        except Unreachable as error:
            session.link.lost(error)

    def _put(self) -> None:
        end_if_hung_up()
        screen = self.console_screen
        if screen is not None and screen.is_attached:
            screen.put()

    def show_notices(self, lines: list[str]) -> None:
        """Show what the server has written to standard error: text that is safe to show."""
        self.session.notices += lines
        del self.session.notices[:-MOST_NOTICES]
        screen = self.console_screen
        if lines and screen is not None and screen.is_attached:
            screen.say(lines[-1])

    # Keys.

    async def on_event(self, event: events.Event) -> None:
        """Give keys to the line that is typed, and do what other keys mean; everything else goes its usual way.

        Textual would hand a key to a widget, whose turn comes later: of keys that come at once, as over a slow link,
        the next would not know yet that the one before has opened a line.
        """
        top = self.screen_stack[-1] if self.screen_stack else None  # there is none any more when it ends
        typing = top.typing if isinstance(top, ConsoleScreen) else None
        if typing is not None and typing.handle(event):
            return
        if not isinstance(event, events.Key) or top is None:
            await super().on_event(event)
        elif event.key in ("ctrl+c", "ctrl+q"):
            self.action_leave()
        elif event.key == "ctrl+z":
            self.action_stop()
        elif (found := top.active_bindings.get(event.key)) is not None:
            if isinstance(top, ConsoleScreen):
                top.message = ""  # it was about the key before
            await self.run_action(found.binding.action, found.node)

    def action_help(self) -> None:
        """Show the keys."""
        is_fleet = self.session.link.is_fleet
        self.push_screen(Page("portside fleet console", FLEET_HELP) if is_fleet else Page("portside console", HELP))

    def action_stop(self) -> None:
        """Stop, as Ctrl-Z does; not where the server would stop too."""
        if not self.session.ends_server:
            self.action_suspend_process()
        elif (screen := self.console_screen) is not None:
            screen.say("the server runs in this terminal too: it cannot be stopped and go on")

    def action_leave(self) -> None:
        """Quit; where the server ends too, when the user says yes."""
        if not self.session.ends_server:
            self.exit(0)
        elif not isinstance(self.screen, Confirm):
            clients = counted(self.session.link.info["counts"]["open"], "client")
            question = f"End the server too? {clients} connected.\n\ny yes   n no"
            self.push_screen(Confirm(question), lambda yes: self.exit(0) if yes else None)
