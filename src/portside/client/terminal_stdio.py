"""Standard output as a terminal, on which nothing from the peer may act as a command."""

from portside.client.stdio import Stdio
from portside.wire.terminal_text import TerminalText


class TerminalStdio(Stdio):
    """Standard input and output where output is a terminal: what comes from the peer is escaped."""

    def __init__(self, source: int | None, sink: int | None) -> None:
        super().__init__(source, sink)
        self._text = TerminalText()

    def write(self, data: memoryview) -> None:
        """Write ``data``, escaped. Raises OutputClosed and PortsideError."""
        super().write(memoryview(self._text.feed(bytes(data))))

    def finish(self) -> None:
        """Write what is held back, at the end of the connection. Raises OutputClosed and PortsideError."""
        super().write(memoryview(self._text.finish()))
