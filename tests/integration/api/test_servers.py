"""``portside.listen``: handlers, connections, events, behaviours of the command, and what it leaves alone."""

import asyncio
import contextlib
import gc
import io
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path

import pytest
from api_runs import LOOPS, run, wait_for

import portside


async def echo(connection: portside.Connection) -> None:
    while data := await connection.receive():
        await connection.send(data)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_handler_serves_each_connection(loop: str) -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo, greet="hi\\n") as server:
            assert server.addresses == (f"127.0.0.1:{server.port}",)
            async with portside.connect(server.addresses[0]) as one, portside.connect(server.port) as two:
                for number, each in enumerate((one, two)):
                    await each.send(b"%d\nrest" % number)
                    await each.half_close()
                    assert [line async for line in each.lines()] == [b"hi\n", b"%d\n" % number, b"rest"]
                    assert each.tls is None
            assert one.reason == two.reason == "peer_closed"
        assert server.is_closed
        assert server.port == 0

    run(main(), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_without_a_handler_connections_are_accepted(loop: str) -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0") as server:
            async with portside.connect(server.port) as client:
                connection = await server.accept()
                assert (connection.number, connection.peer, connection.local) == (1, client.local, client.peer)
                assert list(server.connections) == [connection]
                await client.send(b"\0\3abc\0\0")
                frames = connection.frames("length:u16be")
                assert [await anext(frames), await anext(frames)] == [b"\0\3abc", b"\0\0"]
                await connection.send(b"bye")
                await connection.close()
                assert await client.receive() == b"bye"
                assert await client.receive() == b""
                await client.close()
                assert (client.reason, connection.reason) == ("peer_closed", "local_closed")
                assert (client.closed_by, connection.closed_by) == ("peer", "local")
                assert (client.received_bytes, client.sent_bytes) == (3, 7)
            assert not server.connections

    run(main())


def test_transcripts_are_the_lines_of_listen() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo) as server:
            async with portside.connect(server.port) as client:
                await client.send(b"hello\x1b\n")
                assert await client.receive() == b"hello\x1b\n"
        lines = [line.partition("  ")[2] for line in str(client.transcript).splitlines()]
        assert lines[:3] == [
            f"#1 {client.peer}  connected",
            f"#1 {client.peer}  < hello\\x1b",
            f"#1 {client.peer}  > hello\\x1b",
        ]
        assert lines[3].startswith(f"#1 {client.peer}  closed here after ")
        assert client.transcript.received == client.transcript.sent == b"hello\x1b\n"
        assert [type(event) for event in client.transcript] == [
            portside.Opened,
            portside.Sent,
            portside.Received,
            portside.Closed,
        ]

    run(main())


def test_a_transcript_is_bounded_and_says_what_it_lacks() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", transcript="4k") as server:
            async with portside.connect(server.port, transcript=0) as client:
                connection = await server.accept()
                for _ in range(100):
                    await client.send(b"x" * 100)
                    await connection.receive()
                transcript = connection.transcript
                assert len(transcript.received) < 4096
                assert transcript.dropped_bytes + len(transcript.received) == 10_000
                assert str(transcript).startswith(f"-- {transcript.dropped_events} earlier events")
                assert list(client.transcript) == []

    run(main())


def test_events_come_in_order_until_the_server_stops() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", echo=True) as server:
            events = server.events()
            async with portside.connect(server.port) as client:
                await client.send(b"ping")
                assert await client.receive() == b"ping"
        names = [event.event async for event in events]
        assert names == ["opened", "received", "sent", "half_closed", "closed", "stopped"]

    run(main())


def test_events_that_are_not_taken_hold_the_clients_up_and_lose_nothing() -> None:
    block = b"x" * 65536

    async def main() -> None:
        async with portside.listen("127.0.0.1:0", echo=False, handler=swallow) as server:
            events = server.events()
            async with portside.connect(server.port, transcript=0) as client:

                async def flood() -> None:
                    for _ in range(400):
                        await client.send(block)
                    await client.half_close()

                flooding = asyncio.create_task(flood())
                (connection,) = await wait_for(lambda: server.connections, "the connection")
                await wait_for(lambda: connection._connection.read_paused, "the pause")
                assert not flooding.done()
                received = 0
                async for event in events:
                    if isinstance(event, portside.Received):
                        received += len(event.data)
                    if isinstance(event, portside.HalfClosed):
                        break
                assert received == 400 * len(block)
                await flooding
            await events.aclose()

    async def swallow(connection: portside.Connection) -> None:
        while await connection.receive():
            pass

    run(main())


def test_a_stream_of_events_that_is_dropped_holds_nobody_up() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo, transcript=0) as server:
            server.events()
            gc.collect()
            await wait_for(lambda: not server._server.shows_received, "the end of the stream")

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_options_are_those_of_the_command(loop: str, tmp_path: Path) -> None:
    output, recording = tmp_path / "events.jsonl", tmp_path / "rec"

    async def main() -> None:
        async with (
            portside.listen(
                "127.0.0.1:0",
                reply=["ping => pong\\n", "/q(.*)/ => bye"],
                fault="latency 1ms",
                idle_timeout="1m",
                keepalive=None,
                output=output,
                record=recording,
                record_mode=0o640,
                max_conns=1,
                allow="127.0.0.0/8",
            ) as server,
            portside.connect(server.port) as client,
        ):
            await client.send(b"ping\n")
            assert await client.receive() == b"pong\n"
            async with portside.connect(server.port) as more:
                assert await more.receive() == b""
            (connection,) = server.connections
            with pytest.raises(RuntimeError, match="is read by --reply"):
                await connection.receive()
            await connection.send(b"besides")
            assert await client.receive() == b"besides"

    run(main(), loop)
    assert '"event":"refused"' in output.read_text()
    with portside.Recording(str(recording)) as opened:
        assert [each.received for each in opened.connections()] == [5]


def test_a_program_of_exec_runs_in_any_loop() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", exec="cat") as server, portside.connect(server.port) as client:
            await client.send(b"through cat\n")
            assert await client.receive() == b"through cat\n"

    run(main())


def test_relays_are_seen_and_end() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo) as upstream:
            async with portside.listen("127.0.0.1:0", forward=upstream.addresses[0]) as relay:
                async with portside.connect(relay.port) as client:
                    await client.send(b"through")
                    assert await client.receive() == b"through"
                    assert relay.connections[0].transcript.sent == b"through"

    run(main())


def test_tls_and_what_the_handshake_agreed_on() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo, tls=True, tls_alpn=["echo"]) as server:
            async with portside.connect(server.port, tls=True, tls_verify=False, tls_alpn="echo,none") as client:
                await client.send(b"secret")
                assert await client.receive() == b"secret"
                assert client.tls is not None
                assert (client.tls.version, client.tls.alpn) == ("TLSv1.3", "echo")
                await client.half_close()
                assert await client.receive() == b""

    run(main())


def test_the_kernels_facts_of_a_connections_own_socket() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0") as server, portside.connect(server.port) as client:
            connection = await server.accept()
            await client.send(b"12345")
            await wait_for(lambda: connection.received_bytes == 5, "the bytes")
            for each, other in ((client, connection), (connection, client)):
                facts = await each.kernel()
                assert (facts.local, facts.remote, facts.state) == (each.local, other.local, "ESTABLISHED")
                assert [owner.pid for owner in facts.owners or ()] == [os.getpid()]
                assert facts.info
            await connection.close()
            with pytest.raises(ConnectionError, match="connection 1 is gone: local_closed"):
                await connection.kernel()

    run(main())


def test_a_unix_socket_has_no_row_in_the_table(tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/socket"

    async def main() -> None:
        async with portside.listen(path, handler=echo) as server:
            assert (server.addresses, server.port, server.host) == ((path,), 0, "")
            async with portside.connect(path) as client:
                await client.send(b"x")
                assert await client.receive() == b"x"
                with pytest.raises(portside.PortsideError, match="no kernel facts: it is a unix socket"):
                    await client.kernel()

    run(main())
    assert os.listdir(tmp_path) == []


def test_drain_waits_for_the_clients() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo) as server:
            port = server.port
            async with portside.connect(port) as client:
                await wait_for(lambda: server.connections, "the connection")
                draining = asyncio.create_task(server.drain())
                await wait_for(lambda: server.port == 0, "the port to close")
                with pytest.raises(portside.PortsideError, match="Connection refused"):
                    await portside.connect(f"127.0.0.1:{port}")
                await client.send(b"still served")
                assert await client.receive() == b"still served"
                assert not draining.done()
            await draining
            assert server.is_closed
        async with portside.listen("127.0.0.1:0", handler=echo) as server:
            async with portside.connect(server.port) as client:
                await wait_for(lambda: server.connections, "the connection")
                await server.drain(within="10ms")
                assert await client.receive() == b""

    run(main())


def test_two_servers_in_one_loop_have_nothing_in_common(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"

    async def main() -> None:
        rules.write_text('[[rule]]\nequals = "ping"\nanswer = "one"\n')
        async with portside.listen("127.0.0.1:0", rules=rules) as one:
            rules.write_text('[[rule]]\nequals = "ping"\nanswer = "two"\n')
            async with portside.listen("127.0.0.1:0", rules=rules) as two:
                for server, answer in ((one, b"one"), (two, b"two"), (one, b"one")):
                    async with portside.connect(server.port) as client:
                        await client.send(b"ping\n")
                        assert await client.receive() == answer
                await one.close()
                async with portside.connect(two.port) as client:
                    await client.send(b"ping\n")
                    assert await client.receive() == b"two"

    run(main())


def test_the_process_is_left_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def state() -> list[object]:
        return [
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)],
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            resource.getrlimit(resource.RLIMIT_NOFILE),
            gc.get_freeze_count(),
            gc.get_threshold(),
            (sys.unraisablehook, sys.excepthook, sys.stderr, sys.path[:]),
            logging.getLogger("portside").level,
            sorted(key for key in os.environ if key != "PYTEST_CURRENT_TEST"),
        ]

    async def main() -> None:
        options = {"tls": True, "record": tmp_path / "rec", "fault": ["corrupt 0.01"], "sh_exec": "echo on stderr >&2"}
        async with portside.listen("127.0.0.1:0", **options) as server:  # type: ignore[arg-type]
            async with portside.connect(server.port, tls=True, tls_verify=False) as client:
                with contextlib.suppress(ConnectionError):
                    await client.receive()

    before = state()
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(err):
        inside = state()
        with caplog.at_level(logging.INFO, "portside"):
            inside[6] = logging.INFO
            run(main())
            assert state() == inside
    assert state() == before
    assert err.getvalue() == ""
    assert "a throw-away certificate, SHA-256 " in caplog.text
    assert "recording to " in caplog.text
    assert "--fault-seed " in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"echo": True, "chat": True}, "listen: --echo and --chat exclude each other"),
        ({"tls_cert": "a.pem"}, "listen: --tls-cert goes with --tls"),
        ({"idle_timeout": 0}, "listen: argument -i/--idle-timeout: the duration must be at least 1ms"),
        ({"idle_timeout": "5 parsecs"}, "listen: argument -i/--idle-timeout: '5 parsecs' is no duration"),
        ({"idle_timout": 5}, "listen: there is no option idle_timout"),
        ({"echo": "yes"}, "listen: argument --echo: 'yes' is neither True nor False"),
        ({"frame": "fixed:0"}, "listen: argument --frame: "),
        ({"send_proxy": "v3"}, "listen: argument --send-proxy: 'v3' is none of v1, v2"),
        ({"fault": ["latency"]}, "listen: argument --fault: "),
        ({"max_conns": True}, "listen: argument --max-conns: True is no N"),
        ({"idle_timeout": float("nan")}, "listen: argument -i/--idle-timeout: nan is no DURATION"),
        ({"reply": ["a => b"], "handler": echo}, "listen: --handler and --reply exclude each other"),
        ({"fault": ["latency 1s upstream"]}, "listen: a fault upstream goes with --forward"),
    ],
)
def test_wrong_options_are_refused_in_the_words_of_the_command(options: dict[str, object], words: str) -> None:
    async def main() -> None:
        with pytest.raises(portside.UsageError) as caught:
            await portside.listen("127.0.0.1:0", **options)  # type: ignore[arg-type]
        assert str(caught.value).startswith(words)
        assert isinstance(caught.value, portside.PortsideError)

    run(main())


def test_a_port_that_is_taken_names_who_has_it() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(portside.PortsideError) as caught:
                await portside.listen(f"127.0.0.1:{port}")
        assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"
        assert str(os.getpid()) in str(caught.value.hint)

    run(main())
