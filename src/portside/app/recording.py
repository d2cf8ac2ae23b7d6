"""``--record``: the recorder of a run, and notices when the disk cannot be written."""

import sqlite3
from collections.abc import Callable
from functools import partial

from portside.app.event_errors import EventErrors
from portside.app.notices import Notify, write_notice
from portside.errors import reason_of
from portside.record.recorder import Recorder
from portside.record.store import Store
from portside.version import __version__


def start_recorder(
    path: str,
    *,
    mode: int,
    most_bytes: int | None = None,
    sync: bool = False,
    outbound: bool = False,
    on_drained: Callable[[], object] = lambda: None,
    notify: Notify = write_notice,
) -> Recorder:
    """A recorder that writes to the folder ``path``. Raises PortsideError.

    ``mode`` is --record-mode, ``most_bytes`` --record-max, ``sync`` --record-sync.
    ``outbound``: the connection was opened from this side, which is the client's.
    """
    store = Store(
        path,
        version=__version__,
        mode=mode,
        sync=sync,
        most_bytes=most_bytes,
        outbound=outbound,
        on_trouble=partial(_notice_trouble, notify),
    )
    for each in store.found:
        where = f"segment {each.segment}: {each.length} B at {each.offset}"
        notify(f"recording {path}: {where} are lost: {each.why}", None)
    after = f", from connection {store.base + 1} on" if store.base else ""
    notify(f"recording to {path}{after}", None)
    return Recorder(store, on_drained, EventErrors("the recording", notify))


def _notice_trouble(notify: Notify, what: str, error: OSError | sqlite3.Error | None) -> None:
    if error is None:
        notify(f"{what} can be written again", None)
    elif isinstance(error, OSError):
        notify(f"cannot write the {what}: {reason_of(error)}", "the run goes on; what passes meanwhile is a gap in it")
    else:
        notify(f"cannot write {what}: {reason_of(error)}", "it is brought up to date later; the recording goes on")
