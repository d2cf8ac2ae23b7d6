"""Retries, and what a name's addresses say."""

import socket

import pytest

from portside.addresses import Address, parse_address
from portside.client.dial import ConnectOptions, connect, display_name, is_self_connected, resolve, retry
from portside.errors import PortsideError, UsageError


class Attempts:
    """Fails so many times."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.made = 0
        self.error = error or PortsideError("cannot connect", "Connection refused")

    def __call__(self) -> str:
        self.made += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "connected"


@pytest.mark.parametrize(("failures", "tries"), [(0, 0), (2, 2), (2, 9), (50, None)])
def test_retrying_until_it_works(failures: int, tries: int | None) -> None:
    said: list[str] = []
    attempts = Attempts(failures)
    assert retry(attempts, tries=tries, interval=0, on_failure=said.append) == "connected"
    assert said == ["cannot connect: Connection refused; trying again in 0s"] * failures


@pytest.mark.parametrize("tries", [0, 1, 3])
def test_retrying_no_more_than_asked_for(tries: int) -> None:
    attempts = Attempts(100)
    with pytest.raises(PortsideError):
        retry(attempts, tries=tries, interval=0, on_failure=lambda _: None)
    assert attempts.made == tries + 1


def test_what_was_written_wrong_is_not_retried() -> None:
    attempts = Attempts(1, UsageError("connect", "wrong"))
    with pytest.raises(UsageError):
        retry(attempts, tries=None, interval=0, on_failure=lambda _: None)
    assert attempts.made == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("80", "localhost:80"),
        (":80", "localhost:80"),
        ("a:80", "a:80"),
        ("[::1]:80", "[::1]:80"),
        ("unix:/x", "unix:/x"),
    ],
)
def test_named(text: str, name: str) -> None:
    assert display_name(parse_address(text)) == name


def test_an_address_that_is_found_twice_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))] * 2
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    assert [str(each) for each in resolve(parse_address("80"), ConnectOptions())] == ["127.0.0.1:80"]


def test_resolve_keeps_to_the_family() -> None:
    assert [str(each) for each in resolve(parse_address("80"), ConnectOptions(family=socket.AF_INET))] == [
        "127.0.0.1:80"
    ]
    with pytest.raises(PortsideError, match=r"cannot connect to \[::1\]:80: "):
        resolve(parse_address("[::1]:80"), ConnectOptions(family=socket.AF_INET))


def test_the_addresses_share_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source of one family fails for the other and does not keep the rest from being tried."""
    real = socket.getaddrinfo

    def both(host: str | bytes, port: int, family: int = 0, kind: int = 0) -> list[object]:
        if host != b"both.test":
            return list(real(host, port, family, kind))
        return [*real("::1", port, 0, kind), *real("127.0.0.1", port, 0, kind)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        route = ConnectOptions(5.0, socket.AF_UNSPEC, Address("127.0.0.1", range(1)))
        dialled = connect(Address("both.test", range(port, port + 1)), route)
        with dialled.sock:
            assert dialled.peer == f"127.0.0.1:{port}"
            assert dialled.sock.getblocking()
            assert not is_self_connected(dialled.sock)


def test_an_own_end_is_seen() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        assert is_self_connected(sock)


def test_a_socket_that_is_not_connected_is_no_own_end() -> None:
    with socket.socket() as sock:
        assert not is_self_connected(sock)
