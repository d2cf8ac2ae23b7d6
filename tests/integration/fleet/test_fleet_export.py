"""``portside fleet export``: what the stream has, in a file that is whole or not there."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from ctl_command import Done
from fleet_records import closed, finding, findings, message, socket, status, summary
from fleet_stream import make_stream, on_broker
from nats_server import NatsServer
from pyarrow import parquet
from support import DEADLINE_S, Program, free_port

from portside.fleet.broker import BrokerConnection
from portside.fleet.schema import Envelope, encode
from portside.fleet.subjects import subject

MESSAGES = [
    message("closed", closed(socket()), closed(socket(local="[2001:db8::1]:443", family=6)), seq=5),
    message("closed", closed(socket(program="nginx")), node="web2", site="lyon", seq=9),
    message("summary", summary()),
    message("findings", findings(finding(), finding("retransmits", "warning")), seq=2),
    message("node", status(), seq=3),
]


def publish(url: str, messages: Sequence[Envelope], *, json: bool = False) -> None:
    async def work(broker: BrokerConnection) -> None:
        for each in messages:
            where = subject(each.site, each.node, each.kind)  # type: ignore[arg-type]
            await broker.jetstream.publish(where, encode(each, json=json), headers={"Nats-Msg-Id": each.id})

    on_broker(url, work)


def export(url: str, *words: str) -> Done:
    """Run it to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "portside", "fleet", "export", "--nats", url, *words],
        capture_output=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def stream(nats: NatsServer) -> str:
    """The URL of a server whose stream has ``MESSAGES``."""
    make_stream(nats.url)
    publish(nats.url, MESSAGES)
    return nats.url


def test_json_lines(stream: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    file = folder / "closed.jsonl"
    done = export(stream, str(file))
    assert (done.status, done.out) == (0, "")
    assert done.err == f"portside: 3 rows written to {file}\n"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["host.name"], row["portside.seq"], row["network.local.port"]) for row in rows] == [
        ("web1", 5, 5432),
        ("web1", 6, 443),
        ("web2", 9, 5432),
    ]
    assert list(folder.iterdir()) == [file]


def test_parquet_by_the_end_of_the_name(stream: str, tmp_path: Path) -> None:
    file = tmp_path / "closed.parquet"
    assert export(stream, str(file)).status == 0
    table = parquet.read_table(file)
    assert table.column("process.executable.name").to_pylist() == ["postgres", "postgres", "nginx"]
    assert table.column("network.type").to_pylist() == ["ipv4", "ipv6", "ipv4"]


def test_a_site_a_node_and_each_kind(stream: str) -> None:
    rows = export(stream, "--site", "lyon", "-").out.splitlines()
    assert [json.loads(row)["process.executable.name"] for row in rows] == ["nginx"]
    assert export(stream, "--node", "web3", "-").out == ""
    for kind, count in (("summary", 1), ("findings", 2), ("node", 1), ("server", 0)):
        done = export(stream, "--kind", kind, "-")
        assert (done.status, done.out.count("\n")) == (0, count)
        assert "written to standard output" in done.err


def test_messages_as_json_and_what_cannot_be_read(nats: NatsServer) -> None:
    make_stream(nats.url)
    publish(nats.url, MESSAGES[:1], json=True)

    async def damage(broker: BrokerConnection) -> None:
        await broker.jetstream.publish("portside.paris.web1.closed", b"\x1b[31mno message")

    on_broker(nats.url, damage)
    done = export(nats.url, "-")
    assert done.out.count("\n") == 2
    assert "1 message left out that cannot be read" in done.err


def test_a_file_that_is_there_stays_as_it_is_where_the_export_fails(nats: NatsServer, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    file = folder / "x.jsonl"
    file.write_text("before")
    for url in (f"nats://127.0.0.1:{free_port()}", nats.url):  # nobody is there; there is no stream
        done = export(url, str(file))
        assert done.status == 1
        assert file.read_text() == "before"
    assert "portside fleet init" in done.err
    assert list(folder.iterdir()) == [file]


def test_a_folder_that_is_not_there(stream: str, tmp_path: Path) -> None:
    done = export(stream, f"{tmp_path}/nowhere/x.jsonl")
    assert done.status == 1
    assert done.err == f"portside: cannot write {tmp_path}/nowhere/x.jsonl: No such file or directory\n"


def test_a_reader_that_goes_away(stream: str) -> None:
    publish(stream, [message("closed", *[closed(socket())] * 500, seq=1000 * n) for n in range(1, 10)])
    script = (
        f"{sys.executable} -m portside fleet export --nats {stream} - | head -1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_mistakes() -> None:
    url = f"nats://127.0.0.1:{free_port()}"
    done = export(url)
    assert done.status == 2
    assert "FILE" in done.err
    assert export(url, "--kind", "open", "x").status == 2


def test_parquet_is_not_written_to_a_terminal() -> None:
    terminal = Program(
        "-qec", f"{sys.executable} -m portside fleet export --format parquet -", "/dev/null", command=("script",)
    )
    try:
        assert terminal.wait() == 2
        assert b"no text for a terminal" in terminal.out
    finally:
        terminal.kill()
