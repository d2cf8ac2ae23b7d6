"""Run harnesses, print what each tried, and exit with 1 where anything was unexpected: python -m fuzz --help"""

import argparse
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz._attempts import Counts, attempt, load

_FOLDER = Path(__file__).parent
_DEFAULT_S = 60.0
_GRACE_S = 60.0  # for loading a harness, and for its last attempt
_ROW = "{:<20} {:>12} {:>12} {:>12}\n"


def harnesses() -> list[str]:
    """The names of all harnesses."""
    return sorted(path.stem for path in _FOLDER.glob("*.py") if not path.stem.startswith("_"))


def run_apart(name: str, seconds: float, seed: int) -> Counts | None:
    """Run a harness in a process of its own; None where that process ended otherwise than it should."""
    words = [sys.executable, "-m", "fuzz._attempts", name, f"{seconds:g}", str(seed)]
    try:
        done = subprocess.run(
            words, cwd=_FOLDER.parent, stdout=subprocess.PIPE, text=True, check=False, timeout=seconds + _GRACE_S
        )
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"{name}, seed {seed}: hangs\n")
        return None
    if done.returncode != 0:
        sys.stderr.write(f"{name}, seed {seed}: the process ended with status {done.returncode}\n")
        return None
    return Counts(*map(int, done.stdout.splitlines()[-1].split()))


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the parsers.")
    parser.add_argument("harness", nargs="*", help=f"some of {', '.join(harnesses())} (default: all)")
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_S") or _DEFAULT_S))
    parser.add_argument("--seed", type=int, help="try the one input of this seed, with one harness")
    chosen = parser.parse_args()
    names = chosen.harness or harnesses()
    if unknown := set(names) - set(harnesses()):
        parser.error(f"there is no harness {', '.join(sorted(unknown))}: there are {', '.join(harnesses())}")
    if chosen.seed is not None:
        if len(names) != 1:
            parser.error("--seed goes with one harness")
        sys.stdout.write("accepted\n" if attempt(load(names[0]), chosen.seed) else "refused\n")
        return
    seed = random.SystemRandom().randrange(1 << 40)
    sys.stdout.write(_ROW.format("harness", "attempts", "accepted", "unexpected"))
    failed = False
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, counts in zip(
            names, pool.map(lambda name: run_apart(name, chosen.seconds, seed), names), strict=True
        ):
            sys.stdout.write(_ROW.format(name, *(counts or ("-", "-", "died"))))
            sys.stdout.flush()
            failed = failed or counts is None or counts.unexpected > 0
    sys.stdout.write(f"{len(names)} harnesses, {chosen.seconds:g} s each, first seed {seed}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
