"""Line ends of outgoing data: LF becomes CR LF (``-C`` of netcat)."""

import re

_LONE_LF = re.compile(rb"(?<!\r)\n")


class CrLf:
    """Turns each LF that follows no CR into CR LF, wherever the stream is divided into reads."""

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def convert(self, data: bytes) -> bytes:
        """The next bytes of the stream, converted."""
        if not data:
            return data
        skip = self._after_cr and data[0] == 10
        self._after_cr = data[-1] == 13
        if skip:
            return b"\n" + _LONE_LF.sub(b"\r\n", data[1:])
        return _LONE_LF.sub(b"\r\n", data)
