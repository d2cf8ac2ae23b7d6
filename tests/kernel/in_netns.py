"""Scenarios for a network namespace of their own (``netns``): python -m kernel.in_netns SCENARIO"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from netns import other_netns
from support import wait_until

from portside.app.sort_order import Sort
from portside.kernel.backend import BackendError
from portside.kernel.backends import NAMES
from portside.kernel.destroy import DestroyError, destroy
from portside.kernel.filter import parse
from portside.kernel.materialize import to_sockets
from portside.kernel.netns import Namespace, NamespaceError
from portside.kernel.snapshot import Query, Watcher, snapshot
from portside.settings.watch import Watch
from portside.tui.poller import Poller


def run(*words: str) -> None:
    subprocess.run(words, check=True)


LISTENER = "listener = socket.create_server(('127.0.0.1', 5555))"


def namespace_by_process() -> None:
    before = os.readlink("/proc/self/ns/net")
    with other_netns(LISTENER) as process:
        for source in ("netlink", "proc"):
            seen = snapshot("5555", view="all", netns=str(process.pid), source=source, owners=False)
            assert [row.local for row in to_sockets(seen.table)] == ["127.0.0.1:5555"]
            assert len(snapshot("5555", view="all", source=source).table) == 0
        with pytest.raises(BackendError, match="cannot look into another network namespace"):
            snapshot(netns=str(process.pid), source="psutil")
        (row,) = to_sockets(snapshot("5555", view="all", netns=str(process.pid)).table)
        assert row.owners is not None
        assert [owner.pid for owner in row.owners] == [process.pid]
    assert os.readlink("/proc/self/ns/net") == before


def namespace_by_name() -> None:
    run("mount", "-t", "tmpfs", "none", "/run")
    run("ip", "netns", "add", "blue")
    run("ip", "-n", "blue", "link", "set", "lo", "up")
    namespace = Namespace("blue")
    listener = namespace.run(lambda: socket.create_server(("127.0.0.1", 0)))
    port = listener.getsockname()[1]
    with listener, Watcher(Query(f"sport = {port}", view="all", netns="blue")) as watcher:
        first, second = watcher.poll(), watcher.poll()
        assert len(first.table) == len(second.table) == 1
        run("ip", "netns", "del", "blue")
        assert len(watcher.poll().table) == 1
    assert len(snapshot(f"sport = {port}", view="all").table) == 0
    with pytest.raises(ZeroDivisionError):
        namespace.run(lambda: 1 // 0)
    namespace.close()
    run("ip", "netns", "add", "red")
    with pytest.raises(NamespaceError, match="there is none of this name") as caught:
        Namespace("blue")
    assert caught.value.hint == "there are: red"


def a_namespace_whose_process_ended() -> None:
    """A watch of it goes on: a new filter, one socket in full and destroying do not look the process up again."""
    with contextlib.ExitStack() as stack, other_netns() as process:
        namespace = stack.enter_context(Namespace(str(process.pid)))
        listener = stack.enter_context(namespace.run(lambda: socket.create_server(("127.0.0.1", 0))))
        port = listener.getsockname()[1]
        client = stack.enter_context(namespace.run(lambda: socket.create_connection(("127.0.0.1", port))))
        poller = Poller(Watch(netns=str(process.pid)), Sort())
        stack.callback(poller.close)
        assert len(poller.poll().live.table) == 2
        process.communicate()
        poller.set_filter(parse(f"dport = {port}"))
        view = poller.poll()
        assert len(view.live.table) == 1
        socket_in_full = poller.poll_details(int(view.keys[0]), view.live.table)
        assert socket_in_full is not None
        assert socket_in_full.remote == f"127.0.0.1:{port}"
        assert poller.destroy(view.live.table) == 1
        with pytest.raises(ConnectionAbortedError):
            client.recv(1)
    with other_netns(LISTENER) as process, Namespace(str(process.pid)) as given:
        for _ in range(2):
            assert len(snapshot("5555", view="all", netns=given).table) == 1


def every_source_where_there_is_no_socket() -> None:
    for name in NAMES:
        seen = snapshot(view="all", source=name)
        assert (seen.source, len(seen.table), list(to_sockets(seen.table))) == (name, 0, [])


def destroy_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ends = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        accepted = [listener.accept()[0] for _ in range(3)]
        chosen = ends[1].getsockname()[1]
        table = snapshot(f"sport = {chosen}", owners=False).table
        destroyed = destroy(table)
        assert (len(destroyed.table), destroyed.gone) == (1, 0)
        with pytest.raises(ConnectionAbortedError):
            ends[1].recv(1)
        again = destroy(table)
        assert (len(again.table), again.gone) == (0, 1)
        wait_until(lambda: len(snapshot(f"sport = {port} state established").table) == 2, "its other end to end")
        with Namespace(str(os.getpid())).run(socket.socket):
            pass
        rest = destroy(snapshot(f"dport = {port} state established").table, Namespace(str(os.getpid())))
        assert len(rest.table) == 2
        for each in (*ends, *accepted):
            each.close()


def without_permission_to_destroy() -> None:
    """In a nested user namespace, which has no rights over its network namespace."""
    run("unshare", "-U", sys.executable, "-m", "kernel.in_netns", "unprivileged")


def unprivileged() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        table = snapshot("state listening").table
        assert len(table) == 1
        with pytest.raises(DestroyError, match="Operation not permitted") as caught:
            destroy(table)
        assert caught.value.hint == "this needs root (CAP_NET_ADMIN)"
        with pytest.raises(NamespaceError, match="Operation not permitted"):
            Namespace(str(os.getpid())).run(lambda: None)


def listener_with_its_drops() -> None:
    """The accept queue, its limit, and the drops of SYNs that found the queue full."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        end = time.monotonic() + 30
        while True:
            table = snapshot(view="listening", owners=False).table
            (row,) = to_sockets(table)
            drops = table.column("drops")
            if int(drops.values[0]) > 0:
                break
            assert time.monotonic() < end
        assert (row.recv_q, row.send_q) == (2, 1)
        assert drops.known.tolist() == [True]
        assert np.all(table.column("send_q").known)


SCENARIOS: dict[str, Callable[[], None]] = {
    test.__name__: test
    for test in (
        namespace_by_process,
        namespace_by_name,
        a_namespace_whose_process_ended,
        every_source_where_there_is_no_socket,
        destroy_sockets,
        without_permission_to_destroy,
        listener_with_its_drops,
    )
}


if __name__ == "__main__":
    globals()[sys.argv[1]]()
