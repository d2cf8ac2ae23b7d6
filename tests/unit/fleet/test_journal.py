"""The journal: how records are numbered, gathered and split, and what happens where there is no room."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import wait_until

from portside.errors import Hint
from portside.fleet.outbox import journal as module
from portside.fleet.outbox.database import OutboxRow, Outgoing
from portside.fleet.outbox.journal import Journal, new_boot
from portside.fleet.outbox.store import Outbox, Unwritable
from portside.fleet.schema import MOST_MESSAGE_BYTES, Envelope, ServerEvent, decode
from portside.fleet.subjects import kind_of


def event(number: int, text: str = "") -> ServerEvent:
    return ServerEvent(pid=1, event={"number": number, "text": text})


class Setting:
    """An outbox, and journals that end with the test."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.outbox = Outbox(str(folder / "outbox"), most_bytes=64 << 20, most_age_s=3600, notify=self.notify)
        self.journals: list[Journal] = []

    def notify(self, words: str, hint: Hint = None) -> None:
        self.said.append(words)

    def journal(self, **given: Any) -> Journal:
        words = {"site": "paris", "node": "web 1", "boot": "b00t", "notify": self.notify, **given}
        journal = Journal(self.outbox, **words)
        self.journals.append(journal)
        return journal

    def rows(self) -> list[OutboxRow]:
        return self.outbox.take(0, most=100_000, most_bytes=1 << 30, seen=0, stream="s")

    def messages(self) -> list[Envelope]:
        return [decode(each.data, kind_of(each.subject)) for each in self.rows()]


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path)
    yield setting
    for each in setting.journals:
        each.close()
    setting.outbox.close()


@pytest.mark.parametrize("json", [False, True])
def test_records_are_gathered_by_kind_and_numbered(setting: Setting, json: bool) -> None:
    journal = setting.journal(json=json)
    journal.add("server", [event(1), event(2)])
    journal.add("server", [event(3)])
    journal.close()
    rows, (message,) = setting.rows(), setting.messages()
    assert [each.event["number"] for each in message.records] == [1, 2, 3]
    assert (message.site, message.node, message.boot, message.seq) == ("paris", "web 1", "b00t", 1)
    assert (rows[0].name, rows[0].records) == (message.id, 3)
    assert rows[0].subject == "portside.paris.web_1.server"
    assert rows[0].data.startswith(b"{") == json
    assert journal.records == 3


def test_numbers_go_on(setting: Setting) -> None:
    def has(records: int) -> bool:
        return setting.outbox.status().records == records

    journal = setting.journal()
    for number in range(3):
        journal.add("server", [event(number)] * 2)
        wait_until(partial(has, 2 * number + 2), "a message")
    assert [each.seq for each in setting.messages()] == [1, 3, 5]


def test_small_kinds_do_not_wait(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 3600)
    journal = setting.journal()
    journal.add("server", [event(1)])
    journal.add("node", [event(2)])
    wait_until(lambda: setting.outbox.status().records == 2, "both, for the second hurries")


def test_much_does_not_wait(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 3600)
    journal = setting.journal()
    journal.add("server", [event(1, "x" * (300 << 10))])
    wait_until(lambda: setting.outbox.status().records == 1, "a large record")


def test_messages_are_below_the_bound(setting: Setting) -> None:
    journal = setting.journal()
    journal.add("server", [event(number, "x" * 100_000) for number in range(30)])
    journal.add("server", [event(30, "x" * (MOST_MESSAGE_BYTES - 3000))])
    journal.close()
    rows, messages = setting.rows(), setting.messages()
    assert max(len(each.data) for each in rows) <= MOST_MESSAGE_BYTES
    assert [each.event["number"] for message in messages for each in message.records] == list(range(31))
    expected = 1
    for message in messages:
        assert message.seq == expected
        expected += len(message.records)


@pytest.mark.parametrize("json", [False, True])
def test_records_that_cannot_be_written_are_counted(setting: Setting, json: bool) -> None:
    journal = setting.journal(json=json)
    journal.add(
        "server",
        [event(1), event(2, "x" * MOST_MESSAGE_BYTES), ServerEvent(pid=1, event={"number": object()}), event(3)],
    )
    journal.close()
    (message,) = setting.messages()
    assert [each.event["number"] for each in message.records] == [1, 3]
    assert setting.outbox.status().dropped == 2
    assert journal.records == 4
    assert len(setting.said) == 1
    assert "ServerEvent" in setting.said[0]


@pytest.mark.parametrize("json", [False, True])
def test_names_that_are_no_text(setting: Setting, json: bool) -> None:
    journal = setting.journal(json=json)
    journal.add("server", [event(1, "a\udcffb")])
    journal.close()
    assert setting.messages()[0].records[0].event["text"] == "a\\xffb"


def test_a_disk_that_takes_nothing(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def refuse(_: Outbox, messages: list[Outgoing]) -> None:
        tried.set()
        raise Unwritable

    journal = setting.journal()
    made = 0
    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "put", refuse)
        for _ in range(40):
            journal.add("server", [event(made + each, "x" * 10_000) for each in range(50)])
            made += 50
            tried.clear()
            assert tried.wait(30)
    journal.add("server", [event(made)])
    journal.close()
    messages = setting.messages()
    kept = [each.event["number"] for message in messages for each in message.records]
    assert kept == sorted(kept)
    assert kept[-1] == made, "the oldest have gone"
    assert 0 < len(kept) < made
    assert len(kept) + setting.outbox.status().dropped == journal.records == made + 1
    assert sum(len(each.data) for each in setting.rows()) < 9 << 20
    for message in messages:
        assert message.seq == message.records[0].event["number"] + 1


def test_positions_are_kept_with_their_records(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[list[int], dict[str, int]]] = []
    put = Outbox.put

    def note(outbox: Outbox, messages: list[Outgoing]) -> None:
        put(outbox, messages)
        numbers = [record.event["number"] for each in setting.messages() for record in each.records]
        kept.append((numbers, outbox.positions()))

    monkeypatch.setattr(Outbox, "put", note)
    journal = setting.journal()
    for number in range(200):
        journal.add("server", [event(number, "x" * 10_000)], {"server": number})
    journal.close()
    journal.close()
    assert kept[-1] == (list(range(200)), {"server": 199})
    for numbers, positions in kept:
        assert positions == {"server": numbers[-1]}, "neither ahead of what is kept nor behind it"


def test_positions_of_records_that_cannot_be_written_go_with_the_next(setting: Setting) -> None:
    journal = setting.journal()
    journal.add("server", [event(1, "x" * (2 << 20))], {"server": 1})
    wait_until(lambda: setting.outbox.status().dropped == 1, "the large one to be left out")
    assert setting.outbox.positions() == {}
    journal.add("server", [event(2)])
    journal.close()
    assert setting.outbox.positions() == {"server": 1}


def test_a_slow_disk_holds_nobody_up(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, let_go = threading.Event(), threading.Event()
    put = Outbox.put

    def hang(outbox: Outbox, messages: list[Outgoing]) -> None:
        entered.set()
        assert let_go.wait(30)
        put(outbox, messages)

    monkeypatch.setattr(Outbox, "put", hang)
    journal = setting.journal()
    journal.add("server", [event(0)])
    assert entered.wait(30)
    for number in range(1, 2001):
        journal.add("server", [event(number, "x" * 10_000)])
    dropped = setting.outbox.status().dropped
    let_go.set()
    journal.close()
    seen = sum(len(message.records) for message in setting.messages())
    assert 0 < dropped < 2000
    assert seen + dropped == 2001


def test_each_run_has_a_name_of_its_own() -> None:
    assert len({new_boot() for _ in range(100)}) == 100
    assert "-" not in new_boot()
