"""The settings of ``portside ctl …``: a class for each of its commands.

They are neither compared nor printed: to make the methods for that would take a tenth of the start of each command.
"""

from dataclasses import dataclass

from portside.settings import argument, flag, option
from portside.units import parse_hex

LIMIT_NAMES = ("max_conns", "max_conns_per_ip", "idle_timeout", "half_close_timeout")
_WHICH, _HOW, _LOOK, _SERVER = "Which connections", "How it is done", "How it is shown", "Which server"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlCommand:
    """The options that all commands on one server share."""

    json: bool = flag("--json", help="what the API answers, a JSON object a line", group=_LOOK)
    server: str | None = option(
        "--server", metavar="PID|ADDRESS|URL", group=_SERVER,
        help="its process, an address that it listens on, or the link that `listen --web` printed",
        default_help="the one that runs",
    )  # fmt: skip
    tls_ca: str | None = option(
        "--tls-ca", metavar="FILE", group=_SERVER, help="certificates (PEM) to trust for an https link",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlServers:
    """The servers of this user that run here."""

    json: bool = flag("--json", help="what the API answers, a JSON object a line", group=_LOOK)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlConns(CtlCommand):
    """The connections of a server, those that a filter leaves."""

    filter: tuple[str, ...] = argument(
        "FILTER", str,
        "as in `watch`, with the columns of connections: conn, peer, received, sent, idle, age, sni, tag, note …",
    )  # fmt: skip
    closed: bool = flag("--closed", help="those that have closed, as far as they are remembered", group=_WHICH)
    sort: str | None = option(
        "--sort", metavar="COLUMN", group=_LOOK, help="sort by this column; -COLUMN puts the largest first",
        default_help="conn",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlShow(CtlCommand):
    """One connection: what the server and the kernel know of it, and where its bytes are."""

    conn: tuple[str, ...] = argument("CONN", str, "the number of the connection")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlSend(CtlCommand):
    """Send bytes to one client."""

    words: tuple[str, ...] = argument(
        "CONN TEXT",
        str,
        "the number of the connection, and the text: \\n, \\r, \\t, \\0, \\xHH and \\\\ are understood",
    )
    hex: bytes | None = option(
        "--hex", metavar="HEX", parse=parse_hex, group=_HOW, help="these bytes instead of a text: 0d0a",
        excludes=("--file",),
    )  # fmt: skip
    file: str | None = option(
        "--file", metavar="FILE", group=_HOW, help="what is in a file instead of a text; - is standard input"
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlBroadcast(CtlCommand):
    """Send a text to every client."""

    text: tuple[str, ...] = argument("TEXT", str, "the text, with escapes as in `send`")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlClose(CtlCommand):
    """Close a connection in order: what is buffered for the client goes out first."""

    conn: tuple[str, ...] = argument("CONN", str, "the number of the connection")
    reset: bool = flag(
        "--reset", help="at once and with RST: what is buffered is lost", group=_HOW, excludes=("--half",)
    )
    half: bool = flag("--half", help="only our direction: the client gets FIN and may go on sending", group=_HOW)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlPause(CtlCommand):
    """Read nothing from a client until `resume`: what it sends waits in the kernel, then on its side."""

    conn: tuple[str, ...] = argument("CONN", str, "the number of the connection")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlResume(CtlCommand):
    """Read from a client again."""

    conn: tuple[str, ...] = argument("CONN", str, "the number of the connection")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlThrottle(CtlCommand):
    """Limit both directions of a connection to a rate."""

    words: tuple[str, ...] = argument(
        "CONN RATE", str, "the number of the connection, and bytes a second (10k/s) or `off`"
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlFault(CtlCommand):
    """Put a fault on an open connection, take one or all out, or say which it has."""

    words: tuple[str, ...] = argument(
        "CONN SPEC", str,
        "the number of the connection, and a fault as in `listen --fault`, `off` for all, `off N` for number N; "
        "without it the faults are listed",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlNote(CtlCommand):
    """Write a note on a connection; an empty one takes it away."""

    words: tuple[str, ...] = argument("CONN TEXT", str, "the number of the connection, and the note")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlLimit(CtlCommand):
    """Change limits of the server, or say what they are."""

    changes: tuple[str, ...] = argument(
        "NAME=VALUE", str,
        "limits: max_conns, max_conns_per_ip, idle_timeout, half_close_timeout; `off` is none; "
        "without any they are listed",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlAllow(CtlCommand):
    """Let a network connect: once one is allowed, only such ones may; without NET, who may is listed."""

    net: tuple[str, ...] = argument("NET", str, "an address or a network: 10.0.0.0/8")
    remove: bool = flag("--remove", help="take it off the list", group=_HOW)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlDeny(CtlCommand):
    """Let a network connect no more; those who are connected stay. Without NET, who may not is listed."""

    net: tuple[str, ...] = argument("NET", str, "an address or a network: 10.0.0.0/8")
    remove: bool = flag("--remove", help="take it off the list", group=_HOW)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlEvents(CtlCommand):
    """The events of a server as they happen, shown as `listen` shows them."""

    filter: tuple[str, ...] = argument(
        "FILTER", str, "which of them: conn = 7, event = closed, reason = peer_reset, by = web*, peer 10.0.0.0/8 …"
    )
    payload: str = option(
        "--payload", metavar="HOW", choices=("none", "head", "all"), default="all", group=_LOOK,
        help="the bytes that pass: none of them, the first of each event, or all",
    )  # fmt: skip
    after: int | None = option(
        "--after", metavar="SEQ", parse=int, group=_WHICH,
        help="begin with the event after this number, as far as it is held", default_help="what happens from now on",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlDrain(CtlCommand):
    """Accept nobody any more, and end the server with its last client."""

    within: str | None = option(
        "--within", metavar="DURATION", group=_HOW, help="how long clients have to leave",
        default_help="as --drain of the server says, else as long as they like",
    )  # fmt: skip


CTL_COMMANDS: dict[str, type] = {
    "servers": CtlServers,
    "conns": CtlConns,
    "show": CtlShow,
    "send": CtlSend,
    "broadcast": CtlBroadcast,
    "close": CtlClose,
    "pause": CtlPause,
    "resume": CtlResume,
    "throttle": CtlThrottle,
    "fault": CtlFault,
    "note": CtlNote,
    "limit": CtlLimit,
    "allow": CtlAllow,
    "deny": CtlDeny,
    "events": CtlEvents,
    "drain": CtlDrain,
}
