"""This machine's TCP sockets."""

from typing import Annotated

from msgspec import Meta, Struct

from portside.control.console import Console
from portside.control.operations import Routes
from portside.control.own_thread import AllThreadsBusy
from portside.control.paging import CursorError
from portside.control.problem import Problem
from portside.control.routes.connections import names_busy, problem_of
from portside.control.schema_connections import Offset, SocketPage
from portside.errors import PortsideError, UsageError
from portside.kernel.filter import FilterError, parse
from portside.kernel.filter.tree import EVERYTHING, Filter
from portside.kernel.resolver import SystemResolver
from portside.kernel.views import View, in_view

routes = Routes()


class SocketsQuery(Struct, kw_only=True):
    """The choice of what a list of sockets shows, and in which order."""

    filter: Annotated[str, Meta(description="as in `watch`", max_length=10_000)] = ""
    view: Annotated[View, Meta(description="without it: all states if the filter names any, else connected")] | None = (
        None
    )
    sort: Annotated[str, Meta(description="COLUMN, or -COLUMN for the largest first", max_length=40)] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    offset: Offset = 0
    after: Annotated[str, Meta(description="the `next` of the page before", max_length=10_000)] | None = None


@routes.get(
    "/api/v1/sockets",
    summary="A page of this machine's TCP sockets, as `watch` shows them, with their owners",
    example={
        "items": [
            {
                "proto": "tcp", "family": 4, "state": "ESTABLISHED", "recv_q": 0, "send_q": 0,
                "local": "127.0.0.1:12345", "remote": "127.0.0.1:49666", "inode": 1234, "uid": 0,
                "owners": [{"pid": 53140, "program": "portside", "fd": 9}], "info": {"rtt_us": 41}, "gaps": {},
            }
        ],
        "total": 1, "totals": {"recv_q": 0, "send_q": 0}, "next": None, "source": "netlink", "notes": [], "age": 0.02,
    },
    problems={503: "the kernel's table cannot be read"},
)  # fmt: skip
async def sockets(console: Console, *, query: SocketsQuery) -> SocketPage:
    """The sockets that match a filter."""
    watch = console.connections
    try:
        # A list without a filter does not wait behind the names that those of others look up.
        tree: Filter = EVERYTHING
        if query.filter.strip():
            tree = await watch.own_threads.call(parse, query.filter, SystemResolver())
        await watch.read_machine()
        return await watch.in_lists(
            watch.machine.page,
            in_view(tree, query.view),
            sort=query.sort,
            limit=query.limit,
            after=query.after,
            offset=query.offset,
        )
    except (FilterError, CursorError) as error:
        raise problem_of(error) from None
    except AllThreadsBusy:
        raise names_busy() from None
    except UsageError as error:
        raise Problem(
            400, f"{error.why}" + (f": {error.hint}" if isinstance(error.hint, str) else ""), code="column"
        ) from None
    except PortsideError as error:
        raise Problem(503, str(error), code="sockets") from None
