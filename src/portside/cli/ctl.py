"""``portside ctl …``: the commands on a running server, one function for each."""

import os
import sys
from typing import TYPE_CHECKING, Any

from portside.cli.group import Run, check_arguments, run_one
from portside.errors import InvalidValue, PortsideError, UsageError
from portside.settings import ctl as settings_of
from portside.settings.ctl import CTL_COMMANDS
from portside.settings.values import parse_conn
from portside.units import parse_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.control.client.http_client import ControlClient
    from portside.control.client.named_server import NamedServer
    from portside.ctl.acts import CtlActs
    from portside.settings.ctl import CtlCommand, CtlManyCommand

_OTHER_SERVER = "it may be none of Portside's, or one of another version; PORTSIDE_DEBUG=1 shows where"
_MOST_SENT_BYTES = 700_000  # what a request of the API can take as base64


def run(arguments: list[str]) -> int:
    """Run one of the commands; the exit status."""
    try:
        return run_one("ctl", CTL_COMMANDS, _RUNS, arguments)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        if os.environ.get("PORTSIDE_DEBUG"):
            raise
        # What the answers of a server have in them is not checked beforehand: that would double the start of ctl.
        raise PortsideError(
            "an answer of the server", f"it cannot be read: {type(error).__name__}: {error}", _OTHER_SERVER
        ) from error


def _servers_of(settings: "CtlManyCommand") -> "tuple[list[NamedServer], int]":
    """The server that a command is for, or all, and the exit status: 1 if one is told not to answer.

    Raises PortsideError.
    """
    from portside.control.client.named_server import NamedServer

    if not settings.all:
        return [NamedServer(_chosen(settings))], 0
    from portside.app.notices import write_notice
    from portside.control.client.servers import all_servers

    servers, silent = all_servers()
    for each in silent:
        write_notice(str(each), each.hint)
    return [each.named for each in servers], 1 if silent else 0


def _chosen(settings: "CtlCommand") -> "ControlClient":
    from portside.control.client.servers import choose_server, trusting

    return choose_server(settings.server, trusting(settings.tls_ca))


def _on_each(settings: "CtlManyCommand", act: "Callable[[CtlActs], None]") -> int:
    """Act on the server, or on all, of which some may fail; the exit status."""
    from portside.ctl.acts import CtlActs

    servers, status = _servers_of(settings)
    if not settings.all:
        act(CtlActs(servers[0], json=settings.json))
        return status
    for server in servers:
        try:
            act(CtlActs(server, json=settings.json))
        except PortsideError as error:
            from portside.app.notices import write_notice

            write_notice(str(error), error.hint)
            status = 1
    return status


def _of(command: str, settings: Any, text: str) -> "tuple[NamedServer, int]":
    """The server and the number of a connection: ``7``, or ``4242/7``. Raises UsageError and PortsideError."""
    from portside.control.client.named_server import NamedServer

    process, slash, number = text.removeprefix("#").rpartition("/")
    conn = _conn(command, number if slash else text)
    if not slash:
        return NamedServer(_chosen(settings)), conn
    if not process.isascii() or not process.isdigit():
        raise UsageError(f"ctl {command}", f"{text!r} is no connection: write its number, or PID/7")
    if settings.server is not None:
        raise UsageError(f"ctl {command}", f"{text} says which server, and so does --server: one of them is enough")
    from portside.control.client.servers import server_of_process

    return NamedServer(server_of_process(int(process)), int(process)), conn


def _one(command: str, settings: Any) -> "tuple[CtlActs, int]":
    """The acts and the connection of a command that takes no more than CONN."""
    return _acts(command, settings, check_arguments(f"ctl {command}", settings.conn, "CONN")[0])


def _acts(command: str, settings: Any, conn: str) -> "tuple[CtlActs, int]":
    from portside.ctl.acts import CtlActs

    server, number = _of(command, settings, conn)
    return CtlActs(server, json=settings.json), number


def _conn(command: str, text: str) -> int:
    try:
        return parse_conn(text)
    except InvalidValue as problem:
        raise UsageError(f"ctl {command}", str(problem)) from None


def _text(command: str, text: str) -> bytes:
    try:
        data = parse_text(text)
    except InvalidValue as problem:
        raise UsageError(f"ctl {command}", str(problem)) from None
    if not data:
        raise UsageError(f"ctl {command}", "there is nothing to send")
    return data


def _servers(settings: settings_of.CtlServers) -> int:
    from portside.ctl.servers import list_servers

    list_servers(json=settings.json)
    return 0


def _conns(settings: settings_of.CtlConns) -> int:
    from portside.ctl.connections import list_connections

    filter_text = " ".join(settings.filter)
    servers, status = _servers_of(settings)
    complete = list_connections(servers, filter_text, settings.sort, closed=settings.closed, json=settings.json)
    return status if complete else 1


def _show(settings: settings_of.CtlShow) -> int:
    (given,) = check_arguments("ctl show", settings.conn, "CONN")
    server, conn = _of("show", settings, given)
    from portside.ctl.connections import show_connection

    show_connection(server, conn, json=settings.json)
    return 0


def _send(settings: settings_of.CtlSend) -> int:
    if settings.hex is None and settings.file is None:
        conn, text = check_arguments("ctl send", settings.words, "CONN TEXT")
        data = _text("send", text)
    else:
        (conn,) = check_arguments("ctl send", settings.words, "CONN")
        data = settings.hex if settings.hex is not None else _read(settings.file or "-")
    acts, number = _acts("send", settings, conn)
    acts.send(number, data)
    return 0


def _read(path: str) -> bytes:
    """The bytes of a file, or of standard input, as far as one request takes it. Raises PortsideError."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MOST_SENT_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(_MOST_SENT_BYTES + 1)
    except OSError as error:
        raise PortsideError(path, error) from None
    if not data:
        raise PortsideError(path, "there is nothing in it")
    if len(data) > _MOST_SENT_BYTES:
        raise PortsideError(path, f"it has more than the {_MOST_SENT_BYTES} bytes that can be sent at once")
    return data


def _broadcast(settings: settings_of.CtlBroadcast) -> int:
    (text,) = check_arguments("ctl broadcast", settings.text, "TEXT")
    data = _text("broadcast", text)
    return _on_each(settings, lambda acts: acts.broadcast(data))


def _close(settings: settings_of.CtlClose) -> int:
    acts, conn = _one("close", settings)
    acts.close(conn, "reset" if settings.reset else "half" if settings.half else "fin")
    return 0


def _pause(settings: settings_of.CtlPause) -> int:
    acts, conn = _one("pause", settings)
    acts.pause(conn)
    return 0


def _resume(settings: settings_of.CtlResume) -> int:
    acts, conn = _one("resume", settings)
    acts.resume(conn)
    return 0


def _throttle(settings: settings_of.CtlThrottle) -> int:
    conn, rate = check_arguments("ctl throttle", settings.words, "CONN RATE")
    acts, number = _acts("throttle", settings, conn)
    acts.throttle(number, None if rate == "off" else rate)
    return 0


def _fault(settings: settings_of.CtlFault) -> int:
    if not settings.words:
        raise UsageError("ctl fault", "it takes CONN SPEC", "see portside ctl fault --help")
    conn, *words = settings.words
    acts, number = _acts("fault", settings, conn)
    spec = " ".join(words)
    match spec.split():
        case []:
            acts.list_faults(number)
        case ["off"]:
            acts.remove_faults(number, None)
        case ["off", which]:
            acts.remove_faults(number, _conn("fault", which))
        case _:
            acts.add_fault(number, spec)
    return 0


def _note(settings: settings_of.CtlNote) -> int:
    conn, text = check_arguments("ctl note", settings.words, "CONN TEXT")
    acts, number = _acts("note", settings, conn)
    acts.note(number, text)
    return 0


def _limit(settings: settings_of.CtlLimit) -> int:
    changes = {}
    for each in settings.changes:
        name, equals, value = each.partition("=")
        if not equals or not value:
            raise UsageError("ctl limit", f"{each!r} is no change: write NAME=VALUE, such as max_conns=500")
        name = name.replace("-", "_")
        if name not in settings_of.LIMIT_NAMES:
            from portside.nearest import nearest

            near = nearest(name, settings_of.LIMIT_NAMES)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(settings_of.LIMIT_NAMES)}"
            raise UsageError("ctl limit", f"no limit is called {name!r}", hint)
        changes[name] = value
    return _on_each(settings, lambda acts: acts.limit(changes))


def _allow(settings: settings_of.CtlAllow) -> int:
    net = _net("allow", settings)
    return _on_each(settings, lambda acts: acts.access("allow", net, remove=settings.remove))


def _deny(settings: settings_of.CtlDeny) -> int:
    net = _net("deny", settings)
    return _on_each(settings, lambda acts: acts.access("deny", net, remove=settings.remove))


def _net(command: str, settings: settings_of.CtlAllow | settings_of.CtlDeny) -> str | None:
    if not settings.net and not settings.remove:
        return None
    return check_arguments(f"ctl {command}", settings.net, "NET")[0]


def _events(settings: settings_of.CtlEvents) -> int:
    from portside.control.client.servers import named_servers
    from portside.ctl.events import show_events

    servers, status = _servers_of(settings)
    show_events(
        servers, named_servers if settings.all else None, " ".join(settings.filter), settings.payload,
        settings.after, json=settings.json,
    )  # fmt: skip
    return status


def _drain(settings: settings_of.CtlDrain) -> int:
    return _on_each(settings, lambda acts: acts.drain(settings.within))


_RUNS: dict[str, Run] = {
    "servers": _servers,
    "conns": _conns,
    "show": _show,
    "send": _send,
    "broadcast": _broadcast,
    "close": _close,
    "pause": _pause,
    "resume": _resume,
    "throttle": _throttle,
    "fault": _fault,
    "note": _note,
    "limit": _limit,
    "allow": _allow,
    "deny": _deny,
    "events": _events,
    "drain": _drain,
}
