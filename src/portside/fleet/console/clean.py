"""What comes from a broker, made fit for consoles that trust their server: texts printable and short, numbers finite.

Anybody who may publish may have written it. The consoles escape texts too; here all that they would take as it is, as
words, times or numbers, is such.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from portside.fleet.query.state import NodeName, seconds_of
from portside.wire.escaping import escape_text

MOST_NAME: Final = 128
MOST_TEXT: Final = 2000
_MOST_ITEMS: Final = 32
_MOST_NUMBER: Final = 1 << 64
_CODE: Final = re.compile(r"[a-z0-9-]{1,60}")


def clean_text(text: str, most: int = MOST_TEXT) -> str:
    """Text as one printable line of at most so many characters."""
    shown = escape_text(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def clean_name(name: str) -> str:
    """A short text: a name, an address, a state."""
    return clean_text(name, MOST_NAME)


def clean_number(value: object) -> int | float | None:
    """A number; None for what is none, or is none that a machine would count."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and -_MOST_NUMBER <= value <= _MOST_NUMBER else None


def clean_time(at: object, instead: str) -> str:
    """A time in ISO 8601 and UTC, as this project writes it; another one where it is none."""
    if isinstance(at, str) and len(at) <= 40 and at.endswith("Z") and seconds_of(at) is not None and at.isascii():
        return at
    return instead


def clean_code(code: str) -> str:
    """The code of a finding, of which consoles make the name of a page."""
    return code if _CODE.fullmatch(code) else "unknown"


def clean_evidence(evidence: Mapping[str, Any]) -> dict[str, int | float | str]:
    """The numbers of a finding."""
    found: dict[str, int | float | str] = {}
    for name, value in list(evidence.items())[:_MOST_ITEMS]:
        number = clean_number(value)
        if number is not None:
            found[clean_name(name)] = number
        elif isinstance(value, str):
            found[clean_name(name)] = clean_name(value)
    return found


def name_of(name: NodeName) -> str:
    """A node in words; with its site unless that is the one without a name of its own."""
    return clean_name(name.node)
