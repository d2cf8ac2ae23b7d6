"""Recordings exported, and read by Wireshark's own programs."""

import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import Start
from packet_parser import parse_capture
from recording_files import START_NS, change, closed, opened, pattern, peer, received, record, segment, sent
from support import DEADLINE_S, Program, connect, read_to_end, reset, wait_until

from portside.errors import PortsideError
from portside.events import Closed, Event, Gap, HalfClosed, Listening, Opened, Received, Refused, Stopped
from portside.record.export import ExportSummary, export_jsonl, export_pcapng
from portside.record.export_file import ExportFile, written
from portside.record.recording import Recording

LISTENING = Listening(START_NS, "127.0.0.1:12345")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def export(path: Path, conn: int | None = None) -> tuple[str, ExportSummary]:
    """A recording as a capture beside it."""
    target = os.fspath(path.with_suffix(".pcapng"))
    with Recording(os.fspath(path)) as recording, written(target) as file:
        return target, export_pcapng(recording, file, conn, version="1.2")


def fields(capture: str, *names: str) -> list[list[str]]:
    """A row a packet, as tshark sees it."""
    wanted = [word for name in names for word in ("-e", name)]
    return [line.split("\t") for line in run("tshark", "-r", capture, "-T", "fields", *wanted).splitlines()]


def anomalies(capture: str) -> list[str]:
    """What tshark finds wrong with the TCP of a capture."""
    return run("tshark", "-r", capture, "-Y", "tcp.analysis.flags || _ws.malformed").splitlines()


def follow(capture: str, stream: int = 0) -> tuple[bytes, bytes]:
    """Both directions of a conversation: from the client, from the server."""
    text = run("tshark", "-r", capture, "-q", "-z", f"follow,tcp,raw,{stream}")
    lines = [line for line in text.splitlines() if not line.startswith(("=", "Follow", "Filter", "Node"))]
    sides = [line for line in lines if not line.startswith("\t")], [line for line in lines if line.startswith("\t")]
    return bytes.fromhex("".join(sides[0])), bytes.fromhex("".join(sides[1]))


def endings(capture: str) -> list[tuple[str, str]]:
    """Who ended a conversation, and how: port, FIN or RST."""
    rows = fields(capture, "tcp.srcport", "tcp.flags.fin", "tcp.flags.reset")
    return [(port, "FIN" if fin == "1" else "RST") for port, fin, rst in rows if "1" in (fin, rst)]


# What a server recorded.


def wait_until_closed(server: Program, count: int) -> None:
    server.wait_for('"closed"', count=count)
    server.stop()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
def test_what_clients_sent_is_what_wireshark_follows(start: Start, tmp_path: Path, address: str) -> None:
    server = start("listen", address, "--format", "json", "--record", str(tmp_path / "rec"))
    server.wait_for('"listening"')
    host, port = address.rpartition(":")[0].strip("[]"), int(server.events[0]["address"].rpartition(":")[2])
    said = [pattern(1, 300_000), b"a\n", bytes(range(256)) * 17]
    for number, data in enumerate(said, 1):
        with connect(port, host) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
        server.wait_for('"closed"', count=number)
    server.stop()
    capture, exported = export(tmp_path / "rec")
    assert (exported.connections, exported.gaps) == (3, 0)
    assert anomalies(capture) == []
    assert [follow(capture, number) for number in range(3)] == [(data, b"") for data in said]
    assert exported.written == len(fields(capture, "frame.number"))


def test_wireshark_decrypts_a_recording_by_the_keys_that_an_end_logged(start: Start, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    inner = start("listen", "127.0.0.1:0", "--tls", "--echo", env={"SSLKEYLOGFILE": str(keys)})
    target = f"127.0.0.1:{inner.port}"
    outer = start("listen", "127.0.0.1:0", "--forward", target, "--format", "json", "--record", str(tmp_path / "rec"))
    words = ("connect", f"127.0.0.1:{outer.port}", "--tls", "--no-tls-verify")
    client = [sys.executable, "-m", "portside", *words]
    assert (
        subprocess.run(client, input=b"secret\n", stdout=subprocess.PIPE, check=True, timeout=60).stdout == b"secret\n"
    )
    wait_until_closed(outer, 1)
    capture, _ = export(tmp_path / "rec")
    as_tls = ("-d", f"tcp.port=={outer.port},tls", "-q", "-z", "follow,tls,ascii,0")
    assert "secret" not in run("tshark", "-r", capture, *as_tls)
    assert run("tshark", "-r", capture, "-o", f"tls.keylog_file:{keys}", *as_tls).count("secret") == 2


def test_reads_of_one_byte_both_ways(start: Start, tmp_path: Path) -> None:
    server = start(
        *("listen", "127.0.0.1:0", "--format", "json", "--stdin", "--record", str(tmp_path / "rec")),
        stdin=subprocess.PIPE,
    )
    assert server.process.stdin
    server.wait_for('"listening"')
    with connect(server.port) as client:
        server.wait_for('"opened"')
        for number in range(20):
            client.sendall(b"%c" % (65 + number))
            server.wait_for('"received"', count=number + 1)
            os.write(server.process.stdin.fileno(), b"%c" % (97 + number))
            assert client.recv(1) == b"%c" % (97 + number)
    server.wait_for('"half_closed"')
    server.stop()
    capture, _ = export(tmp_path / "rec")
    assert anomalies(capture) == []
    assert follow(capture) == (b"ABCDEFGHIJKLMNOPQRST", b"abcdefghijklmnopqrst")


def test_a_reset_and_a_half_close_are_what_they_were(start: Start, tmp_path: Path) -> None:
    server = start("listen", "127.0.0.1:0", "--format", "json", "--record", str(tmp_path / "rec"))
    server.wait_for('"listening"')
    first = connect(server.port)
    first.sendall(b"x")
    server.wait_for('"received"')
    reset(first)
    server.wait_for('"closed"')
    wait_until_closed(server, 1)
    capture, _ = export(tmp_path / "rec")
    assert anomalies(capture) == []
    assert [how for _, how in endings(capture)] == ["RST"]
    assert follow(capture) == (b"x", b"")


def test_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    server = start("listen", f"unix:{path}", "--format", "json", "--record", str(tmp_path / "rec"))
    server.wait_for('"listening"')
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    wait_until_closed(server, 1)
    capture, _ = export(tmp_path / "rec")
    assert anomalies(capture) == []
    assert follow(capture) == (b"hello", b"")
    comments = [row[0] for row in fields(capture, "frame.comment") if row[0]]
    assert len(comments) == 1
    assert f"unix:pid={os.getpid()}" in comments[0]
    assert f"unix:{path}" in comments[0]


def test_a_capture_of_a_client_begins_at_the_client(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        port = listener.getsockname()[1]
        client = start(*("connect", f"127.0.0.1:{port}", "--record", str(tmp_path / "rec")), stdin=subprocess.PIPE)
        assert client.process.stdin
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(DEADLINE_S)
            client.process.stdin.write(b"question")
            client.process.stdin.close()
            assert read_to_end(accepted) == b"question"
            accepted.sendall(b"answer")
        assert client.wait() == 0
    capture, exported = export(tmp_path / "rec")
    assert exported.connections == 1
    assert anomalies(capture) == []
    assert follow(capture) == (b"question", b"answer")
    assert fields(capture, "tcp.dstport")[0] == [str(port)]


# What events say.


def life(conn: int, *events: Event) -> list[Event]:
    return [opened(conn), *events]


def test_capinfos_finds_times_in_nanoseconds_and_who_wrote_it(tmp_path: Path) -> None:
    record(tmp_path / "rec", [LISTENING, *life(1, received(1, b"x", 123_456_789), closed(1, 1, at=2_000_000_001))])
    capture, _ = export(tmp_path / "rec")
    told = run("capinfos", "-M", capture)
    assert "nanoseconds (9)" in told
    assert "Raw IP" in told
    assert "Portside 1.2" in told
    times = [row[0] for row in fields(capture, "frame.time_epoch")]
    assert times[3] == "1800000000.123456789"
    assert times[-1] == "1800000002.000000001"


def test_many_connections_at_once_keep_apart(tmp_path: Path) -> None:
    record(
        tmp_path / "rec",
        [LISTENING, *(opened(conn, conn) for conn in range(1, 31))],
        *([received(conn, pattern(conn, 500), 100 + conn) for conn in range(1, 31)] for _ in range(3)),
        [closed(conn, 1500, at=1000 + conn) for conn in range(1, 31)],
    )
    capture, exported = export(tmp_path / "rec")
    assert exported == ExportSummary(30, 30 * (3 + 3 * 2 + 4), 0)
    assert anomalies(capture) == []
    assert all(follow(capture, conn - 1)[0] == pattern(conn, 500) * 3 for conn in (1, 17, 30))


def test_one_connection_of_many(tmp_path: Path) -> None:
    record(
        tmp_path / "rec",
        [LISTENING, *(opened(conn) for conn in (1, 2, 3)), *(received(conn, pattern(conn, 9)) for conn in (1, 2, 3))],
        [closed(conn, 9) for conn in (1, 2, 3)],
    )
    capture, exported = export(tmp_path / "rec", 2)
    assert exported.connections == 1
    assert follow(capture) == (pattern(2, 9), b"")
    assert fields(capture, "tcp.stream")[-1] == ["0"]


@pytest.mark.parametrize(
    ("reason", "ends"),
    [
        ("peer_closed", [("10001", "FIN"), ("12345", "FIN")]),
        ("local_closed", [("12345", "FIN"), ("10001", "FIN")]),
        ("idle_timeout", [("12345", "FIN"), ("10001", "FIN")]),
        ("local_reset", [("12345", "RST")]),
        ("peer_reset", [("10001", "RST")]),
    ],
)
def test_the_side_that_ended_it_does(tmp_path: Path, reason: str, ends: list[tuple[str, str]]) -> None:
    end = Closed(START_NS, 1, peer(1), reason, 1, 1, 1.0)  # type: ignore[arg-type]
    record(tmp_path / "rec", [LISTENING, *life(1, received(1, b"x"), sent(1, b"y"), end)])
    capture, _ = export(tmp_path / "rec")
    assert anomalies(capture) == []
    assert endings(capture) == ends


def test_a_half_close_comes_before_what_is_sent_after_it(tmp_path: Path) -> None:
    half = HalfClosed(START_NS, 1, peer(1))
    record(tmp_path / "rec", [LISTENING, *life(1, received(1, b"question"), half, sent(1, b"answer"), closed(1, 8, 6))])
    capture, _ = export(tmp_path / "rec")
    assert anomalies(capture) == []
    assert follow(capture) == (b"question", b"answer")
    rows = fields(capture, "tcp.flags.fin", "tcp.len")
    assert [row for row in rows if row[0] == "1" or row[1] != "0"] == [["0", "8"], ["1", "0"], ["0", "6"], ["1", "0"]]


def test_what_was_handed_over_but_never_left_is_not_there(tmp_path: Path) -> None:
    record(
        tmp_path / "rec",
        [LISTENING, *life(1, sent(1, b"left"), sent(1, b"stayed"))],
        [Closed(START_NS, 1, peer(1), "write_timeout", 0, 6, 1.0)],
    )
    capture, _ = export(tmp_path / "rec")
    assert follow(capture) == (b"", b"leftst")


def test_a_gap_is_a_hole_that_wireshark_sees_and_a_comment_explains(tmp_path: Path) -> None:
    gap = Gap(START_NS, 1, 1000, 0, 1.0, "No space left on device")
    whole = Gap(START_NS, 0, 10, 0, 1.0, "No space left on device", 3)
    refused = Refused(START_NS, "127.0.0.1:9", "max_conns")
    record(
        tmp_path / "rec",
        [LISTENING, *life(1, received(1, b"before"))],
        [whole, refused, gap, received(1, b"after"), closed(1, 1011)],
        [Stopped(START_NS, "signal")],
    )
    capture, exported = export(tmp_path / "rec")
    assert (exported.connections, exported.gaps) == (1, 2)
    rows = fields(capture, "tcp.seq", "tcp.len", "tcp.analysis.lost_segment", "frame.comment")
    assert [row[:2] for row in rows if row[1] != "0"] == [["1", "6"], ["1007", "5"]]
    assert [row[3] for row in rows if row[2]] == [
        "before this, 1000 bytes from the peer are not in the recording: No space left on device"
    ]


def test_a_hole_of_gigabytes_keeps_the_order(tmp_path: Path) -> None:
    gap = Gap(START_NS, 1, 5 << 30, 0, 1.0, "disk full")
    record(tmp_path / "rec", [LISTENING, *life(1, received(1, b"a"), gap, received(1, b"b"), closed(1, (5 << 30) + 2))])
    capture, _ = export(tmp_path / "rec")
    found = run(
        *("tshark", "-r", capture, "-Y"),
        "tcp.analysis.out_of_order || tcp.analysis.retransmission || tcp.analysis.spurious_retransmission"
        " || tcp.analysis.keep_alive || tcp.analysis.duplicate_ack",
    )
    assert found == ""


def test_a_connection_that_goes_on_has_no_end(tmp_path: Path) -> None:
    record(tmp_path / "rec", [LISTENING, *life(1, received(1, b"so far"))])
    capture, _ = export(tmp_path / "rec")
    assert anomalies(capture) == []
    assert endings(capture) == []
    assert follow(capture) == (b"so far", b"")


def damage(what: bytes, data: bytearray) -> None:
    data[data.index(what)] ^= 1


@pytest.mark.parametrize("conn", [None, 1])
def test_a_lost_beginning_and_a_lost_end(tmp_path: Path, conn: int | None) -> None:
    path = tmp_path / "rec"
    record(path, life(1, received(1, b"first")), [received(1, b"second")], [received(1, b"third"), closed(1, 16)])
    for lost in (b"first", b"third"):
        change(segment(path), partial(damage, lost))
    capture, exported = export(path, conn)
    assert (exported.connections, exported.gaps) == (1, 2)
    rows = fields(capture, "tcp.len", "frame.comment", "tcp.flags.fin")
    assert [row[0] for row in rows if row[0] != "0"] == ["6"]
    comments = [row[1] for row in rows if row[1]]
    assert "the beginning of this connection is not recorded" in comments[0]
    assert "5 bytes from the peer" in comments[0]
    assert "5 bytes from the peer" in comments[1]
    assert [row[2] for row in rows].count("1") == 2


def test_a_clock_set_back_does_not_disorder_a_stream(tmp_path: Path) -> None:
    record(
        tmp_path / "rec",
        [LISTENING, *life(1, *(received(1, b"%d" % number, -number) for number in range(9))), closed(1, 9)],
    )
    capture, _ = export(tmp_path / "rec")
    assert anomalies(capture) == []
    assert follow(capture) == (b"012345678", b"")


def test_ports_used_again_are_another_conversation(tmp_path: Path) -> None:
    lives: list[list[Event]] = [
        [Opened(START_NS, conn, peer(1), "1.2.3.4:5"), Received(START_NS, conn, peer(1), b"%d" % conn), closed(conn, 1)]
        for conn in (1, 2)
    ]
    record(tmp_path / "rec", [LISTENING], *lives)
    capture, _ = export(tmp_path / "rec")
    assert [follow(capture, 0)[0], follow(capture, 1)[0]] == [b"1", b"2"]


def test_who_opened_a_connection(tmp_path: Path) -> None:
    """Our side is the server's in a server's run, and the client's in a client's, in one folder."""
    path = tmp_path / "rec"
    record(path, [LISTENING, opened(1), closed(1)])
    record(path, [opened(2), closed(2)], outbound=True)
    record(path, [LISTENING, opened(3)])
    for conn, first in ((1, "10001"), (2, "12345"), (3, "10003")):
        capture, _ = export(path, conn)
        assert fields(capture, "tcp.srcport")[0] == [first]


def test_large_blocks_stay_in_their_order(tmp_path: Path) -> None:
    data = pattern(1, 21 << 20)
    step = 3 << 20
    record(
        tmp_path / "rec",
        [LISTENING, opened(1), opened(2)],
        *([received(1, data[at : at + step]), received(2, b"%07d" % at)] for at in range(0, len(data), step)),
        [closed(1, len(data)), closed(2, 49)],
    )
    capture, exported = export(tmp_path / "rec")
    assert exported.gaps == 0
    streams: dict[int, bytes] = {}
    for each in parse_capture(Path(capture).read_bytes()):
        streams[each.source[1]] = streams.get(each.source[1], b"") + each.data
    assert streams[10001] == data
    assert streams[10002] == b"".join(b"%07d" % at for at in range(0, len(data), step))


def test_a_thousand_small_blocks(tmp_path: Path) -> None:
    record(tmp_path / "rec", [LISTENING, *life(1)], *([received(1, b"%04d" % number)] for number in range(1000)))
    capture, _ = export(tmp_path / "rec")
    assert follow(capture)[0] == b"".join(b"%04d" % number for number in range(1000))


# Events.


def test_jsonl_is_the_events(tmp_path: Path) -> None:
    events: list[Event] = [
        *(LISTENING, opened(1), received(1, b"text\n"), sent(1, b"\xff"), Gap(START_NS, 1, 1, 0, 1.0, "disk full")),
        *(opened(2), received(2, b"x"), closed(1, 6, 1), Stopped(START_NS, "signal")),
    ]
    record(tmp_path / "rec", events)
    progress: list[tuple[int, int]] = []
    target = tmp_path / "x.jsonl"
    with Recording(os.fspath(tmp_path / "rec")) as recording, written(os.fspath(target)) as file:
        exported = export_jsonl(recording, file, None, lambda done, whole: progress.append((done, whole)))
    lines = [json.loads(line) for line in target.read_bytes().splitlines()]
    assert exported == ExportSummary(2, 9, 1)
    assert sorted(line["event"] for line in lines) == sorted(event.event for event in events)
    first = [line for line in lines if line.get("conn") == 1]
    assert [line["event"] for line in first] == ["opened", "received", "sent", "gap", "closed"]
    assert (first[1]["text"], first[2]["base64"], first[1]["peer"]) == ("text\n", "/w==", peer(1))
    assert progress[-1][0] == progress[-1][1]


def test_jsonl_of_one_connection(tmp_path: Path) -> None:
    record(tmp_path / "rec", [LISTENING, *life(1, received(1, b"a")), *life(2, received(2, b"bc"))], [closed(2, 2)])
    progress: list[tuple[int, int]] = []
    target = tmp_path / "x.jsonl"
    with Recording(os.fspath(tmp_path / "rec")) as recording, written(os.fspath(target)) as file:
        exported = export_jsonl(recording, file, 2, lambda done, whole: progress.append((done, whole)))
    assert exported == ExportSummary(1, 3, 0)
    assert [json.loads(line)["conn"] for line in target.read_bytes().splitlines()] == [2, 2, 2]
    assert progress == [(2, 2)]


# The file.


@pytest.mark.parametrize("exporter", [partial(export_pcapng, version="1"), export_jsonl])
def test_a_connection_that_is_not_there_leaves_no_file(tmp_path: Path, exporter: Callable[..., object]) -> None:
    record(tmp_path / "rec", [LISTENING])
    missing = pytest.raises(PortsideError, match="connection 7")
    with Recording(os.fspath(tmp_path / "rec")) as recording, missing, written(os.fspath(tmp_path / "x")) as file:
        exporter(recording, file, 7)
    assert [each.name for each in tmp_path.iterdir()] == ["rec"]


def test_a_file_that_is_there_is_replaced_whole_and_keeps_its_rights_and_its_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    with written(os.fspath(link)) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert {each.name for each in tmp_path.iterdir()} == {"real", "link"}


def test_a_failed_export_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def fail(file: ExportFile) -> None:
        file.write(b"new")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    full = pytest.raises(PortsideError, match=f"cannot write {target}: No space left on device")
    with full, written(os.fspath(target)) as file:
        fail(file)
    assert target.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("x" * (os.pathconf(tmp_path, "PC_NAME_MAX") - len(".jsonl")) + ".jsonl")
    with written(os.fspath(target)) as file:
        file.write(b"whole")
    assert [(each, each.read_bytes()) for each in tmp_path.iterdir()] == [(target, b"whole")]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    full = pytest.raises(PortsideError, match="cannot write /dev/full: No space left on device")
    with full, written("/dev/full") as file:
        file.write(b"x")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PortsideError, match="No such file or directory"), written(os.fspath(tmp_path / "none" / "x")):
        pass


def test_a_named_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with written(os.fspath(pipe)) as file:
        file.write(b"through")
    reader.join(DEADLINE_S)
    assert got == [b"through"]


def test_a_reader_that_went_away_is_told_apart() -> None:
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError), written(f"/dev/fd/{write}") as file:
        file.write(b"x")
    os.close(write)


def test_standard_output_may_be_the_file(tmp_path: Path) -> None:
    record(tmp_path / "rec", [LISTENING, *life(1, received(1, b"x"), closed(1, 1))])
    program = (
        "import sys; from portside.record.export import *; from portside.record.export_file import *\n"
        "from portside.record.recording import Recording\n"
        "with Recording(sys.argv[1]) as recording, written('-') as file: export_pcapng(recording, file, version='1')\n"
    )
    command = [sys.executable, "-c", program, os.fspath(tmp_path / "rec")]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout
    assert [each.data for each in parse_capture(out) if each.data] == [b"x"]


def test_a_recording_that_grows_is_exported_up_to_now(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "rec"
    server = start("listen", "127.0.0.1:0", "--format", "json", "--record", str(path))
    server.wait_for('"listening"')
    with connect(server.port) as client:
        client.sendall(b"so far")
        server.wait_for('"received"')

        def exported() -> bool:
            return b"so far" in (b"".join(each.data for each in parse_capture(Path(export(path)[0]).read_bytes())))

        wait_until(exported, "the bytes in an export")
        assert endings(export(path)[0]) == []
    wait_until_closed(server, 1)
