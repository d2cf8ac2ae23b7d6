"""What shows in the kernel's socket table: the numbers that a lab proves its condition by."""

from portside.app.sockets import sockets
from portside.kernel.models import Socket


def rows(filter_text: str) -> list[Socket]:
    """The sockets that a filter matches, listeners and connections, without their programs."""
    return sockets(filter_text, owners=False, view="all")


def total(found: list[Socket], name: str) -> int:
    """The sum of a number of ``info``; what is not known counts as 0."""
    return sum(int((each.info or {}).get(name) or 0) for each in found)


def largest(found: list[Socket], name: str) -> int:
    """The largest of a number of ``info``; 0 where none is known."""
    return max((int((each.info or {}).get(name) or 0) for each in found), default=0)
