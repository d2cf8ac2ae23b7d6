"""What needs a network of its own, run by the tests in ``unshare -Urnm``: python -m integration.watch.namespaced NAME

There this process may do what root may, to a network, to /run and to sockets that nobody else has.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from portside.kernel.netns import Namespace


def watch(*arguments: str, status: int = 0, prefix: tuple[str, ...] = ()) -> tuple[list[str], str]:
    """The lines of standard output, and standard error."""
    words = [*prefix, sys.executable, "-m", "portside", "watch", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == status, done
    return done.stdout.splitlines(), done.stderr


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def another_network_by_name() -> None:
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
        lines, err = watch("--kill", f"sport = {chosen}")
        assert (len(lines), err) == (1, "portside: destroyed 0 sockets\n")
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
        assert err == "portside: destroyed 1 socket; 1 had gone before\n"


TESTS: dict[str, Callable[[], None]] = {
    test.__name__: test for test in (another_network_by_name, kill, destroys_both_ends)
}


if __name__ == "__main__":
    run("ip", "link", "set", "lo", "up")
    TESTS[sys.argv[1]]()
