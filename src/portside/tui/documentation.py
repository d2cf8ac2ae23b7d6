"""A page of the documentation on standard output: as Markdown, or on a terminal formatted and through its pager."""

import os
import re
import signal
import sys

from portside.app.stdout import write_stdout

WIDEST_COLUMNS = 100  # longer lines of prose are hard to read
_PICTURE = re.compile(r"!\[([^]]*)\]\([^)]*\)")
_PAGE_LINK = re.compile(r"\[([^]]+)\]\((?:(?:[\w.-]+/)*[\w-]+\.(?:md|toml))?(?:#[\w-]+)?\)")


def show_page(page: bytes) -> None:
    """Show a page; returns when the reader has left the pager. Raises PortsideError."""
    if os.isatty(1):
        _show_formatted(page.decode())
    else:
        write_stdout([page])


def _show_formatted(page: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    sys.stdout.flush()
    console = Console()
    # As git does: less shows colours, and ends at once where the page fits the screen. The user's own settings hold.
    os.environ.setdefault("LESS", "FRX")
    # Ctrl-C belongs to the pager, which must not be left alone with the terminal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with console.pager(styles=True):
            console.print(Markdown(_readable(page), hyperlinks=False), width=min(console.width, WIDEST_COLUMNS))
    finally:
        signal.signal(signal.SIGINT, before)


def _readable(page: str) -> str:
    """A page without what leads nowhere on a terminal: pictures, and links to other pages."""
    return _PAGE_LINK.sub(r"\1", _PICTURE.sub(r"*(picture: \1)*", page))
