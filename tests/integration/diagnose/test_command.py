"""``portside diagnose`` as a command: its exit status, and what goes where."""

import signal
import socket
import subprocess
import sys

import pytest
from conftest import Start

from portside.diagnosis.registry import BY_CODE


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "portside", "diagnose", *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def self_connected() -> socket.socket:
    """A socket that is connected to itself: a condition that needs no time."""
    channel = socket.socket()
    channel.bind(("127.0.0.9", 0))
    channel.connect(channel.getsockname())
    return channel


def test_the_conditions_are_listed_and_explained() -> None:
    listed = run("--list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(BY_CODE)
    explained = run("--explain", "nagle-delay")
    assert (explained.returncode, explained.stdout.splitlines()[0]) == (0, "# nagle-delay")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "nagle-delya"), "did you mean nagle-delay?"),
        (("--explain", "nagle-delya"), "did you mean nagle-delay?"),
        (("--set", "nagle-delay.lasting=soon"), "is no duration"),
        (("--set", "nagle-delay"), "write CODE.NAME=VALUE"),
        (("--netns", "all"), "one run for each"),
        (("spotr = :12345",), "portside: diagnose: "),
        (("--only", "orphans", "12345"), "a filter leaves them out"),
        (("--follow", "--for", "4s"), "exclude each other"),
        (("--min-severity", "grave"), "is none of info, warning, critical"),
    ],
)
def test_wrong_usage_is_said(arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_what_is_found_is_on_standard_output_and_the_status_says_so() -> None:
    with self_connected() as channel:
        port = channel.getsockname()[1]
        found = run("--for", "100ms", f"sport = :{port} and src 127.0.0.9")
        assert found.returncode == 1
        assert found.stdout.startswith(f"warning   self-connected    127.0.0.9:{port} -> 127.0.0.9:{port}  ")
        assert found.stderr == "portside: with a filter, conditions of the whole machine are left out\n"
        less = run("--for", "100ms", "--min-severity", "critical", f"sport = :{port} and src 127.0.0.9")
        assert (less.returncode, less.stdout) == (0, "")
        assert "nothing found: 1 socket watched" in less.stderr


@pytest.mark.parametrize("source", ["proc", "psutil"])
def test_other_sources_find_what_they_can(source: str) -> None:
    with self_connected() as channel:
        port = channel.getsockname()[1]
        found = run("--for", "100ms", "--source", source, f"sport = :{port} and src 127.0.0.9")
        assert found.returncode == 1
        assert "self-connected" in found.stdout
        assert "not looked for: " in found.stderr
        assert "bufferbloat (" in found.stderr


def test_a_filter_by_program_is_understood() -> None:
    with self_connected():
        import os

        found = run("--for", "100ms", "--only", "self-connected", f"pid = {os.getpid()}")
        assert found.returncode == 1
        assert f"{os.getpid()}/" in found.stdout


def test_findings_come_and_go_while_it_follows(start: Start) -> None:
    with self_connected() as channel:
        port = channel.getsockname()[1]
        program = start("diagnose", "--follow", "--interval", "100ms", "--json", f"sport = :{port} and src 127.0.0.9")
        program.wait_for('"code":"self-connected"')
    program.wait_for('"gone":true')
    program.signal(signal.SIGINT)
    assert program.wait() == 1
    first, last = program.events
    assert first["first_seen"] == last["first_seen"]
    assert last["last_seen"] >= first["last_seen"]


def test_following_as_text_says_what_is_gone(start: Start) -> None:
    with self_connected() as channel:
        port = channel.getsockname()[1]
        program = start("diagnose", "--follow", "--interval", "100ms", f"sport = :{port} and src 127.0.0.9")
        program.wait_for("^warning   self-connected")
    program.wait_for("^gone      self-connected")
    assert program.stop() == 1


def test_a_signal_ends_the_watching_with_what_was_found(start: Start) -> None:
    with self_connected() as channel:
        port = channel.getsockname()[1]
        program = start("diagnose", "--for", "1h", "--interval", "10ms", f"sport = :{port} and src 127.0.0.9")
        program.wait_for("left out", err=True)
        assert program.stop() == 1
        assert "self-connected" in program.out.decode()


def test_a_reader_that_goes_away_ends_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "portside", "diagnose", "--follow", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(30) == 0
