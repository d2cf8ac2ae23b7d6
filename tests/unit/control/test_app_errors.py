"""Errors of the application: reported once each, whether or not the answer has begun."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect

from portside.control.app import Contained
from portside.control.security import Receive, Scope, Send


async def nothing() -> dict[str, Any]:
    raise AssertionError


async def unheard(_message: object) -> None:
    raise AssertionError


def reported(error: Exception, kind: str) -> list[Exception]:
    """What is reported of an application that fails with an error."""
    found: list[Exception] = []

    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    async def call() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: found.append(context["exception"]))
        await Contained(fail, loop)({"type": kind}, nothing, unheard)

    if kind == "websocket" and not isinstance(error, WebSocketDisconnect):
        with pytest.raises(type(error)):  # uvicorn closes it
            asyncio.run(call())
    else:
        asyncio.run(call())
    return found


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_error_of_a_stream_is_reported(kind: str) -> None:
    error = KeyError("a mistake of ours")
    assert reported(error, kind) == [error]


@pytest.mark.parametrize(("kind", "gone"), [("http", ClientDisconnect()), ("websocket", WebSocketDisconnect())])
def test_a_client_that_has_gone_is_no_error(kind: str, gone: Exception) -> None:
    assert reported(gone, kind) == []
