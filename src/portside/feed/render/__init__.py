"""Renderers: events as bytes for people and programs, one renderer for each format."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from portside.events import Event
from portside.wire.frame import Frame
from portside.wire.text_encoding import UTF_8

if TYPE_CHECKING:
    from portside.feed.render.raw import EscapedRenderer
    from portside.feed.render.streams import StreamRenderer


class Renderer(Protocol):
    """A renderer turns batches of events into bytes, and keeps state of a connection until that connection closes."""

    @property
    def deadline(self) -> float | None:
        """When ``tick`` should be called, by the renderer's clock; None while nothing waits."""

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        """The bytes for some events, in their order; a line is never divided over two calls."""

    def tick(self, now: float, at: int | None = None) -> list[bytes]:
        """The bytes that are due because time passed; ``at`` (ns) stands in their lines, without it the wall clock."""


def make_renderer(
    name: str,
    *,
    frame: Frame | None = None,
    max_frame: int = 64 * 1024,
    encoding: str = UTF_8,
    colour: bool = False,
    terminal: bool = False,
    dates: bool = False,
    server: int | None = None,
    on_error: Callable[[Exception], object] | None = None,
    clock: Callable[[], float] | None = None,
) -> Renderer:
    """The renderer for ``text``, ``json``, ``hex``, ``raw`` or ``classic``.

    ``frame`` None means the format's own default; ``max_frame`` is in bytes; ``terminal`` says that the bytes go
    to a terminal, which no format may send a control character to but for its own line feeds and colours; ``dates``
    puts the date before each time in text and hex. ``server`` is the process where text shows several servers: its
    connections are then named ``4242/7``. ``encoding`` is that of the text which people are shown. With
    ``on_error``, an event that cannot be rendered, for a defect of ours, is left out and reported there; without it the
    error is raised. ``clock`` is what deadlines count by; without it ``time.monotonic``.
    """
    if name == "raw":
        from portside.feed.render.raw import EscapedRenderer, RawRenderer

        return _transcoded(EscapedRenderer(), encoding) if terminal else RawRenderer()
    renderer = _make_stream_renderer(name, frame, max_frame, colour=colour, dates=dates, server=server)
    if on_error is not None:
        renderer.on_error = on_error
    if clock is not None:
        renderer.clock = clock
    if name not in ("text", "classic"):
        return renderer
    if frame is None or frame.kind in ("lines", "none"):
        return _transcoded(renderer, encoding)
    renderer.encoding = encoding  # messages are cut by bytes: each is converted by itself
    return renderer


def _transcoded(renderer: "StreamRenderer | EscapedRenderer", encoding: str) -> Renderer:
    """The renderer, for streams in the given encoding."""
    if encoding == UTF_8:
        return renderer
    from portside.feed.render.transcoder import Transcoder

    return Transcoder(renderer, encoding)


def _make_stream_renderer(
    name: str, frame: Frame | None, max_frame: int, *, colour: bool, dates: bool, server: int | None
) -> "StreamRenderer":
    if name == "json":
        from portside.feed.render.json import JsonRenderer

        return JsonRenderer(frame or Frame("none"), max_frame)
    if name == "hex":
        from portside.feed.render.hexdump import HexRenderer

        return HexRenderer(frame or Frame("none"), max_frame, colour=colour, dates=dates)
    if name == "classic":
        from portside.feed.render.classic import ClassicRenderer

        return ClassicRenderer(frame or Frame("lines"), max_frame)
    from portside.feed.render.text import TextRenderer

    return TextRenderer(frame or Frame("lines"), max_frame, colour=colour, dates=dates, server=server)
