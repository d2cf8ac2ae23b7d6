"""Units, addresses, frames and sources: how they are written, and what is said where they are wrong."""

import socket
from typing import Any

import pytest

from portside.addresses import Address, format_sockaddr, parse_address, parse_addresses
from portside.errors import InvalidValue, PortsideError, reason_of
from portside.settings.values import parse_file_mode, parse_group, parse_retry, parse_socket_mode, parse_source
from portside.units import (
    format_duration,
    parse_count,
    parse_duration,
    parse_positive_duration,
    parse_positive_size,
    parse_size,
)
from portside.wire.frame import Frame, LengthField, parse_frame


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("5s", 5), ("2m", 120), ("1h", 3600), ("3", 3), ("1.5s", 1.5), (".5", 0.5), ("0", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("64k", 65536), ("10M", 10 << 20), ("1G", 1 << 30), ("7", 7), ("0.5k", 512)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *[(parse_duration, text) for text in ("", "s", "5x", "-1s", "1e9", "5 s", "٣s", "9" * 400 + "h")],
        *[(parse_size, text) for text in ("", "k", "5kB", "-1", "1e3", "9" * 30, "9" * 400)],
        (parse_positive_duration, "0"),
        (parse_positive_size, "0"),
        (parse_positive_size, "0.2"),
        *[(parse_count, text) for text in ("", "0", "-1", "1.5", "x", "٣", "9" * 19)],
        (parse_retry, "never"),
        *[(parse_socket_mode, text) for text in ("", "rw", "0o640", "778", "1777", "00640", "-600")],
        *[(parse_group, text) for text in ("", "no-such-group", "-1", "4294967295", "²", "a\0b")],
        *[(parse_file_mode, text) for text in ("", "rw", "0o640", "440", "700", "755", "648", "1640", "00640", "-600")],
        *[(parse_frame, text) for text in ("", "line", "lines:2", "delim:", "delim:0", "delim:xx", "fixed:0")],
        *[(parse_frame, text) for text in ("fixed", "length:u24", "length", "idle:0", "idle", "delim:" + "00" * 65)],
        *[
            (parse_source, text)
            for text in ("", "a b", "unix:x", "host:1-3", "[::1", "x:y:z:99999999 ", "localhost", "localhost:1")
        ],
    ],
)
def test_values_that_cannot_be_read(parse: Any, text: str) -> None:
    with pytest.raises(InvalidValue) as problem:
        parse(text)
    assert len(str(problem.value)) > 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5441, "2.544s"), (0, "0.000s"), (59.9996, "1m00.000s"), (185.25, "3m05.250s"), (7201, "2h00m01.000s")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "host", "ports", "path"),
    [
        ("12345", None, [12345], None),
        (":12345", None, [12345], None),
        ("0", None, [0], None),
        ("localhost:80", "localhost", [80], None),
        ("[::1]:80", "::1", [80], None),
        ("[fe80::1%lo]:80", "fe80::1%lo", [80], None),
        ("host:8000-8002", "host", [8000, 8001, 8002], None),
        ("host:ssh", "host", [22], None),
        ("*:1", "*", [1], None),
        ("unix:/run/x:1", None, [], "/run/x:1"),
        ("unix:@x", None, [], "@x"),
    ],
)
def test_addresses(text: str, host: str | None, ports: list[int], path: str | None) -> None:
    address = parse_address(text)
    assert (address.host, list(address.ports), address.path) == (host, ports, path)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("words", "addresses"),
    [
        ("::1 8080", "[::1]:8080"),
        ("[::1] 8080", "[::1]:8080"),
        ("localhost 80 9000 unix:/x", "localhost:80 9000 unix:/x"),
        ("tcp://127.0.0.1:80/ 10.0.0.1 ssh", "127.0.0.1:80 10.0.0.1:22"),
        ("8000 8001", "8000 8001"),
    ],
)
def test_some_addresses(words: str, addresses: str) -> None:
    assert parse_addresses(words.split()) == tuple(map(parse_address, addresses.split()))


@pytest.mark.parametrize(
    "words",
    ["localhost", "a b", "::1:80 x", "80 ::1", "udp://a:1", "a: 80", "[[<1]:80", "a]:80", "[[::1] 80", "a/b:80"],
)
def test_no_addresses(words: str) -> None:
    with pytest.raises(InvalidValue):
        parse_addresses(words.split())


@pytest.mark.parametrize(
    "text",
    ["", "x", "host:", "host:x", "::1:80", "[::1]", "[::1]80", "[]:80", "65536", "host:-1", "5-3", "0-3", "a b:1",
     "unix:", "host:99999999999999", "1-99999", "\x1b:1"],
)  # fmt: skip
def test_addresses_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_address(text)


@pytest.mark.parametrize(
    ("family", "address", "text"),
    [
        (socket.AF_INET, ("1.2.3.4", 5), "1.2.3.4:5"),
        (socket.AF_INET6, ("::1", 5, 0, 0), "[::1]:5"),
        (socket.AF_INET6, ("::ffff:1.2.3.4", 5, 0, 0), "1.2.3.4:5"),
        (socket.AF_INET6, ("fe80::1", 5, 0, 1), "[fe80::1%lo]:5"),
        (socket.AF_INET6, ("fe80::1", 5, 0, 99999), "[fe80::1%99999]:5"),
        (socket.AF_UNIX, "/run/x", "unix:/run/x"),
        (socket.AF_UNIX, b"\0name", "unix:@name"),
        (socket.AF_UNIX, b"\xff", "unix:\\xff"),
        (socket.AF_INET, None, "None"),
    ],
)
def test_addresses_of_sockets(family: int, address: object, text: str) -> None:
    assert format_sockaddr(family, address) == text


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("none", Frame("none")),
        ("lines", Frame("lines")),
        ("delim:0d0a", Frame("delim", b"\r\n")),
        ("fixed:1k", Frame("fixed", 1024)),
        ("length:u32le", Frame("length", LengthField("u32le"))),
        ("length:u24be@3", Frame("length", LengthField("u24be", 3))),
        ("length:u16be@2-4", Frame("length", LengthField("u16be", 2, -4))),
        ("length:u8+65535", Frame("length", LengthField("u8", 0, 65535))),
        ("idle:20ms", Frame("idle", 0.02)),
    ],
)
def test_frames(text: str, frame: Frame) -> None:
    assert parse_frame(text) == frame


@pytest.mark.parametrize(("text", "near"), [("line", "lines"), ("newline", "lines"), ("idel:5s", "idle")])
def test_a_frame_that_is_nearly_one(text: str, near: str) -> None:
    with pytest.raises(InvalidValue, match=rf"is no way to frame \(did you mean {near}\?\): write none"):
        parse_frame(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1", "127.0.0.1", 0), ("127.0.0.1:9", "127.0.0.1", 9), ("::1", "::1", 0), ("[::1]", "::1", 0),
     ("[::1]:9", "::1", 9), (":9", None, 9), ("9", None, 9)],
)  # fmt: skip
def test_sources(text: str, host: str | None, port: int) -> None:
    assert parse_source(text) == Address(host, range(port, port + 1))


def test_retries() -> None:
    assert parse_retry("forever") is None
    assert parse_retry("0") == 0
    assert parse_retry("3") == 3


@pytest.mark.parametrize(("text", "mode"), [("0", 0), ("600", 0o600), ("0770", 0o770), ("777", 0o777)])
def test_socket_modes(text: str, mode: int) -> None:
    assert parse_socket_mode(text) == mode


@pytest.mark.parametrize(("text", "group"), [("root", 0), ("0", 0), ("54321", 54321)])
def test_groups(text: str, group: int) -> None:
    assert parse_group(text) == group


@pytest.mark.parametrize(("text", "mode"), [("600", 0o600), ("640", 0o640), ("0660", 0o660), ("666", 0o666)])
def test_file_modes(text: str, mode: int) -> None:
    assert parse_file_mode(text) == mode


def test_errors_read_well() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    error = PortsideError("cannot connect to x:1", refused, "start it")
    assert str(error) == "cannot connect to x:1: Connection refused"
    assert (error.hint, error.status) == ("start it", 1)
    assert reason_of(KeyError()) == "KeyError"
