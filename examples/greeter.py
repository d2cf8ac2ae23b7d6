"""A handler: `portside listen --handler examples/greeter.py:greet` (see docs/handler.md)."""

import portside


async def greet(connection: portside.Connection) -> None:
    """Ask each client for names, and greet them."""
    await connection.send(b"who are you?\n")
    async for line in connection.lines():
        name = line.decode(errors="replace").strip()
        await connection.send(f"hello {name}, you come from {connection.peer}\n".encode())
