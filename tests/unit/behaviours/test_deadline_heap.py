"""Many deadlines behind one timer."""

import asyncio
import math

from portside.behaviours.deadline_heap import DeadlineHeap


class Owner:
    def __init__(self) -> None:
        self.entry_at = math.inf


def test_each_owner_is_called_once_when_its_deadline_comes() -> None:
    async def run() -> list[int]:
        loop = asyncio.get_running_loop()
        owners, expired, done = [Owner() for _ in range(4)], [], loop.create_future()

        def on_deadline(owner: Owner, now: float) -> None:
            expired.append(owners.index(owner))
            if owner is owners[1]:
                done.set_result(None)

        deadlines = DeadlineHeap(loop, on_deadline)
        start = loop.time()
        for owner, at in ((owners[0], 0.02), (owners[1], 0.05), (owners[2], 0.01), (owners[0], 0.0), (owners[2], 9.0)):
            deadlines.set(owner, start + at)
        deadlines.set(owners[3], start + 0.03)
        deadlines.drop(owners[3])
        await done
        deadlines.stop()
        return expired

    assert asyncio.run(run()) == [0, 2, 1]


def test_deadlines_that_come_nearer_leave_nothing_behind() -> None:
    async def run() -> int:
        loop = asyncio.get_running_loop()
        deadlines: DeadlineHeap[Owner] = DeadlineHeap(loop, lambda owner, now: None)
        owner = Owner()
        for step in range(1000):
            deadlines.set(owner, loop.time() + 10_000 - step)
        size = len(deadlines._heap)
        deadlines.stop()
        return size

    assert asyncio.run(run()) <= 70
