"""The documentation as a site, built as ``make docs`` does: its links lead somewhere, and it needs no other host."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import chromium
from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
BUILD = r"\t\$\(BIN\)/python -m (sphinx .*) docs build/docs\n"
LIMIT_S = 400  # far more than it takes: only a build that hangs is ended

pytestmark = pytest.mark.timeout(LIMIT_S + 10)


class _Markup(HTMLParser):
    """What one page of the site refers to: links to follow, what a browser loads by itself, and its own anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given["id"]} if "id" in given else set()
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loaded += [given[name] for name in ("src", "data", "poster") if name in given]
        if tag == "link" and given.get("rel") not in ("index", "search", "next", "prev", "canonical"):
            self.loaded.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site."""
    made = tmp_path_factory.mktemp("site")
    command = re.search(BUILD, (ROOT / "Makefile").read_text())
    assert command
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    build = subprocess.run(
        [sys.executable, "-m", *command[1].split(), "docs", str(made)],
        cwd=ROOT, env=plain, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert (build.returncode, build.stdout, build.stderr) == (0, "", "")
    return made


@pytest.fixture(scope="module")
def markup(site: Path) -> dict[Path, _Markup]:
    """What each page of the site refers to."""
    found = {}
    for path in site.rglob("*.html"):
        if "_static" not in path.parts:
            found[path] = _Markup()
            found[path].feed(path.read_text())
    return found


def test_every_page_is_there(site: Path, markup: dict[Path, _Markup]) -> None:
    """Sphinx itself complains about a page that no other leads to."""
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= {path.relative_to(site) for path in markup}


def test_every_link_leads_somewhere(markup: dict[Path, _Markup]) -> None:
    for page, found in markup.items():
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme == "https", f"{page.name}: {link}"
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.is_file(), f"{page.name}: {link}"
            if parts.fragment and target in markup:
                assert unquote(parts.fragment) in markup[target].anchors, f"{page.name}: {link}"


def test_nothing_is_loaded_from_another_host(site: Path, markup: dict[Path, _Markup]) -> None:
    for page, found in markup.items():
        for address in found.loaded:
            parts = urlsplit(address)
            assert (parts.scheme or "data", parts.netloc) == ("data", ""), f"{page.name}: {address}"
            assert parts.scheme or (page.parent / unquote(parts.path)).is_file(), f"{page.name}: {address}"
    for style in site.rglob("*.css"):
        for address in re.findall(r"url\(['\"]?([^'\")]*)", style.read_text()):
            assert not urlsplit(address).netloc, f"{style.name}: {address}"


def test_it_reads_from_a_folder_and_finds_words_there(site: Path) -> None:
    requests: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.on("request", lambda request: requests.append(request.url))
        for name in ("index.html", "listen.html", "findings/close-wait-leak.html"):
            page.goto(f"{site.as_uri()}/{name}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than 360 px"
        page.goto(f"{site.as_uri()}/search.html?q=retransmit-timeouts")
        expect(page.locator("#search-results a", has_text="retransmit-timeouts").first).to_be_visible()
    assert [url for url in requests if not url.startswith((site.as_uri(), "data:"))] == []
