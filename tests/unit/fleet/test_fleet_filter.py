"""The filter of watch over the sockets and summaries of a fleet."""

import pytest
from fleet_records import socket, summary

from portside.errors import UsageError
from portside.fleet.query.filter import FilteredSocket, SocketFilter, SummaryFilter, SummaryRow
from portside.fleet.query.state import NodeName
from portside.kernel.models import Owner, Socket

NAME = NodeName("paris", "web1")
SOCKET = socket(
    "10.0.0.1:443", "[2001:db8::1]:40000", family=6, recv_q=70_000, rtt_us=60_000, retrans_total=3, cwnd=10,
    interface="eth0", skmem={"drops": 4}, mark=0x12, cookie=99, program="a-very-long-program-name",
)  # fmt: skip
FORGOTTEN = Socket(
    proto="tcp", family=4, state="CLOSE", recv_q=None, send_q=0, local="10.0.0.1:5000", remote=None, inode=None,
    uid=None, owners=None, info=None, gaps={"remote": "the port of 10.0.0.2: it has forgotten it"},
)  # fmt: skip


def matches(text: str, of: Socket | None = SOCKET, age_s: float | None = None) -> bool:
    return SocketFilter(text, "fleet events").matches(FilteredSocket(NAME, of, age_s))


@pytest.mark.parametrize(
    "text",
    [
        "", "node = web1", "node web*", "site paris node != db1", "443", "sport = :443", "dport = :40000",
        "src 10.0.0.0/8", "dst 2001:db8::/32", "state established", "exclude listen", "recvq > 64k", "rtt > 50ms",
        "retrans > 0", "cwnd 10", "program = a-very-long-program-name", "program a-very-long-pro", "pid = 77",
        "dev = eth0", "drops = 4", "mark = 0x12", "cookie 99", "uid = root", "age > 5s", "timer = 0", "timer_ms = 0",
        "not dev = eth1", "not ( sport = :80 or dport = :80 )", "src 10.0.0.1:443",
    ],
)  # fmt: skip
def test_true(text: str) -> None:
    assert matches(text, age_s=9)
    if text:
        assert not matches(f"not ( {text} )", age_s=9)


@pytest.mark.parametrize("text", ["rcv_wnd > 0", "age > 5s", "dev = 3"])
def test_what_is_not_known_is_neither_true_nor_false(text: str) -> None:
    assert not matches(text)
    assert not matches(f"not ( {text} )")


@pytest.mark.parametrize("text", ["dport = :80", "dst 10.0.0.2", "rtt > 1ms", "program = x", "uid = 0", "recvq = 0"])
def test_what_the_kernel_has_forgotten(text: str) -> None:
    assert not matches(text, FORGOTTEN)
    assert not matches(f"not {text}", FORGOTTEN)


def test_what_has_no_socket_has_a_node() -> None:
    assert matches("node = web1", None)
    assert matches("site = paris or sport = :1", None)
    assert not matches("sport = :1", None)
    assert not matches("not sport = :1", None)


def test_a_listener_has_no_remote_end_as_in_watch() -> None:
    listener = socket("0.0.0.0:5432", None, state="LISTEN")
    assert matches("dport = :0 dst 0.0.0.0", listener)


def test_numbers_that_are_none_are_not_known() -> None:
    odd = socket(rtt_us="fast", skmem=[1], timer=[1])
    for text in ("rtt > 0", "drops = 0", "timer = 0"):
        assert not matches(text, odd)
        assert not matches(f"not {text}", odd)
    assert not matches("sport = :1", socket("no address"))


def test_an_owner_of_several() -> None:
    shared = Socket(
        proto="tcp", family=4, state="ESTABLISHED", recv_q=0, send_q=0, local="10.0.0.1:1", remote="10.0.0.2:2",
        inode=1, uid=0, owners=(Owner(1, None, None), Owner(2, "b", 3)), info=None, gaps={},
    )  # fmt: skip
    assert matches("pid = 1 program = b", shared)
    assert not matches("program = c", shared)


def test_mistakes_are_shown_as_in_watch() -> None:
    with pytest.raises(UsageError) as caught:
        SocketFilter("recvqq > 5", "fleet events")
    assert "did you mean recvq" in str(caught.value)
    assert caught.value.hint == ("recvqq > 5", "      ^^^^^^")
    for text, words in (("cgroup = /system.slice", "each machine"), ("uid = nobody-has-this-name", "no user")):
        with pytest.raises(UsageError) as caught:
            SocketFilter(text, "fleet events")
        assert words in str(caught.value) or words in "on each machine it has another number"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("program = nginx", True), ("program = ngin", False), ("sport = :443", True), ("sport = :80", False),
        ("state established", True), ("state listen", False), ("dst 10.0.0.0/8", True), ("dst 10.0.0.0/24", True),
        ("dst 10.0.0.7", None), ("dst 11.0.0.0/8", False), ("dst ::/0", False), ("node web1 site paris", True),
        ("node web2", False),
    ],
)  # fmt: skip
def test_summaries(text: str, expected: bool | None) -> None:
    row = SummaryRow(NAME, summary("nginx", local_port=443, remote="10.0.0.0/24"))
    assert SummaryFilter(text, "fleet top").matches(row) is (expected is True)
    assert SummaryFilter(f"not ( {text} )", "fleet top").matches(row) is (expected is False)


@pytest.mark.parametrize("text", ["sport = :443", "program = nginx", "dst 10.0.0.0/8"])
def test_a_group_without_these(text: str) -> None:
    row = SummaryRow(NAME, summary(None, local_port=None, remote=None))
    assert not SummaryFilter(text, "fleet top").matches(row)
    assert not SummaryFilter(f"not {text}", "fleet top").matches(row)


def test_loopback() -> None:
    row = SummaryRow(NAME, summary(remote="loopback"))
    assert SummaryFilter("dst 127.0.0.0/8", "fleet top").matches(row)
    assert not SummaryFilter("dst 10.0.0.0/8 or dst ::1", "fleet top").matches(row)


@pytest.mark.parametrize("text", ["rtt > 5ms", "dport = :80", "src 10.0.0.1", "not recvq > 5", "443"])
def test_what_a_summary_does_not_have(text: str) -> None:
    with pytest.raises(UsageError, match="a summary has no such column"):
        SummaryFilter(text, "fleet top")
