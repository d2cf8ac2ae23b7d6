"""Work beside the display, and what still comes while it ends."""

import asyncio

import pytest

from portside.tui.worker import Worker


def test_an_error_of_a_task_is_told() -> None:
    failed: list[BaseException] = []

    async def main() -> None:
        worker = Worker(failed.append)

        async def fail() -> None:
            await worker.run(lambda: 1 // 0)

        await asyncio.wait([worker.start(fail())])
        worker.shutdown()

    asyncio.run(main())
    assert [type(error) for error in failed] == [ZeroDivisionError]


def test_what_begins_after_the_end_does_nothing() -> None:
    failed: list[BaseException] = []
    done: list[str] = []

    async def main() -> None:
        worker = Worker(failed.append)

        async def work() -> None:
            await worker.run(lambda: done.append("run"))

        async def goes_on_when_cancelled() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await worker.run(lambda: done.append("after the end"))

        stubborn = worker.start(goes_on_when_cancelled())
        await asyncio.sleep(0)
        worker.shutdown()
        late = worker.start(work())
        worker.submit(lambda: done.append("submit"))
        await asyncio.wait([late, stubborn])
        assert late.cancelled()
        with pytest.raises(RuntimeError):
            stubborn.result()

    asyncio.run(main())
    assert not failed
    assert not done
