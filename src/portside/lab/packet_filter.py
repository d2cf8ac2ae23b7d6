"""Segments that a socket never gets: a classic BPF program on it (SO_ATTACH_FILTER, see socket(7)).

The kernel runs it on each segment that arrives, from the TCP header on, and drops those for which it returns 0. That is
loss at the last moment: the sender cannot tell it from one on the way. On TCP sockets it takes CAP_NET_RAW, which a
user has in a namespace of their own.
"""

import ctypes
import socket
import struct

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_LOAD_WORD, _LOAD_BYTE, _JUMP_GREATER_OR_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x30, 0x35, 0x45, 0x06
_RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM of linux/filter.h
_FLAGS_AT, _SYN = 13, 0x02
_EVERYTHING = 0xFFFFFFFF

Instruction = tuple[int, int, int, int]
"""Opcode, jump if true, jump if false, operand: struct sock_filter."""

ALL: tuple[Instruction, ...] = ((_RETURN, 0, 0, 0),)
"""Drops every segment."""

SYN: tuple[Instruction, ...] = (
    (_LOAD_BYTE, 0, 0, _FLAGS_AT),
    (_JUMP_IF_SET, 0, 1, _SYN),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, _EVERYTHING),
)
"""Drops segments with SYN set: on a client those are the SYN-ACKs."""


def share(lost: float) -> tuple[Instruction, ...]:
    """Drops this share of the segments, by chance."""
    return (
        (_LOAD_WORD, 0, 0, _RANDOM),
        (_JUMP_GREATER_OR_EQUAL, 1, 0, int(lost * 0xFFFFFFFF)),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, _EVERYTHING),
    )


def drop(target: socket.socket, what: tuple[Instruction, ...]) -> None:
    """Have a socket lose what the program drops, in place of what it lost before. Raises OSError."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in what))
    target.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(what), ctypes.addressof(program)))


def drop_nothing(target: socket.socket) -> None:
    """Take the filter of a socket away."""
    target.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, struct.pack("i", 0))
