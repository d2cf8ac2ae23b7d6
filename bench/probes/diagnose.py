"""`python -m bench.probes.diagnose LOOKS PAUSE`: rounds of all rules of `diagnose`, LOOKS times.

Read the socket table and the counters, then run all rules over them. The first look, for which memory is taken, is not
timed, nor is the lookup of who holds what was selected, which reads /proc. `peak_kib` is the most memory that this
process has had (VmHWM).
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from portside.app.diagnose_source import DiagnosisSource
from portside.diagnosis.diagnosis import Diagnosis
from portside.diagnosis.observation import Holders, RowNumbers


def main() -> None:
    looks, pause_s = int(sys.argv[1]), float(sys.argv[2])
    diagnosis = Diagnosis()
    read_ms, rules_ms = [], []
    sockets = 0
    with DiagnosisSource() as source:
        for number in range(looks + 1):
            time.sleep(pause_s)
            start = time.perf_counter()
            seen = source.observe()
            between = time.perf_counter()
            looked_up = []

            def holders(rows: RowNumbers, find: Callable[[RowNumbers], Holders] = seen.holders) -> Holders:
                start = time.perf_counter()
                found = find(rows)
                looked_up.append((time.perf_counter() - start) * 1e3)  # noqa: B023 - called before the next look
                return found

            diagnosis.observe(replace(seen, holders=holders))
            end = time.perf_counter()
            sockets = len(seen.sockets)
            if number:
                read_ms.append((between - start) * 1e3)
                rules_ms.append((end - between) * 1e3 - sum(looked_up))
    status = Path("/proc/self/status").read_text()
    peak_kib = int(status.partition("VmHWM:")[2].split()[0])
    print(json.dumps({"read": read_ms, "rules": rules_ms, "peak_kib": peak_kib, "sockets": sockets}))


if __name__ == "__main__":
    main()
