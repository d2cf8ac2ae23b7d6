"""The control sockets of the Portside servers on a machine: this user's, and for root those of all users."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from portside.control.socket_path import ControlSocket, control_folder, list_sockets

_RUN, _TMP, _PREFIX = "/run/user", "/tmp", "portside-"  # noqa: S108
_OTHERS: Final = 0o077


def server_sockets(uid: int | None = None, *, run: str = _RUN, tmp: str = _TMP) -> list[ControlSocket]:
    """The sockets of servers whose processes live, for this user, who is root where ``uid`` is 0."""
    own = os.geteuid() if uid is None else uid
    folders = dict.fromkeys([control_folder(), *(_folders_of_all(run, tmp) if own == 0 else ())])
    return [each for folder in folders if is_private(folder, own) for each in list_sockets(folder)]


def _folders_of_all(run: str, tmp: str) -> Iterator[str]:
    for parent, before, after in ((run, "", "/portside"), (tmp, _PREFIX, "")):
        with suppress(OSError), os.scandir(parent) as entries:
            for entry in entries:
                if entry.name.startswith(before) and entry.name.removeprefix(before).isdecimal():
                    yield f"{entry.path}{after}"


def is_private(folder: str, own: int) -> bool:
    """Whether nobody can have made what is in a folder but its owner: ``own``, or for root the user in its path."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode) or status.st_mode & _OTHERS:
        return False
    return status.st_uid == own or (own == 0 and str(status.st_uid) in folder.replace(_PREFIX, "/").split("/"))
