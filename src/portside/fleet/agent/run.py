"""``portside agent``: what is gathered goes into the outbox, and from there to the broker, until a signal.

The main thread has the loop, in which the publisher talks to NATS and metrics are served; sources and journal have
threads of their own. The end: last looks, the last sign of life, some seconds to send what waits. What is then not
acknowledged stays in the outbox, and the next run sends it first.
"""

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

from portside.addresses import Address
from portside.app.notices import write_notice
from portside.app.signals import EndSignals, end_by
from portside.fleet.agent.gathering import Gathering, check_filter
from portside.fleet.agent.notices import AgentNotices
from portside.fleet.agent.tally import Outlet, Tally
from portside.fleet.broker import without_password
from portside.fleet.outbox.journal import Journal, new_boot
from portside.fleet.outbox.publisher import Publisher
from portside.fleet.outbox.store import Outbox
from portside.settings.agent import Agent, parse_name
from portside.units import counted

_LAST_SENDING_S: Final = 5.0
_SYSTEM_FOLDER: Final = "/var/lib/portside/outbox"
_STATE: Final = ".local/state"


def run(settings: Agent) -> int:
    """Gather and publish until a signal; the exit status. Raises PortsideError."""
    check_filter(settings.filter)
    return asyncio.run(_AgentRun(settings).serve())


def outbox_folder(settings: Agent) -> str:
    """The folder of the outbox: the one that is named, else one for root and one for each other user."""
    if settings.outbox is not None:
        return settings.outbox
    if os.geteuid() == 0:
        return _SYSTEM_FOLDER
    state = os.environ.get("XDG_STATE_HOME", "")
    return os.path.join(state if os.path.isabs(state) else os.path.expanduser(f"~/{_STATE}"), "portside/outbox")


def node_name(settings: Agent) -> str:
    """The name of this node: the one that is given, else that of the host."""
    return settings.node or parse_name(socket.gethostname())


class _AgentRun:
    """One run of an agent."""

    def __init__(self, settings: Agent) -> None:
        self._settings = settings
        self._folder = outbox_folder(settings)
        self._node = node_name(settings)
        self._notices = AgentNotices()
        self._ended = asyncio.Event()

    async def serve(self) -> int:
        """Publish until a signal, or until a source fails."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            outbox = Outbox(
                self._folder,
                most_bytes=settings.outbox_size,
                most_age_s=settings.outbox_age,
                notify=self._notices,
            )
            stack.callback(outbox.close)
            tally = Tally(outbox.status)
            journal = Journal(
                outbox,
                site=settings.site,
                node=self._node,
                boot=new_boot(),
                notify=self._notices,
                json=settings.json_payload,
            )
            stack.callback(journal.close)
            gathering = Gathering(
                settings,
                self._folder,
                Outlet(journal.add, tally, self._notices),
                outbox.positions(),
                partial(loop.call_soon_threadsafe, self._ended.set),
            )
            publisher = Publisher(
                outbox, settings, name=f"agent {self._node}", notify=write_notice, most_unacked=settings.unacked
            )
            if settings.metrics is not None:
                await self._serve_metrics(settings.metrics, tally, publisher, stack)
            if settings.otlp is not None:
                self._export_metrics(settings.otlp, tally, publisher, stack)
            self._end_at_signals()
            write_notice(self._begin(outbox))
            gathering.start()
            publishing = asyncio.create_task(publisher.run())
            ended = asyncio.create_task(self._ended.wait())
            await asyncio.wait((ended, publishing), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(gathering.stop)
            await asyncio.to_thread(journal.close)
            if not publishing.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_SENDING_S):
                        await publisher.wait_empty()
            publishing.cancel()
            await asyncio.wait((publishing,))
            left = outbox.status().records
            if left:
                write_notice(
                    f"{counted(left, 'record')} not sent: the next run of the agent sends what is in {self._folder}"
                )
            if gathering.failure is not None:
                raise gathering.failure
            if not publishing.cancelled() and (error := publishing.exception()) is not None:
                raise error
        return 0

    async def _serve_metrics(self, address: Address, tally: Tally, publisher: Publisher, stack: AsyncExitStack) -> None:
        """Serve metrics until the end. Raises PortsideError. Loaded where it is asked for alone: it takes some MB."""
        from portside.fleet.agent.facts import facts_of
        from portside.fleet.metrics.http_server import PATH, MetricsServer

        server = await MetricsServer.start(address, facts_of(self._settings, self._node, tally, publisher))
        stack.push_async_callback(server.close)
        for each in server.addresses:
            write_notice(f"metrics on http://{each}{PATH}")

    def _export_metrics(self, url: str, tally: Tally, publisher: Publisher, stack: AsyncExitStack) -> None:
        """Export metrics until the end. Raises PortsideError. Loaded where it is asked for alone: it takes some MB."""
        from portside.fleet.agent.facts import facts_of
        from portside.fleet.metrics.otlp_exporter import OtlpExporter

        facts = facts_of(self._settings, self._node, tally, publisher)
        exporter = OtlpExporter(url, self._settings.otlp_interval, facts, self._notices)
        stack.push_async_callback(asyncio.to_thread, exporter.close)

    def _begin(self, outbox: Outbox) -> str:
        settings = self._settings
        waiting = outbox.status().records
        servers = ", ".join(without_password(each) for each in settings.nats)
        kept = f"outbox {self._folder}" + (
            f", where {counted(waiting, 'record')} of an earlier run wait" if waiting else ""
        )
        return f"agent {self._node} of site {settings.site} publishes to {servers}; {kept}"

    def _end_at_signals(self) -> None:
        """End in order at the first SIGTERM or SIGINT, and at once at another one after that."""
        loop, asked = asyncio.get_running_loop(), EndSignals()

        def end(number: int) -> None:
            match asked.take():
                case "first":
                    self._ended.set()
                case "again":
                    end_by(number)

        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, end, each)
