"""``--chat``: each line goes to all other clients with its sender's name; joins, leaves and renames are announced.

A client is ``user7`` until it sends ``/nick NAME``; ``/who`` lists the members. Bytes that are not printable are sent
as escapes, so that no member can send a command to another member's terminal.
"""

import re

from portside.behaviours.group import Group
from portside.events import CloseReason
from portside.server.connection import Connection
from portside.wire.escaping import escape
from portside.wire.frame import Frame
from portside.wire.framing import Framer, make_framer

LONGEST_NAME = 32  # characters
OPERATOR = "server"
_DEFAULT_NAME = re.compile(r"user\d+", re.IGNORECASE)
_LINE_END = b"\r\n"


class Chat(Group):
    """One chat room for all clients. A line longer than ``max_line`` bytes is cut."""

    def __init__(self, max_line: int) -> None:
        super().__init__()
        self._max_line = max_line
        self._names: dict[int, str] = {}
        self._lines: dict[int, Framer] = {}
        self._stdin_lines = make_framer(Frame("lines"), max_line)

    def opened(self, connection: Connection) -> None:
        name = f"user{connection.number}"
        present = ", ".join(self._names.values()) or "nobody else"
        connection.send(f"* you are {name} (/nick NAME, /who); here: {present}\n".encode())
        self._announce(f"* {name} joined")
        super().opened(connection)
        self._names[connection.number] = name
        self._lines[connection.number] = make_framer(Frame("lines"), self._max_line)

    def received(self, connection: Connection, data: bytes) -> None:
        framer = self._lines.get(connection.number)
        if framer is None:
            return
        name = self._names[connection.number]
        lines: list[str] = []
        for line in framer.feed(data, 0.0):
            text = escape(line.rstrip(b"\r\n"))
            if text.startswith("/"):
                self._send_lines(connection, lines)
                lines = []
                self._command(connection, text)
                name = self._names[connection.number]
            elif text:
                lines.append(f"{name}: {text}")
        self._send_lines(connection, lines)

    def _send_lines(self, sender: Connection, lines: list[str]) -> None:
        if lines:
            self.send_to_others(sender, ("\n".join(lines) + "\n").encode())

    def _command(self, connection: Connection, text: str) -> None:
        command, _, name = text.partition(" ")
        name = name.strip()
        if command == "/nick":
            self._rename(connection, name)
        elif command == "/who":
            connection.send(f"* here: {', '.join(self._names.values())}\n".encode())
        else:
            connection.send(b"* there are /nick NAME and /who\n")

    def _rename(self, connection: Connection, name: str) -> None:
        taken = {OPERATOR, *(each.casefold() for each in self._names.values())}
        is_default = (
            _DEFAULT_NAME.fullmatch(name) and name != f"user{connection.number}"
        )  # another client may still get it
        if not name or len(name) > LONGEST_NAME or ":" in name or " " in name or "\\" in name:
            connection.send(f"* a name has 1 to {LONGEST_NAME} characters, no spaces and no colon\n".encode())
        elif name.casefold() in taken or is_default:
            connection.send(b"* that name is taken\n")
        else:
            before, self._names[connection.number] = self._names[connection.number], name
            self._announce(f"* {before} is now {name}")

    def transform_stdin(self, data: bytes) -> bytes:
        lines = self._stdin_lines.feed(data, 0.0) if data else self._stdin_lines.finish()
        return "".join(f"{OPERATOR}: {escape(line.rstrip(_LINE_END))}\n" for line in lines).encode()

    def _announce(self, words: str) -> None:
        self.send_to_others(None, f"{words}\n".encode())

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        super().closed(connection, reason)
        framer = self._lines.pop(connection.number, None)
        name = self._names.pop(connection.number, None)
        if framer is not None and (rest := framer.finish()) and name is not None:
            self._send_lines(connection, [f"{name}: {escape(b''.join(rest))}"])
        if name is not None:
            self._announce(f"* {name} left")
