"""The decoder of sock_diag: bytes of netlink messages in, a socket table out. No I/O.

The bytes are ``struct nlmsghdr`` (include/uapi/linux/netlink.h) with a ``struct inet_diag_msg`` and attributes after
it (include/uapi/linux/inet_diag.h): the answer to a dump, and the notifications of destroyed sockets alike.

1. Messages are found one by one, by their lengths alone. Everything after is done by numpy for all messages of one
   layout (the same length, the same attributes at the same places), which in practice is nearly all.
2. Lengths may differ from those in the headers of today: an attribute that is shorter comes from an older kernel, one
   that is longer from a newer one, and unknown attributes are ignored.
3. Malformed input raises DecodeError and no other exception.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portside.kernel import states
from portside.kernel.inet_diag import IPV4, IPV6, NLM_F_DUMP_INTR, SOCK_DIAG_BY_FAMILY
from portside.kernel.inet_diag_types import BASE, Rows
from portside.kernel.table import Mask, Messages, SocketTable, Unavailable

_HEADER = 16  # struct nlmsghdr, in bytes
_FIRST_ATTRIBUTE = _HEADER + BASE.itemsize
_RUN_SHOWS = 16  # messages of one length: from here on numpy is faster
_TYPE_MASK = 0x3FFF  # the upper two bits of an attribute's type are flags
_OPAQUE_BASE = np.dtype((np.void, BASE.itemsize))  # numpy copies it whole, and a structure field by field

_Offsets = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint32]
_Attributes = dict[int, tuple[int, int]]

_TIMEWAIT = 3  # the timer of a connection of which the kernel keeps only a stub (struct inet_timewait_sock)
_WAITING = "its program closed it, and the kernel keeps only that it was"
_HANDSHAKE = "no program has a connection whose handshake is not finished"
_QUEUED = "no program has accepted it yet"
_CLOSED = "its program closed it"


class DecodeError(ValueError):
    """The bytes are not a reply of sock_diag."""


class DecodedMessages(NamedTuple):
    """A decoded dump. ``interrupted``: sockets changed while the kernel made it, so that some may be missing."""

    table: SocketTable
    interrupted: bool


def decode(data: bytes | bytearray | memoryview | npt.NDArray[np.uint8]) -> DecodedMessages:
    """Decode whole messages that follow each other, each beginning at a multiple of 4 bytes.

    Other messages than those about sockets (the end of a dump, an error) are ignored. Raises DecodeError.
    """
    octets = np.frombuffer(data, "u1")
    octets = octets[: len(octets) & ~3]
    words = octets.view("u4")
    starts = message_starts(words)
    halves = octets.view("u2")
    about_sockets = halves[2 * starts + 2] == SOCK_DIAG_BY_FAMILY
    interrupted = bool((halves[2 * starts + 3] & NLM_F_DUMP_INTR).any())
    if not about_sockets.all():
        starts = starts[about_sockets]
    return DecodedMessages(_table(octets, words, starts), interrupted)


def message_starts(words: _Words) -> _Offsets:
    """Where each message begins, in words. Raises DecodeError.

    A dump has long runs of messages of one length. They are walked one by one until a run shows, and then compared all
    at once, a window after the other, each twice as long as the one before.
    """
    end = len(words)
    pieces: list[_Offsets] = []
    walked: list[int] = []
    lengths = words.data
    at, alike, before = 0, 0, -1
    while at < end:
        length = lengths[at]
        if length < _HEADER:
            raise DecodeError(f"a message of {length} bytes at byte {at * 4}")
        step = (length + 3) >> 2
        alike = alike + 1 if length == before else 0
        before = length
        if alike < _RUN_SHOWS:
            walked.append(at)
            at += step
            continue
        count = _run_length(words[at::step], length)
        pieces += [np.array(walked, "i8"), at + step * np.arange(count)]
        walked.clear()
        at, alike = at + step * count, 0
    if at > end:
        raise DecodeError(f"the last message is cut: {(at - end) * 4} bytes are missing")
    return np.concatenate([*pieces, np.array(walked, "i8")])


def _run_length(values: _Words, length: int) -> int:
    """How many values from the first on are ``length``."""
    first, window = 0, _RUN_SHOWS
    while first < len(values):
        same = values[first : first + window] == length
        if not same.all():
            return first + int(same.argmin())
        first += len(same)
        window *= 2
    return first


def _table(octets: npt.NDArray[np.uint8], words: _Words, starts: _Offsets) -> SocketTable:
    lengths = words[starts]
    if len(lengths) and lengths.min() < _FIRST_ATTRIBUTE:
        raise DecodeError(f"a message about a socket has {lengths.min()} bytes, not {_FIRST_ATTRIBUTE}")
    messages = Messages(octets, ())
    base = messages.gather(starts, _OPAQUE_BASE, _HEADER).view(BASE)
    if not np.isin(base["family"], (IPV4, IPV6)).all():
        raise DecodeError("a socket of a family other than IPv4 and IPv6")
    layout, layouts = _layouts(words, lengths, starts)
    return SocketTable(base, starts, layout, Messages(octets, layouts), unavailable_inodes(base))


def _layouts(
    words: _Words, lengths: npt.NDArray[np.uint32], starts: _Offsets
) -> tuple[npt.NDArray[np.int32], tuple[_Attributes, ...]]:
    """Messages grouped by their layout: the number of each one's, and what each layout is."""
    numbers = np.zeros(len(starts), "i4")
    layouts: list[_Attributes] = []
    for length in _different(lengths):
        rows = np.arange(len(starts)) if (same := lengths == length).all() else np.flatnonzero(same)
        while len(rows):
            headers, attributes = _attributes(words, int(starts[rows[0]]), int(length))
            here = starts[rows]
            alike: Mask = np.ones(len(rows), bool)
            for place, header in headers:
                alike &= words[here + place] == header
            numbers[rows[alike]] = len(layouts)
            layouts.append(attributes)
            rows = rows[~alike]
    return numbers, tuple(layouts)


def _different(lengths: npt.NDArray[np.uint32]) -> list[int]:
    if (lengths == lengths[:1]).all():
        lengths = lengths[:1]
    return sorted(set(lengths.tolist()))  # np.unique would load numpy.ma, 5 ms


def _attributes(words: _Words, start: int, length: int) -> tuple[list[tuple[int, int]], _Attributes]:
    """The attributes of one message: place and value of each header (struct nlattr), and where each payload is.

    Places are in words from the begin of the message.
    """
    message = words[start : start + (length + 3) // 4]
    halves = message.view("u2")
    headers = []
    attributes = {}
    at = _FIRST_ATTRIBUTE
    while at + 4 <= length:
        size, kind = int(halves[at // 2]), int(halves[at // 2 + 1])
        if size < 4 or at + size > length:
            raise DecodeError(f"an attribute of {size} bytes where {length - at} are left")
        headers.append((at // 4, int(message[at // 4])))
        attributes[kind & _TYPE_MASK] = (at // 4 + 1, size - 4)
        at += (size + 3) & ~3
    return headers, attributes


def unavailable_inodes(base: Rows) -> tuple[Unavailable, ...]:
    """The sockets whose inode and user the kernel writes as 0 because there is none, with the reason.

    See inet_twsk_diag_fill and inet_req_diag_fill in net/ipv4/inet_diag.c.
    """
    state, nameless = base["state"], base["inode"] == 0
    waiting = base["timer"] == _TIMEWAIT
    handshake = nameless & (state == states.SYN_RECV)
    queued = nameless & ~waiting & np.isin(state, (states.ESTABLISHED, states.CLOSE_WAIT))
    closed = nameless & ~(waiting | handshake | queued)
    gaps = []
    for where, reason in ((waiting, _WAITING), (handshake, _HANDSHAKE), (queued, _QUEUED), (closed, _CLOSED)):
        if where.any():
            gaps.append(Unavailable(("inode",), where, reason))
            gaps.append(Unavailable(("uid",), where & (base["uid"] == 0), reason))
    return tuple(gaps)
