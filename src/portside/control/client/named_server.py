"""The server that a command of ``ctl`` is for, alone or one of several."""

from typing import Any, NamedTuple

from portside.control.client.http_client import ControlClient


class NamedServer(NamedTuple):
    """A server. ``pid`` is its process where it has to be told from others, None where there is no doubt."""

    client: ControlClient
    pid: int | None = None

    def name(self, conn: int) -> str:
        """A connection in a sentence: ``#7``, or with the process ``4242/7``."""
        return f"#{conn}" if self.pid is None else f"{self.pid}/{conn}"

    @property
    def lead(self) -> str:
        """The beginning of a sentence about the server."""
        return "" if self.pid is None else f"{self.pid}: "

    def labelled(self, answer: dict[str, Any]) -> dict[str, Any]:
        """An answer of the API, with the process in front."""
        return answer if self.pid is None else {"server": self.pid, **answer}
