"""Recordings of earlier releases: their index has an older schema, and their segments have no notes about the clock."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from recording_files import START_NS, closed, data_of, opened, received, record

from portside.record.check import check
from portside.record.folder import Folder
from portside.record.recording import Recording

BEFORE_3 = (
    "ALTER TABLE connections DROP COLUMN closed_by",
    "ALTER TABLE connections DROP COLUMN began",
    "DROP TABLE clock",
    "PRAGMA user_version = 2",
)
BEFORE_2 = (*BEFORE_3, "DROP TABLE given_up", "DROP INDEX connections_to_give_up", "PRAGMA user_version = 1")


@pytest.fixture(params=[BEFORE_3, BEFORE_2], ids=["schema 2", "schema 1"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A recording as an earlier release left it, of which --record-max has taken connection 2."""
    path = tmp_path / "recording"
    record(
        path, [opened(1), received(1, b"hello")], [closed(1, 5, 0)], [opened(2), received(2, b"gone"), closed(2, 4, 0)]
    )
    with closing(sqlite3.connect(path / "index.sqlite", isolation_level=None)) as index:
        index.execute("UPDATE connections SET dropped = ? WHERE conn = 2", (START_NS,))
        index.execute("DELETE FROM extents WHERE conn = 2")
        for statement in request.param:
            index.execute(statement)
    return path


def require_readable(path: Path) -> None:
    with Recording(os.fspath(path)) as recording:
        assert recording.why_rebuilt is None
        first, second = recording.connections()
        assert (first.opened, first.began, first.reason, first.by) == (START_NS, START_NS, "peer_closed", None)
        assert (second.dropped, second.received) == (START_NS, 4)
    assert data_of(path, 1) == (b"hello", b"")


def test_reading(path: Path) -> None:
    require_readable(path)
    assert check(os.fspath(path)).whole
    require_readable(path)


def test_reading_without_the_right_to_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_folder: Folder) -> int:
        raise PermissionError

    monkeypatch.setattr(Folder, "lock", refuse)
    before = (path / "index.sqlite").read_bytes()
    require_readable(path)
    assert (path / "index.sqlite").read_bytes() == before


def test_recording_more(path: Path) -> None:
    record(path, [opened(3), received(3, b"new"), closed(3, 3, 0)])
    assert data_of(path, 3) == (b"new", b"")
    assert data_of(path, 1) == (b"hello", b"")
    assert check(os.fspath(path)).whole
