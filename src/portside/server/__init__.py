"""The engine: listeners, connections, admission. It knows nothing of how things are shown.

Its sockets are in an epoll set, so it runs on Linux alone: elsewhere its import raises PortsideError.
"""

import select

from portside.errors import PortsideError

if not hasattr(select, "epoll"):
    raise PortsideError(
        "a server needs epoll(7)",
        "this system has none, so that this part of Portside runs on Linux alone",
        "connect, rec, rules, watch --once and help work here; see portside help install",
    )
