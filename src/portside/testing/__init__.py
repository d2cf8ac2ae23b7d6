"""The types of the pytest plugin, for annotations; its fixtures are there wherever Portside is installed.

Example::

    from portside.testing import TcpServer

    def test_login(tcp_server: TcpServer) -> None:
        tcp_server.expect(b"HELO me\\r\\n").reply(b"250 ok\\r\\n")
        ...

Everything is imported when it is first used: the plugin costs a run that does not use it next to nothing.
"""

TYPE_CHECKING = False  # as that of typing, whose import would take longer than all of this

if TYPE_CHECKING:
    from portside.testing import faults as faults
    from portside.testing.client import TcpClient
    from portside.testing.fixtures import TcpClientFactory, TcpLeaks, TcpProxyFactory, TcpServerFactory
    from portside.testing.peer import TcpConnection
    from portside.testing.proxy import TcpProxy
    from portside.testing.script import Expectation, Reaction, Script
    from portside.testing.server import ScriptFailed, TcpServer
    from portside.wire.faults.model import FaultSpec

__all__ = [
    "Expectation",
    "FaultSpec",
    "Reaction",
    "Script",
    "ScriptFailed",
    "TcpClient",
    "TcpClientFactory",
    "TcpConnection",
    "TcpLeaks",
    "TcpProxy",
    "TcpProxyFactory",
    "TcpServer",
    "TcpServerFactory",
    "faults",
]

_HOMES = {
    "portside.testing.client": ("TcpClient",),
    "portside.testing.fixtures": ("TcpClientFactory", "TcpLeaks", "TcpProxyFactory", "TcpServerFactory"),
    "portside.testing.peer": ("TcpConnection",),
    "portside.testing.proxy": ("TcpProxy",),
    "portside.testing.script": ("Expectation", "Reaction", "Script"),
    "portside.testing.server": ("ScriptFailed", "TcpServer"),
    "portside.wire.faults.model": ("FaultSpec",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # which would take any name for one of these

    def __getattr__(name: str) -> object:
        """Import a name when it is first used."""
        from importlib import import_module

        if name == "faults":
            return import_module("portside.testing.faults")
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(_HOME_OF[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
