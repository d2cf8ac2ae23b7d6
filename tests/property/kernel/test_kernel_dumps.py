"""Stored dumps with mistakes in them: decoded or refused, never anything else."""

from hypothesis import given
from hypothesis import strategies as st
from unit.kernel.messages import attribute, socket_message

from portside.kernel.decoder import DecodeError, decode
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
