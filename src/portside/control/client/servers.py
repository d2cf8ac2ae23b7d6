"""Which servers run here, and which of them a command is for."""

import os
from collections.abc import Container
from typing import TYPE_CHECKING, Any, NamedTuple

from portside.control.client.at_once import ask_at_once
from portside.control.client.exchange import Api
from portside.control.client.http_client import ApiError, ControlClient, Silent, Unreachable, api_of_link
from portside.control.client.named_server import NamedServer
from portside.control.client.server_info import ask_server
from portside.control.socket_path import ControlSocket, check_folder, control_folder, list_sockets
from portside.errors import PortsideError

if TYPE_CHECKING:
    import ssl

_MOST_NAMED = 8  # servers in a hint
_NONE_RUNS = "`portside listen` starts one; one of another user, or with --no-control, cannot be reached"


class FoundServer(NamedTuple):
    """A server that answers: its API, and what it says of itself (``GET /api/v1/server``)."""

    client: ControlClient
    info: dict[str, Any]

    @property
    def pid(self) -> int:
        """The number of the process."""
        return int(self.info["pid"])

    @property
    def named(self) -> NamedServer:
        """This server, named by its process."""
        return NamedServer(self.client, self.pid)

    @property
    def addresses(self) -> list[str]:
        """The addresses that it listens on."""
        return [each["address"] for each in self.info["listeners"]]


def local_servers(known: Container[int] = ()) -> list[FoundServer]:
    """The servers of this user on this machine that answer, by process, without the ``known``. Raises PortsideError."""
    return ask_servers(known)[0]


def named_servers(known: Container[int] = ()) -> list[NamedServer]:
    """The servers of ``local_servers``, named by their processes. Raises PortsideError."""
    return [each.named for each in local_servers(known)]


def ask_servers(known: Container[int] = ()) -> tuple[list[FoundServer], dict[int, Silent]]:
    """The servers that answer, without the ``known``, and by their processes why others do not."""
    sockets = [each for each in _own_sockets() if each.pid not in known]
    answers = ask_at_once(_ask, sockets)
    silent = {sock.pid: each for sock, each in zip(sockets, answers, strict=True) if isinstance(each, Silent)}
    return [each for each in answers if isinstance(each, FoundServer)], silent


def is_silent(pid: int) -> bool:
    """Whether the server that a process is does not answer, for as long as that takes. Raises PortsideError."""
    return any(isinstance(_ask(each), Silent) for each in _own_sockets() if each.pid == pid)


def all_servers() -> tuple[list[FoundServer], list[Silent]]:
    """The servers of this user on this machine, and what is to be told of those that do not answer.

    Raises PortsideError where none answers.
    """
    servers, silent = ask_servers()
    if not servers:
        raise PortsideError("no server", "none runs here that can be reached", _NONE_RUNS)
    return servers, list(silent.values())


def choose_server(
    which: str | None, tls: "ssl.SSLContext | None" = None, *, asked_by: str = "--server"
) -> ControlClient:
    """The server of a name: a process, an address that it listens on, or the link of its page.

    Without a name the only one that runs. Raises PortsideError; ``asked_by`` is what the user writes before the name.
    """
    if which is not None and "://" in which and not which.startswith("tcp://"):
        return ControlClient(api_of_link(which, tls))
    for each in (sockets := _own_sockets()):
        if which == str(each.pid) or (which is None and len(sockets) == 1):
            return _client_of(each)
    servers, _ = all_servers()
    fitting = servers if which is None else [each for each in servers if _is_named(each, which, asked_by)]
    if len(fitting) == 1:
        return fitting[0].client
    hint = f"{asked_by} PID or ADDRESS, of: {_named(fitting or servers)}"
    if fitting:
        raise PortsideError("which server", f"{len(fitting)} run here", hint)
    raise PortsideError(asked_by, f"{which!r} is none of those that run here", hint)


def server_of_process(pid: int) -> ControlClient:
    """The server that a process is. Raises PortsideError."""
    for each in _own_sockets():
        if each.pid == pid:
            return _client_of(each)
    hint = f"there are {_named(servers)}" if (servers := local_servers()) else _NONE_RUNS
    raise PortsideError("no server", f"process {pid} is none that can be reached", hint)


def trusting(ca_file: str | None) -> "ssl.SSLContext | None":
    """The context for an https link that trusts the certificates of a file; None without one. Raises PortsideError."""
    if ca_file is None:
        return None
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise PortsideError(ca_file, error) from None


def _client_of(control: ControlSocket) -> ControlClient:
    return ControlClient(Api(f"server {control.pid}", control.path))


def _own_sockets() -> list[ControlSocket]:
    folder = control_folder()
    if not os.path.lexists(folder):
        return []
    check_folder(folder)
    return list_sockets(folder)


def _ask(control: ControlSocket) -> FoundServer | Silent | None:
    client = _client_of(control)
    try:
        info = ask_server(client)
    except Silent as error:
        return error
    except (Unreachable, ApiError):
        return None  # it is ending, or its process number now belongs to another program
    return FoundServer(client, info) if info["pid"] == control.pid else None


def _is_named(server: FoundServer, which: str, asked_by: str) -> bool:
    from portside.addresses import parse_address
    from portside.errors import InvalidValue

    try:
        wanted = parse_address(which)
    except InvalidValue as error:
        raise PortsideError(asked_by, str(error)) from None
    for text in server.addresses:
        address = parse_address(text)
        same_host = wanted.host is None or wanted.host == address.host
        if wanted == address or (same_host and wanted.ports == address.ports and address.ports):
            return True
    return False


def _named(servers: list[FoundServer]) -> str:
    named = [f"{each.pid} ({', '.join(each.addresses)})" for each in servers[:_MOST_NAMED]]
    if len(servers) > _MOST_NAMED:
        named.append(f"and {len(servers) - _MOST_NAMED} more")
    return ", ".join(named)
