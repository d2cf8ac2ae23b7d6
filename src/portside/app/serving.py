"""A server made from the settings of ``listen``, for a run of the command and for a program that embeds one."""

import asyncio
from typing import TYPE_CHECKING

from portside.app.faults import make_fault_injector
from portside.app.notices import Notify, write_notice
from portside.server.admission import Admission
from portside.server.behaviour import Behaviour
from portside.server.pre_connect import PreConnect
from portside.server.server import Server
from portside.settings.listen import Listen

if TYPE_CHECKING:
    from portside.server.connection import Publish


def make_server(
    loop: asyncio.AbstractEventLoop,
    settings: Listen,
    publish: "Publish",
    behaviour: Behaviour,
    admission: Admission,
    *,
    pre_connect: PreConnect,
    shows_received: bool,
    shows_sent: bool,
    notify: Notify = write_notice,
) -> Server:
    """The server that settings ask for; nothing of the process is touched, and nothing is accepted before it starts.

    ``shows_received`` and ``shows_sent`` say whether anybody wants the events of payload.
    """
    return Server(
        loop,
        publish,
        admission=admission,
        pre_connect=pre_connect,
        idle_timeout=settings.idle_timeout,
        half_close_timeout=settings.half_close_timeout,
        keepalive=settings.keepalive,
        shows_received=shows_received,
        shows_sent=shows_sent,
        most_clients=1 if settings.once else None,
        behaviour=behaviour,
        greeting=settings.greet,
        faults=make_fault_injector(loop, settings, publish, notify),
    )
