"""Whether a stream is TLS, by its first bytes.

A TLS stream begins with a record: its content type, the version 3.x, and the length of what follows (RFC 8446, section
5.1). The first record of a client holds a handshake message, and the first of those is a ClientHello; a server may
answer with an alert in place of its handshake.
"""

TLS_ALERT, TLS_HANDSHAKE = 21, 22  # content types of records
_CLIENT_HELLO = 1
_MAJOR = 3
_MINORS = range(5)  # SSL 3.0 to TLS 1.3, though that writes 3 here
_LENGTHS = range(1, (1 << 14) + 1)  # a record of no bytes may hold neither message
_FATAL_OR_WARNING = (1, 2)
CLIENT_HELLO_BYTES = 6  # that tell a ClientHello from anything else
ALERT_BYTES = 7  # of an alert that is not encrypted
FIRST_BYTES = 5  # of a record: enough to know one


def is_tls(data: bytes) -> bool | None:
    """Whether a stream begins with a record of a handshake; None where more bytes have to come before that is known."""
    if data[:1] not in (b"", b"\x15", b"\x16") or data[1:2] not in (b"", b"\x03"):
        return False
    if len(data) < FIRST_BYTES:
        return None
    return data[2] in _MINORS and int.from_bytes(data[3:5], "big") in _LENGTHS


def is_client_hello(data: bytes) -> bool | None:
    """Whether a stream begins with a ClientHello; None where more bytes have to come before that is known."""
    if data[:1] == b"\x15":
        return False
    if len(data) >= CLIENT_HELLO_BYTES and data[5] != _CLIENT_HELLO:
        return False
    known = is_tls(data)
    return None if known and len(data) < CLIENT_HELLO_BYTES else known


def is_alert(data: bytes) -> bool:
    """Whether a stream is an alert so far: the answer of a TLS server to a client that speaks no TLS."""
    return len(data) >= ALERT_BYTES and data[0] == TLS_ALERT and is_tls(data) is True and data[5] in _FATAL_OR_WARNING
