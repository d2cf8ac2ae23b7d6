"""The stage between accepting a client and connecting it; here the one in which nothing is asked of the client."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portside.events import RefuseReason, Tls
    from portside.server.connection import Connection
    from portside.server.pending_connection import PendingConnection
    from portside.server.timer_wheel import HasDeadline


class PreConnectHost(Protocol):
    """The part of an acceptor that its pre-connect stage uses. Times are in seconds of the loop's clock."""

    loop: "asyncio.AbstractEventLoop"
    now: "Callable[[], float]"

    @property
    def limit_reached(self) -> bool:
        """Whether as many clients were connected as there may be in this run."""

    def admit(self, pending: "PendingConnection") -> bool:
        """Count a client in, or refuse it. One that was admitted is either connected or released."""

    def release(self, pending: "PendingConnection") -> None:
        """Count out a client that was admitted and will not be connected."""

    def refuse(self, pending: "PendingConnection", reason: "RefuseReason", error: str | None = None) -> None:
        """Close the socket of a client that is not admitted, and publish why."""

    def publish_refusal(self, pending: "PendingConnection", reason: "RefuseReason", error: str | None = None) -> None:
        """Publish why a client was refused whose socket is closed elsewhere."""

    def connect(self, pending: "PendingConnection") -> None:
        """Make an admitted client a connection, and give it its socket."""

    def open_connection(self, pending: "PendingConnection", tls: "Tls | None") -> "Connection":
        """Make an admitted client a connection whose transport is there already."""

    def attach(self, fd: int, protocol: "asyncio.Protocol", /) -> None:
        """Make a transport of a connected descriptor, and give it to the protocol."""

    def resume_accepting(self) -> None:
        """Accept again, after the stage had no room."""

    def schedule_check(self, item: "HasDeadline", at: float, /) -> None:
        """Have ``item.check`` called at ``at`` or a little later."""


class PreConnect:
    """Connects every admitted client at once. Stages that ask for something first are derived from this one."""

    _host: PreConnectHost

    def bind(self, host: PreConnectHost) -> None:
        """Work for this acceptor from now on."""
        self._host = host

    def has_room(self) -> bool:
        """Whether another client may be accepted. Where not, ``resume_accepting`` of the host is called in time."""
        return True

    def begin(self, pending: "PendingConnection") -> None:
        """Take a client that was accepted, and connect or refuse it in time."""
        host = self._host
        if host.admit(pending):
            host.connect(pending)

    def end(self) -> None:
        """Close the clients that are still in this stage: the run ends."""
