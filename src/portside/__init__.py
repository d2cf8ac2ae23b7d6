"""Portside: a TCP endpoint you can see into.

For programs with an event loop, asyncio's or uvloop's:

- ``listen`` and ``connect`` make a ``Server`` and a ``Connection``
- ``watch`` gives an event for each connection of this machine that opens, changes or closes
- ``Control`` acts on a server that runs already, as ``portside ctl`` does

Without one:

- ``portside.sync`` has the same four, with calls that wait
- ``sockets`` is the kernel's table of TCP sockets, and ``diagnose`` what is wrong with them
- ``Recording`` reads what ``--record DIR`` has kept

The other names are the values that these give: events, sockets, findings and errors. Each name is imported when it is
first used. An example of a server and its client:

>>> async with portside.listen("127.0.0.1:0", echo=True) as server:
...     async with portside.connect(server.port) as connection:
...         await connection.send(b"hello\\n")
...         print(await connection.receive())
b'hello\\n'

Examples are as in ``python -m asyncio``, after ``import portside``; those of the documentation have
``portside listen 127.0.0.1:12345 --echo`` running, with one client, and a recording of one connection in ``DIR``.
"""

TYPE_CHECKING = False  # as that of typing, whose import would take longer than all of this

if TYPE_CHECKING:
    from portside import sync as sync
    from portside.api.connect import connect
    from portside.api.control import Control
    from portside.api.event_stream import EventStream
    from portside.api.server import Server, listen
    from portside.api.watch import watch
    from portside.app.findings import diagnose
    from portside.app.socket_events import SocketChanged, SocketClosed, SocketEvent, SocketOpened
    from portside.app.sockets import sockets
    from portside.behaviours.connection import Connection
    from portside.control.client.events import Missed
    from portside.diagnosis.findings import Finding
    from portside.errors import PortsideError, UsageError
    from portside.events import (
        Act,
        Closed,
        Event,
        Fault,
        Forwarded,
        Gap,
        HalfClosed,
        Listening,
        Opened,
        Proxy,
        Received,
        Refused,
        RuleApplied,
        Sent,
        Stopped,
        Tls,
    )
    from portside.feed.transcript import Transcript
    from portside.kernel.filter.errors import FilterError
    from portside.kernel.models import Owner, Socket
    from portside.record.recording import Recording
    from portside.version import __version__

__all__ = [
    "Act",
    "Closed",
    "Connection",
    "Control",
    "Event",
    "EventStream",
    "Fault",
    "FilterError",
    "Finding",
    "Forwarded",
    "Gap",
    "HalfClosed",
    "Listening",
    "Missed",
    "Opened",
    "Owner",
    "PortsideError",
    "Proxy",
    "Received",
    "Recording",
    "Refused",
    "RuleApplied",
    "Sent",
    "Server",
    "Socket",
    "SocketChanged",
    "SocketClosed",
    "SocketEvent",
    "SocketOpened",
    "Stopped",
    "Tls",
    "Transcript",
    "UsageError",
    "__version__",
    "connect",
    "diagnose",
    "listen",
    "sockets",
    "sync",
    "watch",
]

_HOMES = {
    "api.connect": ("connect",),
    "api.control": ("Control",),
    "api.event_stream": ("EventStream",),
    "api.server": ("Server", "listen"),
    "api.watch": ("watch",),
    "app.socket_events": ("SocketChanged", "SocketClosed", "SocketEvent", "SocketOpened"),
    "app.findings": ("diagnose",),
    "app.sockets": ("sockets",),
    "behaviours.connection": ("Connection",),
    "control.client.events": ("Missed",),
    "diagnosis.findings": ("Finding",),
    "errors": ("PortsideError", "UsageError"),
    "events": (
        *("Act", "Closed", "Event", "Fault", "Forwarded", "Gap", "HalfClosed", "Listening", "Opened", "Proxy"),
        *("Received", "Refused", "RuleApplied", "Sent", "Stopped", "Tls"),
    ),
    "feed.transcript": ("Transcript",),
    "kernel.filter.errors": ("FilterError",),
    "kernel.models": ("Owner", "Socket"),
    "record.recording": ("Recording",),
    "version": ("__version__",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # which would take any name for one of these

    def __getattr__(name: str) -> object:
        """Import a name of the Python API when it is first used."""
        if name not in _HOME_OF and name != "sync":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        if name == "sync":
            return import_module("portside.sync")
        globals()[name] = value = getattr(import_module(f"portside.{_HOME_OF[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
