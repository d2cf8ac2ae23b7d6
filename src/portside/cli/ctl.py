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
    from portside.control.client.http_client import ControlClient
    from portside.ctl.acts import CtlActs

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


def _client(settings: Any) -> "ControlClient":
    from portside.control.client.servers import choose_server

    context = None
    if settings.tls_ca is not None:
        import ssl

        try:
            context = ssl.create_default_context(cafile=settings.tls_ca)
        except OSError as error:
            raise PortsideError(settings.tls_ca, error) from None
    return choose_server(settings.server, context)


def _acts(settings: Any) -> "CtlActs":
    from portside.ctl.acts import CtlActs

    return CtlActs(_client(settings), json=settings.json)


def _conn(command: str, text: str) -> int:
    try:
        return parse_conn(text)
    except InvalidValue as problem:
        raise UsageError(f"ctl {command}", str(problem)) from None


def _one_conn(command: str, given: tuple[str, ...]) -> int:
    return _conn(command, check_arguments(f"ctl {command}", given, "CONN")[0])


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
    list_connections(_client(settings), filter_text, settings.sort, closed=settings.closed, json=settings.json)
    return 0


def _show(settings: settings_of.CtlShow) -> int:
    conn = _one_conn("show", settings.conn)
    from portside.ctl.connections import show_connection

    show_connection(_client(settings), conn, json=settings.json)
    return 0


def _send(settings: settings_of.CtlSend) -> int:
    if settings.hex is None and settings.file is None:
        conn, text = check_arguments("ctl send", settings.words, "CONN TEXT")
        data = _text("send", text)
    else:
        (conn,) = check_arguments("ctl send", settings.words, "CONN")
        data = settings.hex if settings.hex is not None else _read(settings.file or "-")
    _acts(settings).send(_conn("send", conn), data)
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
    _acts(settings).broadcast(_text("broadcast", text))
    return 0


def _close(settings: settings_of.CtlClose) -> int:
    conn = _one_conn("close", settings.conn)
    _acts(settings).close(conn, "reset" if settings.reset else "half" if settings.half else "fin")
    return 0


def _pause(settings: settings_of.CtlPause) -> int:
    _acts(settings).pause(_one_conn("pause", settings.conn))
    return 0


def _resume(settings: settings_of.CtlResume) -> int:
    _acts(settings).resume(_one_conn("resume", settings.conn))
    return 0


def _throttle(settings: settings_of.CtlThrottle) -> int:
    conn, rate = check_arguments("ctl throttle", settings.words, "CONN RATE")
    _acts(settings).throttle(_conn("throttle", conn), None if rate == "off" else rate)
    return 0


def _fault(settings: settings_of.CtlFault) -> int:
    if not settings.words:
        raise UsageError("ctl fault", "it takes CONN SPEC", "see portside ctl fault --help")
    conn, *words = settings.words
    number = _conn("fault", conn)
    spec = " ".join(words)
    match spec.split():
        case []:
            _acts(settings).list_faults(number)
        case ["off"]:
            _acts(settings).remove_faults(number, None)
        case ["off", which]:
            _acts(settings).remove_faults(number, _conn("fault", which))
        case _:
            _acts(settings).add_fault(number, spec)
    return 0


def _note(settings: settings_of.CtlNote) -> int:
    conn, text = check_arguments("ctl note", settings.words, "CONN TEXT")
    _acts(settings).note(_conn("note", conn), text)
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
    _acts(settings).limit(changes)
    return 0


def _allow(settings: settings_of.CtlAllow) -> int:
    _acts(settings).access("allow", _net("allow", settings), remove=settings.remove)
    return 0


def _deny(settings: settings_of.CtlDeny) -> int:
    _acts(settings).access("deny", _net("deny", settings), remove=settings.remove)
    return 0


def _net(command: str, settings: settings_of.CtlAllow | settings_of.CtlDeny) -> str | None:
    if not settings.net and not settings.remove:
        return None
    return check_arguments(f"ctl {command}", settings.net, "NET")[0]


def _events(settings: settings_of.CtlEvents) -> int:
    from portside.ctl.events import show_events

    return show_events(
        _client(settings), " ".join(settings.filter), settings.payload, settings.after, json=settings.json
    )


def _drain(settings: settings_of.CtlDrain) -> int:
    _acts(settings).drain(settings.within)
    return 0


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
