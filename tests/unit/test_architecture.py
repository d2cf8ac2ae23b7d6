"""docs/architecture.md describes the tree as it is: every module is on its map, and its layers are those enforced."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "portside"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def between(begin: str, end: str) -> str:
    """The part of the page between two HTML comments."""
    return PAGE.partition(f"<!-- {begin} -->")[2].partition(f"<!-- {end} -->")[0]


def mapped() -> dict[str, str]:
    """The modules on the map, as paths below src/portside, and what the map says about each."""
    found: dict[str, str] = {}
    folder = ""
    for line in between("map", "end of map").splitlines():
        if heading := re.match(r"### `([^`]+)/`", line):
            folder = "" if heading[1] == "src/portside" else f"{heading[1]}/"
        elif row := re.fullmatch(r"\| `([^`]+\.py)` \| (.*) \|", line):
            assert folder + row[1] not in found, f"{folder}{row[1]} is on the map twice"
            found[folder + row[1]] = row[2]
    return found


def test_every_module_is_on_the_map() -> None:
    tree = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if path.name != "__init__.py"}
    unmapped, gone = sorted(tree - set(mapped())), sorted(set(mapped()) - tree)
    assert not unmapped, f"add to the map in docs/architecture.md, with what each decides or holds: {unmapped}"
    assert not gone, f"remove or rename on the map in docs/architecture.md: {gone}"


def test_the_map_says_what_each_module_is_for() -> None:
    assert [module for module, what in mapped().items() if len(what) < 4] == []


def test_every_path_on_the_page_exists() -> None:
    written = set(re.findall(r"`([\w/]+/\w+\.py)`", PAGE))
    assert written
    missing = [path for path in written if not ((SOURCE / path).exists() or (ROOT / path).exists())]
    assert not missing, f"docs/architecture.md names files that are not there: {sorted(missing)}"


def test_the_picture_of_the_layers_is_the_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = (each for each in settings["contracts"] if each["type"] == "layers")
    enforced = [re.sub(r"portside\.|[()]", "", layer) for layer in contract["layers"]]
    shown = [line.strip() for line in between("layers", "end of layers").splitlines() if line.strip()]
    assert shown == enforced
