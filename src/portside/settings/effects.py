"""Options that are understood and would have no effect beside the others: refused, because their user expects one."""

import os
from typing import TYPE_CHECKING

from portside.errors import UsageError
from portside.settings.values import format_of_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.addresses import Address
    from portside.settings.connect import Connect
    from portside.settings.listen import Listen
    from portside.settings.rec import RecShow
    from portside.wire.frame import Frame

_CUT_INTO_LINES = ("text", "classic")  # the formats that cut a stream into lines unless --frame says otherwise
_DECODED = ("text", "classic")  # the formats that show text in the encoding of --encoding
_IP_OPTIONS = {
    "--max-conns-per-ip": "max_conns_per_ip",
    "--allow": "allow",
    "--deny": "deny",
    "--allow-file": "allow_file",
    "--deny-file": "deny_file",
}
_NO_PROBES = "--keepalive is about TCP, and a unix socket has no peer that could vanish"
_NO_IP = "{} is about IP addresses, and a unix socket has none"


def check_listen(settings: "Listen", addresses: "Iterable[Address]") -> None:
    """Check options of ``listen`` that depend on several others. Raises UsageError."""
    if not settings.rules and not settings.reply and not settings.chat:  # these are about messages, too
        formats = [settings.format, *map(format_of_file, settings.output)]
        _check_framing("listen", formats, settings.frame, settings.flags_written)
    written = [_shown_format(settings.format), *map(format_of_file, settings.output)]
    _check_encoding("listen", written, settings.flags_written)
    runs_program = settings.exec is not None or settings.sh_exec is not None
    if settings.crlf and not runs_program and (settings.recv_only or settings.stdin is False):
        other = "--recv-only" if settings.recv_only else "--no-stdin"
        raise UsageError("listen", f"--crlf and {other} exclude each other without --exec or --sh-exec")
    _check_socket_options(settings, addresses)
    if all(address.path is not None for address in addresses):
        for flag, given in (("-4", settings.ipv4), ("-6", settings.ipv6)):
            if given:
                raise UsageError("listen", _NO_IP.format(flag))
        check_unix_alone(settings)
        reaches_ip = settings.forward is not None and settings.forward.path is None
        if "--keepalive" in settings.flags_written and not reaches_ip:
            raise UsageError("listen", _NO_PROBES)


def check_unix_alone(settings: "Listen") -> None:
    """Check options of a server on unix sockets alone, which are known when those passed in are. Raises UsageError."""
    if settings.proxy_protocol:
        return  # a header may say the IP address of the client
    for flag, name in _IP_OPTIONS.items():
        if getattr(settings, name):
            raise UsageError("listen", _NO_IP.format(flag))


def _check_socket_options(settings: "Listen", addresses: "Iterable[Address]") -> None:
    """Check options that are about the sockets of one kind of addresses alone."""
    of_files = [("--unix-mode", settings.unix_mode), ("--unix-group", settings.unix_group)]
    if not any(address.path is not None and not address.is_abstract for address in addresses):
        for flag, value in of_files:
            if value is not None:
                raise UsageError("listen", f"{flag} is about a socket file, and no unix:PATH is among the addresses")
    if all(address.path is not None or address.fd is not None for address in addresses):
        if settings.reuse_port:
            raise UsageError("listen", "--reuse-port is about ports that are opened here, and there are none")
        if any(address.fd is not None for address in addresses):
            for flag, given in (("-4", settings.ipv4), ("-6", settings.ipv6)):
                if given:
                    raise UsageError("listen", f"{flag} has no effect: a socket that was passed in has its family")


def check_connect(settings: "Connect", address: "Address") -> None:
    """Check options of ``connect`` that depend on several others. Raises UsageError."""
    if address.path is not None and "--keepalive" in settings.flags_written:
        raise UsageError("connect", _NO_PROBES)
    has_terminal = settings.exec is None and settings.sh_exec is None and os.isatty(1)
    format_ = settings.format or ("text" if has_terminal else "raw")  # what a terminal gets is escaped as text is
    _check_encoding("connect", [format_], settings.flags_written)


def check_address(settings: "Connect", address: "Address") -> None:
    """Check that an address is one to connect to, with these options. Raises UsageError."""
    if settings.source is not None and address.path is not None:
        raise UsageError("connect", "--source is an IP address, and a unix socket has none")
    if (settings.ipv4 or settings.ipv6) and address.path is not None:
        family = "-4" if settings.ipv4 else "-6"
        raise UsageError("connect", f"{family} is about IP addresses, and a unix socket has none")
    if len(address.ports) > 1 and not settings.scan:
        raise UsageError("connect", f"{address} is a range of ports", "--scan says which of them are open")
    if address.path is None and address.ports[0] == 0:
        raise UsageError("connect", "nobody can be reached at port 0")


def check_name(settings: "Connect", address: "Address") -> None:
    """Check that a certificate can be verified against a name. Raises UsageError."""
    nameless = address.path is not None and settings.tls_servername is None
    if settings.tls and nameless and settings.tls_verify is not False:
        hint = "--tls-servername NAME says whose certificate it is, --no-tls-verify takes any"
        raise UsageError("connect", "a unix socket has no name that a certificate could prove", hint)


def check_show(settings: "RecShow") -> None:
    """Check options of ``rec show`` that depend on several others. Raises UsageError."""
    _check_encoding("rec show", [_shown_format(settings.format)], settings.flags_written)
    _check_framing("rec show", [settings.format], settings.frame, settings.flags_written)


def _check_framing(command: str, formats: list[str], frame: "Frame | None", written: frozenset[str]) -> None:
    if all(name == "raw" for name in formats):
        for flag in ("--frame", "--max-frame"):
            if flag in written:
                raise UsageError(command, f"{flag} has no effect: the raw format is not cut into messages")
    if "--max-frame" in written and not any(_is_cut(name, frame) for name in formats):
        raise UsageError(command, "--max-frame has no effect: nothing is cut into messages", "--frame says how")


def _shown_format(name: str) -> str:
    """The format that standard output gets: raw is escaped for a terminal, as text is."""
    return "text" if name == "raw" and os.isatty(1) else name


def _check_encoding(command: str, formats: list[str], written: frozenset[str]) -> None:
    if "--encoding" in written and not any(name in _DECODED for name in formats):
        what = "--encoding has no effect: nothing is shown as text in that encoding"
        raise UsageError(command, what, "--format text and classic decode what they show")


def _is_cut(name: str, frame: "Frame | None") -> bool:
    """Whether a format cuts a stream into messages."""
    if name == "raw":
        return False
    return name in _CUT_INTO_LINES if frame is None else frame.kind != "none"
