"""``portside watch`` where it prints and ends: beside netstat and ss, in pipes, and on bad days."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Start
from kernel.ss import ss
from kernel.tcp_states import NETWORK, every_tcp_state, private_netns
from support import DEADLINE_S, free_port, wait_until

from portside.app import watch, watch_few, watch_table
from portside.app.watch_columns import table_columns
from portside.cli import parser
from portside.kernel import destroy, few_sockets, states
from portside.kernel.backend import BackendError, DumpRequest
from portside.kernel.dump_reader import DumpReader
from portside.settings.watch import Watch

OURS = f"( src {NETWORK} or dst {NETWORK} )"
PORTSIDE = (sys.executable, "-m", "portside")
HEADER = "Proto Recv-Q Send-Q Local Address        Foreign Address      State       PID/Program"


def run(*arguments: str, prefix: tuple[str, ...] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    words = [*prefix, *PORTSIDE, "watch", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=DEADLINE_S, **options)


def table(*arguments: str) -> list[list[str]]:
    """The rows of a table, as words."""
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()[1:]]


def read_terminal(master: int) -> bytes:
    """All that was written to a terminal whose other side is closed; closes this one."""
    shown = bytearray()
    with contextlib.suppress(OSError), open(master, "rb", buffering=0) as file:
        while chunk := file.read(1 << 16):
            shown += chunk
    return bytes(shown)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        yield listener


@pytest.fixture
def port(listener: socket.socket) -> int:
    number: int = listener.getsockname()[1]
    return number


@pytest.fixture
def pair(listener: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as accepted:
        yield client, accepted


# The same as others say.


def test_the_picture_of_the_tutorial(start: Start) -> None:
    """A server, two ``nc``, and the same picture as ``netstat -ntp`` gives."""
    with private_netns(), contextlib.ExitStack() as stack:
        server = start("listen", "127.0.0.1:0")
        port = server.port
        for number in range(2):
            client = stack.enter_context(
                subprocess.Popen(["nc", "127.0.0.1", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            stack.callback(client.kill)
            assert client.stdin
            client.stdin.write(b"hello\n")
            client.stdin.flush()
            server.wait_for("> hello", count=number + 1)

        def theirs() -> list[list[str]]:
            out = subprocess.run(["netstat", "-ntp"], capture_output=True, text=True, check=True).stdout
            return sorted(line.split() for line in out.splitlines() if f":{port} " in line)

        wait_until(lambda: sorted(table(str(port), "--once")) == theirs(), "the same view")
        assert len(theirs()) == 4
        done = run(str(port), "--once")
        assert done.stdout.splitlines()[0] == HEADER
        assert f"{server.process.pid}/" in done.stdout
        assert done.stderr == "portside: 1 listener matches too: -l shows listeners, -a both\n"
        server.kill()


def test_json_and_table_beside_ss_in_every_state() -> None:
    """2,000 sockets: every one that ss has, with its state, queues, ends and owners."""
    with private_netns(), every_tcp_state(1000):

        def theirs() -> list[tuple[object, ...]]:
            lines = ss(*OURS.split(), options="-tanpOH")
            return sorted((s.state, s.recv_q, s.send_q, s.local, str(s.remote), s.owners) for s in lines)

        def ours() -> list[tuple[object, ...]]:
            done = run("--once", "--json", "--all", OURS)
            assert done.returncode == 0, done.stderr
            rows = map(json.loads, done.stdout.splitlines())
            return sorted(
                (
                    row["state"],
                    row["recv_q"],
                    row["send_q"],
                    row["local"],
                    str(row["remote"]),
                    tuple(sorted((each["pid"], each["program"], each["fd"]) for each in row["owners"])),
                )
                for row in rows
            )

        found: list[tuple[object, ...]] = []

        def same() -> bool:
            found[:] = ours()
            return found == theirs()

        wait_until(same, "no difference")
        assert len({row[0] for row in found}) == 10

        def theirs_as_table() -> list[list[str]]:
            words = []
            for state, recv_q, send_q, local, remote, owners in theirs():
                pids = dict.fromkeys(f"{pid}/{program}" for pid, program, _ in owners)  # type: ignore[attr-defined]
                end = remote if remote != "None" else "[::]:*" if str(local).startswith("[") else "0.0.0.0:*"
                words.append([str(recv_q), str(send_q), str(local), str(end), str(state), ",".join(pids) or "-"])
            return sorted(words)

        wait_until(lambda: sorted(row[1:] for row in table("-a", OURS)) == theirs_as_table(), "no difference")

        def counted() -> str:
            """The summary, where it counts what the table has: TIME_WAIT does not wait for both."""
            wide = table("-a", "--wide", OURS)
            least = len(table_columns(wide=True, drops=False)) + 3  # a command line may have any number of words
            assert min(map(len, wide)) == least
            summary = run("--summary", "-a", OURS).stdout
            return summary if f"Sockets: {len(wide)}\n" in summary else ""

        assert "127.77.0.1" in wait_until(counted, "as many in the summary as in the table")


# What is chosen.


def test_which_are_shown(pair: tuple[socket.socket, socket.socket], port: int) -> None:
    def states(*options: str) -> list[str]:
        return sorted(row[5] for row in table(str(port), *options))

    assert states() == ["ESTABLISHED", "ESTABLISHED"]
    assert states("-l") == ["LISTEN"]
    assert states("-a") == states("-la") == ["ESTABLISHED", "ESTABLISHED", "LISTEN"]
    assert states("-a", "-6") == []
    assert len(states("-a", "-4")) == 3
    assert states("and", "state", "listening") == ["LISTEN"]


def test_in_order(pair: tuple[socket.socket, socket.socket], port: int) -> None:
    pair[0].send(b"12345")
    assert pair[1].recv(5, socket.MSG_PEEK | socket.MSG_WAITALL) == b"12345"  # under load it comes after send() is done
    assert table(str(port), "--sort", "-recv-q")[0][1] == "5"
    assert table(str(port), "--sort", "recv-q")[-1][1] == "5"  # others may have had the port, and be in TIME_WAIT
    rows = run(str(port), "--json", "--sort", "-bytes_sent").stdout.splitlines()
    assert json.loads(rows[0])["info"]["bytes_sent"] == 5
    assert "hint: did you mean recv-q?" in run("--sort", "recv-qq").stderr
    done = run("--sort", "nosuch")
    assert done.returncode == 2
    assert done.stderr.startswith("portside: --sort: there is no column 'nosuch'\nhint: columns: proto, recv-q,")


@pytest.mark.parametrize("options", [(), ("--sort", "state"), ("--source", "proc"), ("-w",), ("-6",)], ids=" ".join)
def test_listeners_that_match_are_counted(listener: socket.socket, port: int, options: tuple[str, ...]) -> None:
    done = run(str(port), *options)
    assert len(done.stdout.splitlines()) == 1
    told = "portside: 1 listener matches too: -l shows listeners, -a both\n"
    assert (told in done.stderr) == ("-6" not in options)


@pytest.mark.parametrize("options", [("-a",), ("-l",), ("--json",), ("-s",), ("and", "state", "established")])
def test_listeners_are_not_counted_where_they_are_shown(
    listener: socket.socket, port: int, options: tuple[str, ...]
) -> None:
    assert "too" not in run(str(port), *options).stderr


@pytest.mark.parametrize("letters", ["-ntp", "-tnap", "-tn", "--tcp"])
def test_the_letters_of_netstat_and_ss(pair: tuple[socket.socket, socket.socket], port: int, letters: str) -> None:
    lines = run(letters).stdout.splitlines()
    assert lines[0].split() == HEADER.split()  # a long queue anywhere widens its column
    assert sum(f":{port} " in line and f"{os.getpid()}/" in line for line in lines) >= 2


def test_udp_is_answered_with_tcp_only() -> None:
    done = run("-tunlp")
    assert done.returncode == 2
    assert done.stderr == "portside: watch: -u: TCP only: there is nothing here about UDP\n"


def test_without_processes(pair: tuple[socket.socket, socket.socket], port: int) -> None:
    done = run(str(port), "--no-processes")
    assert done.stdout.splitlines()[0] == HEADER.removesuffix("       PID/Program")
    assert "programs" not in done.stderr
    row = json.loads(run(str(port), "--no-processes", "--json").stdout.splitlines()[0])
    assert row["owners"] is None
    assert row["gaps"]["owners"] == "not looked up"
    assert "Program" not in run(str(port), "--no-processes", "-s").stdout


def test_listeners_with_their_queues_and_drops(listener: socket.socket, port: int) -> None:
    with socket.create_connection(listener.getsockname()):
        wait_until(lambda: table(f"sport = {port}", "-l")[0][1] == "1", "one that waits")
        done = run(f"sport = {port}", "-l")
    header, row = done.stdout.splitlines()
    assert header.split()[-2:] == ["Drops", "PID/Program"]
    words = row.split()
    with open("/proc/sys/net/core/somaxconn") as file:
        assert words[2] == str(min(128, int(file.read())))
    assert words[5:7] == ["LISTEN", "0"]
    assert "ListenOverflows" in done.stderr
    assert "ListenDrops" in done.stderr


@pytest.mark.parametrize("source", ["proc", "psutil"])
def test_other_sources(pair: tuple[socket.socket, socket.socket], port: int, source: str) -> None:
    rows = table(f"sport = {port}", "--source", source)
    (row,) = table(f"sport = {port}")
    assert [[row[0], *row[3:]]] == [[each[0], *each[3:]] for each in rows]
    assert rows[0][1:3] == (["0", "0"] if source == "proc" else ["-", "-"])
    assert "unknown" in run(f"sport = {port}", "--source", source, "-s").stdout or source == "proc"


# Bad days.


@pytest.mark.parametrize(
    ("words", "at", "width"),
    [
        ("spotr = 5", 0, 5),
        ("   spotr = 5", 3, 5),
        ("sport = 5 and", 13, 1),
        ("( sport = 5", 0, 1),
        ("src 1.2.3.4/99", 4, 10),
    ],
)
def test_a_filter_that_cannot_be_read(words: str, at: int, width: int) -> None:
    done = run(words)
    assert done.returncode == 2
    assert done.stdout == ""
    said, shown, mark = done.stderr.splitlines()
    assert said.startswith("portside: watch: ")
    assert shown == f"hint: {words}"
    assert mark == " " * (6 + at) + "^" * width


def test_a_condition_that_one_look_cannot_know(port: int) -> None:
    for text in ("age > 5s", "AGE > 5s"):
        done = run(text)
        assert done.returncode == 0
        assert done.stdout == HEADER + "\n"
        assert done.stderr.startswith("portside: one look does not tell how old a connection is")


@pytest.mark.parametrize(
    ("source", "said"), [("netlink", []), ("proc", ["rtt_us"]), ("psutil", ["recv_q", "rtt_us", "uid"])]
)
def test_a_condition_that_a_source_cannot_answer(port: int, source: str, said: list[str]) -> None:
    done = run(f"{port} and ( rtt > 0 or recvq > 0 or uid = 0 )", "--once", "--source", source)
    assert done.returncode == 0
    notes = [line for line in done.stderr.splitlines() if "does not tell" in line]
    assert notes == [f"portside: {source} does not tell {name}: no condition on it is true" for name in said]


def test_nobody_reads_it(port: int) -> None:
    for options in (["-a"], ["--json", "-a"], ["--summary"], ["-l"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([*PORTSIDE, "watch", *options], stdout=writer, stderr=subprocess.PIPE, check=False)
        os.close(writer)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*PORTSIDE, "watch", "--once"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"portside: cannot write standard output: No space left on device\n"


def test_on_a_terminal_once_is_the_same_table(pair: tuple[socket.socket, socket.socket], port: int) -> None:
    ours, theirs = os.openpty()
    done = subprocess.run([*PORTSIDE, "watch", "--once", f"sport = {port}"], stdout=theirs, check=False)
    os.close(theirs)
    shown = read_terminal(ours)
    assert done.returncode == 0
    assert shown.splitlines()[0].decode() == HEADER
    assert b"\x1b" not in shown


HIDDEN = """
import ctypes, socket, sys
assert ctypes.CDLL(None).prctl(4, 0) == 0  # PR_SET_DUMPABLE: only who may trace everybody sees its descriptors
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_a_user_without_leave() -> None:
    """The table is there without others' programs, a note says so, and the status is 0."""
    prefix = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()
    with subprocess.Popen([sys.executable, "-c", HIDDEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        port = int(holder.stdout.readline())
        done = run(f"sport = {port}", "-a", prefix=prefix)
        row = json.loads(run(f"sport = {port}", "-a", "--json", prefix=prefix).stdout)
        holder.communicate()
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split()[-1] == "-"
    assert "could not be read: the programs of 1 of these sockets are not known" in done.stderr
    assert row["owners"] is None
    assert "could not be read" in row["gaps"]["owners"]


def test_a_user_who_is_not_told_marks(pair: tuple[socket.socket, socket.socket], port: int) -> None:
    """The kernel tells them with CAP_NET_ADMIN alone: no condition on them is true, and it says so, as ss does."""
    prefix = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()
    why = "the kernel tells it only to programs with CAP_NET_ADMIN"
    for condition in ("fwmark = 0", "not fwmark = 0"):
        done = run(f"sport = {port} and {condition} state established", "--once", "--no-processes", prefix=prefix)
        assert (done.returncode, done.stdout.count("\n")) == (0, 1)
        assert f"portside: mark: {why}; no condition on it is true\n" in done.stderr
    row = json.loads(run(f"sport = {port} state established", "--json", prefix=prefix).stdout)
    assert row["info"]["mark"] is None
    assert row["gaps"]["info.mark"] == why


@pytest.mark.skipif(os.getuid() != 0, reason="marks are told to root")
def test_marks_that_are_told(pair: tuple[socket.socket, socket.socket], port: int) -> None:
    done = run(f"sport = {port} and fwmark = 0 state established", "--once", "--no-processes")
    assert (done.stdout.count("\n"), done.stderr) == (2, "")
    row = json.loads(run(f"sport = {port} state established", "--json").stdout)
    assert row["info"]["mark"] == 0
    assert "info.mark" not in row.get("gaps", {})


def test_a_user_without_leave_who_asks_psutil() -> None:
    """What psutil cannot see is not known, and is no answer to a condition on it."""
    prefix = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()
    with subprocess.Popen([sys.executable, "-c", HIDDEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        chosen = (f"sport = {int(holder.stdout.readline())}", "-a", "--source", "psutil")
        done = run(*chosen, "--json", prefix=prefix)
        row = json.loads(done.stdout)
        without = run(*chosen, "and not program = zzz", prefix=prefix)
        holder.communicate()
    assert row["owners"] is None
    assert row["gaps"]["owners"] == "psutil names no process that holds it"
    assert "the programs of 1 of these sockets are not known" in done.stderr
    assert without.stdout == HEADER + "\n"


def test_a_refusal_in_the_middle_tells_what_was_done_before(
    pair: tuple[socket.socket, socket.socket],
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    answers = [0, errno.ENOENT, errno.EPERM]
    monkeypatch.setattr(destroy, "_destroy_one", lambda *_: answers.pop(0))
    with pytest.raises(destroy.DestroyError, match="Operation not permitted"):
        watch.run(parser.parse(Watch, "watch", [str(port), "-a", "--kill"]))
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 2
    assert err == "portside: destroyed 1 socket; 1 had gone before\n"


def test_a_terminal_that_cannot_place_its_cursor(port: int) -> None:
    ours, theirs = os.openpty()
    words = [*PORTSIDE, "watch", "-l", f"sport = {port}"]
    environment = {**os.environ, "TERM": "dumb"}
    done = subprocess.run(words, stdin=theirs, stdout=theirs, check=False, timeout=DEADLINE_S, env=environment)
    os.close(theirs)
    shown = read_terminal(ours)
    assert done.returncode == 0
    assert b"\x1b" not in shown
    assert f"127.0.0.1:{port}".encode() in shown


def test_without_netlink_it_falls_back_and_says_so(
    pair: tuple[socket.socket, socket.socket],
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def no_netlink(self: DumpReader) -> socket.socket:
        raise BackendError("opening netlink", "Protocol not supported")

    monkeypatch.setattr(DumpReader, "_open", no_netlink)
    assert watch.run(parser.parse(Watch, "watch", [f"sport = {port}", "--once"])) == 0
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 2
    assert err == "portside: sockets come from proc: opening netlink: Protocol not supported\n"


@pytest.mark.parametrize("arguments", [[], ["--no-processes"], ["-4"], ["-6"], ["--all"]], ids=" ".join)
def test_few_sockets_and_many_take_two_ways_to_the_same_table(
    pair: tuple[socket.socket, socket.socket],
    port: int,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = parser.parse(Watch, "watch", [f"sport = {port} or dport = {port}", "--once", *arguments])
    ways: list[str] = []
    dumps: list[DumpRequest] = []
    show_few, show_many, receive_all = watch_few.show, watch_table.show, DumpReader._receive_all

    def few(*given: Any) -> None:
        ways.append("few")
        show_few(*given)

    def many(*given: Any, **more: Any) -> int:
        ways.append("many")
        return show_many(*given, **more)

    def received(self: DumpReader, request: DumpRequest) -> memoryview:
        dumps.append(request)
        return receive_all(self, request)

    monkeypatch.setattr(watch_few, "show", few)
    monkeypatch.setattr(watch_table, "show", many)
    monkeypatch.setattr(DumpReader, "_receive_all", received)
    assert watch.run(settings) == 0
    shown = capfd.readouterr()
    monkeypatch.setattr(few_sockets, "MOST_BYTES", 0)
    assert watch.run(settings) == 0
    assert capfd.readouterr() == shown
    assert len(shown.out.splitlines()) == (1 if "-6" in arguments else 4 if "--all" in arguments else 3)
    assert ways == ["few", "many"]
    looks = [request for request in dumps if request.states != states.LISTENING]  # listeners are counted apart
    assert len(looks) == 2  # what was read for few is not read again for many


@pytest.mark.parametrize("name", ["nosuch", "999999999", "../x"])
def test_a_namespace_that_is_not_there(name: str) -> None:
    done = run("--netns", name)
    assert done.returncode == 1
    assert done.stderr.startswith(f"portside: network namespace '{name}': ")


def test_kill_is_refused_without_a_filter() -> None:
    done = run("--kill")
    assert done.returncode == 2
    assert done.stderr.startswith("portside: watch: --kill destroys connections and needs a filter")
