"""docs/fleet/schema.md has every kind, type and field of the schema, and no other."""

import re
from pathlib import Path

import pytest

from portside.diagnosis.findings import Finding, Subject
from portside.fleet.schema import KINDS, RECORD_TYPES, VERSION, Envelope, OutboxStatus
from portside.kernel.models import Owner, Socket

PAGE = (Path(__file__).parents[3] / "docs" / "fleet" / "schema.md").read_text()
TYPES = sorted(
    {Envelope, *RECORD_TYPES.values(), OutboxStatus, Socket, Owner, Finding, Subject}, key=lambda t: t.__name__
)


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (found,) = [text for text in section if text.partition("\n")[0] == heading]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines() if line.startswith("| `")
    ]


@pytest.mark.parametrize("kind", TYPES, ids=lambda each: each.__name__)
def test_each_field_is_documented(kind: type) -> None:
    names = [name for row in rows(kind.__name__) for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(names) == sorted(kind.__struct_fields__)  # type: ignore[attr-defined]


def test_each_kind_is_documented() -> None:
    told = {row[0].strip("`"): row[1] for row in rows("Kinds")}
    assert set(told) == set(KINDS)
    for kind, record in RECORD_TYPES.items():
        assert record.__name__ in told[kind]


def test_the_version() -> None:
    assert f"the version of the schema: {VERSION}" in PAGE
