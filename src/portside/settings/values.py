"""Parsers of option values: formats, numbers of tries, addresses to connect from and to."""

import os
from typing import Any

from portside.addresses import NEEDS_INTERFACE, Address, lacks_interface, parse_address
from portside.descriptors import PRIVATE_MODE
from portside.errors import InvalidValue
from portside.nearest import nearest
from portside.settings import option
from portside.units import parse_count, parse_duration, parse_positive_size
from portside.wire.text_encoding import UTF_8, find_encoding, unsuitable

FORMATS = ("text", "json", "hex", "raw", "classic")
_FORMATS_BY_SUFFIX = {".jsonl": "json", ".hex": "hex", ".raw": "raw"}
_MOST_KEEPALIVE_S = 32767  # MAX_TCP_KEEPIDLE (linux/net/tcp.h)
LOG_LEVELS = ("off", "debug", "info", "warning", "error")


def format_of_file(path: str) -> str:
    """The format of a file of ``--output``, by the end of its name."""
    return _FORMATS_BY_SUFFIX.get(os.path.splitext(path)[1], "text")


def log_level() -> Any:
    """The option ``--log-level``, which every command has that opens or reads something."""
    return option(
        "--log-level", metavar="LEVEL", choices=LOG_LEVELS, group="Log",
        help="write what the parts do to standard error, from this level on", default_help="$PORTSIDE_LOG, else off",
    )  # fmt: skip


def parse_encoding(text: str) -> str:
    """Read the name of an encoding, in any form that Python knows: ``latin-1``, ``cp1252``, ``Shift_JIS``."""
    encoding = find_encoding(text)
    if encoding is None:
        from encodings.aliases import aliases

        known = {name: find_encoding(name) for each in aliases.items() for name in each}
        names = [name for name, found in known.items() if found is not None and unsuitable(found) is None]
        near = nearest(text.lower().replace("-", "_"), names)
        hint = f"; did you mean {near.replace('_', '-')}?" if near else ""
        raise InvalidValue(f"{text!r} is no encoding: write utf-8, latin-1, cp1252, shift_jis or another{hint}")
    if why := unsuitable(encoding):
        raise InvalidValue(f"{text!r} does not do for a stream: {why}")
    return encoding


def encoding(group: str, excludes: tuple[str, ...] = ()) -> Any:
    """The option ``--encoding``, of all commands that show text of a stream to people."""
    return option(
        "--encoding", metavar="NAME", parse=parse_encoding, default=UTF_8, default_help="utf-8", group=group,
        help="what text is written in, where it is shown: latin-1, cp1252, shift_jis, utf-16-le …",
        excludes=excludes,
    )  # fmt: skip


def record_mode(group: str) -> Any:
    """The option ``--record-mode``, which goes with ``--record``."""
    return option(
        "--record-mode", metavar="MODE", parse=parse_file_mode, default=PRIVATE_MODE, default_help="600", group=group,
        help="the mode of the recording's files, whatever the umask; who may read them may enter a new folder",
        requires=("--record",),
    )  # fmt: skip


def parse_conn(text: str) -> int:
    """Read the number of a connection."""
    try:
        return parse_count(text.removeprefix("#"))
    except InvalidValue:
        raise InvalidValue(f"{text!r} is no connection: write its number, as the list of them shows it") from None


def parse_file_mode(text: str) -> int:
    """Read the mode of files in octal: their owner may read and write them, and nobody execute them."""
    mode = _octal(text)
    if mode is not None and mode & PRIVATE_MODE == PRIVATE_MODE and not mode & ~0o666:
        return mode
    raise InvalidValue(
        f"{text!r} is no mode for files: write it in octal, 600 to 666, such as 640 for a group that reads"
    )


def parse_socket_mode(text: str) -> int:
    """Read the mode of a socket file in octal."""
    mode = _octal(text)
    if mode is not None and not mode & ~0o777:
        return mode
    raise InvalidValue(f"{text!r} is no mode: write it in octal, such as 660 for a group that may connect, 666 for all")


def _octal(text: str) -> int | None:
    is_octal = text.isascii() and text.isdigit() and len(text) <= 4 and not set(text) & {"8", "9"}
    return int(text, 8) if is_octal else None


def parse_group(text: str) -> int:
    """Read a group of this machine by its name, or any by its number."""
    import grp

    try:
        return grp.getgrnam(text).gr_gid
    except (KeyError, ValueError):
        if text.isascii() and text.isdigit() and int(text) < 0xFFFFFFFF:  # which chown(2) takes for no change
            return int(text)
        raise InvalidValue(f"no group of this machine is called {text!r}; `getent group` lists them") from None


def parse_retry(text: str) -> int | None:
    """Read a number of further tries, or ``forever`` (None)."""
    return None if text == "forever" else 0 if text == "0" else parse_count(text)


def parse_source(text: str) -> Address:
    """Read the local address to connect from: ``HOST``, ``HOST:PORT`` (port 0: any) or ``PORT``; a host is no name."""
    if text.isdecimal():
        text = f":{text}"
    if text.count(":") == 1 or "]:" in text:
        address = parse_address(text)
        if address.path is not None or len(address.ports) > 1:
            raise InvalidValue(f"{text!r} is no source: write HOST or HOST:PORT")
        if address.host is not None:
            _check_source(address.host)
        return address
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    _check_source(host)
    return Address(host, range(1))


def _check_source(host: str) -> None:
    from ipaddress import ip_address  # which takes longer than all the rest here

    try:
        ip_address(host)
    except ValueError:
        raise InvalidValue(f"{host!r} is no IP address: write HOST, HOST:PORT or PORT, HOST in numbers") from None


def parse_alpn(text: str) -> tuple[str, ...]:
    """Read the names of protocols, ``h2,http/1.1``: 1 to 255 ASCII characters each (RFC 7301, section 3.1)."""
    names = tuple(text.split(","))
    if not all(0 < len(name) <= 255 and name.isascii() and name.isprintable() for name in names):
        raise InvalidValue(f"{text!r} are no names of protocols: write h2,http/1.1")
    return names


def parse_keepalive(text: str) -> float | None:
    """Read how long a peer may be silent before it is probed, in seconds; ``off`` is None."""
    if text == "off":
        return None
    seconds = parse_duration(text)
    if not 1 <= seconds <= _MOST_KEEPALIVE_S:
        raise InvalidValue(f"{text!r} is too {'short' if seconds < 1 else 'long'}: write 1s to 9h, or off")
    return seconds


def tls_key(group: str) -> Any:
    """The option ``--tls-key``, of both ends of TLS."""
    return option(
        "--tls-key", metavar="FILE", group=group, help="its private key, PEM; may be encrypted",
        requires=("--tls", "--tls-cert"),
    )  # fmt: skip


def tls_key_password_file(group: str) -> Any:
    """The option ``--tls-key-password-file``, of both ends of TLS."""
    return option(
        "--tls-key-password-file", metavar="FILE", group=group,
        help="the password of an encrypted key, in the first line",
        requires=("--tls", "--tls-cert"),
    )  # fmt: skip


def keepalive(group: str, excludes: tuple[str, ...] = ()) -> Any:
    """The option ``--keepalive``, of both ends of a connection."""
    return option(
        "--keepalive", metavar="DURATION|off", parse=parse_keepalive, default=120.0, group=group, default_help="2m",
        help="probe a peer that has been silent for this long; one that answers no probe has vanished",
        excludes=excludes,
    )  # fmt: skip


def parse_upstream(text: str) -> Address:
    """Read the one address to connect to: ``12345``, ``HOST:PORT``, ``[::1]:PORT`` or ``unix:PATH``."""
    address = parse_address(text)
    if len(address.ports) > 1:
        raise InvalidValue(f"{text!r} is a range of ports, and it takes one")
    if address.path is None and address.port == 0:
        raise InvalidValue("nobody can be reached at port 0")
    if address.host is not None and lacks_interface(address.host):
        raise InvalidValue(NEEDS_INTERFACE)
    return address


def parse_web(text: str) -> Address:
    """Read the address of the page: ``8080``, ``HOST:PORT`` or ``[::1]:PORT``; port 0 picks a free one."""
    address = parse_address(text)
    if address.path is not None:
        raise InvalidValue("a browser reaches no unix socket; `curl --unix-socket` reaches the control socket")
    if len(address.ports) > 1:
        raise InvalidValue(f"{text!r} is a range of ports, and it takes one")
    if address.host is not None and lacks_interface(address.host):
        raise InvalidValue(NEEDS_INTERFACE)
    return address


def parse_record_max(text: str) -> int:
    """Read the most bytes of a recording: at least 1M."""
    size = parse_positive_size(text)
    if size < 1 << 20:
        raise InvalidValue("a recording needs at least 1M")
    return size


def parse_seed(text: str) -> int:
    """Read a seed: a whole number from 0."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise InvalidValue(f"{text!r} is no seed: write a whole number from 0")
    return int(text)
