"""The table as text: netstat's picture, to the character."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from unit.kernel.messages import attribute, socket_message, tcp_info
from unit.watch.sockets_table import made

from portside.app.cell_text import microseconds_text, milliseconds_text, share_text, size_text
from portside.app.column_text import WatchedSockets
from portside.app.event_lines import text_lines
from portside.app.table_summary import summary_text
from portside.app.table_text import TableText
from portside.app.watch_columns import LIVE_WIDE, PROGRAM, SORTABLE, TABLE_WIDE
from portside.kernel.connection_tracker import EventBatch
from portside.kernel.decoder import decode
from portside.kernel.inet_diag import INFO_BITS, accecn_bits
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Owner, to_json
from portside.kernel.table import SocketTable
from portside.tui.details import detail_lines


def text(table: SocketTable, **options: bool) -> str:
    return b"".join(TableText(**options).pieces(table)).decode()


def test_the_picture() -> None:
    four = made().select(np.arange(4))
    assert text(four) == (
        "Proto Recv-Q Send-Q Local Address        Foreign Address      State       PID/Program\n"
        "tcp        3      - 127.0.0.1:12345      0.0.0.0:*            LISTEN      7/nginx,8/nginx\n"
        "tcp   100000      7 127.0.0.1:12345      127.0.0.1:49666      ESTABLISHED 8/nginx\n"
        "tcp        1      0 127.0.0.1:49666      127.0.0.1:12345      CLOSE_WAIT  53140/a b\\x1b[2J\\n\n"
        "tcp        0      0 127.0.0.1:9          127.0.0.2:8          TIME_WAIT   -\n"
    )


def test_columns_are_as_wide_as_they_must_be() -> None:
    lines = text(made().select(np.array([4, 5, 1])), owners=False).splitlines()
    assert lines == [
        "Proto Recv-Q Send-Q Local Address        Foreign Address               State",
        "tcp6       0      - [::]:443             [::]:*                        LISTEN",
        "tcp6       0      0 [2001:db8::1]:443    [2001:db8:1234:5678::2]:54321 ESTABLISHED",
        "tcp   100000      7 127.0.0.1:12345      127.0.0.1:49666               ESTABLISHED",
    ]


NAMES = {
    "a\nb": "a\\nb",  # a line feed
    "a\\nb": "a\\\\nb",  # a backslash and an n
    "a\udcff": "a\\xff",  # a byte that is no UTF-8
    "a\\xff": "a\\\\xff",
    "\x1b[2J\u202eé": "\\x1b[2J\\u202eé",
}


def test_names_that_differ_look_different_and_the_same_everywhere() -> None:
    """In the table, the summary, the events and the details of the live display."""
    for name, shown in NAMES.items():
        table = made().select(np.array([1]))
        table = table.with_owners({int(table.owner_keys[0]): (Owner(8, name, 3),)})
        assert text(table).splitlines()[1].endswith(f" 8/{shown}")
        assert f"       1  {shown}\n" in b"".join(summary_text(table)).decode()
        batch = EventBatch("opened", "poll", table, 0, np.zeros(1, "u1"), np.full(1, np.nan))
        assert text_lines(batch).decode().endswith(f"  8/{shown}\n")
        (socket,) = to_sockets(table)
        assert f"  8/{shown}  fd 3" in detail_lines(socket, 0, 80)


def test_names_in_json_are_unicode() -> None:
    table = made().select(np.array([1]))
    table = table.with_owners({int(table.owner_keys[0]): (Owner(8, "a\udcff", 3), Owner(9, None, 3))})
    (socket,) = to_sockets(table)
    assert [owner["program"] for owner in json.loads(to_json(socket))["owners"]] == ["a\\xff", None]


def test_a_program_that_may_not_be_named() -> None:
    assert text(made().select(np.array([4]))).splitlines()[1].endswith(" LISTEN      6/-")


def test_an_empty_table_is_its_header() -> None:
    header = "Proto Recv-Q Send-Q Local Address        Foreign Address      State"
    nothing = made().select(np.zeros(0, "i8"))
    assert text(nothing) == header + "       PID/Program\n"
    assert text(nothing, owners=False) == header + "\n"


def test_wide_says_what_is_not_known() -> None:
    header, listener, connection, *_ = text(made(), wide=True).splitlines()
    columns = dict(zip(header.split()[8:], connection.split()[6:], strict=False))
    assert columns["RTT/Var"] == "-"
    assert columns["Timer"] == "keepalive,2h00m"
    assert columns["Inode"] == "11"
    assert columns["User"] == "1000"
    assert columns["PID/Program"] == "8/nginx"
    assert columns["Command"] == "-"
    assert header.endswith("Inode PID/Program        Command")
    assert listener.split()[-2:] == ["7/nginx,8/nginx", "-"]


def wide_columns(**fields: tuple[str, int, int]) -> dict[str, str]:
    """The texts of ``--wide`` by their headings, of a connection with these fields of tcp_info."""
    info = tcp_info(280, **fields)
    sockets = WatchedSockets(decode(socket_message(attributes=attribute(2, info))).table)
    return {column.heading: column.texts(sockets)[0] for column in (*TABLE_WIDE, *LIVE_WIDE)}


def test_wide_has_what_ss_does_not_print(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, place in accecn_bits("7.0", little=sys.byteorder == "little").items():
        monkeypatch.setitem(INFO_BITS, name, place)
    texts = wide_columns(
        rtos=("H", 240, 3), recovered=("H", 242, 1), recovery=("I", 244, 1250), rehash=("I", 236, 2),
        ours=("I", 232, 65536), theirs=("I", 228, 1536), ce=("I", 248, 7), delivered=("I", 196, 9),
        delivered_e0=("I", 256, 2048), received_ce=("I", 272, 5),
        accecn=("B", 276, 0x9A if sys.byteorder == "little" else 0xA9),
        busy=("Q", 168, 4_000_000), window=("Q", 176, 1_600_000), buffer=("Q", 184, 20_000),
    )  # fmt: skip
    assert (texts["RTOs"], texts["RTO-Time"], texts["Rehash"]) == ("3/1", "1.2s", "2")
    assert (texts["Snd-Wnd"], texts["Rcv-Wnd"]) == ("1.5k", "64k")
    assert (texts["CE"], texts["ECN-Rcvd"], texts["ECN-Delivered"]) == ("7/9", "0/0/5", "0/2k/0")
    assert texts["AccECN"] == "accurate,counters,ace-sent-failed,option-received-failed"
    assert (texts["Rwnd-Lim"], texts["Sndbuf-Lim"]) == ("1.6s/40%", "20ms/0.5%")
    assert texts["Limited"] == "rwnd 40% sndbuf 0.5%"


def test_a_sender_that_had_nothing_to_send_was_limited_by_nothing() -> None:
    texts = wide_columns()
    assert (texts["Busy"], texts["Rwnd-Lim"], texts["Limited"]) == ("0us", "0us", "-")
    assert texts["AccECN"].endswith("no-option")


def test_the_details_show_shares_in_percent() -> None:
    info = tcp_info(280, busy=("Q", 168, 1000), window=("Q", 176, 401))
    (socket,) = to_sockets(decode(socket_message(attributes=attribute(2, info))).table)
    lines = detail_lines(socket, 0, 40)
    assert "  rwnd_limited_share    40%" in [line.rstrip() for line in lines]
    assert "  rwnd_limited_us       401" in [line.rstrip() for line in lines]


def test_an_older_kernel_leaves_gaps_in_wide() -> None:
    info = attribute(2, tcp_info(192))
    sockets = WatchedSockets(decode(socket_message(attributes=info)).table)
    texts = {column.heading: column.texts(sockets)[0] for column in TABLE_WIDE}
    for heading in ("RTOs", "RTO-Time", "Rehash", "Snd-Wnd", "Rcv-Wnd", "CE", "AccECN", "ECN-Rcvd", "ECN-Delivered"):
        assert texts[heading] == "-", heading


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0%"), (0.0004, "0.04%"), (0.0052, "0.5%"), (0.015, "2%"), (0.4, "40%"), (1.0, "100%")]
)
def test_shares(share: float, words: str) -> None:
    assert share_text(share) == words


def test_the_drops_of_listeners() -> None:
    header, listener, *_ = text(made(), drops=True).splitlines()
    assert header.endswith("State       Drops PID/Program")
    assert listener.endswith("LISTEN          - 7/nginx,8/nginx")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0"), (1023, "1023"), (1024, "1k"), (1536, "1.5k"), (102_400 + 300, "100k"), (1 << 20, "1M"), (5 << 40, "5T")],
)
def test_sizes(count: int, words: str) -> None:
    assert size_text(count) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0us"),
        (999, "999us"),
        (1000, "1ms"),
        (1250, "1.25ms"),
        (99_999, "100ms"),
        (204_000, "204ms"),
        (999_999, "999ms"),
        (1_500_000, "1.5s"),
        (59_990_000, "59.9s"),
        (61_000_000, "1m01s"),
        (7_200_000_000, "2h00m"),
    ],
)
def test_durations(count: int, words: str) -> None:
    assert microseconds_text(count) == words
    assert milliseconds_text(1250) == "1.2s"


def test_the_summary() -> None:
    assert b"".join(summary_text(made())).decode() == (
        "Sockets: 6\n"
        "Received and not read: 100001 B\n"
        "Sent and not acknowledged: 7 B\n"
        "Listeners: 2, with a full queue: unknown; connections that wait to be accepted: 3\n"
        "\n Sockets  State\n"
        "       2  ESTABLISHED\n"
        "       2  LISTEN\n"
        "       1  CLOSE_WAIT\n"
        "       1  TIME_WAIT\n"
        "\n Sockets  Program\n"
        "       3  -\n"
        "       2  nginx\n"
        "       1  a b\\x1b[2J\\n\n"
        "\n Sockets  Peer\n"
        "       2  127.0.0.1\n"
        "       1  127.0.0.2\n"
        "       1  [2001:db8:1234:5678::2]\n"
    )


def test_the_summary_of_many_on_a_terminal() -> None:
    lines = b"".join(summary_text(made().select(np.array([1, 2, 3, 5])), most=1)).decode().splitlines()
    assert lines[-2:] == ["       2  127.0.0.1", "       2  … in 2 more"]
    assert not any(line.startswith("Listeners") for line in lines)


def test_the_summary_without_owners() -> None:
    assert b"Program" not in b"".join(summary_text(replace(made(), owners=None)))


def test_each_column_stands_in_the_json_where_the_catalogue_says() -> None:
    info = attribute(2, tcp_info(248, rtt=("I", 68, 1234), rate=("Q", 160, 9), ssthresh=("I", 76, 7)))
    message = socket_message(timer=(2, 65_000, 0), attributes=info + attribute(7, bytes(36)) + attribute(4, b"cubic"))
    line = json.loads(to_json(next(to_sockets(decode(message).table.with_owners({})))))
    for column in (*SORTABLE, *TABLE_WIDE, *LIVE_WIDE, PROGRAM):
        value = line
        for name in column.json.split(".") if column.json else ():
            assert name in value, column.json
            value = value[name]
