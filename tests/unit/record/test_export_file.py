"""The file of an export: buffers of any size arrive whole and in order."""

import os
from pathlib import Path

import pytest

from portside.record import fallocate
from portside.record.export_file import ExportFile, written

MEGABYTE = 1 << 20


@pytest.mark.parametrize("sizes", [[1] * 3000, [70_000] * 40, [5, 50_000, 5, 4096] * 600, [3 * MEGABYTE], [0, 0], []])
def test_buffers_in_order(tmp_path: Path, sizes: list[int]) -> None:
    buffers = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    with written(os.fspath(tmp_path / "file")) as file:
        for at in range(0, len(buffers), 7):
            file.writelines([memoryview(buffer) for buffer in buffers[at : at + 7]])
            file.write(b"|")
    expected = b"".join(b"".join(buffers[at : at + 7]) + b"|" for at in range(0, len(buffers), 7))
    assert (tmp_path / "file").read_bytes() == expected


def test_what_a_pipe_takes_in_parts_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    took: list[bytes] = []

    def take_some(_: int, buffers: list[bytes]) -> int:
        took.append(b"".join(buffers)[:100_001])
        return len(took[-1])

    monkeypatch.setattr(os, "writev", take_some)
    file = ExportFile(-1)
    file.writelines([b"a" * 700_000, b"b" * 700_000])
    file.flush()
    assert b"".join(took) == b"a" * 700_000 + b"b" * 700_000


def test_disk_space_is_reserved_ahead_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserved: list[tuple[int, int]] = []
    monkeypatch.setattr(fallocate, "preallocate", lambda _fd, offset, size: reserved.append((offset, size)))
    cut: list[int] = []
    monkeypatch.setattr(os, "ftruncate", lambda _fd, size: cut.append(size))
    with written(os.fspath(tmp_path / "file")) as file:
        for _ in range(20):
            file.write(bytes(MEGABYTE))
    assert reserved == [(0, 16 * MEGABYTE), (16 * MEGABYTE, 16 * MEGABYTE)]
    assert cut == [(tmp_path / "file").stat().st_size] == [20 * MEGABYTE]
