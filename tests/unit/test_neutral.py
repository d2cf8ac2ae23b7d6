"""Tests do not depend on who starts them (``neutral``)."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

SHOW = """
import json, os, resource, signal
ignored = [n for n in (1, 2, 3, 15) if signal.getsignal(n) == signal.SIG_IGN]
mask = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
shown = [name for name in os.environ if name in ("NO_COLOR", "https_proxy", "PORTSIDE_DEBUG", "LANG")]
values = [os.environ[name] for name in ("LC_ALL", "TERM", "TZ")]
print(json.dumps([ignored, mask, os.umask(0), resource.getrlimit(7)[0], shown, values]))
"""
START = f"import subprocess, sys, neutral; neutral.make_neutral(); subprocess.run([sys.executable, '-c', {SHOW!r}])"


def test_programs_start_alike_whoever_starts_the_tests() -> None:
    def hostile() -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.umask(0o077)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    theirs = {
        "LC_ALL": "C",
        "LANG": "de_DE",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "https_proxy": "x",
    }
    done = subprocess.run(
        [sys.executable, "-c", START],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1]), "PORTSIDE_DEBUG": "1", **theirs},
        preexec_fn=hostile,
        capture_output=True,
        check=True,
        timeout=60,
    )
    ignored, mask, umask, descriptors, shown, values = json.loads(done.stdout)
    assert (ignored, mask, umask, shown) == ([], [], 0o022, [])
    assert descriptors > 64
    assert values == ["C.UTF-8", "xterm-256color", "UTC"]
