"""Renderers that leave events out."""

from collections.abc import Sequence

from portside.events import Event, Received
from portside.feed.render import Renderer


class DropReceived:
    """A renderer that drops what peers send (``--send-only``), which a recording keeps."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self.tick = renderer.tick

    @property
    def deadline(self) -> float | None:
        return self._renderer.deadline

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        return self._renderer.render([event for event in batch if not isinstance(event, Received)])
