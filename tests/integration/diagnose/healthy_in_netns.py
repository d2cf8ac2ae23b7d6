"""Healthy loads, many at once in a network namespace of their own; ``diagnose`` says nothing above *info* of them."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from integration.diagnose.found_in_netns import diagnose
from support import Program

PROGRAMS = Path(__file__).with_name("healthy.py")
TOGETHER = {
    "many": ("chat", "interactive", "keepalive_pool", "long_poll", "half_closed", "bursts", "workers", "scan"),
    "loaded": ("bulk", "chat", "interactive", "keepalive_pool", "long_poll", "workers", "bursts", "burn"),
}


def main(name: str) -> None:
    """Have loads go on together, and look at them."""
    with ExitStack() as started:
        programs = []
        for each in TOGETHER[name]:
            programs.append(Program(each, command=(sys.executable, str(PROGRAMS)), stdin=subprocess.PIPE))
            started.callback(programs[-1].kill)
        for program in programs:
            program.wait_for(r"ready \d+")
        found = diagnose("--for", "10s")
        assert [each for each in found if each["severity"] != "info"] == [], found
        assert [program.process.poll() for program in programs] == [None] * len(programs), [p.err for p in programs]


if __name__ == "__main__":
    main(sys.argv[1])
