"""`rec replay --as server`: a client gets what the recorded client got."""

import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Start
from support import DEADLINE_S, Program, connect, read_to_end, reset
from transcripts import Line, conversation, record

PAGE = b"<html>\n" + b"<p>line</p>\n" * 5000 + b"</html>\n"
REQUEST = b"GET /page HTTP/1.1\r\nHost: example.test\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE
Act = Callable[..., Program]


@pytest.fixture
def act(start: Start, tmp_path: Path) -> Act:
    """Start `rec replay --as server` of conversations, at a port of its own."""

    def start_act(
        *conversations: list[object], where: str = "127.0.0.1:0", conn: str = "1", options: tuple[str, ...] = ()
    ) -> Program:
        path = record(tmp_path / "recording", *conversations)  # type: ignore[arg-type]
        program = start("rec", "replay", path, conn, where, "--as", "server", *options)
        program.wait_for("listening on |cannot", err=True)
        return program

    return start_act


def last_line(program: Program, status: int) -> str:
    assert program.wait() == status, program.err
    return program.lines[-1]


def curl(program: Program, *options: str) -> bytes:
    command = ("curl", "--silent", "--show-error", "--max-time", "30", "-A", "test", *options)
    address = f"127.0.0.1:{program.port}"
    return subprocess.run((*command, f"http://{address}/page"), check=True, capture_output=True).stdout


@pytest.mark.parametrize("reason", ["peer_closed", "local_closed", "shutdown"])
def test_curl_gets_the_same_page(act: Act, reason: str) -> None:
    ends: tuple[Line, ...] = ("fin",) if reason == "peer_closed" else ()
    program = act(conversation((">", REQUEST), ("<", ANSWER), *ends, reason=reason))  # type: ignore[arg-type]
    assert curl(program, "-H", "Host: example.test") == PAGE
    said = f"#1 sent as recorded: {len(ANSWER)} B sent, {len(REQUEST)} B received"
    assert last_line(program, 0) == said


def test_curl_asks_otherwise_and_gets_the_page_all_the_same(act: Act) -> None:
    program = act(conversation((">", REQUEST), ("<", ANSWER), reason="local_closed"), options=("--json",))
    assert curl(program, "-H", "Host: e.test") == PAGE
    assert program.wait() == 1
    (line,) = program.events
    assert line["difference"]["offset"] == REQUEST.index(b"xample")
    assert line["sent"] == len(ANSWER)


def test_a_client_that_asks_longer_gets_its_answer_at_once(act: Act) -> None:
    program = act(conversation((">", REQUEST), ("<", ANSWER), reason="local_closed"))
    assert curl(program, "-H", "Host: a.longer.example.test") == PAGE
    assert last_line(program, 1).startswith("#1 differs at byte ")


@pytest.mark.parametrize("command", [("nc", "-N"), ("ncat",), ("socat", "-t10", "-")])
def test_the_clients_of_others(act: Act, command: tuple[str, ...]) -> None:
    program = act(conversation((">", b"one\n"), "fin", ("<", b"two\n"), reason="peer_closed"))
    if command[0] == "socat":
        arguments: tuple[str, ...] = (*command, f"TCP:127.0.0.1:{program.port}")
    else:
        arguments = (*command, "127.0.0.1", str(program.port))
    out = subprocess.run(arguments, input=b"one\n", check=True, capture_output=True, timeout=DEADLINE_S).stdout
    assert out == b"two\n"
    assert last_line(program, 0) == "#1 sent as recorded: 4 B sent, 4 B received"


def test_our_reset_as_recorded(act: Act) -> None:
    program = act(conversation((">", b"one\n"), ("<", b"two\n"), reason="local_reset"))
    with connect(program.port) as client:
        client.sendall(b"one\n")
        assert client.recv(4, socket.MSG_WAITALL) == b"two\n"
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert last_line(program, 0) == "#1 sent as recorded: 4 B sent, 4 B received"


def test_the_reset_of_a_client_as_recorded(act: Act) -> None:
    program = act(conversation((">", b"one\n"), reason="peer_reset"))
    with connect(program.port) as client:
        client.sendall(b"one\n")
        reset(client)
    assert last_line(program, 0) == "#1 sent as recorded: 0 B sent, 4 B received"


def test_a_client_that_does_not_finish_as_recorded(act: Act) -> None:
    program = act(conversation((">", b"one\n"), "fin", ("<", b"two\n")), options=("-w", "3s"))
    with connect(program.port) as client:
        client.sendall(b"one\n")
        assert client.recv(4, socket.MSG_WAITALL) == b"two\n"
        said = "#1 sent as recorded, but did not close; recorded: it closed in order"
        assert last_line(program, 1) == said


def test_what_a_client_says_after_our_end_is_nothing_that_was_recorded(act: Act) -> None:
    program = act(conversation((">", b"one\n"), ("<", b"two\n"), reason="local_closed"))
    with connect(program.port) as client:
        client.sendall(b"one\n")
        assert read_to_end(client) == b"two\n"
        client.sendall(b"and more")
    assert last_line(program, 0) == "#1 sent as recorded: 4 B sent, 4 B received"


def test_all_in_the_order_of_their_beginnings(act: Act) -> None:
    program = act(
        conversation(("<", b"second"), reason="local_closed", conn=1, began_ms=10),
        conversation(("<", b"first"), reason="local_closed", conn=2),
        conversation(("<", b"third"), reason="local_closed", conn=3, began_ms=20),
        conn="all",
    )
    for expected in (b"first", b"second", b"third"):
        with connect(program.port) as client:
            assert read_to_end(client) == expected
    assert program.wait() == 0
    assert sorted(line[:3] for line in program.lines) == ["#1 ", "#2 ", "#3 "]


def test_several_at_once(act: Act) -> None:
    conversations = [conversation((">", b"%d" % n), ("<", b"%d" % n), "fin", conn=n, began_ms=n) for n in range(1, 6)]
    program = act(*conversations, conn="all", options=("--speed", "max"))
    clients = [connect(program.port) for _ in conversations]
    for number, client in reversed(list(enumerate(clients, 1))):
        client.sendall(b"%d" % number)
        assert client.recv(1) == b"%d" % number
        client.close()
    assert program.wait() == 0


def test_a_bare_port_is_every_interface(act: Act) -> None:
    program = act(conversation(("<", b"hello"), reason="local_closed"), where="0")
    program.wait_for("listening on 0.0.0.0:", err=True)
    with connect(program.port) as client:
        assert read_to_end(client) == b"hello"
    assert program.wait() == 0


@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM])
def test_a_unix_socket_leaves_no_file(act: Act, tmp_path: Path, number: signal.Signals | None) -> None:
    where = tmp_path / "socket"
    program = act(conversation(("<", b"hello"), reason="local_closed"), where=f"unix:{where}")
    if number is not None:
        program.signal(number)
        assert program.wait() == -number
    else:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(DEADLINE_S)
            client.connect(str(where))
            assert read_to_end(client) == b"hello"
        assert program.wait() == 0
    assert not where.exists()


def test_a_port_that_is_taken(act: Act) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        program = act(conversation(("<", b"hello"), reason="local_closed"), where=address)
        assert program.wait() == 1
    assert program.err.startswith(f"portside: cannot listen on {address}".encode())


def test_every_ipv6_address_is_said_to_be_ipv6_alone(act: Act) -> None:
    program = act(conversation(("<", b"banner\n"), reason="local_closed"), where="[::]:0")
    program.wait_for(r"^portside: \[::\]:\d+ takes IPv6 clients alone\nhint: ", err=True)
    with connect(program.port, "::1") as client:
        assert read_to_end(client) == b"banner\n"
    assert program.wait() == 0
