"""``portside rec export``: a recording written to a file for other tools."""

from functools import partial

from portside.app.notices import write_notice
from portside.app.process_limits import keep_freed_memory
from portside.app.rec_notices import Progress, notice_damage, open_recording
from portside.record.export import export_jsonl, export_pcapng
from portside.record.export_file import written
from portside.units import counted
from portside.version import __version__


def run(path: str, file: str, conn: int | None, progress: Progress, *, pcapng: bool) -> int:
    """Write the file, as pcapng or else as JSON lines; the exit status, 1 where bytes are missing.

    Raises PortsideError.
    """
    keep_freed_memory()
    export = partial(export_pcapng, version=__version__) if pcapng else export_jsonl
    try:
        with progress as on_progress, open_recording(path, on_progress) as recording:
            notice_damage(recording)
            with written(file) as output:
                done = export(recording, output, conn, on_progress)
    except BrokenPipeError:
        return 0  # its reader has enough
    contents = counted(done.written, "packet" if pcapng else "event")
    where = "standard output" if file == "-" else file
    write_notice(f"{counted(done.connections, 'connection')} in {contents} written to {where}")
    if done.gaps:
        places = "one place" if done.gaps == 1 else f"{done.gaps} places"
        write_notice(f"bytes are missing in the recording in {places}, each of which is marked")
    return 1 if done.gaps else 0
