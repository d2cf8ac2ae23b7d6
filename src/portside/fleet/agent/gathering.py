"""The sources of an agent, each on a thread of its own, until the run ends."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final

import msgspec

from portside.app.watch_filter import wrong_filter
from portside.fleet.agent.connections import ConnectionOptions, ConnectionSource
from portside.fleet.agent.ending import StopSignal
from portside.fleet.agent.findings import FindingsSource
from portside.fleet.agent.machine import machine_number
from portside.fleet.agent.node import NodeStatusSource
from portside.fleet.agent.open_connections import OpenSnapshots
from portside.fleet.agent.servers import ServerEvents
from portside.fleet.agent.tally import Outlet
from portside.json_text import encode_json
from portside.kernel.filter import FilterError, parse
from portside.kernel.filter.tree import Filter
from portside.kernel.resolver import SystemResolver
from portside.settings.agent import Agent

_LAST_LOOK_S: Final = 5.0  # how long the sources may take to end


def check_filter(text: str) -> Filter:
    """The tree of a filter. Raises UsageError where it is none."""
    try:
        return parse(text, SystemResolver(None))
    except FilterError as error:
        raise wrong_filter(error, "agent") from None


class Gathering:
    """The sources of an agent. ``start`` begins; ``stop`` ends it in order, with the last records.

    ``on_failure`` is called, on the thread of a source, where one has failed in a way that nobody has thought of; the
    error is ``failure``. ``folder`` is that of the outbox, and ``positions`` are how far an earlier run has read its
    sources. Raises UsageError for a filter that is none, and BackendError where this machine has no table of sockets.
    """

    failure: Exception | None = None

    def __init__(
        self,
        settings: Agent,
        folder: str,
        outlet: Outlet,
        positions: Mapping[str, int],
        on_failure: Callable[[], object],
    ) -> None:
        self._on_failure = on_failure
        self._stack = ExitStack()
        outlet = outlet._replace(add=outlet.tally.counting(outlet.add))
        size_of = _size_as_json if settings.json_payload else _size
        tree = check_filter(settings.filter)
        self._ending = StopSignal()
        self._stack.callback(self._ending.close)
        options = ConnectionOptions(
            settings.filter, settings.opened, settings.changed, settings.rate, settings.interval
        )
        try:
            self._node = NodeStatusSource(outlet, machine_number(folder))
            connections = ConnectionSource(options, outlet, OpenSnapshots(size_of), self._stack)
            findings = FindingsSource(tree, connections.closed, outlet, size_of)
            servers = ServerEvents(outlet, positions, payload=settings.payload, rate=settings.rate)
        except BaseException:
            self._stack.close()
            raise
        self._threads = [
            threading.Thread(target=self._watched, args=(source.run,), name=name, daemon=True)
            for name, source in (
                ("connections", connections),
                ("findings", findings),
                ("servers", servers),
                ("node", self._node),
            )
        ]

    def start(self) -> None:
        """Begin to gather."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take the last looks, for some seconds at most, and hand over the last record of the node."""
        self._ending.set()
        for thread in self._threads:
            thread.join(_LAST_LOOK_S)
        self._node.report(last=True)
        if not any(thread.is_alive() for thread in self._threads):
            self._stack.close()

    def _watched(self, run: Callable[[StopSignal], None]) -> None:
        try:
            run(self._ending)
        except Exception as error:  # noqa: BLE001 -- the run ends with it
            self.failure = error
            self._on_failure()


def _size(value: object) -> int:
    return len(_pack(value))


def _size_as_json(value: object) -> int:
    return len(encode_json(value))


_pack = msgspec.msgpack.Encoder().encode
