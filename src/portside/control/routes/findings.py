"""What is wrong on this machine."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from portside.control.console import Console
from portside.control.findings_watch import MOST_WATCHES, TooManyWatches
from portside.control.operations import Routes
from portside.control.own_thread import AllThreadsBusy
from portside.control.problem import Problem
from portside.control.routes.connections import names_busy, problem_of
from portside.control.schema_findings import MOST_MARKED, FindingItem, FindingsPage
from portside.diagnosis.findings import Severity, rank
from portside.errors import PortsideError
from portside.kernel.filter import FilterError, parse
from portside.kernel.filter.tree import EVERYTHING
from portside.kernel.resolver import SystemResolver

routes = Routes()
_RETRY_S = 10


class FindingsQuery(Struct, kw_only=True):
    """The choice of sockets that are looked at, and of what is listed."""

    filter: Annotated[
        str, Meta(description="as in `diagnose`: with one, conditions of the whole machine are left out",
                  max_length=10_000)
    ] = ""  # fmt: skip
    min_severity: Annotated[Severity, Meta(description="what is less severe is left out")] = "info"


@routes.get(
    "/api/v1/findings",
    summary="What is wrong with the TCP of this machine, as `diagnose` says it",
    example={
        "items": [
            {
                "code": "close-wait-leak", "severity": "warning",
                "subject": {"kind": "program", "pid": 53140, "program": "python3", "local": "127.0.0.1:12345"},
                "summary": "3 connections wait for close(): the peer has sent FIN, the program has not closed its end",
                "evidence": {"in_CLOSE_WAIT": 3, "oldest_s": 64.2},
                "why": "3 of them are older than 60.0s.", "remedy": "close the socket when recv() returns 0",
                "first_seen": "2026-11-22T12:00:01.123456Z", "last_seen": "2026-11-22T12:01:04.130072Z",
                "count": 3, "unseen": [], "conns": [7], "conns_total": 1, "inodes": [4026],
            }
        ],
        "total": 1, "at": "2026-11-22T12:01:04.130072Z", "watched": 63.0, "looks": 64, "notes": [], "blind": {},
    },
    problems={503: "the machine cannot be watched, or others ask with too many filters"},
)  # fmt: skip
async def findings(console: Console, *, query: FindingsQuery) -> FindingsPage:
    """The findings about this machine, or about the sockets that a filter matches."""
    text = query.filter.strip()
    watch = console.connections
    try:
        tree = console.findings.tree_of(text) if text else EVERYTHING
        if tree is None:
            tree = await watch.own_threads.call(parse, text, SystemResolver())
        found = await console.findings.ask(text, tree)
    except FilterError as error:
        raise problem_of(error) from None
    except AllThreadsBusy:
        raise names_busy() from None
    except TooManyWatches:
        words = f"others ask with {MOST_WATCHES} other filters at the moment; try again later"
        raise Problem(503, words, code="busy", retry_after_s=_RETRY_S) from None
    except PortsideError as error:
        raise Problem(503, str(error), code="findings") from None
    least = rank(query.min_severity)
    listed = [(each, of) for each, of in zip(found.findings, found.inodes, strict=True) if rank(each.severity) >= least]
    listed.sort(key=lambda each: (-rank(each[0].severity), each[0].first_seen))
    conns = await watch.with_sockets([of for _, of in listed])
    items = [
        FindingItem(
            **msgspec.structs.asdict(each),
            conns=tuple(numbers[:MOST_MARKED].tolist()),
            conns_total=len(numbers),
            inodes=tuple(inodes[inodes != 0][:MOST_MARKED].tolist()),
        )
        for (each, inodes), numbers in zip(listed, conns, strict=True)
    ]
    return FindingsPage(
        items=items,
        total=len(items),
        at=found.at,
        watched=round(found.watched_s, 3),
        looks=found.looks,
        notes=list(found.notes),
        blind=dict(found.blind),
    )
