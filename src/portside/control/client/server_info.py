"""What a server says of itself, checked as far as it is used here: what answers may be none of ours."""

from typing import Any, Final, Protocol

from portside.control.client.http_client import NOT_OURS, Query, Unreachable

SERVER: Final = "/api/v1/server"

_COUNTS: Final = ("open", "opened", "received", "sent")
_BY_REASON: Final = ("closed", "refused")


class Asks(Protocol):
    """A server, or several as one, that can be asked."""

    def request(self, method: str, path: str, *, query: Query | None = None) -> Any:
        """One request: the JSON of its answer."""


def ask_server(client: Asks, query: Query | None = None) -> dict[str, Any]:
    """The facts that a server tells of itself. Raises ApiError, and Unreachable where they are none."""
    info = client.request("GET", SERVER, query=query)
    if not _is_info(info):
        raise Unreachable("the server", f"{NOT_OURS}: this is nothing that a server says of itself")
    return dict(info)


def _is_info(info: Any) -> bool:
    try:
        counts = info["counts"]
        return (
            isinstance(info["pid"], int)
            and isinstance(info["started"], str)
            and isinstance(info["uptime"], int | float)
            and all(isinstance(each["address"], str) for each in info["listeners"])
            and all(isinstance(counts[name], int) for name in _COUNTS)
            and all(isinstance(rate, int | float | None) for rate in info["rates"].values())
            and all(isinstance(count, int) for name in _BY_REASON for count in counts[name].values())
        )
    except (LookupError, TypeError, AttributeError):
        return False
