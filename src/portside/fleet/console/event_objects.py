"""Events of a fleet as the objects that the API of one server writes, with the node that each is of."""

import base64
import binascii
from typing import Any, Final, Literal

from portside.fleet.console.clean import clean_name, clean_number, clean_text, clean_time
from portside.fleet.console.event_ring import FleetEvent
from portside.fleet.schema import ConnectionEvent, ServerEvent

Payload = Literal["none", "head", "all"]
HEAD: Final = 256
_MOST_FIELDS: Final = 24
_NUMBERS: Final = ("conn", "size", "count", "received", "sent", "duration")
_INFO: Final = {"bytes_received": "received", "bytes_sent": "sent", "rtt_us": "rtt_us", "retrans_total": "retrans"}


def event_object(number: int, event: FleetEvent, payload: Payload) -> dict[str, Any]:
    """An event as an object; names and texts in it can be shown as they are."""
    name, at, record = event
    head = {"seq": number, "node": clean_name(name.node), "site": clean_name(name.site)}
    if isinstance(record, ServerEvent):
        return {**head, **_of_server(record, at, payload)}
    return {**head, **_of_connection(record, at)}


def _of_connection(record: ConnectionEvent, at: str) -> dict[str, Any]:
    """A connection as ``fleet events`` tells of it: ``peer`` is its remote end."""
    socket = record.socket
    found: dict[str, Any] = {"event": record.event, "at": clean_time(record.at, at)}
    found["peer"] = None if socket.remote is None else clean_name(socket.remote)
    found["local"] = clean_name(socket.local)
    if socket.owners:
        found["program"] = clean_name(socket.owners[0].program or str(socket.owners[0].pid))
    found["state"] = clean_name(socket.state)
    if record.was is not None:
        found["was"] = clean_name(record.was)
    found["duration"] = clean_number(record.duration)
    info = socket.info or {}
    found |= {shown: value for name, shown in _INFO.items() if (value := clean_number(info.get(name))) is not None}
    if record.of > 1:
        found["of"] = record.of
    return found


def _of_server(record: ServerEvent, at: str, payload: Payload) -> dict[str, Any]:
    """An event of a Portside server, with the process in ``pid`` and its connection in ``number``."""
    given = dict(list(record.event.items())[:_MOST_FIELDS])
    found: dict[str, Any] = {
        "event": clean_name(str(given.pop("event", "unknown"))),
        "at": clean_time(given.pop("at", None), at),
        "pid": record.pid,
    }
    for reserved in ("seq", "node", "site", "pid", "server"):
        given.pop(reserved, None)
    text, data = given.pop("text", None), given.pop("base64", None)
    for name, value in given.items():
        if name in _NUMBERS:
            cleaned: Any = clean_number(value)
        elif isinstance(value, str):
            cleaned = clean_text(value)
        elif isinstance(value, list):
            cleaned = [clean_name(str(each)) for each in value[:_MOST_FIELDS]]
        else:
            cleaned = value if isinstance(value, bool | None) else clean_number(value)
        if cleaned is not None:
            found[clean_name(name)] = cleaned
    if (conn := found.pop("conn", None)) is not None:
        found["number"] = conn
    if found["event"] in ("received", "sent"):
        found["size"] = int(found.get("size", 0))
    if payload != "none":
        found |= _payload(text, data, payload)
    return found


def _payload(text: object, data: object, payload: Payload) -> dict[str, Any]:
    most = HEAD if payload == "head" else None
    if isinstance(text, str):
        return {"text": text[:most]}
    if isinstance(data, str):
        try:
            decoded = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return {}
        return {"base64": base64.b64encode(decoded[:most]).decode()}
    return {}
