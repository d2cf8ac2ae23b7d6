"""``tcp_client``: a scripted client, for tests of servers."""

import asyncio
import re
from typing import TYPE_CHECKING, Unpack, overload

from portside.api import connect as api_connect
from portside.api.loop_thread import loop_thread
from portside.behaviours.connection import Connection
from portside.sync import Connection as SyncConnection
from portside.testing.difference import difference, unexpected
from portside.testing.incoming import LONGEST_BYTES, Incoming
from portside.testing.literals import describe, shorten
from portside.testing.peer import TRANSCRIPT_BYTES, Peer
from portside.testing.proxy import Upstream, upstream_address
from portside.testing.report import failure_text, transcript_lines
from portside.testing.script import as_bytes
from portside.testing.server import ScriptFailed
from portside.wire.frame import Frame, parse_frame

if TYPE_CHECKING:
    from portside.api.options import ConnectOptions

TIMEOUT_S = 10.0  # that each call may take, unless ``settimeout`` says otherwise


class TcpClient(SyncConnection):
    """A connection to the server under test: ``portside.sync.Connection``, and ``expect`` for what should come.

    Calls take ten seconds at most; ``settimeout`` changes that. In a coroutine whose loop runs the server too, call
    them on a thread: ``await asyncio.to_thread(client.expect, b"250 ok\\r\\n")``.

    Example::

        def test_my_server(tcp_client, my_server):
            client = tcp_client(my_server.port)
            client.send(b"HELO me\\r\\n")
            client.expect(b"250 ok\\r\\n")
    """

    label = "tcp_client"

    @classmethod
    def open(cls, address: "Upstream", **options: "Unpack[ConnectOptions]") -> "TcpClient":
        """A connection to an address, with options of ``portside.connect``. Raises PortsideError."""
        where = address.address if isinstance(address, Peer) else upstream_address(address)
        thread = loop_thread()
        opening = api_connect.connect(where, transcript=TRANSCRIPT_BYTES, **options)
        client = cls(thread, thread.call(opening.open()))
        client.settimeout(TIMEOUT_S)
        return client

    @overload
    def expect(self, pattern: bytes | str, *, frame: str | None = None) -> bytes: ...
    @overload
    def expect(self, pattern: re.Pattern[bytes], *, frame: str | None = None) -> re.Match[bytes]: ...
    def expect(
        self, pattern: bytes | str | re.Pattern[bytes], *, frame: str | None = None
    ) -> "bytes | re.Match[bytes]":
        """Receive what must come next: these bytes, or what an expression matches, or a whole message of a framing.

        Returns the bytes or the match. Raises ScriptFailed where something else comes, or nothing in time.

            name = client.expect(re.compile(rb"250 hello (\\w+)\\r\\n"))[1]
        """
        __tracebackhide__ = True
        wanted = pattern if isinstance(pattern, re.Pattern) else as_bytes(pattern)
        framing = None if frame is None else parse_frame(frame)
        found = self._thread.call(self._expect(self._connection, wanted, framing))
        if isinstance(found, ScriptFailed):
            raise found
        return found

    def expect_fin(self) -> None:
        """Receive the server's FIN. Raises ScriptFailed where something else comes, or nothing in time.

        client.expect_fin()
        """
        __tracebackhide__ = True
        failed = self._thread.call(self._expect_fin(self._connection))
        if failed is not None:
            raise failed

    async def _expect(
        self, connection: Connection, pattern: "bytes | re.Pattern[bytes]", frame: Frame | None
    ) -> "bytes | re.Match[bytes] | ScriptFailed":
        incoming, end = Incoming(), ""
        try:
            async with asyncio.timeout(self.gettimeout()):
                while True:
                    found, may_match = _find(incoming, pattern, frame)
                    if found is not None:
                        return found
                    if not may_match or incoming.size > LONGEST_BYTES:
                        break
                    data = await connection.receive()
                    if not data:
                        end = ", and then FIN"
                        break
                    incoming.feed(data, asyncio.get_running_loop().time())
        except TimeoutError:
            end = f", and nothing more in {self.gettimeout():g}s"
        except ConnectionError:
            end = f", and then the end: {connection.reason}"
        finally:
            rest = incoming.head(incoming.size)
            connection.unread(rest)
        title = f"{self.label}: the server did not send {describe(pattern, 40)} but {_shown(rest)}{end}"
        return self._failed(title, difference(pattern, rest[:4096], len(rest)))

    async def _expect_fin(self, connection: Connection) -> ScriptFailed | None:
        data, end = b"", ""
        try:
            async with asyncio.timeout(self.gettimeout()):
                data = await connection.receive()
        except TimeoutError:
            end = f" in {self.gettimeout():g}s"
        except ConnectionError:
            end = f", and then the end: {connection.reason}"
        else:
            if not data:
                return None
        connection.unread(data)
        return self._failed(
            f"{self.label}: the server did not send FIN but {_shown(data)}{end}", unexpected(data, len(data))
        )

    def _failed(self, title: str, details: list[str]) -> ScriptFailed:
        failed = ScriptFailed("\n".join([title, "", *details]))
        failed.source = self
        return failed

    def report(self) -> str:
        """The transcript, for a test that has failed."""
        heading = f"transcript of {self.local} to {self.peer}:"
        return failure_text("", [(heading, list(transcript_lines(self.transcript)))]).strip("\n")


def _find(
    incoming: Incoming, pattern: "bytes | re.Pattern[bytes]", frame: Frame | None
) -> "tuple[bytes | re.Match[bytes] | None, bool]":
    """The match, which is taken; and whether more bytes may make one."""
    if frame is not None:
        message = incoming.message(frame, asyncio.get_running_loop().time())
        if message is None:
            return None, True
        if isinstance(pattern, bytes):
            found: bytes | re.Match[bytes] | None = message if message == pattern else None
        else:
            found = pattern.match(message)
        if found is not None:
            incoming.take_message()
        return found, False
    if isinstance(pattern, bytes):
        starts = incoming.starts_with(pattern)
        if starts:
            incoming.take(len(pattern))
            return pattern, True
        return None, starts is None
    match = incoming.match(pattern)
    if match is not None:
        incoming.take(match.end() - match.pos)
    return match, True


def _shown(data: bytes) -> str:
    return shorten(data, 40) if data else "nothing"
