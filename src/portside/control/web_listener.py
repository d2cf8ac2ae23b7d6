"""The TCP socket of the page (``--web``): its address, token, certificate and link."""

import base64
import ipaddress
import os
import socket
from typing import TYPE_CHECKING

from portside.addresses import Address
from portside.app.notices import write_notice
from portside.app.tls import web_context
from portside.errors import PortsideError
from portside.server.listener import SocketOptions, open_listeners

if TYPE_CHECKING:
    import ssl

    from portside.control.security import WebAccess
    from portside.settings.web_page import WebPage

LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 16


def open_web(settings: "WebPage", asked: Address) -> "WebListener":
    """Listen at the address that ``--web`` gave. Raises PortsideError."""
    address = asked if asked.host is not None else Address(LOOPBACK, asked.ports)
    context = web_context(settings) if settings.web_tls else None
    try:
        first, *others = open_listeners(
            (address,), families=(socket.AF_INET, socket.AF_INET6), options=SocketOptions(backlog=64)
        )
    except PortsideError as error:
        raise PortsideError(f"--web {asked}: {error.what}", error.why, error.hint) from None
    for other in others:  # of a name with several addresses: the first is enough for a link
        other.close()
    return WebListener(first.socket, address.host or LOOPBACK, context, read_only=settings.web_read_only)


class WebListener:
    """A listening socket, and what a request to it must bring."""

    def __init__(self, sock: socket.socket, host: str, context: "ssl.SSLContext | None", *, read_only: bool) -> None:
        self.socket = sock
        self.context = context
        self._host = host
        self._read_only = read_only
        self._token = base64.urlsafe_b64encode(os.urandom(_TOKEN_BYTES)).rstrip(b"=").decode()

    def access(self) -> "WebAccess":
        """The conditions that a request must meet."""
        from portside.control.security import WebAccess

        return WebAccess(self._token, name=self._host, read_only=self._read_only)

    def announce(self) -> None:
        """Write the link with its token to standard error, and what it means where others can see it."""
        bound, port = self.socket.getsockname()[:2]
        address = ipaddress.ip_address(bound.partition("%")[0])
        host = socket.gethostname() if address.is_unspecified else self._host
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if self.context is not None else "http"
        write_notice(f"the page is at {scheme}://{shown}:{port}/#{self._token}")
        if not address.is_loopback and self.context is None:
            write_notice(
                f"--web {bound} without --web-tls: whoever is on the way reads the token and all that clients send, "
                "and may then act as you",
                "--web-tls encrypts it; or leave the address out and use `ssh -L`",
            )
