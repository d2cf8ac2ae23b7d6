"""The filter language: what is read, what it means, and what is said where it is wrong."""

import numpy as np
import pytest
from unit.kernel.messages import LISTEN, TIME_WAIT, attribute, socket_message, tcp_info

from portside.errors import InvalidValue
from portside.kernel import states
from portside.kernel.decoder import decode
from portside.kernel.filter import (
    And,
    Filter,
    FilterError,
    HostAddress,
    HostIn,
    Mark,
    Not,
    Number,
    NumericResolver,
    Or,
    PortIn,
    ProgramIs,
    StateIn,
    TextIs,
    grammar,
    parse,
)
from portside.kernel.filter.columns import FilterColumn, Vocabulary, parse_integer
from portside.kernel.filter.evaluate import Truth, compare, evaluate, evaluate_tree, known, possible
from portside.kernel.filter.tree import EVERYTHING, columns_of, mentions_state
from portside.kernel.models import Owner
from portside.kernel.table import SocketTable


class NameResolver:
    def port(self, service: str) -> int:
        if service not in (ports := {"https": 443, "ssh": 22, "9pfs": 564}):
            raise InvalidValue(f"no service is called {service!r}")
        return ports[service]

    def addresses(self, host: str) -> list[HostAddress]:
        ten, one = HostAddress(b"\x0a\0\0\1"), HostAddress(bytes(15) + b"\1")
        hosts = {"one": [ten], "two": [ten, one], "near": [one, HostAddress(LINK_LOCAL, 3)]}
        if host not in hosts:
            raise InvalidValue(f"no host is called {host!r}")
        return hosts[host]

    def interface(self, name: str) -> int:
        return named(name, {"eth0": 3, "12": 7, "6in4-wan": 8, "a]b": 9}, "no interface is called")

    def cgroup(self, path: str) -> int:
        return named(path, {"/user.slice": 77, "5g.slice": 78, "12": 79}, "there is no control group")

    def user(self, name: str) -> int:
        return named(name, {"root": 0, "12": 80, "4u": 81}, "no user is called")


def named(name: str, numbers: dict[str, int], problem: str) -> int:
    if name not in numbers:
        raise InvalidValue(f"{problem} {name!r}")
    return numbers[name]


def read(text: str) -> Filter:
    return parse(text, NameResolver())


LINK_LOCAL = b"\xfe\x80" + bytes(13) + b"\1"
LEAF, ON_ETH0 = HostIn("local", LINK_LOCAL, 128), Number("interface", "=", 3)
A, B, C = PortIn("local", 1, 1), PortIn("local", 2, 2), PortIn("local", 3, 3)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", EVERYTHING),
        ("   ", EVERYTHING),
        ("sport = :1", A),
        ("sport == 1", A),
        ("sport eq :1", A),
        ("sport 1", A),
        ("SPORT=:1", A),
        ("sport = ssh", PortIn("local", 22, 22)),
        ("dport = :https", PortIn("remote", 443, 443)),
        ("dport 8000-8010", PortIn("remote", 8000, 8010)),
        ("sport = :*", PortIn("local", 0, 65535)),
        ("sport != 1", Not(A)),
        ("sport ne 1", Not(A)),
        ("sport neq 1", Not(A)),
        ("sport < 1024", PortIn("local", 0, 1023)),
        ("sport lt 1024", PortIn("local", 0, 1023)),
        ("sport <= 1024", PortIn("local", 0, 1024)),
        ("sport leq 1024", PortIn("local", 0, 1024)),
        ("dport > :1024", PortIn("remote", 1025, 65535)),
        ("dport gt :1024", PortIn("remote", 1025, 65535)),
        ("dport ge :1024", PortIn("remote", 1024, 65535)),
        ("dport geq :1024", PortIn("remote", 1024, 65535)),
        ("dport >= 1024", PortIn("remote", 1024, 65535)),
        ("12345", Or((PortIn("local", 12345, 12345), PortIn("remote", 12345, 12345)))),
        (":ssh", Or((PortIn("local", 22, 22), PortIn("remote", 22, 22)))),
        ("src 10.0.0.0/8", HostIn("local", b"\x0a\0\0\0", 8)),
        ("src 10/8", HostIn("local", b"\x0a\0\0\0", 8)),
        ("src = 10.1/16", HostIn("local", b"\x0a\1\0\0", 16)),
        ("dst != 10.0.0.1", Not(HostIn("remote", b"\x0a\0\0\1", 32))),
        ("dst 10.0.0.1:443", And((HostIn("remote", b"\x0a\0\0\1", 32), PortIn("remote", 443, 443)))),
        ("dst 10.0.0.0/8:443", And((HostIn("remote", b"\x0a\0\0\0", 8), PortIn("remote", 443, 443)))),
        ("dst 10.0.0.1:*", HostIn("remote", b"\x0a\0\0\1", 32)),
        ("dst 10.0.0.1:", HostIn("remote", b"\x0a\0\0\1", 32)),
        ("dst [::1]:80", And((HostIn("remote", bytes(15) + b"\1", 128), PortIn("remote", 80, 80)))),
        ("dst [::1]", HostIn("remote", bytes(15) + b"\1", 128)),
        ("dst [fe80::/10]", HostIn("remote", b"\xfe\x80" + bytes(14), 10)),
        ("dst [fe80::]/10", HostIn("remote", b"\xfe\x80" + bytes(14), 10)),
        ("dst fe80::/10", HostIn("remote", b"\xfe\x80" + bytes(14), 10)),
        ("src fd00::1:0/112", HostIn("local", b"\xfd" + bytes(12) + b"\1\0\0", 112)),
        ("dst ::ffff:0:0/96", HostIn("remote", bytes(10) + b"\xff\xff" + bytes(4), 96)),
        ("dst ::1", HostIn("remote", bytes(15) + b"\1", 128)),
        ("dst ::1:80", And((HostIn("remote", bytes(15) + b"\1", 128), PortIn("remote", 80, 80)))),
        ("src :80", PortIn("local", 80, 80)),
        ("src *:80", PortIn("local", 80, 80)),
        ("src *", EVERYTHING),
        ("src any", EVERYTHING),
        ("src inet:*", HostIn("local", bytes(4), 0)),
        ("src inet6:*", HostIn("local", bytes(16), 0)),
        ("src one", HostIn("local", b"\x0a\0\0\1", 32)),
        ("src two", Or((HostIn("local", b"\x0a\0\0\1", 32), HostIn("local", bytes(15) + b"\1", 128)))),
        ("src inet6:two", HostIn("local", bytes(15) + b"\1", 128)),
        ("src inet:two:22", And((HostIn("local", b"\x0a\0\0\1", 32), PortIn("local", 22, 22)))),
        ("state established", StateIn(1 << states.ESTABLISHED)),
        ("state ESTABLISHED", StateIn(1 << states.ESTABLISHED)),
        ("state FIN_WAIT1", StateIn(1 << states.FIN_WAIT1)),
        ("state all", StateIn(states.ALL)),
        ("state listening state syn-sent", StateIn(1 << states.LISTEN | 1 << states.SYN_SENT)),
        ("exclude time-wait", StateIn(states.ALL & ~(1 << states.TIME_WAIT))),
        ("exclude time-wait exclude listen", StateIn(states.ALL & ~(1 << states.TIME_WAIT | 1 << states.LISTEN))),
        ("state bucket exclude time-wait", StateIn(1 << states.SYN_RECV)),
        ("state connected sport 1", And((StateIn(states.CONNECTED), A))),
        ("sport 1 and state connected", And((A, StateIn(states.CONNECTED)))),
        ("state connected and state big", And((StateIn(states.CONNECTED), StateIn(states.WORDS["big"])))),
        ("sport 1 sport 2 sport 3", And((A, B, C))),
        ("sport 1 & sport 2 && sport 3", And((A, B, C))),
        ("sport 1 | sport 2 || sport 3", Or((A, B, C))),
        ("sport 1 or sport 2 and sport 3", And((Or((A, B)), C))),
        ("sport 1 or sport 2 sport 3", And((Or((A, B)), C))),
        ("sport 1 or ( sport 2 and sport 3 )", Or((A, And((B, C))))),
        ("(sport 1)or(sport 2)", Or((A, B))),
        ("not sport 1 sport 2", And((Not(A), B))),
        ("! ! sport 1", Not(Not(A))),
        ("!(sport 1|sport 2)", Not(Or((A, B)))),
        ("recvq > 64k", Number("recv_q", ">", 65536)),
        ("rwnd_limited_share > 40%", Number("rwnd_limited_share", ">", 0.4)),
        ("sndbuf_limited_share >= .25", Number("sndbuf_limited_share", ">=", 0.25)),
        ("total_rto_time > 2s", Number("total_rto_time_ms", ">", 2000)),
        ("total_rto > 0", Number("total_rto", ">", 0)),
        ("recv-q>=1", Number("recv_q", ">=", 1)),
        ("sendq = 0", Number("send_q", "=", 0)),
        ("pid = 53140", Number("pid", "=", 53140)),
        ("pid 53140", Number("pid", "=", 53140)),
        ("rtt > 50ms", Number("rtt_us", ">", 50000)),
        ("rtt < 50us", Number("rtt_us", "<", 50)),
        ("lastsnd > 1m", Number("last_data_sent_ms", ">", 60000)),
        ("retrans > 0", Number("retrans_total", ">", 0)),
        ("age > 60s", Number("age_s", ">", 60)),
        ("age <= 1h", Number("age_s", "<=", 3600)),
        ("uid != 0x10", Not(Number("uid", "=", 16))),
        ("uid = root", Number("uid", "=", 0)),
        ("dev = eth0", Number("interface", "=", 3)),
        ("dev = 4", Number("interface", "=", 4)),
        ("cgroup = /user.slice", Number("cgroup", "=", 77)),
        ("dev = 6in4-wan", Number("interface", "=", 8)),
        ("dev = 12", Number("interface", "=", 7)),
        ("interface = eth0", Number("interface", "=", 3)),
        ("interface != 5", Not(Number("interface", "=", 5))),
        ("cgroup = 5g.slice", Number("cgroup", "=", 78)),
        ("cgroup = 12", Number("cgroup", "=", 79)),
        ("cgroup = 1234", Number("cgroup", "=", 1234)),
        ("uid = 12", Number("uid", "=", 80)),
        ("uid = 4u", Number("uid", "=", 81)),
        ("sport = 9pfs", PortIn("local", 564, 564)),
        ("src fe80::1%eth0", And((LEAF, ON_ETH0))),
        ("src [fe80::1%eth0]", And((LEAF, ON_ETH0))),
        ("src [fe80::1]%eth0", And((LEAF, ON_ETH0))),
        ("src fe80::1%eth0:80", And((LEAF, ON_ETH0, PortIn("local", 80, 80)))),
        ("src [fe80::1%eth0]:80", And((LEAF, ON_ETH0, PortIn("local", 80, 80)))),
        ("src [fe80::1]%eth0:80", And((LEAF, ON_ETH0, PortIn("local", 80, 80)))),
        ("src != fe80::1%eth0", Not(And((LEAF, ON_ETH0)))),
        ("src fe80::1%12", And((LEAF, Number("interface", "=", 7)))),
        ("src fe80::1%5", And((LEAF, Number("interface", "=", 5)))),
        ("src [fe80::1%6in4-wan]:80", And((LEAF, Number("interface", "=", 8), PortIn("local", 80, 80)))),
        ("src [fe80::1%a]b]:80", And((LEAF, Number("interface", "=", 9), PortIn("local", 80, 80)))),
        ("src fe80::%eth0/64", And((HostIn("local", b"\xfe\x80" + bytes(14), 64), ON_ETH0))),
        ("src [fe80::%eth0]/64", And((HostIn("local", b"\xfe\x80" + bytes(14), 64), ON_ETH0))),
        ("src 10.0.0.1%eth0:80", And((HostIn("local", b"\x0a\0\0\1", 32), ON_ETH0, PortIn("local", 80, 80)))),
        ("src *%eth0:80", And((ON_ETH0, PortIn("local", 80, 80)))),
        ("src near", Or((HostIn("local", bytes(15) + b"\1", 128), And((LEAF, ON_ETH0))))),
        ("bytes_sent > 1M", Number("bytes_sent", ">", 1 << 20)),
        ("cwnd < 2", Number("cwnd", "<", 2)),
        ("program = nc", ProgramIs("nc")),
        ("program nc", ProgramIs("nc")),
        ("program != 'my prog'", Not(ProgramIs("my prog"))),
        ('program = "(sd-pam)"', ProgramIs("(sd-pam)")),
        ('program = ""', ProgramIs("")),
        ("fwmark = 0x1/0x3", Mark(1, 3)),
        ("mark != 7", Not(Mark(7, 0xFFFFFFFF))),
    ],
)
def test_what_is_read(text: str, tree: Filter) -> None:
    assert read(text) == tree


@pytest.mark.parametrize(
    ("text", "at", "width", "problem"),
    [
        ("state estabished", 6, 10, "no state is called 'estabished': did you mean established?"),
        ("state", 5, 1, "a value is missing after 'state'"),
        ("state = established", 6, 1, "a value is missing after 'state'"),
        ("exclude xyzzy", 8, 5, "no state is called 'xyzzy'"),
        ("sport = ", 8, 1, "a value is missing after 'sport'"),
        ("sport = 99999", 8, 5, "there is no port 99999: the last one is 65535"),
        ("sport = 10.0.0.1:80", 8, 11, "'10.0.0.1:80' is no port: write :443, 443, 8000-8010 or the name of a service"),
        ("sport > 8000-8010", 8, 9, "a range of ports can only be = or !="),
        ("sport = 9-8", 8, 3, "'9-8' is no range of ports: write the lower one first"),
        ("dst > 10.0.0.1", 4, 1, "'dst' can only be = or !="),
        ("dst [::1", 4, 4, "'[::1' is no host: write [::1]:PORT"),
        ("dst [::1]x", 4, 6, "'[::1]x' is no host: write [::1]:PORT"),
        (
            "dst 10.0.0.0/33",
            4,
            11,
            "'10.0.0.0/33' is no network: write an address, a slash and a number of bits up to 32",
        ),
        ("dst name/8", 4, 6, "'name/8' is no network: write an address, a slash and a number of bits up to 128"),
        ("dst [::1]%", 4, 6, "'::1%' lacks the name of an interface after %"),
        ("dst fe80::1%eth1", 4, 12, "no interface is called 'eth1'"),
        ("dst [::1%eth0]%eth0", 4, 15, "'[::1%eth0]%eth0' is no host: write [::1]:PORT"),
        ("dev = 6in4-lan", 6, 8, "no interface is called '6in4-lan'"),
        ("cgroup = 6g.slice", 9, 8, "there is no control group '6g.slice'"),
        ("uid = 5u", 6, 2, "no user is called '5u'"),
        ("dst inet6:one", 4, 9, "'one' has no address of this family"),
        ("( sport = 1", 0, 1, "this parenthesis is not closed"),
        ("sport = 1 )", 10, 1, "this parenthesis closes nothing"),
        ("()", 1, 1, "a condition is missing"),
        (")", 0, 1, "a condition is missing"),
        ("sport = 1 and", 13, 1, "a condition is missing after 'and'"),
        ("sport = 1 or or dport = 1", 13, 2, "a condition is missing after 'or'"),
        ("not", 3, 1, "a condition is missing after 'not'"),
        ("= 5", 0, 1, "a condition is missing"),
        ("recvq > lots", 8, 4, "'lots' is no size: write 64k, 10M, 1G or bare bytes"),
        ("rtt > fast", 6, 4, "'fast' is no duration: write 500ms, 5s, 2m, 1h or bare seconds"),
        ("pid = nc", 6, 2, "'nc' is no whole number"),
        ("rwnd_limited_share > 4x%", 21, 3, "'4x%' is no share: write 40% or 0.4"),
        ("rwnd_limited_share > -1", 21, 2, "'-1' is no share: write 40% or 0.4"),
        ("pid = 1_0", 6, 3, "'1_0' is no whole number"),
        ("mark = 0x1ffffffff", 7, 11, "'0x1ffffffff' is no mark: it has 32 bits"),
        ("program > nc", 8, 1, "'program' can only be = or !="),
        ("mark > 1", 5, 1, "'mark' can only be = or !="),
        ("program = 'nc", 10, 1, "this quote has no end"),
        ("spotr = 1", 0, 5, "nothing is called 'spotr': did you mean sport?"),
        ("received > 1k", 0, 8, "nothing is called 'received': did you mean bytes_received?"),
        ("peer 10/8", 0, 4, "nothing is called 'peer': did you mean dst?"),
        ("xyzzy", 0, 5, "nothing is called 'xyzzy': a program is program = xyzzy, a service sport = :xyzzy"),
        ("xyzzy = 1", 0, 5, "nothing is called 'xyzzy'"),
        ("22,80", 0, 5, "'22,80' begins no condition: write 22 or 80"),
        (
            "state established,time-wait",
            6,
            21,
            "no state is called 'established,time-wait': several are written state established state time-wait",
        ),
        ("host 10.0.0.1", 0, 4, "'host' begins no condition: write src HOST or dst HOST"),
        ("tcp and sport = 1", 0, 3, "'tcp' begins no condition: all that is here is TCP, leave it out"),
        ("established", 0, 11, "'established' begins no condition: write state established"),
        ("10.0.0.1", 0, 8, "'10.0.0.1' begins no condition: write src 10.0.0.1 or dst 10.0.0.1"),
        (":", 0, 1, "':' is no port: write :443, 443, 8000-8010 or the name of a service"),
        ("8000-", 0, 5, "no service is called '8000-'"),
        ("example.org", 0, 11, "'example.org' begins no condition: write src example.org or dst example.org"),
        ("!" * 200 + "sport = 1", 100, 1, "more than 100 conditions inside each other"),
        ("(" * 200, 100, 1, "more than 100 conditions inside each other"),
    ],
)
def test_what_is_said_where_it_is_wrong(text: str, at: int, width: int, problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        read(text)
    error = caught.value
    assert (error.problem, error.at, error.width) == (problem, at, width)
    lines = str(error).split("\n")
    assert lines == [problem, f"  {text}", f"  {' ' * at}{'^' * width}"]
    assert isinstance(error, InvalidValue)


def test_the_place_is_under_the_word_whatever_the_text() -> None:
    with pytest.raises(FilterError) as caught:
        parse("sport\t=\n1 \x1b")
    assert str(caught.value).split("\n")[1:] == ["  sport = 1  ", "            ^"]


@pytest.mark.parametrize("text", ["sport = https", "src host", "dev = eth0", "cgroup = /x", "uid = root"])
def test_without_names_there_are_only_numbers(text: str) -> None:
    with pytest.raises(FilterError, match=r"is called|there is no control group"):
        parse(text, NumericResolver())


def test_many_conditions_side_by_side_are_not_deep() -> None:
    tree = read(" or ".join(f"sport = {port}" for port in range(5000)))
    assert isinstance(tree, Or)
    assert len(tree.terms) == 5000


@pytest.mark.parametrize("joint", [" ", " or "])
def test_many_conditions_are_not_copied_for_each(monkeypatch: pytest.MonkeyPatch, joint: str) -> None:
    made: list[int] = []

    class CountedAnd(And, frozen=True):
        def __post_init__(self) -> None:
            made.append(len(self.terms))

    class CountedOr(Or, frozen=True):
        def __post_init__(self) -> None:
            made.append(len(self.terms))

    monkeypatch.setattr(grammar, "And", CountedAnd)
    monkeypatch.setattr(grammar, "Or", CountedOr)
    tree = read(joint.join(f"sport = {port}" for port in range(5000)))
    assert isinstance(tree, And | Or)
    assert len(tree.terms) == 5000
    assert sum(made) == 5000


def test_many_changes_between_and_and_or_are_deep() -> None:
    with pytest.raises(FilterError, match="more than 100"):
        read(" ".join("sport = 1 and sport = 2 or" for _ in range(60)) + " sport = 3")


def test_what_a_filter_is_about() -> None:
    assert mentions_state(read("not ( sport = 1 or state big )"))
    assert not mentions_state(read("sport = 1 and rtt > 1s"))
    assert columns_of(read("( pid = 1 or program = x ) and not rtt > 1s mark = 1 src 10/8")) == {
        "pid", "program", "rtt_us", "mark",
    }  # fmt: skip


# What it matches.


def sockets() -> SocketTable:
    """Five sockets: IPv4, IPv6, IPv4 mapped, a listener and one in TIME_WAIT."""
    info = attribute(2, tcp_info(248, rtt=("I", 68, 60_000), retrans=("I", 100, 2)))
    mark = attribute(15, (5).to_bytes(4, "little"))
    return decode(
        socket_message(local=("10.0.0.1", 80), remote=("10.9.9.9", 1000), queues=(70000, 0), attributes=info + mark)
        + socket_message(local=("fe80::1", 80), remote=("fe80::2", 2000), inode=78, interface=3)
        + socket_message(local=("::ffff:10.0.0.2", 81), remote=("::ffff:10.9.9.8", 3000), inode=79)
        + socket_message(local=("0.0.0.0", 80), remote=("0.0.0.0", 0), state=LISTEN, inode=80, uid=0)
        + socket_message(
            local=("10.0.0.1", 80), remote=("10.9.9.9", 4000), state=TIME_WAIT, inode=0, uid=0, timer=(3, 9, 0)
        )
    ).table


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("sport = 80", [0, 1, 3, 4]),
        ("sport = 80 and not state listening", [0, 1, 4]),
        ("dport >= 3000", [2, 4]),
        ("80", [0, 1, 3, 4]),
        ("3000", [2]),
        ("src 10.0.0.0/8", [0, 2, 4]),
        ("src 10.0.0.2/31", [2]),
        ("src 10.0.0.0/30", [0, 2, 4]),
        ("src 0.0.0.0/0", [0, 2, 3, 4]),
        ("src [::]/0", [1, 2]),
        ("src fe80::/10", [1]),
        ("src [fe80::1%eth0]:80", [1]),
        ("src fe80::1%eth0", [1]),
        ("src fe80::1%12", []),
        ("not src fe80::1%12", [0, 1, 2, 3, 4]),
        ("src [::ffff:10.0.0.2]", [2]),
        ("dst 10.9.9.9:1000", [0]),
        ("not src 10.0.0.0/8", [1, 3]),
        ("state time-wait or state listen", [3, 4]),
        ("recvq > 64k", [0]),
        ("rtt > 50ms", [0]),
        ("not rtt > 50ms", []),
        ("rtt > 50ms or not rtt > 50ms", [0]),
        ("retrans > 1", [0]),
        ("uid = 1000", [0, 1, 2]),
        ("uid != 1000", [3]),
        ("inode = 0", []),
        ("inode >= 78", [1, 2, 3]),
        ("mark = 5", [0]),
        ("mark = 1/3", [0]),
        ("mark = 2", []),
        ("mark != 2", [0]),
        ("dev = 3", [1]),
        ("dev = 0", [0, 2, 3, 4]),
        ("recvq < 99999999999999", [0, 1, 2, 3, 4]),
        ("pid = 1", []),
        ("not pid = 1", []),
        ("age > 1s", []),
        ("not age > 1s", []),
        ("sport > 65535", []),
        ("sport < 0", []),
    ],
)
def test_what_it_matches(text: str, matching: list[int]) -> None:
    assert np.flatnonzero(evaluate(read(text), sockets())).tolist() == matching


@pytest.mark.parametrize(
    ("text", "matching", "with_hidden"),
    [
        ("pid = 5", [0, 1], [0, 1]),
        ("pid = 6", [1], [1]),
        ("pid != 5", [2, 3, 4], [4]),
        ("pid > 5", [1], [1]),
        ("pid <= 5", [0, 1], [0, 1]),
        ("pid < 5", [], []),
        ("pid >= 6", [1], [1]),
        ("program = nc", [0, 1], [0, 1]),
        ("program = n?", [0, 1], [0, 1]),
        ("program = python*", [1], [1]),
        ("program != nc", [2, 3, 4], [4]),
    ],
)
def test_owners(text: str, matching: list[int], with_hidden: list[int]) -> None:
    owners = {77: (Owner(5, "nc", 3),), 78: (Owner(6, "python3", 3), Owner(5, "nc", 4), Owner(6, None, 9))}
    known = sockets().with_owners(owners)
    assert np.flatnonzero(evaluate(read(text), known)).tolist() == matching
    hidden = sockets().with_owners(owners, "a process could not be read")
    assert np.flatnonzero(evaluate(read(text), hidden)).tolist() == with_hidden


@pytest.mark.parametrize(
    ("program", "text", "matching"),
    [
        ("[kw]", "program = '[kw]'", [0]),
        ("k", "program = '[kw]'", []),
        ("[kw]x", "program = '[kw]?'", [0]),
        ("a[!b]", "program = 'a[!*'", [0]),
        ("a]", "program = 'a[]]'", []),
        ("nc\udcff", "program = nc\udcff", [0]),
        ("a\\nb", "program = 'a\\nb'", [0]),
        ("a\nb", "program = 'a?b'", [0]),
        ("systemd-resolved", "program = systemd-resolved", [0]),
        ("systemd-resolved", "program = systemd-resolve", [0]),  # as ss, ps and top cut it
        ("systemd-resolved", "program = systemd-*d", [0]),
        ("systemd-resolved", "program = systemd", []),
        ("systemd-resolve", "program = systemd-resolved", []),
        ("a" * 14 + "é", "program = '" + "a" * 14 + "\udcc3'", [0]),
    ],
)
def test_a_program_is_matched_with_asterisk_and_question_mark_alone(
    program: str, text: str, matching: list[int]
) -> None:
    known = sockets().with_owners({77: (Owner(5, program, 3),)})
    assert np.flatnonzero(evaluate(read(text), known)).tolist() == matching


def test_the_age_comes_from_the_watcher() -> None:
    ages = np.array([10.0, 70.0, np.nan, 60.0, 61.0])
    assert np.flatnonzero(evaluate(read("age > 60s"), sockets(), ages)).tolist() == [1, 4]
    assert np.flatnonzero(evaluate(read("not age > 60s"), sockets(), ages)).tolist() == [0, 3]


def test_what_may_match_when_more_is_known() -> None:
    assert np.flatnonzero(possible(read("sport = 80 and pid = 5"), sockets())).tolist() == [0, 1, 3, 4]
    assert np.flatnonzero(possible(read("sport = 80 and not ( pid = 5 or recvq < 5 )"), sockets())).tolist() == [0]


CONNECTIONS = Vocabulary({"conn": FilterColumn("conn", parse_integer)}, {"sni": "sni"}, {"peer": "remote"})


def test_a_table_with_columns_of_its_own() -> None:
    def read_own(text: str) -> Filter:
        return parse(text, NameResolver(), CONNECTIONS)

    assert read_own("conn > 3") == Number("conn", ">", 3)
    assert read_own("sni = *.example.org") == TextIs("sni", "*.example.org")
    assert read_own("not sni != 'a b'") == Not(Not(TextIs("sni", "a b")))
    assert read_own("peer 10/8") == HostIn("remote", b"\x0a\0\0\0", 8)
    assert columns_of(read_own("conn 1 or sni x")) == {"conn", "sni"}
    for text, problem, at in (
        ("sni > x", "'sni' can only be = or !=", 4),
        ("conn 1 and src 10/8", "nothing is called 'src'", 11),
        ("con 1", "nothing is called 'con': did you mean conn?", 0),
    ):
        with pytest.raises(FilterError) as caught:
            read_own(text)
        assert (caught.value.problem, caught.value.at) == (problem, at)


def test_what_is_unknown_of_a_row_stays_unknown_through_every_joint() -> None:
    values, is_known = np.array([1, 5, 9]), np.array([True, True, False])

    def truth(node: object) -> Truth:
        assert isinstance(node, Number | TextIs)
        if isinstance(node, TextIs):
            return known(np.array([True, False, True]))
        return compare(values, node.comparison, node.value, is_known)

    def matching(text: str) -> list[bool]:
        return [bool(each) for each in evaluate_tree(parse(text, None, CONNECTIONS), 3, truth).true]

    assert matching("conn > 2") == [False, True, False]
    assert matching("not conn > 2") == [True, False, False]
    assert matching("conn > 2 or sni x") == [True, True, True]
    assert matching("not (conn > 2 and sni x)") == [True, True, False]


def test_the_table_of_sockets_has_no_column_of_text() -> None:
    table = decode(socket_message()).table
    assert not evaluate(TextIs("sni", "*"), table).any()
    assert not evaluate(Not(TextIs("sni", "*")), table).any()
