"""The format ``text``: one line per message, for people.

The hot path is a read that holds whole lines of printable ASCII: the read is checked and split without a step in Python
for each line.
"""

import time
from typing import Final

from portside.events import (
    Act,
    Closed,
    CloseReason,
    Event,
    Fault,
    Forwarded,
    Gap,
    HalfClosed,
    Listening,
    Opened,
    Payload,
    Received,
    Refused,
    RuleApplied,
    Stopped,
)
from portside.feed.render.acts import describe_act
from portside.feed.render.binary_escaper import BinaryEscaper
from portside.feed.render.streams import Stream, StreamRenderer
from portside.units import counted, format_duration
from portside.wire.escaping import PRINTABLE_ASCII, escape, escape_lines, escape_text
from portside.wire.frame import Frame
from portside.wire.framing import Cut, whole_lines

SAFE_LINES: Final = PRINTABLE_ASCII + b"\n"

CLOSED: Final[dict[CloseReason, str]] = {
    "peer_closed": "closed by peer",
    "peer_reset": "reset by peer",
    "peer_vanished": "closed, the peer has vanished,",
    "local_closed": "closed here",
    "local_reset": "reset here",
    "idle_timeout": "closed, idle for too long,",
    "write_timeout": "closed, it took nothing of what waited for it,",
    "fault": "closed by a fault",
    "shutdown": "closed at the end of the run",
    "killed": "killed",
    "error": "lost",
}
BY_UPSTREAM: Final[dict[CloseReason, str]] = {
    "local_closed": "closed by upstream",
    "local_reset": "reset by upstream",
    "killed": "reset, its connection to upstream was killed,",
}


class Palette:
    """The escape sequences of the colours; empty strings for output without colours."""

    def __init__(self, *, colour: bool) -> None:
        self.reset = "\x1b[0m" if colour else ""
        self.dim = "\x1b[2m" if colour else ""
        self.received = "\x1b[32m" if colour else ""
        self.sent = "\x1b[36m" if colour else ""
        self.bad = "\x1b[31m" if colour else ""
        self._clients = tuple(f"\x1b[1;{code}m" for code in (34, 35, 33, 36, 32, 31)) if colour else ("",)

    def client(self, number: int) -> str:
        """The colour of a connection."""
        return self._clients[number % len(self._clients)]


class LineRenderer(StreamRenderer):
    """Base of ``text`` and ``hex``: time, connection and peer, and the lines of events without payload."""

    def __init__(
        self, frame: Frame, max_frame: int, *, colour: bool, dates: bool = False, server: int | None = None
    ) -> None:
        super().__init__(frame, max_frame)
        self._mark = "#" if server is None else f"{server}/"
        self._lead = "  " if server is None else f"  {server}  "
        self._palette = Palette(colour=colour)
        self._time_format = "%Y-%m-%d %H:%M:%S" if dates else "%H:%M:%S"
        self._stamped_ms = -1
        self._stamp = b""

    def stamp(self, at: int) -> bytes:
        """The local time of day of ``at`` (ns), with milliseconds; after the date, where dates are asked for."""
        milliseconds = at // 1_000_000
        if milliseconds != self._stamped_ms:
            second, fraction = divmod(milliseconds, 1000)
            of_day = time.strftime(self._time_format, time.localtime(second))
            palette = self._palette
            self._stamp = f"{palette.dim}{of_day}.{fraction:03d}{palette.reset}".encode()
            self._stamped_ms = milliseconds
        return self._stamp

    def label(self, conn: int, peer: str) -> str:
        """A connection as it stands in each of its lines."""
        palette = self._palette
        return f"  {palette.client(conn)}{self._mark}{conn}{palette.reset} {escape_text(peer)}  "

    def prefix(self, event: Payload) -> bytes:
        palette = self._palette
        sign = f"{palette.received}>" if isinstance(event, Received) else f"{palette.sent}<"
        return f"{self.label(event.conn, event.peer)}{sign}{palette.reset} ".encode()

    def other(self, event: Event) -> bytes:
        return b"%s%s\n" % (self.stamp(event.at), self._describe(event).encode())

    def _describe(self, event: Event) -> str:
        palette = self._palette
        match event:
            case Listening(address=address):
                return f"{self._lead}listening on {escape_text(address)}"
            case Opened(conn=conn, peer=peer):
                return f"{self.label(conn, peer)}connected{escape_text(_session_details(event))}"
            case RuleApplied(conn=conn, peer=peer):
                return f"{self.label(conn, peer)}{palette.dim}{escape_text(_describe_rule(event))}{palette.reset}"
            case Forwarded(conn=conn, peer=peer, address=address):
                return f"{self.label(conn, peer)}forwarded to {escape_text(address)}"
            case HalfClosed(conn=conn, peer=peer):
                return f"{self.label(conn, peer)}sent its last and still reads"
            case Closed(conn=conn, peer=peer):
                colour = "" if event.reason in ("peer_closed", "shutdown", "local_closed") else palette.bad
                error = f": {escape_text(event.error)}" if event.error else ""
                how = _how_closed(event)
                return (
                    f"{self.label(conn, peer)}{colour}{how} after "
                    f"{format_duration(event.duration)}{palette.reset}, "
                    f"{event.received} B in, {event.sent} B out{error}"
                )
            case Refused(peer=peer, reason=reason):
                error = f": {escape_text(event.error)}" if event.error else ""
                why = f"{palette.bad}refused: {escape_text(reason)}{palette.reset}{error}"
                return f"{self._lead}{escape_text(peer)}  {why}"
            case Fault():
                who = self.label(event.conn, event.peer or "") if event.conn is not None else self._lead
                return f"{who}{palette.bad}! fault: {escape_text(describe_fault(event))}{palette.reset}"
            case Act():
                who = self.label(event.conn, event.peer or "") if event.conn is not None else self._lead
                return f"{who}{palette.dim}operator: {escape_text(describe_act(event))}{palette.reset}"
            case Gap(conn=conn, received=received, sent=sent, why=why):
                what = f"{self._mark}{conn}" if conn else counted(event.connections or 0, "connection")
                lost = f"{received} B in and {sent} B out are not in the recording"
                return f"  {palette.bad}! {what}: {lost}: {escape_text(why)}{palette.reset}"
            case Stopped(reason=reason):
                return f"{self._lead}stopped: {escape_text(reason)}"
        raise TypeError(event)

    def cut_note(self, stream: Stream, at: int) -> bytes:
        """The line that marks the message above it as a piece of a longer one."""
        palette = self._palette
        who = self.label(stream.conn, stream.peer)
        note = f"{who}{palette.bad}! cut at {self._max_frame} B, the message goes on{palette.reset}\n"
        return self.stamp(at) + note.encode()


def _session_details(opened: Opened) -> str:
    """The PROXY header and the TLS session of a connection, in words; empty for plain TCP."""
    words = ""
    if opened.proxy is not None:
        words += f" via {opened.proxy.via}"
        tlvs = opened.proxy.tlvs.items()
        words += "".join(f", {name} {value}" for name, value in tlvs if isinstance(value, str) and name != "crc32c")
    if opened.tls is not None:
        tls = opened.tls
        words += f", {tls.version} {tls.cipher}"
        named = (("sni", tls.sni), ("alpn", tls.alpn), ("certificate", tls.peer))
        words += "".join(f", {name} {value}" for name, value in named if value is not None)
    return words


def _describe_rule(event: RuleApplied) -> str:
    """Describe which rule applied in one phrase: ``rule 2 (login) in state start, goto ready``."""
    name = f" ({event.name})" if event.name is not None else ""
    rule = f"rule {event.rule}{name}" if event.rule is not None else "no rule for this message"
    state = f" in state {event.state}" if event.state is not None else ""
    return rule + state + (f", goto {event.goto}" if event.goto is not None else "")


def _how_closed(event: Closed) -> str:
    if event.by == "upstream":
        return BY_UPSTREAM.get(event.reason, CLOSED[event.reason])
    return f"{CLOSED[event.reason]} by the operator" if event.by == "operator" else CLOSED[event.reason]


def describe_fault(event: Fault) -> str:
    """Describe a fault in one phrase: ``drop after 1k (5 B in, after 1024 B)``."""
    where: str = event.direction or ""
    if where in event.spec.split():
        where = ""
    if event.size is not None:
        where = f"{event.size} B {where}".strip()
    words = [event.address or "", where, f"after {event.offset} B" if event.offset else ""]
    details = ", ".join(word for word in words if word)
    what = event.spec if event.over is None else f"{event.spec}: over"
    leg = f" {event.leg}" if event.leg is not None and event.leg not in event.spec else ""
    return f"{what}{leg} ({details})" if details else what + leg


class TextRenderer(LineRenderer):
    """Renders ``12:00:04.001  #1 127.0.0.1:33406  > hello``."""

    def __init__(
        self, frame: Frame, max_frame: int, *, colour: bool, dates: bool = False, server: int | None = None
    ) -> None:
        super().__init__(frame, max_frame, colour=colour, dates=dates, server=server)
        self._lines = frame.kind == "lines"
        self._escape_binary = BinaryEscaper()

    def fast_path(self, out: list[bytes], stream: Stream, at: int, data: bytes) -> int:
        if not self._lines:
            return 0
        if data[-1] != 10 or len(data) > self._max_frame:
            data = whole_lines(data, self._max_frame)
            if not data:
                return 0
        head = (self._stamp if at // 1_000_000 == self._stamped_ms else self.stamp(at)) + stream.prefix
        if not data.isascii() or data.translate(None, SAFE_LINES):
            separator = b"\n" + head
            out.append(b"%s%s\n" % (head, escape_lines(data[:-1], separator, self._escape_binary)))
        else:
            out.append(head)
            is_one_line = data.find(b"\n") == len(data) - 1
            out.append(data if is_one_line else data[:-1].replace(b"\n", b"\n" + head) + b"\n")
        return len(data)

    def messages(self, out: list[bytes], stream: Stream, at: int, messages: list[bytes]) -> None:
        head = self.stamp(at) + stream.prefix
        for message in messages:
            line = message[:-1] if self._lines and message[-1] == 10 else message
            text = escape(self.text_of(stream, line), self._escape_binary)
            out.append(b"%s%s\n" % (head, text.encode()))
            if type(message) is Cut:
                out.append(self.cut_note(stream, at))
