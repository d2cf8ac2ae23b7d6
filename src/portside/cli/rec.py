"""``portside rec …``: the commands on recordings, one function for each."""

from portside.cli.effects import check_show
from portside.cli.group import Run, check_arguments, run_one
from portside.errors import InvalidValue, UsageError
from portside.settings.rec import (
    REC_COMMANDS,
    RecCat,
    RecCheck,
    RecDiff,
    RecExport,
    RecList,
    RecReplay,
    RecShow,
    parse_conn,
    parse_conn_or_all,
)

_ABOUT = "portside rec COMMAND DIR …\n\nWhat `portside listen --record DIR` kept."


def run(arguments: list[str]) -> int:
    """Run one of the commands; the exit status."""
    return run_one("rec", _ABOUT, REC_COMMANDS, _RUNS, arguments)


def _conn(name: str, text: str) -> int:
    try:
        return parse_conn(text)
    except InvalidValue as problem:
        raise UsageError(f"rec {name}", str(problem)) from None


def _list(settings: RecList) -> int:
    (path,) = check_arguments("rec list", settings.path, "DIR")
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
    path, conn = check_arguments("rec show", settings.where, "DIR CONN")
    check_show(settings)
    from portside.app import rec_show

    return rec_show.show(settings, path, _conn("show", conn))


def _cat(settings: RecCat) -> int:
    path, conn = check_arguments("rec cat", settings.where, "DIR CONN")
    from portside.app import rec_show

    return rec_show.cat(path, _conn("cat", conn), "out" if settings.direction == "out" else "in")


def _export(settings: RecExport) -> int:
    path, file = check_arguments("rec export", settings.where, "DIR FILE")
    if not file.endswith((".pcapng", ".jsonl")):
        raise UsageError("rec export", f"{file!r} tells no format", "name a file that ends in .pcapng or .jsonl")
    from portside.app import rec_export
    from portside.tui.progress import Progress

    return rec_export.run(path, file, settings.conn, Progress("exporting"))


def _replay(settings: RecReplay) -> int:
    path, conn, address = check_arguments("rec replay", settings.where, "DIR CONN ADDRESS")
    from portside.app import replay

    try:
        number = parse_conn_or_all(conn)
    except InvalidValue as problem:
        raise UsageError("rec replay", str(problem)) from None
    return replay.run(settings, path, number, address)


def _diff(settings: RecDiff) -> int:
    if len(settings.places) != 2:
        raise UsageError("rec diff", "it takes DIR:CONN DIR:CONN", "see portside rec diff --help")
    from portside.app import rec_diff

    return rec_diff.run(*settings.places, json=settings.json)


def _check(settings: RecCheck) -> int:
    (path,) = check_arguments("rec check", settings.path, "DIR")
    from portside.app import rec_check
    from portside.tui.progress import Progress

    return rec_check.run(path, Progress("checking"), json=settings.json)


_RUNS: dict[str, Run] = {
    "list": _list,
    "show": _show,
    "cat": _cat,
    "export": _export,
    "replay": _replay,
    "diff": _diff,
    "check": _check,
}
