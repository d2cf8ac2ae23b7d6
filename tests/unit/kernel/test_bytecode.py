"""Filters as programs for the kernel: what it accepts, and what passes."""

import pytest
from unit.kernel.kernel_program import Entry, audit, run

from portside.kernel import states
from portside.kernel.bytecode import compile_filter, states_of
from portside.kernel.filter import And, NumericResolver, Or, PortIn, parse

FOUR = Entry(2, b"\x0a\0\0\1", b"\x0a\x09\x09\x09", 80, 1000)
SIX = Entry(10, bytes(15) + b"\1", bytes(15) + b"\2", 443, 2000)
MAPPED = Entry(10, bytes(10) + b"\xff\xff\x0a\0\0\2", bytes(10) + b"\xff\xff\x0a\x09\x09\x08", 22, 3000)
ENTRIES = (FOUR, SIX, MAPPED)


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("sport = 80", (FOUR,)),
        ("not sport = 80", (SIX, MAPPED)),
        ("sport != 80 and dport != 2000", (MAPPED,)),
        ("sport < 100", (FOUR, MAPPED)),
        ("dport > 1000", (SIX, MAPPED)),
        ("1000", (FOUR,)),
        ("sport = 80 or sport = 443", (FOUR, SIX)),
        ("not ( sport = 80 or sport = 443 )", (MAPPED,)),
        ("( sport = 80 or sport = 443 ) and ( dport = 2000 or dport = 3000 )", (SIX,)),
        ("src 10/8", (FOUR, MAPPED)),
        ("not src 10/8", (SIX,)),
        ("src 10.0.0.2", (MAPPED,)),
        ("src [::]/0", (SIX, MAPPED)),
        ("dst [::2]:2000", (SIX,)),
        ("sport > 65535", ()),
        ("sport < 0 or sport = 22", (MAPPED,)),
        ("sport = 22 and rtt > 5s", (MAPPED,)),
        ("sport = 22 and not ( rtt > 5s and dport = 1 )", (MAPPED,)),
        ("not ( sport = 22 or rtt > 5s )", (FOUR, SIX)),
        ("state established and sport = 22", (MAPPED,)),
    ],
)
def test_what_passes(text: str, passing: tuple[Entry, ...]) -> None:
    program = compile_filter(parse(text, NumericResolver()))
    assert program is not None
    audit(program)
    assert tuple(entry for entry in ENTRIES if run(program, entry)) == passing


@pytest.mark.parametrize(
    "text",
    ["", "rtt > 5s", "sport = 22 or rtt > 5s", "not ( sport = 22 and pid = 5 )", "sport >= 0", "state listening",
     "not sport > 65535", "program = nc", "mark = 1"],
)  # fmt: skip
def test_what_the_kernel_cannot_be_asked(text: str) -> None:
    assert compile_filter(parse(text)) is None


def test_nothing_at_all_passes() -> None:
    for tree in (Or(()), And((Or(()), Or(()))), PortIn("local", 5, 4)):
        program = compile_filter(tree)
        assert program is not None
        audit(program)
        assert not any(run(program, entry) for entry in ENTRIES)


def test_a_program_that_would_be_too_long_is_none() -> None:
    assert compile_filter(parse(" or ".join(f"sport = {port}" for port in range(1000)))) is not None
    assert compile_filter(parse(" or ".join(f"sport = {port}" for port in range(5000)))) is None


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", states.ALL),
        ("sport = 5", states.ALL),
        ("state established", 1 << states.ESTABLISHED),
        ("state established and sport = 5", 1 << states.ESTABLISHED),
        ("state established or sport = 5", states.ALL),
        ("state established or state listening", 1 << states.ESTABLISHED | 1 << states.LISTEN),
        ("not state connected", states.ALL & ~states.CONNECTED),
        ("not ( state connected or state listening )", 1 << states.CLOSE),
        ("not ( state connected and sport = 5 )", states.ALL),
        ("state established and state listening", 0),
    ],
)
def test_states(text: str, chosen: int) -> None:
    assert states_of(parse(text)) == chosen
