"""The work of each worker, from the settings of a run."""

import os
import socket
from typing import TYPE_CHECKING, Any

from portside.addresses import Address
from portside.client.dial import ConnectOptions, resolve
from portside.errors import InvalidValue, PortsideError, UsageError, reason_of
from portside.hostnames import resolver_host
from portside.load.messages import DEFAULT, MessageSource, parse_message
from portside.load.replies import Reply, parse_reply
from portside.load.schedule import share
from portside.load.work import Target, Work

if TYPE_CHECKING:
    from portside.settings.load import Load

DEFAULT_DURATION_S = 10.0
_NS = 1_000_000_000


def plan(settings: "Load", address: Address) -> list[Work]:
    """The work of each worker. Raises UsageError for values that mean nothing, PortsideError for a name or file."""
    workers = settings.workers or min(len(os.sched_getaffinity(0)), settings.connections)
    if workers > settings.connections:
        raise UsageError(
            "load", f"{workers} workers have only {settings.connections} connections to share: --workers may be fewer"
        )
    messages, reply = _messages(settings), _reply(settings)
    target = _target(settings, address)
    context, servername = _tls(settings, address)
    duration_s = None if settings.messages is not None else settings.duration or DEFAULT_DURATION_S
    works = []
    for worker in range(workers):
        connections = share(settings.connections, workers, worker)
        part = connections / settings.connections
        works.append(
            Work(
                target=target,
                connections=connections,
                first_number=worker + 1,
                step=workers,
                messages=messages,
                reply=reply,
                duration_ns=None if duration_s is None else int(duration_s * _NS),
                most_messages=None if settings.messages is None else share(settings.messages, workers, worker),
                rate=None if settings.rate is None else settings.rate * part,
                offset_ns=0 if settings.rate is None else int(worker * _NS / settings.rate),
                pipeline=settings.pipeline,
                think_ns=int(settings.think * _NS),
                connect_rate=None if settings.connect_rate is None else settings.connect_rate * part,
                lifetime_ns=None if settings.lifetime is None else int(settings.lifetime * _NS),
                per_connection=settings.per_connection,
                timeout_ns=int(settings.timeout * _NS),
                tls=context,
                servername=servername,
                seed=worker,
            )
        )
    return works


def _messages(settings: "Load") -> MessageSource:
    if settings.message is None:
        return parse_message(DEFAULT)
    try:
        return parse_message(settings.message)
    except InvalidValue as problem:
        raise UsageError("load", f"--message {settings.message!r}: {problem}") from None


def _reply(settings: "Load") -> Reply:
    try:
        return parse_reply(settings.reply)
    except InvalidValue as problem:
        raise UsageError("load", f"--reply {settings.reply!r}: {problem}") from None


def _target(settings: "Load", address: Address) -> Target:
    """The first address of the server that takes a connection, and the local ones to connect from."""
    if address.path is not None:
        if settings.source:
            raise UsageError("load", "a unix socket has no address to connect from: --source needs a TCP server")
        return Target(socket.AF_UNIX, address.unix_name)
    family = socket.AF_INET if settings.ipv4 else socket.AF_INET6 if settings.ipv6 else socket.AF_UNSPEC
    found = resolve(address, ConnectOptions(settings.timeout, family))
    chosen = found[0]
    if len(found) > 1:  # of localhost, for one: a server may listen on one of its addresses alone
        chosen = next((each for each in found if _answers(each.family, each.sockaddr, settings.timeout)), chosen)
    return Target(chosen.family, chosen.sockaddr, tuple(_source(each, chosen.family) for each in settings.source))


def _answers(family: int, sockaddr: Any, timeout_s: float) -> bool:
    """Whether an address of the server takes a connection, as one of several may not."""
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(sockaddr)
        except OSError:
            return False
        return bool(sock.getsockname() != sock.getpeername())


def _source(source: Address, family: int) -> Any:
    try:
        found = socket.getaddrinfo(resolver_host(source.host or ""), source.port, family, socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.bind(found[0][4])
    except (OSError, ValueError) as error:
        why = reason_of(error) if isinstance(error, OSError) else str(error)
        raise PortsideError(f"cannot connect from {source}", why) from None
    return found[0][4]


def _tls(settings: "Load", address: Address) -> tuple[Any, str | None]:
    if not settings.tls:
        return None, None
    from portside.app.connect_tls import client_tls

    return client_tls(settings, address)
