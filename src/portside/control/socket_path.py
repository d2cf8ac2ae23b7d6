"""Where the control sockets of a user's servers are: one folder, ``PID.sock`` for each server.

The folder is ``$XDG_RUNTIME_DIR/portside`` where that directory is this user's and nobody else may rename what is in
it, else ``/tmp/portside-UID``. It is used where it is a folder (no link) of this user, which nobody else may enter:
what else is there, somebody made who wants to be taken for our servers.
"""

import os
import socket
import stat
from contextlib import suppress
from typing import NamedTuple

from portside.errors import PortsideError

_PRIVATE = 0o700
_SUFFIX = ".sock"
MOST_PID = (1 << 31) - 1  # pid_t


class ControlSocket(NamedTuple):
    """The socket of a server: the number of its process, and the path."""

    pid: int
    path: str


def control_folder() -> str:
    """The folder for the control sockets of this user."""
    runtime, uid = os.environ.get("XDG_RUNTIME_DIR", ""), os.geteuid()
    with suppress(OSError):  # after `su` and `sudo` it may be another user's
        status = os.stat(runtime)
        is_open = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
        if os.path.isabs(runtime) and status.st_uid == uid and not is_open:
            return os.path.join(runtime, "portside")
    return f"/tmp/portside-{uid}"  # noqa: S108


def make_folder() -> str:
    """Make the folder where it is not there: its path. Raises PortsideError where it cannot be used."""
    folder = control_folder()
    try:
        os.mkdir(folder, _PRIVATE)
    except FileExistsError:
        pass
    except OSError as error:
        raise PortsideError(folder, error) from None
    check_folder(folder)
    return folder


def check_folder(folder: str) -> None:
    """Raise PortsideError unless a folder is this user's own and nobody else may enter it."""
    try:
        status = os.lstat(folder)
    except OSError as error:
        raise PortsideError(folder, error) from None
    if not stat.S_ISDIR(status.st_mode):
        raise PortsideError(folder, "it is a link" if stat.S_ISLNK(status.st_mode) else "it is no folder")
    if status.st_uid != os.geteuid():
        raise PortsideError(folder, f"it belongs to another user (uid {status.st_uid})")
    if stat.S_IMODE(status.st_mode) & 0o077:
        try:
            os.chmod(folder, _PRIVATE)
        except OSError as error:
            raise PortsideError(folder, error) from None


def socket_of(pid: int, folder: str) -> str:
    """The path of the control socket of a process."""
    return os.path.join(folder, f"{pid}{_SUFFIX}")


def list_sockets(folder: str) -> list[ControlSocket]:
    """The control sockets in a folder whose processes live, by process; empty where there is no folder."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            pid = _pid_of(entry.name)
            if pid is not None and is_alive(pid):
                found.append(ControlSocket(pid, entry.path))
    return sorted(found)


def remove_stale(folder: str) -> None:
    """Remove the sockets of processes that have ended, and one with this process's number that an earlier one left.

    Nobody may listen on them: a process of another PID namespace that shares the folder only seems to have ended.
    Nothing else in the folder is touched.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            pid = _pid_of(entry.name)
            if pid is not None and (pid == os.getpid() or not is_alive(pid)):
                with suppress(OSError):
                    if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode) and not _is_listening(entry.path):
                        os.unlink(entry.path)


def _is_listening(path: str) -> bool:
    """Whether a process listens on a socket; to it this is a client that goes away at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            pass  # its backlog is full, or it is another user's
    return True


def _pid_of(name: str) -> int | None:
    digits = name.removesuffix(_SUFFIX)
    is_ours = name.endswith(_SUFFIX) and digits.isascii() and digits.isdigit() and len(digits) <= 10
    return int(digits) if is_ours and 0 < int(digits) <= MOST_PID else None


def is_alive(pid: int) -> bool:
    """Whether there is a process with this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
