"""The settings of ``portside load``."""

from dataclasses import dataclass

from portside.addresses import Address
from portside.errors import InvalidValue
from portside.settings import Example, argument, client_tls, flag, option, options
from portside.settings.values import log_level, parse_source, tls_key, tls_key_password_file
from portside.units import parse_count, parse_positive_duration, parse_rate

_HOW_MUCH, _WHAT, _CONNECTIONS, _TLS, _REPORT = (
    "How much, and when", "What is sent", "Connections", "TLS", "The report"
)  # fmt: skip
MOST_WORKERS = 64


def parse_workers(text: str) -> int:
    """Read how many processes there are to be."""
    workers = parse_count(text)
    if workers > MOST_WORKERS:
        raise InvalidValue(f"{workers} processes are more than {MOST_WORKERS}, the most there may be")
    return workers


@dataclass(frozen=True, kw_only=True)
class Load:
    """Load on a TCP server, and what can honestly be said of its answers."""

    examples = (
        Example("see how many answers a second an echo server gives", "portside load 9000 --duration 5s"),
        Example(
            "see how long answers take at a steady rate, and fail where that is too long",
            "portside load 9000 --rate 2k/s --fail-if 'p99 > 50ms'",
        ),
        Example(
            "open a connection for each request, as many clients do",
            r"portside load 9000 --message 'ping\n' --reply lines:1 --per-connection 1",
        ),
    )

    target: tuple[str, ...] = argument(
        "ADDRESS", str, "the server: PORT (of localhost), HOST:PORT, HOST PORT, [::1]:PORT, unix:PATH"
    )
    connections: int = option(
        "-c", "--connections", metavar="N", parse=parse_count, default=50, group=_HOW_MUCH,
        help="how many connections are open at a time", default_help="50",
    )  # fmt: skip
    duration: float | None = option(
        "-d", "--duration", metavar="DURATION", parse=parse_positive_duration, group=_HOW_MUCH,
        help="how long to send, from when all connections are open", default_help="10s", excludes=("--messages",),
    )  # fmt: skip
    messages: int | None = option(
        "-n", "--messages", metavar="N", parse=parse_count, group=_HOW_MUCH,
        help="send so many messages in all, however long that takes", default_help="as many as fit",
    )  # fmt: skip
    rate: float | None = option(
        "--rate", metavar="R/s", parse=parse_rate, group=_HOW_MUCH,
        help="an open loop: so many messages a second are due whatever the server does, and latency counts from when a "
        "message was due",
        default_help="a closed loop: each is sent when the one before it is answered", excludes=("--think",),
    )  # fmt: skip
    pipeline: int = option(
        "--pipeline", metavar="N", parse=parse_count, default=1, group=_HOW_MUCH,
        help="how many messages of a connection may be without an answer at a time", default_help="1",
    )  # fmt: skip
    think: float = option(
        "--think", metavar="DURATION", parse=parse_positive_duration, default=0.0, group=_HOW_MUCH,
        help="how long a connection waits between an answer and its next message", default_help="none",
    )  # fmt: skip
    timeout: float = option(
        "-w", "--timeout", metavar="DURATION", parse=parse_positive_duration, default=5.0, group=_HOW_MUCH,
        help="how long connecting may take, and how long answers are waited for at the end", default_help="5s",
    )  # fmt: skip
    workers: int | None = option(
        "--workers", metavar="N", parse=parse_workers, group=_HOW_MUCH,
        help="how many processes send", default_help="one a core, and at most one a connection",
    )  # fmt: skip
    message: str | None = option(
        "--message", metavar="TEXT|@FILE|random:SIZE", group=_WHAT,
        help="what a message is: text, with the variables of rules (${conn}, ${count}, ${random:1:100}), a file, or "
        "random bytes, others each time",
        default_help="a line of 64 bytes",
    )  # fmt: skip
    reply: str = option(
        "--reply", metavar="echo|none|lines:N|bytes:N|/REGEX/|TEXT", default="echo", group=_WHAT,
        help="when a message counts as answered: it has come back, at once, after so many lines or bytes, or with what "
        "ends an answer",
    )  # fmt: skip
    connect_rate: float | None = option(
        "--connect-rate", metavar="R/s", parse=parse_rate, group=_CONNECTIONS,
        help="open so many connections a second at most", default_help="as fast as they are accepted",
    )  # fmt: skip
    lifetime: float | None = option(
        "--lifetime", metavar="DURATION", parse=parse_positive_duration, group=_CONNECTIONS,
        help="close each connection after this long, and open another",
    )  # fmt: skip
    per_connection: int | None = option(
        "--per-connection", metavar="N", parse=parse_count, group=_CONNECTIONS,
        help="send so many messages on a connection, then close it and open another",
    )  # fmt: skip
    source: tuple[Address, ...] = options(
        "-s", "--source", metavar="ADDRESS", parse=parse_source, group=_CONNECTIONS,
        help="connect from this local address; of several, from each in turn: one has 28,000 ports",
    )  # fmt: skip
    ipv4: bool = flag("-4", help="IPv4 only", group=_CONNECTIONS, excludes=("-6",))
    ipv6: bool = flag("-6", help="IPv6 only", group=_CONNECTIONS)
    tls: bool = client_tls.tls(_TLS)
    tls_servername: str | None = client_tls.tls_servername(_TLS)
    tls_verify: bool | None = client_tls.tls_verify(_TLS)
    tls_ca: str | None = client_tls.tls_ca(_TLS)
    tls_cert: str | None = client_tls.tls_cert(_TLS)
    tls_key: str | None = tls_key(_TLS)
    tls_key_password_file: str | None = tls_key_password_file(_TLS)
    tls_alpn: tuple[str, ...] = client_tls.tls_alpn(_TLS)
    fail_if: tuple[str, ...] = options(
        "--fail-if", metavar="'p99 > 50ms'", group=_REPORT,
        help="end with status 1 where this holds: of p50 p90 p95 p99 p99.9 p99.99 max, with connect. or late. before "
        "it, errors, rate, sent, replies",
    )  # fmt: skip
    json: bool = flag("--json", help="the report as one JSON object", group=_REPORT)
    hdr: str | None = option(
        "--hdr", metavar="FILE", group=_REPORT,
        help="write the latencies to a file, as a log of HdrHistogram in nanoseconds",
    )  # fmt: skip
    log_level: str | None = log_level()
