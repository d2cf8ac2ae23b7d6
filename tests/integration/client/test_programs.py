"""A program on the connection."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from integration.client.conftest import Connect, Peer
from support import DEADLINE_S, has_ended, read_to_end, reset, wait_until

# Writes its process id to a file, ignores SIGTERM where that is asked for, and stays.
STAYING = """
import os, signal, sys, time
if sys.argv[2:]: signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1] + ".new", "w") as file: file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(1000)
"""


def staying(path: Path, *stubborn: str) -> str:
    return shlex.join([sys.executable, "-c", STAYING, str(path), *stubborn])


def process_id(path: Path) -> int:
    wait_until(path.exists, "the program")
    return int(path.read_text())


def test_what_it_writes_goes_to_the_peer_and_its_end_half_closes(connect: Connect, peer: Peer) -> None:
    program = connect("--exec", "printf '%s|' 'one word' \"$HOME\"", peer.address)
    other = peer.accept()
    assert read_to_end(other) == b"one word|$HOME|"  # no shell: nothing is expanded
    assert program.process.poll() is None
    other.close()
    assert program.wait() == 0


def test_what_the_peer_writes_is_its_input_up_to_the_end(connect: Connect, peer: Peer) -> None:
    program = connect("--exec", "sort -n", peer.address)
    other = peer.accept()
    lines = [f"{number}\n".encode() for number in range(50_000)]
    other.sendall(b"".join(reversed(lines)))
    other.shutdown(socket.SHUT_WR)
    assert read_to_end(other) == b"".join(lines)
    assert program.wait() == 0
    assert not program.out


def test_its_answer_is_waited_for_after_the_peers_fin(connect: Connect, peer: Peer) -> None:
    program = connect("--sh-exec", "cat >/dev/null; sleep 1.2; echo done", peer.address)
    other = peer.accept()
    other.shutdown(socket.SHUT_WR)
    assert read_to_end(other) == b"done\n"
    assert program.wait() == 0


def test_a_conversation(connect: Connect, peer: Peer) -> None:
    program = connect("--sh-exec", 'while read line; do echo "[$line]"; done', peer.address)
    other = peer.accept()
    for word in (b"one", b"two"):
        other.sendall(word + b"\n")
        assert other.recv(6, socket.MSG_WAITALL) == b"[" + word + b"]\n"
    other.shutdown(socket.SHUT_WR)
    assert other.recv(1) == b""
    assert program.wait() == 0


def test_its_standard_error_is_ours(connect: Connect, peer: Peer) -> None:
    program = connect("--sh-exec", "echo to stderr >&2", peer.address)
    assert read_to_end(peer.accept()) == b""
    program.wait_for("^to stderr$", err=True)


@pytest.mark.parametrize("stubborn", [[], ["stubborn"]], ids=["ends on SIGTERM", "ignores it"])
def test_after_a_reset_it_is_ended(connect: Connect, peer: Peer, tmp_path: Path, stubborn: list[str]) -> None:
    program = connect("--exec", staying(tmp_path / "pid", *stubborn), peer.address)
    other = peer.accept()
    pid = process_id(tmp_path / "pid")
    reset(other)
    assert program.wait() == 1
    assert has_ended(pid)


def test_its_whole_group_is_ended(connect: Connect, peer: Peer, tmp_path: Path) -> None:
    program = connect("--sh-exec", f"{staying(tmp_path / 'pid')} | cat", peer.address)
    other = peer.accept()
    pid = process_id(tmp_path / "pid")
    reset(other)
    assert program.wait() == 1
    wait_until(lambda: has_ended(pid), "the end of the program")  # it is no child of ours, so its parent reaps it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_too(connect: Connect, peer: Peer, tmp_path: Path, number: signal.Signals) -> None:
    program = connect("--exec", staying(tmp_path / "pid"), peer.address)
    other = peer.accept()
    pid = process_id(tmp_path / "pid")
    program.signal(number)
    assert program.wait() == -number
    assert has_ended(pid)
    assert not program.err
    assert read_to_end(other) == b""


@pytest.mark.parametrize("command", ["true", "echo hello"])
def test_one_that_has_ended_ends_the_run_though_the_peer_stays(connect: Connect, peer: Peer, command: str) -> None:
    program = connect("--exec", command, peer.address)
    other = peer.accept()
    assert program.wait() == 0
    assert read_to_end(other) == (b"hello\n" if "hello" in command else b"")


def test_one_that_closed_its_output_and_reads_on_is_waited_for(connect: Connect, peer: Peer, tmp_path: Path) -> None:
    program = connect("--sh-exec", f"exec >&-; cat > {tmp_path}/out", peer.address)
    other = peer.accept()
    assert other.recv(1) == b""
    other.sendall(b"still read")
    other.shutdown(socket.SHUT_WR)
    assert program.wait() == 0
    assert (tmp_path / "out").read_bytes() == b"still read"


def test_a_signal_ends_all_though_nobody_reads_our_output(connect: Connect, peer: Peer) -> None:
    read_end, write_end = os.pipe()
    program = connect("--exec", "cat", "--format", "json", peer.address, stdout=write_end)
    os.close(write_end)
    other = peer.accept()
    other.setblocking(False)
    wait_until(lambda: is_stuck(other), "back-pressure")
    program.signal(signal.SIGTERM)
    assert program.wait() == -signal.SIGTERM
    os.close(read_end)


def is_stuck(connection: socket.socket) -> bool:
    """Send as much as the kernel takes: whether that was nothing."""
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sent += connection.send(b"x" * 65_536)
    return not sent


def test_one_that_stops_reading_still_speaks(connect: Connect, peer: Peer, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    program = connect("--sh-exec", f"exec <&-; echo ready; read line <'{go}'; echo last", peer.address)
    other = peer.accept()
    assert other.recv(6, socket.MSG_WAITALL) == b"ready\n"
    other.sendall(b"x" * 1_000_000)
    other.shutdown(socket.SHUT_WR)
    go.write_text("go\n")
    assert read_to_end(other) == b"last\n"
    assert program.wait() == 0


def test_a_peer_that_reads_nothing_and_resets_blocks_nobody(connect: Connect, peer: Peer) -> None:
    """All of these are stuck: the peer's kernel, ours, the program's output and its input."""
    program = connect("--exec", "cat", peer.address)
    other = peer.accept()
    other.setblocking(False)
    wait_until(lambda: is_stuck(other), "back-pressure")
    reset(other)
    assert program.wait() == 1
    program.wait_for("Connection reset by peer", err=True)


def test_nothing_of_ours_reaches_it_but_its_three_descriptors(connect: Connect, peer: Peer) -> None:
    program = connect("--exec", f"{sys.executable} -c 'import os; print(os.listdir(\"/proc/self/fd\"))'", peer.address)
    assert set(eval(read_to_end(peer.accept()))) <= {"0", "1", "2", "3"}  # 3: the folder that it lists
    program.kill()


def test_one_that_cannot_be_started(connect: Connect, peer: Peer) -> None:
    program = connect("--exec", "/no/such/program", peer.address)
    assert program.wait() == 1
    assert program.err.decode() == "portside: cannot run /no/such/program: No such file or directory\n"


def test_with_a_format_standard_output_shows_what_passes(connect: Connect, peer: Peer) -> None:
    program = connect("--exec", "tr a-z A-Z", "--format", "json", peer.address)
    other = peer.accept()
    other.sendall(b"shout\n")
    other.shutdown(socket.SHUT_WR)
    assert read_to_end(other) == b"SHOUT\n"
    assert program.wait() == 0
    assert [(event["event"], event.get("text")) for event in program.events] == [
        ("opened", None),
        ("received", "shout\n"),
        ("half_closed", None),
        ("sent", "SHOUT\n"),
        ("closed", None),
    ]


def test_both_ways_with_real_programs(connect: Connect, peer: Peer, tmp_path: Path) -> None:
    """A whole archive each way at once."""
    (tmp_path / "file").write_bytes(os.urandom(3_000_000))
    archive = subprocess.run(["tar", "-C", tmp_path, "-cf", "-", "file"], check=True, capture_output=True).stdout
    program = connect("--sh-exec", f"gzip -1 | gzip -d | tee {shlex.quote(str(tmp_path / 'copy'))}", peer.address)
    other = peer.accept()
    arrived: list[bytes] = []
    reader = threading.Thread(target=lambda: arrived.append(read_to_end(other)))
    reader.start()
    other.sendall(archive)
    other.shutdown(socket.SHUT_WR)
    reader.join(DEADLINE_S)
    assert arrived == [archive]
    assert program.wait() == 0
    assert (tmp_path / "copy").read_bytes() == archive


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 3", 3), ("cat >/dev/null; exit 5", 5), ("kill -TERM $$", 128 + signal.SIGTERM), ("echo all is well", 0)],
)
def test_its_status_is_that_of_the_run(connect: Connect, peer: Peer, command: str, status: int) -> None:
    program = connect("--sh-exec", command, peer.address)
    other = peer.accept()
    other.shutdown(socket.SHUT_WR)
    read_to_end(other)
    other.close()
    assert program.wait() == status
    assert not program.err


def test_a_program_that_has_to_be_ended_has_no_status(connect: Connect, peer: Peer, tmp_path: Path) -> None:
    program = connect("--sh-exec", f"exec 1>&-; exec {staying(tmp_path / 'pid')}", peer.address)
    other = peer.accept()
    pid = process_id(tmp_path / "pid")
    other.close()
    assert program.wait() == 0
    assert has_ended(pid)
