"""The connection to NATS: its options, and the failures of nats-py in our own words."""

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import nats
import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js import errors as js_errors

from portside.errors import PortsideError
from portside.fleet.subjects import STREAM
from portside.settings.broker import BrokerOptions
from portside.version import __version__

logging.getLogger("portside").addHandler(logging.NullHandler())  # silent without --log-level
_log = logging.getLogger(__name__)

CONNECT_S = 5.0
"""How long one server may take to answer, in seconds."""

_RETRY_S = 0.1  # between the two attempts at each server for the first connection
_RECONNECT_S = 1.0
_PING_S = 10
_MOST_PENDING_BYTES = 8 << 20  # what the client holds of messages that the connection has not taken
_MOST_REFUSALS = 16
_NO_SERVER = "is a nats-server with JetStream (`nats-server -js`) running there?"
NO_STREAM_HINT = "`portside fleet init` makes it"
NO_PERMISSION_HINT = "this user of NATS may not do that: portside help fleet lists what agents and readers need"

Answer = TypeVar("Answer")
Changed = Callable[[], Awaitable[None]]
Failed = Callable[[Exception], object]


class BrokerConnection:
    """A connection to NATS and its JetStream. ``close`` ends it.

    ``refusals`` gets what the server says about what this user may not do: a request for it is never answered.
    """

    def __init__(
        self, client: Client, jetstream: JetStreamContext, refusals: asyncio.Queue[Exception] | None = None
    ) -> None:
        self.client = client
        self.jetstream = jetstream
        self.refusals: asyncio.Queue[Exception] = asyncio.Queue() if refusals is None else refusals

    async def allowed(self, asking: Awaitable[Answer]) -> Answer:
        """The answer to a request. Raises what the request raises, and at once what the server says of a refusal."""
        while not self.refusals.empty():
            self.refusals.get_nowait()
        asked = asyncio.ensure_future(asking)
        refused = asyncio.ensure_future(self.refusals.get())
        try:
            await asyncio.wait((asked, refused), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise refused.result()
            return asked.result()
        finally:
            asked.cancel()
            refused.cancel()

    async def close(self) -> None:
        """End the connection at once; may be called again."""
        await self.client.close()


async def connect(
    options: BrokerOptions,
    *,
    name: str,
    is_lasting: bool = False,
    on_disconnected: Changed | None = None,
    on_reconnected: Changed | None = None,
    on_error: Failed | None = None,
    most_pending: int = 4000,
) -> BrokerConnection:
    """Connect to the first server that answers; ``name`` is how it lists us.

    One that ``is_lasting`` is connected anew whenever it breaks, for as long as that takes; another fails where it
    breaks. ``on_error`` gets what no call raises: what we may not do, and what JetStream refuses of what was published
    without waiting (its future never ends, then). ``most_pending`` is how many messages may be published without
    acknowledgement. Raises PortsideError.
    """
    identity = _identity(options)
    told: Exception | None = None
    refusals: asyncio.Queue[Exception] = asyncio.Queue()

    async def keep_error(error: Exception) -> None:
        nonlocal told
        if told is None or not isinstance(error, ConnectionError):  # how it ended tells less than what was said before
            told = error
        if "permissions violation" in str(error).lower() and refusals.qsize() < _MOST_REFUSALS:
            refusals.put_nowait(error)
        _log.warning("NATS: %s", _words(error))
        if on_error is not None:
            on_error(error)

    client = Client()
    try:
        await client.connect(
            servers=list(options.nats),
            name=f"portside {name} {__version__}",
            error_cb=keep_error,
            disconnected_cb=on_disconnected,
            reconnected_cb=on_reconnected,
            max_reconnect_attempts=1,
            reconnect_time_wait=_RETRY_S,  # type: ignore[arg-type]  # it is slept for
            connect_timeout=CONNECT_S,  # type: ignore[arg-type]
            ping_interval=_PING_S,
            max_outstanding_pings=2,
            pending_size=_MOST_PENDING_BYTES,
            **identity,
        )
    except (OSError, nats.errors.Error, ssl.SSLError, TimeoutError, ValueError) as error:
        why = told or error
        await client.close()  # which has nats-py report one more error, where a server has reset the connection
        raise failure(options, why) from error
    # nats-py has one option for the first connection and for those after it.
    client.options.update(
        allow_reconnect=is_lasting, max_reconnect_attempts=-1 if is_lasting else 0, reconnect_time_wait=_RECONNECT_S
    )
    jetstream = client.jetstream(domain=options.js_domain, publish_async_max_pending=most_pending, timeout=CONNECT_S)
    return BrokerConnection(client, jetstream, refusals)


def _identity(options: BrokerOptions) -> dict[str, Any]:
    """The options of nats-py by which a server knows us, and we it. Raises PortsideError for a bad file."""
    for path in (options.creds, options.nkey):
        if path is not None:
            _check_readable(path)
    given = {"user_credentials": options.creds, "nkeys_seed": options.nkey, "tls": _tls(options)}
    return {name: value for name, value in given.items() if value is not None}


def failure(options: BrokerOptions, error: BaseException) -> PortsideError:
    """A failure of nats-py as one of ours, with a hint where there is one."""
    servers = ", ".join(without_password(each) for each in options.nats)
    if isinstance(error, js_errors.NotFoundError | js_errors.NoStreamResponseError):
        return PortsideError(servers, f"there is no stream {STREAM}", NO_STREAM_HINT)
    if isinstance(error, js_errors.ServiceUnavailableError | nats.errors.NoRespondersError):
        return PortsideError(servers, "this NATS server has no JetStream", "start it with `nats-server -js`")
    words = _words(error)
    hint = None
    if "permissions violation" in words.lower():
        hint = NO_PERMISSION_HINT
    elif "authorization" in words.lower() or "authentication" in words.lower():
        hint = "--creds FILE or --nkey FILE, or nats://USER:PASSWORD@HOST"
    elif isinstance(error, OSError | nats.errors.NoServersError) and not isinstance(error, ssl.SSLError):
        hint = _NO_SERVER
    return PortsideError(f"cannot connect to {servers}" if hint == _NO_SERVER else servers, words, hint)


def without_password(url: str) -> str:
    """A URL as it may be shown: without user and password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _words(error: BaseException) -> str:
    """The text of an error of nats-py, in one line."""
    if isinstance(error, OSError) and error.strerror:  # that of asyncio repeats the address
        return os.strerror(error.errno or 0) if error.strerror.startswith("Connect call failed") else error.strerror
    text = str(error).removeprefix("nats: ").strip().strip("'\"")
    return text or type(error).__name__


def _check_readable(path: str) -> None:
    """Raise PortsideError for a file that cannot be read: nats-py would not look before the server asks."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise PortsideError(path, error) from None


def _tls(options: BrokerOptions) -> ssl.SSLContext | None:
    """The context of TLS; None where no option asks for one, so that nats-py takes its own for ``tls://``.

    Raises PortsideError.
    """
    if options.tls_ca is None and options.tls_cert is None:
        return None
    from portside.tls.contexts import TlsFileError, client_context  # which most runs do without

    try:
        return client_context(ca=options.tls_ca, certificate=options.tls_cert, key=options.tls_key)
    except TlsFileError as error:
        path = options.tls_ca if error.role == "authorities" else options.tls_key if error.role == "key" else None
        raise PortsideError(path or options.tls_cert or error.role, str(error.why)) from None
