"""Many deadlines behind one timer."""

import asyncio
import math

from portside.behaviours.deadline_heap import DeadlineHeap


class Item:
    def __init__(self) -> None:
        self.deadline = math.inf


def test_each_rings_when_it_is_due_and_once() -> None:
    async def run() -> list[int]:
        loop = asyncio.get_running_loop()
        items, rung, done = [Item() for _ in range(4)], [], loop.create_future()

        def on_deadline(item: Item, now: float) -> None:
            rung.append(items.index(item))
            if item is items[1]:
                done.set_result(None)

        deadlines = DeadlineHeap(loop, on_deadline)
        start = loop.time()
        for item, at in ((items[0], 0.02), (items[1], 0.05), (items[2], 0.01), (items[0], 0.0), (items[2], 9.0)):
            deadlines.set(item, start + at)
        deadlines.set(items[3], start + 0.03)
        deadlines.drop(items[3])
        await done
        deadlines.stop()
        return rung

    assert asyncio.run(run()) == [0, 2, 1]


def test_deadlines_that_come_nearer_leave_nothing_behind() -> None:
    async def run() -> int:
        loop = asyncio.get_running_loop()
        deadlines: DeadlineHeap[Item] = DeadlineHeap(loop, lambda item, now: None)
        item = Item()
        for step in range(1000):
            deadlines.set(item, loop.time() + 10_000 - step)
        size = len(deadlines._heap)
        deadlines.stop()
        return size

    assert asyncio.run(run()) <= 70
