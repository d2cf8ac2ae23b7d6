"""``portside ctl``, run to its end."""

import json
import os
import subprocess
import sys
from typing import Any, NamedTuple

from support import DEADLINE_S


class Done(NamedTuple):
    """What a command wrote, and its status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def ctl(*words: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Done:
    """Run ``portside ctl`` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "portside", "ctl", *words],
        input=stdin, capture_output=True, timeout=DEADLINE_S, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())
