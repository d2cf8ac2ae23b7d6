"""Load on a TCP server, and what can honestly be said of its answers: ``portside load``.

Its workers have epoll sets, so it runs on Linux alone: elsewhere its import raises PortsideError.
"""

import select

from portside.errors import PortsideError

if not hasattr(select, "epoll"):
    raise PortsideError(
        "load needs epoll(7)", "this system has none, so that this part of Portside runs on Linux alone"
    )
