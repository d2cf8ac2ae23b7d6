"""``portside ctl`` and its client before a server that is none of ours and means harm."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, repeat

import pytest
from support import DEADLINE_S

from portside import cli
from portside.control.client import http_client
from portside.control.client.exchange import Api
from portside.control.client.http_client import ApiError, ControlClient, Unreachable, api_of_link
from portside.errors import PortsideError

Answers = Callable[[bytes], Iterator[bytes]]
"""From a request to what is sent for it, in pieces."""


@contextmanager
def impostor(answers: Answers) -> Iterator[Api]:
    """A server that answers each request with what a function gives for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    client.settimeout(DEADLINE_S)
                    request = b""
                    while b"\r\n\r\n" not in request:
                        request += client.recv(65536)
                    for piece in answers(request):
                        client.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Api("impostor", None, "127.0.0.1", listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE_S)
            assert not thread.is_alive()


def always(*pieces: bytes) -> Answers:
    return lambda _request: iter(pieces)


def of_json(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = b"1" * (1 << 20)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"SSH-2.0-OpenSSH\r\n"], id="another protocol"),
        pytest.param([b""], id="nothing"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"], id="less than it declares"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} "], id="two lengths"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"], id="a length below 0"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
            id="a length and chunks",
        ),
        pytest.param([CHUNKED, b"fffffffffffffffff\r\n{}"], id="a chunk too large to count"),
        pytest.param([CHUNKED, b"-2\r\n{}\r\n0\r\n\r\n"], id="a chunk below 0"),
        pytest.param([CHUNKED, b"2\r\n{}\r\n"], id="chunks without an end"),
        pytest.param([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"], id="101"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n" * 10], id="100 again and again"),
        pytest.param([b"HTTP/1.1 200 OK\r\n", *repeat(b"A: " + b"x" * 1000 + b"\r\n", 400)], id="many headers"),
        pytest.param([b"HTTP/1.1 200 OK\r\nA: ", *repeat(b"x" * 1000, 400)], id="a long header"),
        pytest.param([CHUNKED, *repeat(b"100000\r\n" + MIB + b"\r\n", 40)], id="40 MiB"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\n", *repeat(MIB, 40)], id="40 MiB up to the end"),
        pytest.param([of_json(b"[" * 100_000)], id="a deep nest"),
        pytest.param([of_json(b'{"a":NaN}')], id="NaN"),
        pytest.param([of_json(b"9" * 100_000)], id="a long number"),
        pytest.param([of_json(b'"\xff"')], id="no UTF-8"),
        pytest.param([of_json(b"\x00{}")], id="no JSON"),
    ],
)
def test_what_is_no_answer_is_refused(pieces: list[bytes]) -> None:
    with impostor(always(*pieces)) as api, pytest.raises(Unreachable) as refused:
        ControlClient(api).request("GET", "/api/v1/server")
    assert str(refused.value).startswith("impostor: ")


def test_a_redirection_is_not_followed() -> None:
    elsewhere = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with impostor(always(elsewhere)) as api:
        assert ControlClient(api).request("GET", "/api/v1/server") is None


def test_an_answer_that_trickles_in_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece comes in time, and all of them together do not."""
    monkeypatch.setattr(http_client, "TIMEOUT_S", 0.3)

    def drip(_request: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        while True:
            time.sleep(0.02)
            yield b" "

    with impostor(drip) as api, pytest.raises(Unreachable, match="no answer within"):
        ControlClient(api).request("GET", "/api/v1/server")


def test_a_list_without_an_end_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "_MOST_ITEMS", 50)
    numbers = count()

    def page(_request: bytes) -> Iterator[bytes]:
        yield of_json(json.dumps({"items": [{}] * 20, "next": str(next(numbers))}).encode())

    with impostor(page) as api, pytest.raises(Unreachable, match="more than 50 items"):
        list(ControlClient(api).pages("/api/v1/connections", {}))
    empty = of_json(b'{"items":[],"next":"again"}')
    with impostor(always(empty)) as api:
        assert len(list(ControlClient(api).pages("/api/v1/connections", {}))) == 1


def test_a_line_without_an_end_is_refused() -> None:
    pieces = [CHUNKED, b"b\r\n" + b'{"seq": 1}\n' + b"\r\n", *repeat(b"100000\r\n" + MIB + b"\r\n", 20)]
    with impostor(always(*pieces)) as api:
        stream = ControlClient(api).lines("/api/v1/events")
        assert next(stream) == {"seq": 1}
        with pytest.raises(Unreachable, match="a line of its answer has more than"):
            next(stream)


def test_a_stream_can_be_closed_from_another_thread() -> None:
    def wait(_request: bytes) -> Iterator[bytes]:
        yield CHUNKED
        while True:
            time.sleep(0.02)
            yield b"1\r\n\n\r\n"

    with impostor(wait) as api:
        stream = ControlClient(api).lines("/api/v1/events")
        closer = threading.Timer(0.1, stream.close)
        closer.start()
        assert list(stream) == []
        closer.join()
        assert list(stream) == []


def run(api: Api, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run ``portside ctl`` in this process: its status, output and errors."""
    with pytest.raises(SystemExit) as end:
        cli.main(["ctl", *words, "--server", f"http://{api.host}:{api.port}/#token"])
    assert isinstance(end.value.code, int)
    return (end.value.code, *capfd.readouterr())


ESCAPES = "a\x1b]0;owned\x07\x1b[2J\n\r\u202eb\x9b1m"
ROW = {
    "conn": 1, "peer": ESCAPES, "state": ESCAPES, "age": 1, "idle": 1, "received": ESCAPES, "sent": 1,
    "note": ESCAPES, "tags": [ESCAPES], "holds": [ESCAPES], "faults": 0, "kernel": {"recv_q": ESCAPES},
}  # fmt: skip
ONE = {**ROW, "gaps": {ESCAPES: ESCAPES}, "tls": {"version": ESCAPES}, "bytes": {"in": {ESCAPES: 1}, "out": {}}}
FAULT = {"id": 1, "spec": ESCAPES, "leg": ESCAPES, "by": ESCAPES, "phase": ESCAPES, "held": 0}
COMMANDS = ["conns", "conns --json", "show 1", "pause 1", "limit", "drain", "fault 1", "fault 1 off", "deny", "events",
            "broadcast x"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("conns", {"items": [ROW], "next": None}),
        ("conns --json", {"items": [ROW], "next": None}),
        ("show 1", ONE),
        ("pause 1", {"changed": True}),
        ("send 1 x", {"sent": ESCAPES, "buffered": ESCAPES}),
        ("deny", {"deny": [ESCAPES], "deny_total": 1}),
        ("limit", {ESCAPES: ESCAPES}),
        ("fault 1", {"items": [FAULT]}),
    ],
)
def test_nothing_of_an_answer_reaches_the_terminal_as_a_command(
    capfd: pytest.CaptureFixture[str], words: str, answer: object
) -> None:
    with impostor(always(of_json(json.dumps(answer).encode()))) as api:
        status, out, err = run(api, capfd, *words.split())
    assert out + err
    assert (out + err).replace("\n", "").isprintable()
    assert status == 0 or "cannot be read" in err
    assert "Traceback" not in err


def test_nor_does_a_refusal(capfd: pytest.CaptureFixture[str]) -> None:
    problem = json.dumps({"detail": ESCAPES, "position": 10**9, "length": 10**9, "code": ESCAPES}).encode()
    for status in ("400 Bad Request", "403 Forbidden", "500 \x1b[2J"):
        with impostor(always(of_json(problem, status, "application/problem+json"))) as api:
            code, out, err = run(api, capfd, "conns", "recvq > 0")
        assert code in (1, 2)
        assert (out + err).replace("\n", "").isprintable()
        assert len(err) < 5000


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b"1", b'"x"', b"{}", b'{"items":1}', b'{"items":[1]}', b'{"items":[{"conn":%d}]}' % 10**30],
)
def test_an_answer_of_another_shape_is_told(capfd: pytest.CaptureFixture[str], words: str, body: bytes) -> None:
    with impostor(always(of_json(body))) as api:
        status, _, err = run(api, capfd, *words.split())
    assert status in (0, 1)
    assert "internal error" not in err
    assert "Traceback" not in err


def test_a_wide_cell_does_not_widen_every_row(capfd: pytest.CaptureFixture[str]) -> None:
    rows = [{**ROW, "peer": "x" * 1_000_000}, *repeat({**ROW, "peer": "y"}, 999)]
    with impostor(always(of_json(json.dumps({"items": rows, "next": None}).encode()))) as api:
        status, out, _ = run(api, capfd, "conns")
    assert status == 0
    assert len(out) < 1_000_000


def test_a_problem_has_its_reason() -> None:
    problem = of_json(b'{"detail":"no","code":"x","position":true}', "409 Conflict", "application/problem+json; a=b")
    with impostor(always(problem)) as api, pytest.raises(ApiError) as refused:
        ControlClient(api).request("POST", "/api/v1/drain", body={})
    assert (refused.value.why, refused.value.http_status, refused.value.code) == ("no", 409, "x")


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("http://bücher.example:1/#t", "xn--bcher-kva.example"),
        ("http://straße.example:1/#t", "xn--strae-oqa.example"),
        ("http://[::1]:1/#t", "::1"),
        ("http://LocalHost/#t", "localhost"),
    ],
)
def test_the_host_of_a_link_is_written_as_requests_have_it(link: str, host: str) -> None:
    assert api_of_link(link).host == host


@pytest.mark.parametrize(
    "link", ["http://a..b/#t", f"http://{'x' * 64}.example/#t", "http://[::1/#t", "http://h:99999/#t", "http:///#t"]
)
def test_a_link_without_a_host_is_refused(link: str) -> None:
    with pytest.raises(PortsideError):
        api_of_link(link)
