"""``snapshot`` and ``Watcher`` on this machine."""

import contextlib
import json
import os
import signal
import socket
from collections import namedtuple
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from support import free_port, wait_until

from portside.errors import UsageError
from portside.kernel import netlink, proc_net_tcp
from portside.kernel.backend import BackendError
from portside.kernel.dump_reader import DumpReader
from portside.kernel.filter import FilterError, HostAddress
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Owner, to_json
from portside.kernel.netlink import NetlinkBackend
from portside.kernel.resolver import SystemResolver
from portside.kernel.snapshot import Query, Watcher, snapshot, take_snapshot
from portside.kernel.table import SocketTable
from portside.procfs import ProcessSockets, iter_processes


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        yield listener


@pytest.fixture
def pair(listener: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as accepted:
        yield client, accepted


def between(pair: tuple[socket.socket, socket.socket]) -> str:
    """A filter that only the first end of a connection matches: a port alone may be another one's too."""
    (host, port), (peer_host, peer_port) = pair[0].getsockname(), pair[0].getpeername()
    return f"src {host}:{port} dst {peer_host}:{peer_port}"


def port_of(end: socket.socket) -> int:
    port: int = end.getsockname()[1]
    return port


def program() -> str:
    with open("/proc/self/comm") as file:
        return file.read().strip()


def test_the_view(listener: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
    port = port_of(listener)

    def states(filter_: str, view: str | None) -> list[str]:
        rows = to_sockets(snapshot(filter_, view=view, owners=False).table)  # type: ignore[arg-type]
        return sorted(row.state for row in rows)

    established = ["ESTABLISHED", "ESTABLISHED"]
    assert states(f"{port}", None) == established
    assert states(f"{port}", "connected") == established
    assert states(f"{port}", "listening") == ["LISTEN"]
    assert states(f"{port}", "all") == [*established, "LISTEN"]
    assert states(f"state listening {port}", None) == ["LISTEN"]
    assert states(f"state listening {port}", "connected") == []


def test_owners_by_number_and_by_name(pair: tuple[socket.socket, socket.socket]) -> None:
    for condition in (f"pid = {os.getpid()}", f"program = '{program()}'", f"not pid = {os.getpid() + 1}"):
        (row,) = to_sockets(snapshot(f"{between(pair)} and {condition}", owners=False).table)
        assert row.owners == (Owner(os.getpid(), program(), pair[0].fileno()),)
    assert len(snapshot(f"{between(pair)} and pid = 1000000000").table) == 0


def test_details_come_where_the_filter_needs_them(pair: tuple[socket.socket, socket.socket]) -> None:
    (plain,) = to_sockets(snapshot(between(pair), owners=False, details=False).table)
    assert plain.gaps["info"] == "not asked for"
    assert plain.gaps["owners"] == "not looked up"
    (full,) = to_sockets(snapshot(f"{between(pair)} rtt > 0", owners=False, details=False).table)
    assert (full.info or {})["mss"]


def test_one_family() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        port = port_of(six)
        assert len(snapshot(f"{port}", view="listening", families=(6,)).table) == 1
        assert len(snapshot(f"{port}", view="listening", families=(4,)).table) == 0


def test_the_json_of_what_is_there(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].send(b"hello")
    client, server = port_of(pair[0]), port_of(pair[1])
    line = json.loads(to_json(next(to_sockets(snapshot(between(pair), commands=True).table))))
    with open("/proc/self/cmdline") as file:
        command = file.read().rstrip("\0").replace("\0", " ")
    inode = os.fstat(pair[0].fileno()).st_ino
    assert {name: line[name] for name in list(line)[:10]} == {
        "proto": "tcp",
        "family": 4,
        "state": "ESTABLISHED",
        "recv_q": 0,
        "send_q": 0,
        "local": f"127.0.0.1:{client}",
        "remote": f"127.0.0.1:{server}",
        "inode": inode,
        "uid": os.getuid(),
        "owners": [{"pid": os.getpid(), "program": program(), "fd": pair[0].fileno(), "command": command}],
    }
    assert line["info"]["bytes_sent"] == 5


def test_a_watcher_sees_what_comes_and_goes_and_how_old_it_is(listener: socket.socket) -> None:
    port = port_of(listener)
    with Watcher(Query(f"dport = {port} and age > 5s")) as watcher:
        assert len(watcher.poll().table) == 0
        with socket.create_connection(listener.getsockname()), listener.accept()[0]:
            assert len(watcher.poll().table) == 0

            def ages(table: SocketTable) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
                return np.where(table.base["remote_port"] == port, 6.0, np.nan)

            assert len(watcher.poll(ages).table) == 1


def test_owners_follow_a_fork_a_passed_descriptor_and_an_exit(pair: tuple[socket.socket, socket.socket]) -> None:
    client, _ = pair
    ours, theirs = socket.socketpair()
    with Watcher(Query(between(pair))) as watcher, ours:

        def owners() -> set[int]:
            return {owner.pid for owner in next(to_sockets(watcher.poll().table)).owners or ()}

        assert owners() == {os.getpid()}
        receiver = os.fork()
        if receiver == 0:
            try:
                os.close(client.fileno())
                os.write(theirs.fileno(), b"r")
                socket.recv_fds(theirs, 1, 1)
                os.write(theirs.fileno(), b"x")
                signal.pause()
            finally:
                os._exit(1)
        theirs.close()
        try:
            ours.recv(1)
            assert owners() == {os.getpid()}
            socket.send_fds(ours, [b"f"], [client.fileno()])
            ours.recv(1)
            assert owners() == {os.getpid(), receiver}
            holder = os.fork()
            if holder == 0:
                signal.pause()
                os._exit(1)
            try:
                assert owners() == {os.getpid(), receiver, holder}
            finally:
                os.kill(holder, signal.SIGKILL)
                os.waitpid(holder, 0)
            assert owners() == {os.getpid(), receiver}
        finally:
            os.kill(receiver, signal.SIGKILL)
            os.waitpid(receiver, 0)
        assert owners() == {os.getpid()}


def test_without_leave_the_table_is_there_and_says_what_is_not(listener: socket.socket) -> None:
    """A user who is nobody sees every socket, and not whose it is."""
    filter_ = f"sport = {port_of(listener)}"
    snapshot(filter_, view="listening")
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            listener.close()
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            seen = snapshot("", view="all")
            (row,) = to_sockets(snapshot(filter_, view="listening").table)
            os.write(tell, json.dumps([seen.source, seen.notes, row.inode, row.gaps.get("owners")]).encode())
        finally:
            os._exit(0)
    os.close(tell)
    with open(told) as file:
        source, notes, inode, gap = json.loads(file.read())
    os.waitpid(child, 0)
    assert source == "netlink"
    assert inode == os.fstat(listener.fileno()).st_ino
    if os.getuid() == 0:
        assert "could not be read without root: the programs of" in notes[0]
        assert "could not be read" in gap


# Sources that do not work.


def test_without_netlink_the_next_best_is_used_and_says_why(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_netlink(self: DumpReader) -> socket.socket:
        raise BackendError("opening netlink", "Protocol not supported")

    monkeypatch.setattr(DumpReader, "_open", no_netlink)
    filter_ = f"sport = {port_of(listener)}"
    seen = snapshot(filter_, view="listening")
    assert seen.source == "proc"
    assert seen.notes == ("sockets come from proc: opening netlink: Protocol not supported",)
    (row,) = to_sockets(seen.table)
    assert [owner.pid for owner in row.owners or ()] == [os.getpid()]
    assert row.send_q is None

    monkeypatch.setattr(proc_net_tcp, "_FOLDER", "/nowhere")
    seen = snapshot(filter_, view="listening")
    assert seen.source == "psutil"
    assert seen.notes[1] == "sockets come from psutil: reading /proc/net/tcp: there is no such file"
    (row,) = to_sockets(seen.table)
    assert [owner.pid for owner in row.owners or ()] == [os.getpid()]

    def refuse(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refuse)
    with pytest.raises(BackendError, match="no source of sockets works here: opening netlink"):
        snapshot(filter_)
    with pytest.raises(BackendError, match="Protocol not supported"):
        snapshot(filter_, source="netlink")


def test_without_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psutil", None)
    with pytest.raises(BackendError, match="psutil"):
        snapshot(source="psutil")


def test_a_process_that_psutil_may_not_name(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int) -> None:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", gone)
    (row,) = to_sockets(snapshot(f"sport = {port_of(listener)}", view="listening", source="psutil").table)
    assert [(owner.pid, owner.program) for owner in row.owners or ()] == [(os.getpid(), None)]


def test_listeners_on_one_port_by_psutil() -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(socket.create_server(("127.0.0.1", 0), reuse_port=True))
        port = port_of(first)
        second = stack.enter_context(socket.create_server(("127.0.0.1", port), reuse_port=True))
        rows = list(to_sockets(snapshot(f"sport = {port}", view="listening", source="psutil").table))
        found = sorted((owner.pid, owner.fd) for row in rows for owner in row.owners or ())
        assert len(rows) == 2
        assert found == sorted((os.getpid(), each.fileno()) for each in (first, second))


def test_what_psutil_knows_no_process_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody holds a connection in TIME_WAIT, somebody holds the others. Not on Linux, equal ends are one socket."""
    connection = namedtuple("connection", "fd family type laddr raddr status pid")  # noqa: PYI024
    here, there = ("127.0.0.1", 5), ("127.0.0.1", 6)
    told = [
        connection(-1, socket.AF_INET, 1, here, (), "LISTEN", None),
        connection(-1, socket.AF_INET, 1, here, there, "TIME_WAIT", None),
        connection(-1, socket.AF_INET, 1, there, here, "ESTABLISHED", 4_000_000),
        connection(-1, socket.AF_INET, 1, there, here, "ESTABLISHED", 4_000_001),
    ]
    monkeypatch.setattr(psutil, "net_connections", lambda kind: told)
    monkeypatch.setattr(psutil, "LINUX", False)
    seen = snapshot(view="all", source="psutil")
    assert [None if row.owners is None else [owner.pid for owner in row.owners] for row in to_sockets(seen.table)] == [
        None,
        [],
        [4_000_000, 4_000_001],
    ]
    assert seen.notes[1:] == (
        "psutil tells listeners on one port as one where it cannot name the processes that hold them",
        "psutil names no process that holds it: the programs of 1 of these sockets are not known",
    )


def test_a_dump_that_fails_later_gives_the_source_back(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    close = NetlinkBackend.close

    def closing(self: NetlinkBackend) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(NetlinkBackend, "read", lambda self, want: 1 // 0)
    monkeypatch.setattr(NetlinkBackend, "close", closing)
    with pytest.raises(ZeroDivisionError):
        snapshot()
    assert len(closed) == 1


def test_what_is_asked_wrongly() -> None:
    with pytest.raises(UsageError, match="there are netlink, proc, psutil"):
        snapshot(source="magic")
    with pytest.raises(FilterError, match="did you mean"):
        snapshot("spotr = 5")


def test_the_kernel_filters_what_it_can(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    once = netlink._once

    def counted(table: SocketTable) -> SocketTable:
        read.append(len(table))
        return once(table)

    monkeypatch.setattr(netlink, "_once", counted)
    snapshot(f"{between(pair)} and rtt > 0", owners=False)
    assert read == [1]


@pytest.mark.parametrize("condition", ["", "pid = 1"])
def test_what_can_be_done_while_the_processes_are_read(
    pair: tuple[socket.socket, socket.socket], condition: str
) -> None:
    """It has the sockets that match, unless the processes decide which do."""
    done: list[object] = []

    def read() -> list[ProcessSockets]:
        done.append("read")
        return list(iter_processes())

    query = Query(f"{between(pair)} {condition}", prefetched=read, while_waiting=lambda table: done.append(len(table)))
    seen = take_snapshot(query)
    assert done == (["read"] if condition else [1, "read"])
    assert len(seen.table) == (0 if condition else 1)


def test_names_of_this_machine() -> None:
    names = SystemResolver()
    assert names.addresses("127.0.0.1") == [HostAddress(b"\x7f\0\0\1")]
    assert HostAddress(bytes(15) + b"\1") in names.addresses("::1")
    assert names.interface("lo") == socket.if_nametoindex("lo")
    assert names.user("root") == 0
    assert names.port("http") == 80
    for find in (names.port, names.addresses, names.interface, names.user, names.cgroup):
        with pytest.raises(ValueError, match=r"is called|no control group"):
            find("no such\0name" if find != names.cgroup else "/no/such")


@pytest.mark.parametrize("text", ["10.1", "10", "0x7f000001", "0177.0.0.1", "2130706433"])
def test_what_resolvers_read_a_whole_address_into_is_no_host(text: str) -> None:
    """ss takes ``src 10.1`` for a network, and a resolver for 10.0.0.1."""
    with pytest.raises(FilterError, match="is no host: write an address with all four numbers"):
        snapshot(f"src {text}")
    assert len(snapshot("src 10.1/16 and sport = 0").table) == 0


def test_a_control_group_by_its_path(tmp_path: os.PathLike[str]) -> None:
    folder = os.fspath(tmp_path)
    with open(f"{folder}/cgroup.controllers", "w"):
        pass
    assert SystemResolver().cgroup(folder) == os.stat(folder).st_ino


def test_sockets_that_come_while_looking_are_no_trouble(listener: socket.socket) -> None:
    with Watcher(Query("", view="all")) as watcher:
        for _ in range(30):
            with socket.create_connection(listener.getsockname()), listener.accept()[0]:
                watcher.poll()
        wait_until(lambda: len(watcher.poll().table) >= 1, "a look")
