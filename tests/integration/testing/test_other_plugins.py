"""The pytest plugin beside others: xdist, socket, timeout, asyncio and anyio; and its recordings."""

import re
import subprocess
import sys

import anyio  # noqa: F401 - what the runs of pytest in this process use is loaded once
import pytest
import trio  # noqa: F401
from integration.testing.test_failures import ALONE, QUIET, has, outcome

import portside

BOTH = """
    import pytest
    import socket

    def talk(port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"A\\n")
            return client.recv(2)

    @pytest.mark.parametrize("number", range(8))
    def test_many(tcp_server, number):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        assert talk(tcp_server.port) == b"B\\n"

    def test_fails(tcp_server):
        tcp_server.expect(b"B\\n")
        talk(tcp_server.port)
"""


def test_xdist(pytester: pytest.Pytester, alone: None) -> None:
    pytester.makepyfile(BOTH)
    result = pytester.runpytest_subprocess(*ALONE, "-p", "xdist", "-n", "2", "--portside-record", "kept", timeout=100)
    result.assert_outcomes(passed=8, failed=1)
    has(result.stdout.str(), 'tcp_server: connection #1 did not send b"B\\n" but b"A\\n"', "transcript of", "recorded:")
    assert len(list((pytester.path / "kept").iterdir())) == 1


def test_blocked_sockets(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import pytest
    import socket

    def talk(port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"A\\n")
            return client.recv(2)

    def test_blocked(tcp_server):
        with pytest.warns(UserWarning):
            talk(tcp_server.port)

    @pytest.mark.enable_socket
    def test_enabled(tcp_server):
        tcp_server.expect(b"A\\n").reply(b"B\\n").close()
        assert talk(tcp_server.port) == b"B\\n"

    @pytest.mark.allow_hosts(["127.0.0.1"])
    def test_allowed(tcp_server, tcp_proxy):
        tcp_server.expect(b"A\\n").reply(b"B\\n").close()
        assert talk(tcp_proxy(tcp_server).port) == b"B\\n"

    def test_a_server_works_all_the_same(tcp_server, socket_enabled):
        tcp_server.expect(b"A\\n").reply(b"B\\n").close()
        assert talk(tcp_server.port) == b"B\\n"

    def test_a_proxy_says_so(tcp_proxy):
        with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="--allow-hosts=127.0.0.1"):
            tcp_proxy("127.0.0.1:1")
    """
    )
    result = pytester.runpytest_inprocess(*QUIET, "--disable-socket")
    result.assert_outcomes(passed=4, failed=1)
    has(result.stdout.str(), "SocketBlockedError", "- portside -", "--allow-hosts=127.0.0.1", "- tcp_server -")


def test_a_server_of_a_process_in_which_sockets_are_blocked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import subprocess
    import sys
    import textwrap

    CLIENT = '''
    import socket, sys
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as client:
        client.sendall(b"A")
        assert client.recv(1) == b"B"
        assert client.recv(1) == b""
    '''

    def test_blocked(tcp_server, tcp_server_factory):
        tcp_server.expect(b"A").reply(b"B").close()
        other = tcp_server_factory(tls=True)
        code = textwrap.dedent(CLIENT)
        subprocess.run([sys.executable, "-c", code, str(tcp_server.port)], check=True, timeout=60)
        assert tcp_server.connections[0].closed_by == "peer"
    """
    )
    result = pytester.runpytest_inprocess(*QUIET, "--disable-socket")
    result.assert_outcomes(passed=1)


def test_timeout(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_hangs(tcp_server):
        tcp_server.expect(b"A\\n")
        tcp_server.expect(b"B\\n").reply(b"C\\n")
        with socket.create_connection((tcp_server.host, tcp_server.port)) as client:
            client.sendall(b"A\\n")
            client.recv(1)
    """,
        "--timeout=0.3",
        "--timeout-method=signal",
        failed=1,
    )
    has(shown, "Timeout", "- tcp_server -", 'b"B\\n" did not come', "> A")


def test_asyncio(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import asyncio
    import pytest

    @pytest.fixture
    async def client(tcp_server):
        reader, writer = await asyncio.open_connection(tcp_server.host, tcp_server.port)
        yield reader, writer
        writer.write(b"QUIT\\n")
        writer.close()
        await writer.wait_closed()

    async def test_good(tcp_server, client, tcp_leaks):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        tcp_server.expect(b"QUIT\\n")
        reader, writer = client
        writer.write(b"A\\n")
        assert await reader.readline() == b"B\\n"

    async def test_bad(tcp_server):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        reader, writer = await asyncio.open_connection(tcp_server.host, tcp_server.port)
        writer.write(b"X\\n")
        assert await reader.read() == b""
        writer.close()
    """
    )
    quiet = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-W", "error")
    options = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    result = pytester.runpytest_inprocess(*quiet, *options)
    result.assert_outcomes(passed=1, failed=1)
    has(result.stdout.str(), 'tcp_server: connection #1 did not send b"A\\n" but b"X\\n"')


def test_anyio_on_both_loops(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import anyio
    import pytest

    pytestmark = pytest.mark.anyio

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(request):
        return request.param

    @pytest.fixture
    async def client(tcp_server):
        async with await anyio.connect_tcp(tcp_server.host, tcp_server.port) as stream:
            yield stream
            await stream.send(b"QUIT\\n")

    async def test_good(tcp_server, client):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        tcp_server.expect(b"QUIT\\n")
        await client.send(b"A\\n")
        assert await client.receive() == b"B\\n"
    """
    )
    result = pytester.runpytest_inprocess(*QUIET)
    result.assert_outcomes(passed=2)


def test_recordings_of_failed_tests(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    @pytest.mark.parametrize("answer", ["B", "X/Y\\n"])
    def test_one(tcp_server, tcp_client, answer):
        tcp_server.expect(b"A\\n").reply(b"B")
        client = tcp_client(tcp_server)
        client.send(b"A\\n")
        assert client.receive() == answer.encode()

    def test_unexpected(tcp_server):
        talk(tcp_server.port, b"surprise")
    """,
        "--portside-record",
        "kept",
        passed=1,
        failed=2,
    )
    folders = sorted((pytester.path / "kept").iterdir())
    names = [
        "test_recordings_of_failed_tests.py-test_one-X-Y-n--tcp_client",
        "test_recordings_of_failed_tests.py-test_one-X-Y-n--tcp_server",
        "test_recordings_of_failed_tests.py-test_unexpected-tcp_server",
    ]
    assert [folder.name for folder in folders] == names
    for name in names:
        assert f"recorded: portside rec show {pytester.path}/kept/{name}" in shown or f"rec show kept/{name}" in shown
    assert next(iter(portside.Recording(str(folders[2])).connections())).received == 8
    to = pytester.path / "surprise.pcapng"
    command = [sys.executable, "-m", "portside", "rec", "export", str(folders[2]), str(to)]
    subprocess.run(command, check=True, timeout=60)
    assert b"surprise" in to.read_bytes()


def test_a_run_that_does_not_use_it_loads_nothing(pytester: pytest.Pytester, alone: None) -> None:
    pytester.makepyfile(
        """
    import sys

    def test_plain(tmp_path):
        found = {name for name in sys.modules if name.partition(".")[0] in ("portside", "uvloop", "msgspec")}
        assert found == {"portside", "portside.testing", "portside.testing.plugin"}
    """
    )
    result = pytester.runpytest_subprocess(*ALONE, timeout=100)
    result.assert_outcomes(passed=1)


def test_the_fixtures_are_listed(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*QUIET, "--fixtures")
    for name in ("tcp_server", "tcp_server_factory", "tcp_client", "tcp_proxy", "tcp_leaks"):
        assert re.search(rf"^{name} -- .*plugin.py:\d+\n    [A-Z]", result.stdout.str(), re.MULTILINE), name
