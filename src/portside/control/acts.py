"""Acts of the API: bytes out of a request, and refusals as problems."""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from portside.control.problem import Problem
from portside.control.schema_acts import Bytes, FaultInfo
from portside.errors import InvalidValue
from portside.events import utc
from portside.server.faults.client_faults import ClientFaults, PlacedFault
from portside.server.operator import ActRefused, Refusal

_STATUS: Final[dict[Refusal, int]] = {
    "unknown_connection": 404,
    "unknown_fault": 404,
    "unknown_network": 404,
    "connection_closed": 410,
    "connection_closing": 409,
    "sending_ended": 409,
    "no_upstream": 409,
    "too_many_faults": 409,
    "too_many_networks": 409,
    "write_buffer_full": 409,
}
REFUSALS: Final = {
    404: "no connection has had that number",
    409: "not now: it is being closed, FIN was sent to it, or its write buffer is full",
    410: "the connection has closed",
    422: "a value that cannot be read; `detail` says what would be right",
}


@contextmanager
def refusals() -> Iterator[None]:
    """Raise Problem for an act that is refused, and for a value that cannot be read."""
    try:
        yield
    except ActRefused as refused:
        raise Problem(_STATUS[refused.code], str(refused), code=refused.code) from None
    except InvalidValue as error:
        raise Problem(422, str(error), code="value") from None


def bytes_of(body: Bytes) -> bytes:
    """The bytes of a request. Raises InvalidValue where they are none, or not given in one way."""
    given = [each for each in (body.text, body.hex, body.base64) if each is not None]
    if len(given) != 1:
        raise InvalidValue("give one of text, hex and base64")
    try:
        if body.text is not None:
            data = body.text.encode()
        elif body.hex is not None:
            data = bytes.fromhex(body.hex)
        else:
            data = base64.b64decode(given[0], validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidValue(f"the bytes cannot be read: {error}") from None
    if not data:
        raise InvalidValue("there is nothing to send")
    return data


def fault_info(placed: PlacedFault, faults: ClientFaults) -> FaultInfo:
    """A fault as it is shown."""
    status = faults.status(placed)
    return FaultInfo(
        id=placed.number,
        spec=placed.spec,
        leg="upstream" if placed.assigned.fault.window.upstream else "client",
        by=placed.by,
        since=utc(placed.since),
        throttle=placed.is_throttle,
        phase=status.phase,
        held=status.held,
    )
