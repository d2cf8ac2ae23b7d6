"""Stored dumps with mistakes in them: decoded or refused, never anything else."""

import struct
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kernel.messages import HEADER, attribute, message, socket_message

from portside.kernel.column_names import SHARES
from portside.kernel.decoder import DecodeError, decode, message_starts
from portside.kernel.inet_diag import INFO_BITS, INFO_FIELDS
from portside.kernel.materialize import to_sockets


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    try:
        table = decode(data).table
    except DecodeError:
        return
    assert len(list(to_sockets(table))) == len(table)


@given(st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=300)), max_size=6))
def test_any_attributes(attributes: list[tuple[int, bytes]]) -> None:
    (socket,) = to_sockets(decode(socket_message(attributes=b"".join(attribute(*each) for each in attributes))).table)
    assert socket.local == "127.0.0.1:12345"


_RAW = ("window_scales", "flags", "accecn", "options")


@given(st.binary(max_size=320))
def test_what_a_shorter_tcp_info_lacks_is_null_with_its_reason(octets: bytes) -> None:
    """No field is 0 because its bytes did not come."""
    (socket,) = to_sockets(decode(socket_message(attributes=attribute(2, octets))).table)
    if "cwnd" not in (socket.info or {}):
        assert len(octets) < 84
        assert "info" in socket.gaps
        return
    info = socket.info or {}
    ends = {name: (offset, int(kind[1])) for name, kind, offset in INFO_FIELDS}
    for name, value in info.items():
        if name in _RAW:
            continue
        assert (value is None) == (f"info.{name}" in socket.gaps), name
        field = SHARES[name][0] if name in SHARES else INFO_BITS[name][0] if name in INFO_BITS else name
        offset, size = ends[field]
        if offset + size > len(octets):
            assert (value, socket.gaps[f"info.{name}"]) == (None, "this kernel does not tell it")
        elif value is not None and field == name:
            assert value == int.from_bytes(octets[offset : offset + size], sys.byteorder)


@given(st.integers(0, 1 << 64), st.integers(0, 1 << 64))
def test_a_share_is_between_0_and_1(part: int, whole: int) -> None:
    octets = bytearray(280)
    struct.pack_into("=QQ", octets, 168, min(whole, (1 << 64) - 1), min(part, (1 << 64) - 1))
    (socket,) = to_sockets(decode(socket_message(attributes=attribute(2, bytes(octets)))).table)
    found = (socket.info or {})["rwnd_limited_share"]
    assert found is None if not whole else 0 <= found <= 1
    if whole and part <= whole:
        assert abs(found - part / whole) < 0.0001


def walked(words: npt.NDArray[np.uint32]) -> list[int] | None:
    """Where each message begins, one after the other; None where the bytes are no messages."""
    starts, at = [], 0
    while at < len(words):
        if words[at] < HEADER.size:
            return None
        starts.append(at)
        at += (int(words[at]) + 3) // 4
    return starts if at == len(words) else None


@given(
    st.lists(st.tuples(st.sampled_from([16, 17, 20, 88, 96]), st.sampled_from([1, 2, 15, 16, 17, 18, 33, 70]))),
    st.sampled_from([b"", b"\1\0\0\0", b"\x10\0\0\0", b"\xff\xff\xff\xff", bytes(4)]),
)
def test_runs_of_one_length_begin_where_a_walk_finds_them(runs: list[tuple[int, int]], end: bytes) -> None:
    data = b"".join(message(3, bytes(size - HEADER.size)) * count for size, count in runs) + end
    words = np.frombuffer(data, "u4")
    expected = walked(words)
    if expected is None:
        with pytest.raises(DecodeError):
            message_starts(words)
    else:
        assert message_starts(words).tolist() == expected
