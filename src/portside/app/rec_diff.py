"""``portside rec diff``: two recorded connections compared."""

from contextlib import ExitStack

from portside.app.bytes_json import difference_fields
from portside.app.rec_notices import notice_damage, open_recording
from portside.app.stdout import write_lines, write_stdout
from portside.json_text import encode_json
from portside.record.compare import ConnectionComparison, StreamComparison, compare
from portside.wire.escaping import escape

Place = tuple[str, int]


def run(left: Place, right: Place, *, json: bool) -> int:
    """Compare two connections and print the result; the exit status, 1 where they differ or that is not known.

    A place is the folder of a recording and the number of a connection. Raises PortsideError.
    """
    with ExitStack() as stack:
        recordings = []
        for path in dict.fromkeys((left[0], right[0])):
            recordings.append(stack.enter_context(open_recording(path)))
            notice_damage(recordings[-1])
        compared = compare((recordings[0], left[1]), (recordings[-1], right[1]))
    if json:
        write_stdout([_json(left, right, compared)])
    else:
        write_lines(_lines(left, right, compared))
    return 0 if compared.same else 1


def _lines(left: Place, right: Place, compared: ConnectionComparison) -> list[str]:
    names = [f"{path}:{conn}" for path, conn in (left, right)]
    width = max(map(len, names))
    names = [f"{name:<{width}}" for name in names]
    lines = [*_stream_lines("in", compared.received, names), *_stream_lines("out", compared.sent, names)]
    ends = [
        (reason or "not recorded") + (f" by {by}" if by else "")
        for reason, by in zip(compared.reasons, compared.by, strict=True)
    ]
    if compared.same_end:
        lines.append(f"end  same: {ends[0]}")
    else:
        lines.append("end  differs")
        lines += [f"     {name}  {end}" for name, end in zip(names, ends, strict=True)]
    return lines


def _stream_lines(direction: str, stream: StreamComparison, names: list[str]) -> list[str]:
    """The lines about one direction."""
    missing = f"; {stream.unknown} B before it are not known" if stream.unknown else ""
    if stream.difference is None:
        if stream.unknown:
            return [f"{direction:<5}same as far as it is known: of {stream.sizes[0]} B {stream.unknown} B are missing"]
        return [f"{direction:<5}same, {stream.sizes[0]} B"]
    offset, before, *sides = stream.difference
    lines = [f"{direction:<5}differs at byte {offset}{missing}"]
    for name, size, data in zip(names, stream.sizes, sides, strict=True):
        shown = f'"{escape(before + data)}"' if data else f'"{escape(before)}" and ends there'
        lines.append(f"     {name}  {shown}, {size} B")
    return lines


def _json(left: Place, right: Place, compared: ConnectionComparison) -> bytes:
    places = [{"recording": path, "conn": conn} for path, conn in (left, right)]
    value = {
        "same": compared.same,
        "left": places[0],
        "right": places[1],
        "in": _stream_json(compared.received),
        "out": _stream_json(compared.sent),
        "reason": compared.reasons,
        "by": compared.by,
    }
    return encode_json(value) + b"\n"


def _stream_json(stream: StreamComparison) -> dict[str, object]:
    fields: dict[str, object] = {"same": stream.same, "size": stream.sizes, "unknown": stream.unknown}
    if stream.difference is not None:
        fields["difference"] = difference_fields(stream.difference, "left", "right")
    return fields
