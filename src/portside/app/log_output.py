"""The log on standard error: ``--log-level`` and ``PORTSIDE_LOG``.

Modules log to ``logging.getLogger("portside.PACKAGE.WHAT")``. A record is one line: time (UTC), level, logger, message.
Messages may contain bytes from the network, so every unprintable character is escaped, line feeds too.
"""

import logging

from portside.app.notices import write_stderr
from portside.events import utc
from portside.wire.escaping import escape_text


class _Handler(logging.Handler):
    """Writes records to standard error like notices: a reader that has stopped does not block the run."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write_stderr(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - a call that logs must not fail for what it logs
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        text = escape_text(super().format(record))
        return f"{utc(int(record.created * 1e9))} {record.levelname.lower()} {record.name}: {text}"


def start_logging(level: str) -> None:
    """Write records of at least this level (a name of ``settings.values.LOG_LEVELS``, not ``off``)."""
    root = logging.getLogger("portside")
    root.addHandler(_Handler())
    root.setLevel(level.upper())
    root.propagate = False
