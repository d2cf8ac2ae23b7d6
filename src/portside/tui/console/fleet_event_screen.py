"""What happens in a fleet: the connections that close on its machines, and the events of the servers there."""

from collections.abc import Mapping
from typing import Any, Final

from portside.app.cell_text import microseconds_text, seconds_text, size_text
from portside.tui.console.event_screen import EventScreen
from portside.wire.escaping import escape_text

_HEAD: Final = ("seq", "node", "site", "event", "at", "local", "peer", "program", "base64")
_WORDS: Final = ("state", "act", "detail", "reason", "spec")  # what needs no name before it


class FleetEventScreen(EventScreen):
    """A line an event: time, node, event, ends, and what else is known."""

    def lines_of(self, item: Mapping[str, Any]) -> list[str]:
        return [event_text(item)]


def event_text(item: Mapping[str, Any]) -> str:
    """An event of a fleet as one line."""
    parts = [str(item["at"])[11:26], str(item["node"]), str(item["event"])]
    if item.get("local"):
        parts.append(f"{item['local']} -> {item.get('peer') or '*'}")
    elif item.get("peer"):
        parts.append(str(item["peer"]))
    parts += [str(item["program"])] if item.get("program") else []
    for name, value in item.items():
        if name not in _HEAD and value is not None:
            parts.append(_value_text(name, value) if name in _WORDS else f"{name} {_value_text(name, value)}")
    return "  ".join(escape_text(each) for each in parts)


def _value_text(name: str, value: Any) -> str:
    """A value by its name: sizes and times with their units."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name in ("received", "sent", "size"):
            return size_text(int(value))
        if name == "duration":
            return seconds_text(value)
        if name == "rtt_us":
            return microseconds_text(int(value))
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
