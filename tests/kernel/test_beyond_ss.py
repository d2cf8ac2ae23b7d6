"""What the kernel tells of a connection and ``ss`` does not print, beside what was made to happen to it."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kernel.ss import ss
from kernel.tcp_states import HOST, private_netns
from support import wait_until

from portside.kernel.inet_diag import INFO_FIELDS
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.snapshot import snapshot
from portside.lab.packet_filter import ALL, drop, drop_nothing

END_OF = {name: offset + int(kind[1]) for name, kind, offset in INFO_FIELDS}
_TCP_INFO = 11
_NETWORK = Path("/proc/thread-self/ns/net").readlink()


class Connection:
    """Both ends of a connection on loopback."""

    def __init__(self, stack: ExitStack, receive_buffer: int | None = None) -> None:
        with socket.create_server((HOST, 0)) as listener:
            if receive_buffer is not None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.port = listener.getsockname()[1]
            self.client = stack.enter_context(socket.create_connection((HOST, self.port)))
            self.server = stack.enter_context(listener.accept()[0])

    def look(self, side: str = "dport") -> Socket:
        """One end as the table has it: the client's by ``dport``, the server's by ``sport``."""
        (found,) = to_sockets(snapshot(f"state established {side} = :{self.port}").table)
        return found

    def info(self, side: str = "dport") -> dict[str, Any]:
        return self.look(side).info or {}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with private_netns(), ExitStack() as stack:
        yield stack


def kernel_info(end: socket.socket) -> bytes:
    """The tcp_info of this kernel, in its whole length."""
    return end.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1024)


def known_or_reason(found: Socket, end: socket.socket, name: str) -> bool:
    """Whether this kernel has a field; where it has not, that the value is null and the reason there."""
    there = len(kernel_info(end)) >= END_OF[name]
    assert ((found.info or {})[name] is not None) == there
    assert (f"info.{name}" in found.gaps) == (not there)
    return there


def test_time_outs_are_counted_with_their_time(stack: ExitStack) -> None:
    connection = Connection(stack)
    drop(connection.server, ALL)
    connection.client.sendall(b"lost")
    if not known_or_reason(connection.look(), connection.client, "total_rto_time_ms"):
        return
    wait_until(lambda: connection.info()["total_rto"] >= 2, "two time-outs")
    table = snapshot(f"dport = :{connection.port} and total_rto > 1 and total_rto_time > 0.1s").table
    assert len(table) == 1
    drop_nothing(connection.server)
    wait_until(lambda: connection.info()["total_rto_recoveries"] == 1, "the recovery")
    after = connection.info()
    assert after["total_rto_time_ms"] >= 100
    assert connection.info("sport")["total_rto"] == 0


def test_each_side_offers_the_window_that_the_other_has(stack: ExitStack) -> None:
    connection = Connection(stack)
    for _ in range(3):
        connection.client.sendall(b"x" * 20_000)
        connection.server.recv(20_000, socket.MSG_WAITALL)
        connection.server.sendall(b"y" * 500)
        connection.client.recv(500, socket.MSG_WAITALL)
    if not known_or_reason(connection.look(), connection.client, "rcv_wnd"):
        return

    def equal() -> bool:
        ours, theirs = connection.info(), connection.info("sport")
        return bool(ours["rcv_wnd"] == theirs["snd_wnd"] > 0 and theirs["rcv_wnd"] == ours["snd_wnd"] > 0)

    wait_until(equal, "the same window on both sides")
    (offset,) = (offset for name, _, offset in INFO_FIELDS if name == "rcv_wnd")
    assert connection.info()["rcv_wnd"] == struct.unpack_from("=I", kernel_info(connection.client), offset)[0]


def test_the_shares_of_the_busy_time_are_those_of_ss(stack: ExitStack) -> None:
    connection = Connection(stack, receive_buffer=8192)
    connection.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    connection.client.setblocking(False)
    assert connection.client.send(bytes(200_000)) > 60_000  # more than the peer takes

    def waited() -> bool:
        return float(connection.info()["rwnd_limited_share"] or 0) > 0.5

    wait_until(waited, "a sender that waits for the window")
    end = time.monotonic() + 30
    while True:  # the time goes on between two looks, so both are near each other only as far as these are
        before = connection.look()
        (line,) = ss(f"dport = :{connection.port}", options="-tinOH")
        after = connection.look()
        parts = line.details["rwnd_limited"].partition("(")
        shares = [(each.info or {})["rwnd_limited_share"] for each in (before, after)]
        times = [(each.info or {})["rwnd_limited_us"] for each in (before, after)]
        theirs = float(parts[2].rstrip("%)")) / 100
        if times[0] // 1000 <= int(parts[0].removesuffix("ms")) <= -(-times[1] // 1000):
            assert min(shares) - 0.002 <= theirs <= max(shares) + 0.002
            break
        assert time.monotonic() < end, (line, before, after)
    assert (after.info or {})["sndbuf_limited_share"] == 0
    assert len(snapshot(f"dport = :{connection.port} rwnd_limited_share > 50%").table) == 1
    idle = connection.look("sport")
    assert (idle.info or {})["rwnd_limited_share"] is None
    assert idle.gaps["info.rwnd_limited_share"] == "there was nothing to send yet"


def test_accurate_ecn(stack: ExitStack) -> None:
    """Where the kernel may be asked to, both ends agree on Accurate ECN and count the bytes that came with ECT(0)."""
    agreed = agree_on_accurate_ecn()
    connection = Connection(stack)
    connection.client.sendall(b"x" * 100_000)
    connection.server.recv(100_000, socket.MSG_WAITALL)
    found = connection.look("sport")
    if not known_or_reason(found, connection.server, "received_ce_bytes"):
        assert not agreed
        return
    info = found.info or {}
    marked = sum(info[f"received_{mark}_bytes"] for mark in ("e1", "e0", "ce"))
    assert (marked >= 100_000, info["accecn_opt_seen"]) == ((True, 2) if agreed else (False, 0))
    assert info["accecn_fail_mode"] == info["received_ce"] == 0
    assert (info["ecn_mode"] is None) == ("info.ecn_mode" in found.gaps)


def agree_on_accurate_ecn() -> bool:
    """Have connections of this network namespace ask for Accurate ECN; False where the kernel or the user may not.

    Linux 6.18 has the protocol and refuses the setting.
    """
    if Path("/proc/thread-self/ns/net").readlink() == _NETWORK:
        return False
    try:
        Path("/proc/sys/net/ipv4/tcp_ecn").write_text("3")
    except OSError:
        return False
    return True
