"""``portside rec …``: the commands on recordings, one function for each."""

import os
import sys
from shlex import quote

from portside.addresses import is_bare_host, join_host_port
from portside.cli.group import Run, check_arguments, run_one
from portside.errors import InvalidValue, UsageError
from portside.settings.effects import check_show
from portside.settings.rec import (
    REC_COMMANDS,
    RecCat,
    RecCheck,
    RecDiff,
    RecExport,
    RecList,
    RecReplay,
    RecSearch,
    RecShow,
    parse_conn_or_all,
    parse_needle,
    split_place,
)
from portside.settings.values import parse_conn


def run(arguments: list[str]) -> int:
    """Run one of the commands; the exit status."""
    return run_one("rec", REC_COMMANDS, _RUNS, arguments)


def _conn(name: str, text: str) -> int:
    try:
        return parse_conn(text)
    except InvalidValue as problem:
        raise UsageError(f"rec {name}", str(problem)) from None


def _recording(name: str, given: tuple[str, ...]) -> str:
    """The folder that is the only argument of a command about whole recordings. Raises UsageError."""
    path, *conn = split_place(given) or ("",)
    if conn:
        hint = f"portside rec show {quote(path)} {' '.join(map(quote, conn))}"
        raise UsageError(f"rec {name}", "it takes DIR, the recording as a whole", hint)
    return check_arguments(f"rec {name}", given, "DIR")[0]


def _list(settings: RecList) -> int:
    path = _recording("list", settings.path)
    from portside.app import rec_list
    from portside.record.search import ConnectionQuery, peer_matcher
    from portside.tui.progress import Progress

    try:
        peer = None if settings.peer is None else peer_matcher(settings.peer)
    except InvalidValue as problem:
        raise UsageError("rec list --peer", str(problem)) from None
    if settings.since is not None and settings.until is not None and settings.since > settings.until:
        raise UsageError("rec list", "--since is after --until, so that nothing can match")
    needle = settings.contains if settings.contains_hex is None else settings.contains_hex
    query = ConnectionQuery(peer, settings.since, settings.until, settings.reason, needle)
    return rec_list.run(settings, path, query, Progress("searching"))


def _show(settings: RecShow) -> int:
    if not settings.where:
        raise UsageError("rec show", "it takes DIR CONN …", "see portside rec show --help")
    path, *conns = settings.where
    numbers = tuple(dict.fromkeys(_conn("show", conn) for conn in conns))
    if settings.follow and len(numbers) != 1:
        raise UsageError("rec show", "--follow takes one connection")
    check_show(settings)
    from portside.app import rec_show

    return rec_show.show(settings, path, numbers)


def _search(settings: RecSearch) -> int:
    path, *conn, pattern = settings.where if len(settings.where) in (2, 3) else ("", "", "")
    if not path:
        raise UsageError("rec search", "it takes DIR PATTERN", "see portside rec search --help")
    if os.path.isdir(pattern) and not os.path.exists(path):
        hint = f"portside rec search {quote(pattern)} {quote(path)}"
        raise UsageError("rec search", "the recording comes first", hint)
    try:
        needle = parse_needle(pattern)
    except InvalidValue as problem:
        raise UsageError("rec search", str(problem)) from None
    from portside.app import rec_search

    only = _conn("search", conn[0]) if conn else None
    return rec_search.run(path, only, needle, json=settings.json)


def _cat(settings: RecCat) -> int:
    path, conn = check_arguments("rec cat", settings.where, "DIR CONN")
    from portside.app import rec_show

    return rec_show.cat(path, _conn("cat", conn), "out" if settings.direction == "out" else "in")


def _export(settings: RecExport) -> int:
    where = settings.where
    only = settings.conn
    if len(where) == 3 and only is None:
        where, only = (where[0], where[2]), _conn("export", where[1])
    path, file = check_arguments("rec export", where, "DIR FILE")
    ending = file.rpartition(".")[2]
    name = settings.format or ("pcapng" if file == "-" else ending)
    if name not in ("pcapng", "jsonl"):
        hint = "name a file that ends in .pcapng or .jsonl, or write --format"
        raise UsageError("rec export", f"{file!r} tells no format", hint)
    if file == "-" and name == "pcapng" and sys.stdout.isatty():
        raise UsageError("rec export", "a capture is no text for a terminal", "portside rec export DIR - | tshark -r -")
    from portside.app import rec_export
    from portside.tui.progress import Progress

    return rec_export.run(path, file, only, Progress("exporting"), pcapng=name == "pcapng")


def _replay(settings: RecReplay) -> int:
    where = settings.where
    if len(where) == 4 and is_bare_host(where[2]):
        where = (*where[:2], join_host_port(where[2], where[3]))
    path, conn, address = check_arguments("rec replay", where, "DIR CONN ADDRESS")
    from portside.app import replay

    try:
        number = parse_conn_or_all(conn)
    except InvalidValue as problem:
        raise UsageError("rec replay", str(problem)) from None
    return replay.run(settings, path, number, address)


def _diff(settings: RecDiff) -> int:
    if len(settings.places) != 2:
        raise UsageError("rec diff", "it takes two connections: DIR:CONN DIR:CONN", "see portside rec diff --help")
    from portside.app import rec_diff

    return rec_diff.run(*settings.places, json=settings.json)


def _check(settings: RecCheck) -> int:
    path = _recording("check", settings.path)
    from portside.app import rec_check
    from portside.tui.progress import Progress

    return rec_check.run(path, Progress("checking"), json=settings.json)


_RUNS: dict[str, Run] = {
    "list": _list,
    "show": _show,
    "cat": _cat,
    "search": _search,
    "export": _export,
    "replay": _replay,
    "diff": _diff,
    "check": _check,
}
