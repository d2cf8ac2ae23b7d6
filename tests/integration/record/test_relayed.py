"""``rec list``, ``rec show`` and exports agree on who closed a relayed connection."""

import json
import socket
from pathlib import Path

from conftest import Start
from support import connect


def test_who_closed_a_relayed_connection(start: Start, listen: Start, tmp_path: Path) -> None:
    path, export = str(tmp_path / "rec"), tmp_path / "all.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        relay = listen("--forward", f"127.0.0.1:{upstream.getsockname()[1]}", "--record", path)
        with connect(relay.port) as client:
            accepted, _ = upstream.accept()
            accepted.sendall(b"bye\n")
            accepted.close()
            while client.recv(100):
                pass
        relay.wait_for("closed by upstream")
        assert relay.stop() == 0
    show = start("rec", "show", path, "1")
    assert show.wait() == 0
    assert "closed by upstream" in show.lines[-1]
    table = start("rec", "list", path)
    assert table.wait() == 0
    assert table.lines[-1].endswith("local_closed by upstream")
    listed = start("rec", "list", path, "--json")
    assert listed.wait() == 0
    found = json.loads(listed.out)
    assert {name: found[name] for name in ("reason", "by", "received", "sent")} == {
        "reason": "local_closed", "by": "upstream", "received": 0, "sent": 4
    }  # fmt: skip
    assert start("rec", "export", path, str(export)).wait() == 0
    (closed,) = [event for event in map(json.loads, export.read_text().splitlines()) if event["event"] == "closed"]
    assert (closed["at"], closed["by"]) == (found["closed"], "upstream")
