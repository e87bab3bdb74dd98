"""Work on an event loop, where no thread can be started, or not at first."""

import asyncio
import threading

import pytest

from rollout_viewer._viewer.worker import Worker

START = threading.Thread.start


def run(main):
    """Run on a loop, in a process in which that of the browser tests may be set."""
    other = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        asyncio.run(main())
    finally:
        asyncio._set_running_loop(other)


class Counter(Worker):
    """Counts its calls, each an event."""

    def __init__(self, pause=None):
        super().__init__("counter")
        self.pause = pause
        self.threads = []
        self.worked = asyncio.Event()
        self.has_forgotten = False

    def work(self):
        self.threads.append(threading.current_thread())
        if threading.current_thread() is threading.main_thread():
            self.worked.set()
        return self.pause

    def forget(self):
        self.has_forgotten = True

    async def next(self):
        """Wait for a turn that is still to come."""
        self.worked.clear()
        await asyncio.wait_for(self.worked.wait(), 10)


@pytest.fixture
def no_threads():
    """Let no thread be started, until this is undone."""

    def start(self):
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as context:
        context.setattr(threading.Thread, "start", start)
        yield context


def from_a_thread(call):
    """Call it in a thread that was there before threads could not be started."""
    goes_on = threading.Event()
    thread = threading.Thread(target=lambda: (goes_on.wait(10), call()))
    with pytest.MonkeyPatch.context() as context:
        context.setattr(threading.Thread, "start", START)
        thread.start()
    goes_on.set()
    thread.join()


def test_a_thread_wakes_what_works_on_a_loop(no_threads):
    async def main():
        worker = Counter()
        worker.start()
        worker.wake()
        await worker.next()

        for _ in range(3):
            from_a_thread(worker.wake)
            await worker.next()

        worker.pause = 0.001
        from_a_thread(worker.wake)
        await worker.next()
        await worker.next()  # and goes on
        worker.close()

    run(main)


def test_a_wake_from_a_thread_without_a_loop_is_made_up_for(no_threads):
    async def main():
        worker = Counter()
        worker.start()
        from_a_thread(worker.wake)  # nothing can work there

        worker.wake()
        await worker.next()

    run(main)


def test_a_thread_works_again_when_one_can_be_started(no_threads):
    async def main():
        worker = Counter()
        worker.start()
        worker.wake()
        await worker.next()
        no_threads.undo()

        worker.wake()
        while len(worker.threads) < 2:
            await asyncio.sleep(0)

        assert worker.threads[-1] is not threading.main_thread()
        thread = worker.threads[-1]
        worker.close()
        thread.join(10)
        assert worker.has_forgotten

    run(main)


def test_a_loop_that_was_closed_is_left(no_threads):
    worker = Counter(pause=60)

    async def main():
        worker.worked = asyncio.Event()
        worker.start()
        worker.wake()
        await worker.next()

    for count in (1, 2):
        run(main)
        assert len(worker.threads) == count


def test_wakes_without_end_do_not_keep_it_from_working(no_threads):
    async def main():
        worker = Counter()
        worker.start()
        worker.wake()
        for _ in range(50):
            worker.wake()
            await asyncio.sleep(0)
        assert len(worker.threads) > 10

    run(main)
