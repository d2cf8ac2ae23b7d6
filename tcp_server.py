#!/usr/bin/env python3
"""The tutorial's server: listens on 0.0.0.0:12345 and tells of its clients in the tutorial's words.

Run it with `python3 tcp_server.py`. It is `portside listen 0.0.0.0:12345 --format classic`, and takes the options of
that as well.
"""

import os
import sys


def main() -> None:
    """Run the server with this Python if Portside is installed in it, else with the project's own."""
    try:
        from portside.cli import main as portside
    except ImportError:
        own = os.path.join(os.path.dirname(os.path.abspath(__file__)), ".venv", "bin", "python")
        if os.path.exists(own) and os.path.realpath(sys.prefix) != os.path.dirname(os.path.dirname(own)):
            os.execv(own, [own, *sys.argv])
        sys.exit("tcp_server.py: Portside is not set up here yet: run `make run` once, then this again")
    portside(["listen", "0.0.0.0:12345", "--format", "classic", *sys.argv[1:]])


if __name__ == "__main__":
    main()
