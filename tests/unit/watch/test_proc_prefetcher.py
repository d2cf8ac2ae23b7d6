"""The process that reads ahead."""

import gc
import os
import socket

import pytest

from portside.app import proc_prefetcher as module
from portside.app.proc_prefetcher import ProcPrefetcher


def inodes_of(prefetcher: ProcPrefetcher) -> set[int]:
    return {inode for seen in prefetcher.processes() if seen.pid == os.getpid() for inode, _ in seen.sockets or ()}


def test_it_tells_what_it_has_read() -> None:
    with socket.socket() as held:
        prefetcher = ProcPrefetcher()
        assert os.fstat(held.fileno()).st_ino in inodes_of(prefetcher)
    prefetcher.close()


def test_nothing_is_left_of_one_that_was_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[int] = []

    def fork() -> int:
        children.append(real_fork())
        return children[0]

    real_fork = os.fork
    monkeypatch.setattr(os, "fork", fork)
    gc.collect()  # so that no garbage of before gives descriptors back meanwhile
    before = set(os.listdir("/proc/self/fd"))
    prefetcher = ProcPrefetcher()
    prefetcher.close()
    prefetcher.close()
    assert set(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(children[0], os.WNOHANG)


def test_one_that_fails_has_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError

    monkeypatch.setattr(module, "iter_processes", fail)
    assert list(ProcPrefetcher().processes()) == []


def test_no_process_left_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fork)
    assert list(ProcPrefetcher().processes()) == []


def test_one_that_was_not_needed_ends_although_its_result_fits_into_no_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "iter_processes", lambda: [("x" * (4 << 20),)])
    ProcPrefetcher().close()
