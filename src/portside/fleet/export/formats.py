"""Rows as JSON lines, and as Parquet where pyarrow is installed. Both write to an ``ExportFile`` in bounded memory."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from portside.errors import PortsideError
from portside.fleet.export.columns import ExportColumn, Item, Type
from portside.json_text import encode_json
from portside.record.export_file import ExportFile

_BATCH_ROWS: Final = 2_000  # that are Python's objects at a time
_GROUP_ROWS: Final = 20_000
EXTRA: Final = "portside[parquet]"


class RowWriter(Protocol):
    """Takes items, and writes the rows that they are."""

    def write(self, items: Sequence[Item]) -> None:
        """Write some. Raises OSError."""
        ...

    def close(self) -> None:
        """Write what is left, and the end of the file. Raises OSError."""
        ...


class JsonLines:
    """A JSON object a line; a value that is not known is left out."""

    def __init__(self, columns: Sequence[ExportColumn], file: ExportFile) -> None:
        self._columns = columns
        self._file = file

    def write(self, items: Sequence[Item]) -> None:
        for item in items:
            row = {each.name: value for each in self._columns if (value := each.value(item)) is not None}
            self._file.write(encode_json({name: _written(value) for name, value in row.items()}) + b"\n")

    def close(self) -> None:
        self._file.flush()


class Parquet:
    """A Parquet file in groups of 20,000 rows, compressed with zstd. Raises PortsideError where there is no pyarrow."""

    def __init__(self, columns: Sequence[ExportColumn], file: ExportFile) -> None:
        self._pyarrow, parquet = _pyarrow()
        self._columns = columns
        self._schema = self._pyarrow.schema([(each.name, self._type(each.type)) for each in columns])
        self._writer = parquet.ParquetWriter(_Sink(file), self._schema, compression="zstd")
        self._items: list[Item] = []
        self._batches: list[Any] = []

    def write(self, items: Sequence[Item]) -> None:
        for start in range(0, len(items), _BATCH_ROWS):
            self._items += items[start : start + _BATCH_ROWS]
            if len(self._items) >= _BATCH_ROWS:
                self._make_batch()

    def _make_batch(self) -> None:
        arrays = [
            self._pyarrow.array([each.value(item) for item in self._items], self._type(each.type))
            for each in self._columns
        ]
        self._batches.append(self._pyarrow.record_batch(arrays, schema=self._schema))
        self._items.clear()
        if sum(map(len, self._batches)) >= _GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        self._writer.write_table(self._pyarrow.Table.from_batches(self._batches, self._schema))
        self._batches.clear()

    def close(self) -> None:
        if self._items:
            self._make_batch()
        if self._batches:
            self._write_group()
        self._writer.close()

    def _type(self, name: Type) -> Any:
        pyarrow = self._pyarrow
        match name:
            case "string":
                return pyarrow.string()
            case "int":
                return pyarrow.int64()
            case "float":
                return pyarrow.float64()
            case "bool":
                return pyarrow.bool_()
            case "time":
                return pyarrow.timestamp("us", tz="UTC")


class _Sink(io.RawIOBase):
    """An ``ExportFile`` as pyarrow writes to one."""

    def __init__(self, file: ExportFile) -> None:
        self._file = file
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        octets = bytes(data)
        self._file.write(octets)
        self._written += len(octets)
        return len(octets)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing: whoever made the file flushes it."""


def _pyarrow() -> tuple[Any, Any]:
    """pyarrow and its module of Parquet. Raises PortsideError."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise PortsideError(
            "--format parquet", "pyarrow is not installed", f"pip install '{EXTRA}', or --format jsonl"
        ) from None
    return pa, parquet


def _written(value: object) -> object:
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z") if isinstance(value, datetime) else value
