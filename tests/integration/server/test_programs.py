"""``--exec``, ``--sh-exec`` and ``--handler``."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import Start
from support import (
    DEADLINE_S,
    Program,
    connect,
    connect_many,
    fill,
    has_ended,
    memory_kib,
    read_to_end,
    reset,
    wait_until,
)

import portside


def read_line(client: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = client.recv(1)
        assert piece, line
        line += piece
    return line


def test_a_program_for_each_client(listen: Start) -> None:
    server = listen("--exec", "rev")
    for text in (b"abc\n", b"xyz\n"):
        done = subprocess.run(
            ["nc", "-N", "127.0.0.1", str(server.port)], input=text, capture_output=True, timeout=30, check=True
        )
        assert done.stdout == text.strip()[::-1] + b"\n"
    assert server.stop() == 0


@pytest.mark.parametrize("stdin", ["--stdin", "--no-stdin"])
def test_crlf_of_what_a_program_writes(listen: Start, stdin: str) -> None:
    """A CR LF that the program divides over two writes stays one line end."""
    server = listen("-c", "printf 'a\\nb\\r'; read go; printf '\\nc\\n\\n'", "-C", stdin)
    with connect(server.port) as client:
        assert client.recv(5, socket.MSG_WAITALL) == b"a\r\nb\r"
        client.sendall(b"go\n")
        assert read_to_end(client) == b"\nc\r\n\r\n"
    assert server.stop() == 0


def test_its_environment_and_its_standard_error(listen: Start) -> None:
    names = (
        "NCAT_REMOTE_ADDR NCAT_REMOTE_PORT NCAT_LOCAL_PORT TCPREMOTEIP TCPREMOTEPORT TCPLOCALPORT "
        "SOCAT_PEERADDR SOCAT_PEERPORT SOCAT_SOCKPORT PROTO NCAT_PROTO PORTSIDE_CONN"
    )
    words = " ".join(f"${name}" for name in names.split())
    server = listen("-c", f"echo {words}; printf 'a\\033b' >&2")
    with connect(server.port) as client:
        port = client.getsockname()[1]
        told = read_to_end(client).decode().split()
        ours = str(server.port)
    assert told == ["127.0.0.1", str(port), ours] * 1 + ["127.0.0.1", str(port), ours] * 2 + ["TCP", "TCP", "1"]
    server.wait_for(r"portside: #1: a\\x1bb$", err=True)


@pytest.mark.parametrize("options", [(), ("--tls",), ("--fault", "latency 1ms")])
def test_a_reset_after_fin(listen: Start, options: tuple[str, ...]) -> None:
    """Nothing is left to be read there, and nothing is being written."""
    server = listen("-c", "echo $$; exec sleep 1000", "--format", "json", *options)
    client = connect(server.port)
    if "--tls" in options:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = context.wrap_socket(client)
    pid = int(read_line(client))
    client.shutdown(socket.SHUT_WR)
    server.wait_for('"half_closed"')
    reset(client)
    server.wait_for('"event":"closed".*"reason":"peer_reset"')
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the program to end and to be reaped")


def test_fin_after_ours_ends_it(listen: Start) -> None:
    server = listen("-c", "echo $$; exec 1>&-; exec sleep 1000", "--format", "json")
    with connect(server.port) as client:
        pid = int(read_to_end(client))
        client.shutdown(socket.SHUT_WR)
        server.wait_for('"event":"closed".*"reason":"peer_closed"')
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the program to end and to be reaped")


def test_half_close_both_ways(listen: Start) -> None:
    server = listen("-c", "cat >/dev/null; echo got all; exec 1>&-; sleep 1000")
    with connect(server.port) as client:
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"got all\n"


def test_it_and_its_children_end_with_the_connection(listen: Start) -> None:
    server = listen("-c", "sleep 1000 & echo $$ $!; wait")
    with connect(server.port) as client:
        pids = [int(word) for word in read_line(client).split()]
        assert not any(map(has_ended, pids))
        reset(client)
    wait_until(lambda: all(map(has_ended, pids)), "the end of the program and its child")
    assert server.stop() == 0


def test_one_that_does_not_heed_sigterm_ends_with_the_server(listen: Start) -> None:
    server = listen("-c", "trap '' TERM; echo $$; while :; do sleep 1000; done")
    with connect(server.port) as client:
        pid = int(read_line(client))
        assert server.stop() == 0
    wait_until(lambda: has_ended(pid), "its end")


def test_one_that_dies_by_a_signal(listen: Start) -> None:
    server = listen("-c", "echo $$; exec sleep 1000")
    with connect(server.port) as client:
        os.kill(int(read_line(client)), signal.SIGKILL)
        assert client.recv(1) == b""
    server.wait_for("closed")


def test_a_flood_to_a_client_that_does_not_read(listen: Start) -> None:
    server = listen("-c", "exec yes", "--format", "raw", stdout=subprocess.DEVNULL)
    with connect(server.port) as client, connect(server.port) as reader:
        before = memory_kib(server.process.pid)
        for _ in range(300):
            assert reader.recv(1 << 18)
        assert memory_kib(server.process.pid) - before < 20_000
        assert client.recv(2) == b"y\n"


def test_one_that_does_not_read_holds_its_client_back(listen: Start) -> None:
    server = listen("--exec", "sleep 1000", "--format", "raw", stdout=subprocess.DEVNULL)
    with connect(server.port) as client:
        before = memory_kib(server.process.pid)
        fill(client)
        assert memory_kib(server.process.pid) - before < 20_000


def test_as_many_as_may_be(listen: Start) -> None:
    server = listen("--exec", "cat", "--max-conns", "2")
    with connect_many(3, server.port) as clients:
        server.wait_for("refused: max_conns")
        clients[0].sendall(b"x")
        assert clients[0].recv(1) == b"x"


def test_one_that_ends_before_its_output_is_looked_at_is_heard(listen: Start) -> None:
    server = listen("--exec", "echo hi", "--format", "raw", stdout=subprocess.DEVNULL)
    with connect_many(80, server.port) as clients:
        assert [read_to_end(client) for client in clients] == [b"hi\n"] * 80


@pytest.mark.parametrize("half_closes", [False, True])
@pytest.mark.parametrize("size", [3_050_000, 3_100_000, 3_150_000])
def test_a_client_that_pauses_gets_all_that_a_program_wrote_before_it_ended(
    listen: Start, size: int, half_closes: bool
) -> None:
    server = listen("--sh-exec", f"head -c {size} /dev/zero; echo $$ >&2", "--format", "json")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(DEADLINE_S)
        client.connect(("127.0.0.1", server.port))
        if half_closes:
            client.shutdown(socket.SHUT_WR)
        wait_until(lambda: not has_room(client, server.port), "the server to be stuck")
        threading.Event().wait(1.2)  # longer than a program that has ended is waited for
        assert len(read_to_end(client)) == size
    server.wait_for(f'"closed".*"sent":{size}')


def has_room(client: socket.socket, port: int) -> bool:
    """Whether what the server sends to a client still moves; it does not when its queue is as full as it was."""
    here = f"127.0.0.1:{client.getsockname()[1]}"

    def queue() -> int:
        return sum(row.send_q or 0 for row in portside.sockets(f"src 127.0.0.1:{port} dst {here}", owners=False))

    before = queue()
    threading.Event().wait(0.1)
    return not before or queue() != before


# The first process of a PID namespace, which takes notice of orphans that have ended, as that of a machine does. Its
# server would wait for longer than a test takes for what does not end.
INIT = """
import os, signal, subprocess, sys, threading
patient = "import portside.behaviours.process_group as p; p.TERMINATES_S = 1e6; from portside.cli import main; main()"
server = subprocess.Popen([sys.executable, "-c", patient, *sys.argv[1:]], stdin=subprocess.DEVNULL)
def end():
    sys.stdin.read()
    server.send_signal(signal.SIGINT)
threading.Thread(target=end, daemon=True).start()
while True:
    pid, status = os.wait()
    if pid == server.pid:
        os._exit(os.waitstatus_to_exitcode(status))
"""


def test_the_end_of_the_run_waits_no_longer_than_the_children_take(start: Start) -> None:
    command = ("unshare", "--map-root-user", "--pid", "--fork", sys.executable, "-c", INIT)
    server = start("listen", "127.0.0.1:0", "--sh-exec", "cat | cat", command=command, stdin=subprocess.PIPE)
    with connect(server.port) as client:
        client.sendall(b"x\n")
        assert read_line(client) == b"x\n"
        assert server.process.stdin
        server.process.stdin.close()
        assert client.recv(1) == b""
        assert server.wait() == 0


def test_no_such_program(start: Start) -> None:
    program = start("listen", "127.0.0.1:0", "--exec", "/no/such/program")
    assert program.wait() == 1
    assert program.err.startswith(b"portside: --exec: there is no program /no/such/program")


HANDLERS = """
import asyncio, os

async def echo(connection):
    await connection.send(b"hi\\n")
    async for line in connection.lines():
        if line == b"boom\\n":
            raise ValueError("bad \\x1b")
        if line == b"block\\n":
            open(os.environ["GO"]).close()  # a FIFO: it blocks, which no handler should
        if line == b"reset\\n":
            await connection.reset()
            return
        await connection.send(f"{connection.number} {connection.peer} ".encode() + line.upper())

async def frames(connection):
    async for frame in connection.frames("fixed:3"):
        await connection.send(b"<" + frame + b">")

async def flood(connection):
    while True:
        await connection.send(b"z" * 100_000)

async def deaf(connection):
    await asyncio.Event().wait()

def plain(connection):
    pass

async def cleans_up(connection):
    await connection.send(b"here")
    try:
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(0.01)
        print("cleaned", flush=True)

async def cancelled(connection):
    task = asyncio.create_task(asyncio.sleep(1000))
    asyncio.get_running_loop().call_soon(task.cancel)
    await task

async def fails_to_connect(connection):
    await asyncio.open_connection("127.0.0.1", 1)

async def one_stream(connection):
    async for line in connection.lines():
        break
    parts = [line, await connection.receive(2)]
    async for frame in connection.frames("fixed:3"):
        parts.append(frame)
        break
    async for line in connection.lines():
        parts.append(line)
        break
    async for line in connection.lines():
        parts.append(line)
    await connection.send(repr(parts).encode())

async def sends_what_is_no_bytes(connection):
    for wrong in (3, "text", None, [1, 2], 1.5):
        try:
            await connection.send(wrong)
        except TypeError as error:
            await connection.send(str(error).encode() + b"\\n")
    await connection.send(bytearray(b"abc"))
    await connection.send(memoryview(b"abcdef")[::2])

async def prints(connection):
    print("printed \x1b")
    os.write(1, b"written\\n")
    (await asyncio.create_subprocess_exec("echo", "from a program"))
    await connection.send(await connection.receive())

async def sends_after_fin(connection):
    await connection.finish()
    try:
        await connection.send(b"x")
    except ConnectionError as error:
        print(f"refused: {error}", flush=True)

print("LOADED", flush=True)
"""


@pytest.fixture
def handlers(tmp_path: Path) -> str:
    path = tmp_path / "handlers.py"
    path.write_text(HANDLERS)
    return str(path)


def test_a_handler(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:echo")
    with connect(server.port) as client:
        port = client.getsockname()[1]
        client.sendall(b"abc\ndef")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client).decode() == f"hi\n1 127.0.0.1:{port} ABC\n1 127.0.0.1:{port} DEF"
    server.wait_for("closed")
    assert server.stop() == 0


def test_the_example_of_the_docs(listen: Start) -> None:
    example = Path(__file__).parents[3] / "examples/greeter.py"
    server = listen("--handler", f"{example}:greet")
    with connect(server.port) as client:
        assert read_line(client) == b"who are you?\n"
        client.sendall(b"anna\n")
        assert read_line(client).startswith(b"hello anna, you come from 127.0.0.1:")


def test_modules_beside_a_handler_come_after_installed_ones(listen: Start, tmp_path: Path) -> None:
    for name in ("uvloop", "msgspec", "numpy", "asyncio"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the file beside the handler was run')\n")
    (tmp_path / "greetings.py").write_text("MORNING = b'good morning\\n'\n")
    (tmp_path / "greet.py").write_text(
        "import greetings\n\n\nasync def greet(connection):\n    await connection.send(greetings.MORNING)\n"
    )
    server = listen("--handler", f"{tmp_path}/greet.py:greet")
    with connect(server.port) as client:
        assert read_to_end(client) == b"good morning\n"
    assert server.stop() == 0
    assert server.err == b""


def test_frames_of_a_handler(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:frames")
    done = subprocess.run(
        ["nc", "-N", "127.0.0.1", str(server.port)], input=b"abcdefgh", capture_output=True, timeout=30, check=True
    )
    assert done.stdout == b"<abc><def><gh>"


def test_one_that_raises_is_shown_and_its_connection_closed(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:echo", "--format", "json")
    with connect(server.port) as client, connect(server.port) as other:
        client.sendall(b"boom\n")
        assert read_to_end(client) == b"hi\n"
        other.sendall(b"x\n")
        assert read_line(other) == b"hi\n"
        assert read_line(other).endswith(b" X\n")
    server.wait_for('"reason":"error"')
    server.wait_for(rf'portside: #1:   File "{handlers}", line \d+, in echo', err=True)
    server.wait_for(r"portside: #1: ValueError: bad \\x1b", err=True)
    assert b"asyncio" not in server.err


def test_one_that_resets(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:echo", "--format", "json")
    with connect(server.port) as client:
        read_line(client)
        client.sendall(b"reset\n")
        with pytest.raises(ConnectionResetError):
            read_to_end(client)
    server.wait_for('"reason":"local_reset"')


def test_one_that_blocks_does_not_stop_the_server(listen: Start, handlers: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    server = listen("--handler", f"{handlers}:echo", "--format", "json", env={"GO": str(go)})
    with connect(server.port) as client, connect(server.port) as other:
        read_line(client)
        read_line(other)
        client.sendall(b"block\n")
        other.sendall(b"seen meanwhile\n")
        server.wait_for("seen meanwhile")
        assert b'"text":"1 ' not in server.out  # the handler has not answered yet
        go.open("w").close()
        assert read_line(client).endswith(b" BLOCK\n")


def test_a_handler_that_never_reads(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:deaf", "--format", "raw", stdout=subprocess.DEVNULL)
    with connect(server.port) as client:
        before = memory_kib(server.process.pid)
        fill(client)
        assert memory_kib(server.process.pid) - before < 20_000
    assert server.stop() == 0


def test_a_handler_that_floods_a_client_that_does_not_read(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:flood", "--format", "raw", stdout=subprocess.DEVNULL)
    with connect(server.port) as client, connect(server.port) as reader:
        before = memory_kib(server.process.pid)
        for _ in range(300):
            assert reader.recv(1 << 18)
        assert memory_kib(server.process.pid) - before < 30_000
        assert client.recv(1) == b"z"


@pytest.mark.parametrize(
    ("where", "status", "words"),
    [
        ("{}:plain", 2, b"plain in"),
        ("{}:nobody", 2, b"is no async function"),
        ("{}", 2, b"names no function"),
        ("/no/such.py:f", 1, b"there is no file"),
    ],
)
def test_what_is_no_handler(start: Start, handlers: str, where: str, status: int, words: bytes) -> None:
    program: Program = start("listen", "127.0.0.1:0", "--handler", where.format(handlers))
    assert program.wait() == status
    assert words in program.err
    assert b"Traceback" not in program.err


def test_a_file_that_cannot_be_run(start: Start, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import nothing_of_this_name\n")
    program = start("listen", "127.0.0.1:0", "--handler", f"{tmp_path}/bad.py:f")
    assert program.wait() == 1
    assert b"No module named" in program.err
    assert b"Traceback" not in program.err


def test_a_handlers_file_is_run_once(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:echo")
    with connect(server.port) as client:
        read_line(client)
    assert server.stop() == 0
    assert server.err.count(b"LOADED") == 1
    assert b"LOADED" not in server.out


def test_a_handler_may_do_what_it_does_last(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:cleans_up")
    with connect(server.port) as client:
        assert client.recv(4) == b"here"
        assert server.stop() == 0
    assert b"cleaned" in server.err
    assert b"Traceback" not in server.err
    assert b"destroyed" not in server.err


@pytest.mark.parametrize(
    ("name", "words"), [("cancelled", "CancelledError"), ("fails_to_connect", "ConnectionRefused")]
)
def test_what_a_handler_raises_is_never_taken_for_the_clients_end(
    listen: Start, handlers: str, name: str, words: str
) -> None:
    server = listen("--handler", f"{handlers}:{name}", "--format", "json")
    with connect(server.port) as client:
        assert read_to_end(client) == b""
    server.wait_for('"reason":"error"')
    server.wait_for(words, err=True)


def test_the_ways_of_reading_share_one_stream(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:one_stream")
    with connect(server.port) as client:
        client.sendall(b"first\nabcdefg\nlast\nrest")
        client.shutdown(socket.SHUT_WR)
        parts = [b"first\n", b"ab", b"cde", b"fg\n", b"last\n", b"rest"]
        assert read_to_end(client) == repr(parts).encode()


def test_a_handler_sends_bytes_alone(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:sends_what_is_no_bytes")
    with connect(server.port) as client:
        *errors, sent = read_to_end(client).split(b"\n")
    names = [re.match(rb"send\(\) takes bytes, not (\w+)", error) for error in errors]
    assert [match and match[1] for match in names] == [b"int", b"str", b"NoneType", b"list", b"float"]
    assert sent == b"abcace"


def test_what_a_handler_prints_is_not_in_the_data(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:prints", "--format", "raw")
    server.wait_for("listening", err=True)
    port = int(re.findall(rb"listening on 127\.0\.0\.1:(\d+)", server.err)[0])
    with connect(port) as client:
        client.sendall(b"data")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"data"
    server.wait_for("from a program", err=True)
    assert server.stop() == 0
    assert server.out == b"data"
    for words in (b"LOADED\n", b"printed \\x1b\n", b"written\n", b"from a program\n"):
        assert words in server.err


def test_what_is_sent_after_fin_is_refused(listen: Start, handlers: str) -> None:
    server = listen("--handler", f"{handlers}:sends_after_fin")
    with connect(server.port) as client:
        assert read_to_end(client) == b""
    server.wait_for("refused: connection 1 has been half-closed from this side", err=True)
    assert b"internal error" not in server.err


def test_a_second_ctrl_c_ends_programs_too(listen: Start) -> None:
    server = listen("-c", "trap '' TERM; echo $$; while :; do sleep 1000; done")
    with connect(server.port) as client:
        pid = int(read_line(client))
        server.signal(signal.SIGINT)
        assert client.recv(1) == b""
        server.signal_until_end(signal.SIGINT)
        assert server.wait() == 1
    wait_until(lambda: has_ended(pid), "its end")


def test_the_client_that_was_first_to_close_is_told_so(listen: Start) -> None:
    server = listen("--exec", "cat", "--format", "json")
    for _ in range(20):
        with connect(server.port) as client:
            client.sendall(b"x")
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b"x"
    server.wait_for('"closed"', count=20)
    assert {event["reason"] for event in server.events if event["event"] == "closed"} == {"peer_closed"}


def test_standard_input_goes_on_when_one_client_gets_no_more(listen: Start) -> None:
    server = listen("-c", "exec 1>&-; cat >/dev/null", "--stdin", stdin=subprocess.PIPE)
    with connect(server.port) as first:
        assert first.recv(1) == b""  # it has had its FIN
        with connect(server.port) as second:
            assert second.recv(1) == b""
            assert server.process.stdin
            server.process.stdin.write(b"a line\n")
            server.process.stdin.flush()
            first.sendall(b"x")
            server.wait_for("> x")
    assert b"internal error" not in server.err
