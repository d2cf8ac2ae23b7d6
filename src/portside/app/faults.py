"""Making the fault injector of a run; its modules are imported only if there is a ``--fault``."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from portside.app.notices import Notify, write_notice
from portside.events import Event
from portside.settings.listen import Listen

if TYPE_CHECKING:
    from portside.server.faults.injector import FaultInjector


def make_fault_injector(
    loop: asyncio.AbstractEventLoop, settings: Listen, publish: Callable[[Event], None], notify: Notify = write_notice
) -> "FaultInjector | None":
    """The fault injector of ``--fault``; None without that option.

    Where random numbers are drawn and ``--fault-seed`` is not given, a notice shows the seed of the run.
    """
    if not settings.fault:
        return None
    import secrets

    from portside.server.faults.injector import FaultInjector

    seed = settings.fault_seed
    if seed is None:
        seed = secrets.randbelow(1 << 32)
        if any(fault.is_random for fault in settings.fault):
            notify(f"faults are drawn by chance: --fault-seed {seed} repeats them", None)
    return FaultInjector(loop, settings.fault, seed, publish)
