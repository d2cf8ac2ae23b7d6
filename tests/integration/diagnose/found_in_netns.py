"""Conditions and healthy loads, made for real in a network namespace of their own, and what ``diagnose`` says of them.

``python -m integration.diagnose.found_in_netns NAME`` exits with an error where it says something else.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from support import Program

PROGRAMS = Path(__file__).with_name("conditions.py")


class Expected(NamedTuple):
    """What is to be found: the severity, ``local`` or ``remote`` of the subject, and whether its program is known.

    ``options`` shorten what takes its own time. ``others`` may be found beside it.
    """

    severity: str
    end: str
    named: bool = True
    options: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


CONDITIONS = {
    "accept_queue_overflow": Expected("critical", "local"),
    "close_wait_leak": Expected("warning", "local", options=("--set", "close-wait-leak.age=1s")),
    "receiver_slow": Expected("warning", "local", options=("--set", "receiver-slow.still=2s")),
    "connect_refused": Expected("warning", "host", named=False, options=("--set", "connect-refused.lasting=1s")),
    "nagle_delay": Expected("warning", "remote"),
    "self_connected": Expected("warning", "local"),
    "descriptors_near": Expected("warning", ""),
    "port_exhaustion": Expected("warning", "remote"),
    "reuseport_imbalance": Expected("warning", "local"),
    "reset_unread": Expected("warning", "", named=False),
    "peer_vanished": Expected("warning", "host", named=False, options=("--set", "peer-vanished.silence=2s")),
    "idle_unprotected": Expected("info", "local", options=("--set", "idle-unprotected.idle=1s", "sport = :{port}")),
    "fin_wait_pile": Expected("warning", "local", options=("--set", "fin-wait-pile.age=1s")),
    "small_mss": Expected("info", "host", named=False),
    "time_wait_overflow": Expected("warning", "", named=False),
    "syn_queue_overflow": Expected("warning", "", named=False),
    "retransmits": Expected("warning", "host", named=False, others=("retransmit-timeouts",)),
}
LOOKS = 3
"""How often a condition is looked for, at most: on a busy machine it takes longer to be there."""
HEALTHY = ("bulk", "idle", "storm", "slow_readers", "restart")


def main(name: str) -> None:
    """Make one of them, and look at it."""
    if name == "port_exhaustion":
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("50001 50100")
    if name == "time_wait_overflow":
        Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").write_text("5")
    if name == "syn_queue_overflow":  # what answers the SYNs goes nowhere
        subprocess.run(["ip", "route", "add", "192.0.0.0/16", "dev", "lo"], check=True)
    made = Program(name, command=(sys.executable, str(PROGRAMS)), stdin=subprocess.PIPE)
    try:
        port = int(made.wait_for(r"ready \d+")[0].split()[1])
        if name in HEALTHY:
            found = diagnose("--for", "10s")
            assert [each for each in found if each["severity"] != "info"] == [], found
        else:
            expected = CONDITIONS[name]
            code = name.replace("_", "-")
            options = [each.format(port=port) for each in expected.options]
            for _ in range(LOOKS):
                found = diagnose("--for", "4s", *options)
                if (code, expected.severity) in ((each["code"], each["severity"]) for each in found):
                    break
            check(found, code, expected, port, made.process.pid)
    finally:
        made.kill()


def check(found: list[dict[str, Any]], code: str, expected: Expected, port: int, pid: int) -> None:
    """Whether what was found is what is expected, and nothing else above info."""
    (finding,) = (each for each in found if each["code"] == code)
    assert finding["severity"] == expected.severity, finding
    subject = finding["subject"]
    if expected.end == "host":
        assert subject["remote"].startswith("127.0.0.1"), subject
    elif expected.end:
        assert subject[expected.end] == f"127.0.0.1:{port}", subject
    assert subject.get("pid") == (pid if expected.named else None), subject
    others = {each["code"] for each in found if each["severity"] != "info"} - {code, *expected.others}
    assert others == set(), found


def diagnose(*options: str) -> list[dict[str, Any]]:
    """The findings of a run, whose exit status must agree with them."""
    words = [sys.executable, "-m", "portside", "diagnose", "--json", "--interval", "500ms", *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == int(any(each["severity"] != "info" for each in found)), done.stderr
    return found


if __name__ == "__main__":
    main(sys.argv[1])
