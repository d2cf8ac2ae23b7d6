"""``watch`` on a terminal of 80 columns: no line wraps, and nothing of an address is lost."""

import os
import re
import select
import socket
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from integration.watch.long_name import LISTENER, LONG_NAME, long_name
from integration.watch.test_once import PORTSIDE, read_terminal, run
from kernel.tcp_states import private_netns
from support import DEADLINE_S, Program


def on_terminal(columns: int, *words: str) -> list[str]:
    """The lines that ``watch`` writes to a terminal of so many columns."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    done = subprocess.run([*PORTSIDE, "watch", *words], stdout=theirs, check=False, timeout=DEADLINE_S)
    os.close(theirs)
    shown = read_terminal(ours)
    assert done.returncode == 0
    assert b"\x1b" not in shown
    return shown.decode().splitlines()


@pytest.mark.parametrize(
    "words", [("--once",), ("--once", "--wide"), ("--summary",), ("-l", "--wide", "--once")], ids=" ".join
)
def test_no_line_is_longer_than_the_terminal(words: tuple[str, ...], tmp_path: Path) -> None:
    with long_name(tmp_path) as (pid, port):
        lines = on_terminal(80, f"sport = {port}", *words)
    assert max(map(len, lines)) <= 80
    if "--summary" in words:
        assert f"       1  {LONG_NAME}" in lines
        return
    assert lines[0].startswith("Proto Recv-Q Send-Q Local Address   Foreign Address State")
    assert any(line.startswith("tcp        0 ") and f"127.0.0.1:{port} " in line for line in lines)
    assert f"{' ' * 20}{pid}/{LONG_NAME}" in lines
    assert sum(line.startswith("    Command ") for line in lines) == ("--wide" in words)


def test_a_terminal_with_room_for_all_shows_what_a_file_gets(tmp_path: Path) -> None:
    with long_name(tmp_path) as (_, port):
        words = (f"sport = {port}", "--once")
        assert on_terminal(300, *words) == run(*words).stdout.splitlines()


def test_long_addresses_on_a_terminal_of_80_columns() -> None:
    """Nothing of them is cut: a row goes on below."""
    host = "fd00:1234:5678:9abc:def0:1234:5678:9abc"
    with private_netns():
        if subprocess.run(["ip", "address", "add", f"{host}/128", "dev", "lo", "nodad"], check=False).returncode:
            pytest.skip("adding an address needs root")
        words = [sys.executable, "-c", LISTENER, host]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout
            port = int(holder.stdout.readline())
            lines = on_terminal(80, f"sport = {port}", "--once")
            wide = on_terminal(80, f"sport = {port}", "--wide", "--once")
            holder.communicate()
    assert lines[:2] == ["Proto Recv-Q Send-Q Local Address", f"{' ' * 20}{'Foreign Address':<47} State"]
    assert lines[3] == f"tcp6       0      0 [{host}]:{port}"
    assert lines[4].split()[0].startswith(f"[{host}]:")
    assert lines[4].split()[1] == "ESTABLISHED"
    assert max(map(len, wide)) <= 80
    assert wide[:5] == lines[:5]


def test_events_on_a_terminal_of_80_columns() -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    shown = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener, open(ours, "rb", buffering=0) as terminal:
        port = listener.getsockname()[1]
        watched = Program("watch", "--events", "--interval", "50ms", str(port), stdout=theirs)
        os.close(theirs)

        def read_until(pattern: str) -> None:
            while not re.search(pattern, shown.decode(), re.MULTILINE):
                assert select.select([terminal], [], [], DEADLINE_S)[0], shown
                shown.extend(terminal.read(1 << 16))

        try:
            read_until("^Time ")
            with socket.create_connection(("127.0.0.1", port)) as client:
                end = f"127.0.0.1:{client.getsockname()[1]}"
                read_until(f" opened  {end} .*\n.*\n")
            read_until(f" closed  {end} .*\n.*\n")
        finally:
            watched.kill()
    lines = shown.decode().splitlines()
    assert lines[0] == "Time         Event   Local Address         Foreign Address       PID/Program"
    assert max(map(len, lines)) <= 80
    opened = next(index for index, line in enumerate(lines) if f" opened  {end} " in line)
    assert f"{os.getpid()}/" in lines[opened] + lines[opened + 1]
    closed = next(index for index, line in enumerate(lines) if f" closed  {end} " in line)
    assert re.match(r"    .*ESTABLISHED -> CLOSE", lines[closed + 1])
