"""The folder of an outbox: this user's alone, and one agent's at a time.

outbox.lock               held by the agent (flock(2)) for as long as it runs
outbox.sqlite             the database, with its -wal and -shm
outbox.damaged.sqlite     the last database that could not be read
"""

import fcntl
import os
from contextlib import suppress

from portside.control.socket_path import check_folder
from portside.errors import PortsideError

_LOCK, _DATABASE, _DAMAGED = "outbox.lock", "outbox.sqlite", "outbox.damaged.sqlite"
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


class OutboxFolder:
    """A folder that this process has locked; made where it is not there. ``close`` gives it free.

    Raises PortsideError where it cannot be used: it holds other files, is another user's, or another agent has it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.database = os.path.join(path, _DATABASE)
        try:
            _make(path)
            check_folder(path)
            self._lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _PRIVATE_FILE)
        except OSError as error:
            raise PortsideError(f"outbox {path}", error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            if not isinstance(error, BlockingIOError):
                raise PortsideError(f"outbox {path}", error) from None
            raise PortsideError(
                f"outbox {path}", "another agent uses it", "one agent a machine; a second one needs an --outbox DIR"
            ) from None

    def make_file(self) -> None:
        """Make the file of the database, which nobody else may read; those that SQLite adds get its mode.

        Raises OSError.
        """
        os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _PRIVATE_FILE))

    def set_aside(self) -> str:
        """Give a damaged database another name, in the place of an earlier one: the path. Raises OSError."""
        aside = os.path.join(self.path, _DAMAGED)
        os.replace(self.database, aside)
        for end in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.replace(self.database + end, aside + end)
        return aside

    def remove_file(self) -> None:
        """Remove the database. Raises OSError."""
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(self.database + end)

    def close(self) -> None:
        """Give the folder free."""
        os.close(self._lock)


def _make(path: str) -> None:
    """Make a folder and those above it; raises PortsideError for one that holds other files."""
    if not os.path.lexists(path):
        if above := os.path.dirname(os.path.abspath(path)):
            os.makedirs(above, exist_ok=True)
        with suppress(FileExistsError):  # another agent was faster
            os.mkdir(path, _PRIVATE_FOLDER)
    elif os.path.isdir(path):
        names = os.listdir(path)
        if names and _LOCK not in names:
            raise PortsideError(f"outbox {path}", "it holds other files", "name an empty folder, or one not there yet")
