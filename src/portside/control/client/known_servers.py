"""Which servers of this user there are on this machine, and how they are doing together."""

import threading
import time
from collections import Counter
from typing import Any, Final

from portside.control.client.http_client import ApiError, ControlClient, Unreachable
from portside.control.client.servers import FoundServer, ask_servers

ALL_SERVERS: Final = "all servers"
"""Their name where an error is about them."""

_SILENT_S: Final = 30.0  # for which a server that does not answer is left alone: each question would wait for it
_SUMMED: Final = ("opened", "received", "sent")


class KnownServers:
    """The servers as of the last ``look``, on any thread. Counts of those that have ended stay in the sums.

    Raises PortsideError where there is none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: dict[int, FoundServer] = {}
        self._silent: dict[int, float] = {}  # until when each is not asked
        self._stuck: dict[int, FoundServer] = {}  # of these, as they last were
        self._ended: Counter[str] = Counter()  # counts of servers that have gone
        self._began_at = time.monotonic()
        self._earlier_s = 0.0  # the uptime of the oldest server when this began
        self.look()
        self._earlier_s = max(each.info["uptime"] for each in self._servers.values())

    def look(self) -> None:
        """See which servers there are. Raises PortsideError where there is none."""
        now = time.monotonic()
        with self._lock:
            waiting = {pid for pid, until in self._silent.items() if until > now}
        found, silent = ask_servers(waiting)
        with self._lock:
            self._silent = {pid: until for pid, until in self._silent.items() if pid in waiting}
            self._silent |= dict.fromkeys(silent, now + _SILENT_S)
            before = self._servers | self._stuck
            self._servers = {each.pid: each for each in found}
            self._stuck = {pid: each for pid, each in before.items() if pid in self._silent}
            for pid, each in before.items():
                if pid not in self._servers and pid not in self._stuck:
                    self._ended.update(_summed(each))
        if not found:
            raise _none()

    def all(self) -> list[FoundServer]:
        """The servers that answered, by process. Raises Unreachable where there is none."""
        with self._lock:
            servers = sorted(self._servers.values(), key=lambda each: each.pid)
        if not servers:
            raise _none()
        return servers

    def client(self, pid: int) -> ControlClient:
        """The API of one. Raises ApiError where it is none of them."""
        with self._lock:
            server = self._servers.get(pid)
        if server is None:
            raise ApiError(ALL_SERVERS, {"detail": f"server {pid} has ended, or does not answer"}, 404)
        return server.client

    def info(self) -> dict[str, Any]:
        """The answers of the servers about themselves, as one; ``servers`` has each."""
        infos = [each.info for each in self.all()]
        counts = [info["counts"] for info in infos]
        with self._lock:
            silent = sorted(self._silent)
            sums = sum(map(_summed, (*self._servers.values(), *self._stuck.values())), self._ended)
        return {
            **infos[0],
            "pid": 0,
            "servers": [{name: info[name] for name in ("pid", "uptime", "listeners", "counts")} for info in infos],
            "silent": silent,
            "started": "",
            "uptime": self._earlier_s + time.monotonic() - self._began_at,
            "listeners": list({each["address"]: each for info in infos for each in info["listeners"]}.values()),
            "counts": {
                "open": sum(each["open"] for each in counts),
                **{name: sums[name] for name in _SUMMED},
                **{
                    name: dict(sum((Counter(each[name]) for each in counts), Counter()))
                    for name in ("closed", "refused")
                },
            },
            "read_only": any(info.get("read_only") for info in infos),
        }


def _summed(server: FoundServer) -> Counter[str]:
    """The counts of a server that never become less."""
    return Counter({name: server.info["counts"][name] for name in _SUMMED})


def _none() -> Unreachable:
    return Unreachable(ALL_SERVERS, "none runs here that answers")
