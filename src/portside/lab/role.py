"""What a role of a lab can do in its process: tell that it is ready, keep a pace, hold what it has."""

import os
import signal
import time
from typing import NoReturn

from portside.json_text import encode_json


class Role:
    """One role, in its own process. ``ready`` tells the lab that its part of the condition is there."""

    def __init__(self, report_fd: int) -> None:
        self._report_fd = report_fd

    def ready(self, **facts: int) -> None:
        """Tell the lab that this role is ready, with the numbers that the other roles need; once."""
        os.write(self._report_fd, encode_json(facts) + b"\n")

    def hold(self) -> NoReturn:
        """Keep everything as it is until the lab ends this process."""
        while True:
            signal.pause()

    def pause(self, seconds: float) -> None:
        """Wait, to keep a pace."""
        time.sleep(seconds)
