"""Run all rows or some, print the table, and write it to bench/out/bench.md and bench.json.

Exit status: 0 when every row was run, whether its bar is met or not; 1 when one could not be run.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from bench import build, machine, report
from bench.rows import (
    Plan,
    act,
    agent,
    archive,
    behaviours,
    binary,
    blocks,
    connections,
    control,
    decode,
    diagnose,
    events,
    fleet_nodes,
    forward,
    http,
    idle,
    lines,
    live,
    load,
    many,
    observed,
    page,
    publish,
    recording,
    refresh,
    rules,
    short,
    startup,
    table,
    testing,
    through,
    tls,
)

ROWS: dict[str, Callable[[Plan], Iterator[report.Result]]] = {
    "text": lines.text,
    "json": lines.json,
    "short": short.short,
    "binary": binary.binary,
    "blocks": blocks.blocks,
    "idle": idle.idle,
    "startup": startup.startup,
    "control": control.control,
    "observed": observed.observed,
    "connections": connections.connections,
    "act": act.act,
    "page": page.page,
    "connect": through.connect,
    "others": lines.others,
    "table": table.table,
    "port": table.of_port,
    "refresh": refresh.refresh,
    "decode": decode.decode,
    "events": events.events,
    "live": live.live,
    "diagnose": diagnose.rounds,
    "diagnose-memory": diagnose.memory,
    "diagnose-found": diagnose.found,
    "recording": recording.lines,
    "recording-blocks": recording.blocks,
    "rec-list": archive.listing,
    "rec-export": archive.export,
    "forward": forward.forward,
    "echo": behaviours.echo,
    "chat": behaviours.chat,
    "rules": rules.rules,
    "tls": tls.tls,
    "load": load.load,
    "load-http": http.http,
    "load-many": many.many,
    "fleet-nodes": fleet_nodes.fleet_nodes,
    "testing": testing.testing,
    "agent": agent.agent,
    "fleet-publish": publish.publish,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Portside beside its peers.")
    parser.add_argument("--only", metavar="NAME", action="append", choices=ROWS, help=f"one of {', '.join(ROWS)}")
    parser.add_argument("--runs", metavar="N", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one run of a tenth: does it work, not how fast")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: at least 1")
    plan = Plan(1, quick=True) if options.quick else Plan(options.runs)
    # Python servers are stopped by Ctrl-C's signal, which a job in the background would ignore; and whoever ends us
    # means the servers too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    run = report.Run([], {}, machine.facts(), plan.runs, plan.others)
    for name in options.only or ROWS:
        start = time.monotonic()
        try:
            run.results.extend(ROWS[name](plan))
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            run.failed[name] = " ".join(str(error).split()) or type(error).__name__
        run.failed.update({f"the rows with {program}": "it is not installed" for program in plan.absent})
        said = run.failed.get(name, f"{time.monotonic() - start:.0f} s")
        print(f"{name}: {said}", file=sys.stderr, flush=True)
        _write(run)  # each time: a long run that is interrupted has not been for nothing
    print(report.markdown(run))
    return 1 if run.failed else 0


def _write(run: report.Run) -> None:
    build.OUT.mkdir(exist_ok=True)
    (build.OUT / "bench.md").write_text(report.markdown(run), "utf-8")
    (build.OUT / "bench.json").write_text(report.as_json(run), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
