"""Records as rows: their columns, and the two formats in which they are written."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from machine_facts import LEAK
from pyarrow import parquet

from portside.errors import PortsideError
from portside.fleet.export.columns import COLUMNS, EXPORTED, Item, end_of, items
from portside.fleet.export.formats import JsonLines, Parquet, RowWriter
from portside.fleet.schema import (
    ConnectionEvent,
    CurrentFindings,
    Envelope,
    NodeStatus,
    OutboxStatus,
    Record,
    ServerEvent,
    TrafficSummary,
)
from portside.kernel.column_names import INFO_COLUMNS
from portside.kernel.models import Owner, Socket
from portside.record.export_file import written
from portside.settings import option_specs
from portside.settings.fleet import FleetExport

AT = "2026-11-28T01:02:03.456789Z"
SOCKET = Socket(
    proto="tcp6",
    family=6,
    state="CLOSE",
    recv_q=0,
    send_q=None,
    local="[2001:db8::1]:5432",
    remote="10.0.0.2:40000",
    inode=None,
    uid=26,
    owners=(Owner(pid=7, program="postgres", fd=5, command="postgres -D /data"), Owner(pid=8, program="x", fd=5)),
    info={"rtt_us": 250, "congestion": "cubic", "options": ["sack", "ecn"], "app_limited": True, "new_field": 1},
    gaps={},
)
CLOSED = ConnectionEvent(event="closed", at=AT, seen="destroy", socket=SOCKET, was="FIN_WAIT2", duration=2.5, of=3)
SUMMARY = TrafficSummary(
    at=AT,
    period_s=60.0,
    program="nginx",
    local_port=443,
    remote="10.0.0.0/24",
    state="CLOSE_WAIT",
    sockets=4,
    retrans=9,
)
FINDINGS = CurrentFindings(at=AT, findings=(LEAK, LEAK))
NODE = NodeStatus(
    at=AT,
    every_s=10.0,
    version="0.1.0",
    machine="abc",
    started="2026-11-28T01:00:00Z",
    system="Linux 6.18",
    cpus=2,
    load=0.5,
    sockets={"ESTABLISHED": 5, "SYN_RECV": 1},
    cpu_s=1.5,
    rss_bytes=None,
    records=10,
    outbox=OutboxStatus(records=1, bytes=2, oldest_s=0.5, dropped=0),
    notes=("a", "b"),
)
EVENT = ServerEvent(pid=9, event={"event": "opened", "at": AT, "conn": 4, "peer": "[::1]:5", "tls": {"version": "1.3"}})
OF_KIND: dict[str, Record] = {"closed": CLOSED, "summary": SUMMARY, "findings": FINDINGS, "node": NODE, "server": EVENT}


def message(kind: str, *records: Record) -> Envelope:
    return Envelope(v=1, kind=kind, site="paris", node="web1", boot="b00t", seq=7, at=AT, records=records)


def rows(kind: str, *records: Record) -> list[dict[str, Any]]:
    return [
        {each.name: value for each in COLUMNS[kind] if (value := each.value(item)) is not None}
        for item in items(message(kind, *records))
    ]


def put(path: Path, writer: type[JsonLines] | type[Parquet], kind: str, *some: Sequence[Item]) -> None:
    with written(str(path)) as file:
        made: RowWriter = writer(COLUMNS[kind], file)
        for each in some:
            made.write(each)
        made.close()


def test_a_connection_that_closed() -> None:
    (row,) = rows("closed", CLOSED)
    assert row == {
        "timestamp": datetime(2026, 11, 28, 1, 2, 3, 456789, UTC),
        "host.name": "web1",
        "portside.site": "paris",
        "portside.boot": "b00t",
        "portside.seq": 7,
        "network.transport": "tcp",
        "network.type": "ipv6",
        "network.local.address": "2001:db8::1",
        "network.local.port": 5432,
        "network.peer.address": "10.0.0.2",
        "network.peer.port": 40000,
        "network.connection.state": "fin_wait_2",
        "process.pid": 7,
        "process.executable.name": "postgres",
        "process.command_line": "postgres -D /data",
        "user.id": "26",
        "portside.duration_s": 2.5,
        "portside.seen": "destroy",
        "portside.of": 3,
        "tcp.recv_q": 0,
        "tcp.congestion": "cubic",
        "tcp.rtt_us": 250,
        "tcp.options": "sack,ecn",
        "tcp.app_limited": True,
    }


def test_the_other_kinds() -> None:
    (row,) = rows("summary", SUMMARY)
    assert row["network.connection.state"] == "close_wait"
    assert (row["portside.peer.network"], row["portside.sockets"], row["tcp.retrans"]) == ("10.0.0.0/24", 4, 9)
    first, second = rows("findings", FINDINGS)
    assert first == second
    assert first["portside.finding.code"] == "close-wait-leak"
    assert first["portside.finding.evidence"] == '{"sockets":5}'
    assert first["process.executable.name"] == "leaky"
    (row,) = rows("node", NODE)
    assert (row["host.id"], row["portside.sockets.established"], row["portside.sockets.syn_received"]) == ("abc", 5, 1)
    assert row["portside.sockets.closed"] == 0
    assert (row["portside.outbox.oldest_s"], row["portside.notes"]) == (0.5, "a,b")
    (row,) = rows("server", EVENT)
    assert (row["portside.event"], row["portside.conn"], row["network.peer.port"]) == ("opened", 4, 5)
    assert json.loads(row["portside.event_json"])["tls"] == {"version": "1.3"}


def test_records_are_numbered_as_the_schema_says() -> None:
    assert [row["portside.seq"] for row in rows("closed", CLOSED, CLOSED, CLOSED)] == [7, 8, 9]
    assert [row["portside.seq"] for row in rows("findings", FINDINGS, FINDINGS)] == [7, 7, 8, 8]


def test_all_of_tcp_info_has_columns_and_no_name_is_there_twice() -> None:
    names = {each.name for each in COLUMNS["closed"]}
    assert {f"tcp.{name}" for name in INFO_COLUMNS} <= names
    for columns in COLUMNS.values():
        assert len({each.name for each in columns}) == len(columns)


def test_the_kinds_are_those_of_the_option() -> None:
    (spec,) = (spec for name, spec, _ in option_specs(FleetExport) if name == "kind")
    assert tuple(spec.choices or ()) == EXPORTED == tuple(COLUMNS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("10.0.0.1", ("10.0.0.1", None)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("unix:x", ("unix:x", None)),
        ("", (None, None)),
        (None, (None, None)),
    ],
)
def test_ends(text: str | None, expected: tuple[str | None, int | None]) -> None:
    assert end_of(text) == expected


def hostile(info: dict[str, Any]) -> ConnectionEvent:
    socket = Socket(
        proto="tcp", family=4, state="x", recv_q=1 << 80, send_q=0, local="\x1b[31m", remote=None, inode=None, uid=None,
        owners=(Owner(pid=1, program="\udcff\x9b", fd=None),), info=info, gaps={},
    )  # fmt: skip
    return ConnectionEvent(
        event="closed", at="yesterday", seen="poll", socket=socket, was="\u202eX", duration=float("nan")
    )


@pytest.mark.parametrize("value", [1 << 64, -(1 << 90), "text", 1.5, True, [1], {"a": 1}, None])
def test_what_is_not_of_its_type_is_left_out_of_both(tmp_path: Path, value: object) -> None:
    some = list(items(message("closed", hostile({"rtt_us": value, "app_limited": value if value is not True else 1}))))
    put(tmp_path / "x.jsonl", JsonLines, "closed", some)
    text = (tmp_path / "x.jsonl").read_text()
    row = json.loads(text)
    assert text[:-1].isprintable()
    assert row["process.executable.name"] == "\\udcff\x9b"
    assert not {"tcp.rtt_us", "tcp.app_limited", "timestamp", "portside.duration_s", "tcp.recv_q"} & set(row)
    put(tmp_path / "x.parquet", Parquet, "closed", some)
    (stored,) = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert {name: each for name, each in stored.items() if each is not None} == row


@pytest.mark.parametrize("kind", EXPORTED)
def test_both_formats_have_the_same_rows(tmp_path: Path, kind: str) -> None:
    some = list(items(message(kind, OF_KIND[kind], OF_KIND[kind])))
    put(tmp_path / "x.jsonl", JsonLines, kind, some)
    put(tmp_path / "x.parquet", Parquet, kind, some)
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert lines[0]["timestamp"] == AT
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == [each.name for each in COLUMNS[kind]]
    stored = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    for row in stored:
        for name, value in row.items():
            if isinstance(value, datetime):
                row[name] = value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert stored == lines


def test_parquet_is_written_in_groups(tmp_path: Path) -> None:
    some = list(items(message("closed", *[CLOSED] * 1_500)))
    put(tmp_path / "x.parquet", Parquet, "closed", *[some] * 30)
    file = parquet.ParquetFile(tmp_path / "x.parquet")
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sum(groups) == 45_000
    assert len(groups) >= 2
    assert max(groups) < 24_000
    assert file.read(["portside.seq"]).to_pylist()[1_499]["portside.seq"] == 7 + 1_499


def test_an_export_of_nothing_is_a_file_all_the_same(tmp_path: Path) -> None:
    put(tmp_path / "x.parquet", Parquet, "node")
    assert parquet.read_table(tmp_path / "x.parquet").num_rows == 0
    put(tmp_path / "x.jsonl", JsonLines, "node")
    assert (tmp_path / "x.jsonl").read_bytes() == b""


def test_a_file_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    def fail() -> None:
        with written(str(tmp_path / "x.parquet")) as file:
            Parquet(COLUMNS["closed"], file).write(list(items(message("closed", *[CLOSED] * 5_000))))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PortsideError) as caught, written(str(tmp_path / "x")) as file:
        Parquet(COLUMNS["closed"], file)
    assert "pyarrow is not installed" in str(caught.value)
    assert "portside[parquet]" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []
