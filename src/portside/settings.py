"""Every option once: its name, type, unit, default and help.

The command line and the reference pages are made from these classes, so an option is spelled here and nowhere
else. A field is an option (``option``, ``flag``, ``switch``) or a positional argument (``argument``); its value
is read by ``parse``, which raises ``ValueProblem`` where the text is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from portside.addresses import Address, parse_address
from portside.errors import ValueProblem
from portside.units import (
    parse_count,
    parse_duration,
    parse_positive_duration,
    parse_positive_size,
)

FORMATS = ("text", "json", "hex", "raw", "classic")
DEFAULT_PORT = 12345


class Spelling(NamedTuple):
    """How one setting is written on the command line."""

    flags: tuple[str, ...]  # empty: a positional argument
    help: str
    group: str
    parse: Callable[[str], Any] = str
    metavar: str | None = None  # None: takes no value
    choices: tuple[str, ...] | None = None
    repeat: bool = False  # may be given several times; the value is a tuple
    negatable: bool = False  # has a --no- form as well
    default_help: str = ""  # how the default reads, where the value itself says too little


class Frame(NamedTuple):
    """How a stream is cut into messages; ``value`` belongs to the kind (see ``parse_frame``)."""

    kind: str
    value: Any = None


_LENGTHS = ("u8", "u16be", "u16le", "u32be", "u32le")


def parse_frame(text: str) -> Frame:
    """Read ``none``, ``lines``, ``delim:HEX``, ``fixed:N``, ``length:u16be`` or ``idle:DURATION``.

    The value of ``delim`` is bytes, of ``fixed`` bytes a message, of ``length`` the name of an integer and of
    ``idle`` seconds.
    """
    kind, colon, value = text.partition(":")
    if kind in ("none", "lines") and not colon:
        return Frame(kind)
    if kind == "delim":
        try:
            delimiter = bytes.fromhex(value)
        except ValueError:
            delimiter = b""
        if not 0 < len(delimiter) <= 64:
            raise ValueProblem(f"{value!r} is no delimiter: write 1 to 64 bytes in hex, as in delim:0d0a")
        return Frame(kind, delimiter)
    if kind == "fixed":
        return Frame(kind, parse_positive_size(value))
    if kind == "length":
        if value not in _LENGTHS:
            raise ValueProblem(f"{value!r} is no length: write one of {', '.join(_LENGTHS)}")
        return Frame(kind, value)
    if kind == "idle":
        return Frame(kind, parse_positive_duration(value))
    raise ValueProblem(
        f"{text!r} is no way to frame: write none, lines, delim:HEX, fixed:N, length:u16be or idle:DURATION"
    )


def parse_retry(text: str) -> int | None:
    """Read a number of further tries, or ``forever`` (None)."""
    return None if text == "forever" else parse_count(text)


def parse_source(text: str) -> Address:
    """Read the local address to connect from: ``HOST`` or ``HOST:PORT`` (port 0: any)."""
    if text.count(":") == 1 or "]:" in text:
        address = parse_address(text)
        if address.path is not None or len(address.ports) > 1:
            raise ValueProblem(f"{text!r} is no source: write HOST or HOST:PORT")
        return address
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not host or not host.isprintable() or set(host) & set(" []"):
        raise ValueProblem(f"{text!r} is no source: write HOST or HOST:PORT")
    return Address(host, range(1))


def parse_record_max(text: str) -> int:
    """Read the most bytes of a recording: at least 1M."""
    size = parse_positive_size(text)
    if size < 1 << 20:
        raise ValueProblem("a recording needs at least 1M")
    return size


def argument(metavar: str, parse: Callable[[str], Any], help: str) -> Any:  # noqa: A002
    """The positional arguments, any number of them: a tuple."""
    return field(default=(), metadata={"spelling": Spelling((), help, "", parse, metavar, repeat=True)})


def option(
    *flags: str,
    parse: Callable[[str], Any] = str,
    default: Any = None,
    metavar: str,
    help: str,  # noqa: A002
    group: str,
    choices: tuple[str, ...] | None = None,
    default_help: str = "",
) -> Any:
    """An option that takes a value."""
    spelling = Spelling(flags, help, group, parse, metavar, choices, default_help=default_help)
    return field(default=default, metadata={"spelling": spelling})


def options(*flags: str, parse: Callable[[str], Any] = str, metavar: str, help: str, group: str) -> Any:  # noqa: A002
    """An option that takes a value and may be given several times: a tuple, empty by default."""
    return field(default=(), metadata={"spelling": Spelling(flags, help, group, parse, metavar, repeat=True)})


def flag(*flags: str, help: str, group: str) -> Any:  # noqa: A002
    """An option without a value: False, or True where it is given."""
    return field(default=False, metadata={"spelling": Spelling(flags, help, group)})


def switch(flag: str, help: str, group: str, *, default_help: str) -> Any:  # noqa: A002
    """An option with a ``--no-`` form: None where neither is given."""
    spelling = Spelling((flag,), help, group, negatable=True, default_help=default_help)
    return field(default=None, metadata={"spelling": spelling})


def spellings(settings: type) -> list[tuple[str, Spelling, Any]]:
    """The settings of a class in their order: (name, spelling, default)."""
    return [(each.name, each.metadata["spelling"], each.default) for each in fields(settings)]


_SHOWN, _WHO, _SENT, _RUN = "What is shown", "Who may connect", "What is sent", "The run"
_DIAL, _ENDS = "How it connects", "How it ends"


@dataclass(frozen=True, kw_only=True)
class Listen:
    """A TCP server for any number of clients at once, which shows what each of them sends."""

    addresses: tuple[Address, ...] = argument(
        "ADDRESS",
        parse_address,
        f"where to listen: 12345, HOST:PORT, [::1]:PORT, 8000-8010, unix:PATH; port 0 picks a free one "
        f"(default: {DEFAULT_PORT}, on every interface)",
    )
    format: str = option(
        "--format", metavar="FORMAT", default="text", choices=FORMATS, group=_SHOWN,
        help="what standard output gets",
    )  # fmt: skip
    frame: Frame | None = option(
        "--frame", metavar="FRAME", parse=parse_frame, group=_SHOWN,
        help="how a stream is cut into messages: none, lines, delim:HEX, fixed:N, "
        "length:u8|u16be|u16le|u32be|u32le, idle:DURATION",
        default_help="lines in text and classic, none otherwise",
    )  # fmt: skip
    max_frame: int = option(
        "--max-frame", metavar="SIZE", parse=parse_positive_size, default=64 * 1024, group=_SHOWN,
        help="the longest message; a longer one is cut and marked (not with --frame none)", default_help="64k",
    )  # fmt: skip
    output: tuple[str, ...] = options(
        "-o", "--output", metavar="FILE", group=_SHOWN,
        help="write events to a file too, in the format of its name's end (.jsonl, .hex, .raw, else text); "
        "appends; SIGHUP opens it anew",
    )  # fmt: skip
    record: str | None = option(
        "--record", metavar="DIR", group=_SHOWN,
        help="keep everything that passes in a recording, losing nothing (see portside rec)",
    )  # fmt: skip
    record_max: int | None = option(
        "--record-max", metavar="SIZE", parse=parse_record_max, group=_SHOWN,
        help="the most that the recording may take on disk, from 1M; the oldest closed connections go first",
    )  # fmt: skip
    record_sync: bool = flag(
        "--record-sync", group=_SHOWN, help="wait for the disk at each flush, so that a power failure loses no more",
    )  # fmt: skip
    max_conns: int | None = option(
        "--max-conns", metavar="N", parse=parse_count, group=_WHO,
        help="clients at once; one more is closed at once",
    )  # fmt: skip
    max_conns_per_ip: int | None = option(
        "--max-conns-per-ip", metavar="N", parse=parse_count, group=_WHO,
        help="clients at once from one IP address",
    )  # fmt: skip
    allow: tuple[str, ...] = options(
        "--allow", metavar="NET", group=_WHO,
        help="only these may connect: an address, a network (10.0.0.0/8) or a name",
    )  # fmt: skip
    deny: tuple[str, ...] = options(
        "--deny", metavar="NET", group=_WHO, help="these may not connect, whatever --allow says",
    )  # fmt: skip
    allow_file: tuple[str, ...] = options(
        "--allow-file", metavar="FILE", group=_WHO, help="as --allow, one a line; # begins a comment",
    )  # fmt: skip
    deny_file: tuple[str, ...] = options(
        "--deny-file", metavar="FILE", group=_WHO, help="as --deny, one a line; # begins a comment",
    )  # fmt: skip
    stdin: bool | None = switch(
        "--stdin", help="send standard input to every connected client", group=_SENT,
        default_help="only when it is a terminal",
    )  # fmt: skip
    send_only: bool = flag("--send-only", help="only send: what clients send is dropped", group=_SENT)
    recv_only: bool = flag("--recv-only", help="only receive: standard input is not read", group=_SENT)
    crlf: bool = flag("-C", "--crlf", help="end the lines of standard input with CR LF", group=_SENT)
    once: bool = flag(
        "--once", group=_RUN,
        help="serve one client, then end: 0 if it closed in order, 1 if not",
    )  # fmt: skip
    idle_timeout: float | None = option(
        "-i", "--idle-timeout", metavar="DURATION", parse=parse_positive_duration, group=_RUN,
        help="close a connection on which nothing moved for this long",
    )  # fmt: skip
    drain: float = option(
        "--drain", metavar="DURATION", parse=parse_duration, default=0.0, group=_RUN,
        help="how long SIGTERM waits for clients to finish", default_help="0s",
    )  # fmt: skip
    backlog: int | None = option(
        "--backlog", metavar="N", parse=parse_count, group=_RUN,
        help="how many connections may wait to be accepted", default_help="the kernel's most",
    )  # fmt: skip
    ipv4: bool = flag("-4", help="IPv4 only", group=_RUN)
    ipv6: bool = flag("-6", help="IPv6 only", group=_RUN)


@dataclass(frozen=True, kw_only=True)
class Connect:
    """Standard input to the peer, the peer to standard output, byte for byte."""

    target: tuple[str, ...] = argument(
        "ADDRESS",
        str,
        "whom to connect to: PORT (of localhost), HOST:PORT, HOST PORT, [::1]:PORT, unix:PATH; "
        "with --scan ports may be ranges",
    )
    timeout: float = option(
        "-w", "--timeout", metavar="DURATION", parse=parse_positive_duration, default=10.0, group=_DIAL,
        help="how long connecting may take, for each address of the name", default_help="10s",
    )  # fmt: skip
    source: Address | None = option(
        "-s", "--source", metavar="ADDRESS", parse=parse_source, group=_DIAL,
        help="the local address to connect from: HOST or HOST:PORT",
    )  # fmt: skip
    ipv4: bool = flag("-4", help="IPv4 only", group=_DIAL)
    ipv6: bool = flag("-6", help="IPv6 only", group=_DIAL)
    retry: int | None = option(
        "--retry", metavar="N|forever", parse=parse_retry, default=0, group=_DIAL,
        help="how often to try again where connecting fails", default_help="0",
    )  # fmt: skip
    retry_interval: float = option(
        "--retry-interval", metavar="DURATION", parse=parse_duration, default=1.0, group=_DIAL,
        help="how long to wait before the next try", default_help="1s",
    )  # fmt: skip
    proxy: str | None = option(
        "--proxy", metavar="URL", group=_DIAL,
        help="connect through a proxy: socks5://[USER:PASSWORD@]HOST:PORT or http://…",
    )  # fmt: skip
    scan: bool = flag("-z", "--scan", help="only say which ports are open", group=_DIAL)
    send_only: bool = flag("--send-only", help="only send: what comes is dropped; ends when all is sent", group=_SENT)
    recv_only: bool = flag("--recv-only", help="only receive: standard input is not read", group=_SENT)
    crlf: bool = flag("-C", "--crlf", help="end the lines of what is sent with CR LF", group=_SENT)
    exec: str | None = option(
        "--exec", metavar="CMD", group=_SENT,
        help="run a program on the connection in place of standard input and output",
    )  # fmt: skip
    sh_exec: str | None = option(
        "--sh-exec", metavar="CMD", group=_SENT, help="as --exec, run by /bin/sh",
    )  # fmt: skip
    no_shutdown: bool = flag("--no-shutdown", help="keep our side open after the end of standard input", group=_ENDS)
    idle_timeout: float | None = option(
        "-i", "--idle-timeout", metavar="DURATION", parse=parse_positive_duration, group=_ENDS,
        help="end when nothing moved for this long",
    )  # fmt: skip
    format: str = option(
        "--format", metavar="FORMAT", default="raw", choices=FORMATS, group=_SHOWN,
        help="what standard output gets",
    )  # fmt: skip
    record: str | None = option(
        "--record", metavar="DIR", group=_SHOWN,
        help="keep everything that passes in a recording (see portside rec)",
    )  # fmt: skip
    verbose: bool = flag("-v", "--verbose", help="say on standard error what happens", group=_SHOWN)


_SEEN, _LOOK, _ACT = "What is seen", "How it is shown", "What is done"


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The kernel's own view of every TCP connection of this machine."""

    filter: tuple[str, ...] = argument(
        "FILTER",
        str,
        "which sockets: the language of ss, and more columns (see docs/filter.md); a bare port means either end",
    )
    listening: bool = flag("-l", "--listening", help="listeners, with their accept queues", group=_SEEN)
    all: bool = flag("-a", "--all", help="listeners and connections (default: connections)", group=_SEEN)
    ipv4: bool = flag("-4", help="IPv4 only", group=_SEEN)
    ipv6: bool = flag("-6", help="IPv6 only", group=_SEEN)
    no_processes: bool = flag("-p", "--no-processes", help="do not look for the programs", group=_SEEN)
    netns: str | None = option(
        "--netns", metavar="NAME|PID", group=_SEEN,
        help="look into another network namespace, by its name or a process in it",
    )  # fmt: skip
    source: str | None = option(
        "--source", metavar="SOURCE", choices=("netlink", "proc", "psutil"), group=_SEEN,
        help="where the table comes from", default_help="the best one that works",
    )  # fmt: skip
    once: bool = flag("--once", help="one table, then the end", group=_LOOK)
    json: bool = flag("--json", help="a JSON object a line for each socket", group=_LOOK)
    events: bool = flag(
        "--events", group=_LOOK,
        help="a line each time a connection opens, changes its state or closes, however short it lives",
    )  # fmt: skip
    wide: bool = flag(
        "-w", "--wide", group=_LOOK,
        help="round-trip time, window, retransmits, bytes, timers and limits too",
    )  # fmt: skip
    summary: bool = flag("-s", "--summary", help="counts by state, by program and by peer", group=_LOOK)
    sort: str | None = option("--sort", metavar="COLUMN", group=_LOOK, help="sort by a column; -COLUMN the other way")
    interval: float = option(
        "--interval", metavar="DURATION", parse=parse_positive_duration, default=1.0, group=_LOOK,
        help="how often to look", default_help="1s",
    )  # fmt: skip
    kill: bool = flag(
        "--kill", group=_ACT,
        help="destroy the connections that the filter matches, as `ss -K` does, and say which",
    )  # fmt: skip
