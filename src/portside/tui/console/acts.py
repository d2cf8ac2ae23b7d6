"""The acts on a connection: each is a request or several, and returns a sentence that says what was done."""

import base64
import enum
from typing import Any, Literal, Protocol

from portside.control.client.http_client import Query
from portside.errors import InvalidValue
from portside.tui.console.link import ConnName
from portside.units import counted, parse_text

How = Literal["fin", "half", "reset"]
_CLOSED = {"fin": "closed", "half": "our direction is ended", "reset": "reset"}


class Asks(Protocol):
    """Whoever sends requests to the server."""

    async def ask(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """One request. Raises ApiError and Unreachable."""


class As(enum.StrEnum):
    """The meaning of a typed line: text that a line feed ends, text and nothing else, or hexadecimal digits."""

    LINE = "line"
    TEXT = "text"
    HEX = "hex"

    def next(self) -> "As":
        """The one that comes after this."""
        members = list(As)
        return members[(members.index(self) + 1) % len(members)]

    def data(self, typed: str) -> bytes:
        """The bytes; escapes are understood in text. Raises InvalidValue."""
        match self:
            case As.LINE:
                data = parse_text(typed) + b"\n"
            case As.TEXT:
                data = parse_text(typed)
            case As.HEX:
                try:
                    data = bytes.fromhex(typed)
                except ValueError:
                    raise InvalidValue("write two hexadecimal digits for each byte: 68 65 6c 6c 6f 0a") from None
        if not data:
            raise InvalidValue("there is nothing to send")
        return data


class Acts:
    """The acts on the connections of one server. All raise InvalidValue, ApiError and Unreachable."""

    def __init__(self, server: Asks) -> None:
        self._server = server

    async def send(self, conn: ConnName, data: bytes) -> str:
        """Send bytes to a client."""
        done = await self._post(conn, "send", {"base64": base64.b64encode(data).decode()})
        return f"#{conn}: sent {done['sent']} B{_waiting(done)}"

    async def pause(self, conn: ConnName, *, pause: bool) -> str:
        """Read nothing from a client, or read from it again."""
        done = await self._post(conn, "pause" if pause else "resume")
        if pause:
            return f"#{conn}: paused{'' if done['changed'] else ' already'}"
        return f"#{conn}: {'resumed' if done['changed'] else 'was not paused'}"

    async def throttle(self, conn: ConnName, rate: str) -> str:
        """Limit both directions to a rate; ``off`` ends that."""
        path = _of(conn, "throttle")
        if rate.strip() in ("", "off"):
            await self._server.ask("DELETE", path)
            return f"#{conn}: throttled no more"
        done = await self._server.ask("PUT", path, body={"rate": rate.strip()})
        return f"#{conn}: throttled to {done['rate']}"

    async def fault(self, conn: ConnName, spec: str) -> str:
        """Put a fault on a connection; ``off`` takes all out, ``off N`` one."""
        path = _of(conn, "faults")
        match spec.split():
            case []:
                raise InvalidValue("write a fault, such as: latency 200ms")
            case ["off"]:
                numbers = [each["id"] for each in (await self._server.ask("GET", path))["items"]]
            case ["off", number] if number.isascii() and number.isdigit():
                numbers = [int(number)]
            case _:
                done = await self._server.ask("POST", path, body={"spec": spec.strip()})
                return f"#{conn}: fault {done['id']}, {done['spec']}"
        for number in numbers:
            await self._server.ask("DELETE", f"{path}/{number}")
        return f"#{conn}: {counted(len(numbers), 'fault')} taken out"

    async def note(self, conn: ConnName, text: str) -> str:
        """Write a note on a connection; an empty one takes it away."""
        await self._server.ask("PATCH", f"/api/v1/connections/{conn}", body={"note": text.strip()})
        return f"#{conn}: {'note: ' + text.strip() if text.strip() else 'no note'}"

    async def close(self, conn: ConnName, how: How) -> str:
        """Close a connection."""
        done = await self._post(conn, "close", {"how": how})
        return f"#{conn}: {_CLOSED[how]}{_waiting(done)}"

    async def _post(self, conn: ConnName, act: str, body: Any = None) -> Any:
        return await self._server.ask("POST", _of(conn, act), body=body)


def _of(conn: ConnName, act: str) -> str:
    return f"/api/v1/connections/{conn}/{act}"


def _waiting(done: dict[str, Any]) -> str:
    return f", {done['buffered']} B wait for the client" if done["buffered"] else ""
