"""``portside rec export``: a recording written to a file for other tools."""

from functools import partial

from portside import __version__
from portside.app.notices import write_notice
from portside.app.process_limits import keep_freed_memory
from portside.app.rec_notices import Progress, notice_damage, open_recording
from portside.record.export import export_jsonl, export_pcapng
from portside.record.export_file import written


def run(path: str, file: str, format: str, conn: int | None, progress: Progress) -> int:  # noqa: A002
    """Write the file, pcapng or jsonl; the exit status, 1 where something is missing. Raises PortsideError."""
    keep_freed_memory()
    pcapng = format == "pcapng"
    export = partial(export_pcapng, version=__version__) if pcapng else export_jsonl
    try:
        with progress as on_progress, open_recording(path, on_progress) as recording:
            notice_damage(recording)
            with written(file) as output:
                done = export(recording, output, conn, on_progress)
    except BrokenPipeError:
        return 0  # its reader has enough
    of = "connection" if done.connections == 1 else "connections"
    what = "packets" if pcapng else "events"
    write_notice(
        f"{done.connections} {of} in {done.written} {what} written to {'standard output' if file == '-' else file}"
    )
    if done.gaps:
        places = "one place" if done.gaps == 1 else f"{done.gaps} places"
        write_notice(f"bytes are missing in the recording in {places}, each of which is marked")
    return 1 if done.gaps else 0
