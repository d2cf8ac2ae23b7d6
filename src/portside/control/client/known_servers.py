"""Which servers of this user there are on this machine, and how they are doing together."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from portside.control.client.http_client import ApiError, ControlClient, Unreachable
from portside.control.client.servers import FoundServer, ask_servers, is_silent
from portside.control.socket_path import is_alive
from portside.errors import PortsideError

ALL_SERVERS: Final = "all servers"
"""Their name where an error is about them."""

_SILENT_S: Final = 30.0  # after which a server that did not answer is asked again
_SUMMED: Final = ("opened", "received", "sent")


class KnownServers:
    """The servers as of the last ``look``, on any thread. Counts of those that have ended stay in the sums.

    Raises PortsideError where there is none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: dict[int, FoundServer] = {}
        self._silent: dict[int, float] = {}  # that do not answer: when each is asked again
        self._stuck: dict[int, FoundServer] = {}  # that gave no answer and live, as they last were
        self._ended: Counter[str] = Counter()  # counts of servers that have gone
        self._looks = 0  # that have begun
        self._newest = 0  # of those that have ended, the one that began last
        self._began_at = time.monotonic()
        self._earlier_s = 0.0  # the uptime of the oldest server when this began
        self.look()
        self._earlier_s = max(each.info["uptime"] for each in self._servers.values())

    def look(self) -> None:
        """See which servers there are. Raises PortsideError where there is none.

        One that does not answer is waited for once; after that it is asked again on a thread of its own.
        """
        now = time.monotonic()
        with self._lock:
            self._looks += 1
            this = self._looks
            self._silent = {pid: at for pid, at in self._silent.items() if is_alive(pid)}
            left_alone = set(self._silent)
            due = [pid for pid, at in self._silent.items() if at <= now]
            self._silent.update(dict.fromkeys(due, now + _SILENT_S))
        for pid in due:
            threading.Thread(target=self._ask_again, args=(pid,), name="ask", daemon=True).start()
        found, silent = ask_servers(left_alone)
        with self._lock:
            self._silent.update(dict.fromkeys(silent, time.monotonic() + _SILENT_S))
            if this > self._newest:  # and not of an earlier time than what is known
                self._newest = this
                self._know(found)
        if not found:
            raise _none()

    def _know(self, found: list[FoundServer]) -> None:
        """Take note of the servers that answered; those that were started again count anew."""
        before = self._servers | self._stuck
        self._servers = {each.pid: each for each in found}
        self._stuck = {}
        for pid, each in before.items():
            now = self._servers.get(pid)
            if now is None and is_alive(pid):
                self._stuck[pid] = each
            elif now is None or now.info["started"] != each.info["started"]:
                self._ended.update(_summed(each))

    def _ask_again(self, pid: int) -> None:
        """The next look sees a server again unless it still does not answer."""
        with suppress(PortsideError):
            if not is_silent(pid):
                with self._lock:
                    self._silent.pop(pid, None)

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
            "options": {},
            "rates": {name: sum_of_known(each["rates"][name] for each in infos) for name in infos[0]["rates"]},
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


def sum_of_known(values: Iterable[float | None]) -> float | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _summed(server: FoundServer) -> Counter[str]:
    """The counts of a server that never become less."""
    return Counter({name: server.info["counts"][name] for name in _SUMMED})


def _none() -> Unreachable:
    return Unreachable(ALL_SERVERS, "none runs here that answers")
