"""``portside lab``: the condition that is asked for, or all of them explained."""

import os
import sys

from portside.errors import PortsideError, UsageError
from portside.nearest import nearest
from portside.settings.lab import Lab


def run(settings: Lab) -> int:
    """Make a condition, or list them all; the exit status."""
    # A user namespace is for processes of one thread, and numpy's linear algebra starts some.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from portside.lab.registry import CONDITIONS, NOT_MADE

    if settings.list:
        if settings.code:
            raise UsageError("lab", "--list explains all conditions and takes no CODE", "portside lab --list")
        from portside.app.stdout import write_lines

        write_lines(line for each in CONDITIONS.values() for line in (f"{each.code}: {each.what}", f"    {each.how}"))
        return 0
    if len(settings.code) != 1:
        raise UsageError("lab", "one CODE is needed", "portside lab --list shows them")
    (code,) = settings.code
    if code in NOT_MADE:
        raise PortsideError(
            f"lab {code}", f"this condition is not made: {NOT_MADE[code]}", f"portside diagnose --explain {code}"
        )
    if code not in CONDITIONS:
        near = nearest(code, CONDITIONS)
        hint = f"did you mean {near}?" if near else "portside lab --list shows them"
        raise UsageError("lab", f"no condition is called {code!r}", hint)
    if sys.platform != "linux":
        raise PortsideError(f"lab {code}", "conditions are made on Linux alone", f"portside diagnose --explain {code}")
    from portside.lab import run as lab

    return lab.run(CONDITIONS[code], settings.duration, check=settings.check)
