"""``portside rec show`` and ``rec cat``: recorded connections, as ``listen`` would show them or as plain bytes."""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext

from portside.app.event_errors import EventErrors
from portside.app.notices import wants_colour, write_notice
from portside.app.rec_notices import notice_damage, open_recording
from portside.app.stdout import ends_with_reader, write_stdout
from portside.events import Gap
from portside.feed.render import make_renderer
from portside.record.recording import Direction, Recording, TimedEvent, missing_bytes
from portside.settings.rec import RecShow
from portside.units import counted
from portside.wire.terminal_text import TerminalText

_FOLLOW_S = 0.1


def show(settings: RecShow, path: str, conns: tuple[int, ...]) -> int:
    """Show connections in the order of time, all where none is named; the exit status, 1 where a part is missing."""
    shown = _RecordedEvents(settings)
    with open_recording(path) as recording:
        notice_damage(recording)
        events = recording.follow(conns[0], shown.wait) if settings.follow else _events(recording, conns)
        with ends_with_reader() if settings.follow else nullcontext():
            write_stdout(shown.render(events))
    if shown.gaps and settings.format == "raw":
        whose = f"connection {conns[0]}" if len(conns) == 1 else "these connections"
        write_notice(f"{counted(shown.gaps, 'gap')} in {whose} not shown: bytes are missing")
    return 1 if shown.gaps else 0


def _events(recording: Recording, conns: tuple[int, ...]) -> Iterator[TimedEvent]:
    """The events of these connections, of all where none is named. Raises PortsideError for one that is not there."""
    if len(conns) == 1:
        return recording.timed_events(conns[0])
    for conn in conns:
        recording.connection(conn)
    everything = recording.all_timed_events()
    return (timed for timed in everything if getattr(timed[1], "conn", 0) in conns) if conns else everything


class _RecordedEvents:
    """Events as they were shown when they happened: the renderer's clock is that of the recording.

    ``gaps`` counts the Gap events.
    """

    def __init__(self, settings: RecShow) -> None:
        self.gaps = 0
        self._renderer = make_renderer(
            settings.format,
            frame=settings.frame,
            max_frame=settings.max_frame,
            encoding=settings.encoding,
            colour=wants_colour(1),
            terminal=sys.stdout.isatty(),
            dates=True,
            on_error=EventErrors("standard output"),
            clock=lambda: self._at / 1e9,
        )
        self._at = self._wall = 0  # steady and wall time of the last event (ns)
        self._rendered_at = 0.0  # when it was rendered (time.monotonic())

    def render(self, events: Iterator[TimedEvent]) -> Iterator[bytes]:
        """Yield the bytes to write, in pieces."""
        for at, event in events:
            if isinstance(event, Gap):
                self.gaps += 1
            yield from self._due_until(at / 1e9)
            self._at, self._wall, self._rendered_at = at, event.at, time.monotonic()
            yield from self._renderer.render([event])
        yield from self._renderer.tick(float("inf"), self._wall)

    def _due_until(self, now: float) -> Iterator[bytes]:
        """Render what was due before a time on the recording's clock."""
        before = None
        while (deadline := self._renderer.deadline) is not None and deadline <= now and deadline != before:
            yield from self._renderer.tick(deadline, self._wall + max(0, round(deadline * 1e9) - self._at))
            before = deadline

    def wait(self) -> None:
        """Wait for more of a connection that goes on, and show meanwhile what is due."""
        time.sleep(_FOLLOW_S)
        write_stdout(self._due_until(self._at / 1e9 + time.monotonic() - self._rendered_at))


def _escaped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Bytes as text that a terminal may show."""
    text = TerminalText()
    yield from map(text.feed, pieces)
    yield text.finish()


def cat(path: str, conn: int, direction: Direction) -> int:
    """Write the exact bytes of one direction, escaped on a terminal; the exit status, 1 where some are missing."""
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

        write_stdout(_escaped(recorded_bytes()) if sys.stdout.isatty() else recorded_bytes())
    if missing:
        write_notice(
            f"connection {conn}: {missing} B are missing in what was written",
            f"portside rec show {shlex.quote(path)} {conn}",
        )
    return 1 if missing else 0
