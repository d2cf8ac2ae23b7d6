"""``portside lab`` as a command: what it lists and refuses, how it ends, and what it needs."""

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import has_ended, wait_until

from portside.diagnosis.registry import BY_CODE
from portside.lab.registry import CONDITIONS, NOT_MADE

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.lab.conftest import RunningLab

    Start = Callable[..., RunningLab]

NO_MORE = " && ".join(f"echo 0 > /proc/sys/user/max_{kind}_namespaces" for kind in ("user", "net"))
LAB = [sys.executable, "-m", "portside", "lab"]


def run(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``portside lab`` to its end, after a command of the shell in namespaces of its own if one is given."""
    words = [*LAB, *arguments]
    if before:
        words = ["unshare", "-Urm", "sh", "-c", f'{before} && exec "$@"', "sh", *words]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_the_list_explains_each_condition_in_two_lines() -> None:
    lines = run("--list").stdout.splitlines()
    assert len(lines) == 2 * len(CONDITIONS)
    for each, what, how in zip(CONDITIONS.values(), lines[::2], lines[1::2], strict=True):
        assert what == f"{each.code}: {each.what}"
        assert how.strip() == each.how


def test_every_condition_that_diagnose_finds_is_made_or_said_not_to_be() -> None:
    assert [*CONDITIONS] == [code for code in BY_CODE if code not in NOT_MADE]


def test_why_a_condition_is_not_made_is_said() -> None:
    done = run("memory-pressure")
    assert done.returncode == 1
    assert "portside: lab memory-pressure: this condition is not made: net.ipv4.tcp_mem is a limit" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why", "hint"),
    [
        ([], "one CODE is needed", "portside lab --list"),
        (["close-wait-leek"], "no condition is called 'close-wait-leek'", "did you mean close-wait-leak?"),
        (["self-connected", "orphans"], "one CODE is needed", "portside lab --list"),
        (["--list", "orphans"], "takes no CODE", "portside lab --list"),
        (["orphans", "--for", "2h"], "an hour at most", ""),
        (["orphans", "--list", "--check"], "--list", ""),
    ],
)
def test_wrong_usage(arguments: list[str], why: str, hint: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert why in done.stderr
    assert hint in done.stderr


def test_it_ends_by_itself_when_its_time_is_over() -> None:
    done = run("self-connected", "--for", "100ms")
    assert done.returncode == 0
    assert "Held for 0.100s" in done.stdout
    assert done.stderr == "portside: lab self-connected: ended; its processes and sockets are gone\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(number: int, start_lab: "Start") -> None:
    lab = start_lab("idle-unprotected")
    lab.wait_until_there()
    for pid in lab.roles:  # as the terminal and `kill %1` do, which signal the whole job
        os.kill(pid, number)
    lab.signal(number)
    assert lab.wait() == 0
    assert b"failed" not in lab.err
    lab.assert_nothing_is_left(lab.lab_port)


def test_a_signal_ends_it_while_the_condition_is_made(start_lab: "Start") -> None:
    lab = start_lab("peer-vanished")  # takes seconds to come about
    wait_until(lambda: lab.read_roles() == 2, "both roles")
    lab.signal(signal.SIGTERM)
    assert lab.wait() == 0
    lab.assert_nothing_is_left(None)


def test_it_ends_when_one_of_its_programs_does(start_lab: "Start") -> None:
    lab = start_lab("idle-unprotected")
    lab.wait_until_there()
    os.kill(lab.roles[0], signal.SIGKILL)
    assert lab.wait() == 1
    assert "portside: lab idle-unprotected: the server failed: its process ended\n" in lab.err.decode()
    lab.assert_nothing_is_left(lab.lab_port)


def test_it_ends_when_its_reader_goes_away() -> None:
    with subprocess.Popen([*LAB, "idle-unprotected"], stdout=subprocess.PIPE, text=True) as lab:
        try:
            assert lab.stdout is not None
            while not lab.stdout.readline().startswith("Held for"):
                pass
            with open(f"/proc/{lab.pid}/task/{lab.pid}/children") as children:
                roles = [int(word) for word in children.read().split()]
            lab.stdout.close()
            assert lab.wait(30) == 0
        finally:
            lab.kill()
    assert len(roles) == 2
    wait_until(lambda: all(map(has_ended, roles)), "the end of its programs")


def test_the_programs_have_names_of_their_own(start_lab: "Start") -> None:
    lab = start_lab("accept-queue-near")
    lab.wait_until_there()
    assert re.search(r"\d+/lab-server", lab.shell(f"portside watch -l 'sport = :{lab.lab_port}'"))


def test_nothing_of_the_machine_is_changed(start_lab: "Start") -> None:
    before = _settings()
    for code in ("time-wait-overflow", "listen-drops", "port-exhaustion"):
        lab = start_lab(code)
        lab.wait_until_there()
        assert _settings() == before
        lab.signal(signal.SIGTERM)
        lab.wait()


def test_a_namespace_that_may_not_be_made_is_said() -> None:
    done = run("time-wait-overflow", before=NO_MORE)
    assert done.returncode == 1
    assert "no user and network namespace can be made: No space left on device" in done.stderr
    assert "hint: user.max_user_namespaces is 0" in done.stderr


def test_a_link_without_a_tun_device_is_said() -> None:
    done = run("bufferbloat", before="mount --bind /dev/null /dev/net/tun")
    assert done.returncode == 1
    assert "the link needs a tun device, and /dev/net/tun gives none" in done.stderr
    assert "hint: root may use /dev/net/tun" in done.stderr


def _settings() -> list[str]:
    names = ("tcp_max_tw_buckets", "tcp_syncookies", "tcp_max_syn_backlog", "ip_local_port_range")
    found = []
    for name in names:
        with open(f"/proc/sys/net/ipv4/{name}") as file:
            found.append(file.read())
    return found
