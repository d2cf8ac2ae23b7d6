"""A socket of the table as a value, and its JSON."""

from typing import Any

import msgspec

from portside.json_text import encode_json
from portside.kernel import states

NOT_LOOKED_UP = "not looked up"
"""Why owners or their command lines are not known where nobody asked for them."""


class Owner(msgspec.Struct, frozen=True, gc=False):
    """A process that holds a socket as its descriptor ``fd``.

    ``program`` is the name of the program, in full although the kernel cuts it at 15 bytes. ``command`` is the command
    line, its arguments with spaces between them and at most 4 KiB long; None where it was not looked up, or there is
    none. Bytes of both that are no UTF-8 are surrogates, as ``os.fsdecode`` makes them.
    """

    pid: int
    program: str | None
    fd: int | None
    command: str | None = None


class Socket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A TCP socket as the kernel sees it.

    ``netns`` is the network namespace by the name that ``--netns`` takes where those of several are shown, else None.
    ``family`` is 4 or 6; an IPv4 connection of an IPv6 socket is ``tcp6`` with IPv4 addresses. For a listener,
    ``recv_q`` is the length of its accept queue and ``send_q`` that queue's limit, in connections; for other sockets
    both are bytes: not yet read by the program, and not yet acknowledged by the peer. ``owners`` are all processes that
    hold it. ``info`` has tcp_info, timers, memory and more, units in the names. A value that is not known is None, and
    ``gaps`` has the reason, by the name of the field (``info.rtt_us`` for one of ``info``).

    >>> (listener,) = portside.sockets("sport = :12345", view="listening")
    >>> listener.local, listener.remote, listener.recv_q
    ('127.0.0.1:12345', None, 0)
    """

    netns: str | None = None
    proto: str
    family: int
    state: str
    recv_q: int | None
    send_q: int | None
    local: str
    remote: str | None
    inode: int | None
    uid: int | None
    owners: tuple[Owner, ...] | None
    info: dict[str, Any] | None
    gaps: dict[str, str]

    @property
    def listening(self) -> bool:
        """Whether the socket is a listener."""
        return self.state == states.NAMES[states.LISTEN]


def to_json(socket: Socket) -> bytes:
    """Write a socket as one JSON object, without the newline; ``gaps`` only where there are any."""
    line = encode_json(socket)
    return line if socket.gaps else line.removesuffix(b',"gaps":{}}') + b"}"
