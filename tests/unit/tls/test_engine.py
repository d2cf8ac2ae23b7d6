"""Two engines back to back: what one has to send is fed to the other, and no byte leaves the process."""

import socket
import ssl
import struct
from pathlib import Path

import pytest
from certificates import Authority

from portside.tls.contexts import client_context, server_context
from portside.tls.engine import Half, SessionState, TlsEngine
from portside.tls.words import NO_TLS, TlsError

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
BIG = bytes(range(256)) * 1000  # sixteen records


class Pair:
    """A client's engine and a server's, and what lies between them."""

    def __init__(self, client: ssl.SSLContext, server: ssl.SSLContext, name: str | None = "localhost") -> None:
        self.client = TlsEngine(client, server_hostname=name)
        self.server = TlsEngine(server, server_side=True)

    @property
    def states(self) -> list[SessionState]:
        return [self.client.state, self.server.state]

    def carry(self, piece: int = 1 << 20) -> None:
        """Carry what each has to send to the other, once, in pieces of so many bytes."""
        for one, other in ((self.client, self.server), (self.server, self.client)):
            data = one.data_to_send()
            for start in range(0, len(data), piece):
                other.feed(data[start : start + piece])
                if other.state is SessionState.HANDSHAKING:
                    other.handshake()

    def shake_hands(self, piece: int = 1 << 20) -> None:
        self.client.handshake()
        while SessionState.HANDSHAKING in self.states:
            self.carry(piece)
        self.carry()
        assert self.client.read() == self.server.read() == b""  # session tickets are no data


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> ssl.SSLContext:
    own = authority.sign("server")
    return server_context(certificate=own.certificate, key=own.key, alpn=("two", "one"))[0]


@pytest.fixture(scope="module")
def client(authority: Authority) -> ssl.SSLContext:
    return client_context(ca=authority.path, alpn=("one",))


@pytest.fixture(params=VERSIONS, ids=lambda version: str(version.name))
def pair(request: pytest.FixtureRequest, client: ssl.SSLContext, server: ssl.SSLContext) -> Pair:
    context = client_context(verify=False, alpn=("one",))
    context.maximum_version = request.param
    made = Pair(context, server)
    made.shake_hands()
    return made


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_handshake_in_pieces_of_any_size(client: ssl.SSLContext, server: ssl.SSLContext, piece: int) -> None:
    pair = Pair(client, server)
    assert pair.states == [SessionState.HANDSHAKING, SessionState.HANDSHAKING]
    pair.shake_hands(piece)
    assert pair.states == [SessionState.OPEN, SessionState.OPEN]
    for engine in (pair.client, pair.server):
        tls = engine.negotiated()
        assert (tls.version, tls.sni, tls.alpn) == ("TLSv1.3", "localhost", "one")
    assert pair.client.negotiated().peer == "CN=server"
    assert pair.server.negotiated().peer is None
    assert pair.server.peer_certificate is None


def test_a_client_without_a_name_and_without_alpn(server: ssl.SSLContext) -> None:
    pair = Pair(client_context(verify=False), server, name=None)
    pair.shake_hands()
    tls = pair.server.negotiated()
    assert (tls.sni, tls.alpn) == (None, None)


@pytest.mark.parametrize("data", [b"x", BIG, bytearray(BIG), memoryview(BIG)], ids=["byte", "big", "array", "view"])
def test_data_both_ways(pair: Pair, data: bytes) -> None:
    pair.server.feed(pair.client.encrypt(data))
    pair.client.feed(pair.server.encrypt(data))
    assert pair.server.read() == data
    assert pair.client.read() == data
    assert pair.client.read() == b""
    assert not pair.client.has_data_to_send


def test_a_record_is_read_once_it_is_whole(pair: Pair) -> None:
    ciphertext = pair.client.encrypt(b"hello")
    for byte in range(len(ciphertext)):
        assert pair.server.read() == b""
        pair.server.feed(ciphertext[byte : byte + 1])
    assert pair.server.read() == b"hello"


def test_reading_into_room_that_is_too_small(pair: Pair) -> None:
    pair.server.feed(pair.client.encrypt(BIG))
    room = bytearray(len(BIG) - 100)
    assert pair.server.read_into(memoryview(room)) == len(room)
    assert room == BIG[:-100]
    assert pair.server.read_into(memoryview(room)) == 100
    assert room[:100] == BIG[-100:]
    assert pair.server.read_into(memoryview(room)) == 0
    ciphertext = pair.client.encrypt(b"more")
    pair.server.feed(ciphertext[:9])
    assert pair.server.read_into(memoryview(room)) == 0
    pair.server.feed(ciphertext[9:])
    assert pair.server.read_into(memoryview(room)) == 4


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("into", [False, True])
def test_half_close_leaves_the_other_direction_open(pair: Pair, first: str, into: bool) -> None:
    one, other = (pair.client, pair.server) if first == "client" else (pair.server, pair.client)

    def read(engine: TlsEngine) -> bytes:
        room = bytearray(1000)
        return bytes(room[: engine.read_into(memoryview(room))]) if into else engine.read()

    one.close_notify()
    one.close_notify()  # once is enough
    other.feed(one.data_to_send())
    assert not one.has_data_to_send
    assert read(other) == b""
    assert (one.sending, other.receiving) == (Half.CLOSED, Half.CLOSED)
    assert (one.receiving, other.sending) == (Half.OPEN, Half.OPEN)
    one.feed(other.encrypt(b"answer"))
    assert read(one) == b"answer"
    other.close_notify()
    one.feed(other.data_to_send())
    assert read(one) == b""
    assert (one.receiving, other.sending) == (Half.CLOSED, Half.CLOSED)
    assert one.state is other.state is SessionState.OPEN
    with pytest.raises(TlsError):
        one.encrypt(b"too late")


def test_what_was_sent_before_close_notify_is_read_with_it(pair: Pair) -> None:
    last = pair.client.encrypt(b"last")
    pair.client.close_notify()
    pair.server.feed(last + pair.client.data_to_send())
    assert pair.server.read() == b"last"
    assert pair.server.receiving is Half.CLOSED


def test_close_notify_while_data_waits_to_be_read(pair: Pair) -> None:
    pair.client.feed(pair.server.encrypt(b"on its way"))
    pair.client.close_notify()
    pair.server.feed(pair.client.data_to_send())
    assert pair.client.read() == b"on its way"
    assert pair.server.read() == b""
    assert pair.server.receiving is Half.CLOSED


def test_what_comes_after_close_notify_is_ignored(pair: Pair) -> None:
    pair.client.close_notify()
    pair.server.feed(pair.client.data_to_send())
    assert pair.server.read() == b""
    pair.server.feed(b"anything")
    assert pair.server.read() == b""
    pair.server.feed_eof()
    assert (pair.server.receiving, pair.server.state) == (Half.CLOSED, SessionState.OPEN)


def test_fin_without_close_notify_is_truncation(pair: Pair) -> None:
    pair.server.feed(pair.client.encrypt(b"half of")[:10])
    assert pair.server.read() == b""
    pair.server.feed_eof()
    assert (pair.server.receiving, pair.server.state) == (Half.TRUNCATED, SessionState.OPEN)
    pair.client.feed(pair.server.encrypt(b"answer"))
    assert pair.client.read() == b"answer"


@pytest.mark.parametrize("name", ["127.0.0.1", "::1"])
def test_an_ip_address_is_no_sni(server: ssl.SSLContext, name: str) -> None:
    pair = Pair(client_context(verify=False), server, name)
    pair.shake_hands()
    assert pair.client.negotiated().sni is None
    assert pair.server.negotiated().sni is None


def test_fin_in_mid_handshake(server: ssl.SSLContext) -> None:
    engine = TlsEngine(server, server_side=True)
    assert not engine.handshake()
    engine.feed_eof()
    assert engine.state is SessionState.FAILED
    assert engine.failure is not None
    assert engine.failure.strerror == "the peer closed the connection before it sent anything"
    engine.feed_eof()
    assert engine.receiving is Half.OPEN


def test_fin_after_the_first_bytes(server: ssl.SSLContext) -> None:
    engine = TlsEngine(server, server_side=True)
    assert engine.received_nothing
    engine.feed(b"\x16\x03")
    assert not engine.handshake()
    engine.feed_eof()
    assert engine.failure is not None
    assert engine.failure.strerror == "the peer closed the connection in mid-handshake"


def handshake_of(engine: TlsEngine, data: bytes, piece: int) -> None:
    """Feed an engine in pieces, as long as its handshake takes them."""
    for start in range(0, len(data), piece):
        engine.feed(data[start : start + piece])
        engine.handshake()


@pytest.mark.parametrize("server_side", [True, False])
@pytest.mark.parametrize(
    ("garbage", "piece", "shown"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 100, r"GET / HTTP/1.1\r\n"),
        (b"GET / HTTP/1.1\r\n\r\n", 1, "G"),
        (b"\0\1\2 hello there", 100, r"\0\x01\x02 hello there"),
        (b"SSH-2.0-OpenSSH_9.2p1", 100, "SSH-2.0-OpenSSH_"),
        (b"\x16\x03\x01\xff\xff", 2, r"\x16\x03\x01\xff\xff"),
        (b"\x16\x02", 1, r"\x16\x02"),
    ],
)
def test_a_peer_that_speaks_no_tls(
    server: ssl.SSLContext, client: ssl.SSLContext, garbage: bytes, piece: int, shown: str, *, server_side: bool
) -> None:
    engine = TlsEngine(server, server_side=True) if server_side else TlsEngine(client, server_hostname="localhost")
    with pytest.raises(TlsError) as caught:
        handshake_of(engine, garbage, piece)
    assert caught.value.strerror == f"it spoke no TLS: its first bytes are '{shown}'"
    assert caught.value.reason == NO_TLS
    assert engine.failure is not None
    assert (engine.failure.strerror, engine.failure.reason) == (caught.value.strerror, NO_TLS)
    assert engine.failure.__traceback__ is None  # it would refer to the engine, in the frame that has raised it
    assert engine.state is SessionState.FAILED
    engine.close_notify()
    assert engine.sending is Half.OPEN


def test_garbage_in_a_record_is_told_in_the_words_of_openssl(server: ssl.SSLContext) -> None:
    engine = TlsEngine(server, server_side=True)
    with pytest.raises(TlsError, match="unexpected message"):
        handshake_of(engine, b"\x16\x03\x01\0\4\2\0\0\0", 100)


@pytest.mark.parametrize("into", [False, True])
def test_garbage_after_data_fails_once_the_data_is_read(pair: Pair, into: bool) -> None:
    pair.server.feed(pair.client.encrypt(b"good") + b"\x17\x03\x03" + struct.pack("!H", 40) + bytes(40))
    if into:
        room = bytearray(100)
        assert pair.server.read_into(memoryview(room)) == 4
    else:
        assert pair.server.read() == b"good"
    assert pair.server.state is SessionState.FAILED
    assert pair.server.failure is not None
    assert str(pair.server.failure.strerror) in ("decryption failed or bad record mac", "record layer failure")
    pair.client.feed(pair.server.data_to_send())  # the alert
    assert pair.client.read() == b""
    assert pair.client.failure is not None
    assert "alert bad record mac" in str(pair.client.failure.strerror)


def test_a_certificate_that_is_not_trusted(server: ssl.SSLContext, tmp_path: Path) -> None:
    pair = Pair(client_context(ca=Authority(tmp_path, "Other CA").path), server)
    with pytest.raises(TlsError, match="unable to get local issuer certificate") as caught:
        pair.shake_hands()
    assert caught.value.reason == "CERTIFICATE_VERIFY_FAILED"
    with pytest.raises(TlsError, match="alert unknown ca"):
        pair.carry()
    assert pair.server.state is pair.client.state is SessionState.FAILED


def test_a_client_certificate_that_is_missing(authority: Authority, client: ssl.SSLContext) -> None:
    own = authority.sign("server")
    context, _ = server_context(certificate=own.certificate, key=own.key, ca=authority.path, verify=True)
    pair = Pair(client, context)
    with pytest.raises(TlsError, match="peer did not return a certificate"):
        pair.shake_hands()
    pair.client.feed(pair.server.data_to_send())
    assert pair.client.read() == b""  # in TLS 1.3 the client has finished already
    assert pair.client.failure is not None
    assert "alert certificate required" in str(pair.client.failure.strerror)


def test_a_name_that_cannot_be_a_host(client: ssl.SSLContext) -> None:
    with pytest.raises(ValueError, match="server_hostname"):
        TlsEngine(client, server_hostname="")


def test_no_descriptor_is_used(client: ssl.SSLContext, server: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    Pair(client, server).shake_hands()
