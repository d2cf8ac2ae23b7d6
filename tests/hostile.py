"""All of Unicode's control and format characters, and programs at a terminal that must show none of them."""

import contextlib
import os
import pty
import re
import sys
import termios
import threading
import tty
import unicodedata
from collections.abc import Iterator

from support import Program

CHARACTERS = "".join(
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")
)
"""Controls, formats (directions and characters without a width among them) and separators; surrogates are no UTF-8."""

SURROGATES = "".join(map(chr, range(0xD800, 0xE000)))

OSC_52 = "\x1b]52;c;aGk=\x07\x9b31m\n\u202e"
"""What a hostile peer would send first: the clipboard, a colour, a line of its own, the other direction."""

PAYLOAD = f"{OSC_52}{CHARACTERS}".encode() + SURROGATES.encode("utf-8", "surrogatepass") + bytes(range(256))

ARGUMENT = os.fsdecode(f"{OSC_52}{CHARACTERS}".replace("\0", "").encode() + b"\xff\xed\xa0\x80")
"""The same as an argument: no NUL, and bytes that are no UTF-8."""

FIELD = f"{OSC_52}{CHARACTERS}"
"""The same as a string of JSON or of an index."""


def unsafe(shown: bytes, expected: str = "\n") -> list[str]:
    """The characters that should not have reached a terminal, by number."""
    text = shown.decode("utf-8", "surrogateescape")
    return [f"U+{ord(each):04X}" for each in dict.fromkeys(text) if not each.isprintable() and each not in expected]


class Terminal:
    """A terminal without line editing and without line ends of its own, read by a thread."""

    def __init__(self) -> None:
        self.controller, self.fd = pty.openpty()
        tty.setraw(self.fd)
        termios.tcsetwinsize(self.fd, (40, 200))
        self.shown = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(self.controller, 1 << 16):
                self.shown += data

    def close(self) -> bytes:
        """All that was shown, once the programs on it have ended."""
        termios.tcdrain(self.fd)
        os.close(self.fd)
        self._reader.join(30)
        os.close(self.controller)
        return bytes(self.shown)


@contextlib.contextmanager
def on_terminal(*arguments: str, expected: str = "\n", **options: object) -> Iterator[tuple[Program, Terminal]]:
    """A ``portside`` with a terminal as its output; what it showed there is checked at the end, and its errors too."""
    terminal = Terminal()
    env = {"NO_COLOR": "1", **options.pop("env", {})}  # type: ignore[dict-item]
    program = Program(*arguments, stdout=terminal.fd, env=env, **options)  # type: ignore[arg-type]
    try:
        yield program, terminal
    finally:
        if program.process.poll() is None:
            program.stop()
        program.kill()
        shown = terminal.close()
    assert unsafe(shown, expected) == [], (arguments, shown[-2000:])
    assert unsafe(bytes(program.err)) == [], (arguments, bytes(program.err[-2000:]))
    assert b"internal error" not in program.err, (arguments, bytes(program.err))
    assert not re.search(rb"Traceback", program.err), (arguments, bytes(program.err))
