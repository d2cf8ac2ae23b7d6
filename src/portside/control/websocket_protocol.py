"""uvicorn's WebSocket protocol for subscribers of events, who have nothing to say."""

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from portside.control.http_protocol import refusal

MOST_BURST_BYTES = 8 * 1024
MOST_BYTES_A_SECOND = 1024
"""What a subscriber may send, in the long run: it answers a ping three times a minute."""


class ControlWebSocket(WebSocketsSansIOProtocol):
    """One subscriber. Who sends much is cut off before that is parsed: each frame, even an empty one, costs the loop
    microseconds, and each ping an answer that it need not read.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.lost: asyncio.Future[None] = self.loop.create_future()
        """Done when the connection is closed."""
        self._allowed_bytes: float = MOST_BURST_BYTES
        self._counted_at = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.lost.done():
            self.lost.set_result(None)

    def shutdown(self) -> None:
        """Tell a subscriber the end, unless it has been told: then its answer is waited for, see ``lost``."""
        if self.close_timer is None:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated:
            now = self.loop.time()
            earned = (now - self._counted_at) * MOST_BYTES_A_SECOND
            self._allowed_bytes = min(self._allowed_bytes + earned, MOST_BURST_BYTES) - len(data)
            self._counted_at = now
            if self._allowed_bytes < 0:
                self.transport.abort()
                return
        super().data_received(data)
        if not self.handshake_initiated:  # and the whole request was there
            self._refuse()

    def handle_parser_exception(self) -> None:
        """Close with a code where the handshake is over; uvicorn takes a mistake before for impossible."""
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
        else:
            self._refuse()

    def _refuse(self) -> None:
        if not self.close_sent:
            self.close_sent = True
            why = self.conn.handshake_exc or self.conn.parser_exc
            self.transport.write(refusal(400, f"this is no handshake of a WebSocket: {why}"))
            self.transport.close()
