"""A few sockets without numpy: the same sockets, and the same text to the byte, as by way of the table."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from property.kernel.test_kernel_filter import ADDRESSES, SIDES, filters, hosts
from unit.kernel.messages import attribute, message, socket_message

from portside.app import watch_few
from portside.app.table_text import TableText
from portside.app.watch_few import few_sockets_text
from portside.kernel import few_sockets, states
from portside.kernel.decoder import DecodeError, decode
from portside.kernel.few_sockets import can_answer, decode_few, matches
from portside.kernel.filter import And, Filter, Not, Number, Or, PortIn, StateIn
from portside.kernel.filter.evaluate import evaluate
from portside.kernel.models import Owner
from portside.kernel.netlink import _once

INTERFACES = {1: "lo", 2: "eth\\x1b0"}  # 3 has gone since
OWNERS = {7: (Owner(10, "nc", 3), Owner(10, "nc", 5), Owner(11, "a\x1b[31m", 3)), 8: (Owner(12, None, None),)}

numbers = st.builds(
    Number,
    st.sampled_from(["recv_q", "send_q", "interface"]),
    st.sampled_from(["=", "<", "<=", ">", ">="]),
    st.integers(0, 3),
)
answerable: st.SearchStrategy[Filter] = st.recursive(
    st.one_of(
        st.builds(PortIn, SIDES, st.integers(-1, 4), st.sampled_from([-1, 0, 1, 2, 3, 65534, 65535])),
        st.builds(StateIn, st.integers(0, states.ALL)),
        hosts,
        numbers,
    ),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, max_size=3).map(tuple).map(And),
        st.lists(inner, max_size=3).map(tuple).map(Or),
    ),
    max_leaves=12,
)


@st.composite
def socket_messages(draw: st.DrawFn) -> bytes:
    local, remote = draw(ADDRESSES), draw(ADDRESSES)
    if (":" in local) != (":" in remote):
        remote = local
    return socket_message(
        state=draw(st.integers(0, 14)),
        local=(local, draw(st.integers(0, 3))),
        remote=(remote, draw(st.sampled_from([0, 1, 2, 65535]))),
        queues=(draw(st.integers(0, 3)), draw(st.sampled_from([0, 1, 2, 1 << 31, (1 << 32) - 1]))),
        interface=draw(st.integers(0, 3)),
        cookie=draw(st.sampled_from([1, 2, 3, 1 << 32, (1 << 64) - 1])),
        inode=draw(st.sampled_from([0, 7, 8, 9])),
        attributes=draw(st.sampled_from([b"", attribute(8, b"\1"), attribute(21, bytes(8)), b"\0\0\0\0"])),
    )


dumps = st.lists(st.one_of(socket_messages(), st.just(message(3, bytes(4))), st.just(message(2, bytes(4)))), max_size=8)


@given(dumps, answerable, st.booleans())
def test_the_same_text_to_the_byte(messages: list[bytes], tree: Filter, owners: bool) -> None:
    data = b"".join(messages)
    few = decode_few(memoryview(data))
    assert few is not None
    try:
        table = replace(_once(decode(data).table), interfaces=INTERFACES, owners=OWNERS)
    except DecodeError:  # of attributes, which only the table looks at
        return
    assert can_answer(tree)
    chosen = [socket for socket in few if matches(tree, socket)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch_few, "interface_names", lambda: INTERFACES)
        held = [OWNERS.get(socket.inode, ()) for socket in chosen] if owners else None
        text = b"".join(few_sockets_text(chosen, held))
    table = table.select(evaluate(tree, table))
    assert text == b"".join(TableText(owners=owners).pieces(table))


@given(filters)
def test_a_condition_on_what_may_be_unknown_is_left_to_the_table(tree: Filter) -> None:
    assert can_answer(tree) is not _names(tree, "rtt_us")


@given(st.lists(socket_messages(), max_size=4).map(b"".join), st.integers(0, 400), st.binary(max_size=8))
def test_what_the_decoder_rejects_is_left_to_it(data: bytes, at: int, other: bytes) -> None:
    data = data[:at] + other + data[at + len(other) :]
    data = data[: len(data) & ~3]
    few = decode_few(memoryview(data))
    try:
        decoded = decode(data)
    except DecodeError:
        return  # of what few_sockets does not look at, the attributes, it may say nothing
    if few is None:
        assert decoded.interrupted or len(data) > few_sockets.MOST_BYTES
        return
    assert not decoded.interrupted
    table = _once(decoded.table)
    assert [socket.inode for socket in few] == table.base["inode"].tolist()
    assert [socket.local_port for socket in few] == table.base["local_port"].tolist()


def test_a_dump_that_was_interrupted_and_a_large_one_are_left_to_the_table() -> None:
    assert decode_few(memoryview(socket_message(flags=0x10))) is None
    one = socket_message()
    many = one * (few_sockets.MOST_BYTES // len(one) + 1)
    assert decode_few(memoryview(many)) is None
    assert decode_few(memoryview(many[: -len(one)])) is not None


def test_a_socket_that_was_dumped_twice_is_there_once_as_it_was_last() -> None:
    first, other, again = (socket_message(cookie=cookie, inode=inode) for cookie, inode in ((1, 7), (2, 8), (1, 9)))
    few = decode_few(memoryview(first + other + again))
    assert [(socket.cookie, socket.inode) for socket in few or ()] == [(2, 8), (1, 9)]


def _names(tree: Filter, column: str) -> bool:
    match tree:
        case And(terms) | Or(terms):
            return any(_names(term, column) for term in terms)
        case Not(term):
            return _names(term, column)
        case Number(name):
            return name == column
    return False
