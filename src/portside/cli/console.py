"""``portside console``: check the terminal and the settings, and only then import Textual."""

import os
import sys
from typing import TYPE_CHECKING

from portside.errors import UsageError
from portside.settings.console import Console

if TYPE_CHECKING:
    from portside.control.client.finder import Find


def run(settings: Console) -> int:
    """Show the server that the settings name; the exit status."""
    if len(settings.server) > 1:
        raise UsageError("console", "it takes one SERVER", "see portside console --help")
    if settings.all and settings.server:
        raise UsageError("console", "--all and SERVER exclude each other")
    if settings.web is not None:
        from portside.control.gateway.run import serve_page

        return serve_page(settings, settings.web, _finder(settings))
    check_terminal("console", "`portside ctl` does the same from a script; --web opens a page instead")
    from portside.tui.console.run import run as run_console

    return run_console(_finder(settings))


def _finder(settings: Console) -> "Find":
    """Finds the server that the settings name, or all as one."""
    if settings.all:
        from portside.control.client.all_servers import AllServers

        servers = AllServers()
        return lambda _: servers
    from portside.control.client.finder import ServerFinder
    from portside.control.client.servers import trusting

    return ServerFinder(settings.server[0] if settings.server else None, trusting(settings.tls_ca))


def check_terminal(what: str, hint: str) -> None:
    """Raise UsageError unless standard input and output are a terminal whose cursor can be moved."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(what, "standard input and standard output must be a terminal", hint)
    if os.environ.get("TERM", "dumb") == "dumb":
        raise UsageError(what, f"this terminal cannot show it: TERM={os.environ.get('TERM', '')}", hint)
