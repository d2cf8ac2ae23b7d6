"""``--chat``: lines to all others with the sender's name; who joins, leaves or takes another name is told.

A client is ``user7`` until it sends ``/nick NAME``. ``/who`` tells who is here. What is no printable text is shown
as an escape, so that no member can send another's terminal a command.
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
_GIVEN = re.compile(r"user\d+", re.IGNORECASE)
_LINE_END = b"\r\n"


class Chat(Group):
    """One room for all clients; ``max_line`` is in bytes, and a longer line is cut."""

    def __init__(self, max_line: int) -> None:
        super().__init__()
        self._max_line = max_line
        self._names: dict[int, str] = {}
        self._lines: dict[int, Framer] = {}
        self._typed = make_framer(Frame("lines"), max_line)

    def opened(self, connection: Connection) -> None:
        name = f"user{connection.number}"
        present = ", ".join(self._names.values()) or "nobody else"
        connection.send(f"* you are {name} (/nick NAME, /who); here: {present}\n".encode())
        self._tell(f"* {name} joined")
        super().opened(connection)
        self._names[connection.number] = name
        self._lines[connection.number] = make_framer(Frame("lines"), self._max_line)

    def received(self, connection: Connection, data: bytes) -> None:
        framer = self._lines.get(connection.number)
        if framer is None:
            return
        name = self._names[connection.number]
        said: list[str] = []
        for line in framer.feed(data, 0.0):
            text = escape(line.rstrip(b"\r\n"))
            if text.startswith("/"):
                self._say(connection, said)
                said = []
                self._command(connection, text)
                name = self._names[connection.number]
            elif text:
                said.append(f"{name}: {text}")
        self._say(connection, said)

    def _say(self, sender: Connection, lines: list[str]) -> None:
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
        others = _GIVEN.fullmatch(name) and name != f"user{connection.number}"  # it may be given to somebody yet
        if not name or len(name) > LONGEST_NAME or ":" in name or " " in name or "\\" in name:
            connection.send(f"* a name has 1 to {LONGEST_NAME} characters, no spaces and no colon\n".encode())
        elif name.casefold() in taken or others:
            connection.send(b"* that name is taken\n")
        else:
            before, self._names[connection.number] = self._names[connection.number], name
            self._tell(f"* {before} is now {name}")

    def transform_stdin(self, data: bytes) -> bytes:
        lines = self._typed.feed(data, 0.0) if data else self._typed.finish()
        return "".join(f"{OPERATOR}: {escape(line.rstrip(_LINE_END))}\n" for line in lines).encode()

    def _tell(self, words: str) -> None:
        self.send_to_others(None, f"{words}\n".encode())

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        super().closed(connection, reason)
        framer = self._lines.pop(connection.number, None)
        name = self._names.pop(connection.number, None)
        if framer is not None and (rest := framer.finish()) and name is not None:
            self._say(connection, [f"{name}: {escape(b''.join(rest))}"])
        if name is not None:
            self._tell(f"* {name} left")
