"""The publisher: what is in the outbox goes to the stream, whatever becomes of the broker.

A session is one connection. Where anything goes wrong (no server, no stream, no room, no answer, no permission), it
ends, and another begins after a pause, which doubles: messages that were not acknowledged are sent again. JetStream
keeps one of two with the same ``Nats-Msg-Id``, or is asked which it has (see ``settling``).
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Final, NoReturn
from urllib.parse import ParseResult, urlsplit

from portside.app.notices import Notify
from portside.errors import PortsideError
from portside.fleet.broker import BrokerConnection, connect
from portside.fleet.outbox.session import MOST_BYTES, PublishCounts, PublishSession
from portside.fleet.outbox.store import Outbox
from portside.fleet.outbox.trouble import TroubleNotices, servers_of, unasked
from portside.settings.broker import BrokerOptions

_log = logging.getLogger(__name__)

_LEAST_PAUSE_S, _MOST_PAUSE_S = 0.25, 8.0
_LEAST_PATIENCE_S, _MOST_PATIENCE_S = 5.0, 60.0
_CLOSE_S: Final = 2.0
_MOST_DISCOVERED: Final = 16


class Publisher:
    """Publishes what is in an outbox. ``run`` it as a task; cancelling that ends it.

    ``name`` is how the server lists the connection. At most ``most_unacked`` messages, and 4 MiB (a quarter of a small
    outbox), are sent and not acknowledged. ``counts`` is for metrics.
    """

    def __init__(
        self, outbox: Outbox, options: BrokerOptions, *, name: str, notify: Notify, most_unacked: int = 256
    ) -> None:
        self._outbox, self._options, self._name, self._notify = outbox, options, name, notify
        self._most_unacked = most_unacked
        self._notices = TroubleNotices(notify)
        self._session: PublishSession | None = None
        self._discovered: list[str] = []
        self._highest = 0
        self._pause_s, self._patience_s = _LEAST_PAUSE_S, _LEAST_PATIENCE_S
        self._progressed = asyncio.Event()
        self.counts = PublishCounts()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._session is not None

    async def run(self) -> NoReturn:
        """Publish until cancelled."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            if self._session is not None:
                self._session.wake()

        def stored() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(wake)

        self._outbox.on_stored = stored
        with ThreadPoolExecutor(1, "outbox") as executor:
            while True:
                try:
                    await self._connection(executor)
                except PortsideError as error:
                    self._notices.say(error)
                except Exception as error:  # noqa: BLE001 - whatever nats-py raises, the agent goes on
                    _log.exception("publisher")
                    self._notices.say(PortsideError(servers_of(self._options), type(error).__name__))
                await asyncio.sleep(self._pause_s * random.uniform(0.5, 1))  # noqa: S311
                self._pause_s = min(2 * self._pause_s, _MOST_PAUSE_S)

    async def wait_empty(self) -> None:
        """Wait until all that is in the outbox is acknowledged."""
        while not self._outbox.is_empty():
            self._progressed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.25):
                    await self._progressed.wait()

    async def _connection(self, executor: ThreadPoolExecutor) -> None:
        """One session. Raises PortsideError."""
        session: PublishSession | None = None
        refused: list[PortsideError] = []

        def on_error(error: Exception) -> None:
            if (trouble := unasked(self._options, error)) is not None:
                refused.append(trouble)
                if session is not None:
                    session.fail(trouble)

        async def on_disconnected() -> None:
            if session is not None:
                session.wake()

        options = replace(self._options, nats=(*self._options.nats, *self._discovered))
        try:
            broker = await connect(
                options,
                name=self._name,
                on_disconnected=on_disconnected,
                on_error=on_error,
                most_pending=self._most_unacked + 1,
            )
        except PortsideError as error:
            raise PortsideError(servers_of(self._options), error.why, error.hint) from None
        self._discover(broker)
        self.counts.connections += 1
        session = self._session = PublishSession(
            self._outbox,
            broker,
            self._options,
            counts=self.counts,
            most_unacked=self._most_unacked,
            most_bytes=min(MOST_BYTES, self._outbox.most_bytes // 4),
            patience_s=self._patience_s,
            highest=self._highest,
            executor=executor,
            notify=self._notify,
            on_progress=self._progress,
        )
        if refused:
            session.fail(refused[0])
        try:
            await session.run()
        finally:
            self._session, self._highest = None, session.highest
            self._patience_s = min(2 * self._patience_s, _MOST_PATIENCE_S)
            self._discover(broker)
            with suppress(Exception):  # whatever a broken connection has nats-py raise
                async with asyncio.timeout(_CLOSE_S):
                    await broker.close()

    def _progress(self) -> None:
        """Something was acknowledged."""
        self._notices.passed(servers_of(self._options))
        self._pause_s, self._patience_s = _LEAST_PAUSE_S, _LEAST_PATIENCE_S
        self._progressed.set()

    def _discover(self, broker: BrokerConnection) -> None:
        """Remember the other servers of the cluster: the next connection may have to be to one of them."""
        found = [_with_user(each, self._options.nats) for each in broker.client.discovered_servers]
        if found:
            self._discovered = [each for each in found if each not in self._options.nats][:_MOST_DISCOVERED]


def _with_user(url: ParseResult, servers: Sequence[str]) -> str:
    """The URL of a server that another has named, with the user and password of those that were given."""
    user, at, _ = urlsplit(servers[0]).netloc.rpartition("@")
    return f"{url.scheme}://{user}{at}{url.netloc}"
