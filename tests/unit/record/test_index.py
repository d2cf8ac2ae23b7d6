"""The index: its schema and its migrations, transactions, and who may read it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from recording_files import START_NS, closed, opened

from portside.errors import PortsideError
from portside.events import Closed
from portside.record import index as index_module
from portside.record.index import (
    SCHEMA,
    Extent,
    IndexEntry,
    add,
    backfill_connections,
    new_index_in_memory,
    open_index,
    open_index_to_read,
    transaction,
)


def tables(index: sqlite3.Connection) -> dict[str, str]:
    return dict(index.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


@pytest.mark.parametrize("version", range(SCHEMA + 1))
def test_every_older_schema_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    path = os.fspath(tmp_path / "index.sqlite")
    with closing(sqlite3.connect(path)) as old:
        for step in range(version):
            old.executescript(index_module._MIGRATIONS[step])
        old.execute(f"PRAGMA user_version = {version}")
        if version:
            old.execute("INSERT INTO connections (conn, peer) VALUES (5, 'p')")
        old.commit()
    if version < SCHEMA:
        with pytest.raises(sqlite3.OperationalError, match="not complete"):
            open_index_to_read(path)
    with closing(open_index(path)) as index, closing(new_index_in_memory()) as new:
        assert tables(index) == tables(new)
        assert index.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        assert index.execute("SELECT conn, peer FROM connections").fetchall() == ([(5, "p")] if version else [])
    with closing(open_index_to_read(path)):
        pass


def test_a_later_schema_is_left_alone(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "index.sqlite")
    with closing(sqlite3.connect(path)) as later:
        later.execute(f"PRAGMA user_version = {SCHEMA + 1}")
        later.execute("CREATE TABLE future (x)")
    before = (tmp_path / "index.sqlite").read_bytes()
    for opens in (open_index, open_index_to_read):
        with pytest.raises(PortsideError, match=f"a later version .*schema {SCHEMA + 1}; this one knows {SCHEMA}"):
            opens(path)
    assert (tmp_path / "index.sqlite").read_bytes() == before


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE photos (x)")
    before = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError, match="another program's"):
        open_index(os.fspath(path), make=True)
    assert path.read_bytes() == before


def test_no_index_and_garbage(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    for opens in (open_index, open_index_to_read):
        with pytest.raises(sqlite3.OperationalError):
            opens(os.fspath(path))
        assert not path.exists()
    path.write_bytes(b"this is not a database, whatever else it may be" * 100)
    for opens in (open_index, open_index_to_read):
        with pytest.raises(sqlite3.DatabaseError):
            opens(os.fspath(path))


def test_names_that_mean_something_in_a_uri(tmp_path: Path) -> None:
    folder = tmp_path / "100%25 sure? #1 ü"
    folder.mkdir()
    open_index(os.fspath(folder / "index.sqlite"), make=True).close()
    assert (folder / "index.sqlite").exists()
    open_index_to_read(os.fspath(folder / "index.sqlite")).close()


def extent(conn: int, offset: int) -> Extent:
    return Extent(1, offset, 100, conn, START_NS, START_NS, 0, 0, 3, 0)


def test_a_closing_without_an_opening() -> None:
    with closing(new_index_in_memory()) as index:
        add(index, [IndexEntry(extent(4, 40), [(START_NS, closed(4, 3, 2))]), IndexEntry(extent(5, 140), [])], {1: 240})
        backfill_connections(index)
        rows = index.execute("SELECT conn, peer, opened, received, sent, reason FROM connections").fetchall()
        assert rows == [(4, "127.0.0.1:10004", None, 3, 2, "peer_closed"), (5, None, None, None, None, None)]


def test_all_of_it_or_nothing() -> None:
    with closing(new_index_in_memory()) as index:
        bad = Closed(START_NS, 2, "p", "peer_closed", 1 << 70, 0, 1.0)  # more than SQLite can hold
        with pytest.raises(OverflowError):
            add(
                index,
                [IndexEntry(extent(1, 40), [(START_NS, opened(1))]), IndexEntry(extent(2, 140), [(START_NS, bad)])],
                {1: 240},
            )
        assert not index.in_transaction
        for table in ("extents", "connections", "segments"):
            assert index.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


class CommitsFail:
    """An index whose disk is full when it commits."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index

    @property
    def in_transaction(self) -> bool:
        return self._index.in_transaction

    def execute(self, statement: str) -> None:
        if statement == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        self._index.execute(statement)


def test_a_commit_that_fails_leaves_no_transaction_behind() -> None:
    with closing(new_index_in_memory()) as index:
        with pytest.raises(sqlite3.OperationalError, match="full"), transaction(CommitsFail(index)):  # type: ignore[arg-type]
            pass
        with transaction(index):
            index.execute("INSERT INTO meta VALUES ('a', 'b')")
        assert index.execute("SELECT count(*) FROM meta").fetchone() == (1,)
