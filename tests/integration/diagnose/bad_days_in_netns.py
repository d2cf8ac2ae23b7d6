"""Days on which more is wrong than TCP, each in namespaces of its own, and what ``diagnose`` makes of them.

``python -m integration.diagnose.bad_days_in_netns NAME`` exits with an error where it is not what it should be.
"""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from integration.diagnose.found_in_netns import LOOKS, PROGRAMS, diagnose
from netns import other_netns
from support import Program, wait_until
from wall_clock import WallClock

PACE = threading.Event()
DIAGNOSE = (sys.executable, "-m", "portside", "diagnose")
SELF_CONNECTED = """
kept = socket.socket()
kept.bind(("127.0.0.9", 0))
kept.connect(kept.getsockname())
"""


@contextlib.contextmanager
def self_connected() -> Iterator[socket.socket]:
    """A socket with a condition that needs no time."""
    with socket.socket() as channel:
        channel.bind(("127.0.0.9", 0))
        channel.connect(channel.getsockname())
        yield channel


@contextlib.contextmanager
def following(*options: str, **given: Any) -> Iterator[Program]:
    """``diagnose --follow``, which ends with status 1 and without a complaint when it is to."""
    program = Program("--follow", "--json", "--interval", "100ms", *options, command=DIAGNOSE, **given)
    try:
        yield program
        assert program.stop() == 1, bytes(program.err)
        assert b"Traceback" not in program.err
    finally:
        program.kill()


def conditions(names: list[str], stack: contextlib.ExitStack) -> list[int]:
    """Programs of ``conditions.py``; their processes, when their conditions are there."""
    made = [Program(name, command=(sys.executable, str(PROGRAMS)), stdin=subprocess.PIPE) for name in names]
    for program in made:
        stack.callback(program.kill)
    for program in made:
        program.wait_for(r"ready \d+")
    return [program.process.pid for program in made]


def another_namespace() -> None:
    """What is wrong in a namespace is found there, with its program, and not here."""
    with other_netns(SELF_CONNECTED) as process:
        assert diagnose("--for", "200ms") == []
        (found,) = diagnose("--for", "200ms", "--netns", str(process.pid))
        assert (found["code"], found["subject"]["pid"]) == ("self-connected", process.pid)


def no_right_to_see_owners() -> None:
    """A condition is found all the same, and the finding says what it could not see."""
    said = "the program: 1 process could not be read"
    owners_not_known(("setpriv", "--bounding-set=-all", "--inh-caps=-all"), said)


def behind_hidepid() -> None:
    subprocess.run(["mount", "-o", "remount,hidepid=4", "/proc"], check=True)
    said = "the program: no process that can be seen here holds it"
    owners_not_known(("setpriv", "--bounding-set=-all", "--inh-caps=-all"), said)


def owners_not_known(prefix: tuple[str, ...], said: str) -> None:
    assert ctypes.CDLL(None).prctl(4, 0) == 0  # PR_SET_DUMPABLE: not even our own user may look
    with self_connected():
        words = [*prefix, *DIAGNOSE, "--for", "200ms", "--json"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, done.stderr
        (found,) = map(json.loads, done.stdout.splitlines())
        assert found["code"] == "self-connected"
        assert "pid" not in found["subject"], found
        assert found["unseen"][0].startswith(said), found["unseen"]


def comes_and_goes() -> None:
    """A condition that comes and goes is one finding, until it has been gone for five seconds."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, following() as program:
        for _ in range(3):
            with socket.create_connection(server.getsockname()):
                wait_until(lambda: program.events, "the finding")
                PACE.wait(0.3)
                server.accept()[0].close()
            wait_until(lambda: queue_of(server) == 0, "an empty queue")
        (found,) = program.events
        assert (found["code"], found["subject"]["pid"]) == ("accept-queue-overflow", os.getpid())
        program.wait_for('"gone":true')
        first, last = program.events
        assert first["first_seen"] == last["first_seen"] < last["last_seen"]


def queue_of(server: socket.socket) -> int:
    look = ["ss", "-tlnH", f"sport = :{server.getsockname()[1]}"]
    return int(subprocess.check_output(look, text=True).split()[1])


TEN = (
    "accept_queue_overflow", "close_wait_leak", "receiver_slow", "connect_refused", "nagle_delay", "self_connected",
    "descriptors_near", "reuseport_imbalance", "reset_unread", "peer_vanished",
)  # fmt: skip


def ten_at_once() -> None:
    """Each of ten programs is found for what it does, and none for what another one does."""
    soon = (
        "close-wait-leak.age=1s",
        "receiver-slow.still=2s",
        "connect-refused.lasting=1s",
        "peer-vanished.silence=2s",
    )
    with contextlib.ExitStack() as stack:
        pids = dict(zip(TEN, conditions(list(TEN), stack), strict=True))
        for _ in range(LOOKS):
            found = diagnose("--for", "5s", "--min-severity", "warning", *(f"--set={each}" for each in soon))
            if len(found) >= len(TEN):
                break
        assert sorted(each["code"].replace("-", "_") for each in found) == sorted(TEN), found
        for each in found:
            if "pid" in each["subject"]:
                assert each["subject"]["pid"] == pids[each["code"].replace("-", "_")], each


def passed_to_another_process() -> None:
    """A socket that is sent to another process, and closed here, is that one's."""
    ours, theirs = socket.socketpair()
    holder = (
        "import socket, sys\n"
        f"_, kept, *_ = socket.recv_fds(socket.socket(fileno={theirs.fileno()}), 1, 1)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()"
    )
    words = [sys.executable, "-c", holder]
    with (
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[theirs.fileno()]) as taker,
        following() as program,
    ):
        with self_connected() as channel:
            wait_until(lambda: subjects(program) == [os.getpid()], "a finding of ours")
            socket.send_fds(ours, [b"x"], [channel.fileno()])
            assert taker.stdout is not None
            assert taker.stdout.readline() == b"ready\n"
        wait_until(lambda: subjects(program)[-1:] == [taker.pid], "a finding of the other process")
        assert {each["code"] for each in program.events} == {"self-connected"}


def left_to_a_child() -> None:
    """A socket whose process has forked and ended is its child's."""
    script = (
        f"import os, socket, sys\n{SELF_CONNECTED}\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "if (child := os.fork()): print(child, flush=True); os._exit(0)\n"
        "sys.stdin.read()"
    )
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent, following() as program:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        wait_until(lambda: subjects(program) == [parent.pid], "a finding of the parent")
        parent.stdin.write(b"fork\n")
        parent.stdin.flush()
        child = int(parent.stdout.readline())
        wait_until(lambda: subjects(program) == [parent.pid, child], "a finding of the child")


def subjects(program: Program) -> list[int | None]:
    """The processes of the findings that were said, each once, in the order in which they were."""
    return list(dict.fromkeys(each["subject"].get("pid") for each in program.events))


def clock_step() -> None:
    """The wall clock is set by an hour: ages stay what they are, and each time is as the clock was then."""
    with contextlib.ExitStack() as stack:
        clock = WallClock(Path(stack.enter_context(TemporaryDirectory())))
        (pid,) = conditions(["close_wait_leak"], stack)
        old = stack.enter_context(following("--only=close-wait-leak", "--only=self-connected", env=clock.environment))
        clock.set(3600)
        with self_connected() as channel:
            wait_until(lambda: old.events, "a finding")
            (found,) = old.events  # and not connections that were forgotten for an hour
            assert (found["code"], found["subject"]["local"].split(":")[0]) == ("self-connected", "127.0.0.9")
            ahead = datetime.fromisoformat(found["first_seen"]) - datetime.now(UTC)
            assert timedelta(minutes=55) < ahead < timedelta(minutes=65)
            clock.set(-3600)
            del channel
        old.wait_for('"gone":true')
        assert pid


def kernel_without_counters() -> None:
    """Rules whose counters the kernel does not have say so, and the others look."""
    with self_connected(), TemporaryDirectory() as folder:
        for name in ("snmp", "sockstat"):
            Path(folder, name).write_text(Path("/proc/net", name).read_text())
        Path(folder, "netstat").write_text("TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 0 0\n")
        script = f'mount --bind {folder} /proc/$$/task/$$/net && exec "$@"'
        words = ["sh", "-c", script, "sh", *DIAGNOSE, "--for", "200ms", "--json"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, done.stderr
        assert [json.loads(line)["code"] for line in done.stdout.splitlines()] == ["self-connected"]
        said = done.stderr
        assert "listen-drops (TcpExt.ListenDrops: this kernel does not count it)" in said, said
        assert "time-wait-overflow (TcpExt.TCPTimeWaitOverflow: this kernel does not count it)" in said, said
        assert "bufferbloat" not in said


def processes_that_die() -> None:
    """Processes that end while they are looked at are no failure, and what lasts is found."""
    stop = threading.Event()

    def one_after_the_other() -> None:
        server = "server = socket.create_server(('127.0.0.1', 0))"
        script = f"import socket; {server}; client = socket.create_connection(server.getsockname())"
        while not stop.is_set():
            subprocess.run([sys.executable, "-S", "-c", script], check=True)

    with self_connected():
        threads = [threading.Thread(target=one_after_the_other) for _ in range(3)]
        for each in threads:
            each.start()
        try:
            words = [*DIAGNOSE, "--json", "--for", "3s", "--interval", "10ms", "--min-severity", "warning"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        finally:
            stop.set()
            for each in threads:
                each.join()
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert [json.loads(line)["code"] for line in done.stdout.splitlines()] == ["self-connected"]


BAD_DAYS: dict[str, Callable[[], None]] = {
    day.__name__: day
    for day in (
        another_namespace, no_right_to_see_owners, behind_hidepid, comes_and_goes, ten_at_once,
        passed_to_another_process, left_to_a_child, clock_step, kernel_without_counters, processes_that_die, )
}  # fmt: skip


if __name__ == "__main__":
    BAD_DAYS[sys.argv[1]]()
