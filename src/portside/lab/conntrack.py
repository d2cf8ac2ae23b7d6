"""Entries of netfilter's table of connections, made by hand: messages to ctnetlink (linux/nfnetlink_conntrack.h).

The kernel needs neither a rule nor a packet for that. The table is that of the network namespace.
"""

import os
import socket
import struct
from collections.abc import Iterator

_NETLINK_NETFILTER = 12
_NEW_ENTRY = 1 << 8  # IPCTNL_MSG_CT_NEW of NFNL_SUBSYS_CTNETLINK
_REQUEST, _ACK, _CREATE = 0x1, 0x4, 0x400
_NLMSG_ERROR = 2
_NESTED = 0x8000
_ORIGINAL, _REPLY, _STATUS, _PROTOCOL, _TIMEOUT = 1, 2, 3, 4, 7
_ASSURED = 0x2 | 0x4 | 0x8  # IPS_SEEN_REPLY, IPS_ASSURED and IPS_CONFIRMED
_ESTABLISHED = 3
_BATCH = 200  # messages in one call
_CLIENT, _PORT = socket.inet_aton("10.171.205.1"), 0xC0DE  # stand-ins for those of each connection


def add_entries(count: int, timeout_s: int) -> None:
    """Have the table hold ``count`` more connections, made up, for this long. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        messages = _messages(count, timeout_s)
        sent = 0
        while sent < count:
            batch = [next(messages) for _ in range(min(_BATCH, count - sent))]
            sent += len(batch)
            kernel.send(b"".join(batch))
            _check(kernel.recv(1 << 16))


def _check(answer: bytes) -> None:
    """Raise OSError for the first error in an answer; the last message of a batch is always answered."""
    at = 0
    while at + 20 <= len(answer):
        length, kind = struct.unpack_from("=IH", answer, at)
        (number,) = struct.unpack_from("=i", answer, at + 16)
        if kind == _NLMSG_ERROR and number:
            raise OSError(-number, os.strerror(-number))
        at += max(16, length + 3 & ~3)


def _messages(count: int, timeout_s: int) -> Iterator[bytes]:
    """A message for each connection; the last one of each batch asks for an answer.

    They differ in number and flags, and in the client's network and port, each of which stands in both tuples: the
    rest is made once, since there are hundreds of thousands.
    """
    body = bytearray(_body(_CLIENT, _PORT, timeout_s))
    clients, ports = _places(body, _CLIENT), _places(body, struct.pack("!H", _PORT))
    message = bytearray(16) + body
    for number in range(count):
        is_last = number % _BATCH == _BATCH - 1 or number == count - 1
        flags = _REQUEST | _CREATE | (_ACK if is_last else 0)
        struct.pack_into("=IHHII", message, 0, len(message), _NEW_ENTRY, flags, number, 0)
        for at in clients:
            struct.pack_into("!H", message, 16 + at + 1, number >> 16)
        for at in ports:
            struct.pack_into("!H", message, 16 + at, number & 0xFFFF)
        yield bytes(message)


def _places(body: bytearray, part: bytes) -> list[int]:
    """Where a part stands in a body."""
    places, at = [], body.find(part)
    while at >= 0:
        places.append(at)
        at = body.find(part, at + 1)
    return places


def _body(client: bytes, port: int, timeout_s: int) -> bytes:
    server = socket.inet_aton("10.255.0.1")
    return (
        struct.pack("!BBH", socket.AF_INET, 0, 0)
        + _tuple(_ORIGINAL, client, server, port, 80)
        + _tuple(_REPLY, server, client, 80, port)
        + _attribute(_STATUS, struct.pack("!I", _ASSURED))
        + _attribute(_PROTOCOL | _NESTED, _attribute(1 | _NESTED, _attribute(1, bytes([_ESTABLISHED]))))
        + _attribute(_TIMEOUT, struct.pack("!I", timeout_s))
    )


def _tuple(kind: int, source: bytes, target: bytes, source_port: int, target_port: int) -> bytes:
    addresses = _attribute(1, source) + _attribute(2, target)
    ports = (
        _attribute(1, bytes([socket.IPPROTO_TCP]))
        + _attribute(2, struct.pack("!H", source_port))
        + _attribute(3, struct.pack("!H", target_port))
    )
    return _attribute(kind | _NESTED, _attribute(1 | _NESTED, addresses) + _attribute(2 | _NESTED, ports))


def _attribute(kind: int, value: bytes) -> bytes:
    """An attribute of netlink: length, kind, value, and zeros up to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
