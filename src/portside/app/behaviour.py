"""Choosing the behaviour of ``listen`` from its settings. A behaviour is imported only when it is used."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from portside.addresses import Address
from portside.app.notices import Notify, write_notice
from portside.errors import UsageError
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection
from portside.server.listener import Listener
from portside.settings.listen import Listen
from portside.wire.escaping import escape

if TYPE_CHECKING:
    import ssl

    from portside.behaviours.forward import EncodeHeader
    from portside.server.connection import Publish


def make_behaviour(
    settings: Listen, listeners: Sequence[Listener], publish: "Publish", notify: Notify = write_notice
) -> Behaviour:
    """The behaviour that settings ask for, beside --greet and standard input; ``publish`` takes its own events.

    ``notify`` gets what programs and functions write beside their data.
    """
    report_line = partial(_report_line, notify)
    if settings.echo:
        from portside.behaviours.echo import Echo

        return Echo()
    if settings.chat:
        from portside.behaviours.chat import Chat

        return Chat(settings.max_frame)
    if settings.broker:
        from portside.behaviours.broker import Broker

        return Broker()
    if settings.exec is not None or settings.sh_exec is not None:
        from portside.behaviours.program import HANGS_UP_S, Programs
        from portside.client.process import split_command

        words = (
            ["/bin/sh", "-c", settings.sh_exec] if settings.sh_exec is not None else split_command(settings.exec or "")
        )
        patience = HANGS_UP_S if settings.half_close_timeout is None else math.inf  # the server closes it then
        return Programs(words, report_line, crlf=settings.crlf, hang_up_s=patience if settings.pty else None)
    if settings.forward is not None:
        from portside.behaviours.forward import Forward
        from portside.server.own_addresses import OwnAddresses

        return Forward(
            settings.forward,
            tls=_upstream_tls(settings),
            encode_header=_header_encoder(settings.send_proxy),
            keepalive=settings.keepalive,
            own=OwnAddresses(listeners),
            publish=publish,
        )
    if settings.handler is not None:
        from portside.behaviours.handler import Handlers, load

        return Handlers(*load(settings.handler), report_line)
    if settings.rules is not None or settings.reply:
        from portside.app.rules import rules_behaviour

        return rules_behaviour(settings, publish)
    return Behaviour()


def refuse_loop(address: Address, listeners: Sequence[Listener]) -> None:
    """Raise UsageError where ``--forward`` leads back to this server, as far as that can be known without DNS.

    A name is looked up when a client comes; where it leads back, the client is reset.
    """
    from portside.behaviours.dialer import known_candidates
    from portside.client.dial import display_name
    from portside.server.own_addresses import OwnAddresses

    own = OwnAddresses(listeners)
    if any(own.contains(each.family, each.sockaddr) for each in known_candidates(address)):
        hint = "give the relay a port of its own, or --forward the port of the server behind it"
        raise UsageError(f"--forward {display_name(address)}", "this server listens there itself", hint)


def _upstream_tls(settings: Listen) -> "ssl.SSLContext | None":
    """The TLS context for the upstream leg, None without TLS. Raises PortsideError for a file that cannot be used."""
    if not settings.forward_tls:
        return None
    from portside.app.tls import upstream_context

    return upstream_context(settings)


def _header_encoder(version: str | None) -> "EncodeHeader | None":
    if version is None:
        return None
    from portside.wire.proxy_header import encode_v1, encode_v2

    return encode_v1 if version == "v1" else encode_v2


def _report_line(notify: Notify, connection: Connection | None, line: bytes) -> None:
    """Show a line that a program or a function wrote beside its data."""
    text = escape(line)
    notify(text if connection is None else f"#{connection.number}: {text}", None)
