"""``console --web``: the page of servers that run already, until a signal."""

import asyncio
import signal

from portside.addresses import Address
from portside.app.loop import run
from portside.app.signals import readable_at_signal
from portside.control.client.finder import Find
from portside.control.client.server_info import ask_server
from portside.control.gateway.app import Gateway
from portside.control.stack import Stack
from portside.control.web_listener import WebListener, open_web
from portside.settings.web_page import WebPage

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve_page(settings: WebPage, address: Address, find: Find) -> int:
    """Serve the page at an address, for the servers that ``find`` finds; the exit status.

    Raises PortsideError where there is none, and where the address cannot be listened on.
    """
    client = find(None)
    ask_server(client)
    with readable_at_signal(*_SIGNALS) as ended:
        listener = open_web(settings, address)
        gateway = Gateway(client, find, read_only=settings.web_read_only)
        run(_serve(gateway, listener, ended))
    return 0


async def _serve(gateway: Gateway, listener: WebListener, ended: int) -> None:
    """Serve until a descriptor is readable."""
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    loop.add_reader(ended, end.set)
    stack = Stack(gateway.app(listener.access()))
    await stack.serve(listener.socket, listener.context)
    listener.announce()
    await end.wait()
    loop.remove_reader(ended)
    gateway.close()
    await stack.stop()
