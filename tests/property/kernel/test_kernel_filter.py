"""Filters against plain models: one socket at a time in Python, and the kernel's side of bytecode."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from unit.kernel.kernel_program import Entry, audit, run
from unit.kernel.messages import attribute, socket_message, tcp_info

from portside.kernel import states
from portside.kernel.bytecode import compile_filter, states_of
from portside.kernel.decoder import decode
from portside.kernel.filter import (
    And,
    Filter,
    FilterError,
    HostIn,
    Not,
    Number,
    NumericResolver,
    Or,
    PortIn,
    StateIn,
    parse,
)
from portside.kernel.filter.evaluate import evaluate, possible

PORTS = st.integers(0, 3)
ADDRESSES = st.sampled_from(
    ["10.0.0.1", "10.0.0.2", "10.128.0.1", "::1", "fe80::1", "::ffff:10.0.0.1", "::ffff:10.0.0.3"]
)
SIDES = st.sampled_from(["local", "remote"])


class Seen:
    """A socket as the model has it."""

    def __init__(self, local: str, remote: str, ports: tuple[int, int], state: int, rtt: int | None) -> None:
        ends = [ip_address(local), ip_address(remote)]
        if ends[0].version != ends[1].version:
            ends[1] = ends[0]
        self.ends = dict(zip(("local", "remote"), ends, strict=True))
        self.ports = dict(zip(("local", "remote"), ports, strict=True))
        self.state, self.rtt = state, rtt

    def message(self) -> bytes:
        info = b"" if self.rtt is None else attribute(2, tcp_info(248, rtt=("I", 68, self.rtt)))
        return socket_message(
            local=(str(self.ends["local"]), self.ports["local"]),
            remote=(str(self.ends["remote"]), self.ports["remote"]),
            state=self.state,
            attributes=info,
        )

    def entry(self) -> Entry:
        local, remote = self.ends["local"], self.ends["remote"]
        family = 2 if local.version == 4 else 10
        return Entry(family, local.packed, remote.packed, self.ports["local"], self.ports["remote"])


sockets = st.builds(
    Seen,
    ADDRESSES,
    ADDRESSES,
    st.tuples(PORTS, PORTS),
    st.integers(1, 9),
    st.one_of(st.none(), st.integers(1, 3)),
)

hosts = st.builds(
    lambda side, address, bits: HostIn(side, address, min(bits, 8 * len(address))),
    SIDES,
    ADDRESSES.map(lambda text: ip_address(text).packed),
    st.integers(0, 128),
)
leaves = st.one_of(
    st.builds(PortIn, SIDES, st.integers(-1, 4), st.sampled_from([-1, 0, 1, 2, 3, 65534, 65535])),
    hosts,
    st.builds(StateIn, st.integers(0, states.ALL)),
    st.builds(Number, st.just("rtt_us"), st.sampled_from(["=", "<", "<=", ">", ">="]), st.integers(0, 4)),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, max_size=3).map(tuple).map(And),
        st.lists(inner, max_size=3).map(tuple).map(Or),
    ),
    max_leaves=12,
)


def model(node: Filter, seen: Seen) -> bool | None:
    """What a filter says of one socket: None where it cannot be known."""
    match node:
        case And(terms):
            answers = [model(term, seen) for term in terms]
            return False if False in answers else None if None in answers else True
        case Or(terms):
            answers = [model(term, seen) for term in terms]
            return True if True in answers else None if None in answers else False
        case Not(term):
            answer = model(term, seen)
            return None if answer is None else not answer
        case PortIn(side, low, high):
            return low <= seen.ports[side] <= high
        case HostIn(side, address, bits):
            end: IPv4Address | IPv6Address | None = seen.ends[side]
            if len(address) == 4 and isinstance(end, IPv6Address):
                end = end.ipv4_mapped
            if end is None or len(end.packed) != len(address):
                return False
            shift = 8 * len(address) - bits
            return int.from_bytes(end.packed, "big") >> shift == int.from_bytes(address, "big") >> shift
        case StateIn(chosen):
            return bool(chosen >> seen.state & 1)
        case Number(_, comparison, value):
            rtt = seen.rtt
            if rtt is None:
                return None
            return {"=": rtt == value, "<": rtt < value, "<=": rtt <= value, ">": rtt > value, ">=": rtt >= value}[
                comparison
            ]
    raise AssertionError(node)


@given(filters, st.lists(sockets, max_size=8))
def test_the_whole_table_at_once_is_each_socket_for_itself(node: Filter, seen: list[Seen]) -> None:
    table = decode(b"".join(each.message() for each in seen)).table
    answers = [model(node, each) for each in seen]
    assert evaluate(node, table).tolist() == [answer is True for answer in answers]
    assert possible(node, table).tolist() == [answer is not False for answer in answers]


@given(filters, st.lists(sockets, max_size=8))
def test_the_kernel_lets_through_all_that_matches(node: Filter, seen: list[Seen]) -> None:
    program = compile_filter(node)
    wanted = states_of(node)
    if program is not None:
        audit(program)
    for each in seen:
        passes = bool(wanted >> each.state & 1) and (program is None or run(program, each.entry()))
        if model(node, each) is not False:
            assert passes


def asks_only_ends(node: Filter) -> bool:
    match node:
        case And(terms) | Or(terms):
            return all(map(asks_only_ends, terms))
        case Not(term):
            return asks_only_ends(term)
    return isinstance(node, PortIn | HostIn)


@given(filters.filter(asks_only_ends), st.lists(sockets, max_size=8))
def test_of_ports_and_addresses_the_kernel_lets_through_nothing_else(node: Filter, seen: list[Seen]) -> None:
    program = compile_filter(node)
    for each in seen:
        assert model(node, each) == (program is None or run(program, each.entry()))


WORDS = st.sampled_from(
    [
        "state",
        "established",
        "exclude",
        "time-wait",
        "sport",
        "dport",
        "src",
        "dst",
        "=",
        "!=",
        "<",
        ">=",
        "(",
        ")",
        "and",
        "or",
        "not",
        "!",
        "&",
        "|",
        ":",
        ":80",
        "80-90",
        "10.0.0.0/8",
        "[::1]:80",
        "*",
        "rtt",
        "5ms",
        "recvq",
        "64k",
        "pid",
        "program",
        "mark",
        "0x1/3",
        "'",
        '"',
        "x",
        "inet:",
        "inet6:*",
        "age",
        "uid",
        "dev",
        "cgroup",
    ]
)


@given(st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=12).map(" ".join)))
def test_any_text_is_a_filter_or_an_error_that_points_into_it(text: str) -> None:
    read = parsed(text)
    if isinstance(read, FilterError):
        assert 0 <= read.at < read.at + read.width <= len(text) + 1
        assert read.problem
    else:
        assert len(evaluate(read, decode(socket_message()).table)) == 1
        compile_filter(read)


def parsed(text: str) -> Filter | FilterError:
    try:
        return parse(text, NumericResolver())
    except FilterError as error:
        return error


@given(filters)
def test_nothing_matches_in_an_empty_table(node: Filter) -> None:
    assert not np.any(evaluate(node, decode(b"").table))
