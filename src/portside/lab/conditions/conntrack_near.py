"""``conntrack-near``: a table of connections that is nearly full.

The limit of the table is that of the machine and cannot be lowered in a namespace, so the table is filled: with entries
that are made up, of some 300 bytes each.
"""

from portside.errors import PortsideError
from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.conntrack import add_entries
from portside.lab.role import Role

SHARE = 0.78
MOST_ENTRIES = 300_000
TIMEOUT_S = 7200
_FOLDER = "/proc/sys/net/netfilter"
_COUNT, _MOST = f"{_FOLDER}/nf_conntrack_count", f"{_FOLDER}/nf_conntrack_max"


def _fill(role: Role, entries: int) -> None:
    """A stand-in for a gateway with many connections: it puts them into the table."""
    try:
        add_entries(entries, TIMEOUT_S)
    except OSError as error:
        raise OSError(error.errno, f"the kernel takes no entries over ctnetlink: {error.strerror}") from None
    role.ready(entries=entries)
    role.hold()


def make(bench: Bench) -> Scene:
    """A table of the namespace with many connections."""
    try:
        most = _read(_MOST)
    except OSError:
        raise PortsideError(
            f"lab {bench.code}", "connections are not tracked here: nf_conntrack is not loaded"
        ) from None
    entries = int(most * SHARE)
    if entries > MOST_ENTRIES:
        why = f"it would take {entries} entries of the table, as net.netfilter.nf_conntrack_max is {most}"
        raise PortsideError(f"lab {bench.code}", why, f"at most {MOST_ENTRIES} are made")
    bench.start("gateway", _fill, entries)

    def proof() -> str | None:
        count = _read(_COUNT)
        return f"{count} connections are tracked, and {most} may be." if count >= entries else None

    return Scene(
        proof=proof,
        looks=(
            Look(f"cat {_COUNT}", "how many connections are tracked"),
            Look(f"cat {_MOST}", "how many may be"),
            Look("portside diagnose --only conntrack-near", "the share"),
        ),
    )


def _read(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())


CONDITION = Condition(
    code="conntrack-near",
    what="netfilter's table of connections is nearly full; above its limit packets of new connections are dropped.",
    how="the table of a namespace is filled with made-up connections, up to 78 % of nf_conntrack_max.",
    make=make,
    isolated=True,
)
