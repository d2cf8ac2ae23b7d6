"""Notices the first client that begins with a TLS ClientHello on a port without TLS."""

from collections.abc import Callable
from typing import Protocol

from portside.tls.first_bytes import is_client_hello


class HelloSender(Protocol):
    """The part of a connection that is looked at."""

    number: int
    peer: str


class HelloWatch:
    """Looks at what clients send first; ``on_hello`` is called with the first that sends a ClientHello.

    It finds one in a run: where one client speaks TLS, others will, and a notice for each would say no more.
    """

    def __init__(self, on_hello: Callable[[HelloSender], None]) -> None:
        self._on_hello: Callable[[HelloSender], None] | None = on_hello
        self._first_bytes: dict[int, bytes] = {}  # by number, of clients whose first bytes are too few to say

    def look(self, client: HelloSender, offset: int, data: bytes) -> None:
        """Look at bytes that a client sent, ``offset`` bytes after its first."""
        before = self._first_bytes.pop(client.number, b"")
        if self._on_hello is None or len(before) != offset:
            return
        answer = is_client_hello(before + data)
        if answer is None:
            self._first_bytes[client.number] = before + data
        elif answer:
            on_hello, self._on_hello = self._on_hello, None
            on_hello(client)

    def forget(self, client: HelloSender) -> None:
        """Forget a client that is gone."""
        self._first_bytes.pop(client.number, None)
