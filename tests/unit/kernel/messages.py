"""Messages of sock_diag made by hand, for what this machine's kernel does not send."""

import struct
from ipaddress import ip_address

HEADER = struct.Struct("=IHHII")
SOCK_DIAG = 20
ESTABLISHED, TIME_WAIT, LISTEN = 1, 6, 10


def attribute(kind: int, payload: bytes) -> bytes:
    """A struct nlattr with its payload, padded."""
    size = 4 + len(payload)
    return struct.pack("=HH", size, kind) + payload + bytes(-size % 4)


def socket_message(
    *,
    state: int = ESTABLISHED,
    local: tuple[str, int] = ("127.0.0.1", 12345),
    remote: tuple[str, int] = ("127.0.0.1", 40000),
    timer: tuple[int, int, int] = (0, 0, 0),
    queues: tuple[int, int] = (0, 0),
    interface: int = 0,
    cookie: int = 1,
    uid: int = 1000,
    inode: int = 77,
    attributes: bytes = b"",
    flags: int = 2,
    kind: int = SOCK_DIAG,
) -> bytes:
    """One message about a socket; ``timer`` is kind, milliseconds and retransmits, ``queues`` receive and send."""
    ends = ip_address(local[0]), ip_address(remote[0])
    body = struct.pack(
        "=BBBB2s2s16s16sIIIIIIII",
        2 if ends[0].version == 4 else 10,
        state,
        timer[0],
        timer[2],
        local[1].to_bytes(2, "big"),
        remote[1].to_bytes(2, "big"),
        ends[0].packed,
        ends[1].packed,
        interface,
        cookie & 0xFFFFFFFF,
        cookie >> 32,
        timer[1],
        *queues,
        uid,
        inode,
    )
    return message(kind, body + attributes, flags)


def message(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """Any netlink message, padded."""
    size = HEADER.size + len(body)
    return HEADER.pack(size, kind, flags, 1, 1) + body + bytes(-size % 4)


def tcp_info(size: int, **fields: tuple[str, int, int]) -> bytes:
    """A tcp_info of ``size`` bytes; a field is its struct code, its offset and its value."""
    info = bytearray(max(size, 256))
    for code, offset, value in fields.values():
        struct.pack_into(f"={code}", info, offset, value)
    return bytes(info[:size])
