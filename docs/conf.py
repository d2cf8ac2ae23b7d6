"""The settings of Sphinx: ``make docs`` builds the pages of this folder as a site."""

import re

from sphinx.application import Sphinx

from portside import __version__

project = "Portside"
author = "Portside contributors"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
exclude_patterns = ["_build"]
nitpicky = True
highlight_language = "none"

myst_heading_anchors = 6
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
toc_object_entries = False  # they would be copied into each page: a quarter of the time
nitpick_ignore_regex = [
    ("py:class", "(?!portside).*"),  # Python's own types, and aliases such as Size
    ("py:class", r"portside\.testing\.\w+\.(?:Got|Result|ScriptProblems)"),  # what only a signature names
    ("py:class", r"portside\.wire\.faults\.model\..*"),  # faults.md explains them
]
suppress_warnings = ["ref.python"]  # a name that portside and portside.sync both have

html_theme = "furo"
html_title = f"Portside {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_search_summary = False  # it fetches pages, which a browser allows on no site in a folder

# Pages whose links, in their order, are the navigation. A page is plain Markdown for that, readable anywhere.
_CONTENTS = {"index": "", "tutorial/index": "", "diagnose": "findings/"}
_HEADING_OR_LINK = re.compile(r"^## (?P<caption>.+)$|\]\((?P<page>[\w/-]+)\.md\)", re.MULTILINE)


def add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Append to a page of ``_CONTENTS`` the table of contents that its links are."""
    if name not in _CONTENTS:
        return
    captions: dict[str, list[str]] = {}
    caption = ""
    for found in _HEADING_OR_LINK.finditer(source[0]):
        if found["caption"]:
            caption = found["caption"]
        elif found["page"].startswith(_CONTENTS[name]):
            captions.setdefault(caption, []).append(found["page"])
    for caption, pages in captions.items():
        shown = [f":caption: {caption}"] if name == root_doc else []
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", *shown, "", *dict.fromkeys(pages), "```\n"])


def hide_constructor(
    _app: Sphinx, _what: str, _name: str, value: object, _options: object, signature: str, returned: str
) -> tuple[str, str]:
    """The signature of a class, without what only Portside itself passes."""
    constructor = getattr(value, "__init__", None) if isinstance(value, type) else None
    is_own = (getattr(constructor, "__doc__", None) or "").startswith("For Portside itself")
    return "" if is_own else signature, returned


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("autodoc-process-signature", hide_constructor)
    app.connect("source-read", add_contents)
