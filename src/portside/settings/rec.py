"""The settings of ``portside rec …``: a class for each of its commands."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from portside.errors import InvalidValue
from portside.events import CloseReason
from portside.settings import Example, Written, argument, flag, option
from portside.settings.values import FORMATS, encoding, log_level, parse_conn
from portside.units import parse_duration, parse_hex, parse_positive_duration, parse_positive_size, parse_text
from portside.wire.frame import Frame, parse_frame

_WHICH, _LOOK, _HOW = "Which connections", "How it is shown", "How it is done"


def parse_time(text: str) -> int:
    """Read a moment as ns since 1970: ``2026-11-22T12:00:01Z``, without a zone local time, or ``5m`` ago."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1_000_000_000)
    except ValueError:
        pass
    try:
        return round((datetime.now().timestamp() - parse_duration(text)) * 1_000_000_000)  # noqa: DTZ005
    except InvalidValue:
        raise InvalidValue(f"{text!r} is no time: write 2026-11-22T12:00:01Z, or 5m for five minutes ago") from None


def parse_needle(text: str) -> bytes:
    """Read a text to look for; ``\\n``, ``\\xHH`` and the like are understood."""
    data = parse_text(text)
    if not data:
        raise InvalidValue("there is nothing to look for")
    return data


def parse_speed(text: str) -> float | None:
    """Read ``1x``, ``10x``, ``0.5x`` or ``max`` (None)."""
    if text == "max":
        return None
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0.001 <= speed <= 1e6:
        raise InvalidValue(f"{text!r} is no speed: write 1x, 10x or max")
    return speed


def parse_conn_or_all(text: str) -> int | None:
    """Read the number of a connection, or ``all`` (None)."""
    return None if text == "all" else parse_conn(text)


def split_place(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of ``DIR:CONN …`` as those of ``DIR CONN …``, which are left as they are."""
    if not words:
        return words
    path, colon, conn = words[0].rpartition(":")
    if not colon or not path or not conn.removeprefix("#").isdecimal() or os.path.isdir(words[0]):
        return words
    return path, conn, *words[1:]


def parse_places(words: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Read some connections of recordings, each ``DIR:CONN`` or ``DIR CONN``; a number left over is of the last DIR."""
    places: list[tuple[str, int]] = []
    rest = words
    while rest:
        if places and len(rest) == 1 and rest[0].removeprefix("#").isdecimal():
            rest = (places[-1][0], rest[0])
        path, *conn = split_place(rest)[:2]
        if not conn:
            raise InvalidValue(f"{path!r} is no connection of a recording: write DIR:CONN or DIR CONN")
        places.append((path, parse_conn(conn[0])))
        rest = split_place(rest)[2:]
    return tuple(places)


@dataclass(frozen=True, kw_only=True)
class RecList:
    """The connections of a recording."""

    examples = (
        Example("all connections", "portside rec list capture"),
        Example("those that the peer has reset", "portside rec list capture --reason peer_reset"),
        Example(
            "those of the last five minutes in which an error was sent",
            "portside rec list capture --since 5m --contains ERROR",
        ),
    )

    path: tuple[str, ...] = argument("DIR", str, "the folder of the recording")
    json: bool = flag("--json", help="a JSON object a line", group=_LOOK)
    peer: str | None = option(
        "--peer", metavar="NET", group=_WHICH,
        help="of this peer: an address, HOST:PORT, :PORT, or a network (10.0.0.0/8)",
    )  # fmt: skip
    since: int | None = option(
        "--since", metavar="TIME", parse=parse_time, group=_WHICH,
        help="open after this: 2026-11-22T12:00:01Z, or 5m for five minutes ago",
    )  # fmt: skip
    until: int | None = option(
        "--until", metavar="TIME", parse=parse_time, group=_WHICH, help="open before this",
    )  # fmt: skip
    reason: str | None = option(
        "--reason", metavar="REASON", choices=(*get_args(CloseReason), "open"), group=_WHICH,
        help="closed for this reason, or still open",
    )  # fmt: skip
    contains: bytes | None = option(
        "--contains", metavar="TEXT", parse=parse_needle, group=_WHICH,
        help="with this text in what passed, in either direction; \\n and \\xHH are understood",
        excludes=("--contains-hex",),
    )  # fmt: skip
    contains_hex: bytes | None = option(
        "--contains-hex", metavar="HEX", parse=parse_hex, group=_WHICH, help="with these bytes in what passed",
    )  # fmt: skip
    log_level: str | None = log_level()


@dataclass(frozen=True, kw_only=True)
class RecShow(Written):
    """Connections of a recording, as ``listen`` would show them."""

    examples = (
        Example("all connections, in the order of time", "portside rec show capture"),
        Example("one of them as a hex dump", "portside rec show capture 7 --format hex"),
        Example("one of them while it goes on", "portside rec show capture 7 --follow"),
    )

    where: tuple[str, ...] = argument(
        "DIR CONN", str,
        "the folder of the recording, and the numbers of connections: one (also DIR:CONN), several, or none for all, "
        "in the order of time",
        parse_all=split_place,
    )  # fmt: skip
    format: str = option(
        "--format", metavar="FORMAT", default="text", choices=FORMATS, group=_LOOK, help="how it is shown",
    )  # fmt: skip
    frame: Frame | None = option(
        "--frame", metavar="FRAME", parse=parse_frame, group=_LOOK,
        help="how the streams are cut into messages, as in listen",
        default_help="lines in text and classic, none otherwise",
    )  # fmt: skip
    max_frame: int = option(
        "--max-frame", metavar="SIZE", parse=parse_positive_size, default=64 * 1024, group=_LOOK,
        help="the longest message; a longer one is cut and marked", default_help="64k",
    )  # fmt: skip
    encoding: str = encoding(_LOOK)
    follow: bool = flag("-f", "--follow", help="go on while it is recorded, until the connection closes", group=_LOOK)
    log_level: str | None = log_level()


@dataclass(frozen=True, kw_only=True)
class RecSearch:
    """Every place where a text stands in what passed: connection, direction and offset."""

    examples = (
        Example("find a text", "portside rec search capture 'GET /admin'"),
        Example("find bytes in one connection", "portside rec search capture:7 '\\x16\\x03'"),
        Example("as JSON, for a script", "portside rec search capture ERROR --json"),
    )

    where: tuple[str, ...] = argument(
        "DIR PATTERN", str,
        "the folder of the recording (DIR:CONN: one connection of it), and the text; \\n and \\xHH are understood",
        parse_all=split_place,
    )  # fmt: skip
    json: bool = flag("--json", help="a JSON object a line", group=_LOOK)
    log_level: str | None = log_level()


@dataclass(frozen=True, kw_only=True)
class RecCat:
    """The exact bytes of one direction of a connection; a terminal gets them escaped."""

    examples = (
        Example("what the peer sent, as a file", "portside rec cat capture 7 > request.bin"),
        Example("what was sent to it", "portside rec cat capture 7 --direction out > answer.bin"),
        Example("count its lines", "portside rec cat capture:7 | wc -l"),
    )

    where: tuple[str, ...] = argument(
        "DIR CONN", str, "the folder of the recording and the connection's number, also DIR:CONN", parse_all=split_place
    )  # fmt: skip
    direction: str = option(
        "--direction", metavar="DIRECTION", default="in", choices=("in", "out"), group=_HOW,
        help="in: from the peer; out: to the peer",
    )  # fmt: skip
    log_level: str | None = log_level()


@dataclass(frozen=True, kw_only=True)
class RecExport:
    """A recording, or one connection of it, as a file that other tools open."""

    examples = (
        Example(
            "open a recording in Wireshark",
            "portside rec export capture capture.pcapng && wireshark capture.pcapng",
        ),
        Example("one connection as events", "portside rec export capture:7 seven.jsonl"),
        Example("read it with tshark, without a file", "portside rec export capture - | tshark -r -"),
    )

    where: tuple[str, ...] = argument(
        "DIR FILE", str,
        "the folder of the recording (DIR:CONN: one connection of it) and the file to write: .pcapng for Wireshark, "
        ".jsonl for events, - for standard output",
        parse_all=split_place,
    )  # fmt: skip
    format: str | None = option(
        "--format", metavar="FORMAT", choices=("pcapng", "jsonl"), group=_HOW,
        help="the format of the file", default_help="by the end of its name; for - pcapng",
    )  # fmt: skip
    conn: int | None = option(
        "--conn", metavar="CONN", parse=parse_conn, group=_WHICH, help="only this one", default_help="all",
    )  # fmt: skip
    log_level: str | None = log_level()


@dataclass(frozen=True, kw_only=True)
class RecReplay:
    """Play a recorded conversation again, and say whether the other side answers as recorded."""

    examples = (
        Example(
            "send a server what a client once sent, and compare its answers",
            "portside rec replay capture 7 localhost:9000",
        ),
        Example("all connections, without the pauses", "portside rec replay capture all localhost:9000 --speed max"),
        Example(
            "be the server that was recorded, for a client to test",
            "portside rec replay capture 7 :9000 --as server",
        ),
    )

    where: tuple[str, ...] = argument(
        "DIR CONN ADDRESS", str,
        "the folder of the recording, the connection's number (also DIR:CONN) or `all`, and whom to connect to "
        "(or where to listen)",
        parse_all=split_place,
    )  # fmt: skip
    role: str = option(
        "--as", metavar="ROLE", default="client", choices=("client", "server"), group=_HOW,
        help="which side we play: the client, of a server at ADDRESS, or the server, for a client that comes there",
    )  # fmt: skip
    speed: float | None = option(
        "--speed", metavar="1x|10x|max", parse=parse_speed, default=1.0, group=_HOW,
        help="how fast: as recorded, that many times faster, or without pauses", default_help="1x",
    )  # fmt: skip
    timeout: float = option(
        "-w", "--timeout", metavar="DURATION", parse=parse_positive_duration, default=10.0, group=_HOW,
        help="how long an answer is waited for", default_help="10s",
    )  # fmt: skip
    json: bool = flag("--json", help="a JSON object for each connection", group=_LOOK)
    log_level: str | None = log_level()


@dataclass(frozen=True, kw_only=True)
class RecDiff:
    """Compare two recorded connections: where the first differing byte is."""

    examples = (
        Example("two connections of a recording", "portside rec diff capture 7 8"),
        Example("the same connection before and after a change", "portside rec diff before:7 after:7"),
        Example("as JSON, for a script", "portside rec diff before:7 after:7 --json"),
    )

    places: tuple[tuple[str, int], ...] = argument(
        "DIR:CONN", str, "two connections, each also as DIR CONN", parse_all=parse_places
    )
    json: bool = flag("--json", help="a JSON object", group=_LOOK)
    log_level: str | None = log_level()


@dataclass(frozen=True, kw_only=True)
class RecCheck:
    """Verify every byte of a recording, and make its index anew from the segments where it is damaged."""

    examples = (
        Example("check a recording", "portside rec check capture"),
        Example(
            "export it only where it is whole",
            "portside rec check capture && portside rec export capture capture.pcapng",
        ),
        Example("as JSON, for a script", "portside rec check capture --json"),
    )

    path: tuple[str, ...] = argument("DIR", str, "the folder of the recording")
    json: bool = flag("--json", help="a JSON object", group=_LOOK)
    log_level: str | None = log_level()


REC_COMMANDS: dict[str, type] = {
    "list": RecList,
    "show": RecShow,
    "cat": RecCat,
    "search": RecSearch,
    "export": RecExport,
    "replay": RecReplay,
    "diff": RecDiff,
    "check": RecCheck,
}
