"""Runs the examples of all docstrings of the Python API, in a network namespace of its own: FOLDER is where."""

import asyncio
import os
import socket
import sys
from contextlib import ExitStack, closing

from docstrings import documented, examples, run_examples
from support import DEADLINE_S, Program

import portside


async def record() -> None:
    """The recording that the examples read."""
    async with portside.listen("127.0.0.1:0", echo=True, record="DIR") as server:
        async with portside.connect(server.port) as client:
            await client.send(b"hello\n")
            await client.half_close()
            while await client.receive():
                pass


def main(folder: str) -> None:
    """Make what the examples use, and run them."""
    os.chdir(folder)
    with ExitStack() as stack, asyncio.Runner() as runner:
        runner.run(record())
        server = Program("listen", "127.0.0.1:12345", "--echo")
        stack.callback(server.kill)
        server.wait_for("listening")
        client = stack.enter_context(
            closing(socket.create_connection(("127.0.0.1", 12345), DEADLINE_S, ("127.0.0.1", 41184)))
        )
        server.wait_for("connected")
        assert client.fileno() >= 0
        differing = [text for name, value in documented() for text in run_examples(name, examples(value), runner)]
    if differing:
        sys.exit("\n".join(differing))


if __name__ == "__main__":
    main(*sys.argv[1:])
