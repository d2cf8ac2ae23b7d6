"""Streams that are TLS, and streams that are not, by their first bytes."""

import itertools
import ssl

import pytest

from portside.tls.contexts import client_context
from portside.tls.engine import TlsEngine
from portside.tls.first_bytes import CLIENT_HELLO_BYTES, is_alert, is_client_hello, is_tls


def hello(maximum: ssl.TLSVersion) -> bytes:
    """The ClientHello of OpenSSL."""
    context = client_context(verify=False)
    context.maximum_version = maximum
    engine = TlsEngine(context)
    engine.handshake()
    return engine.data_to_send()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_hello_is_known_as_soon_as_it_can_be(version: ssl.TLSVersion) -> None:
    data = hello(version)
    answers = [is_client_hello(data[:size]) for size in range(len(data) + 1)]
    assert answers == [None] * CLIENT_HELLO_BYTES + [True] * (len(data) - CLIENT_HELLO_BYTES + 1)
    assert [is_tls(data[:size]) for size in range(8)] == [None] * 5 + [True] * 3


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"hello\n",
        b"\0",
        b"\x16",
        b"\x16\x03",
        b"\x16\x03\x01\x00",
        b"\x16\x02",  # a major version that is none
        b"\x16\x03\x09\0\5\1",  # a minor one
        b"\x16\x03\x01\0\0\1",  # no bytes in the record
        b"\x16\x03\x01\x40\x01\1",  # more than a record holds
        b"\x16\x03\x03\0\x50\2",  # a ServerHello
        b"\x15\x03\x03\0\2\2\x28",  # an alert
        b"\x80\x2e\1\3\1\0",  # SSL 2.0
        b"\x17\x03\x03\0\5\1",  # data
    ],
)
def test_what_is_no_hello(data: bytes) -> None:
    assert is_client_hello(data) is not True
    if data[:1] != b"\x16" or len(data) >= CLIENT_HELLO_BYTES:
        assert is_client_hello(data) is False


@pytest.mark.parametrize("is_so", [is_tls, is_client_hello])
def test_an_answer_stays_what_it_is_when_more_comes(is_so: object) -> None:
    assert callable(is_so)
    interesting = (0, 1, 2, 3, 4, 5, 21, 22, 64, 255)
    for data in map(bytes, itertools.product(interesting, repeat=3)):
        for rest in (b"\0\5\1", b"\0\0\1", b"\x40\1\1", b"\x50\5\2"):
            answers = [is_so((data + rest)[:size]) for size in range(len(data + rest) + 1)]
            decided = [answer for answer in answers if answer is not None]
            assert answers == [None] * (len(answers) - len(decided)) + decided
            assert len(set(decided)) == 1


def test_alerts() -> None:
    assert is_alert(b"\x15\x03\x01\0\2\2\x46")
    assert is_alert(b"\x15\x03\x03\0\2\1\0more")
    for data in (
        b"",
        b"\x15\x03\x01\0\2\2",
        b"\x15\x03\x01\0\2\7\x46",
        b"\x16\x03\x01\0\2\2\x46",
        b"\x15\x09\x01\0\2\2\x46",
    ):
        assert not is_alert(data)
