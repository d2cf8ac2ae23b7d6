"""Findings beside the rows of the live display: marks, lines, and what is said of a socket."""

import asyncio
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from unit.kernel.messages import LISTEN, attribute, socket_message, tcp_info
from unit.tui.made import Looks, made, numbered
from unit.tui.test_display import MadePoller
from unit.tui.test_many import HEIGHT, One

from portside.app.sort_order import Sort
from portside.diagnosis.diagnosis import Report
from portside.diagnosis.findings import Finding, Severity, Subject
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Owner, Socket
from portside.kernel.table import SocketTable
from portside.kernel.tracked_sockets import Keys
from portside.settings.watch import Watch
from portside.tui import watch as module
from portside.tui.details import detail_lines
from portside.tui.finding_marks import NOTHING_FOUND, FindingMarks, finding_row, finding_rows
from portside.tui.live_diagnosis import LiveDiagnosis
from portside.tui.pages import Page
from portside.tui.screens import Details
from portside.tui.snapshot_diff import ViewState
from portside.tui.socket_table import SocketTableView
from portside.tui.watch import WatchApp


def finding(code: str, severity: Severity = "warning", local: str = "127.0.0.1:80", summary: str = "Bad.") -> Finding:
    return Finding(
        code=code, severity=severity, subject=Subject("listener", local=local), summary=summary,
        evidence={"count": 2}, why="Because.", remedy="mend it.", first_seen="T", last_seen="T", count=2,
    )  # fmt: skip


LEAK = finding("close-wait-leak", "critical")
SLOW = finding("receiver-slow")
SMALL = finding("small-mss", "info")
MACHINE = finding("memory-pressure", "critical")


def report(**rows: list[int]) -> Report:
    """A report with these findings, and the rows of each by the first word of its code."""
    known = {each.code.split("-")[0]: each for each in (MACHINE, LEAK, SLOW, SMALL)}
    current = tuple(each for name, each in known.items() if name in rows)
    found = {(known[name].code, known[name].subject): np.array(each) for name, each in rows.items() if each}
    return Report(current, (), (), {}, found)


def keys(*numbers: int) -> Keys:
    return np.array(numbers, "u8")


def test_a_socket_has_the_mark_of_its_worst_finding() -> None:
    big = (1 << 64) - 1
    marks = NOTHING_FOUND.after(report(close=[0, 2], receiver=[0, 1], small=[3]), keys(50, 40, big, 20, 10))
    assert marks.severities([10, 20, big, 40, 50, 60]) == [None, "info", "critical", "warning", "critical", None]
    assert [[each.code for each in marks.of(key)] for key in (50, 40, 10)] == [
        ["close-wait-leak", "receiver-slow"],
        ["receiver-slow"],
        [],
    ]
    assert NOTHING_FOUND.severities([1, 2]) == [None, None]


def test_a_condition_that_is_away_for_a_moment_keeps_its_marks_and_one_that_is_gone_has_none() -> None:
    marks = NOTHING_FOUND.after(report(close=[1], memory=[]), keys(7, 8))
    marks = marks.after(report(close=[], memory=[]), keys(8, 9))
    assert marks.severities([7, 8, 9]) == [None, "critical", None]
    marks = marks.after(report(memory=[]), keys(8, 9))
    assert marks.severities([7, 8, 9]) == [None, None, None]
    assert [each.code for each in marks.findings] == ["memory-pressure"]


@pytest.mark.parametrize(("height", "lines"), [(5, 1), (12, 1), (16, 2), (24, 4), (50, 5), (500, 5)])
def test_the_lines_of_findings_are_bounded(height: int, lines: int) -> None:
    many = [LEAK, *(finding(f"code-{number}") for number in range(20))]
    found = finding_rows(many, 80, height)
    assert len(found) == lines
    assert found[0] == ("!! close-wait-leak  127.0.0.1:80: Bad.", "critical")
    if lines > 1:
        assert found[-1] == (f"!  {21 - lines + 1} more: f shows them all", "warning")
    assert finding_rows(many[:1], 80, height) == found[:1]
    assert finding_rows([], 80, height) == []


def test_a_line_is_cut_and_what_is_in_it_cannot_move_the_cursor() -> None:
    evil = finding("retransmits", "info", summary="日本\x1b[2J\n語" + "x" * 300)
    line = finding_row(evil, 60)
    assert line.startswith("·  retransmits  127.0.0.1:80: 日本\\x1b[2J\\n語xxx")
    assert line.endswith("x…")
    assert line.isprintable()
    (socket,) = to_sockets(numbered(1))
    assert all(each.isprintable() for each in detail_lines(socket, 1, 60, [evil]))


def test_the_details_of_a_socket_begin_with_what_is_wrong() -> None:
    (socket,) = to_sockets(numbered(1))
    lines = detail_lines(socket, 1, 70, [LEAK, SLOW])
    assert lines[0].split() == ["critical", "close-wait-leak", "127.0.0.1:80"]
    assert lines[1:4] == ["          Bad.", "          Evidence: 2 count.", "          Do: mend it."]
    assert lines[5].startswith("warning   receiver-slow")
    assert lines[lines.index("") :] == lines[4:]
    assert detail_lines(socket, 1, 70)[0].startswith("  state ")


@pytest.mark.parametrize(
    ("width", "title", "marks"),
    [
        (80, "   Proto ", ["!! tcp ", "!  tcp ", "·  tcp ", "   tcp "]),
        (40, " Local", ["‼127.", "!127.", "·127.", " 127."]),
    ],
)
def test_rows_begin_with_their_marks(width: int, title: str, marks: list[str]) -> None:
    async def run() -> None:
        app = One()
        app.table = SocketTableView(app.table.columns, marked=True)
        async with app.run_test(size=(width, HEIGHT)) as pilot:
            view = app.look(numbered(1, 2, 3, 4))
            view.findings = NOTHING_FOUND.after(report(close=[0], receiver=[1], small=[2]), view.keys)
            app.table.show(view, np.arange(4), Sort("remote"))
            await app.shown(pilot, "127.0.0.1:4")
            texts = app.screen_text()
            assert texts[0].startswith(title)
            assert [text[: len(marks[0])] for text in texts[1:5]] == marks
            gone = app.look(numbered(2))
            gone.findings = view.findings
            app.table.show(gone, np.arange(4), Sort("remote"))
            await app.shown(pilot, "gone")
            assert [text[0] for text in app.screen_text()[1:5]] == ["!", " ", " ", " "]

    asyncio.run(run())


class FindingPoller(MadePoller):
    """Sees one socket, which is part of a finding, and one finding of the machine."""

    def poll(self) -> ViewState:
        view = super().poll()
        view.findings = NOTHING_FOUND.after(report(receiver=[0], memory=[]), view.keys)
        return view

    def poll_details(self, key: int, table: SocketTable) -> Socket | None:
        return next(to_sockets(table))

    def stop_details(self) -> None:
        pass


def test_the_display_shows_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "end_if_hung_up", lambda: None)

    async def run() -> None:
        poller = FindingPoller()
        settings = Watch(interval=3600, wide=True)
        app = WatchApp(settings, poller, poller.poll(), Sort())
        async with app.run_test(size=(80, 24)) as pilot:
            lines = app._status.findings.render()
            assert str(lines).split("\n") == [
                "!! memory-pressure  127.0.0.1:80: Bad.",
                "!  receiver-slow  127.0.0.1:80: Bad.",
            ]
            await pilot.press("f")
            assert isinstance(app.screen, Page)
            assert "Do: mend it." in app.screen._text
            await pilot.press("escape", "down", "enter")
            assert isinstance(app.screen, Details)
            assert [each.code for each in app.screen._findings] == ["receiver-slow"]
        assert app.failure is None

    asyncio.run(run())


def test_without_wide_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "end_if_hung_up", lambda: None)

    async def run() -> None:
        poller = MadePoller()
        app = WatchApp(Watch(interval=3600), poller, poller.poll(), Sort())
        async with app.run_test(size=(80, 24)) as pilot:
            assert not app._status.findings.display
            await pilot.press("f")
            assert app._status.message == "what is wrong is looked for with --wide"
        assert app.failure is None

    asyncio.run(run())


def test_the_tables_of_the_display_are_diagnosed_with_the_programs_that_they_have() -> None:
    info = attribute(2, tcp_info(280))
    itself = socket_message(cookie=5, local=("127.0.0.1", 9), remote=("127.0.0.1", 9), inode=5, attributes=info)
    full = socket_message(state=LISTEN, cookie=6, local=("127.0.0.1", 80), queues=(3, 2), inode=6)
    table = made(itself, full).with_owners({5: (Owner(53140, "nc", 3),), 6: (Owner(7, "httpd", 3),)})
    with LiveDiagnosis(None, whole=False) as diagnosis:
        marks = diagnosis.observe(table)
        assert marks.severities([5, 6, 7]) == ["warning", "warning", None]
        assert [(each.code, each.subject.pid) for each in marks.of(5)] == [("self-connected", 53140)]
        assert [(each.code, each.subject.pid) for each in marks.of(6)] == [("accept-queue-overflow", 7)]
        again = diagnosis.observe(replace(table, owners=None).select(np.array([0])))
        assert {each.subject.pid for each in again.of(5)} == {None, 53140}
        assert isinstance(again, FindingMarks)
    assert msgspec.json.encode(marks.findings)


def test_a_view_has_no_findings_by_itself() -> None:
    assert Looks()(numbered(1)).findings is NOTHING_FOUND
