"""The first bytes of clients, in pieces of any size: whether they are TLS, and what the TLS engine makes of them."""

import random
import struct
import zlib

from fuzz._mutations import mutate
from portside.server.hello_watch import HelloWatch
from portside.tls.contexts import server_context
from portside.tls.engine import SessionState, TlsEngine
from portside.tls.first_bytes import is_alert, is_client_hello, is_tls
from portside.tls.words import NO_TLS, TlsError


def _sized(form: str, data: bytes) -> bytes:
    return struct.pack(f"!{form}", len(data)) + data


def _hello(versions: bytes) -> bytes:
    """A ClientHello (RFC 8446, section 4.1.2) in one record, which offers these versions in an extension."""
    extensions = {
        0: _sized("H", b"\0" + _sized("H", b"localhost")),
        10: _sized("H", b"\0\x1d\0\x17"),  # groups: x25519, secp256r1
        13: _sized("H", b"\4\3\x08\4\4\1"),  # signatures
        16: _sized("H", _sized("B", b"h2") + _sized("B", b"http/1.1")),
        43: _sized("B", versions),
        51: _sized("H", b"\0\x1d" + _sized("H", bytes(range(9, 41)))),
    }
    body = b"\3\3" + bytes(range(32)) + _sized("B", bytes(range(32, 64)))
    body += _sized("H", b"\x13\1\x13\2\xc0\x2b\xc0\x2f\0\x9c") + _sized("B", b"\0")
    body += _sized("H", b"".join(struct.pack("!H", kind) + _sized("H", data) for kind, data in extensions.items()))
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + _sized("H", message)


_FIRST = (
    _hello(b"\3\4\3\3"),
    _hello(b"\3\3"),
    b"\x16\3\3\0\x04\x02\0\0\0",  # a ServerHello without its body
    b"\x15\3\1\0\2\2\x46",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x80\x2e\1\3\1\0\x15\0\0\0\x10",  # SSL 2.0
    b"SSH-2.0-OpenSSH_9.2p1\r\n",
)
_CONTEXT = server_context()[0]
_CONTEXT.sni_callback = None  # Python reports a name that is not ASCII on standard error


class DisagreementError(Exception):
    """Two answers about the same bytes that cannot both be right."""


class _Client:
    number = 7
    peer = "127.0.0.1:1234"


def make_input(chance: random.Random) -> bytes:
    """The first bytes of a client, most with one to eight things wrong."""
    data = chance.choice(_FIRST[:2]) if chance.random() < 0.6 else chance.choice(_FIRST)
    if chance.random() < 0.5:
        at = chance.randrange(12)  # those that decide
        data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    return mutate(data, chance) if chance.random() < 0.8 else data


def accepts(value: bytes) -> bool:
    """Whether it is a ClientHello; every answer to a part of it agrees with that, and so does the engine."""
    answer = is_client_hello(value)
    for ask in (is_client_hello, is_tls):
        answers = [ask(value[:size]) for size in range(min(len(value), 16) + 1)]
        decided = [each for each in answers if each is not None]
        _agree(answers == [None] * (len(answers) - len(decided)) + decided, "an answer was taken back")
        _agree(len(set(decided)) <= 1, "an answer was changed")
    _agree(not (is_alert(value) and answer), "it is an alert and a ClientHello")
    pieces = _pieces(value)
    found: list[object] = []
    watch = HelloWatch(found.append)
    offset = 0
    for piece in pieces:
        watch.look(_Client, offset, piece)
        offset += len(piece)
    _agree(len(found) == (answer is True), "the pieces are taken for something else than the whole")
    failure = _handshake_failure(pieces)
    _agree((failure.reason == NO_TLS) == (is_tls(value) is False), f"the engine says: {failure}")
    return answer is True


def _agree(holds: object, otherwise: str) -> None:
    if not holds:
        raise DisagreementError(otherwise)


def _handshake_failure(pieces: list[bytes]) -> TlsError:
    """How the handshake of a server fails, with FIN after these bytes: no client's Finished is among them."""
    engine = TlsEngine(_CONTEXT, server_side=True)
    for piece in pieces:
        engine.feed(piece)
        try:
            _agree(not engine.handshake(), "the handshake is finished")
        except TlsError:
            break
        engine.data_to_send()
    engine.feed_eof()
    _agree(engine.state is SessionState.FAILED, "FIN does not end the handshake")
    failure = engine.failure or TlsError("")
    _agree(failure.strerror and failure.strerror.isprintable(), "the failure has no words to be shown")
    return failure


def _pieces(data: bytes) -> list[bytes]:
    """The bytes in pieces, of sizes that follow from them."""
    chance = random.Random(zlib.crc32(data))
    size = chance.choice((1, 2, 3, 5, 6, 7, 16, 100, 1 << 20))
    return [data[start : start + size] for start in range(0, len(data), size)]
