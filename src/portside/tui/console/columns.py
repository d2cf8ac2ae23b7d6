"""The columns of the console's tables: for each its heading, its text, its width, and what the server sorts it by."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from portside.app.cell_text import UNKNOWN, microseconds_text, owner_text, seconds_text, size_text
from portside.tui.severity_marks import MARKS, STYLES
from portside.tui.widths import WidthRequest
from portside.wire.escaping import escape_text

Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column. ``text`` makes the text of a row; ``sort`` is the name by which the API sorts.

    ``minimum`` to ``maximum`` are cells of the terminal; for ``drop`` and ``grow`` see ``WidthRequest``. ``middle``: a
    text that is too long loses its middle; ``whole``: none is ever cut. ``tone`` makes a style, as Rich writes one.
    """

    heading: str
    text: Callable[[Row], str]
    sort: str
    minimum: int
    maximum: int
    drop: int
    grow: int = 1
    right: bool = False
    middle: bool = False
    whole: bool = False
    tone: Callable[[Row], str] | None = None

    def request(self, widest: int) -> WidthRequest:
        """The width that the column needs for texts of at most ``widest`` cells."""
        preferred = max(self.minimum, min(max(len(self.heading) + 1, widest), max(self.maximum, len(self.heading))))
        return WidthRequest(preferred if self.whole else self.minimum, preferred, self.drop, self.grow)


def mark_text(row: Row) -> str:
    """The mark of the worst finding that a row is in, before its state."""
    findings = row.get("findings")
    return f"{MARKS[findings[0]['severity']]} " if findings else ""


def mark_tone(row: Row) -> str:
    """The style of that mark."""
    findings = row.get("findings")
    return STYLES[findings[0]["severity"]] if findings else ""


def number_text(value: int | None) -> str:
    """A count, ``-`` where it is not known."""
    return UNKNOWN if value is None else str(value)


def bytes_text(value: float | None) -> str:
    """Bytes in powers of 1024, ``-`` where they are not known."""
    return UNKNOWN if value is None else size_text(int(value))


def time_text(value: float | None) -> str:
    """Seconds, ``-`` where they are not known."""
    return UNKNOWN if value is None else seconds_text(value)


def rtt_text(value: int | None) -> str:
    """Microseconds, ``-`` where they are not known."""
    return UNKNOWN if value is None else microseconds_text(value)


def owners_text(owners: Sequence[Row] | None) -> str:
    """The processes that hold a socket: ``812/nginx,813/nginx``."""
    return ",".join(dict.fromkeys(owner_text(each["pid"], each["program"]) for each in owners or ())) or UNKNOWN


def state_text(row: Row) -> str:
    """Why a connection closed, or what an operator does with it, or its state: ``paused,2 faults``."""
    state = str(row["state"])
    if state == "closed":
        return escape_text(str(row.get("reason") or state))
    words = [] if state == "open" else [state]
    if "operator" in (row.get("holds") or ()):
        words.append("paused")
    if faults := row.get("faults"):
        words.append("fault" if faults == 1 else f"{faults} faults")
    return mark_text(row) + escape_text(",".join(words) or state)


def note_text(row: Row) -> str:
    """The tags and the note on a connection."""
    tags = [f"[{tag}]" for tag in row.get("tags") or ()]
    return escape_text(" ".join([*tags, row.get("note") or ""]).strip())


def remote_text(row: Row) -> str:
    """The remote end of a socket; for a listener any, as netstat writes it."""
    if row["remote"] is None:
        return "0.0.0.0:*" if row["family"] == 4 else "[::]:*"
    return escape_text(row["remote"])


def _kernel(row: Row, name: str) -> int | None:
    value: int | None = (row.get("kernel") or {}).get(name)
    return value


CONNECTION_FIELDS = "conn,peer,state,age,idle,received,sent,holds,note,tags,faults,reason,by,recv_q,send_q,rtt_us,inode"
"""The fields that the columns below need, but for PROGRAM."""

PROGRAM = Column("PID/Program", lambda row: owners_text(row.get("owners")), "program", 8, 40, 9, 3)
"""Who holds the other end, for which the server has to look into the descriptors of processes."""

CONNECTION_COLUMNS = (
    Column("#", lambda row: str(row["conn"]), "conn", 3, 16, 0, 0, right=True, whole=True),
    Column("Peer", lambda row: escape_text(row["peer"]), "peer", 15, 50, 0, 1, middle=True),
    Column("State", state_text, "state", 8, 18, 4, 2, tone=mark_tone),
    Column("Age", lambda row: time_text(row["age"]), "age", 5, 7, 7, 0, right=True),
    Column("Idle", lambda row: time_text(row["idle"]), "idle", 5, 7, 6, 0, right=True),
    Column("Recv-Q", lambda row: bytes_text(_kernel(row, "recv_q")), "recvq", 7, 8, 2, 0, right=True),
    Column("Send-Q", lambda row: bytes_text(_kernel(row, "send_q")), "sendq", 7, 8, 3, 0, right=True),
    Column("Received", lambda row: bytes_text(row["received"]), "received", 9, 10, 1, 0, right=True),
    Column("Sent", lambda row: bytes_text(row["sent"]), "sent", 5, 8, 1, 0, right=True),
    Column("RTT", lambda row: rtt_text(_kernel(row, "rtt_us")), "rtt", 6, 8, 11, 0, right=True),
    PROGRAM,
    Column("Note", note_text, "note", 6, 60, 8, 4),
)

SOCKET_COLUMNS = (
    Column("Proto", lambda row: str(row["proto"]), "proto", 5, 5, 8, 0),
    Column("Recv-Q", lambda row: number_text(row["recv_q"]), "recv-q", 6, 10, 3, 0, right=True),
    Column("Send-Q", lambda row: number_text(row["send_q"]), "send-q", 6, 10, 4, 0, right=True),
    Column("Local Address", lambda row: escape_text(row["local"]), "local", 14, 52, 0, 1, middle=True),
    Column("Foreign Address", remote_text, "foreign", 14, 52, 1, 1, middle=True),
    Column("State", lambda row: mark_text(row) + str(row["state"]), "state", 7, 14, 2, 2, tone=mark_tone),
    Column("RTT", lambda row: rtt_text((row.get("info") or {}).get("rtt_us")), "rtt", 6, 8, 11, 0, right=True),
    Column("PID/Program", lambda row: owners_text(row["owners"]), "program", 10, 60, 5, 3),
)

FLEET_COLUMNS = (
    Column("Node", lambda row: escape_text(row["node"]), "node", 6, 30, 0, 1),
    *SOCKET_COLUMNS[1:6],
    SOCKET_COLUMNS[6]._replace(drop=6),
    Column("Retrans", lambda row: number_text((row.get("info") or {}).get("retrans_total")), "retrans", 7, 9, 9, 0,
           right=True),
    SOCKET_COLUMNS[7],
    Column("Site", lambda row: escape_text(row["site"]), "site", 4, 20, 12, 1),
)  # fmt: skip


def outbox_text(row: Row) -> str:
    """The bytes that wait in the outbox of a node, and how many records it has given up."""
    outbox = row["outbox"]
    waiting = bytes_text(outbox["bytes"]) if outbox["records"] else "0"
    return f"{waiting} ({outbox['dropped']} dropped)" if outbox["dropped"] else waiting


def _life_tone(row: Row) -> str:
    return {"alive": "green", "late": "bold yellow"}.get(row["life"], "bold red")


def _load_text(row: Row) -> str:
    return UNKNOWN if row["load"] is None else f"{row['load']:.2f}"


def _notes(row: Row) -> str:
    agents = [f"{row['agents']} agents use this name"] if row["agents"] > 1 else []
    return escape_text("; ".join([*agents, *row["notes"]]))


NODE_COLUMNS = (
    Column("Node", lambda row: escape_text(row["node"]), "node", 6, 40, 0, 1),
    Column("Site", lambda row: escape_text(row["site"]), "site", 4, 20, 8, 1),
    Column("Life", lambda row: row["life"], "life", 5, 5, 0, 0, tone=_life_tone),
    Column("Seen", lambda row: time_text(row["age_s"]), "age", 5, 7, 2, 0, right=True),
    Column("Lag", lambda row: time_text(max(0, row["lag_s"] or 0)), "lag", 5, 7, 3, 0, right=True),
    Column("Conns", lambda row: number_text(row["connections"]), "connections", 5, 9, 1, 0, right=True),
    Column("Findings", lambda row: number_text(row["findings"]), "findings", 8, 8, 4, 0, right=True),
    Column(
        "Load", lambda row: UNKNOWN if row["load"] is None else f"{row['load']:.2f}", "load", 5, 7, 5, 0, right=True
    ),
    Column("CPUs", lambda row: number_text(row["cpus"]), "cpus", 4, 5, 9, 0, right=True),
    Column("Outbox", outbox_text, "outbox", 6, 24, 6, 0, right=True),
    Column("Version", lambda row: escape_text(row["version"]), "version", 7, 14, 7, 0),
    Column("System", lambda row: escape_text(row["system"]), "system", 8, 40, 10, 1),
    Column("Notes", _notes, "", 8, 80, 11, 3),
)
