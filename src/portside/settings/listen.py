"""The settings of ``portside listen``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from portside.addresses import Address, parse_addresses
from portside.settings import Example, Written, argument, flag, option, options, switch, web_page
from portside.settings.values import (
    FORMATS,
    encoding,
    keepalive,
    log_level,
    parse_alpn,
    parse_group,
    parse_record_max,
    parse_seed,
    parse_socket_mode,
    parse_upstream,
    record_mode,
    tls_key,
    tls_key_password_file,
)
from portside.units import parse_count, parse_duration, parse_positive_duration, parse_positive_size, parse_text
from portside.wire.frame import Frame, parse_frame

if TYPE_CHECKING:
    from portside.wire.faults.model import FaultSpec

DEFAULT_PORT = 12345

_SHOWN, _WHO, _BACK = "What is shown", "Who may connect", "What a client gets back"
_SENT, _RUN = "What is sent", "The run"
_TLS = "TLS"
_FAULTS = "Faults"
_CONSOLES = "Consoles"
_ANSWERS = ("--echo", "--chat", "--broker", "--exec", "--sh-exec", "--handler", "--forward", "--rules", "--reply")


def _parse_fault(text: str) -> "FaultSpec":
    from portside.settings.faults import parse_fault  # what only --fault needs is imported for it alone

    return parse_fault(text)


@dataclass(frozen=True, kw_only=True)
class Listen(Written):
    """A TCP server for any number of clients at once, which shows what each of them sends."""

    examples = (
        Example("show what each client of port 9000 sends", "portside listen 9000"),
        Example(
            "stand between clients and a server, show both directions, and keep them",
            "portside listen 9000 --forward localhost:5432 --record capture",
        ),
        Example("see how a client bears a slow server", "portside listen 9000 --echo --fault 'latency 200ms'"),
    )

    addresses: tuple[Address, ...] = argument(
        "ADDRESS",
        str,
        "where to listen: 12345, HOST:PORT or HOST PORT, [::1]:PORT, 8000-8010, unix:PATH, fd:N; "
        f"port 0 picks a free one (default: what systemd passed, else {DEFAULT_PORT} on every interface)",
        parse_all=parse_addresses,
    )
    format: str = option(
        "--format", metavar="FORMAT", default="text", choices=FORMATS, group=_SHOWN,
        help="what standard output gets",
    )  # fmt: skip
    frame: Frame | None = option(
        "--frame", metavar="FRAME", parse=parse_frame, group=_SHOWN,
        help="how a stream is cut into messages: none, lines, delim:HEX, fixed:N, "
        "length:TYPE[@OFFSET][+N|-N] (TYPE: u8, u16be, u16le, u24be, u24le, u32be, u32le), idle:DURATION",
        default_help="lines in text and classic, none otherwise",
    )  # fmt: skip
    max_frame: int = option(
        "--max-frame", metavar="SIZE", parse=parse_positive_size, default=64 * 1024, group=_SHOWN,
        help="the longest message; a longer one is cut and marked (not with --frame none)", default_help="64k",
    )  # fmt: skip
    encoding: str = encoding(_SHOWN)
    output: tuple[str, ...] = options(
        "-o", "--output", metavar="FILE", group=_SHOWN,
        help="write events to a file too, in the format of its name's end (.jsonl, .hex, .raw, else text); "
        "appends; SIGHUP opens it anew",
    )  # fmt: skip
    record: str | None = option(
        "--record", metavar="DIR", group=_SHOWN,
        help="keep everything that passes in a recording, losing nothing (see portside rec)",
    )  # fmt: skip
    record_mode: int = record_mode(_SHOWN)
    record_max: int | None = option(
        "--record-max", metavar="SIZE", parse=parse_record_max, group=_SHOWN,
        help="the most that the recording may take on disk, from 1M; the oldest closed connections go first",
        requires=("--record",),
    )  # fmt: skip
    record_sync: bool = flag(
        "--record-sync", group=_SHOWN, help="wait for the disk at each flush, so that a power failure loses no more",
        requires=("--record",),
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
        help="only these may connect: an address, a network (10.0.0.0/8) or a name, or several with commas between",
    )  # fmt: skip
    deny: tuple[str, ...] = options(
        "--deny", metavar="NET", group=_WHO, help="these may not connect, whatever --allow says",
    )  # fmt: skip
    allow_file: tuple[str, ...] = options(
        "--allow-file", metavar="FILE", group=_WHO,
        help="as --allow: any number on a line, with spaces or commas between; # begins a comment",
    )  # fmt: skip
    deny_file: tuple[str, ...] = options(
        "--deny-file", metavar="FILE", group=_WHO, help="as --deny, written as --allow-file",
    )  # fmt: skip
    echo: bool = flag("--echo", help="what a client sends comes back", group=_BACK, excludes=_ANSWERS)
    chat: bool = flag(
        "--chat", group=_BACK,
        help="lines go to all others with the sender's name; joins and leaves are told; /nick NAME, /who",
        excludes=_ANSWERS,
    )  # fmt: skip
    broker: bool = flag(
        "--broker", help="what a client sends goes to all others, byte for byte", group=_BACK,
        excludes=_ANSWERS,
    )  # fmt: skip
    exec: str | None = option(
        "--exec", metavar="CMD", group=_BACK,
        help="run a program for each client, with the connection as its standard input and output; "
        "at most 100 at once, or --max-conns",
        excludes=_ANSWERS,
    )  # fmt: skip
    sh_exec: str | None = option(
        "-c", "--sh-exec", metavar="CMD", group=_BACK, help="as --exec, run by /bin/sh",
        excludes=_ANSWERS,
    )  # fmt: skip
    pty: bool = flag(
        "--pty", group=_BACK,
        help="give the program of each client a terminal of 80x24: a shell prompts and edits lines, and Ctrl-C "
        "(byte 03) interrupts",
        requires_one=("--exec", "--sh-exec"),
    )  # fmt: skip
    handler: str | None = option(
        "--handler", metavar="FILE.py:NAME", group=_BACK,
        help="call an async function of yours with each connection (see portside help handler)",
        excludes=_ANSWERS,
    )  # fmt: skip
    forward: Address | None = option(
        "--forward", metavar="ADDRESS", parse=parse_upstream, group=_BACK,
        help="connect each client with this address, and show what passes both ways",
        excludes=(*_ANSWERS, "--stdin"),
    )  # fmt: skip
    forward_tls: bool = flag(
        "--forward-tls", help="speak TLS to the address of --forward", group=_BACK,
        requires=("--forward",),
    )  # fmt: skip
    forward_tls_ca: str | None = option(
        "--forward-tls-ca", metavar="FILE", group=_BACK,
        help="who may have signed its certificate, PEM", default_help="those that the system trusts",
        requires=("--forward-tls",),
    )  # fmt: skip
    forward_tls_verify: bool | None = switch(
        "--forward-tls-verify", "check its certificate and name", _BACK, default_help="checked",
        requires=("--forward-tls",),
    )  # fmt: skip
    send_proxy: str | None = option(
        "--send-proxy", metavar="VERSION", choices=("v1", "v2"), group=_BACK,
        help="tell the address of --forward who the client is: a PROXY protocol header comes first",
        requires=("--forward",),
    )  # fmt: skip
    rules: str | None = option(
        "--rules", metavar="FILE", group=_BACK,
        help="answer as the rules in this file say (see portside rules); SIGHUP reads it again",
        excludes=_ANSWERS,
    )  # fmt: skip
    reply: tuple[str, ...] = options(
        "--reply", metavar="'PATTERN => ANSWER'", group=_BACK,
        help="answer a message so; PATTERN is text (with * for anything), /regex/ or hex:DE??, and the first that fits "
        "answers; ANSWER is text or hex:06",
        excludes=_ANSWERS,
    )  # fmt: skip
    greet: bytes | None = option(
        "--greet", metavar="TEXT", parse=parse_text, group=_BACK,
        help="sent to each client first; \\n, \\r, \\t, \\0 and \\xHH are understood",
    )  # fmt: skip
    tls: bool = flag(
        "--tls", group=_TLS,
        help="speak TLS; without --tls-cert a throw-away certificate is made and its SHA-256 fingerprint printed",
    )  # fmt: skip
    tls_cert: str | None = option(
        "--tls-cert", metavar="FILE", group=_TLS,
        help="the certificate, PEM, followed by those that lead to its CA; the key may be in the same file",
        requires=("--tls",),
    )  # fmt: skip
    tls_key: str | None = tls_key(_TLS)
    tls_key_password_file: str | None = tls_key_password_file(_TLS)
    tls_ca: str | None = option(
        "--tls-ca", metavar="FILE", group=_TLS,
        help="who may have signed the certificates of clients; a client may come without one, but not with another",
        requires=("--tls",),
    )  # fmt: skip
    tls_verify: bool = flag(
        "--tls-verify", help="a client must have a certificate that --tls-ca signed", group=_TLS,
        requires=("--tls", "--tls-ca"),
        why={"--tls-ca": "--tls-ca FILE says who may have signed"},
    )  # fmt: skip
    tls_alpn: tuple[str, ...] = option(
        "--tls-alpn", metavar="LIST", parse=parse_alpn, default=(), group=_TLS,
        help="the protocols to agree on with ALPN, the preferred one first: h2,http/1.1",
        requires=("--tls",),
    )  # fmt: skip
    max_handshakes: int = option(
        "--max-handshakes", metavar="N", parse=parse_count, default=512, group=_TLS,
        help="handshakes at once; more clients wait, and one that takes longer than 1s gives its place to them",
        requires=("--tls",),
    )  # fmt: skip
    proxy_protocol: bool = flag(
        "--proxy-protocol", group=_WHO,
        help="a PROXY v1 or v2 header comes first; its source is the peer shown",
    )  # fmt: skip
    proxy_protocol_from: tuple[str, ...] = options(
        "--proxy-protocol-from", metavar="NET", group=_WHO,
        help="only these may connect, the proxies: an address, a network or a name",
        requires=("--proxy-protocol",),
    )  # fmt: skip
    fault: "tuple[FaultSpec, ...]" = options(
        "--fault", metavar="SPEC", parse=_parse_fault, group=_FAULTS,
        help="make connections misbehave: 'latency 200ms', 'rate 10k/s', 'stall after 1k', 'reset at 100', "
        "'corrupt 0.01 out p=0.1' and others (see portside help faults)",
    )  # fmt: skip
    fault_seed: int | None = option(
        "--fault-seed", metavar="N", parse=parse_seed, group=_FAULTS,
        help="the same faults at the same places again, where chance has a part in them",
        default_help="another each time",
        requires=("--fault",),
    )  # fmt: skip
    stdin: bool | None = switch(
        "--stdin", help="send standard input to every connected client", group=_SENT,
        default_help="when it is a terminal; with --once or --send-only also when it is a pipe or a file",
        excludes=("--recv-only",),
    )  # fmt: skip
    send_only: bool = flag(
        "--send-only", help="only send: what clients send is dropped", group=_SENT,
        excludes=("--recv-only", "--no-stdin", *_ANSWERS),
        why=dict.fromkeys(_ANSWERS, "--send-only drops what clients send"),
    )  # fmt: skip
    recv_only: bool = flag("--recv-only", help="only receive: standard input is not read", group=_SENT)
    crlf: bool = flag(
        "-C", "--crlf", group=_SENT,
        help="end the lines of standard input, and of what a program of --exec writes, with CR LF",
    )  # fmt: skip
    once: bool = flag(
        "--once", group=_RUN,
        help="serve one client, then end: 0 if it closed in order, 1 if not",
    )  # fmt: skip
    idle_timeout: float | None = option(
        "-i", "--idle-timeout", metavar="DURATION", parse=parse_positive_duration, group=_RUN,
        help="close a connection on which nothing moved for this long",
    )  # fmt: skip
    half_close_timeout: float | None = option(
        "--half-close-timeout", metavar="DURATION", parse=parse_duration, group=_RUN,
        help="how long one direction goes on after the other has ended",
        default_help="until it ends; with many clients 0s for standard input",
    )  # fmt: skip
    keepalive: float | None = keepalive(_RUN)
    drain: float = option(
        "--drain", metavar="DURATION", parse=parse_duration, default=0.0, group=_RUN,
        help="how long SIGTERM waits for clients to finish", default_help="0s",
    )  # fmt: skip
    backlog: int | None = option(
        "--backlog", metavar="N", parse=parse_count, group=_RUN,
        help="how many connections may wait to be accepted", default_help="the kernel's most",
    )  # fmt: skip
    reuse_port: bool = flag(
        "--reuse-port", group=_RUN,
        help="share the port with other processes that set SO_REUSEPORT; the kernel spreads the clients over them",
    )  # fmt: skip
    unix_mode: int | None = option(
        "--unix-mode", metavar="MODE", parse=parse_socket_mode, group=_RUN,
        help="the mode of the socket file, in octal: who may write may connect", default_help="777 less the umask",
    )  # fmt: skip
    unix_group: int | None = option(
        "--unix-group", metavar="GROUP", parse=parse_group, group=_RUN,
        help="the group of the socket file, by name or number", default_help="that of the process",
    )  # fmt: skip
    ipv4: bool = flag("-4", help="IPv4 only", group=_RUN, excludes=("-6",))
    ipv6: bool = flag("-6", help="IPv6 only", group=_RUN)
    web: Address | None = web_page.web(_CONSOLES, "the console page")
    web_read_only: bool = web_page.web_read_only(_CONSOLES)
    web_tls: bool = web_page.web_tls(_CONSOLES)
    web_tls_cert: str | None = web_page.web_tls_cert(_CONSOLES)
    web_tls_key: str | None = web_page.web_tls_key(_CONSOLES)
    tui: bool = flag(
        "--tui", group=_CONSOLES,
        help="the terminal console on this server instead of its output; both end together (see portside console)",
        excludes=("--no-control", "--format", "--stdin", "--send-only"),
    )  # fmt: skip
    no_control: bool = flag(
        "--no-control", group=_CONSOLES, help="no control socket: portside ctl does not find this server"
    )
    log_level: str | None = log_level()
