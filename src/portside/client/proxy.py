"""Connecting through a SOCKS5 or HTTP CONNECT proxy (RFC 1928, RFC 1929, RFC 9110 section 9.3.6).

The proxy resolves the peer's name: the network behind it may know names that ours does not. The library talks to
the proxy over a socket that ``client.dial`` has connected, so that addresses, source address and timeout work for a
proxy as for any peer.
"""

import re
import socket
import time
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from python_socks import ProxyError, ProxyType
from python_socks.sync import Proxy as Protocol

from portside.addresses import Address
from portside.client.dial import ClientConnection, ConnectOptions, connect, display_name
from portside.errors import InvalidValue, PortsideError, reason_of
from portside.hostnames import connect_host, socks_host
from portside.wire.escaping import escape

_TYPES = {"socks5": ProxyType.SOCKS5, "socks5h": ProxyType.SOCKS5, "http": ProxyType.HTTP}
_FORM = "write socks5://[USER[:PASSWORD]@]HOST:PORT or http://[USER[:PASSWORD]@]HOST:PORT"
_ESCAPES = "in a user or password write / ? # @ as %2F %3F %23 %40"
_MAX_HEAD = 64 * 1024  # bytes of an HTTP proxy's answer; other clients stop at 8 to 64 KiB
_MAX_REASON = 200  # characters of a proxy's reason
_HTTP = b"HTTP/"
_HEAD_END = re.compile(rb"\n\r?\n")
_SUCCESS = re.compile(rb"^(HTTP/1\.\d) 2\d\d\b")  # any of 2xx (RFC 9110, section 9.3.6), where the library wants 200
_LINE_END = re.compile(rb"\r?\n")
_TOO_LONG = f"the head of its answer is longer than {_MAX_HEAD // 1024} KiB"
_CUT_SHORT = "it closed the connection in the middle of its answer"
_OTHER_KIND = "is it a proxy of this kind?"
_WANTS_CREDENTIALS = "the proxy wants a user and a password: --proxy socks5://USER:PASSWORD@HOST:PORT, or http://…"


class _Credential(str):
    """A user or a password that is sent although it is empty, where the library takes "" for none."""

    def __bool__(self) -> bool:
        return True


class ProxyUrl(NamedTuple):
    """The URL of a proxy. Neither ``str`` nor ``repr`` shows the credentials."""

    scheme: str
    address: Address
    user: str
    password: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"

    def __repr__(self) -> str:
        return f"ProxyUrl({self})"


def parse_proxy(url: str) -> ProxyUrl:
    """Read the URL of a proxy. Raises InvalidValue, without the URL, which may hold a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidValue(f"this is no URL of a proxy: {_FORM}; {_ESCAPES}") from None
    if parts.scheme not in _TYPES:
        raise InvalidValue(f"the URL of a proxy begins with socks5:// or http://: {_FORM}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidValue(f"the URL of a proxy ends with its port: {_FORM}; {_ESCAPES}")
    if not host or not port:
        raise InvalidValue(f"the URL of a proxy names its host and its port: {_FORM}")
    if ":" in host:
        host = host.replace("%25", "%", 1)  # the interface of an address, in a URL (RFC 6874)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user + password).isascii() or max(len(user), len(password)) > 255:
        raise InvalidValue("the user and the password of a proxy are at most 255 ASCII characters each")
    if parts.scheme == "http" and ":" in user:
        raise InvalidValue("the user of an http proxy has no colon (RFC 7617)")
    return ProxyUrl(parts.scheme, Address(host, range(port, port + 1)), user, password)


def connect_through(proxy: ProxyUrl, address: Address, options: ConnectOptions) -> ClientConnection:
    """Connect to an address through a proxy; ``options`` are for the proxy, ``options.timeout`` for all of it.

    Raises PortsideError where the proxy cannot be reached, refuses, or speaks something else.
    """
    what = f"cannot connect to {display_name(address)} through {proxy}"
    try:
        host = (connect_host if proxy.scheme == "http" else socks_host)(address.host or "localhost")
    except InvalidValue as problem:
        raise PortsideError(what, str(problem)) from None
    deadline = time.monotonic() + options.timeout
    try:
        connection = connect(proxy.address, options)
    except PortsideError as error:
        raise PortsideError(f"cannot connect to the proxy {proxy.address}", error.why, error.hint) from None
    stream = _ProxyStream(connection.sock, deadline, by_head=proxy.scheme == "http")
    credential = _Credential if proxy.user or proxy.password else str
    protocol = Protocol(
        _TYPES[proxy.scheme],
        str(proxy.address.host),
        proxy.address.port,
        credential(proxy.user),
        credential(proxy.password),
        rdns=True,
        forward=cast("Any", stream),
    )
    try:
        protocol.connect(host, address.port)
    except TimeoutError:
        raise PortsideError(what, f"no answer within {options.timeout:g}s") from None
    except ProxyError as error:
        raise PortsideError(what, _reason(error), _hint(error)) from None
    except OSError as error:
        raise PortsideError(what, reason_of(error), _OTHER_KIND) from None
    except ValueError:  # from the name's encoding: a part of it is empty or too long
        raise PortsideError(what, "this name of a host cannot be sent to a proxy") from None
    connection.sock.settimeout(None)
    return ClientConnection(connection.sock, display_name(address), connection.local)


class _ProxyStream:
    """A connected socket with the two interfaces that the library needs: a connector, and the stream to the proxy."""

    def __init__(self, sock: socket.socket, deadline: float, *, by_head: bool) -> None:
        self._sock = sock
        self._deadline = deadline
        self._by_head = by_head

    def connect(self, **_: object) -> "_ProxyStream":
        return self

    def sendall(self, data: bytes) -> None:
        self._set_timeout()
        self._sock.sendall(data)

    def recv(self, size: int) -> bytes:
        """The next bytes; of an HTTP answer the whole head, without the tunnel's bytes that follow it.

        A line may end with LF alone (RFC 9112, section 2.2), where the library wants CR LF. What does not begin as an
        answer in HTTP is returned as far as it has come. Raises ProxyError for a head without an end: the rest of it
        would pass for the peer's bytes.
        """
        if not self._by_head:
            self._set_timeout()
            return self._sock.recv(size)
        head, end = b"", None
        while end is None and len(head) < _MAX_HEAD and head[: len(_HTTP)] == _HTTP[: len(head)]:
            self._set_timeout()
            seen = self._sock.recv(_MAX_HEAD, socket.MSG_PEEK)
            if not seen:
                break
            tail = head[-3:]
            end = _HEAD_END.search(tail + seen)
            head += self._sock.recv(len(seen) if end is None else end.end() - len(tail))
        if end is None and head.startswith(_HTTP):
            raise ProxyError(_TOO_LONG if len(head) >= _MAX_HEAD else _CUT_SHORT)
        return _SUCCESS.sub(rb"\1 200", _LINE_END.sub(b"\r\n", head))

    def close(self) -> None:
        self._sock.close()

    def _set_timeout(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)


def _reason(error: ProxyError) -> str:
    """The proxy's reason, which comes from the network as it is, in any length, where it speaks HTTP."""
    words = escape(str(error).encode("utf-8", "surrogateescape"))
    return words if len(words) <= _MAX_REASON else words[:_MAX_REASON] + "…"


def _hint(error: ProxyError) -> str | None:
    if str(error).startswith("Invalid status"):
        return _OTHER_KIND
    if error.error_code == 407 or "authentication" in str(error).lower():
        return _WANTS_CREDENTIALS
    return None
