"""``fleet export``: what was published since a time, read from the stream and written to a file."""

from contextlib import aclosing

from portside.app.notices import write_notice
from portside.fleet.broker import BrokerConnection
from portside.fleet.export.columns import COLUMNS, EXPORTED, items
from portside.fleet.export.formats import JsonLines, Parquet, RowWriter
from portside.fleet.query.run import ReaderGoneError, run, say_left_out
from portside.fleet.query.stream import JetStreamReader, Which
from portside.record.export_file import written
from portside.settings.fleet import FleetExport
from portside.units import counted


def run_export(settings: FleetExport, file: str, name: str) -> int:
    """Write the file, which is there under its name when it is complete; the exit status.

    Raises PortsideError.
    """
    (kind,) = (each for each in EXPORTED if each == settings.kind)
    columns = COLUMNS[kind]

    async def work(broker: BrokerConnection) -> None:
        reader = JetStreamReader(broker, settings.js_domain)
        which = Which((kind,), settings.site, settings.node)
        rows = 0
        try:
            with written(file) as output:
                writer: RowWriter = (Parquet if name == "parquet" else JsonLines)(columns, output)
                async with aclosing(reader.history(which, settings.since)) as batches:
                    async for batch in batches:
                        for message, _ in batch.messages:
                            some = list(items(message))
                            writer.write(some)
                            rows += len(some)
                writer.close()
        except BrokenPipeError:
            raise ReaderGoneError from None
        write_notice(f"{counted(rows, 'row')} written to {'standard output' if file == '-' else file}")
        say_left_out(reader)

    return run(settings, work, name="fleet export")
