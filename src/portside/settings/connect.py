"""The settings of ``portside connect``."""

from dataclasses import dataclass

from portside.addresses import Address
from portside.settings import Example, Written, argument, client_tls, flag, option
from portside.settings.values import (
    FORMATS,
    encoding,
    keepalive,
    log_level,
    parse_retry,
    parse_source,
    record_mode,
    tls_key,
    tls_key_password_file,
)
from portside.units import parse_duration, parse_positive_duration

_DIAL, _SENT, _ENDS, _SHOWN = "How it connects", "What is sent", "How it ends", "What is shown"
_TLS = "TLS"


@dataclass(frozen=True, kw_only=True)
class Connect(Written):
    """Standard input to the peer, the peer to standard output, byte for byte."""

    examples = (
        Example("talk to a server by hand", "portside connect localhost 9000"),
        Example("send a file, and keep the answer", "portside connect localhost:9000 < request.bin > answer.bin"),
        Example("see which ports are open", "portside connect --scan localhost 8000-8100"),
    )

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
    ipv4: bool = flag("-4", help="IPv4 only", group=_DIAL, excludes=("-6",))
    ipv6: bool = flag("-6", help="IPv6 only", group=_DIAL)
    retry: int | None = option(
        "--retry", metavar="N|forever", parse=parse_retry, default=0, group=_DIAL,
        help="how often to try again where connecting fails", default_help="0",
    )  # fmt: skip
    retry_interval: float = option(
        "--retry-interval", metavar="DURATION", parse=parse_duration, default=1.0, group=_DIAL,
        help="how long to wait before the next try", default_help="1s", requires=("--retry",),
    )  # fmt: skip
    proxy: str | None = option(
        "--proxy", metavar="URL", group=_DIAL,
        help="connect through a proxy: socks5://[USER[:PASSWORD]@]HOST:PORT or http://…",
    )  # fmt: skip
    tls: bool = client_tls.tls(_TLS)
    tls_servername: str | None = client_tls.tls_servername(_TLS)
    tls_verify: bool | None = client_tls.tls_verify(_TLS)
    tls_ca: str | None = client_tls.tls_ca(_TLS)
    tls_cert: str | None = client_tls.tls_cert(_TLS)
    tls_key: str | None = tls_key(_TLS)
    tls_key_password_file: str | None = tls_key_password_file(_TLS)
    tls_alpn: tuple[str, ...] = client_tls.tls_alpn(_TLS)
    scan: bool = flag(
        "-z", "--scan", help="only say which ports are open", group=_DIAL,
        excludes=("--proxy", "--tls", "--crlf", "--no-shutdown", "--idle-timeout", "--format", "--record"),
        why=dict.fromkeys(
            ("--crlf", "--no-shutdown", "--idle-timeout", "--format", "--record"), "--scan moves no bytes"
        ),
    )  # fmt: skip
    send_only: bool = flag(
        "--send-only", help="only send: what comes is dropped; ends when all is sent", group=_SENT,
        excludes=("--recv-only", "--exec", "--sh-exec", "--scan"),
    )  # fmt: skip
    recv_only: bool = flag(
        "--recv-only", help="only receive: standard input is not read", group=_SENT,
        excludes=("--exec", "--sh-exec", "--scan"),
    )  # fmt: skip
    crlf: bool = flag(
        "-C", "--crlf", help="end the lines of what is sent with CR LF", group=_SENT, excludes=("--recv-only",),
    )  # fmt: skip
    exec: str | None = option(
        "--exec", metavar="CMD", group=_SENT,
        help="run a program on the connection in place of standard input and output",
        excludes=("--sh-exec", "--scan"),
    )  # fmt: skip
    sh_exec: str | None = option(
        "--sh-exec", metavar="CMD", group=_SENT, help="as --exec, run by /bin/sh",
        excludes=("--scan",),
    )  # fmt: skip
    no_shutdown: bool = flag(
        "--no-shutdown", help="keep our side open after the end of standard input", group=_ENDS,
        excludes=("--recv-only", "--send-only"),
    )  # fmt: skip
    idle_timeout: float | None = option(
        "-i", "--idle-timeout", metavar="DURATION", parse=parse_positive_duration, group=_ENDS,
        help="end when nothing moved for this long",
    )  # fmt: skip
    half_close_timeout: float | None = option(
        "--half-close-timeout", metavar="DURATION", parse=parse_duration, group=_ENDS,
        help="how long one direction goes on after the other has ended", default_help="until it ends",
        excludes=("--scan", "--recv-only"),
    )  # fmt: skip
    keepalive: float | None = keepalive(_ENDS, excludes=("--scan",))
    format: str | None = option(
        "--format", metavar="FORMAT", choices=FORMATS, group=_SHOWN,
        help="what standard output gets; in text > came from the peer, < was sent to it",
        default_help="raw; a terminal gets it escaped",
    )  # fmt: skip
    encoding: str = encoding(_SHOWN, excludes=("--scan",))
    record: str | None = option(
        "--record", metavar="DIR", group=_SHOWN,
        help="keep everything that passes in a recording (see portside rec)",
    )  # fmt: skip
    record_mode: int = record_mode(_SHOWN)
    verbose: bool = flag("-v", "--verbose", help="say on standard error what happens", group=_SHOWN)
    log_level: str | None = log_level()

    @property
    def is_formatted(self) -> bool:
        """Whether standard output gets events; otherwise it gets the peer's bytes."""
        return self.format not in (None, "raw")
