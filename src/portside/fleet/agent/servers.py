"""The events of the Portside servers on the machine, from their control sockets, each from the number on that is known.

1. A thread for each server reads its stream, and one for all looks for servers and hands over what was read.
2. A server is its process and the time at which it began. Of each the number of the last event that was handed over is
   kept, and in the outbox together with that event: a stream that breaks, or an agent that is started anew, also after
   SIGKILL, goes on after it.
3. Of a server that began after the agent everything that it still holds is taken, of one that ran before it what
   happens from now on.
4. Where there is more than ``rate`` a second, streams are read at that pace; what a server cannot hold for that long
   is an event ``missed`` with the count.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from portside.control.client.exchange import Api
from portside.control.client.http_client import ApiError, ControlClient, LineStream, Unreachable
from portside.control.client.merged_events import EVENTS
from portside.control.client.server_info import ask_server
from portside.control.socket_path import ControlSocket, is_alive
from portside.errors import PortsideError
from portside.fleet.agent.ending import StopSignal
from portside.fleet.agent.server_sockets import server_sockets
from portside.fleet.agent.tally import Outlet
from portside.fleet.schema import ServerEvent

_SEARCH_S: Final = 2.0
_GATHER_S, _IDLE_S = 0.2, 0.5  # until events are handed over: while some come, and while none do
_SILENT_S: Final = 10.0  # until a server is asked again that did not answer
_MOST_SERVERS: Final = 64
_MOST_KEPT: Final = 256  # positions
_MOST_STARTED: Final = 64  # characters of when a server began
_MOST_WAITING: Final = 2000  # events that were read and not handed over
_JOIN_S: Final = 1.0
_HIGHEST: Final = (1 << 63) - 1  # number of an event that is believed and can be kept


class FollowedServer(NamedTuple):
    """A run of a server: its process, and when it began as it says itself."""

    pid: int
    started: str

    @property
    def source(self) -> str:
        """The name under which its position is kept."""
        return f"server {self.pid} {self.started}"


class ServerEvents:
    """Follows the servers that ``find`` finds, from the ``positions`` on that an earlier run had reached."""

    def __init__(
        self,
        outlet: Outlet,
        positions: Mapping[str, int],
        *,
        payload: bool,
        rate: float,
        find: Callable[[], list[ControlSocket]] = server_sockets,
    ) -> None:
        self._add, _, self._notices = outlet
        self._query = {"payload": "all" if payload else "none"}
        self._rate = rate
        self._find = find
        self._changed = threading.Condition()
        self._waiting: list[tuple[FollowedServer, dict[str, Any]]] = []
        self._streams: dict[int, LineStream] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._followed: dict[int, FollowedServer] = {}
        self._silent: dict[int, float] = {}
        self._is_over = False
        self._positions = dict(positions)
        self._is_first_look = True

    def run(self, ending: StopSignal) -> None:
        """Follow them until the end, on a thread of its own."""
        next_s = handed_s = time.monotonic()
        while not ending.is_set:
            if (now := time.monotonic()) >= next_s:
                self._search()
                next_s = now + _SEARCH_S
            ending.wait(_GATHER_S if self._waiting else _IDLE_S)
            now = time.monotonic()
            self._hand_over(max(1, int(self._rate * min(1.0, now - handed_s))))
            handed_s = now
        self._finish()

    def _finish(self) -> None:
        with self._changed:
            self._is_over = True
            streams, threads = list(self._streams.values()), list(self._threads.values())
            self._changed.notify_all()
        for stream in streams:
            stream.close()
        until = time.monotonic() + _JOIN_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._hand_over(_MOST_WAITING)

    def _search(self) -> None:
        """Begin to follow the servers that are not followed yet."""
        try:
            found = self._find()
        except (PortsideError, OSError) as error:
            self._notices(f"Portside servers cannot be looked for: {error}")
            return
        now = time.monotonic()
        for each in found:
            with self._changed:
                waits = {server.pid for server, _ in self._waiting}  # it would be asked for these once more
                is_known = each.pid in self._threads or each.pid in waits or len(self._threads) >= _MOST_SERVERS
            if not is_known and self._silent.get(each.pid, 0.0) <= now:
                self._follow(each)
        self._silent = {pid: at for pid, at in self._silent.items() if at > now}
        self._is_first_look = False

    def _follow(self, control: ControlSocket) -> None:
        client = ControlClient(Api(f"server {control.pid}", control.path))
        try:
            info = ask_server(client)
        except (Unreachable, ApiError) as error:
            self._silent[control.pid] = time.monotonic() + _SILENT_S
            if is_alive(control.pid):
                self._notices(f"server {control.pid}: {error}")
            return
        started = info["started"]
        if info["pid"] != control.pid or len(started) > _MOST_STARTED or not started.isascii():  # none of ours
            return
        server = FollowedServer(control.pid, started)
        after = self._positions.get(server.source)
        if after is None and not self._is_first_look:
            after = 0
        query: dict[str, str | int] = {**self._query, **({} if after is None else {"after": after})}
        stream = client.lines(EVENTS, query=query)
        thread = threading.Thread(target=self._read, args=(server, stream), name="server", daemon=True)
        with self._changed:
            self._streams[server.pid], self._threads[server.pid] = stream, thread
            self._followed[server.pid] = server
        thread.start()

    def _read(self, server: FollowedServer, stream: LineStream) -> None:
        """Read the events of one server until its stream ends, on a thread of its own."""
        try:
            for item in stream:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._waiting) < _MOST_WAITING or self._is_over)
                    self._waiting.append((server, item))
                    self._changed.notify_all()
        except PortsideError as error:
            if is_alive(server.pid):
                self._notices(f"the events of server {server.pid} break off: {error}")
        finally:
            with self._changed:
                del self._streams[server.pid], self._threads[server.pid], self._followed[server.pid]

    def _hand_over(self, most: int) -> None:
        with self._changed:
            some, self._waiting = self._waiting[:most], self._waiting[most:]
            followed = [each.source for each in self._followed.values()]
            self._changed.notify_all()
        if not some:
            return
        # Those that are quiet are kept too, however many others come and go.
        positions = {each: self._positions[each] for each in followed if each in self._positions}
        for server, item in some:
            if isinstance(item, dict) and isinstance(seq := item.get("seq"), int) and 0 <= seq <= _HIGHEST:
                positions[server.source] = seq
        self._add(
            "server",
            [ServerEvent(pid=server.pid, event=item) for server, item in some if isinstance(item, dict)],
            positions,
        )
        for source, seq in positions.items():
            self._positions.pop(source, None)
            self._positions[source] = seq  # the one that was heard of last is the last
        for source in list(self._positions)[:-_MOST_KEPT]:
            del self._positions[source]
