"""The outbox: what it keeps, what it gives up and counts, and the days on which its disk is bad."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from portside.errors import Hint, PortsideError
from portside.fleet.outbox import clock, store
from portside.fleet.outbox.database import Amount, Database, OutboxRow, Outgoing, cost
from portside.fleet.outbox.store import Outbox, Unwritable

ROOM = 1 << 20
WEEK_S = 7 * 86400.0


class Notices:
    """What has been said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Hint]] = []

    def __call__(self, words: str, hint: Hint = None) -> None:
        self.said.append((words, hint))


@pytest.fixture
def notices() -> Notices:
    return Notices()


def opened(folder: Path, notices: Notices, *, most_bytes: int = ROOM, most_age_s: float = WEEK_S) -> Outbox:
    return Outbox(str(folder / "outbox"), most_bytes=most_bytes, most_age_s=most_age_s, notify=notices)


def outgoing(seq: int, *, size: int = 100, records: int = 1) -> Outgoing:
    return Outgoing(f"web1-b00t-{seq}", "portside.paris.web1.closed", records, seq.to_bytes(4) + bytes(size - 4))


def everything(outbox: Outbox, after: int = 0) -> list[OutboxRow]:
    return outbox.take(after, most=10_000, most_bytes=1 << 30, seen=0, stream="s")


def numbers(rows: list[OutboxRow]) -> list[int]:
    return [int(each.name.rpartition("-")[2]) for each in rows]


def fill_disk(outbox: Outbox) -> None:
    """From here on the database gets no further page."""
    assert outbox._database
    run = outbox._database._connection.execute
    (pages,) = run("PRAGMA page_count").fetchone()
    run(f"PRAGMA max_page_count = {pages}")


def free_disk(outbox: Outbox) -> None:
    assert outbox._database
    outbox._database._connection.execute("PRAGMA max_page_count = 1000000")


def test_what_is_kept_is_there_in_the_next_run(tmp_path: Path, notices: Notices) -> None:
    first = opened(tmp_path, notices)
    first.put([outgoing(1), outgoing(2, records=5)])
    first.close()
    second = opened(tmp_path, notices)
    second.put([outgoing(3)])
    rows = everything(second)
    assert numbers(rows) == [1, 2, 3]
    assert rows[1].data == outgoing(2).data
    assert rows[1].subject == "portside.paris.web1.closed"
    status = second.status()
    assert (status.records, status.bytes, status.dropped) == (7, 3 * cost(100), 0)
    assert status.oldest_s is not None
    second.close()
    assert not notices.said


def test_what_is_acknowledged_is_gone(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(seq) for seq in range(1, 6)])
    rows = everything(outbox)
    outbox.acknowledge([rows[0].id, rows[2].id])
    assert numbers(everything(outbox)) == [2, 4, 5]
    assert outbox.acknowledge_named(["web1-b00t-2", "web1-b00t-1", "web2-b00t-4"]) == 1
    assert numbers(everything(outbox)) == [4, 5]
    assert not outbox.is_empty()
    outbox.acknowledge([each.id for each in rows])
    assert outbox.is_empty()
    assert outbox.status().oldest_s is None
    outbox.close()


def test_messages_are_taken_by_number_and_by_bytes(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(seq, size=1000) for seq in range(1, 6)])
    assert numbers(outbox.take(0, most=2, most_bytes=10_000, seen=0, stream="s")) == [1, 2]
    assert numbers(outbox.take(0, most=9, most_bytes=3_500, seen=0, stream="s")) == [1, 2, 3]
    assert numbers(outbox.take(3, most=9, most_bytes=10, seen=0, stream="s")) == [4], "one at least"
    outbox.close()


def test_at_its_bound_the_oldest_goes_and_is_counted(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices, most_bytes=10 * cost(100))
    for seq in range(1, 26):
        outbox.put([outgoing(seq, records=3)])
    rows = everything(outbox)
    assert numbers(rows) == list(range(16, 26))
    status = outbox.status()
    assert (status.records, status.dropped, status.bytes) == (30, 45, 10 * cost(100))
    outbox.close()


def test_what_may_be_in_the_stream_is_not_given_up_before_others(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices, most_bytes=4 * cost(100))
    outbox.put([outgoing(1), outgoing(2), outgoing(3)])
    outbox.take(0, most=2, most_bytes=ROOM, seen=0, stream="s")
    outbox.put([outgoing(4), outgoing(5), outgoing(6)])
    assert numbers(everything(outbox)) == [1, 2, 5, 6]
    outbox.put([outgoing(7)])
    assert outbox.status().bytes <= 4 * cost(100), "all are sent now; the bound holds all the same"
    assert outbox.status().dropped == 3
    outbox.close()


def test_a_message_larger_than_the_outbox_is_counted(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices, most_bytes=10_000)
    outbox.put([outgoing(1), outgoing(2, size=20_000, records=7)])
    status = outbox.status()
    assert (status.records, status.bytes, status.dropped) == (0, 0, 8)
    outbox.close()


def test_what_is_too_old_goes(tmp_path: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(clock, "uptime_s", lambda: now[0])
    outbox = opened(tmp_path, notices, most_age_s=60)
    outbox.put([outgoing(1)])
    now[0] += 50
    outbox.put([outgoing(2)])
    now[0] += 20
    assert outbox.status().oldest_s == 70
    outbox.put([outgoing(3)])
    assert outbox.status().oldest_s == 20
    assert outbox.status().dropped == 1
    outbox.close()


def test_time_while_the_machine_is_off_makes_nothing_older(
    tmp_path: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(clock, "uptime_s", lambda: now[0])
    first = opened(tmp_path, notices, most_age_s=60)
    first.put([outgoing(1)])
    first.close()
    monkeypatch.setattr(clock, "kernel_run", lambda: "another")
    now[0] = 5.0
    second = opened(tmp_path, notices, most_age_s=60)
    assert second.status().oldest_s == 0
    now[0] += 61
    second.put([outgoing(2)])
    assert numbers(everything(second)) == [2]
    second.close()


def test_numbers_of_rows_are_not_used_again(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(1), outgoing(2)])
    last = everything(outbox)[-1].id
    outbox.acknowledge([1, 2])
    outbox.close()
    again = opened(tmp_path, notices)
    again.put([outgoing(3)])
    assert everything(again)[0].id > last
    again.close()


def test_what_was_sent_first_is_remembered(tmp_path: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(store, "uptime_s", lambda: now[0])
    outbox = opened(tmp_path, notices)
    assert outbox.uncertain() is None
    outbox.put([outgoing(seq) for seq in range(1, 7)])
    assert outbox.uncertain() is None
    subjects = [outgoing(1).subject]
    outbox.take(0, most=2, most_bytes=ROOM, seen=10, stream="s")
    now[0] += 5
    outbox.take(2, most=2, most_bytes=ROOM, seen=20, stream="s")
    now[0] += 5
    outbox.take(0, most=3, most_bytes=ROOM, seen=30, stream="s")
    assert outbox.uncertain() == (4, 10, "s", 1000, subjects)
    outbox.acknowledge([1, 2])
    assert outbox.uncertain() == (4, 20, "s", 1005, subjects)
    outbox.close()
    again = opened(tmp_path, notices)
    assert again.uncertain() == (6, 20, "s", float("-inf"), subjects), "all of an earlier run, noted or not"
    again.take(4, most=1, most_bytes=ROOM, seen=5, stream="another")
    found = again.uncertain()
    assert found
    assert (found.after, found.stream) == (5, None)
    again.settle(40, "another", now[0])
    assert again.uncertain() == (5, 40, "another", 1010, subjects)
    again.acknowledge(range(6))
    assert again.uncertain() is None
    again.close()
    last = opened(tmp_path, notices)
    assert last.uncertain() == (6, 40, "another", float("-inf"), subjects)
    last.acknowledge([6])
    assert last.uncertain() is None
    last.close()


def test_the_folder_is_private(tmp_path: Path, notices: Notices) -> None:
    before = os.umask(0)
    try:
        outbox = opened(tmp_path, notices)
        outbox.put([outgoing(1)])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "outbox").stat().st_mode) == 0o700
    files = list((tmp_path / "outbox").iterdir())
    assert len(files) >= 3
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    outbox.close()


def test_a_second_agent(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    with pytest.raises(PortsideError, match="another agent uses it") as caught:
        opened(tmp_path, notices)
    assert "--outbox" in str(caught.value.hint)
    outbox.close()
    opened(tmp_path, notices).close()


def test_folders_that_are_not_used(tmp_path: Path, notices: Notices) -> None:
    (tmp_path / "outbox").mkdir(mode=0o755)
    (tmp_path / "outbox" / "letters").touch()
    with pytest.raises(PortsideError, match="it holds other files"):
        opened(tmp_path, notices)
    assert stat.S_IMODE((tmp_path / "outbox").stat().st_mode) == 0o755
    (tmp_path / "outbox" / "letters").unlink()
    (tmp_path / "outbox").rmdir()
    (tmp_path / "outbox").symlink_to(tmp_path)
    with pytest.raises(PortsideError, match="outbox"):
        opened(tmp_path, notices)


@pytest.mark.parametrize("damage", ["no database", "cut", "overwritten", "other tables"])
def test_a_damaged_database_is_set_aside(tmp_path: Path, notices: Notices, damage: str) -> None:
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(seq, size=3000) for seq in range(1, 50)])
    outbox.close()
    path = tmp_path / "outbox" / "outbox.sqlite"
    data = path.read_bytes()
    match damage:
        case "no database":
            path.write_bytes(b"no database " * 1000)
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "overwritten":
            path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))
        case "other tables":
            with sqlite3.connect(path) as connection:
                connection.execute("DROP TABLE messages")
    again = opened(tmp_path, notices)
    ((words, hint),) = notices.said
    assert "damaged" in words
    assert "outbox.damaged.sqlite" in str(hint)
    assert (tmp_path / "outbox" / "outbox.damaged.sqlite").exists()
    again.put([outgoing(1)])
    assert numbers(everything(again)) == [1]
    again.close()


def test_damage_within_a_message_stops_nothing(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(seq) for seq in range(1, 10)])
    outbox.close()
    path = tmp_path / "outbox" / "outbox.sqlite"
    path.write_bytes(path.read_bytes().replace(b"portside.paris", b"portside\xff\xfe\x00ris"))
    again = opened(tmp_path, notices)
    assert len(everything(again)) == 9
    again.close()


def test_damage_while_it_runs(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(seq, size=3000)._replace(positions={"a": seq}) for seq in range(1, 50)])
    assert outbox._database
    outbox._database._connection.execute("DROP TABLE messages")
    with pytest.raises(Unwritable):
        outbox.put([outgoing(50)])
    outbox.put([outgoing(50)])
    assert numbers(everything(outbox)) == [50]
    assert outbox.status().dropped == 49
    assert len(notices.said) == 1
    outbox.close()
    again = opened(tmp_path, notices)
    assert again.positions() == {"a": 49}
    again.close()


def test_a_later_version_is_left_alone(tmp_path: Path, notices: Notices) -> None:
    opened(tmp_path, notices).close()
    with sqlite3.connect(tmp_path / "outbox" / "outbox.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(PortsideError, match="later version"):
        opened(tmp_path, notices)


def test_a_full_disk_is_said_once_and_passes(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(1)])
    fill_disk(outbox)
    for _ in range(3):
        with pytest.raises(Unwritable):
            outbox.put([outgoing(seq, size=50_000) for seq in range(2, 4)])
    assert len(notices.said) == 1
    assert "full" in notices.said[0][0]
    assert numbers(everything(outbox)) == [1], "what is there can be sent"
    outbox.acknowledge([1])
    assert outbox.is_empty()
    free_disk(outbox)
    outbox.put([outgoing(2)])
    assert "again" in notices.said[-1][0]
    assert outbox.status().records == 1
    outbox.close()


def test_acknowledgements_that_the_disk_does_not_take_are_made_up_for(
    tmp_path: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(1), outgoing(2), outgoing(3)])

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "remove", fail)
        outbox.acknowledge([1, 2])
        assert numbers(outbox.take(0, most=2, most_bytes=ROOM, seen=0, stream="s")) == [3], "not sent again"
    outbox.acknowledge([3])
    assert outbox.is_empty()
    assert outbox.status().records == 0
    outbox.close()


def test_a_disk_that_takes_no_removals_either(
    tmp_path: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once all is acknowledged, a new file takes the place of the old one."""
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(seq, size=50_000)._replace(positions={"a": seq}) for seq in range(1, 9)])
    outbox.take(0, most=9, most_bytes=ROOM, seen=70, stream="s")

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "remove", fail)
        outbox.acknowledge(range(1, 8))
        assert outbox.status().records == 8
        outbox.acknowledge([8])
    assert outbox.status().records == 0
    outbox.put([outgoing(9)])
    assert [each.id for each in everything(outbox)] == [9]
    outbox.close()
    again = opened(tmp_path, notices)
    found = again.uncertain()
    assert found
    assert (found.last, found.after) == (9, 0), "what the first of them was sent behind"
    assert again.positions() == {"a": 8}
    again.close()


def test_positions_are_kept_with_the_messages_and_only_then(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    assert outbox.positions() == {}
    outbox.put([outgoing(1)._replace(positions={"a": 1, "b": 5}), outgoing(2)._replace(positions={"a": 2})])
    fill_disk(outbox)
    with pytest.raises(Unwritable):
        outbox.put([outgoing(3, size=50_000)._replace(positions={"a": 3})])
    outbox.close()
    again = opened(tmp_path, notices)
    assert list(again.positions().items()) == [("b", 5), ("a", 2)], "the last that was heard of is the last"
    again.close()


def test_positions_are_bounded(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    for nth in range(300):
        outbox.put([outgoing(nth + 1)._replace(positions={f"server {nth}": nth, "busy": nth})])
    positions = outbox.positions()
    assert len(positions) == 256
    assert positions["busy"] == 299
    assert positions["server 299"] == 299
    assert "server 40" not in positions
    outbox.close()


def test_what_was_kept_is_not_kept_again_where_the_disk_takes_no_removals(
    tmp_path: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outbox that was made smaller removes what is sent after it has kept what is new, which stays kept."""
    larger = opened(tmp_path, notices, most_bytes=4 * ROOM)
    larger.put([outgoing(seq, size=100_000) for seq in range(1, 21)])
    everything(larger)
    larger.close()
    outbox = opened(tmp_path, notices)
    told: list[bool] = []
    outbox.on_stored = lambda: told.append(True)
    remove_oldest = Database.remove_oldest

    def no_sent_ones(database: Database, after: int, least_bytes: int, made_before: float) -> Amount:
        if after == 0:
            raise sqlite3.OperationalError("database or disk is full")
        return remove_oldest(database, after, least_bytes, made_before)

    with monkeypatch.context() as patched:
        patched.setattr(Database, "remove_oldest", no_sent_ones)
        outbox.put([outgoing(21)])
    assert told == [True]
    outbox.put([outgoing(22)])
    assert outbox.status().bytes <= ROOM
    outbox.close()


def test_a_disk_that_takes_no_shrinking_takes_the_removal(
    tmp_path: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = opened(tmp_path, notices)
    outbox.put([outgoing(1)])

    def fail(_: Database) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "shrink", fail)
        outbox.give_up(1)
    assert outbox.is_empty()
    status = outbox.status()
    assert (status.records, status.bytes, status.dropped) == (0, 0, 1)
    outbox.close()


def test_the_file_gets_smaller_again(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices, most_bytes=64 << 20)
    for seq in range(1, 101):
        outbox.put([outgoing(seq, size=200_000)])
    outbox.acknowledge(range(1, 101))
    outbox.close()
    assert (tmp_path / "outbox" / "outbox.sqlite").stat().st_size < 1 << 20


def test_somebody_is_told_that_there_is_something(tmp_path: Path, notices: Notices) -> None:
    outbox = opened(tmp_path, notices)
    told: list[bool] = []
    outbox.on_stored = lambda: told.append(outbox.is_empty())
    outbox.put([outgoing(1)])
    assert told == [False]
    outbox.close()
