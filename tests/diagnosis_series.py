"""Synthetic series for the rules of ``diagnose``: sockets as keyword arguments, times in seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.diagnosis import Diagnosis, Report
from portside.diagnosis.findings import Finding
from portside.diagnosis.observation import Holder, Holders, Limits, Mask, Observation, RowNumbers, Values
from portside.diagnosis.registry import BY_CODE

SMALL = {"state": "u1", "timer": "u1", "retransmits": "u1", "probes": "u1", "backoff": "u1", "total_rto": "u2"}
WIDE = (
    "bytes_sent", "bytes_received", "bytes_acked", "bytes_retrans", "busy_us", "rwnd_limited_us", "sndbuf_limited_us",
    "cookie",
)  # fmt: skip
DEFAULTS: Mapping[str, Any] = {
    "state": tcp_states.ESTABLISHED, "local": "127.0.0.1:12345", "remote": "127.0.0.1:40000", "inode": 77, "mss": 1448,
    "pmtu": 1500, "snd_wnd": 65536, "cwnd": 10, "rcvbuf": 131072, "sndbuf": 131072,
}  # fmt: skip

NO_LIMITS = Limits()


def listener(**given: Any) -> dict[str, Any]:
    """A listening socket."""
    return {"state": tcp_states.LISTEN, "remote": "0.0.0.0:0", **given}


@dataclass(frozen=True)
class Sockets:
    """Sockets as columns. A value that is None is not known; ``absent`` are columns that are not known at all."""

    rows: Sequence[Mapping[str, Any]]
    absent: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> tuple[Values, Mask]:
        if name in ("local", "remote"):
            raw = b"".join(_address(self._of(row, name)) for row in self.rows)
            return np.frombuffer(raw, "u1").reshape(len(self), 16), np.ones(len(self), bool)
        if name in ("local_port", "remote_port"):
            ports = [int(self._of(row, name.removesuffix("_port")).rpartition(":")[2]) for row in self.rows]
            return np.array(ports, ">u2"), np.ones(len(self), bool)
        values = [self._of(row, name) for row in self.rows]
        known = np.array([value is not None and name not in self.absent for value in values], bool)
        dtype = SMALL.get(name, "u8" if name in WIDE else "u4")
        return np.array([value or 0 for value in values], dtype), known

    def _of(self, row: Mapping[str, Any], name: str) -> Any:
        if name == "cookie" and name not in row:
            return 1 + next(index for index, other in enumerate(self.rows) if other is row)
        return row.get(name, DEFAULTS.get(name, 0))

    def missing(self, name: str) -> str | None:
        return "not told" if name in self.absent else None

    def select(self, which: Mask) -> "Sockets":
        return Sockets([row for row, chosen in zip(self.rows, which, strict=True) if chosen], self.absent)


def _address(end: str) -> bytes:
    address = ip_address(end.rpartition(":")[0].strip("[]"))
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


class Watched:
    """A diagnosis of one rule, or of all, fed one observation a second."""

    def __init__(self, code: str | None = None, **thresholds: float) -> None:
        rules = (BY_CODE[code],) if code else tuple(BY_CODE.values())
        self.diagnosis = Diagnosis(rules, {(code or "", name): value for name, value in thresholds.items()})
        self.second = 0.0
        self.report: Report | None = None
        self.asked: list[int] = []

    def look(
        self,
        *rows: Mapping[str, Any],
        after: float = 1.0,
        counters: Mapping[str, int] | None = None,
        limits: Limits = NO_LIMITS,
        closed: Sequence[Sockets] | None = (),
        absent: frozenset[str] = frozenset(),
        hidden: str = "",
    ) -> list[Finding]:
        """One more observation; the findings that are there then. ``pid`` and ``program`` of a row are its holder."""
        self.second += after

        def holders(asked: RowNumbers) -> Holders:
            self.asked.append(len(asked))
            found: list[tuple[Holder, ...] | None] = []
            for row in asked.tolist():
                pid = rows[row].get("pid")
                found.append(
                    None if pid is None and hidden else () if pid is None else (Holder(pid, rows[row].get("program")),)
                )
            return Holders(found, hidden)

        self.report = self.diagnosis.observe(
            Observation(
                at_ns=round(self.second * 1e9),
                wall=f"T+{self.second:g}",
                sockets=Sockets(rows, absent),
                closed=closed,
                counters=counters or {},
                limits=limits,
                holders=holders,
            )
        )
        return list(self.report.current)

    def only(self, *rows: Mapping[str, Any], **given: Any) -> Finding:
        """One more observation, in which there is one finding."""
        (finding,) = self.look(*rows, **given)
        return finding
