"""The thread that keeps a fleet up to date from its stream, and goes on when its broker has gone and come back."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import aclosing, suppress
from typing import Final

import nats.errors

from portside.errors import PortsideError
from portside.fleet.broker import connect, failure, without_password
from portside.fleet.console.api import FleetApi
from portside.fleet.console.event_ring import FleetEvent
from portside.fleet.console.live import LiveFleet
from portside.fleet.query.run import until_one_ends
from portside.fleet.query.state import NodeName
from portside.fleet.query.stream import Batch, JetStreamReader, Which
from portside.fleet.schema import ConnectionEvent, Kind, ServerEvent
from portside.settings.broker import BrokerOptions

_STATE: Final[tuple[Kind, ...]] = ("node", "open", "findings", "summary")
_HISTORY: Final[tuple[Kind, ...]] = ("closed", "opened", "changed", "server")
_EVENTS_S: Final = 60.0  # events are shown from so long before the console began
_FIRST_S: Final = 60.0  # until the first state is there
_AGAIN_S: Final = 1.0
_END_S: Final = 5.0

logging.getLogger("portside").addHandler(logging.NullHandler())  # a console has the terminal for itself


class FleetFeed:
    """Connects, and feeds a fleet, or one site or node of it. As a context it gives the API of the fleet."""

    def __init__(self, options: BrokerOptions, site: str | None = None, node: str | None = None) -> None:
        self.fleet = LiveFleet([without_password(each) for each in options.nats])
        self._options = options
        self._site, self._node = site, node
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def __enter__(self) -> FleetApi:
        self.start()
        return FleetApi(self.fleet)

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin, and wait for the state of the fleet. Raises PortsideError where broker or stream are not there."""
        self._thread.start()
        try:
            self._ready.result(_FIRST_S)
        except FutureTimeout:
            self.close()
            raise PortsideError(self.fleet.name, f"the state of the fleet did not come within {_FIRST_S:g}s") from None

    def close(self) -> None:
        """End; once or again."""
        if self._loop is not None and self._ended is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._feed())
        except BaseException as error:  # noqa: BLE001 -- it is raised where the fleet is waited for, or shown
            if not self._ready.done():
                self._ready.set_exception(error)
            self.fleet.problem = str(error) or type(error).__name__

    async def _feed(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        broker = await connect(
            self._options, name="fleet console", is_lasting=True, on_disconnected=self._lost, on_reconnected=self._found
        )
        reader = JetStreamReader(broker, self._options.js_domain)
        self.fleet.now, self.fleet.unread = reader.clock.now, reader.left_out.sentences
        try:
            await until_one_ends(
                self._keep_on(reader, self._read_state),
                self._keep_on(reader, self._read_events),
                self._ended.wait(),
            )
        finally:
            await broker.close()

    async def _lost(self) -> None:
        self.fleet.problem = "the connection to the broker is lost"

    async def _found(self) -> None:
        self.fleet.problem = None

    async def _keep_on(self, reader: JetStreamReader, read: Callable[[JetStreamReader], Awaitable[None]]) -> None:
        """Read for ever; what goes wrong before anything came is the end, and afterwards the reason to begin anew."""
        while True:
            try:
                await read(reader)
            except (TimeoutError, OSError, nats.errors.Error, PortsideError) as error:
                if not self._ready.done():
                    raise error if isinstance(error, PortsideError) else failure(self._options, error) from error
            await asyncio.sleep(_AGAIN_S)

    async def _read_state(self, reader: JetStreamReader) -> None:
        async with aclosing(reader.last(Which(_STATE, self._site, self._node), follow=True)) as batches:
            async for batch in batches:
                self._take_state(batch)

    def _take_state(self, batch: Batch) -> None:
        self.fleet.apply(batch.messages)
        if batch.is_end and not self._ready.done():
            self._ready.set_result(None)

    async def _read_events(self, reader: JetStreamReader) -> None:
        since_s = self.fleet.watched_s + _EVENTS_S
        async with aclosing(reader.history(Which(_HISTORY, self._site, self._node), since_s, follow=True)) as batches:
            async for batch in batches:
                self.fleet.events.add(
                    FleetEvent(NodeName(message.site, message.node), message.at, record)
                    for message, _ in batch.messages
                    for record in message.records
                    if isinstance(record, ConnectionEvent | ServerEvent)
                )
