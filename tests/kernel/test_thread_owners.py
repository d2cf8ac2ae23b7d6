"""Owners that /proc/PID/fd alone does not show: real processes whose threads hold what their first thread does not."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from portside.app.proc_prefetcher import ProcPrefetcher
from portside.kernel.materialize import to_sockets
from portside.kernel.snapshot import Query, take_snapshot

LISTEN = """
import ctypes, os, socket, sys, threading
libc = ctypes.CDLL(None, use_errno=True)

def listen(unshares):
    if unshares and libc.unshare(0x400):  # CLONE_FILES
        raise OSError(ctypes.get_errno(), "unshare")
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], threading.get_native_id(), flush=True)
    os.read(0, 1)
    os._exit(0)
"""
OWN_TABLE = LISTEN + "threading.Thread(target=listen, args=(True,)).start()"
LEADER_ENDS = (
    LISTEN
    + """
threading.Thread(target=listen, args=(False,)).start()
libc.pthread_exit(None)
"""
)


@pytest.fixture(params=[OWN_TABLE, LEADER_ENDS], ids=["own-table", "first-thread-ended"])
def holder(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process and the port of its listener, which its second thread holds."""
    command = [sys.executable, "-c", request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port, _ = map(int, process.stdout.readline().split())
        yield process, port
        process.communicate("", timeout=30)


@pytest.mark.parametrize("ahead", [False, True], ids=["read-after", "read-ahead"])
def test_a_thread_holds_it(holder: tuple[subprocess.Popen[str], int], ahead: bool) -> None:
    process, port = holder
    prefetcher = ProcPrefetcher() if ahead else None
    query = Query(
        f"sport = :{port}", "listening", prefetched=prefetcher.processes if prefetcher else None, commands=True
    )
    (row,) = to_sockets(take_snapshot(query).table)
    assert [(owner.pid, owner.command) for owner in row.owners or ()] == [(process.pid, " ".join(process.args))]  # type: ignore[arg-type]
    assert not row.gaps.keys() & {"owners", "owners.command"}


def test_threads_that_share_a_table_are_not_read_twice() -> None:
    """This process has several threads here, and each of its sockets is shown once."""
    code = LISTEN + "threading.Thread(target=listen, args=(False,)).start(); threading.Event().wait()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as one:
        assert one.stdout is not None
        port, _ = map(int, one.stdout.readline().split())
        (row,) = to_sockets(take_snapshot(Query(f"sport = :{port}", "listening")).table)
        assert [owner.pid for owner in row.owners or ()] == [one.pid]
        one.communicate("", timeout=30)
