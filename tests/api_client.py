"""A client of the control API: plain HTTP over the unix socket of a program, or over TCP."""

import http.client
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from support import DEADLINE_S, Program


class Answer(NamedTuple):
    """An answer of the API."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def control_path(program: Program) -> Path:
    """The path of a program's control socket."""
    return Path(os.environ["XDG_RUNTIME_DIR"], "portside", f"{program.process.pid}.sock")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(str(self._path))


def ask(
    where: Program | str,
    path: str,
    method: str = "GET",
    body: object = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Ask a program on its control socket, or a ``HOST:PORT``; ``body`` is sent as JSON unless it is bytes."""
    connection = http.client.HTTPConnection(where, timeout=DEADLINE_S) if isinstance(where, str) else None
    if connection is None:
        assert isinstance(where, Program)
        connection = _UnixConnection(control_path(where))
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def loaded(server: Program) -> Program:
    """A server that has loaded its API, which takes a slow machine long; most who ask one wait for ten seconds."""
    assert server.port
    assert ask(server, "/api/v1/server").status == 200
    return server


def loading(listen: Callable[..., Program]) -> Callable[..., Program]:
    """Starts ``portside listen`` with its API loaded, unless its control socket is in another folder."""

    def start(*arguments: str, **options: Any) -> Program:
        server = listen(*arguments, **options)
        return server if "env" in options else loaded(server)

    return start


class Page(NamedTuple):
    """The address and token of a page (``--web``)."""

    address: str
    token: str

    def ask(self, path: str, method: str = "GET", body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """Ask with the token, unless ``headers`` has another."""
        return ask(self.address, path, method, body, {"Authorization": f"Bearer {self.token}", **(headers or {})})


def page_of(program: Program) -> Page:
    """The page of a program that was started with ``--web``."""
    (link,) = program.wait_for(r"https?://\S+#\S+", err=True)
    address, _, token = link.partition("://")[2].partition("/#")
    return Page(address, token)
