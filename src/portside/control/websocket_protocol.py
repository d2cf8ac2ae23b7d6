"""uvicorn's WebSocket protocol for subscribers of events, who have nothing to say."""

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

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
        self._allowed_bytes: float = MOST_BURST_BYTES
        self._counted_at = self.loop.time()

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
