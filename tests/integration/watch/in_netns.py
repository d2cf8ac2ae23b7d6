"""Scenarios for a network namespace of their own (``netns``): python -m integration.watch.in_netns SCENARIO"""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest
from netns import other_netns, rename_loopback
from support import wait_until

from portside.app import watch as app
from portside.app import watch_table
from portside.kernel.netns import Namespace
from portside.kernel.snapshot import Query, Snapshot, take_snapshot
from portside.settings.watch import Watch
from portside.wire.escaping import escape


def watch(*arguments: str, status: int = 0, prefix: tuple[str, ...] = ()) -> tuple[list[str], str]:
    """The lines of standard output, and standard error."""
    words = [*prefix, sys.executable, "-m", "portside", "watch", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == status, done
    return done.stdout.splitlines(), done.stderr


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def other_netns_by_name() -> None:
    run("mount", "-t", "tmpfs", "none", "/run")
    run("ip", "netns", "add", "blue")
    run("ip", "-n", "blue", "link", "set", "lo", "up")
    namespace = Namespace("blue")
    with namespace.run(lambda: socket.create_server(("127.0.0.1", 0), backlog=1)) as listener:
        end = listener.getsockname()
        clients = [namespace.run(socket.socket) for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(end)
        (_, row), err = watch("-l", "--netns", "blue")
        assert row.split()[1:4] == ["2", "1", f"{end[0]}:{end[1]}"]
        assert int(row.split()[6]) > 0
        overflows = int(err.split(" times a full accept queue")[0].split()[-1])
        assert overflows > 0
        assert len(watch("-l")[0]) == 1
        assert len(watch("-la", "-s", "--netns", "blue")[0]) > 5
        lines, _ = watch("--netns", "blue", "--kill", "state", "syn-sent")
        assert {line.split()[5] for line in lines[1:]} == {"SYN_SENT"}
        for client in clients:
            client.close()
    namespace.close()
    _, err = watch("--netns", "red", status=1)
    assert err == "portside: network namespace 'red': there is none of this name\nhint: there are: blue\n"


def kill() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ends = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        accepted = [listener.accept()[0] for _ in range(3)]
        chosen = ends[1].getsockname()[1]
        lines, err = watch("--kill", f"sport = {chosen}")
        assert len(lines) == 2
        assert lines[1].split()[3:5] == [f"127.0.0.1:{chosen}", f"127.0.0.1:{port}"]
        assert err == "portside: destroyed 1 socket\n"
        with pytest.raises(ConnectionAbortedError):
            ends[1].recv(1)
        lines, err = watch("--kill", f"sport = {chosen}", status=1)
        assert (len(lines), err) == (1, "portside: destroyed 0 sockets: none matches\n")
        lines, err = watch("--kill", "--json", f"dport = {port}")
        assert sorted(json.loads(line)["local"] for line in lines) == sorted(
            f"127.0.0.1:{end.getsockname()[1]}" for end in (ends[0], ends[2])
        )
        assert err == "portside: destroyed 2 sockets\n"
        for each in (*ends, *accepted):
            each.close()
        with socket.create_connection(("127.0.0.1", port)):
            lines, err = watch("--kill", f"dport = {port}", status=1, prefix=("unshare", "-U"))
        assert lines == []
        assert err.endswith("Operation not permitted\nhint: this needs root (CAP_NET_ADMIN)\n")


def destroys_both_ends() -> None:
    """Where a filter matches both ends, the first takes the other with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
            lines, err = watch("--kill", f"{port}")
        assert len(lines) == 2
        # Where the kernel is late to hand the RST to the other end, that one is destroyed too.
        assert err in ("portside: destroyed 1 socket; 1 had gone before\n", "portside: destroyed 2 sockets\n")


def kill_in_a_network_whose_process_ends() -> None:
    """Between the look and the killing: its number may stand for another network by then."""
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(other_netns())
        namespace = stack.enter_context(Namespace(str(process.pid)))
        listener = stack.enter_context(namespace.run(lambda: socket.create_server(("127.0.0.1", 0))))
        end = listener.getsockname()
        client = stack.enter_context(namespace.run(lambda: socket.create_connection(end)))
        patch = stack.enter_context(pytest.MonkeyPatch.context())

        def look(query: Query) -> Snapshot:
            seen = take_snapshot(query)
            process.communicate()
            return seen

        patch.setattr(watch_table, "take_snapshot", look)
        patch.setattr(watch_table, "write_notice", lambda words: None)
        assert app.run(Watch(filter=(f"dport = {end[1]}",), kill=True, netns=str(process.pid))) == 0
        with pytest.raises(ConnectionAbortedError):
            client.recv(1)


def kill_where_nobody_takes_the_table() -> None:
    """What was done is said all the same."""
    receiving, sending = os.pipe()
    os.close(receiving)
    with socket.create_server(("127.0.0.1", 0)) as listener, open("/dev/full", "wb") as full:
        for output, status in ((full.fileno(), 1), (sending, 0)):
            with socket.create_connection(listener.getsockname()) as client:
                words = [sys.executable, "-m", "portside", "watch", "--kill", f"sport = {client.getsockname()[1]}"]
                done = subprocess.run(words, stdout=output, stderr=subprocess.PIPE, check=False, timeout=30)
                assert done.stderr.decode().splitlines()[0] == "portside: destroyed 1 socket"
                assert done.returncode == status
                with pytest.raises(ConnectionAbortedError):
                    client.recv(1)
    os.close(sending)


def owners_in_another_pid_namespace() -> None:
    apart = ("unshare", "-pf", "--mount-proc")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for source in ("netlink", "proc"):
            (line,), err = watch("-a", "--json", f"sport = {port}", "--source", source, prefix=apart)
            said = "no process that can be seen here holds it"
            assert json.loads(line)["owners"] is None
            assert json.loads(line)["gaps"]["owners"] == said
            assert err == f"portside: {said}: the programs of 1 of these sockets are not known\n"
        lines, err = watch("-a", f"sport = {port} and not program = zzz", prefix=apart)
        assert len(lines) == 1
        assert err == f"portside: {said}: the programs of 1 socket are not known, and no condition on them is true\n"
        # One that waits to be accepted is held by nobody, and that is known.
        with socket.create_connection(listener.getsockname()):
            (line,), err = watch("--json", f"sport = {port}", prefix=apart)
            assert json.loads(line)["owners"] == []
            assert err == ""


def owners_behind_hidepid() -> None:
    run("unshare", "-pf", "--mount-proc", sys.executable, "-m", "integration.watch.in_netns", "behind_hidepid")


def behind_hidepid() -> None:
    """/proc does not show processes that this user may not trace."""
    run("mount", "-o", "remount,hidepid=4", "/proc")  # as 2, but also for the group that we have to be in
    assert ctypes.CDLL(None).prctl(4, 0) == 0  # PR_SET_DUMPABLE
    with socket.create_server(("127.0.0.1", 0)) as listener:
        unprivileged = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
        (line,), err = watch("-a", "--json", f"sport = {listener.getsockname()[1]}", prefix=unprivileged)
        assert json.loads(line)["owners"] is None
        said = "no process that can be seen here holds it"
        assert err == f"portside: {said}: the programs of 1 of these sockets are not known\n"


def names_of_interfaces() -> None:
    """The root of a network may give an interface any name."""
    for name in (b"\x1b[31mEV\x07", b"\xff\xfe0"):
        run("unshare", "-n", sys.executable, "-m", "integration.watch.in_netns", "an_interface_called", name.hex())


def an_interface_called(digits: str) -> None:
    name = bytes.fromhex(digits)
    rename_loopback(name)
    with socket.socket(socket.AF_INET6) as listener, socket.socket(socket.AF_INET6) as client:
        listener.bind(("fe80::1", 0, 0, 1))
        listener.listen()
        # The kernel makes the route a little after the address.
        wait_until(lambda: client.connect_ex(listener.getsockname()) == 0, "a way there")
        for option in ("--once", "--wide", "--summary", "--json"):
            portside = [sys.executable, "-m", "portside", "watch", "-a", option]
            done = subprocess.run(portside, capture_output=True, check=True, timeout=30)
            assert not set(done.stdout) & {0x1B, 0x07, 0xFF}
            shown = escape(name).replace("\\", "\\\\" if option == "--json" else "\\")
            assert f"[fe80::1%{shown}]".encode() in done.stdout


SCENARIOS: dict[str, Callable[[], None]] = {
    test.__name__: test
    for test in (
        other_netns_by_name,
        kill,
        destroys_both_ends,
        kill_in_a_network_whose_process_ends,
        kill_where_nobody_takes_the_table,
        owners_in_another_pid_namespace,
        owners_behind_hidepid,
        names_of_interfaces,
    )
}


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
