"""The settings of ``portside ctl …``: a class for each of its commands.

They are neither compared nor printed: to make the methods for that would take a tenth of the start of each command.
"""

from dataclasses import dataclass

from portside.settings import Example, argument, flag, option
from portside.units import parse_hex

LIMIT_NAMES = ("max_conns", "max_conns_per_ip", "idle_timeout", "half_close_timeout")
_CONN = "the number of the connection, or PID/7 for one of the server with that process"
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
class CtlManyCommand(CtlCommand):
    """The options of the commands that can be for all servers at once."""

    all: bool = flag(
        "--all", group=_SERVER, excludes=("--server", "--tls-ca"),
        help="all servers of this user on this machine, as one: connections are named PID/7",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlServers:
    """The servers of this user that run here."""

    examples = (
        Example("see which servers run", "portside ctl servers"),
        Example("their process numbers alone", "portside ctl servers --json | jq .pid"),
        Example("use one of them, by its port, in another command", "portside ctl conns --server :9000"),
    )

    json: bool = flag("--json", help="what the API answers, a JSON object a line", group=_LOOK)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlConns(CtlManyCommand):
    """The connections of a server, those that a filter leaves."""

    examples = (
        Example("all clients", "portside ctl conns"),
        Example(
            "those that have been silent for a minute, the largest first",
            "portside ctl conns 'idle > 1m' --sort -received",
        ),
        Example("those of all servers that share a port", "portside ctl conns --all --sort -sendq"),
    )

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

    examples = (
        Example("see where the bytes of connection 7 are", "portside ctl show 7"),
        Example("the same on one of several servers, by its process", "portside ctl show 4242/7"),
        Example("as JSON, for a script", "portside ctl show 7 --json"),
    )

    conn: tuple[str, ...] = argument("CONN", str, _CONN)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlSend(CtlCommand):
    """Send bytes to one client."""

    examples = (
        Example("send a line", "portside ctl send 7 'hello\\n'"),
        Example("send bytes", "portside ctl send 7 --hex 02304103"),
        Example("send what is in a file", "portside ctl send 7 --file answer.bin"),
    )

    words: tuple[str, ...] = argument(
        "CONN TEXT",
        str,
        f"{_CONN}, and the text: \\n, \\r, \\t, \\0, \\xHH and \\\\ are understood",
    )
    hex: bytes | None = option(
        "--hex", metavar="HEX", parse=parse_hex, group=_HOW, help="these bytes instead of a text: 0d0a",
        excludes=("--file",),
    )  # fmt: skip
    file: str | None = option(
        "--file", metavar="FILE", group=_HOW, help="what is in a file instead of a text; - is standard input"
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlBroadcast(CtlManyCommand):
    """Send a text to every client."""

    examples = (
        Example("tell all clients", "portside ctl broadcast 'back in a minute\\n'"),
        Example("tell those of one of several servers", "portside ctl broadcast 'hello\\r\\n' --server :9000"),
        Example("as JSON: how many got it", "portside ctl broadcast 'hello\\n' --json"),
    )

    text: tuple[str, ...] = argument("TEXT", str, "the text, with escapes as in `send`")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlClose(CtlCommand):
    """Close a connection in order: what is buffered for the client goes out first."""

    examples = (
        Example("close a connection in order", "portside ctl close 7"),
        Example("send FIN, and go on reading", "portside ctl close 7 --half"),
        Example("see what a client does at a reset", "portside ctl close 7 --reset"),
    )

    conn: tuple[str, ...] = argument("CONN", str, _CONN)
    reset: bool = flag(
        "--reset", help="at once and with RST: what is buffered is lost", group=_HOW, excludes=("--half",)
    )
    half: bool = flag("--half", help="only our direction: the client gets FIN and may go on sending", group=_HOW)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlPause(CtlCommand):
    """Read nothing from a client until `resume`: what it sends waits in the kernel, then on its side."""

    examples = (
        Example("stop reading from a client", "portside ctl pause 7"),
        Example("see where its bytes wait then", "portside ctl pause 7 && portside ctl show 7"),
        Example("stop reading for ten seconds", "portside ctl pause 7 && sleep 10 && portside ctl resume 7"),
    )

    conn: tuple[str, ...] = argument("CONN", str, _CONN)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlResume(CtlCommand):
    """Read from a client again."""

    examples = (
        Example("go on reading from a client", "portside ctl resume 7"),
        Example("the same on one of several servers", "portside ctl resume 7 --server :9000"),
        Example("as JSON, for a script", "portside ctl resume 7 --json"),
    )

    conn: tuple[str, ...] = argument("CONN", str, _CONN)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlThrottle(CtlCommand):
    """Limit both directions of a connection to a rate."""

    examples = (
        Example("give a client a slow line", "portside ctl throttle 7 10k/s"),
        Example("give it all it can take again", "portside ctl throttle 7 off"),
        Example("the same on one of several servers", "portside ctl throttle 7 1M/s --server :9000"),
    )

    words: tuple[str, ...] = argument("CONN RATE", str, f"{_CONN}, and bytes a second (10k/s) or `off`")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlFault(CtlCommand):
    """Put a fault on an open connection, take one or all out, or say which it has."""

    examples = (
        Example("delay all that passes", "portside ctl fault 7 'latency 200ms'"),
        Example("see which faults a connection has", "portside ctl fault 7"),
        Example("take all out again", "portside ctl fault 7 off"),
    )

    words: tuple[str, ...] = argument(
        "CONN SPEC", str,
        f"{_CONN}, and a fault as in `listen --fault`, `off` for all, `off N` for number N; "
        "without it the faults are listed",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlNote(CtlCommand):
    """Write a note on a connection; an empty one takes it away."""

    examples = (
        Example("say who a client is", "portside ctl note 7 'the printer in room 4'"),
        Example("find it by that", "portside ctl conns 'note = *printer*'"),
        Example("take the note away", "portside ctl note 7 ''"),
    )

    words: tuple[str, ...] = argument("CONN TEXT", str, f"{_CONN}, and the note")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlLimit(CtlManyCommand):
    """Change limits of the server, or say what they are."""

    examples = (
        Example("see the limits", "portside ctl limit"),
        Example("let no more than 100 clients in", "portside ctl limit max_conns=100"),
        Example(
            "close clients that are silent for 5 minutes, however many they are",
            "portside ctl limit idle_timeout=5m max_conns=off",
        ),
    )

    changes: tuple[str, ...] = argument(
        "NAME=VALUE", str,
        "limits: max_conns, max_conns_per_ip, idle_timeout, half_close_timeout; `off` is none; "
        "without any they are listed",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlAllow(CtlManyCommand):
    """Let a network connect: once one is allowed, only such ones may; without NET, who may is listed."""

    examples = (
        Example("see who may connect", "portside ctl allow"),
        Example("let one network in, and nobody else", "portside ctl allow 10.0.0.0/8"),
        Example("take it off the list", "portside ctl allow 10.0.0.0/8 --remove"),
    )

    net: tuple[str, ...] = argument("NET", str, "an address or a network: 10.0.0.0/8")
    remove: bool = flag("--remove", help="take it off the list", group=_HOW)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlDeny(CtlManyCommand):
    """Let a network connect no more; those who are connected stay. Without NET, who may not is listed."""

    examples = (
        Example("see who may not connect", "portside ctl deny"),
        Example("keep one address out", "portside ctl deny 192.0.2.7"),
        Example("let it in again", "portside ctl deny 192.0.2.7 --remove"),
    )

    net: tuple[str, ...] = argument("NET", str, "an address or a network: 10.0.0.0/8")
    remove: bool = flag("--remove", help="take it off the list", group=_HOW)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlEvents(CtlManyCommand):
    """The events of a server as they happen, shown as `listen` shows them."""

    examples = (
        Example("follow everything that happens", "portside ctl events"),
        Example("only how connections end", "portside ctl events 'event = closed'"),
        Example("as JSON, without the bytes that pass", "portside ctl events --json --payload none"),
    )

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
        excludes=("--all",),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CtlDrain(CtlManyCommand):
    """Accept nobody any more, and end the server with its last client."""

    examples = (
        Example("end the server once its last client has gone", "portside ctl drain"),
        Example("give them 30 seconds", "portside ctl drain --within 30s"),
        Example("end one of several servers", "portside ctl drain --server :9000"),
    )

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
