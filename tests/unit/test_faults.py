"""How faults are written, and what chance and counting decide of them."""

from functools import partial
from random import Random

import pytest

from portside.errors import InvalidValue
from portside.events import Fault, from_json, to_json
from portside.feed.render import make_renderer
from portside.settings.faults import parse_fault
from portside.settings.values import parse_seed
from portside.wire.faults.model import KINDS, Latency, Limit, Rate, Slice
from portside.wire.faults.plan import FaultPlan
from portside.wire.faults.transforms import BitFlipper, Slicer


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_each_fault_is_one(kind: str) -> None:
    fault = parse_fault(KINDS[kind].example)
    assert fault.kind == kind
    assert fault.text == KINDS[kind].example
    assert type(fault.effect) is KINDS[kind].effect


def test_arguments_clauses_and_qualifiers() -> None:
    fault = parse_fault(
        "  latency 200ms  out jitter 50ms p=0.1 after 2s for 1m first=3 every=2 net=10.1.2.3/8 upstream "
    )
    window, selector = fault.window, fault.selector
    assert fault.effect == Latency(0.2, 0.05)
    assert (window.at, window.after, window.lasts) == (None, 2.0, 60.0)
    assert (selector.p, selector.first, selector.every, str(selector.net)) == (0.1, 3, 2, "10.0.0.0/8")
    assert window.directions == ("out",)
    assert window.upstream
    assert parse_fault("rate 10k/s both").effect == Rate(10 * 1024)
    assert parse_fault("rate 10k/s").window.directions == ("in", "out")
    assert parse_fault("slice 1..20 gap 5ms").effect == Slice((1, 20), 0.005)
    assert parse_fault("slice 7").effect == Slice((7, 7))
    assert parse_fault("stall").window.directions == ("in",)
    assert parse_fault("stall after 1k").window.at == 1024
    assert parse_fault("stall after 2m").window.after == 120.0
    assert parse_fault("stall after 2M").window.at == 2 << 20
    assert parse_fault("limit 10k out").effect == Limit(10 * 1024)
    assert parse_fault("reset").window.after is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is no fault: write one of drop, corrupt, latency, "),
        ("latncy 5s", r"'latncy' is no fault \(did you mean latency\?\): write one of"),
        ("loss 1", r"'loss' is no fault \(did you mean drop\?\)"),
        ("latency", "latency says too little: write as in 'latency 200ms jitter 50ms'"),
        ("latency soon", "'soon' is no duration: write 500ms"),
        ("latency 5s jitter", "'jitter' says too little: write as in 'jitter 50ms'"),
        ("latency 5s 6s", "'6s' says nothing to latency: it takes jitter, at, after, for, in, out, both, upstream, p="),
        ("rate 10k", "'10k' is no rate: write bytes a second as 10k/s"),
        ("rate 0/s", "at least 1 byte"),
        ("slice 5..2", "'5..2': write the smaller size first"),
        ("corrupt 0", "'0' is no share: write a number above 0 and up to 1"),
        ("corrupt 1.5", "'1.5' is no share"),
        ("stall at 1k after 2s", "stall begins at a size or after a time, not both"),
        ("stall for 1s for 2s", "'for': stall has that twice"),
        ("stall in out", "'out': stall has that twice"),
        ("reset in", "reset has a direction only where it counts bytes, as in 'reset at 1k in'"),
        ("reset after 2s out", "reset has a direction only where it counts bytes"),
        ("refuse in", "'in' says nothing to refuse: it takes p=, first=, every=, net="),
        ("refuse upstream", "'upstream' says nothing to refuse"),
        ("never-accept p=0.1", "'p=0.1' says nothing to never-accept: it takes after, for"),
        ("accept-delay 1s 2s", "'2s' says nothing to accept-delay: write as in 'accept-delay 2s'"),
        ("drop net=here", "'here' is no network: write as in net=10.0.0.0/8"),
        ("drop first=0", "'0' is no count"),
        ("drop p=", "'' is no share"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        parse_fault(text)


def test_a_seed() -> None:
    assert parse_seed("42") == 42
    with pytest.raises(InvalidValue, match="write a whole number from 0"):
        parse_seed("-1")


def test_where_chance_has_a_part() -> None:
    by_chance = ["corrupt 1", "slice 1..2", "latency 1s jitter 1ms", "drop p=0.5"]
    assert [parse_fault(text).is_random for text in by_chance] == [True] * 4
    assert not parse_fault("slice 5").is_random
    assert not parse_fault("reset at 5").is_random


def assigned(*specs: str, ips: list[str | None], seed: int = 1) -> list[list[str]]:
    """The faults of the connections from these addresses, as they were written."""
    plan = FaultPlan([parse_fault(spec) for spec in specs], seed)
    return [[each.fault.text for each in plan.next(ip)] for ip in ips]


def test_the_first_every_nth_and_those_of_a_network() -> None:
    ips: list[str | None] = ["10.0.0.1", "127.0.0.1", "::ffff:10.0.0.2", None, "10.0.0.3"]
    net = "drop net=10.0.0.0/8"
    assert assigned(net, ips=ips) == [[net], [], [net], [], [net]]
    mapped = "drop net=::ffff:10.0.0.0/104"
    assert assigned(mapped, ips=ips) == [[mapped], [], [mapped], [], [mapped]]
    first = "drop net=10.0.0.0/8 first=2"
    assert assigned(first, ips=ips) == [[first], [], [first], [], []]
    assert assigned("drop every=2", ips=["::1"] * 5) == [[], ["drop every=2"], [], ["drop every=2"], []]
    assert assigned("drop first=1", "stall", ips=["::1"] * 2) == [["drop first=1", "stall"], ["stall"]]


def test_a_share_of_1000_connections_is_the_same_with_the_same_seed() -> None:
    ips: list[str | None] = ["::1"] * 1000
    once, again = (assigned("drop p=0.1", ips=ips, seed=42) for _ in range(2))
    assert once == again
    assert sum(map(bool, once)) == 107  # of a binomial distribution: 100 ± 9.5
    assert assigned("drop p=0.1", ips=ips, seed=43) != once
    # Faults are drawn for apart from one another.
    both = assigned("drop p=0.1", "stall p=0.1", ips=ips, seed=42)
    assert 0 < sum(len(found) == 2 for found in both) < 30


def test_the_seed_of_each_fault_connection_and_direction_stays_as_it_is() -> None:
    plan = FaultPlan([parse_fault("drop"), parse_fault("corrupt 0.1 p=0.99")], 42)
    plan.next("::1")
    assert [each.seed for each in plan.next("::1")] == ["42/0/2", "42/1/2"]
    draws = plan.next("::1")[1].rng("out")
    assert draws.random() == Random("42/1/3/out").random()


def test_bits_turn_with_the_probability_asked_for() -> None:
    data = bytes(100_000)
    changed, where = BitFlipper(0.01, Random(1)).apply(data)
    assert 900 < len(where) < 1100
    assert all(changed[at].bit_count() == 1 for at in where)
    assert sum(byte.bit_count() for byte in changed) == len(where)
    everything, all_of_them = BitFlipper(1.0, Random(1)).apply(b"abc")
    assert all_of_them == [0, 1, 2]
    assert everything != b"abc"
    assert BitFlipper(1e-12, Random(1)).apply(b"abc") == (b"abc", [])


def test_pieces_have_the_sizes_asked_for() -> None:
    slicer = Slicer((2, 5), Random(1))
    assert all(2 <= slicer.next(1000) <= 5 for _ in range(100))
    slicer = Slicer((4, 4), Random(1))
    assert [slicer.next(available) for available in (3, 1, 9)] == [3, 1, 4]


def test_how_a_fault_reads() -> None:
    did = partial(Fault, at=0, conn=1, peer="1.2.3.4:5")
    text, classic = (make_renderer(name) for name in ("text", "classic"))
    words = {
        "stall for 1s: over (in, after 7 B)": did(
            fault="stall", spec="stall for 1s", direction="in", offset=7, over=True
        ),
        "drop out (5 B)": did(fault="drop", spec="drop out", direction="out", offset=0, size=5),
        "reset after 2s upstream": did(fault="reset", spec="reset after 2s", leg="upstream"),
        "rate 1/s upstream (out)": did(fault="rate", spec="rate 1/s upstream", direction="out", leg="upstream"),
    }
    for line, event in words.items():
        assert f"#1 1.2.3.4:5  ! fault: {line}\n".encode() in b"".join(text.render([event]))
    port = Fault(at=0, fault="accept-delay", spec="accept-delay 2s", address="1.2.3.4:5")
    assert b"  ! fault: accept-delay 2s (1.2.3.4:5)\n" in b"".join(text.render([port]))
    lines = b"".join(classic.render([port, *words.values()])).decode().splitlines()
    assert lines[:2] == ["Fault: accept-delay 2s.", "Fault on ('1.2.3.4', 5) is over: stall for 1s."]
    assert from_json(to_json(port), 0) == port


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("latency 200", "200", "200ms or 200s"),
        ("latency 200ms jitter 50", "50", "50ms or 50s"),
        ("latency 1.5", "1.5", "1.5ms or 1.5s"),
        ("stall for 5", "5", "5ms or 5s"),
        ("slice 10 gap 2", "2", "2ms or 2s"),
        ("latency 1s after 0", "0", "0ms or 0s"),
        ("stall after 100", "100", "100ms or 100s, or 'at 100' for bytes"),
        ("reset after 100", "100", "100ms or 100s"),
    ],
)
def test_a_bare_number_is_no_time(text: str, wrong: str, right: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_fault(text)
    assert str(caught.value).startswith(f"'{wrong}' has no unit: write {right}")
