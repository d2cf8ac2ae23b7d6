"""The marks of findings, by their severity, in every display on a terminal."""

from collections.abc import Mapping

from portside.diagnosis.findings import Severity

MARKS: dict[Severity, str] = {"critical": "!!", "warning": "!", "info": "·"}
"""The mark of each severity, which needs no colour."""
NARROW_MARKS: Mapping[Severity, str] = MARKS | {"critical": "‼"}
"""The marks where there is one cell for them."""
MARK_WIDTH = 2
STYLES: Mapping[Severity, str] = {"critical": "bold red", "warning": "yellow", "info": "dim"}
