"""The table beside what ``ss`` says of the same sockets."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest
from kernel.ss import Line, ss
from kernel.tcp_states import NETWORK, States, every_tcp_state, private_netns
from support import wait_until

from portside.app import watch_few
from portside.app.column_text import WatchedSockets, local_ends
from portside.kernel.dump_reader import DumpReader
from portside.kernel.filter import parse
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.snapshot import snapshot
from portside.kernel.states import NAMES
from portside.settings.watch import Watch

OURS = f"( src {NETWORK} or dst {NETWORK} )"
EVERY_STATE = set(NAMES.values()) - {"CLOSE"}


@pytest.fixture(scope="module")
def states() -> Iterator[States]:
    with private_netns(), every_tcp_state(1000) as states:
        missing: set[str] = set()

        def complete() -> bool:
            missing.clear()
            missing.update(EVERY_STATE - {line.state for line in ss(*OURS.split())})
            return not missing

        try:
            wait_until(complete, "every state to be there")
        except AssertionError:
            raise AssertionError(f"not there: {missing}") from None
        yield states


def both(filter_: str = OURS) -> tuple[list[Socket], list[Line]]:
    """Our sockets and the lines of ss, each in the order of their ends."""
    table, lines = snapshot(filter_, view="all").table, ss(*filter_.split())
    sockets = sorted(to_sockets(table), key=lambda each: (each.local, str(each.remote)))
    return sockets, sorted(lines, key=lambda each: (each.local, str(each.remote)))


def owners_of(socket: Socket) -> tuple[tuple[int, str, int], ...]:
    return tuple(sorted((each.pid, str(each.program), each.fd or 0) for each in socket.owners or ()))


def test_every_socket_its_state_queues_ends_and_owners(states: States) -> None:
    sockets: list[Socket] = []

    def difference() -> list[object]:
        sockets[:], lines = both()
        ours = [(s.state, s.recv_q, s.send_q, s.local, s.remote, owners_of(s)) for s in sockets]
        if len(ours) != len(lines):
            return [len(ours), len(lines)]
        return [pair for pair in zip(ours, [line[:6] for line in lines], strict=True) if pair[0] != pair[1]]

    wait_until(lambda: not difference(), "no difference")
    assert len(sockets) > 2000
    assert {socket.state for socket in sockets} == EVERY_STATE


NUMBERS = {
    "mss": "mss",
    "rcvmss": "rcv_mss",
    "advmss": "advmss",
    "cwnd": "cwnd",
    "pmtu": "pmtu",
    "bytes_sent": "bytes_sent",
    "bytes_acked": "bytes_acked",
    "bytes_received": "bytes_received",
    "segs_out": "segs_out",
    "segs_in": "segs_in",
    "data_segs_out": "data_segs_out",
    "data_segs_in": "data_segs_in",
    "notsent": "notsent_bytes",
    "rcv_space": "rcv_space",
    "rcv_ssthresh": "rcv_ssthresh",
    "unacked": "unacked",
    "snd_wnd": "snd_wnd",
}
MEMORY = {
    "r": "rmem_alloc", "rb": "rcvbuf", "t": "wmem_alloc", "tb": "sndbuf", "f": "fwd_alloc", "w": "wmem_queued",
    "o": "optmem", "bl": "backlog", "d": "drops",
}  # fmt: skip


def details_of(line: Line) -> dict[str, object]:
    """What ss tells beyond its columns, in our names and units."""
    found: dict[str, object] = {"cookie": int(line.details["sk"], 16)}
    for theirs, name in NUMBERS.items():
        if theirs in line.details:
            found[name] = int(line.details[theirs])
    if "rtt" in line.details and "cwnd" in line.details and line.state != "LISTEN":
        rtt, rttvar = (round(float(number) * 1000) for number in line.details["rtt"].split("/"))
        if rtt:
            found |= {"rtt_us": rtt, "rttvar_us": rttvar}
    if "minrtt" in line.details:
        found["min_rtt_us"] = round(float(line.details["minrtt"]) * 1000)
    if "wscale" in line.details:
        found["snd_wscale"], found["rcv_wscale"] = map(int, line.details["wscale"].split(","))
    if "skmem" in line.details:
        counters = (word for word in line.details["skmem"].strip("()").split(","))
        found["skmem"] = {
            MEMORY[word.rstrip("0123456789")]: int(word.lstrip("abcdefghijklmnopqrstuvwxyz")) for word in counters
        }
    if line.state == "LISTEN":
        return {name: found[name] for name in ("cookie", "skmem")}
    return found


def test_every_number_that_ss_has_too(states: States) -> None:
    def differences() -> list[object]:
        sockets, lines = both()
        found: list[object] = []
        if len(sockets) != len(lines):
            return [len(sockets), len(lines)]
        for each, line in zip(sockets, lines, strict=True):
            theirs = details_of(line)
            ours = {name: (each.info or {}).get(name) for name in theirs}
            inode = int(line.details.get("ino", 0))
            uid = int(line.details.get("uid", 0))
            if ours != theirs or (each.inode or 0) != inode or (each.uid or 0) != uid:
                found.append((each, theirs))
        return found

    seen: list[object] = []

    def equal() -> bool:
        seen[:] = differences()
        return not seen

    try:
        wait_until(equal, "no difference")
    except AssertionError:
        raise AssertionError(f"{len(seen)} differ, first {seen[:1]}") from None


@pytest.mark.parametrize(
    "words",
    [
        "state established",
        "state fin-wait-1",
        "state bucket",
        "state big exclude established",
        "state connected exclude time-wait exclude established",
        "state synchronized",
        "state listening",
        "exclude established",
        "sport = :PORT",
        "dport = :PORT",
        "not sport = :PORT",
        "( sport = :PORT or dport = :PORT )",
        "sport gt :PORT",
        "sport lt :PORT",
        "sport ge :PORT and sport le :PORT",
        "dport neq :PORT",
        "src 127.77.0.1",
        "src 127.77.0.1:PORT",
        "dst 127.64.0.0/10",
        "dst 127.77.0.2",
        "src 127.77.0.1 dst 127.77.0.1",
        "src inet6:[::]",
        "sport = :PORT or sport = :1 and dport = :PORT",
        "! dport = :PORT | sport = :PORT",
        "state fin-wait-2 state close-wait sport = :PORT",
    ],
)
def test_a_filter_means_the_same(states: States, words: str) -> None:
    for port in sorted(states.ports):
        text = words.replace("PORT", str(port))
        head = text.split("sport")[0].split("dport")[0].split("src")[0].split("dst")[0].strip()
        begins_with_state = head.startswith(("state", "exclude"))
        term = text.removeprefix(head).strip() if begins_with_state else text
        whole = f"{head} {OURS} {f'and ( {term} )' if term else ''}" if begins_with_state else f"{OURS} and ( {text} )"

        def same(whole: str = whole) -> bool:
            rows = to_sockets(snapshot(whole, view="all", owners=False).table)
            lines = ss(*whole.split(), options="-tanOH")
            ours = sorted((s.state if lines and lines[0].state else "", s.local, str(s.remote)) for s in rows)
            return ours == sorted((line.state, line.local, str(line.remote)) for line in lines)

        wait_until(same, f"the same sockets for {whole!r}")


@pytest.mark.parametrize("source", ["proc", "psutil"])
def test_the_other_sources_see_the_same_sockets(states: States, source: str) -> None:
    most = None if source == "proc" else 1  # psutil names one owner of each

    def seen(name: str) -> set[object]:
        rows = to_sockets(snapshot(OURS, view="all", source=name).table)
        return {(s.proto, s.state, s.local, s.remote, owners_of(s)[:most]) for s in rows}

    def difference() -> set[object]:
        return seen("netlink") ^ seen(source)

    result = snapshot(OURS, view="all", source=source)
    assert result.source == source
    assert bool(result.notes) == (source == "psutil")
    wait_until(lambda: not difference(), "no difference")


def test_proc_has_the_same_queues_inodes_and_users(states: States) -> None:
    def values(source: str) -> list[tuple[object, ...]]:
        rows = to_sockets(snapshot(OURS, view="all", source=source, owners=False).table)
        return sorted(
            (s.local, str(s.remote), s.state, s.recv_q, s.send_q if not s.listening else 0, s.inode or 0, s.uid or 0)
            for s in rows
        )

    wait_until(lambda: values("proc") == values("netlink"), "no difference")


def test_the_interface_that_a_socket_is_bound_to() -> None:
    """The table shows it where ss does, after the local address; and what is shown is a filter for that socket."""
    with private_netns(), contextlib.ExitStack() as stack:
        for host in ("127.77.0.1", "0.0.0.0", "::1"):
            listener = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            listener.bind((host, 0))
            listener.listen()
            port = listener.getsockname()[1]
            target = (host if host != "0.0.0.0" else "127.0.0.1", port)
            stack.enter_context(socket.create_connection(target))
            stack.enter_context(listener.accept()[0])
            words = [f"( sport = :{port} or dport = :{port} )"]
            out = subprocess.run(["ss", "-tanOH", *words], check=True, capture_output=True, text=True).stdout
            theirs = sorted(line.split()[3].replace("]%lo:", "%lo]:") for line in out.splitlines())
            table = snapshot(words[0], view="all", owners=False).table
            assert sorted(local_ends(WatchedSockets(table))) == theirs
            with contextlib.closing(DumpReader()) as reader:
                few = watch_few.read(reader, Watch(all=True), parse(words[0])) or []
            lines = b"".join(watch_few.few_sockets_text(few, None)).decode().splitlines()
            assert sorted(line.split()[3] for line in lines[1:]) == theirs
            assert sum("%lo" in end for end in theirs) == 2  # the listener and what it accepted; not the client
            for shown in filter(lambda end: "%lo" in end, theirs):
                found = snapshot(f"src {shown} sport = :{port}", view="all", owners=False).table
                assert shown in local_ends(WatchedSockets(found))
                assert [(row.info or {})["interface"] for row in to_sockets(found)] == ["lo"] * len(found)


def test_netstat_says_the_same(states: States) -> None:
    def theirs() -> list[tuple[str, ...]]:
        out = subprocess.run(["netstat", "-natp"], check=True, capture_output=True, text=True).stdout
        return sorted(
            (words[5], *words[1:3], words[3], words[6].split("/")[0])
            for words in (line.split() for line in out.splitlines()[2:])
            if words[0] == "tcp" and words[3].startswith("127.77.") and words[5] == "ESTABLISHED"
        )

    def ours() -> list[tuple[str, ...]]:
        rows = to_sockets(snapshot(f"state established src {NETWORK}", families=(4,)).table)
        return sorted(
            (s.state, str(s.recv_q), str(s.send_q), s.local, str(s.owners[0].pid) if s.owners else "-") for s in rows
        )

    wait_until(lambda: ours() == theirs(), "no difference")
    assert str(os.getpid()) in {row[4] for row in ours()}
