"""Standard output as a terminal, on which nothing from the peer may act as a command."""

from portside.client.stdio import Stdio
from portside.wire.terminal_text import TerminalText
from portside.wire.text_encoding import UTF_8, ToUtf8


class TerminalStdio(Stdio):
    """Standard input and output where output is a terminal: what comes from the peer is escaped."""

    def __init__(self, source: int | None, sink: int | None, encoding: str) -> None:
        super().__init__(source, sink)
        self._converter = ToUtf8(encoding) if encoding != UTF_8 else None
        self._text = TerminalText()

    def write(self, data: memoryview) -> None:
        """Write ``data``, escaped. Raises OutputClosed and PortsideError."""
        shown = bytes(data) if self._converter is None else self._converter.convert(bytes(data))
        super().write(memoryview(self._text.feed(shown)))

    def finish(self) -> None:
        """Write what is held back, at the end of the connection. Raises OutputClosed and PortsideError."""
        rest = b"" if self._converter is None else self._converter.convert(b"", final=True)
        super().write(memoryview(self._text.feed(rest) + self._text.finish()))
