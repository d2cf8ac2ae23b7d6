"""The pytest plugin on bad days: tests that die, clients that misbehave, forks, interrupts, patched sockets."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from integration.testing.test_failures import ALONE, has, outcome
from support import wait_until

LEAVES_SOCKETS = ("-W", "ignore::ResourceWarning", "-W", "ignore::pytest.PytestUnraisableExceptionWarning")
"""For tests that do not close what they have opened."""


def test_a_test_that_dies_in_the_middle(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_dies(tcp_server):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        tcp_server.expect(b"C\\n").reply(b"D\\n")
        client = socket.create_connection((tcp_server.host, tcp_server.port))
        client.sendall(b"A\\n")
        assert client.recv(2) == b"B\\n"
        raise SystemExit(4)

    def test_next(tcp_server):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        assert talk(tcp_server.port, b"A\\n") == b"B\\n"
    """,
        *LEAVES_SOCKETS,
        failed=1,
        passed=1,
    )
    has(shown, "SystemExit: 4", "- tcp_server -", 'b"C\\n" did not come', "< B")


def test_a_client_that_connects_too_often(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_often(tcp_server):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        assert talk(tcp_server.port, b"A\\n") == b"B\\n"
        for _ in range(1499):
            with socket.create_connection((tcp_server.host, tcp_server.port)) as client:
                try:
                    client.recv(1)
                except ConnectionResetError:
                    pass
        assert len(tcp_server.connections) == 1000
    """,
        failed=1,
    )
    has(
        shown,
        "tcp_server: connection #2 from 127.0.0.1:",
        " was not expected",
        "on_connection(2) or every_connection() of the server gives it one",
        "so are 999 more connections",
    )
    assert len(shown) < 20_000


def test_a_client_that_sends_garbage(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    import os

    def garbage(port):
        client = socket.create_connection(("127.0.0.1", port), timeout=30)
        try:
            client.sendall(os.urandom(1 << 20))
            client.shutdown(socket.SHUT_WR)
            client.recv(1)
        except OSError:
            pass
        client.close()

    def test_bytes(tcp_server):
        tcp_server.expect(b"A\\n")
        garbage(tcp_server.port)

    def test_expression(tcp_server):
        tcp_server.expect(re.compile(rb"[a-z]{40}\\n"))
        garbage(tcp_server.port)

    def test_frames(tcp_server):
        tcp_server.expect(b"\\0\\0\\0\\1x", frame="length:u32be")
        garbage(tcp_server.port)
    """,
        "--tb=short",
        failed=3,
    )
    assert len(shown) < 60_000
    assert re.search(r"[^\n\x20-\x7e\u00a0-\U0010ffff]", shown) is None  # nothing of it reaches the terminal as it is


def test_memory_is_bounded(tcp_server: "object") -> None:
    from support import connect

    from portside.testing import TcpServer

    assert isinstance(tcp_server, TcpServer)
    tcp_server.expect(re.compile(rb"(?s).{2000000}END")).reply(b"never")
    with connect(tcp_server.port) as client, suppress(ConnectionResetError, BrokenPipeError):
        for _ in range(1000):
            client.sendall(bytes(1 << 20))
        raise AssertionError("everything was taken")
    (problem,) = tcp_server._player.problems  # type: ignore[union-attr]
    assert len(problem.got) == 4096
    assert problem.size < 3 << 20
    tcp_server._player.problems.clear()  # type: ignore[union-attr]
    tcp_server._scripts.first.groups.clear()


def test_a_port_that_is_taken(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_taken(tcp_server, tcp_server_factory):
        tcp_server_factory(address=tcp_server.address)

    def test_next(tcp_server):
        pass
    """,
        failed=1,
        passed=1,
    )
    assert "opening.py" not in shown  # the traceback ends in the test
    has(shown, "PortInUseError: cannot listen on 127.0.0.1:", "Address already in use")


def test_a_loop_that_is_closed_under_a_conversation(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    import asyncio
    import gc
    import warnings

    def test_closed(tcp_server):
        tcp_server.expect(b"A\\n").reply(b"B\\n")

        async def half_a_conversation():
            global reader, writer
            reader, writer = await asyncio.open_connection(tcp_server.host, tcp_server.port)
            writer.write(b"A\\n")
            assert await reader.readline() == b"B\\n"

        loop = asyncio.new_event_loop()
        loop.run_until_complete(half_a_conversation())
        loop.close()
        assert not tcp_server.connections[0].is_closed

    def test_of_the_plugin_itself(tcp_server):
        tcp_server.thread.stop()

    def test_next(tcp_server):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        assert talk(tcp_server.port, b"A\\n") == b"B\\n"
    """,
        *LEAVES_SOCKETS,
        passed=2,
        failed=1,
    )
    has(shown, "test_of_the_plugin_itself", "the thread of the servers has ended")


def test_a_fork_in_a_test(pytester: pytest.Pytester, alone: None) -> None:
    pytester.makepyfile(
        """
    import os
    import socket
    import sys

    def test_fork(tcp_server):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        pid = os.fork()
        if not pid:
            sys.exit(7)  # through pytest: the child reports, and tears down what it has
        _, status = os.waitpid(pid, 0)
        with socket.create_connection((tcp_server.host, tcp_server.port), timeout=30) as client:
            client.sendall(b"A\\n")
            assert client.recv(2) == b"B\\n"

    def test_exits_at_once(tcp_server):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
        with socket.create_connection((tcp_server.host, tcp_server.port), timeout=30) as client:
            client.sendall(b"A\\n")
            assert client.recv(2) == b"B\\n"
    """
    )
    result = pytester.runpytest_subprocess(*ALONE, "-W", "ignore::DeprecationWarning", timeout=100)
    last = result.outlines[-1]
    assert "2 passed" in last, result.stdout.str()
    assert "did not come" not in result.stdout.str()  # the child checks nothing


def test_ctrl_c(pytester: pytest.Pytester, tmp_path: Path, alone: None) -> None:
    pytester.makepyfile(
        f"""
    import pathlib
    import socket

    def test_waits(tcp_server):
        tcp_server.expect(b"A\\n")
        with socket.create_connection((tcp_server.host, tcp_server.port)) as client:
            pathlib.Path({os.fspath(tmp_path)!r}, "waits").touch()
            client.recv(1)
    """
    )
    output = tmp_path / "output"
    command = [sys.executable, "-m", "pytest", *ALONE]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, cwd=pytester.path)
        wait_until((tmp_path / "waits").exists, "the test to wait")
        process.send_signal(signal.SIGINT)
        status = process.wait(60)
    shown = output.read_text()
    assert status == 2, shown
    assert "KeyboardInterrupt" in shown
    assert "INTERNALERROR" not in shown
    assert "did not come" not in shown


def test_two_plugins_that_patch_sockets(pytester: pytest.Pytester) -> None:
    outcome(
        pytester,
        """
    @pytest.fixture
    def counted(monkeypatch):
        class Counted(socket.socket):
            made = 0

            def __init__(self, *arguments, **keywords):
                Counted.made += 1
                super().__init__(*arguments, **keywords)

        monkeypatch.setattr(socket, "socket", Counted)
        return Counted

    @pytest.fixture
    def broken(monkeypatch, counted):
        class Broken(socket.socket):
            def __init__(self, *arguments, **keywords):
                raise RuntimeError("no sockets here")

        monkeypatch.setattr(socket, "socket", Broken)
        return counted

    @pytest.mark.usefixtures("broken")
    def test_all(request, monkeypatch, counted):
        tcp_server = request.getfixturevalue("tcp_server")
        tcp_server.expect(b"A\\n").reply(b"B\\n").close()
        tcp_server.on_connection(2).expect(b"A\\n").reset()
        monkeypatch.setattr(socket, "socket", counted)
        assert talk(tcp_server.port, b"A\\n") == b"B\\n"
        assert talk(tcp_server.port, b"A\\n") is None
        assert counted.made == 2
        assert tcp_server.connections[1].closed_by == "local"
    """,
        passed=1,
    )
