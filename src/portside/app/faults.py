"""What ``--fault`` asks for, made ready; nothing of it is loaded where it asks for nothing."""

import asyncio
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from portside.app.notices import write_notice
from portside.events import Event
from portside.settings.listen import Listen

if TYPE_CHECKING:
    from portside.server.faults.faults import Faults


def make_faults(loop: asyncio.AbstractEventLoop, settings: Listen, publish: Callable[[Event], None]) -> "Faults | None":
    """The faults of a run; None where there are none. The seed is said where chance has a part and none was given."""
    if not settings.fault:
        return None
    from portside.server.faults.faults import Faults

    seed = settings.fault_seed
    if seed is None:
        seed = secrets.randbelow(1 << 32)
        if any(fault.random for fault in settings.fault):
            write_notice(f"faults are drawn by chance: --fault-seed {seed} repeats them")
    return Faults(loop, settings.fault, seed, publish)
