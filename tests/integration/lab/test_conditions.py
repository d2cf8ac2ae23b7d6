"""Each condition is there by what ``ss`` and ``nstat`` show, and gone with all that the lab has started.

A lab proves its condition to itself with the code of ``watch``; here others look at the kernel.
"""

import re
import shutil
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from at_once import outcomes_of
from integration.lab.conftest import tracked_labs
from support import wait_until

from portside.lab.registry import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from at_once import Outcomes
    from integration.lab.conftest import RunningLab
    from support import Program

    Start = Callable[..., RunningLab]
    NoteFinding = Callable[[tuple[str, ...]], None]

SHOWN: dict[str, tuple[str, str] | tuple[str, str, int]] = {
    "accept-queue-overflow": ("ss -tlnH 'sport = :{port}'", r"LISTEN +5 +4 "),
    "accept-queue-near": ("ss -tlnH 'sport = :{port}'", r"LISTEN +9 +10 "),
    "syn-queue-overflow": ("nstat -asz TcpExtTCPReqQFullDoCookies", r"Cookies +[1-9]"),
    "listen-drops": ("nstat -asz TcpExtListenDrops TcpExtListenOverflows", r"Overflows +0 [^T]*\n.*Drops +[1-9]"),
    "close-wait-leak": ("ss -tanH state close-wait 'sport = :{port}'", r"^1 +0 ", 20),
    "fin-wait-pile": ("ss -tanH state fin-wait-2 'sport = :{port}'", r"^\d", 25),
    "port-exhaustion": ("ss -tnH 'dport = :{port}'", r"ESTAB .*:400\d\d ", 100),
    "time-wait-overflow": ("nstat -asz TcpExtTCPTimeWaitOverflow", r"Overflow +[1-9]"),
    "receiver-slow": ("ss -tnH 'sport = :{port}'", r"ESTAB +\d{5,} +0 "),
    "peer-slow": ("ss -tnioH 'sport = :{port}'", r"timer:\(persist.*\n.*rwnd_limited"),
    "send-buffer-limited": ("ss -tniH dst 10.77.0.2 and 'dport = :{port}'", r"sndbuf_limited:\d+ms\([5-9]\d"),
    "peer-vanished": ("ss -tnoiH 'dport = :{port}'", r"timer:\(on,.*,[2-9]\).*\n.* backoff:[2-9]"),
    "idle-unprotected": ("ss -tnoH 'sport = :{port}'", r"ESTAB +0 +0 +127.0.0.1:\d+ +127.0.0.1:\d+ *$", 5),
    "connect-blackhole": ("ss -tnoH state syn-sent 'dport = :{port}'", r"timer:\(on,.*,[1-9]\)"),
    "connect-refused": ("nstat -asz TcpAttemptFails", r"AttemptFails +[1-9]"),
    "retransmits": ("ss -tniH 'dport = :{port}'", r"retrans:\d+/\d{2,}"),
    "retransmit-timeouts": ("nstat -asz TcpExtTCPTimeouts", r"Timeouts +[1-9]"),
    "spurious-retransmits": ("ss -tniH 'dst 10.77.0.2 and dport = :{port}'", r"dsack_dups:[1-9]"),
    "reordering": ("ss -tniH 'dst 10.77.0.2 and dport = :{port}'", r"reord_seen:[1-9]\d"),
    "bufferbloat": ("ss -tniH 'dst 10.77.0.2 and dport = :{port}'", r" rtt:\d{3,}\..* minrtt:\d{1,2}\D"),
    "small-mss": ("ss -tniH 'sport = :{port}'", r" mss:488 "),
    "nagle-delay": ("ss -tniH 'dport = :{port}'", r" rtt:[1-4]\d\..* notsent:14 "),
    "receive-pruned": ("nstat -asz TcpExtPruneCalled TcpExtTCPRcvQDrop", r"PruneCalled +[1-9].*\n.*QDrop +[1-9]"),
    "orphans": ("ss -tnopH state fin-wait-1 'dport = :{port}'", r"^0 +[1-9]\d+ (?!.*users:)", 40),
    "reset-unread": ("nstat -asz TcpExtTCPAbortOnClose", r"AbortOnClose +[1-9]"),
    "reset-burst": ("nstat -asz TcpOutRsts", r"OutRsts +\d{3,}"),
    "reuseport-imbalance": ("ss -tlnpH 'sport = :{port}'", r'LISTEN +([89]|[1-9]\d) +80 .*"lab-stopped"'),
    "descriptors-near": ("ss -tnH 'sport = :{port}'", r"^ESTAB ", 60),
    "conntrack-near": ("cat /proc/sys/net/netfilter/nf_conntrack_count", r"^[1-9]\d{3,}$"),
    "self-connected": ("ss -tnH 'sport = :{port} and dport = :{port}'", r"ESTAB +14 +0 +(\S+) +\1"),
}
"""A command, and what its output has when the condition is there, in so many places."""


def shows(lab: "RunningLab", command: str, pattern: str, count: int = 1) -> bool:
    """Whether the output of a command matches a pattern so many times."""
    return len(re.findall(pattern, lab.shell(command), re.MULTILINE)) >= count


def prints(lab: "RunningLab", look: str) -> bool:
    """Whether a command prints anything but a line of titles."""
    if look.startswith("timeout "):
        return bool(lab.first_event(look.split(maxsplit=2)[2]))
    has_titles = look.startswith(("portside", "ss", "nstat")) and "--json" not in look
    return lab.shell(look).count("\n") > has_titles


def test_every_condition_is_known_here() -> None:
    assert set(SHOWN) == set(CONDITIONS)


@pytest.fixture(scope="module")
def there(request: pytest.FixtureRequest) -> "Iterator[Outcomes]":
    """The runs of all labs, to be looked at."""
    with outcomes_of(request, "test_a_condition_is_there_and_then_gone", "code", there_and_then_gone) as outcomes:
        yield outcomes


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest, note_finding: "NoteFinding") -> "Iterator[Outcomes]":
    """The runs of all labs beside ``diagnose``."""
    run = partial(diagnosed, note_finding=note_finding)
    with outcomes_of(request, "test_diagnose_finds_a_condition", "code", run) as outcomes:
        yield outcomes


@pytest.mark.parametrize("code", CONDITIONS)
def test_a_condition_is_there_and_then_gone(code: str, there: "Outcomes") -> None:
    there[code].result()


def there_and_then_gone(code: str) -> None:
    with tracked_labs() as start_lab:
        look_at(start_lab(code, "--for", "1m"), code)


def look_at(lab: "RunningLab", code: str) -> None:
    lab.wait_until_there()
    command, pattern, *count = SHOWN[code]
    port = lab.lab_port if "{port}" in command or not CONDITIONS[code].isolated else None
    assert lab.is_isolated == CONDITIONS[code].isolated
    wait_until(partial(shows, lab, command.format(port=port), pattern, *count), f"{pattern} of {command}")
    for look in lab.looks:
        if look.startswith("portside") or shutil.which(look.split()[0]):
            wait_until(partial(prints, lab, look), f"output of {look}")
    lab.signal(signal.SIGTERM)
    assert lab.wait() == 0
    assert "its processes and sockets are gone" in lab.err.decode()
    lab.assert_nothing_is_left(None if CONDITIONS[code].isolated else port)


# One for each thing that a lab makes: sockets, a stopped process, settings of a namespace, a tun device, a filter on a
# socket, entries of conntrack, many descriptors, sockets without an owner.
KILLED = (
    "close-wait-leak", "accept-queue-overflow", "port-exhaustion", "bufferbloat", "retransmits", "conntrack-near",
    "descriptors-near", "orphans",
)  # fmt: skip


@pytest.mark.parametrize("code", KILLED)
def test_nothing_is_left_of_a_lab_that_is_killed(code: str, start_lab: "Start") -> None:
    lab = start_lab(code, "--for", "1m")
    lab.wait_until_there()
    port = None if CONDITIONS[code].isolated else lab.lab_port
    lab.signal(signal.SIGKILL)
    lab.process.wait()
    lab.assert_nothing_is_left(port)


@pytest.mark.parametrize("code", CONDITIONS)
def test_diagnose_finds_a_condition(code: str, found: "Outcomes") -> None:
    found[code].result()


def diagnosed(code: str, note_finding: "NoteFinding") -> None:
    with tracked_labs() as start_lab:
        lab = start_lab(code, "--check", "--for", "1m")
        assert lab.wait(90) == 0, lab.out.decode() + lab.err.decode()
    pattern = rf"^Found after ([\d.]+s): (\w+) {code} (.*)\n.*\n  Evidence: (.*)$"
    found = re.search(pattern, lab.out.decode(), re.MULTILINE)
    assert found, lab.out.decode()
    note_finding((code, *found.groups()))


@pytest.mark.parametrize("code", ["accept-queue-near", "close-wait-leak", "receiver-slow", "self-connected"])
def test_what_diagnose_has_found_is_gone_with_the_lab(
    code: str, start_lab: "Start", start: "Callable[..., Program]"
) -> None:
    options = (
        "--only",
        code,
        "--interval",
        "200ms",
        "--set",
        "close-wait-leak.age=1s",
        "--set",
        "receiver-slow.still=1s",
    )
    diagnose = start("diagnose", "--follow", "--json", *options)
    lab = start_lab(code)
    lab.wait_until_there()

    def findings() -> list[dict[str, Any]]:
        return [each for each in diagnose.events if f":{lab.lab_port}" in str(each["subject"].get("local"))]

    wait_until(findings, "a finding")
    assert not any(each.get("gone") for each in findings())
    assert {each["code"] for each in findings()} == {code}
    lab.signal(signal.SIGTERM)
    assert lab.wait() == 0
    wait_until(lambda: findings()[-1].get("gone"), "the finding to be gone")
