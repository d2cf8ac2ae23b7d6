"""A renderer that leaves something out."""

from collections.abc import Sequence

from portside.events import Event, Received
from portside.feed.render import Renderer


class DropReceived:
    """A renderer, without what peers send: `--send-only` drops that, where a recording keeps it."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self.tick = renderer.tick

    @property
    def deadline(self) -> float | None:
        return self._renderer.deadline

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        return self._renderer.render([event for event in batch if not isinstance(event, Received)])
