"""The result of checking a recording."""

from typing import NamedTuple

import msgspec

from portside.record.recovery import DamageFound


class BlockSpan(NamedTuple):
    """The place of a connection's block in a segment: offset and length in bytes."""

    segment: int
    offset: int
    length: int
    conn: int


class Incomplete(NamedTuple):
    """A connection with missing bytes that no Gap accounts for and that --record-max did not evict."""

    conn: int
    received: int
    sent: int


class CheckReport(msgspec.Struct):
    """The result of ``check``; its fields are those of ``rec check --json``."""

    live: bool  # a server writes it: only what its index knows was checked
    segments: int = 0
    blocks: int = 0  # that are whole
    bytes: int = 0  # of segments that were read
    connections: int = 0
    found: list[DamageFound] = msgspec.field(default_factory=list)  # damage in segments, torn tails included
    missing: list[int] = msgspec.field(default_factory=list)  # segments that the index knows and that are gone
    unknown: list[BlockSpan] = msgspec.field(
        default_factory=list
    )  # whole blocks that the index lacks or describes wrongly
    absent: list[BlockSpan] = msgspec.field(default_factory=list)  # where the index points at a block and there is none
    incomplete: list[Incomplete] = msgspec.field(default_factory=list)
    may_be_given_up: bool = False  # disk space was freed, so ``incomplete`` may be what --record-max took
    index_error: str | None = None  # why the index could not be used
    rebuilt: bool = False  # the index was rebuilt from the segments
    rebuild_error: str | None = None  # why it could not be rebuilt, so that the old one is in its place
    aside: str | None = None  # where the old index lies now
    not_rebuilt: list[str] = msgspec.field(default_factory=list)  # what only the old index knew, in words

    @property
    def whole(self) -> bool:
        """Whether everything is there and intact; a torn tail, left by SIGKILL, was never part of the recording."""
        damaged = any(not each.torn for each in self.found)
        lost = bool(self.incomplete) and not self.may_be_given_up
        wrong = bool(self.unknown or self.absent or self.index_error is not None)
        return not (damaged or self.missing or lost or wrong)
