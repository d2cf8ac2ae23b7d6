"""Whatever is recorded comes back; whatever is damaged is told, and nothing is made up."""

import os
import random
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_files import START_NS, bytes_of, closed, opened, peer, received, record, remove_index, segment, sent

from portside.errors import PortsideError
from portside.events import Event, Gap, HalfClosed, Listening, Opened, Payload, Received, Refused, Sent
from portside.record import store as store_module
from portside.record.check import check
from portside.record.recording import Recording
from portside.record.scan import Block, Damage, scan
from portside.record.segment import FILE_HEADER_SIZE, MARKER, checksum_seed, decode_file_header

Expected = dict[int, tuple[bytes, bytes]]

payloads = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.integers(1, 40_000).map(lambda size: random.Random(size).randbytes(size)),
    st.binary(max_size=8).map(lambda data: MARKER + data + MARKER * 3),
    st.integers(1, 5000).map(bytes),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[list[Event]]:
    """Flushes of events as a server makes them: opened, payload, half-closed, closed, numbers from 1."""
    flushes: list[list[Event]] = []
    live: dict[int, list[int]] = {}
    conns = at = 0
    for _ in range(draw(st.integers(1, 6))):
        events: list[Event] = []
        for _ in range(draw(st.integers(0, 8))):
            at += draw(st.integers(-5, 1000))
            what = draw(st.sampled_from(["open", "in", "out", "in", "out", "half", "close", "listening", "refused"]))
            if what == "listening":
                events.append(Listening(START_NS + at, "127.0.0.1:1"))
            elif what == "refused":
                events.append(Refused(START_NS + at, draw(st.text(max_size=9)), "denied"))
            elif what == "open" or not live:
                conns += 1
                live[conns] = [0, 0]
                events.append(opened(conns, at))
            else:
                conn = draw(st.sampled_from(sorted(live)))
                if what == "half":
                    events.append(HalfClosed(START_NS + at, conn, peer(conn)))
                elif what == "close":
                    came, went = live.pop(conn)
                    events.append(closed(conn, came, went, at))
                else:
                    data = draw(payloads)
                    live[conn][what == "out"] += len(data)
                    events.append(received(conn, data, at) if what == "in" else sent(conn, data, at))
        flushes.append(events)
    return flushes


def expected(flushes: list[list[Event]], kind: type[Event] = Event) -> dict[int, list[Event]]:
    """The events of each connection, in order."""
    events: dict[int, list[Event]] = defaultdict(list)
    for flush in flushes:
        for event in flush:
            if isinstance(event, kind):
                events[getattr(event, "conn", 0)].append(event)
    return dict(events)


def bytes_expected(flushes: list[list[Event]]) -> Expected:
    found = expected(flushes, Payload)
    return {
        conn: (
            b"".join(event.data for event in found.get(conn, []) if isinstance(event, Received)),
            b"".join(event.data for event in found.get(conn, []) if isinstance(event, Sent)),
        )
        for conn in expected(flushes, Opened)
    }


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with the pieces of payload that was split over blocks put together."""
    whole: list[Event] = []
    for event in events:
        before = whole[-1] if whole else None
        if isinstance(event, Payload) and type(event) is type(before) and event.at == before.at:
            whole[-1] = msgspec.structs.replace(event, data=before.data + event.data)
        else:
            whole.append(event)
    return whole


@pytest.fixture(params=["one segment", "many segments"])
def _rolls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many segments":
        monkeypatch.setattr(store_module, "SEGMENT_BYTES", 300)


@pytest.mark.usefixtures("_rolls")
@pytest.mark.parametrize("indexed", [True, False])
def test_what_is_recorded_comes_back(*, indexed: bool) -> None:
    @settings(max_examples=60, deadline=None)
    @given(flushes=conversations(), blocky=st.booleans())
    def comes_back(flushes: list[list[Event]], *, blocky: bool) -> None:
        with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
            if blocky:
                patch.setattr(store_module, "MOST_BLOCK_BYTES", 400)
            path = Path(name)
            record(path, *flushes)
            if not indexed:
                remove_index(path)
            with Recording(name) as recording:
                assert recording.found == []
                for conn, events in expected(flushes).items():
                    if conn:
                        assert joined(recording.events(conn)) == joined(events)
                for conn, (came, went) in bytes_expected(flushes).items():
                    assert bytes_of(recording, conn, "in") == came
                    assert bytes_of(recording, conn, "out") == went
                everything = expected([list(recording.all_events())])
                assert {conn: joined(events) for conn, events in everything.items()} == {
                    conn: joined(events) for conn, events in expected(flushes).items()
                }
            report = check(name)
            assert report.whole
            assert report.blocks > 0

    comes_back()


# Damage. One recording, hit in every way.


def sample(path: Path) -> Expected:
    """A small recording of three connections in flushes of several blocks, payload like blocks among it."""
    generator = random.Random(4)
    evil = MARKER + bytes(40) + MARKER * 2
    flushes: list[list[Event]] = [
        [opened(1), received(1, b"alpha " * 5), sent(1, evil)],
        [opened(2, 1), received(1, b"beta " * 4, 1), received(2, generator.randbytes(60), 1)],
        [sent(2, b"gamma " * 3, 2), received(1, evil, 2), opened(3, 2), received(3, b"delta", 2)],
        [received(2, b"epsilon" * 4, 3), closed(3, 5, 0, 3), received(1, b"zeta", 3)],
    ]
    record(path, *flushes)
    inner = segment(path).read_bytes()  # whole blocks of this very recording, as payload
    more: list[Event] = [opened(4, 4), received(4, inner, 4), sent(4, inner[44:], 5)]
    record(path, more, [received(4, b"after", 6), closed(4, len(inner) + 5, len(inner) - 44, 7)])
    return bytes_expected([*flushes, more, [received(4, b"after")]])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Expected]:
    path = tmp_path_factory.mktemp("original")
    return path, sample(path)


def pieces(path: Path) -> Iterator[tuple[int, str, list[bytes | Gap]]]:
    """What a damaged recording still gives of each connection; nothing where it says that it cannot be read."""
    try:
        with Recording(os.fspath(path)) as recording:
            for recorded in recording.connections():
                for direction in ("in", "out"):
                    yield recorded.conn, direction, list(recording.data(recorded.conn, direction))
            list(recording.all_events())
    except PortsideError:
        pass


def nothing_made_up(path: Path, truth: Expected, what: str) -> None:
    """Every piece stands in what was sent, in this order, as far from the last one as the gap between them says."""
    for conn, direction, found in pieces(path):
        assert conn in truth, what
        whole, at, known = truth[conn][direction == "out"], 0, True
        for piece in found:
            if isinstance(piece, Gap):
                at += piece.received if direction == "in" else piece.sent
                known = piece.why == "damaged or given up"
            else:
                assert whole[at : at + len(piece)] == piece, f"{what}: {conn} {direction} at {at}"
                at += len(piece)
        assert known
        assert at <= len(whole), what


def damaged(original: Path, tmp_path: Path, number: int, data: bytes, *, indexed: bool) -> Path:
    path = tmp_path / "damaged"
    if path.exists():
        shutil.rmtree(path)
    shutil.copytree(original, path)
    segment(path, number).write_bytes(data)
    if not indexed:
        remove_index(path)
    return path


DamageFound = list[Block | Damage]


def scanned(file: BinaryIO, seed: int, data: bytes) -> DamageFound:
    """What a scan finds in these bytes as a segment of the original recording."""
    os.truncate(file.fileno(), 0)
    os.pwrite(file.fileno(), data, 0)
    return list(scan(file.fileno(), seed, FILE_HEADER_SIZE, len(data)))


@pytest.mark.parametrize("number", [1, 2])
def test_every_truncation_of_a_segment(original: tuple[Path, Expected], tmp_path: Path, number: int) -> None:
    data = segment(original[0], number).read_bytes()
    seed = checksum_seed(decode_file_header(data).recording)
    with open(tmp_path / "segment", "w+b") as file:
        whole = scanned(file, seed, data)
        assert all(isinstance(each, Block) for each in whole)
        for size in range(FILE_HEADER_SIZE, len(data)):
            blocks = [each for each in whole if each.offset + each.length <= size]
            end = blocks[-1].offset + blocks[-1].length if blocks else FILE_HEADER_SIZE
            found = scanned(file, seed, data[:size])
            assert found[: len(blocks)] == blocks
            rest = [each[:2] + each[3:] for each in found[len(blocks) :] if isinstance(each, Damage)]
            assert rest == ([(end, size - end, True)] if size > end else [])


@pytest.mark.parametrize("number", [1, 2])
def test_every_bit_of_a_segment(original: tuple[Path, Expected], tmp_path: Path, number: int) -> None:
    """The block with the bit is damaged; all others are what they were."""
    data = segment(original[0], number).read_bytes()
    seed = checksum_seed(decode_file_header(data).recording)
    with open(tmp_path / "segment", "w+b") as file:
        whole = scanned(file, seed, data)
        for block in whole:
            others = [each for each in whole if each is not block]
            for at in range(block.offset, block.offset + block.length):
                for bit in range(8):
                    changed = bytearray(data)
                    changed[at] ^= 1 << bit
                    found = scanned(file, seed, bytes(changed))
                    assert [each for each in found if isinstance(each, Block)] == others, (at, bit)
                    assert [each[:2] for each in found if isinstance(each, Damage)] == [(block.offset, block.length)]


@pytest.mark.parametrize("indexed", [True, False])
def test_any_truncation_leaves_a_prefix(original: tuple[Path, Expected], tmp_path: Path, *, indexed: bool) -> None:
    folder, truth = original
    data = segment(folder).read_bytes()
    step = 19 if indexed else 7
    for size in range(0, len(data), step):
        path = damaged(folder, tmp_path, 1, data[:size], indexed=indexed)
        for conn, direction, found in pieces(path):
            if conn == 4:
                continue
            kept = [piece for piece in found if not isinstance(piece, Gap)]
            whole = truth[conn][direction == "out"]
            assert whole.startswith(b"".join(kept)), (size, conn, direction)
            assert all(not isinstance(piece, Gap) for piece in found[: len(kept)]), (size, conn, direction)
        if size % 5 == 0:
            assert not check(os.fspath(path)).whole or not indexed


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("number", [1, 2])
def test_any_damaged_byte(original: tuple[Path, Expected], tmp_path: Path, number: int, *, indexed: bool) -> None:
    folder, truth = original
    data = segment(folder, number).read_bytes()
    generator = random.Random(number)
    step = 23 if number == 1 else 61
    for at in range(generator.randrange(step), len(data), step):
        for change in (1 << generator.randrange(8), generator.randrange(1, 256)):
            changed = bytearray(data)
            changed[at] ^= change
            path = damaged(folder, tmp_path, number, bytes(changed), indexed=indexed)
            nothing_made_up(path, truth, f"segment {number}, byte {at} xor {change}")
        if at % 3 == 0:
            report = check(os.fspath(path))
            assert not report.whole
            assert check(os.fspath(path)).index_error is None


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 32), hits=st.integers(1, 12), indexed=st.booleans())
def test_any_damage(seed: int, hits: int, *, indexed: bool) -> None:
    """Overwritten, cut out, doubled, zeroed: whatever a bad disk and a bad copy do."""
    generator = random.Random(seed)
    with TemporaryDirectory() as name:
        path = Path(name) / "recording"
        truth = sample(path)
        for _ in range(hits):
            number = generator.choice((1, 2))
            data = bytearray(segment(path, number).read_bytes())
            at = generator.randrange(len(data) + 1)
            length = generator.choice((1, 4, 44, 200))
            piece = generator.choice((generator.randbytes(length), bytes(length), bytes(data[-length:]), MARKER))
            if generator.random() < 0.5:
                data[at : at + len(piece)] = piece
            elif generator.random() < 0.5:
                data[at:at] = piece
            else:
                del data[at : at + length]
            segment(path, number).write_bytes(data)
        if not indexed:
            remove_index(path)
        nothing_made_up(path, truth, f"seed {seed}")
        try:
            check(os.fspath(path))
        except PortsideError:
            return
        again = check(os.fspath(path))
        assert (again.index_error, again.unknown, again.absent) == (None, [], [])


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=3000), name=st.sampled_from(["index.sqlite", "segment-000001"]))
def test_any_garbage(data: bytes, name: str) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        assert list(pieces(Path(folder))) == []
        try:
            check(folder)
        except PortsideError:
            pass
