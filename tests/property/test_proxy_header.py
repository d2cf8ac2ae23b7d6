"""PROXY headers: what is written is read, wherever it is cut, and nothing beyond it is taken."""

import socket
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from portside.errors import InvalidValue
from portside.wire.proxy_header import SIGNATURE, HeaderDecoder, encode_v1, encode_v2

PORTS = st.integers(0, 65535)
V4 = st.tuples(st.ip_addresses(v=4).map(str), PORTS)
V6 = st.tuples(st.ip_addresses(v=6).map(lambda ip: socket.inet_ntop(socket.AF_INET6, ip.packed)), PORTS)
ENDS = st.one_of(st.tuples(V4, V4), st.tuples(V6, V6))
OWN_TLVS = st.lists(st.tuples(st.integers(0xE0, 0xEF), st.binary(max_size=40)), max_size=5)


def fed(data: bytes, cuts: list[int]) -> tuple[HeaderDecoder, int]:
    decoder = HeaderDecoder()
    taken = 0
    for start, end in pairwise([0, *sorted(cuts), len(data)]):
        taken += decoder.feed(data[min(start, len(data)) : min(end, len(data))])
    return decoder, taken


@given(ENDS, OWN_TLVS, st.booleans(), st.sampled_from([1, 2]), st.binary(max_size=60), st.lists(st.integers(0, 400)))
def test_a_header_is_read_wherever_it_is_cut(
    ends: tuple[tuple[str, int], tuple[str, int]],
    tlvs: list[tuple[int, bytes]],
    checksum: bool,
    version: int,
    after: bytes,
    cuts: list[int],
) -> None:
    header = encode_v1(*ends) if version == 1 else encode_v2(*ends, tlvs, checksum=checksum)
    decoder, taken = fed(header + after, cuts)
    assert decoder.header is not None
    assert (decoder.header.source, decoder.header.destination) == ends
    assert taken == len(header)
    for end in range(len(header)):
        assert fed(header[:end], [])[0].header is None


@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=200).map(lambda rest: b"PROXY " + rest),
        st.tuples(st.sampled_from([0x20, 0x21]), st.sampled_from([0, 0x11, 0x21, 0x31]), st.binary(max_size=300)).map(
            lambda parts: SIGNATURE + bytes(parts[:2]) + len(parts[2]).to_bytes(2, "big") + parts[2]
        ),
    ),
    st.lists(st.integers(0, 300)),
)
def test_whatever_comes_is_a_header_or_refused(data: bytes, cuts: list[int]) -> None:
    try:
        whole: object = fed(data, [])[0].header
    except InvalidValue:
        whole = InvalidValue
    try:
        cut: object = fed(data, cuts)[0].header
    except InvalidValue:
        cut = InvalidValue
    assert whole == cut
