"""Acts on one connection: read no more, send, close, throttle, faults."""

from typing import TYPE_CHECKING

from portside.control.acts import REFUSALS, bytes_of, fault_info, refusals
from portside.control.console import Console
from portside.control.operations import By, Routes
from portside.control.schema import ConnPath
from portside.control.schema_acts import (
    Bytes,
    CloseDone,
    CloseRequest,
    FaultInfo,
    FaultList,
    FaultPath,
    FaultRemoved,
    FaultRequest,
    ReadingDone,
    SentBytes,
    Throttle,
    ThrottleRequest,
)
from portside.server.faults.client_faults import ClientFaults, PlacedFault

if TYPE_CHECKING:
    from portside.server.operator import Operator

routes = Routes()
_CONNECTION = "/api/v1/connections/{conn}"
_FAULT = {
    "id": 1, "spec": "latency 200ms", "leg": "client", "by": "unix uid 0", "since": "2026-11-22T12:00:01.123456Z",
    "throttle": False, "phase": "active", "held": 6,
}  # fmt: skip


@routes.post(
    _CONNECTION + "/send",
    summary="Send bytes to one client",
    body_example={"text": "hello\n"},
    example={"conn": 7, "sent": 6, "buffered": 0},
    problems=REFUSALS,
)
async def send(console: Console, *, path: ConnPath, body: Bytes, by: By) -> SentBytes:
    """The number of bytes sent."""
    operator = console.operator
    with refusals():
        data = bytes_of(body)
        operator.send(path.conn, data, by)
    return SentBytes(conn=path.conn, sent=len(data), buffered=_buffered(operator, path.conn))


@routes.post(
    _CONNECTION + "/close",
    summary="Close a connection: in order, our direction alone, or with RST",
    body_example={"how": "reset"},
    example={"conn": 7, "how": "reset", "buffered": 0},
    problems=REFUSALS,
)
async def close(console: Console, *, path: ConnPath, body: CloseRequest, by: By) -> CloseDone:
    """The bytes that are left to be sent before it is closed."""
    operator = console.operator
    with refusals():
        operator.close(path.conn, body.how, by)
    buffered = _buffered(operator, path.conn) if body.how != "reset" else 0
    return CloseDone(conn=path.conn, how=body.how, buffered=buffered)


@routes.post(
    _CONNECTION + "/pause",
    summary="Read nothing from a client: what it sends waits in the kernel",
    example={"conn": 7, "paused": True, "changed": True},
    problems=REFUSALS,
)
async def pause(console: Console, *, path: ConnPath, by: By) -> ReadingDone:
    """Whether that is new."""
    with refusals():
        return ReadingDone(conn=path.conn, paused=True, changed=console.operator.pause(path.conn, by))


@routes.post(
    _CONNECTION + "/resume",
    summary="Read from a client again",
    example={"conn": 7, "paused": False, "changed": True},
    problems=REFUSALS,
)
async def resume(console: Console, *, path: ConnPath, by: By) -> ReadingDone:
    """Whether it was paused."""
    with refusals():
        return ReadingDone(conn=path.conn, paused=False, changed=console.operator.resume(path.conn, by))


@routes.put(
    _CONNECTION + "/throttle",
    summary="Limit both directions of a connection to a rate",
    body_example={"rate": "10k/s"},
    example={"conn": 7, "rate": "10k/s", "fault": 1},
    problems=REFUSALS,
)
async def throttle(console: Console, *, path: ConnPath, body: ThrottleRequest, by: By) -> Throttle:
    """The rate from now on."""
    with refusals():
        return _throttle(path.conn, console.operator.throttle(path.conn, body.rate, by))


@routes.delete(
    _CONNECTION + "/throttle",
    summary="Limit the rate of a connection no more",
    example={"conn": 7, "rate": None, "fault": None},
    problems=REFUSALS,
)
async def unthrottle(console: Console, *, path: ConnPath, by: By) -> Throttle:
    """No rate."""
    with refusals():
        return _throttle(path.conn, console.operator.throttle(path.conn, None, by))


@routes.get(
    _CONNECTION + "/faults",
    summary="The faults of a connection, those of --fault too",
    example={"conn": 7, "items": [_FAULT]},
    problems=REFUSALS,
)
async def faults(console: Console, *, path: ConnPath) -> FaultList:
    """The faults, in the order in which they came."""
    with refusals():
        found = console.operator.faults(path.conn)
        return FaultList(conn=path.conn, items=[_info(console.operator, path.conn, each) for each in found])


@routes.post(
    _CONNECTION + "/faults",
    summary="Put a fault on an open connection; its times and byte counts begin now",
    body_example={"spec": "latency 200ms"},
    example=_FAULT,
    problems=REFUSALS,
)
async def add_fault(console: Console, *, path: ConnPath, body: FaultRequest, by: By) -> FaultInfo:
    """The fault, with its number."""
    with refusals():
        return _info(console.operator, path.conn, console.operator.insert_fault(path.conn, body.spec, by))


@routes.delete(
    _CONNECTION + "/faults/{fault}",
    summary="Take one fault out; what it keeps back passes on first, in order",
    example={"conn": 7, "id": 1, "spec": "latency 200ms", "held": 6},
    problems=REFUSALS,
)
async def remove_fault(console: Console, *, path: FaultPath, by: By) -> FaultRemoved:
    """The fault that is gone, and the bytes that it held until then."""
    with refusals():
        operator = console.operator
        held = {each.number: _info(operator, path.conn, each).held for each in operator.faults(path.conn)}
        gone = operator.remove_fault(path.conn, path.fault, by)
        return FaultRemoved(conn=path.conn, id=gone.number, spec=gone.spec, held=held[gone.number])


def _throttle(conn: int, placed: PlacedFault | None) -> Throttle:
    if placed is None:
        return Throttle(conn=conn, rate=None, fault=None)
    return Throttle(conn=conn, rate=placed.spec.removeprefix("rate "), fault=placed.number)


def _info(operator: "Operator", conn: int, placed: PlacedFault) -> FaultInfo:
    faults = operator.connection(conn).faults
    assert isinstance(faults, ClientFaults)  # noqa: S101 -- of whom the fault is
    return fault_info(placed, faults)


def _buffered(operator: "Operator", conn: int) -> int:
    return operator.connection(conn).buffered_bytes
