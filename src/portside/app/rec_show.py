"""``portside rec show`` and ``rec cat``: one recorded connection, as ``listen`` would show it or as plain bytes."""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

from portside.app.event_errors import EventErrors
from portside.app.notices import wants_colour, write_notice
from portside.app.rec_notices import notice_damage, open_recording
from portside.app.stdout import ends_with_reader, write_stdout
from portside.events import Gap
from portside.feed.render import Renderer, make_renderer
from portside.feed.render.streams import UNFINISHED_S
from portside.record.recording import Direction, TimedEvent, missing_bytes
from portside.settings.rec import RecShow
from portside.units import counted

_FOLLOW_S = 0.1
_PAUSE_NS = round(UNFINISHED_S * 1e9)


def show(settings: RecShow, path: str, conn: int) -> int:
    """Show a connection; the exit status, 1 where a part of the connection is missing."""
    renderer = make_renderer(
        settings.format,
        frame=settings.frame,
        max_frame=settings.max_frame,
        colour=wants_colour(1),
        terminal=sys.stdout.isatty(),
        on_error=EventErrors("standard output"),
    )
    with open_recording(path) as recording:
        notice_damage(recording)
        wait = partial(time.sleep, _FOLLOW_S)
        events = recording.follow(conn, wait) if settings.follow else recording.timed_events(conn)
        rendered = _EventRenderer(renderer)
        with ends_with_reader() if settings.follow else nullcontext():
            write_stdout(rendered.render(events))
    if rendered.gaps and settings.format == "raw":
        write_notice(f"{counted(rendered.gaps, 'gap')} in connection {conn} not shown: bytes are missing")
    return 1 if rendered.gaps else 0


class _EventRenderer:
    """Renders events as if they came with their recorded pauses; ``gaps`` counts the Gap events."""

    def __init__(self, renderer: Renderer) -> None:
        self.gaps = 0
        self._renderer = renderer
        self._at = self._wall = 0  # steady and wall time of the last event

    def render(self, events: Iterator[TimedEvent]) -> Iterator[bytes]:
        """Yield the bytes to write, in pieces."""
        for at, event in events:
            if isinstance(event, Gap):
                self.gaps += 1
            if self._at and at - self._at > _PAUSE_NS:
                yield from self._renderer.tick(time.monotonic() + 1.0, self._wall + _PAUSE_NS)
            yield from self._renderer.render([event])
            self._at, self._wall = at, event.at
        yield from self._renderer.tick(float("inf"), self._wall)


def cat(path: str, conn: int, direction: Direction) -> int:
    """Write the exact bytes of one direction; the exit status, 1 where some are missing."""
    missing = 0
    with open_recording(path) as recording:
        notice_damage(recording)

        def recorded_bytes() -> Iterator[bytes]:
            nonlocal missing
            for piece in recording.data(conn, direction):
                if isinstance(piece, Gap):
                    missing += missing_bytes(piece, direction)
                else:
                    yield piece

        write_stdout(recorded_bytes())
    if missing:
        write_notice(
            f"connection {conn}: {missing} B are missing in what was written",
            f"portside rec show {shlex.quote(path)} {conn}",
        )
    return 1 if missing else 0
