"""``portside load``: parse the settings, determine the server, and only then load the rest."""

import os

from portside.addresses import parse_target
from portside.errors import InvalidValue, UsageError
from portside.settings.load import Load

_USAGE = "portside load HOST:PORT"


def run(settings: Load) -> int:
    """Load a server and report; the exit status."""
    try:
        address = parse_target(settings.target)
    except InvalidValue as problem:
        raise UsageError("load", str(problem), _USAGE) from None
    if len(address.ports) > 1:
        raise UsageError("load", "a server has one port, and this is a range", _USAGE)
    # The workers are forked, and numpy's linear algebra would start threads before that.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from portside.load import run as load

    return load.run(settings, address)
