"""An argument that would have no effect beside the others, or could never match, is refused."""

from pathlib import Path

import pytest
from conftest import Start
from transcripts import conversation, record

HERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("connect", "-z", HERE, "--format", "json"), "--scan and --format exclude each other"),
        (("connect", "-z", HERE, "--record", "DIR"), "--scan and --record exclude each other"),
        (("connect", "-z", HERE, "-i", "3"), "--scan and --idle-timeout exclude each other"),
        (("connect", "-z", HERE, "-C"), "--scan and --crlf exclude each other"),
        (("connect", "-z", HERE, "--no-shutdown"), "--scan and --no-shutdown exclude each other"),
        (("connect", HERE, "--recv-only", "-C"), "--crlf and --recv-only exclude each other"),
        (("connect", HERE, "--recv-only", "--no-shutdown"), "--no-shutdown and --recv-only exclude each other"),
        (("connect", HERE, "--send-only", "--no-shutdown"), "--no-shutdown and --send-only exclude each other"),
        (("connect", HERE, "--retry-interval", "3"), "--retry-interval goes with --retry"),
        (("listen", "0", "-C", "--no-stdin"), "--crlf and --no-stdin exclude each other without --exec or --sh-exec"),
        (("listen", "0", "-C", "--recv-only"), "--crlf and --recv-only exclude each other without --exec or --sh-exec"),
        (("listen", "0", "--format", "json", "--encoding", "cp1252"), "--encoding has no effect"),
        (("connect", HERE, "--encoding", "cp1252"), "--encoding has no effect"),
        (("connect", HERE, "-z", "--encoding", "cp1252"), "--encoding and --scan exclude each other"),
        (("rec", "show", "DIR/rec", "1", "--format", "hex", "--encoding", "cp1252"), "--encoding has no effect"),
        (("listen", "0", "--encoding", "lattin-1"), "did you mean latin-1?"),
        (("listen", "0", "--encoding", "utf-16"), "utf-16-le or utf-16-be"),
        (("listen", "0", "--encoding", "rot13"), "'rot13' is no encoding"),
        (("listen", "0", "--format", "raw", "--frame", "lines"), "--frame has no effect"),
        (("listen", "0", "--format", "raw", "-o", "DIR/x.raw", "--max-frame", "9"), "--max-frame has no effect"),
        (("listen", "0", "--format", "json", "--max-frame", "9"), "--max-frame has no effect"),
        (("listen", "0", "--frame", "none", "--max-frame", "9"), "--max-frame has no effect"),
        (("listen", "unix:DIR/s", "--allow", "10.0.0.1"), "--allow is about IP addresses"),
        (("listen", "unix:DIR/s", "--max-conns-per-ip", "1"), "--max-conns-per-ip is about IP addresses"),
        (("listen", "unix:DIR/s", "-6"), "-6 is about IP addresses"),
        (("listen", "unix:DIR/s", "--reuse-port"), "--reuse-port is about ports that are opened here"),
        (("listen", "unix:DIR/s", "--keepalive", "1m"), "--keepalive is about TCP"),
        (("listen", "unix:DIR/s", "--keepalive", "2m"), "--keepalive is about TCP"),  # as if not given, and yet it was
        (("listen", "0", "--format", "json", "--max-frame", "64k"), "--max-frame has no effect"),
        (("listen", "0", "--format", "json", "--encoding", "utf-8"), "--encoding has no effect"),
        (("listen", "unix:DIR/s", "--keepalive", "off"), "--keepalive is about TCP"),
        (("connect", "unix:DIR/s", "--keepalive", "1m"), "--keepalive is about TCP"),
        (("listen", "fd:3", "--reuse-port"), "--reuse-port is about ports that are opened here"),
        (("listen", "fd:3", "unix:DIR/s", "-4"), "-4 has no effect: a socket that was passed in has its family"),
        (("listen", "0", "--unix-mode", "600"), "--unix-mode is about a socket file"),
        (("listen", "0", "unix:@x", "--unix-group", "0"), "--unix-group is about a socket file"),
        (("watch", "--once", "--interval", "3"), "--interval and --once exclude each other"),
        (("watch", "--summary", "--interval", "3"), "--interval and --summary exclude each other"),
        (("watch", "--kill", "--interval", "3", "pid = 1"), "--interval and --kill exclude each other"),
        (("rec", "show", "DIR/rec", "1", "--format", "raw", "--frame", "lines"), "--frame has no effect"),
        (("rec", "show", "DIR/rec", "1", "--format", "json", "--max-frame", "9"), "--max-frame has no effect"),
        (("rec", "list", "DIR/rec", "--since", "2026-01-02", "--until", "2026-01-01"), "nothing can match"),
        (("rec", "list", "DIR/rec", "--peer", "127.0.0.1:99999"), "is no peer"),
        (("rec", "cat", "DIR/rec", "1", "--direction", "up"), "'up' is none of in, out"),
    ],
)
def test_refused(start: Start, tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    record(tmp_path / "rec", conversation((">", b"x"), "fin"))
    program = start(*(word.replace("DIR", str(tmp_path)) for word in words))
    assert program.wait() == 2
    assert why in program.err.decode()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["rec"]


@pytest.mark.parametrize(
    "words",
    [
        ("--format", "raw", "-o", "FILE.txt", "--frame", "fixed:3"),
        ("--format", "raw", "--frame", "lines", "--reply", "a => b"),
        ("--format", "json", "--max-frame", "9", "--chat"),
        ("--format", "json", "-o", "FILE", "--max-frame", "9"),
        ("--format", "hex", "--frame", "fixed:30", "--max-frame", "9"),
    ],
)
def test_taken_where_there_is_an_effect(listen: Start, tmp_path: Path, words: tuple[str, ...]) -> None:
    server = listen(*(word.replace("FILE", str(tmp_path / "file")) for word in words))
    assert server.port
    assert server.stop() == 0


def test_an_output_is_framed_by_its_own_format(listen: Start, tmp_path: Path) -> None:
    from support import connect

    outputs = {name: tmp_path / f"x.{name}" for name in ("hex", "jsonl", "txt", "raw")}
    for form in ("text", "json", "hex", "classic"):
        for path in outputs.values():
            path.unlink(missing_ok=True)
        words = [word for path in outputs.values() for word in ("-o", str(path))]
        server = listen("--format", form, "--once", *words)
        with connect(server.port) as client:
            client.sendall(b"one\ntwo\n")
        server.wait()
        assert outputs["hex"].read_bytes().count(b"  > ") == 1, form
        assert outputs["jsonl"].read_bytes().count(b'"received",') == 1, form
        assert outputs["txt"].read_bytes().count(b"  > ") == 2, form
        assert outputs["raw"].read_bytes() == b"one\ntwo\n", form
