"""Text in another encoding than UTF-8, as UTF-8 that the renderers understand (``--encoding``).

A byte that is not of the encoding becomes the four characters ``\\xff``, as ``wire.escaping`` writes a byte that is not
UTF-8. Control characters are converted as they are: escaping comes afterwards.
"""

import codecs
from typing import Final

UTF_8: Final = "utf-8"
_NOT_FOR_STREAMS: Final = {
    "punycode": "it is for names of hosts",
    "utf-7": "its decoder may hold back a stream of any length",
    "utf-16": "its byte order has to be known: utf-16-le or utf-16-be",
    "utf-32": "its byte order has to be known: utf-32-le or utf-32-be",
    "unicode-escape": "it is for Python's source code",
    "raw-unicode-escape": "it is for Python's source code",
}


def find_encoding(name: str) -> str | None:
    """The usual name of an encoding that Python has under some name; None where it has none of text."""
    try:
        found = codecs.lookup(name).name
        b"a".decode(found, "ignore")
    except (LookupError, ValueError):
        return None
    return found


def unsuitable(encoding: str) -> str | None:
    """Why an encoding cannot be used for streams; None where it can."""
    return _NOT_FOR_STREAMS.get(encoding)


class ToUtf8:
    """The converter of one stream. A character that is divided over two calls is converted with the second of them."""

    __slots__ = ("_decoder",)

    def __init__(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")

    def convert(self, data: bytes, *, final: bool = False) -> bytes:
        """The next bytes of the stream; with ``final`` nothing is held back, and the converter may be used anew."""
        try:
            text = self._decoder.decode(data, final)
        except UnicodeError:  # ISO-2022 decoders hold back 8 bytes at most, and an escape sequence seems to be longer
            text = (self._decoder.getstate()[0] + data).decode("ascii", "backslashreplace")
            self._decoder.reset()
        if final:
            self._decoder.reset()
        return text.encode("utf-8", "backslashreplace")
