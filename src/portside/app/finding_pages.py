"""The pages of ``docs/findings``: in an installation inside the package, in a checkout where they are."""

from pathlib import Path

from portside.errors import PortsideError

_PLACES = (Path(__file__).parents[1] / "docs" / "findings", Path(__file__).parents[3] / "docs" / "findings")


def read_finding_page(code: str) -> bytes:
    """The page of a code, in Markdown. Raises PortsideError where the installation lacks it."""
    for folder in _PLACES:
        try:
            return (folder / f"{code}.md").read_bytes()
        except OSError:
            continue
    raise PortsideError(f"the page of {code}", "it is not in this installation")
