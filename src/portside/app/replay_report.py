"""The output of ``rec replay``: a line for each connection, as soon as its replay has ended."""

import threading

from portside.app.bytes_json import difference_fields
from portside.app.stdout import write_lines, write_stdout
from portside.client.replay_result import ReplayResult, describe_result
from portside.client.script import Role
from portside.errors import PortsideError
from portside.json_text import encode_json


class ReplayReport:
    """Prints the results of several threads as they arrive, and keeps the exit status.

    With ``raises``, a replay that fails makes the run fail instead of printing a line: ``status`` then raises that
    ``failure``.
    """

    def __init__(self, role: Role, *, json: bool, raises: bool) -> None:
        self.failure: BaseException | None = None
        self._role = role
        self._json = json
        self._raises = raises
        self._all_as_recorded = True
        self._output_closed = False
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether no more results are wanted: the run has failed, or standard output has no reader."""
        return self._output_closed or self.failure is not None

    def status(self) -> int:
        """The exit status, once all results are in. Raises what went wrong on our side."""
        if self.failure is not None:
            raise self.failure
        return 0 if self._all_as_recorded else 1

    def add(self, conn: int, result: ReplayResult) -> None:
        """Print the result of a replay."""
        fields = _fields(result) if self._json else {}
        self._put(conn, describe_result(result, self._role), fields, as_recorded=result.as_recorded)

    def failed(self, conn: int, error: BaseException) -> None:
        """Print that a replay failed. An error other than PortsideError is a bug, and fails the run."""
        if self._raises or not isinstance(error, PortsideError):
            self.failure = error
        else:
            self._put(conn, f"failed: {error}", {"error": str(error)}, as_recorded=False)

    def _put(self, conn: int, text: str, fields: dict[str, object], *, as_recorded: bool) -> None:
        fields = {"conn": conn, "as_recorded": as_recorded, **fields, "words": text}
        with self._lock:
            self._all_as_recorded &= as_recorded
            try:
                self._output_closed = self._output_closed or not self._write(fields)
            except PortsideError as error:  # standard output cannot be written
                self.failure = error

    def _write(self, fields: dict[str, object]) -> bool:
        if self._json:
            return write_stdout([encode_json(fields) + b"\n"])
        return write_lines([f"#{fields['conn']} {fields['words']}"])


def _fields(result: ReplayResult) -> dict[str, object]:
    """The fields of a result in JSON; null is unknown, or did not happen."""
    fields: dict[str, object] = {
        name: getattr(result, name) for name in ("sent", "to_send", "received", "expected", "unknown")
    }
    if result.difference is not None:
        fields["difference"] = difference_fields(result.difference, "recorded", "got")
    if result.late is not None:
        fields["late"] = {"arrived": result.late.arrived, "due": result.late.expected}
    return {**fields, "ended": result.ended, "ended_recorded": result.ended_recorded}
