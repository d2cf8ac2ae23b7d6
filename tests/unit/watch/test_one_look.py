"""What one look finds: the column of ``watch --once --wide`` and the sentences below the table."""

import numpy as np
import pytest
from unit.kernel.messages import LISTEN, attribute, socket_message, tcp_info

from portside.app.one_look import OneLook, look_once, sentences
from portside.app.table_text import TableText
from portside.app.watch_table import show_snapshot
from portside.diagnosis.findings import Finding, Severity, Subject
from portside.kernel.decoder import decode
from portside.kernel.models import Owner
from portside.kernel.snapshot import Snapshot
from portside.kernel.table import SocketTable
from portside.settings.watch import Watch


def table() -> SocketTable:
    info = attribute(2, tcp_info(280, mss=("I", 16, 1448), cwnd=("I", 80, 10)))
    itself = socket_message(cookie=5, local=("127.0.0.1", 9), remote=("127.0.0.1", 9), inode=5, attributes=info)
    full = socket_message(state=LISTEN, cookie=6, local=("127.0.0.1", 80), queues=(3, 2), inode=6)
    plain = socket_message(cookie=7, inode=7, attributes=info)
    return decode(itself + full + plain).table.with_owners({5: (Owner(53140, "n\x1bc", 3),)})


def test_one_look_finds_what_a_table_shows_by_itself() -> None:
    look = look_once(table(), None)
    assert look.codes == ["self-connected", "accept-queue-overflow", "-"]
    full, itself = sorted(sentences(look))
    assert full.startswith("warning: accept-queue-overflow, 127.0.0.1:80: The accept queue is full (3 wait, the limit")
    assert itself.startswith("warning: self-connected, 127.0.0.1:9 -> 127.0.0.1:9  53140/n\\x1bc: n\x1bc is connected")
    assert look_once(table().select(np.zeros(0, "i8")), None) == OneLook((), [])


def test_the_wide_table_has_a_column_of_what_is_wrong() -> None:
    look = look_once(table(), None)
    folded = b"".join(TableText(wide=True, width=80).pieces(table(), look.codes)).decode().splitlines()
    assert sum(line.startswith("    Finding self-connected  ") for line in folded) == 1
    assert sum("Finding" in line for line in folded) == 2
    assert max(map(len, folded)) <= 80
    header, first, *_ = b"".join(TableText(wide=True).pieces(table(), look.codes)).decode().splitlines()
    at = header.index("Finding")
    assert first[at:].split()[0] == "self-connected"
    plain = b"".join(TableText().pieces(table(), look.codes)).decode()
    assert plain == b"".join(TableText().pieces(table())).decode()
    assert "Finding" not in plain


def test_sentences_are_few_and_above_info() -> None:
    def finding(number: int, severity: Severity) -> Finding:
        return Finding(
            code=f"code-{number}", severity=severity, subject=Subject("machine"), summary="Bad.", evidence={}, why="",
            remedy="", first_seen="", last_seen="", count=1,
        )  # fmt: skip

    severe = tuple(finding(number, "critical") for number in range(7))
    lines = sentences(OneLook((*severe, finding(8, "info")), []))
    assert lines[0] == "critical: code-0, this machine: Bad."
    assert lines[5:] == ["2 more findings: portside diagnose shows all"]
    assert sentences(OneLook((finding(8, "info"),), [])) == []


def test_sentences_stand_below_the_table_of_wide_alone(capfd: pytest.CaptureFixture[str]) -> None:
    seen = Snapshot(table(), "netlink", ())
    assert show_snapshot(Watch(wide=True, once=True), seen, None)
    out, errors = capfd.readouterr()
    assert " self-connected " in out
    assert [line.split(",")[0] for line in sorted(errors.splitlines())] == [
        "portside: warning: accept-queue-overflow",
        "portside: warning: self-connected",
    ]
    assert "\x1b" not in errors
    assert show_snapshot(Watch(once=True), seen, None)
    assert capfd.readouterr().err == ""
