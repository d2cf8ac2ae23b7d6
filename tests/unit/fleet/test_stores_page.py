"""docs/fleet/stores.md: its tables have the columns of an export, and what it configures can be read."""

import re
from pathlib import Path

import pytest

from portside.fleet.export.columns import COLUMNS
from portside.settings import option_specs
from portside.settings.fleet import FleetExport

FOLDER = Path(__file__).parents[3] / "docs" / "fleet"
PAGE = (FOLDER / "stores.md").read_text()
SQL = (FOLDER / "clickhouse.sql").read_text()
TYPES = {"string": "String", "int": "Int64", "float": "Float64", "bool": "Bool", "time": "DateTime64(6, 'UTC')"}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_table_has_the_columns_of_an_export(kind: str) -> None:
    statement = re.search(rf"CREATE TABLE IF NOT EXISTS portside_{kind}\n\(\n(.*?)\n\)\n(.*?);", SQL, re.DOTALL)
    assert statement
    columns = [re.fullmatch(r" +`([^`]+)` (.+?),?", line) for line in statement[1].splitlines()]
    found = {each[1]: re.sub(r"^(?:LowCardinality\(|Nullable\()+|\)+$", "", each[2]) for each in columns if each}
    assert found == {each.name: TYPES[each.type].removesuffix(")") for each in COLUMNS[kind]}
    assert set(re.findall(r"`([^`]+)`", statement[2])) <= set(found)


def test_every_column_that_the_page_names_exists() -> None:
    known = {each.name for columns in COLUMNS.values() for each in columns}
    named = set(re.findall(r'[`"]((?:portside|tcp|host|process|network)\.\w[\w.]*)[`"]', PAGE))
    assert named
    assert named <= known


def test_every_kind_is_explained() -> None:
    (spec,) = (spec for name, spec, _ in option_specs(FleetExport) if name == "kind")
    assert spec.choices
    assert all(f"`{kind}`" in PAGE for kind in spec.choices)
