"""A Modbus TCP device with 100 holding registers: `portside listen 5020 --handler examples/modbus.py:serve`.

Functions 3 (read), 6 (write one) and 16 (write several) are known; all else is answered with an exception of Modbus.
"""

import struct

import portside

FRAME = (
    "length:u16be@4"  # transaction (2 bytes), protocol (2), length of all that follows (2), unit (1), function (1) …
)
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 1, 2

registers = [0] * 100  # of all connections


async def serve(connection: portside.Connection) -> None:
    """Answer each request of a client."""
    async for request in connection.frames(FRAME):
        if len(request) >= 8:
            transaction, protocol, _, unit = struct.unpack_from(">HHHB", request)
            answer = reply(request[7:])
            await connection.send(struct.pack(">HHHB", transaction, protocol, len(answer) + 1, unit) + answer)


def reply(request: bytes) -> bytes:
    """The answer to a function code and its data, without the header."""
    function = request[0]
    try:
        match function:
            case 3:
                first, count = struct.unpack(">HH", request[1:])
                chosen = slots(first, count)
                return struct.pack(f">BB{count}H", function, 2 * count, *(registers[at] for at in chosen))
            case 6:
                first, value = struct.unpack(">HH", request[1:])
                registers[slots(first, 1)[0]] = value
                return request
            case 16:
                first, count = struct.unpack_from(">HH", request, 1)
                registers[first : first + len(slots(first, count))] = struct.unpack_from(f">{count}H", request, 6)
                return request[:5]
            case _:
                return bytes([function | 0x80, ILLEGAL_FUNCTION])
    except (LookupError, struct.error):
        return bytes([function | 0x80, ILLEGAL_ADDRESS])


def slots(first: int, count: int) -> range:
    """The registers of a request. Raises LookupError where there are not so many."""
    if not 0 < count <= len(registers) - first:
        raise LookupError(f"{count} registers from {first}")
    return range(first, first + count)
