"""The table on terminals that are too narrow for it, and the text that is folded and cut there."""

from dataclasses import replace

import numpy as np
import pytest
from unit.kernel.messages import attribute, socket_message, tcp_info
from unit.tui.made import made as made_of
from unit.watch.sockets_table import OWNERS, made

from portside.app import event_lines
from portside.app.event_lines import HEADER, header, text_lines
from portside.app.table_folding import cut_text, fold, text_width
from portside.app.table_text import TableText
from portside.kernel.connection_tracker import EventBatch
from portside.kernel.models import Owner
from portside.kernel.table import SocketTable


def text(table: SocketTable, width: int | None, **options: bool) -> list[str]:
    return b"".join(TableText(width=width, **options).pieces(table)).decode().splitlines()


def test_a_terminal_that_is_wide_enough_shows_what_a_file_gets() -> None:
    whole = text(made(), None)
    widest = max(map(len, whole))
    assert text(made(), widest) == whole
    assert text(made(), widest - 1) != whole


def test_spaces_that_no_row_needs_are_left_out_first() -> None:
    assert text(made().select(np.arange(4)), 82) == [
        "Proto Recv-Q Send-Q Local Address   Foreign Address State       PID/Program",
        "tcp        3      - 127.0.0.1:12345 0.0.0.0:*       LISTEN      7/nginx,8/nginx",
        "tcp   100000      7 127.0.0.1:12345 127.0.0.1:49666 ESTABLISHED 8/nginx",
        "tcp        1      0 127.0.0.1:49666 127.0.0.1:12345 CLOSE_WAIT  53140/a b\\x1b[2J\\n",
        "tcp        0      0 127.0.0.1:9     127.0.0.2:8     TIME_WAIT   -",
    ]


def test_rows_go_on_below_the_local_address() -> None:
    assert text(made().select(np.array([5, 1])), 60) == [
        "Proto Recv-Q Send-Q Local Address",
        "                    Foreign Address",
        "                    State       PID/Program",
        "tcp6       0      0 [2001:db8::1]:443",
        "                    [2001:db8:1234:5678::2]:54321",
        "                    ESTABLISHED -",
        "tcp   100000      7 127.0.0.1:12345",
        "                    127.0.0.1:49666",
        "                    ESTABLISHED 8/nginx",
    ]
    assert text(made().select(np.array([1])), 60, owners=False) == [
        "Proto Recv-Q Send-Q Local Address   Foreign Address",
        "                    State",
        "tcp   100000      7 127.0.0.1:12345 127.0.0.1:49666",
        "                    ESTABLISHED",
    ]


def test_many_programs_and_long_ones_do_not_break_the_rows_of_others() -> None:
    workers = tuple(Owner(number, "nginx", 3) for number in range(1000, 1006))
    table = replace(made(), owners={**OWNERS, 10: workers, 12: (Owner(9, "a-program-with-a-long-name", 3),)})
    assert text(table.select(np.arange(3)), 80)[1:] == [
        "tcp        3      - 127.0.0.1:12345 0.0.0.0:*       LISTEN      1000/nginx,",
        "                                                                1001/nginx,",
        "                                                                1002/nginx,",
        "                                                                1003/nginx,",
        "                                                                1004/nginx,",
        "                                                                1005/nginx",
        "tcp   100000      7 127.0.0.1:12345 127.0.0.1:49666 ESTABLISHED 8/nginx",
        "tcp        1      0 127.0.0.1:49666 127.0.0.1:12345 CLOSE_WAIT",
        "                    9/a-program-with-a-long-name",
    ]


def test_what_wide_adds_is_below_each_row_with_its_names() -> None:
    info = tcp_info(248, rtt=("I", 68, 1234), var=("I", 72, 45), cwnd=("I", 80, 10), total=("I", 100, 3))
    table = made_of(socket_message(queues=(1, 2), attributes=attribute(2, info)))
    command = "nc -v " + "日本" * 50
    table = table.with_owners({int(table.owner_keys[0]): (Owner(5, "nc", 3, command),)})
    first, row, *below = text(table, 80, wide=True)
    assert first == "Proto Recv-Q Send-Q Local Address   Foreign Address State       PID/Program"
    assert row == "tcp        1      2 127.0.0.1:12345 127.0.0.1:40000 ESTABLISHED 5/nc"
    assert below[0].startswith("    RTT/Var 1.23ms/45us  Retrans 0/3  ")
    assert all(line.startswith("    ") and text_width(line) <= 80 for line in below)
    assert not any(part.endswith(" -") for line in below for part in line.split("  "))
    assert below[-1] == "    Command nc -v " + "日本" * 15 + "…"
    (only,) = text(table, 1000, wide=True)[1:]
    assert only.endswith(f" 5/nc        {command}")


def test_a_command_line_is_cut_where_all_else_fits_on_one_line() -> None:
    table = replace(made(), owners={11: (Owner(8, "nc", 5, "x" * 500),)}).select(np.array([1]))
    (whole,) = text(table, None, wide=True)[1:]
    shown = text(table, 400, wide=True)
    assert text_width(shown[1]) == 400
    assert shown[1] == whole[:399] + "…"
    assert len(shown) == 2


def test_wide_without_programs_has_no_command_lines() -> None:
    lines = text(made(), 80, wide=True, owners=False)
    assert not any("Command" in line for line in lines)
    assert all(text_width(line) <= 80 for line in lines)


@pytest.mark.parametrize("width", [1, 20, 40, 80, 132, 1000])
def test_nothing_is_lost_at_any_width(width: int) -> None:
    words = [word for line in text(made(), None) for word in line.replace(",", " ").split()]
    shown = [word for line in text(made(), width) for word in line.replace(",", " ").split()]
    assert sorted(shown) == sorted(words)


def test_folding() -> None:
    assert fold(["aa", "bb", "cc"], 6, separator="  ") == ["aa  bb", "cc"]
    assert fold(["a" * 9, "b"], 6, separator=",") == ["a" * 9 + ",", "b"]
    assert fold([], 6, separator=" ") == []


@pytest.mark.parametrize(
    ("whole", "width", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本", 4, "日本"),
        ("日本", 3, "日…"),
        ("e\u0301e\u0301e", 2, "e\u0301…"),
    ],
)
def test_cutting(whole: str, width: int, shown: str) -> None:
    assert cut_text(whole, width) == shown


# Events.


def batch(kind: str, table: SocketTable, was: int = 1, lived: float = 0.0625) -> EventBatch:
    at_ns = 1_700_000_000_000_000_000
    return EventBatch(kind, "poll", table, at_ns, np.full(1, was, "u1"), np.full(1, lived))  # type: ignore[arg-type]


def event(kind: str, width: int | None, owner: str = "nc", **ends: tuple[str, int]) -> list[str]:
    info = tcp_info(248, rtt=("I", 68, 1234), received=("Q", 128, 2048), sent=("Q", 200, 5), segments=("I", 152, 1))
    table = made_of(socket_message(attributes=attribute(2, info), **ends))  # type: ignore[arg-type]
    table = table.with_owners({int(table.owner_keys[0]): (Owner(53140, owner, 3),)})
    return text_lines(batch(kind, table), width=width).decode().splitlines()


def test_events_have_columns_where_the_terminal_has_room() -> None:
    width = len(HEADER) - 1
    assert header(None) == header(width) == HEADER
    assert event("closed", width) == event("closed", None)
    assert len(event("closed", None)) == 1


def test_events_go_on_in_indented_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_lines, "_of_day", lambda _: "21:01:33")
    assert header(80).decode() == (
        "Time         Event   Local Address         Foreign Address       PID/Program\n"
    )  # as long as no line below
    assert event("opened", 80) == [
        "21:01:33.000 opened  127.0.0.1:12345       127.0.0.1:40000       53140/nc",
        "    ESTABLISHED -> ESTABLISHED",
    ]
    assert event("closed", 80, "a-long-name") == [
        "21:01:33.000 closed  127.0.0.1:12345       127.0.0.1:40000",
        "    53140/a-long-name  ESTABLISHED -> ESTABLISHED  received 2048  sent 5",
        "    after 0.062s  RTT 1.234ms",
    ]
    assert event("short", 80) == [
        "21:01:33.937 opened  127.0.0.1:12345       127.0.0.1:40000",
        "21:01:33.000 closed  127.0.0.1:12345       127.0.0.1:40000       53140/nc",
        "    ESTABLISHED -> ESTABLISHED  received 2048  sent 5  after 0.062s  RTT 1.234ms",
    ]
    long = ("2001:db8:1234:5678:9abc:def0:1234:5678", 65000)
    assert event("opened", 80, local=long, remote=long) == [
        "21:01:33.000 opened  [2001:db8:1234:5678:9abc:def0:1234:5678]:65000",
        "    [2001:db8:1234:5678:9abc:def0:1234:5678]:65000  53140/nc",
        "    ESTABLISHED -> ESTABLISHED",
    ]
