"""The names of programs in full, and their command lines, of real processes."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from integration.watch.long_name import LONG_NAME, long_name
from integration.watch.test_once import run, table
from support import Program, connect, free_port, wait_until

import portside
from portside.kernel.snapshot import snapshot


@pytest.mark.parametrize("source", ["netlink", "psutil"])
def test_a_program_with_a_long_name(source: str, tmp_path: Path) -> None:
    with long_name(tmp_path) as (pid, port):
        words = (f"sport = {port}", "--source", source)
        assert table(*words, "--once")[0][6] == f"{pid}/{LONG_NAME}"
        (row,) = map(json.loads, run(*words, "--json").stdout.splitlines())
        command = f"{sys.executable} {tmp_path}/{LONG_NAME} 127.0.0.1 an argument"
        owner = row["owners"][0]
        assert (owner["program"], owner["command"]) == (LONG_NAME, f"{command}\x1b[2J")
        assert "owners.command" not in row.get("gaps", {})
        assert run(*words, "--wide").stdout.endswith(f" {pid}/{LONG_NAME} {command}\\x1b[2J\n")
        for name in (LONG_NAME, LONG_NAME[:15], "a-program-*-name"):
            assert len(table(*words, "and program =", name)) == 1
            assert table(*words, "and not program =", name) == []
        assert table(*words, "and program =", LONG_NAME[:14]) == []
        assert [each.command for each in portside.sockets(words[0])[0].owners or ()] == [f"{command}\x1b[2J"]
        (seen,) = snapshot(words[0]).table.owners.values()  # type: ignore[union-attr]
        assert [(each.program, each.command) for each in seen] == [(LONG_NAME, None)]


def test_events_in_json_have_command_lines(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port()), backlog=4096) as listener:
        port = listener.getsockname()[1]
        words = ("--interval", "50ms", f"program = {LONG_NAME} or dport = :{port}")
        watched = Program("watch", "--events", "--json", *words)

        def is_watching() -> bool:
            connect(port).close()
            return b'"closed"' in watched.out

        try:
            wait_until(is_watching, "a connection that ends when events are watched")
            with long_name(tmp_path) as (pid, _):
                watched.wait_for(f'"opened".*"pid":{pid},', count=2)
            watched.wait_for(f'"closed".*"pid":{pid},', count=2)
        finally:
            watched.kill()
    owners = [owner for event in watched.events for owner in event["socket"]["owners"] or ()]
    commands = [owner["command"] for owner in owners if owner["pid"] == pid]
    assert len(commands) >= 4
    assert {command.split()[1] for command in commands} == {f"{tmp_path}/{LONG_NAME}"}


CLEARED = """
import ctypes, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
start, end = map(int, open("/proc/self/stat").read().rpartition(")")[2].split()[45:47])
ctypes.memset(start, 0, end - start)
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_a_program_that_has_cleared_its_command_line() -> None:
    with subprocess.Popen([sys.executable, "-c", CLEARED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        port = int(holder.stdout.readline())
        row = json.loads(run("-l", f"sport = {port}", "--json").stdout)
        wide = table("-l", f"sport = {port}", "--wide")[0]
        holder.communicate()
    assert row["owners"][0]["command"] is None
    assert row["gaps"]["owners.command"] == "the process has ended, or it has no command line"
    assert wide[-1] == "-"
