"""What ``rec replay`` prints: a line for each connection, as soon as it is played."""

import threading

import msgspec

from portside.app.bytes_json import bytes_fields, encodable
from portside.app.stdout import write_stdout
from portside.client.replay_result import ReplayResult, describe_result
from portside.client.script import Role
from portside.errors import PortsideError


class ReplayReport:
    """Told by several threads. ``raises``: a failure is the run's own, and not a line among others.

    ``trouble`` is what ``status`` raises; ``over`` says that nobody wants to hear more.
    """

    def __init__(self, role: Role, *, json: bool, raises: bool) -> None:
        self.trouble: BaseException | None = None
        self._role = role
        self._json = json
        self._raises = raises
        self._all_as_recorded = True
        self._unread = False
        self._turn = threading.Lock()

    @property
    def over(self) -> bool:
        return self._unread or self.trouble is not None

    def status(self) -> int:
        """The exit status, once all is told. Raises what went wrong on our side."""
        if self.trouble is not None:
            raise self.trouble
        return 0 if self._all_as_recorded else 1

    def tell(self, conn: int, result: ReplayResult) -> None:
        """A connection was played."""
        fields = _fields(result) if self._json else {}
        self._put(conn, describe_result(result, self._role), fields, as_recorded=result.as_recorded)

    def failed(self, conn: int, error: BaseException) -> None:
        """A connection could not be played, or not to its end; what is no PortsideError is a mistake of ours."""
        if self._raises or not isinstance(error, PortsideError):
            self.trouble = error
        else:
            self._put(conn, f"failed: {error}", {"error": encodable(str(error))}, as_recorded=False)

    def _put(self, conn: int, text: str, fields: dict[str, object], *, as_recorded: bool) -> None:
        line = f"#{conn} {text}\n".encode("utf-8", "surrogateescape")
        if self._json:
            line = (
                msgspec.json.encode({"conn": conn, "as_recorded": as_recorded, **fields, "words": encodable(text)})
                + b"\n"
            )
        with self._turn:
            self._all_as_recorded &= as_recorded
            try:
                self._unread = self._unread or not write_stdout([line])
            except PortsideError as error:  # standard output cannot be written
                self.trouble = error


def _fields(result: ReplayResult) -> dict[str, object]:
    """A result as JSON; what is None is not known, or did not happen."""
    fields: dict[str, object] = {
        name: getattr(result, name) for name in ("sent", "to_send", "received", "expected", "unknown")
    }
    if result.difference is not None:
        offset, before, recorded, got = result.difference
        fields["difference"] = {
            "offset": offset,
            "before": bytes_fields(before),
            "recorded": bytes_fields(recorded),
            "got": bytes_fields(got),
        }
    if result.late is not None:
        fields["late"] = {"arrived": result.late.arrived, "due": result.late.expected}
    return {**fields, "ended": result.ended, "ended_recorded": result.ended_recorded}
