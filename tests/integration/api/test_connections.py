"""``portside.connect``: what it connects to, how it fails, and how connections end."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from api_runs import LOOPS, run, wait_for
from certificates import Authority
from support import free_port, reset

import portside


async def echo(connection: portside.Connection) -> None:
    while data := await connection.receive():
        await connection.send(data)


def command_fails(*arguments: str) -> tuple[str, str]:
    """The error and the hint of ``portside connect``."""
    done = subprocess.run(
        [sys.executable, "-m", "portside", "connect", *arguments],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode != 0
    error, _, hint = done.stderr.partition("\nhint: ")
    return error.removeprefix("portside: ").rstrip("\n"), hint.rstrip("\n")


@pytest.fixture
def closed_port() -> int:
    return free_port()


def test_failures_have_the_words_of_the_command(closed_port: int, tmp_path: Path) -> None:
    async def main() -> None:
        for address, options, arguments in (
            (f"127.0.0.1:{closed_port}", {}, ()),
            (closed_port, {}, ()),
            ("no-such-name.invalid:1", {}, ()),
            (f"unix:{tmp_path}/nobody", {}, ()),
            ("127.0.0.1:0", {}, ()),
            ("127.0.0.1:1-9", {}, ()),
            ("1 2 3", {}, ()),
            (f"127.0.0.1:{closed_port}", {"ipv6": True}, ("-6",)),
            (f"127.0.0.1:{closed_port}", {"source": "192.0.2.1"}, ("-s", "192.0.2.1")),
            (f"127.0.0.1:{closed_port}", {"proxy": f"socks5://127.0.0.1:{closed_port}"},
             ("--proxy", f"socks5://127.0.0.1:{closed_port}")),
            (f"127.0.0.1:{closed_port}", {"tls_ca": "x.pem"}, ("--tls-ca", "x.pem")),
            (closed_port, {"tls": True, "tls_ca": "/nonexistent"}, ("--tls", "--tls-ca", "/nonexistent")),
        ):  # fmt: skip
            with pytest.raises(portside.PortsideError) as caught:
                await portside.connect(address, **options)
            words, hint = command_fails(str(address), *arguments)
            assert str(caught.value) == words
            assert hint.startswith(str(caught.value.hint or ""))

    run(main())


def test_a_certificate_that_is_not_trusted_has_the_commands_words(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.sign("server")

    async def main() -> None:
        options = {"tls": True, "tls_cert": files.certificate, "tls_key": files.key}
        async with portside.listen("127.0.0.1:0", handler=echo, **options) as server:  # type: ignore[arg-type]
            address = server.addresses[0]
            with pytest.raises(portside.PortsideError) as caught:
                await portside.connect(address, tls=True)
            told = await asyncio.to_thread(command_fails, address, "--tls")
            assert (str(caught.value), caught.value.hint) == told
            async with portside.connect(address, tls=True, tls_ca=authority.path) as client:
                assert client.tls is not None
                assert client.tls.peer == "CN=server"
        async with portside.listen("127.0.0.1:0", handler=echo) as server:
            with pytest.raises(portside.PortsideError) as caught:
                await portside.connect(server.port, tls=True, timeout="20s")
            assert str(caught.value).startswith(f"no TLS with 127.0.0.1:{server.port}: ")

    run(main())


def test_retries_until_the_server_is_there(closed_port: int) -> None:
    async def main() -> None:
        connecting = asyncio.create_task(_opened(closed_port))
        await asyncio.sleep(0)
        async with portside.listen(f"127.0.0.1:{closed_port}", handler=echo), await connecting as client:
            await client.send(b"x")
            assert await client.receive() == b"x"

    async def _opened(port: int) -> portside.Connection:
        return await portside.connect(f"127.0.0.1:{port}", retry=None, retry_interval="5ms")

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_peer_that_resets_is_an_error_after_what_it_sent(loop: str) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with portside.connect(listener.getsockname()[1]) as client:
                peer = listener.accept()[0]
                peer.sendall(b"last words\nrest")
                await wait_for(lambda: client.received_bytes == 15, "the bytes")
                reset(peer)
                assert [await anext(client.lines())] == [b"last words\n"]
                assert await client.receive() == b"rest"
                with pytest.raises(ConnectionResetError, match="connection 1 is gone: peer_reset"):
                    await client.receive()
                with pytest.raises(ConnectionResetError, match="peer_reset"):
                    await client.send(b"x")
                assert (client.reason, client.closed_by, client.is_closed) == ("peer_reset", "peer", True)

    run(main(), loop)


def test_reset_is_seen_by_the_peer() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0") as server, portside.connect(server.port) as client:
            connection = await server.accept()
            await connection.reset()
            with pytest.raises(ConnectionResetError):
                await client.receive()
            assert connection.reason == "local_reset"

    run(main())


def test_half_close_lets_the_peer_answer() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0") as server, portside.connect(server.port) as client:
            connection = await server.accept()
            await client.send(b"question")
            await client.half_close()
            with pytest.raises(ConnectionError, match="half-closed from this side"):
                await client.send(b"more")
            assert b"".join([part async for part in connection.frames("none")]) == b"question"
            await connection.send(b"answer")
            await connection.close()
            assert await client.receive() == b"answer"
            assert await client.receive() == b""

    run(main())


@pytest.mark.parametrize(
    ("framing", "data", "messages"),
    [
        ("none", b"abc", [b"abc"]),
        ("lines", b"a\nb\r\nc", [b"a\n", b"b\r\n", b"c"]),
        ("delim:00", b"a\0b\0", [b"a\0", b"b\0"]),
        ("fixed:2", b"aabbc", [b"aa", b"bb", b"c"]),
        ("length:u8", b"\1a\0\2bb", [b"\1a", b"\0", b"\2bb"]),
        ("length:u16le@1", b"x\1\0ay\0\0", [b"x\1\0a", b"y\0\0"]),
        ("length:u24be", b"\0\0\1a", [b"\0\0\1a"]),
        ("length:u32be-4", b"\0\0\0\5a", [b"\0\0\0\5a"]),
        ("idle:20ms", b"abc", [b"abc"]),
    ],
)
def test_messages_of_every_framing(framing: str, data: bytes, messages: list[bytes]) -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0") as server, portside.connect(server.port) as client:
            connection = await server.accept()
            await client.send(data)
            await client.half_close()
            assert [message async for message in connection.frames(framing)] == messages

    run(main())


def test_a_framing_that_is_none_is_a_value_error() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo) as server, portside.connect(server.port) as client:
            with pytest.raises(ValueError, match="'x' is no size"):
                await anext(client.frames("fixed:x"))
            with pytest.raises(TypeError, match="takes bytes, not str"):
                await client.send("text")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="most must be at least 1"):
                await client.receive(0)

    run(main())


def test_idle_connections_end() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0") as server:
            async with portside.connect(server.port, idle_timeout=0.02) as client:
                await client.wait_closed()
                assert (client.reason, client.closed_by) == ("idle_timeout", "local")
                with pytest.raises(ConnectionResetError, match="idle_timeout"):
                    await client.receive()

    run(main())


def test_a_connection_is_recorded_whole_when_it_is_closed(tmp_path: Path) -> None:
    recording = tmp_path / "rec"

    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo) as server:
            for number in (1, 2):
                async with portside.connect(server.port, record=recording) as client:
                    assert client.number == number
                    await client.send(b"ping")
                    assert await client.receive() == b"ping"

    run(main())
    with portside.Recording(str(recording)) as opened:
        assert [(each.sent, each.received, each.reason) for each in opened.connections()] == [
            (4, 4, "local_closed")
        ] * 2


def test_many_at_once() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo) as server:

            async def talk(number: int) -> None:
                async with portside.connect(server.port) as client:
                    await client.send(b"%d" % number)
                    assert await client.receive() == b"%d" % number

            await asyncio.gather(*(talk(number) for number in range(100)))

    run(main())
