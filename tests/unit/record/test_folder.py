"""What lies in the folder of a recording."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from recording_files import record

from portside.errors import PortsideError
from portside.record.folder import Folder, make_folder


def test_it_is_made(tmp_path: Path) -> None:
    make_folder(os.fspath(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b").is_dir()
    make_folder(os.fspath(tmp_path / "a" / "b"))


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(PortsideError, match=r"Not a directory"):
            make_folder(os.fspath(path))
    with pytest.raises(PortsideError, match="Not a directory"):
        Folder(os.fspath(tmp_path / "file")).segments()


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(PortsideError, match="it holds other files"):
        make_folder(os.fspath(tmp_path))
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_fresh_file_system_is_empty(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    make_folder(os.fspath(tmp_path))
    record(tmp_path)
    (tmp_path / "thesis.tex").write_text("x")
    make_folder(os.fspath(tmp_path))


def test_other_files_beside_a_recording(tmp_path: Path) -> None:
    record(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    make_folder(os.fspath(tmp_path))


def test_no_recording(tmp_path: Path) -> None:
    with pytest.raises(PortsideError, match="there is no recording in this folder"):
        Folder(os.fspath(tmp_path)).segments()
    with pytest.raises(PortsideError, match="No such file"):
        Folder(os.fspath(tmp_path / "nothing")).segments()


def test_numbers_in_order_and_nothing_else(tmp_path: Path) -> None:
    names = ["segment-000010", "segment-000002", "segment-1000000"]
    others = ["segment-0000003", "segment-3", "segment-000004.bak", "index.sqlite.damaged-1", "segment-00000٣"]
    for name in [*names, *others]:
        (tmp_path / name).touch()
    folder = Folder(os.fspath(tmp_path))
    assert folder.segments() == [2, 10, 1000000]
    assert sorted(folder.segment(number) for number in folder.segments()) == sorted(
        os.path.join(tmp_path, name) for name in names
    )


def test_one_writes(tmp_path: Path) -> None:
    folder = make_folder(os.fspath(tmp_path))
    assert not folder.is_written()
    lock = folder.lock()
    assert lock is not None
    assert folder.is_written()
    assert folder.lock() is None
    code = "import sys; from portside.record.folder import Folder; print(Folder(sys.argv[1]).lock())"
    other = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, check=True, timeout=30)
    assert other.stdout.strip() == b"None"
    os.close(lock)
    assert not folder.is_written()


def test_a_lock_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Folder(os.fspath(tmp_path / "nothing")).lock()
    (tmp_path / "recording.lock").mkdir()
    with pytest.raises(OSError, match="no regular file"):
        Folder(os.fspath(tmp_path)).lock()
    assert not Folder(os.fspath(tmp_path)).is_written()
