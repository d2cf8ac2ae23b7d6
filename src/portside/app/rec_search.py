"""``portside rec search``: every place where a text stands in what passed."""

from collections.abc import Iterator

from portside.app.rec_notices import notice_damage, open_recording
from portside.app.stdout import write_stdout
from portside.json_text import encode_json
from portside.record.search import Match, find_all
from portside.wire.escaping import escape, escape_text


def run(path: str, conn: int | None, needle: bytes, *, json: bool) -> int:
    """Print the places, of one connection or of all; the exit status, 1 where there is none. Raises PortsideError."""
    found = 0

    def lines(matches: Iterator[Match]) -> Iterator[bytes]:
        nonlocal found
        for match in matches:
            found += 1
            yield _json(match) if json else _line(match)

    with open_recording(path) as recording:
        notice_damage(recording)
        write_stdout(lines(find_all(recording, conn, needle)))
    return 0 if found else 1


def _line(match: Match) -> bytes:
    where = f"#{match.conn} {escape_text(match.peer)}  {'>' if match.direction == 'in' else '<'} byte {match.offset}"
    return f"{where}: {escape(match.excerpt)}\n".encode()


def _json(match: Match) -> bytes:
    fields = {"conn": match.conn, "peer": match.peer, "direction": match.direction, "offset": match.offset}
    return encode_json({**fields, "excerpt": escape(match.excerpt)}) + b"\n"
