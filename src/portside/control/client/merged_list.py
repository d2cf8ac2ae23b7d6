"""The connections of several servers as one list: all of it, or a page.

A page near the beginning takes as many rows of each server as it reaches to. Far down that would be all of them. So a
few rows are asked for around the place that the page has in the list of each server if connections are spread alike,
as the kernel spreads them over a shared port; where that was no good guess, more, and at last all.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from portside.control.client.at_once import ask_at_once
from portside.control.client.http_client import Query, Unreachable
from portside.control.client.merging import Window, column_of, field_of, merge, piece
from portside.control.client.named_server import NamedServer

CONNECTIONS: Final = "/api/v1/connections"
MOST_ON_A_PAGE: Final = 1000  # rows that the API gives at once

_NEAR: Final = 300  # rows: up to here all before the page are asked for
_MARGINS: Final = (150, 500, 2000)  # rows beside the guess, on either side

_Span = tuple[int, int | None]
"""From which row on, and how many; None for all."""


class Merged(NamedTuple):
    """Connections in order, each with its ``server``.

    ``first_pages`` are answers of the servers, for what they say of the whole; ``failures`` says why others did not
    answer.
    """

    items: list[dict[str, Any]]
    first_pages: list[Mapping[str, Any]]
    failures: list[Unreachable]


class _Asked(NamedTuple):
    """The answers of the servers: a window of the list of each."""

    windows: list[Window]
    first_pages: list[Mapping[str, Any]]
    failures: list[Unreachable]


def merged_connections(servers: Sequence[NamedServer], query: Query) -> Merged:
    """All connections that a query finds; the query has its ``fields``. Raises ApiError for one that is refused."""
    asked = _windows(servers, _with_order(query), [(0, None)] * len(servers))
    return _whole(asked, _order(query))


def merged_page(servers: Sequence[NamedServer], query: Query, offset: int, limit: int) -> Merged:
    """A page of the connections that a query finds; the query has its ``fields``.

    Raises ApiError for one that is refused.
    """
    order, query = _order(query), _with_order(query)
    if offset <= _NEAR:
        near = _whole(_windows(servers, query, [(0, offset + limit)] * len(servers)), order)
        return near._replace(items=near.items[offset : offset + limit])
    totals = [window.total for window in _windows(servers, query, [(0, 1)] * len(servers)).windows]
    if len(totals) == len(servers):
        for spans in _guesses(servers, totals, order, offset, limit):
            asked = _windows(servers, query, spans)
            items = piece(asked.windows, order, offset, limit)
            if items is not None:
                return Merged(items, asked.first_pages, asked.failures)
    far = merged_connections(servers, query)
    return far._replace(items=far.items[offset : offset + limit])


def _guesses(
    servers: Sequence[NamedServer], totals: list[int], order: str, offset: int, limit: int
) -> Iterator[list[_Span]]:
    """Where the rows of a page may be in the list of each server."""
    if column_of(order) == "conn":  # one list after the other
        backwards = order.startswith("-")
        spans: dict[int, _Span] = {}
        before = 0
        for at in sorted(range(len(servers)), key=lambda at: servers[at].pid or 0, reverse=backwards):
            start = min(max(0, offset - before), max(0, totals[at] - 1))
            spans[at] = (start, max(1, min(limit, offset + limit - before - start)))
            before += totals[at]
        yield [spans[at] for at in range(len(servers))]
        return
    share = offset / max(1, sum(totals))
    for margin in _MARGINS:
        starts = [max(0, min(int(share * total) - margin, total - 1)) for total in totals]
        ends = [int(share * total) + margin + limit for total in totals]
        yield [(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _order(query: Query) -> str:
    return str(query.get("sort") or "conn")


def _with_order(query: Query) -> dict[str, str | int]:
    """The query with the field by which it orders."""
    return {**query, "fields": f"{query['fields']},{field_of(_order(query))}"}


def _whole(asked: _Asked, order: str) -> Merged:
    items = merge([item for window in asked.windows for item in window.items], order)
    return Merged(items, asked.first_pages, asked.failures)


def _windows(servers: Sequence[NamedServer], query: Query, spans: Sequence[_Span]) -> _Asked:
    """A piece of the list of each server. Raises ApiError."""

    def ask(one: tuple[NamedServer, _Span]) -> tuple[Window, Mapping[str, Any]] | Unreachable:
        server, (start, most) = one
        items: list[dict[str, Any]] = []
        first: Mapping[str, Any] | None = None
        size = MOST_ON_A_PAGE if most is None else max(1, min(most, MOST_ON_A_PAGE))
        try:
            for page in server.client.pages(CONNECTIONS, {**query, "limit": size, "offset": start}):
                first = first or page
                items += [server.labelled(item) for item in page["items"]]
                if most is not None and len(items) >= most:
                    break
        except Unreachable as error:
            return error
        if first is None:
            return Unreachable(server.client.api.name, "it answered nothing")
        return Window(start, items[:most], first["total"]), first

    answers = ask_at_once(ask, list(zip(servers, spans, strict=True)))
    answered = [each for each in answers if not isinstance(each, Unreachable)]
    return _Asked(
        [window for window, _ in answered],
        [first for _, first in answered],
        [each for each in answers if isinstance(each, Unreachable)],
    )
