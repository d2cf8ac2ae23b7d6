"""``portside fleet …``: what is asked about many machines; a command imports its own module when it runs."""

import sys

from portside.cli.group import Run, check_arguments, run_one
from portside.errors import UsageError
from portside.settings import fleet as settings_of
from portside.settings.fleet import FLEET_COMMANDS


def run(arguments: list[str]) -> int:
    """Run one of the commands; the exit status."""
    return run_one("fleet", FLEET_COMMANDS, _RUNS, arguments)


def _init(settings: settings_of.FleetInit) -> int:
    if settings.replicas is not None and settings.replicas not in (1, 3, 5):
        raise UsageError("fleet init", "--replicas is 1, 3 or 5")
    from portside.fleet.query.init import run_init

    return run_init(settings)


def _nodes(settings: settings_of.FleetNodes) -> int:
    from portside.fleet.query.nodes import run_nodes

    return run_nodes(settings)


def _top(settings: settings_of.FleetTop) -> int:
    from portside.fleet.query.top import run_top

    return run_top(settings)


def _events(settings: settings_of.FleetEvents) -> int:
    from portside.fleet.query.events import run_events

    return run_events(settings)


def _connections(settings: settings_of.FleetConnections) -> int:
    from portside.fleet.query.connections import run_connections

    return run_connections(settings)


def _findings(settings: settings_of.FleetFindings) -> int:
    from portside.fleet.query.findings import run_findings

    return run_findings(settings)


def _export(settings: settings_of.FleetExport) -> int:
    (file,) = check_arguments("fleet export", settings.file, "FILE")
    name = settings.format or ("parquet" if file.endswith(".parquet") else "jsonl")
    if file == "-" and name == "parquet" and sys.stdout.isatty():
        raise UsageError("fleet export", "Parquet is no text for a terminal", "name a file")
    from portside.fleet.export.run import run_export

    return run_export(settings, file, name)


def _console(settings: settings_of.FleetConsole) -> int:
    from portside.cli.console import check_terminal

    check_terminal("fleet console", "`portside fleet connections` writes text, and `portside fleet web` opens a page")
    from portside.fleet.console.feed import FleetFeed
    from portside.tui.console.run import run as run_console

    with FleetFeed(settings, settings.site, settings.node) as api:
        return run_console(lambda _: api)


def _web(settings: settings_of.FleetWeb) -> int:
    from portside.control.gateway.run import serve_page
    from portside.fleet.console.feed import FleetFeed

    with FleetFeed(settings, settings.site, settings.node) as api:
        return serve_page(settings, settings.web, lambda _: api)


_RUNS: dict[str, Run] = {
    "init": _init,
    "nodes": _nodes,
    "top": _top,
    "events": _events,
    "connections": _connections,
    "findings": _findings,
    "export": _export,
    "console": _console,
    "web": _web,
}
