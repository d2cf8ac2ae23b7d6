"""What stands in the columns and in the details of a socket."""

import numpy as np
import pytest
from rich.cells import cell_len
from unit.kernel.messages import LISTEN, TIME_WAIT, attribute, socket_message, tcp_info
from unit.tui.made import Looks, made

from portside.app.cell_text import seconds_text
from portside.app.watch_columns import live_columns
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Owner
from portside.kernel.table import SocketTable
from portside.settings.watch import Watch
from portside.tui.cells import cell_text
from portside.tui.details import detail_lines, title

WIDE = live_columns(Watch(wide=True))


def cells(table: SocketTable) -> dict[str, str]:
    texts = Looks()(table).texts(np.array([0]), [column.texts for column in WIDE])
    return {column.heading: text for column, (text,) in zip(WIDE, texts, strict=True)}


def test_a_connection_in_full() -> None:
    info = tcp_info(
        248,
        rtt=("I", 68, 1234),
        cwnd=("I", 80, 10),
        retrans=("I", 36, 1),
        total=("I", 100, 3),
        received=("Q", 128, 2048),
        busy=("Q", 168, 1000),
        rwnd=("Q", 176, 400),
        sent=("Q", 200, 5),
    )
    message = socket_message(queues=(1, 2), timer=(2, 65_000, 0), attributes=attribute(2, info))
    assert cells(
        made(message).with_owners({77: (*(Owner(5, "nc", fd, "nc a\nb") for fd in (3, 4)), Owner(6, "nc", 3, "nc"))})
    ) == {
        "Proto": "tcp",
        "Recv-Q": "1",
        "Send-Q": "2",
        "Local Address": "127.0.0.1:12345",
        "Foreign Address": "127.0.0.1:40000",
        "State": "ESTABLISHED",
        "PID/Program": "5/nc,6/nc",
        "RTT": "1.23ms",
        "Cwnd": "10",
        "Retrans": "1/3",
        "Sent": "5",
        "Received": "2k",
        "Age": "0s",
        "Timer": "keepalive 1m05",
        "Limited": "rwnd 40%",
        "Command": "nc a\\nb, nc",
    }


def test_what_is_not_known() -> None:
    found = cells(made(socket_message(state=LISTEN, local=("::", 80), remote=("::", 0))))
    assert found["Foreign Address"] == "[::]:*"
    assert {found[name] for name in ("PID/Program", "RTT", "Cwnd", "Retrans", "Sent", "Timer", "Limited")} == {"-"}


def test_names_of_processes_are_made_visible() -> None:
    table = made(socket_message()).with_owners({77: (Owner(5, "\x1b[31m\u202e", 3),)})
    assert cells(table)["PID/Program"] == "5/\\x1b[31m\\u202e"
    (line,) = Looks()(table).rows(np.array([0]))
    assert "  5/\\x1b[31m\\u202e  fd 3" in detail_lines(line.socket, 0, 80)


def test_a_state_in_little_room() -> None:
    state = next(column for column in WIDE if column.heading == "State")
    assert [cell_text(state, "ESTABLISHED", width) for width in (11, 10)] == ["ESTABLISHED", "ESTAB     "]
    assert cell_text(state, "CLOSE_WAIT", 10) == "CLOSE_WAIT"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "0s"), (59, "59s"), (185, "3m05"), (7620, "2h07"), (172_800, "2d00h"), (360_000, "4d04h")],
)
def test_seconds(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_columns_that_the_settings_ask_for() -> None:
    assert [column.heading for column in live_columns(Watch(no_processes=True))][-1] == "State"
    assert [column.heading for column in live_columns(Watch(listening=True))][-1] == "Drops"
    assert len(live_columns(Watch())) == 7


def test_details_say_why_something_is_not_known() -> None:
    socket = next(to_sockets(made(socket_message(state=TIME_WAIT, inode=0, cookie=1))))
    lines = detail_lines(socket, 61, 60)
    assert title(socket) == "tcp 127.0.0.1:12345 - 127.0.0.1:40000 TIME_WAIT"
    assert "not known, and why" in lines
    assert any("info" in line and "the kernel keeps no more" in line for line in lines)
    assert any("seen for  1m01" in line for line in lines)


def test_details_fit_into_the_width() -> None:
    memory = attribute(7, bytes(36))
    info = attribute(2, tcp_info(248, rtt=("I", 68, 1234)))
    socket = next(to_sockets(made(socket_message(attributes=info + memory)).with_owners({})))
    for width in (40, 60, 100, 200):
        known = detail_lines(socket, 0, width)
        known = known[: known.index("not known, and why")]
        assert max(map(len, known)) <= max(width, 45)
        assert sum(" rtt_us " in line for line in known) == 1
    assert any("rcvbuf" in line for line in known)


def test_a_command_line_of_wide_characters_fits_into_the_width() -> None:
    table = made(socket_message()).with_owners({77: (Owner(5, "nc", 3, "nc " + "\u65e5\u672c" * 40),)})
    (line,) = Looks()(table).rows(np.array([0]))
    rows = [row for row in detail_lines(line.socket, 0, 40) if "\u65e5" in row]
    assert max(map(cell_len, rows)) <= 40
    assert "".join(row.strip() for row in rows) == "nc " + "\u65e5\u672c" * 40
