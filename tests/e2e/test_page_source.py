"""The page's source: types, size, and what it may not use."""

import re
from pathlib import Path

import web_tools
from pages import ROOT

from portside.control.static_files import FOLDER

MOST_BYTES = 200_000
SERVED = (".html", ".js", ".css", ".svg")


def served() -> list[Path]:
    return [path for path in FOLDER.rglob("*") if path.suffix in SERVED]


def test_the_types_of_the_modules_agree() -> None:
    web_tools.install()
    assert web_tools.check_types() == ""


def test_the_compiler_would_find_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "wrong.js").write_text('import { bytes } from "./format.js";\nbytes("many");\n')
    (tmp_path / "format.js").write_text((FOLDER / "format.js").read_text())
    assert "wrong.js(2,7): error" in web_tools.check_types(tmp_path)


def test_what_is_shown_of_bytes_tells_which_they_were() -> None:
    assert web_tools.run_check("payload.mjs", str(FOLDER / "payload.js")) == ""


def test_the_whole_page_is_small() -> None:
    assert 0 < sum(path.stat().st_size for path in served()) < MOST_BYTES


def test_what_came_from_the_network_cannot_become_markup() -> None:
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|DOMParser")
    assert [path.name for path in served() if ways.search(path.read_text())] == []


def test_each_file_is_on_the_map() -> None:
    section = (ROOT / "docs/architecture.md").read_text().partition("### `control/web/`")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `([\w.-]+)` \| ", section, re.MULTILINE)
    assert rows == sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".js", ".ts"))


def test_nothing_is_asked_of_another_host() -> None:
    namespaces = "http://www.w3.org/2000/svg"
    example = "http://127.0.0.1:8080/"
    for path in served():
        text = path.read_text().replace(namespaces, "").replace(example, "")
        assert not re.search(r"(https?:)?//[a-z0-9]+\.", text), path.name


def test_the_document_has_no_script_and_no_style_of_its_own() -> None:
    document = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! type=\"module\" src=)", document)
