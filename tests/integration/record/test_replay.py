"""`rec replay` as the client: is what a server answers what was recorded?"""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import Start
from support import DEADLINE_S, Program, connect, free_port, listening_port, read_to_end, reset, wait_until
from transcripts import Line, conversation, damage, record

HELLO: tuple[Line, ...] = ((">", b"hello\n"), ("<", b"HELLO\n"), (">", b"again\n"), ("<", b"AGAIN\n"), "fin")
Handler = Callable[[socket.socket], None]
Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server at a port of its own: each client gets a thread with a handler; what that raises, the test raises."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(8))
        running: list[Future[None]] = []

        def handle(listener: socket.socket, handler: Handler) -> None:
            client, _ = listener.accept()
            with client:
                client.settimeout(DEADLINE_S)
                handler(client)

        def start_serving(handler: Handler, clients: int = 1) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.settimeout(DEADLINE_S)
            running.extend(pool.submit(handle, listener, handler) for _ in range(clients))
            return f"127.0.0.1:{listener.getsockname()[1]}"

        yield start_serving
        for each in running:
            each.result(DEADLINE_S)


@pytest.fixture
def replay(start: Start, tmp_path: Path) -> Callable[..., Program]:
    """Start `rec replay` of a conversation, or of a recording that is there."""

    def start_replay(
        address: str, *lines: Line, conn: str = "1", options: tuple[str, ...] = (), **how: object
    ) -> Program:
        if lines:
            record(tmp_path / "recording", conversation(*lines, **how))  # type: ignore[arg-type]
        return start("rec", "replay", str(tmp_path / "recording"), conn, address, *options)

    return start_replay


Replay = Callable[..., Program]


def upper(client: socket.socket) -> None:
    """Answer each line in capitals, up to the end."""
    with client.makefile("rwb", buffering=0) as file:
        for line in file:
            file.write(line.upper())


def answering(*answers: bytes) -> Handler:
    """Give each line its answer, and then close."""

    def answer(client: socket.socket) -> None:
        with client.makefile("rb") as file:
            for each in answers:
                file.readline()
                client.sendall(each)

    return answer


def last_line(program: Program, status: int) -> str:
    assert program.wait() == status, program.err
    assert program.err == b""
    return program.lines[-1]


def test_the_same_answer(serve: Serve, replay: Replay) -> None:
    program = replay(serve(upper), *HELLO)
    assert last_line(program, 0) == "#1 answered as recorded: 12 B sent, 12 B received"


def test_one_byte_differs(serve: Serve, replay: Replay) -> None:
    program = replay(serve(answering(b"HELLO\n", b"AGaIN\n")), *HELLO)
    said = '#1 differs at byte 8 of what it answered: recorded "HELLO\\nAGAIN\\n" got "HELLO\\nAGaIN\\n"'
    assert last_line(program, 1) == said


def test_json_tells_where(serve: Serve, replay: Replay) -> None:
    program = replay(serve(answering(b"HELLO\n", b"AG\xffIN\n")), *HELLO, options=("--json",))
    assert program.wait() == 1
    (line,) = program.events
    assert line.pop("words").startswith("differs at byte 8")
    assert line == {
        "conn": 1,
        "as_recorded": False,
        "sent": 12,
        "to_send": 12,
        "received": 12,
        "expected": 12,
        "unknown": 0,
        "difference": {
            "offset": 8,
            "before": {"text": "HELLO\nAG"},
            "recorded": {"text": "AIN\n"},
            "got": {"base64": "/0lOCg=="},
        },
        "ended": "closed",
        "ended_recorded": "closed",
    }


def test_a_shorter_answer(serve: Serve, replay: Replay) -> None:
    program = replay(serve(answering(b"HELLO\n", b"AG")), *HELLO)
    assert last_line(program, 1) == "#1 answered 8 B and closed in order; recorded: 12 B"


def test_a_longer_answer(serve: Serve, replay: Replay) -> None:
    program = replay(serve(answering(b"HELLO\n", b"AGAIN\nmore")), *HELLO)
    assert last_line(program, 1) == '#1 answered more than the 12 B recorded: "more"'


def test_a_server_that_talks_on_for_ever(serve: Serve, replay: Replay) -> None:
    def talk_on(client: socket.socket) -> None:
        while True:
            client.sendall(b"HELLO\n")

    def talk(client: socket.socket) -> None:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            talk_on(client)

    program = replay(serve(talk), *HELLO, options=("-w", "3s"))
    assert last_line(program, 1).startswith("#1 differs at byte 6 of what it answered")


def test_a_reset_in_place_of_an_answer(serve: Serve, replay: Replay) -> None:
    def hang_up(client: socket.socket) -> None:
        client.recv(6)
        client.sendall(b"HEL")
        client.recv(1 << 16)  # the replay has got what was sent before, for it waits for more of it
        reset(client)

    lines: tuple[Line, ...] = ((">", b"hello\n"), ("<", b"HEL"), (">", b"x"), ("<", b"LO\n"), "fin")
    program = replay(serve(hang_up), *lines)
    assert last_line(program, 1) == "#1 answered 3 B and reset the connection; recorded: 6 B"


def test_nobody_listens(replay: Replay) -> None:
    address = f"127.0.0.1:{free_port()}"
    program = replay(address, *HELLO)
    assert program.wait() == 1
    assert program.err.startswith(f"portside: cannot connect to {address}: Connection refused\n".encode())
    assert program.out == b""


def test_an_answer_that_never_comes(serve: Serve, replay: Replay) -> None:
    over = threading.Event()

    def stall(client: socket.socket) -> None:
        client.recv(6)
        client.sendall(b"HELLO\n")
        assert over.wait(DEADLINE_S)

    program = replay(serve(stall), *HELLO, options=("-w", "3s"))
    assert last_line(program, 1) == "#1 answered 6 B and then nothing for 3s; recorded: 12 B"
    over.set()


def test_a_shorter_answer_is_not_waited_for_twice(serve: Serve, replay: Replay) -> None:
    heard: list[bytes] = []

    def be_brief(client: socket.socket) -> None:
        with client.makefile("rb") as file:
            while line := file.readline():
                heard.append(line)
                client.sendall(b"A\n")

    lines: list[Line] = [each for number in range(5) for each in ((">", b"%d\n" % number), ("<", b"AB\n"))]
    program = replay(serve(be_brief), *lines, "fin", options=("-w", "2s"))
    assert last_line(program, 1).startswith("#1 differs at byte 1 of what it answered")
    assert heard == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]


def test_a_server_that_takes_nothing(serve: Serve, replay: Replay) -> None:
    over = threading.Event()
    program = replay(serve(lambda _: wait(over)), (">", b"x" * (64 << 20)), "fin", options=("-w", "3s"))
    assert last_line(program, 1).startswith("#1 took nothing for 3s after ")
    over.set()


def wait(event: threading.Event) -> None:
    assert event.wait(DEADLINE_S)


def test_a_server_that_leaves_in_the_middle(serve: Serve, replay: Replay) -> None:
    def leave(client: socket.socket) -> None:
        client.recv(1)
        reset(client)

    program = replay(serve(leave), (">", b"x" * (64 << 20)), "fin")
    assert last_line(program, 1).startswith("#1 reset the connection after ")


@pytest.mark.parametrize("options", [(), ("--speed", "max")])
def test_it_resets_as_the_client_did_when_all_has_arrived(
    serve: Serve, replay: Replay, options: tuple[str, ...]
) -> None:
    def expect_reset(client: socket.socket) -> None:
        missing = 1_000_000
        while missing:
            missing -= len(client.recv(1 << 16))
        with pytest.raises(ConnectionResetError):
            client.recv(1)

    program = replay(serve(expect_reset), (">", b"x" * 1_000_000), reason="peer_reset", options=options)
    assert last_line(program, 0) == "#1 answered as recorded: 1000000 B sent, 0 B received"


def test_a_server_that_closes_first_as_recorded(serve: Serve, replay: Replay) -> None:
    program = replay(serve(answering(b"BYE\n")), (">", b"bye\n"), ("<", b"BYE\n"), reason="local_closed")
    assert last_line(program, 0) == "#1 answered as recorded: 4 B sent, 4 B received"


def test_a_server_that_does_not_close_as_recorded(serve: Serve, replay: Replay) -> None:
    lines: tuple[Line, ...] = ((">", b"bye\n"), ("<", b"BYE\n"))
    program = replay(serve(upper), *lines, reason="local_closed", options=("-w", "3s"))
    assert last_line(program, 1) == "#1 answered as recorded, but did not close; recorded: it closed in order"


def test_a_server_that_resets_as_recorded(serve: Serve, replay: Replay) -> None:
    def answer(client: socket.socket) -> None:
        client.recv(4)
        client.sendall(b"BYE\n")
        reset(client)

    program = replay(serve(answer), (">", b"bye\n"), ("<", b"BYE\n"), reason="local_reset")
    assert last_line(program, 0) == "#1 answered as recorded: 4 B sent, 4 B received"


def test_nobody_expects_the_end_of_a_server_that_was_stopped(serve: Serve, replay: Replay) -> None:
    program = replay(serve(upper), (">", b"bye\n"), ("<", b"BYE\n"), 3_600_000, reason="shutdown")
    assert last_line(program, 0) == "#1 answered as recorded: 4 B sent, 4 B received"


@pytest.mark.parametrize("speed", [None, "1x", "10x"])
def test_pauses_are_kept(serve: Serve, replay: Replay, speed: str | None) -> None:
    pause_s = 0.6 if speed != "10x" else 6.0
    waited: list[float] = []

    def answer(client: socket.socket) -> None:
        for each in (b"HELLO\n", b"AGAIN\n"):
            assert client.recv(6)
            waited.append(time.monotonic())
            client.sendall(each)

    lines: tuple[Line, ...] = (*HELLO[:2], int(pause_s * 1000), *HELLO[2:])
    program = replay(serve(answer), *lines, options=("--speed", speed) if speed else ())
    assert last_line(program, 0).startswith("#1 answered as recorded")
    assert waited[1] - waited[0] >= 0.6


def test_max_speed_has_no_pauses(serve: Serve, replay: Replay) -> None:
    program = replay(serve(upper), *HELLO[:2], 24 * 3_600_000, *HELLO[2:], options=("--speed", "max"))
    assert last_line(program, 0).startswith("#1 answered as recorded")


def test_a_late_answer_moves_all_that_follows(serve: Serve, replay: Replay) -> None:
    waited: list[float] = []

    def answer(client: socket.socket) -> None:
        client.recv(6)
        time.sleep(0.3)  # is what this is about: slower than it was
        waited.append(time.monotonic())
        client.sendall(b"HELLO\n")
        client.recv(6)
        waited.append(time.monotonic())
        client.sendall(b"AGAIN\n")

    program = replay(serve(answer), *HELLO[:2], 200, *HELLO[2:])
    assert last_line(program, 0).startswith("#1 answered as recorded")
    assert waited[1] - waited[0] >= 0.2


def test_100_mb_against_an_echo_that_was_recorded_one_after_the_other(serve: Serve, replay: Replay) -> None:
    """The worst for a replay that would hold what comes too early, or not read it."""
    piece = bytes(range(256)) * 4096

    def echo(client: socket.socket) -> None:
        while data := client.recv(1 << 16):
            client.sendall(data)

    lines: list[Line] = [*[(">", piece)] * 100, *[("<", piece)] * 100, "fin"]  # type: ignore[list-item]
    program = replay(serve(echo), *lines, options=("--speed", "max"))
    assert last_line(program, 0) == f"#1 answered as recorded: {100 << 20} B sent, {100 << 20} B received"


@pytest.mark.parametrize(
    "command",
    [
        ("socat", "TCP-LISTEN:0,bind=127.0.0.1", "EXEC:cat"),
        ("ncat", "-l", "127.0.0.1", "0", "--exec", shutil.which("cat") or "cat"),
    ],
)
def test_against_the_servers_of_others(replay: Replay, command: tuple[str, ...]) -> None:
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            port = wait_until(lambda: listening_port(server.pid), "the server")
            program = replay(f"127.0.0.1:{port}", (">", b"one\n"), ("<", b"one\n"), (">", b"two"), ("<", b"tw0"), "fin")
            said = '#1 differs at byte 6 of what it answered: recorded "one\\ntw0" got "one\\ntwo"'
            assert last_line(program, 1) == said
        finally:
            server.kill()


def test_what_the_server_itself_recorded(start: Start, serve: Serve, replay: Replay, tmp_path: Path) -> None:
    server = start("listen", "127.0.0.1:0", "--record", str(tmp_path / "recording"), "--stdin", stdin=subprocess.PIPE)
    stdin = server.process.stdin
    assert stdin is not None
    with connect(server.port) as client:
        client.sendall(b"question\n")
        server.wait_for("question")
        stdin.write(b"answer\n")
        stdin.flush()
        assert client.recv(100) == b"answer\n"
        stdin.close()
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    server.wait_for("closed by peer")
    assert server.stop() == 0
    program = replay(serve(answering(b"answer\n")))
    assert last_line(program, 0) == "#1 answered as recorded: 9 B sent, 7 B received"
    program = replay(serve(answering(b"answer!\n")))
    assert last_line(program, 1).startswith("#1 differs at byte 6 of what it answered")


def test_all_of_a_recording_overlap_as_they_did(serve: Serve, replay: Replay, tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=DEADLINE_S)

    def answer(client: socket.socket) -> None:
        client.recv(6)
        both.wait()
        client.sendall(b"HELLO\n")

    record(
        tmp_path / "recording",
        [*conversation(*HELLO[:2], "fin"), *conversation(*HELLO[:2], "fin", conn=2, began_ms=50)],
    )
    program = replay(serve(answer, 2), conn="all")
    assert program.wait() == 0
    assert sorted(program.lines) == [f"#{n} answered as recorded: 6 B sent, 6 B received" for n in (1, 2)]


def test_all_one_after_the_other_without_pauses(serve: Serve, replay: Replay, tmp_path: Path) -> None:
    pieces = [conversation(*HELLO, conn=conn, began_ms=300 - conn) for conn in range(1, 6)]
    record(tmp_path / "recording", *pieces)
    program = replay(serve(upper, 5), conn="all", options=("--speed", "max", "--json"))
    assert program.wait() == 0
    assert [line["conn"] for line in program.events] == [5, 4, 3, 2, 1]


def test_one_that_fails_is_a_line_among_the_others(replay: Replay, tmp_path: Path) -> None:
    record(tmp_path / "recording", conversation(*HELLO), conversation(*HELLO, conn=2))
    address = f"127.0.0.1:{free_port()}"
    program = replay(address, conn="all", options=("--speed", "max"))
    refused = f"cannot connect to {address}: Connection refused"
    assert program.wait() == 1
    assert program.lines == [f"#{conn} failed: {refused}" for conn in (1, 2)]
    program = replay(address, conn="all", options=("--speed", "max", "--json"))
    assert program.wait() == 1
    error = {"as_recorded": False, "error": refused, "words": f"failed: {refused}"}
    assert program.events == [{"conn": conn, **error} for conn in (1, 2)]


def test_answers_that_are_lost_are_not_the_same(serve: Serve, replay: Replay, tmp_path: Path) -> None:
    whole = conversation((">", b"hello\n"), ("<", b"HELLO\n"), ("<", b"AGAIN\n"), "fin")
    record(tmp_path / "recording", whole[:3], whole[3:4], whole[4:])
    damage(tmp_path / "recording", b"AGAIN")
    program = replay(serve(answering(b"HELLO\nwhatev")))
    said = "#1 answered as recorded, as far as that is known: 6 B are missing in the recording"
    assert last_line(program, 1) == said


def test_what_is_lost_cannot_be_sent(serve: Serve, replay: Replay, tmp_path: Path) -> None:
    whole = conversation((">", b"hello\n"), (">", b"again\n"), "fin")
    record(tmp_path / "recording", whole[:2], whole[2:3], whole[3:])
    damage(tmp_path / "recording", b"again")

    def hear(client: socket.socket) -> None:
        assert read_to_end(client) == b"hello\n"

    program = replay(serve(hear))
    assert program.wait() == 1
    assert program.err == b"portside: the replay: 6 B that are to be sent now are missing in the recording\n"


def test_ctrl_c_ends_it_at_once(serve: Serve, replay: Replay) -> None:
    heard = threading.Event()

    def hear(client: socket.socket) -> None:
        heard.set()
        assert read_to_end(client) == b""

    program = replay(serve(hear), 3_600_000, *HELLO)
    assert heard.wait(DEADLINE_S)
    assert program.stop() == -signal.SIGINT
    assert program.err == b""


def test_a_reader_of_the_results_that_leaves_ends_it(start: Start, tmp_path: Path) -> None:
    pieces = [conversation(*HELLO, conn=conn, began_ms=3_600_000 * (conn > 2)) for conn in range(1, 4)]
    path = record(tmp_path / "recording", *pieces)
    reader, writer = os.pipe()
    os.close(reader)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # to which nobody may come any more
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        program = start("rec", "replay", path, "all", address, "--speed", "max", stdout=writer)
        os.close(writer)
        assert program.wait() == 0


def test_wrong_usage(start: Start, tmp_path: Path) -> None:
    path = record(tmp_path / "recording", conversation(*HELLO))
    for address, words in (("1-9", "is a range of ports"), ("0", "nobody can be reached"), ("a b", "is no")):
        program = start("rec", "replay", path, "1", address)
        assert program.wait() == 2
        assert words in program.err.decode()
    program = start("rec", "replay", path, "1", "localhost", "0")  # HOST PORT, as everywhere
    assert program.wait() == 2
    assert b"nobody can be reached at port 0" in program.err
    program = start("rec", "replay", path, "7", "1")
    assert program.wait() == 1
    assert b"connection 7: it is not in" in program.err


def test_a_recording_of_nothing(start: Start, tmp_path: Path) -> None:
    path = record(tmp_path / "recording")
    program = start("rec", "replay", path, "all", "1")
    assert program.wait() == 1
    assert program.err.endswith(b": it holds no connection\n")


def test_json_is_one_object_a_line(serve: Serve, replay: Replay, tmp_path: Path) -> None:
    record(tmp_path / "recording", conversation(*HELLO), conversation(*HELLO, conn=2))
    program = replay(serve(upper, 2), conn="all", options=("--json", "--speed", "max"))
    assert program.wait() == 0
    assert [json.loads(line)["conn"] for line in program.lines] == [1, 2]
