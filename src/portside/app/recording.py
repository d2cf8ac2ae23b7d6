"""``--record``: the recorder of a run, and notices when the disk cannot be written."""

import sqlite3
from collections.abc import Callable

from portside import __version__
from portside.app.event_errors import EventErrors
from portside.app.notices import write_notice
from portside.errors import reason_of
from portside.record.recorder import Recorder
from portside.record.store import Store


def start_recorder(
    path: str,
    *,
    mode: int,
    most_bytes: int | None = None,
    sync: bool = False,
    outbound: bool = False,
    on_drained: Callable[[], object] = lambda: None,
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
        on_trouble=_notice_trouble,
    )
    for each in store.found:
        write_notice(f"recording {path}: segment {each.segment}: {each.length} B at {each.offset} are lost: {each.why}")
    after = f", from connection {store.base + 1} on" if store.base else ""
    write_notice(f"recording to {path}{after}")
    return Recorder(store, on_drained, EventErrors("the recording"))


def _notice_trouble(what: str, error: OSError | sqlite3.Error | None) -> None:
    if error is None:
        write_notice(f"{what} can be written again")
    elif isinstance(error, OSError):
        write_notice(
            f"cannot write the {what}: {reason_of(error)}", "the run goes on; what passes meanwhile is a gap in it"
        )
    else:
        write_notice(
            f"cannot write {what}: {reason_of(error)}", "it is brought up to date later; the recording goes on"
        )
