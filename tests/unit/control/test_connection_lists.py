"""Lists of connections: what the filter leaves, in which order, with which fields."""

import pytest
from unit.control.closed import closed, rows_of

from portside.control.connection_ends import EndsIndex
from portside.control.connection_items import OWN_FIELDS, Clock
from portside.control.connections import Plan, list_connections, parse_fields
from portside.control.notes import MOST_CHARACTERS, MOST_NOTED, Notes
from portside.control.schema_connections import ConnectionPage
from portside.errors import InvalidValue
from portside.events import Proxy, Tls
from portside.kernel.filter import FilterError

NOTES = Notes()
NOTES.put(2, text="Slow one", tags=("lab", "two words"))
CONNECTIONS = [
    closed(1, "10.0.0.9:4000", received=500, sent=10, reason="peer_reset", closed_at=1002.5),
    closed(2, "[fe80::1%eth0]:4000", tls=Tls("TLSv1.3", "x", sni="API.example.org", alpn="h2"), received=70_000),
    closed(4, "10.0.0.10:80", fault_count=2, proxy=Proxy("10.9.9.9:1", 1), received=500, by="upstream"),
    closed(3, "unix:pid=7", local="unix:/run/x", reason="error", error="no route"),
]


def listed(filter_text: str = "", sort: str = "conn", fields: str | None = None, limit: int = 100) -> ConnectionPage:
    plan = Plan(filter_text=filter_text, sort=sort, fields=fields, which="all")
    return list_connections(plan, rows_of(CONNECTIONS, NOTES), Clock(2000.0, 0), limit, None)


@pytest.mark.parametrize(
    ("text", "conns"),
    [
        ("", [1, 2, 3, 4]),
        ("conn = 2", [2]),
        ("conn != 2", [1, 3, 4]),
        ("received > 499", [1, 2, 4]),
        ("received >= 1k", [2]),
        ("sent = 10", [1]),
        ("age < 3s", [1]),
        ("faults > 0", [4]),
        ("peer 10.0.0.0/8", [1, 4]),
        ("peer 10.0.0.9:4000", [1]),
        ("peer fe80::/10", [2]),
        ("dport = 4000 and not peer fe80::/10", [1]),
        ("4000", [1, 2]),
        ("local 127.0.0.1:12345", [1, 2, 4]),
        ("tls = TLSv1.3", [2]),
        ("tls != *", [1, 3, 4]),
        ("sni = *.EXAMPLE.org", [2]),
        ("alpn h2", [2]),
        ("tag = lab", [2]),
        ("tag = 'two words'", [2]),
        ("tag != lab", [1, 3, 4]),
        ("note = slow*", [2]),
        ("note = [S]low*", []),
        ("reason = peer_*", [1, 2, 4]),
        ("proxy = 10.9.*", [4]),
        ("reason = error or (received = 500 and faults = 0)", [1, 3]),
        # What is unknown of a connection is neither true nor false: the idle time of a closed one, and what only the
        # kernel knows.
        ("idle > 0s", []),
        ("not idle > 0s", []),
        ("recvq >= 0 or state established", []),
        ("program = nc or not program = nc", []),
    ],
)
def test_filters(text: str, conns: list[int]) -> None:
    assert [item.conn for item in listed(text).items] == conns


@pytest.mark.parametrize(
    ("sort", "conns"),
    [
        ("conn", [1, 2, 3, 4]),
        ("-conn", [4, 3, 2, 1]),
        ("received", [3, 1, 4, 2]),
        ("-received", [2, 1, 4, 3]),
        ("age", [1, 2, 3, 4]),
        ("closed", [1, 2, 3, 4]),
        ("peer", [3, 1, 4, 2]),
        ("-peer", [2, 4, 1, 3]),
        ("sni", [2, 1, 3, 4]),
        ("-reason", [1, 2, 4, 3]),
        ("tags", [2, 1, 3, 4]),
        ("-faults", [4, 1, 2, 3]),
        ("-rtt", [1, 2, 3, 4]),
        ("program", [1, 2, 3, 4]),
    ],
)
def test_orders(sort: str, conns: list[int]) -> None:
    assert [item.conn for item in listed(sort=sort).items] == conns


def test_totals_are_of_all_that_the_filter_leaves() -> None:
    page = listed("received >= 500", limit=1)
    assert (len(page.items), page.total, page.totals.received, page.totals.sent) == (1, 3, 71_000, 10)
    assert (page.totals.recv_q, page.totals.send_q) == (None, None)
    assert page.next is not None
    nothing = listed("conn = 99")
    assert (nothing.total, nothing.totals.received, nothing.totals.recv_q, nothing.next) == (0, 0, 0, None)


def test_items_have_what_was_asked_for() -> None:
    (item,) = listed("conn 4", fields="peer,by,kernel.recvq,rtt").items
    assert (item.conn, item.peer, item.by) == (4, "10.0.0.10:80", "upstream")
    assert item.kernel == {"recv_q": None, "rtt_us": None}
    whole = listed("conn 2").items[0]
    assert (whole.state, whole.opened, whole.closed) == (
        "closed",
        "1970-01-01T00:16:40.000000Z",
        "1970-01-01T00:16:50.000000Z",
    )
    assert (whole.age, whole.idle, whole.sni, whole.alpn, whole.note, whole.tags) == (
        10.0, None, "API.example.org", "h2", "Slow one", ["lab", "two words"],
    )  # fmt: skip
    assert all(hasattr(whole, name) for name in OWN_FIELDS)


def test_fields_by_name() -> None:
    assert parse_fields(None) == (OWN_FIELDS, ())
    assert parse_fields("peer, peer,recv_q") == (("conn", "peer"), ("recv_q",))
    assert "recv_q" in parse_fields("kernel")[1]
    assert parse_fields("program,tag,hold,pid") == (("conn", "owners", "tags", "holds"), ())
    assert parse_fields("state,kernel.state,congestion") == (("conn", "state"), ("state", "congestion"))
    with pytest.raises(InvalidValue, match="no field 'recieved': did you mean received"):
        parse_fields("recieved")


def test_a_column_that_does_not_exist() -> None:
    with pytest.raises(InvalidValue, match="no column 'recieved': did you mean received"):
        Plan(filter_text="", sort="-recieved", fields=None, which="open")
    with pytest.raises(FilterError) as caught:
        Plan(filter_text="conn 1 and idel > 3", sort="conn", fields=None, which="open")
    assert (caught.value.problem, caught.value.at, caught.value.width) == (
        "nothing is called 'idel': did you mean idle?", 11, 4,
    )  # fmt: skip


def test_only_what_needs_the_kernel_asks_it() -> None:
    def needs(**changes: str) -> tuple[bool, bool]:
        plan = Plan(**({"filter_text": "", "sort": "conn", "fields": None, "which": "open"} | changes))  # type: ignore[arg-type]
        return plan.needs_facts, plan.needs_owners

    assert needs(filter_text="conn > 3 and (idle > 1s or tag x) and peer 10/8 and sport = 1") == (False, False)
    assert needs(sort="-idle") == needs(sort="peer") == needs(fields="peer,idle") == (False, False)
    assert needs(filter_text="recvq > 1") == needs(filter_text="state established") == (True, False)
    assert needs(sort="rtt") == needs(fields="cwnd") == (True, False)
    assert needs(filter_text="pid 1") == needs(sort="program") == needs(fields="owners") == (True, True)


def test_ends_are_read_once_for_each_connection() -> None:
    index = EndsIndex()
    first = index.of(CONNECTIONS[:2])
    assert first.numbers.tolist() == [1, 2]
    assert index.of(CONNECTIONS[:2]) is first
    later = index.of(CONNECTIONS[1:])
    assert later.numbers.tolist() == [2, 4, 3]
    assert later.remote["remote_port"].tolist() == [4000, 80, 0]
    assert bytes(later.remote["remote"][0]) == b"\xfe\x80" + bytes(13) + b"\1"
    assert bytes(later.remote["remote"][1][:4]) == b"\x0a\0\0\x0a"


def test_notes_are_bounded() -> None:
    notes = Notes()
    for number in range(MOST_NOTED + 10):
        notes.put(number, text="x")
    assert not notes.of(9).text
    assert notes.of(10).text == "x"
    assert notes.put(10, tags=("a", "b", "a")) == ("x", ("a", "b"))
    assert notes.put(10, text="", tags=()) == ("", ())
    for wrong in ({"text": "x" * 1001}, {"tags": ("",)}, {"tags": ("x" * 65,)}, {"tags": tuple(map(str, range(17)))}):
        with pytest.raises(ValueError, match="at most"):
            notes.put(1, **wrong)


def test_long_notes_are_fewer() -> None:
    notes = Notes()
    most = MOST_CHARACTERS // 1000
    for number in range(most + 10):
        notes.put(number, text="x" * 1000)
        notes.put(number, text="y" * 1000)
    assert not notes.of(9).text
    assert notes.of(10).text == "y" * 1000
    for number in range(most + 10):
        notes.put(number, text="")
    assert not notes
    notes.put(1, text="x")
    assert notes.of(1).text == "x"
