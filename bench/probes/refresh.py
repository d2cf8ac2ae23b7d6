"""`python -m bench.probes.refresh LOOKS PAUSE`: what the live display does again and again, LOOKS times.

Look at the sockets with their owners, compare them with the look before, and put them in order. The first look, which
finds the owners, is not timed.
"""

import json
import sys
import time

from portside.app.sort_order import Sort
from portside.settings.watch import Watch
from portside.tui.poller import Poller
from portside.tui.row_order import RowSorter


def main() -> None:
    looks, pause_s = int(sys.argv[1]), float(sys.argv[2])
    sort, sorter = Sort(), RowSorter()
    poller = Poller(Watch(), sort)
    times_ms = []
    for number in range(looks + 1):
        start = time.perf_counter()
        view = poller.poll()
        sorter.order(view, sort)
        if number:
            times_ms.append((time.perf_counter() - start) * 1e3)
        time.sleep(pause_s)
    poller.close()
    print(json.dumps({"refresh": times_ms, "sockets": len(view.live.keys)}))


if __name__ == "__main__":
    main()
