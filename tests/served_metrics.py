"""The metrics of an agent, served by this process."""

import asyncio
import threading

from support import DEADLINE_S

from portside.addresses import parse_address
from portside.fleet.metrics.facts import MachineFacts
from portside.fleet.metrics.http_server import Facts, MetricsServer


class Served:
    """A server on a loop of its own thread; ``asked`` is how often it asked for facts."""

    def __init__(self, facts: Facts, address: str = "0") -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.asked = 0
        self._facts = facts
        self.server = asyncio.run_coroutine_threadsafe(
            MetricsServer.start(parse_address(address), self.facts), self.loop
        ).result(DEADLINE_S)
        self.port = int(self.server.addresses[0].rpartition(":")[2])

    def facts(self) -> MachineFacts:
        self.asked += 1
        return self._facts()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.close(), self.loop).result(DEADLINE_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(DEADLINE_S)
        self.loop.close()
