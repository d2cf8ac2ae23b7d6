"""``fleet events``: what happened to the connections of a fleet, and on its servers."""

import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from portside.app.notices import write_notice
from portside.app.stdout import terminal_width, write_lines
from portside.fleet.broker import BrokerConnection
from portside.fleet.query.event_text import clock, connection_lines, header, server_lines
from portside.fleet.query.filter import FilteredSocket, SocketFilter
from portside.fleet.query.run import ReaderGoneError, run, say_left_out
from portside.fleet.query.state import NodeName
from portside.fleet.query.stream import JetStreamReader, StoredMessage, Which
from portside.fleet.query.text import write_json
from portside.fleet.schema import ConnectionEvent, Kind, ServerEvent
from portside.settings.fleet import FleetEvents

KINDS: tuple[Kind, ...] = ("closed", "opened", "changed", "server")


class EventOfNode:
    """An event and where it happened."""

    __slots__ = ("at", "event", "name")

    def __init__(self, name: NodeName, event: ConnectionEvent | ServerEvent) -> None:
        self.name = name
        self.event = event
        self.at = event.at if isinstance(event, ConnectionEvent) else str(event.event.get("at", ""))

    @property
    def row(self) -> FilteredSocket:
        """The socket that a filter looks at: an event of a server has none of the kernel."""
        if isinstance(self.event, ServerEvent):
            return FilteredSocket(self.name, None)
        return FilteredSocket(self.name, self.event.socket, self.event.duration)

    def json(self) -> dict[str, Any]:
        """The event as JSON: where it happened, then its own fields."""
        where: dict[str, Any] = {"site": self.name.site, "node": self.name.node}
        if isinstance(self.event, ServerEvent):
            where["server"] = self.event.pid
            fields: dict[str, Any] = self.event.event
        else:
            fields = msgspec.to_builtins(self.event)
        return {**where, **{key: value for key, value in fields.items() if key not in where}}


def run_events(settings: FleetEvents) -> int:
    """Show the events; the exit status."""
    chosen = SocketFilter(" ".join(settings.filter), "fleet events")

    async def work(broker: BrokerConnection) -> None:
        reader = JetStreamReader(broker, settings.js_domain)
        output = _Output(settings)
        which = Which(KINDS, settings.site, settings.node)
        try:
            batches = reader.history(which, settings.since, follow=settings.follow)
            async with aclosing(batches):
                async for batch in batches:
                    output.write(list(_events(batch.messages, chosen)))
            output.end()
        finally:
            say_left_out(reader)

    return run(settings, work, name="fleet events", is_lasting=settings.follow)


def _events(messages: list[StoredMessage], chosen: SocketFilter) -> Iterator[EventOfNode]:
    """The events that match, in the order of their times."""
    found = []
    for message, _ in messages:
        name = NodeName(message.site, message.node)
        for record in message.records:
            event = EventOfNode(name, record)
            if chosen.is_empty or chosen.matches(event.row):
                found.append(event)
    found.sort(key=lambda event: event.at)
    yield from found


class _Output:
    """Events on standard output; in text a line says when a day begins that is not today."""

    def __init__(self, settings: FleetEvents) -> None:
        self._json = settings.json
        self._day = time.strftime("%Y-%m-%d")
        self._is_begun = False
        self._follow = settings.follow
        if self._follow and not self._json:
            self._begin()

    def _begin(self) -> None:
        if not self._is_begun:
            self._is_begun = True
            if not write_lines([header(terminal_width())]):
                raise ReaderGoneError

    def write(self, events: list[EventOfNode]) -> None:
        """Write events. Raises ReaderGoneError."""
        if not events:
            return
        if self._json:
            write_json(event.json() for event in events)
            self._is_begun = True
            return
        self._begin()
        if not write_lines(self._lines(events, terminal_width())):
            raise ReaderGoneError

    def _lines(self, events: list[EventOfNode], width: int | None) -> Iterator[str]:
        for each in events:
            day, _ = clock(each.at)
            if day and day != self._day:
                self._day = day
                yield f"-- {day}"
            if isinstance(each.event, ConnectionEvent):
                yield from connection_lines(each.name, each.event, width)
            else:
                yield from server_lines(each.name, each.event, width)

    def end(self) -> None:
        """Say so where nothing came."""
        if not self._is_begun and not self._follow:
            write_notice("no event within this time")
