"""Whether local ports run out towards some destination: then the diagnosis has to see connections in TIME_WAIT too.

These may be a hundred thousand, each of which takes a kilobyte in a diagnosis, and no other rule asks for them. So the
table is read with them, in its shortest form, only where the kernel counts that many.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from portside.diagnosis.view import mix, mix_address
from portside.errors import PortsideError
from portside.fleet.agent.memory import small_reader
from portside.fleet.agent.node import count_time_wait
from portside.fleet.agent.summaries import ephemeral_ports
from portside.kernel import states
from portside.kernel.backend import DumpRequest
from portside.kernel.decoder import decode
from portside.kernel.dump_reader import LostError
from portside.kernel.inet_diag_types import Rows

NEAR: Final = 0.7  # of the ports; the finding begins at 0.8
_REQUEST: Final = DumpRequest(states=states.ALL & ~(states.LISTENING | 1 << states.CLOSE), details=False)


def ports_run_out() -> bool:
    """Whether one destination has 70 % of the ports that the kernel chooses; false where the table cannot be read."""
    first, last = ephemeral_ports()
    least = NEAR * (last - first + 1)
    if least <= 0 or (count_time_wait() or 0) < least / 2:
        return False
    if (reader := small_reader()) is None:
        return False
    try:
        return most_taken((decode(piece).table.base for piece in reader.pieces(_REQUEST)), first, last) >= least
    except (PortsideError, LostError):
        return False
    finally:
        reader.close()


def most_taken(tables: Iterable[Rows], first: int, last: int) -> int:
    """How many of these local ports are taken towards the destination that has most of them."""
    found = [np.zeros(0, "u8")]
    for each in tables:
        base = each[(each["local_port"] >= first) & (each["local_port"] <= last)]
        keys = mix(base["remote_port"].astype("u8"), base["family"].astype("u8"))
        for side in ("local", "remote"):
            keys = mix_address(keys, np.ascontiguousarray(base[side]).view("u1").reshape(len(base), 16))
        found.append(keys)
    _, counts = np.unique(np.concatenate(found), return_counts=True)
    return int(counts.max(initial=0))
