"""``portside watch``: check the settings, and only then import numpy and the rest."""

import os
import sys

from portside.errors import UsageError
from portside.settings.watch import Watch


def run(settings: Watch) -> int:
    """Show the sockets that the settings choose; the exit status."""
    _check(settings)
    # numpy's linear algebra, unused here, starts a thread for each processor: half of the import's time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if settings.events:
        from portside.app import events

        return events.run(settings)
    if _is_live(settings):
        from portside.tui import watch as live

        return live.run(settings)
    prefetcher = None
    if not settings.no_processes and settings.source != "psutil":
        from portside.app.proc_prefetcher import ProcPrefetcher

        prefetcher = ProcPrefetcher()
    from portside.app import watch

    return watch.run(settings, prefetcher)


def _is_live(settings: Watch) -> bool:
    plain = settings.once or settings.json or settings.summary or settings.kill or settings.netns == "all"
    able = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return able and not plain


def _check(settings: Watch) -> None:
    """Raise UsageError for what contradicts itself."""
    if settings.netns == "all" and settings.events:
        hint = "one run for each: --netns NAME; `portside watch --netns all` shows them"
        raise UsageError("watch", "--events follows one network, and --netns all are several", hint)
    if settings.kill and not " ".join(settings.filter).strip():
        hint = "portside watch --kill 'state close-wait and sport = :12345'"
        raise UsageError("watch", "--kill destroys connections and needs a filter that says which", hint)
    if settings.kill and settings.source not in (None, "netlink"):
        raise UsageError("watch", f"--kill needs netlink, and --source is {settings.source}")
