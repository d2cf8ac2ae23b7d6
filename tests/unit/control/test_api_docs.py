"""docs/api.md names every column, field and parameter of the lists."""

import re
from pathlib import Path

import pytest

from portside.control.connection_columns import ENDS, NUMBERS, TEXTS
from portside.control.connection_items import OWN_FIELDS
from portside.control.flight_recorder import LISTENER_ROW, ROW
from portside.control.routes.connections import ConnectionsQuery, Since
from portside.control.routes.sockets import SocketsQuery
from portside.control.schema_acts import (
    AccessLists,
    BroadcastDone,
    Bytes,
    CloseRequest,
    DrainDone,
    FaultInfo,
    LimitValues,
    SentBytes,
)
from portside.control.schema_connections import ConnectionDetails, ListenerFacts, SocketPage, Totals

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
PROSE = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
WORDS = set(re.findall(r"[a-z_]+[0-9]*", " ".join(re.findall(r"`[^`]+`", PROSE))))
STRUCTS = (
    AccessLists,
    BroadcastDone,
    Bytes,
    CloseRequest,
    DrainDone,
    FaultInfo,
    LimitValues,
    SentBytes,
    ConnectionDetails,
    ConnectionsQuery,
    ListenerFacts,
    Since,
    SocketPage,
    SocketsQuery,
    Totals,
)


@pytest.mark.parametrize("struct", STRUCTS)
def test_every_field_is_documented(struct: type) -> None:
    assert {name for name in struct.__struct_fields__ if name not in WORDS} == set()  # type: ignore[attr-defined]


def test_every_column_is_documented() -> None:
    recorded = [name for row in (ROW, LISTENER_ROW) for name in row.names or () if name != "padding"]
    assert {name for name in (*NUMBERS, *TEXTS, *ENDS, *OWN_FIELDS, *recorded) if name not in WORDS} == set()
