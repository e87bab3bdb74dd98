"""Workers are given and send many things at a time, and nothing is lost by that."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import math
import os
import pickle
import queue
import signal
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cache import block_appender
from rollout_viewer._cache.block_filer import BlockFiler
from rollout_viewer._cache.unfiled import (
    MAX_LARGE_UNFILED,
    MAX_UNFILED,
    SMALL_BYTES,
    Unfiled,
)
from rollout_viewer._recording.filing import FiledRecording
from rollout_viewer._recording.sealed_block import SealedBlock, side_by_side
from rollout_viewer._recording.writer import WriterThread
from rollout_viewer._replay.messages import read_message, write_message
from rollout_viewer._replay.pool import Answer
from rollout_viewer.sources._collect import outbox as outbox_module
from rollout_viewer.sources._collect import worker as worker_module
from rollout_viewer.sources._collect.collection import Collection
from rollout_viewer.sources._collect.jobs import Job, Jobs
from rollout_viewer.sources._collect.messages import (
    Assigned,
    Ended,
    Filed,
    Granted,
    Pickled,
    Sealed,
    Several,
    Start,
    Stop,
    WantsJobs,
    WantsSteps,
)
from rollout_viewer.sources._collect.outbox import Outbox
from rollout_viewer.sources._collect.processes import _MAX_MESSAGES, CollectPool
from rollout_viewer.sources._collect.ray_cluster import (
    CollectActor,
    RayAnswers,
    RayWorker,
)
from rollout_viewer.sources._collect.runner import EpisodeRunner, Setup
from rollout_viewer.sources._collect.sending import (
    LONG_S,
    MAX_BYTES,
    SHORT_S,
    SendEvery,
    send_every,
)
from rollout_viewer.sources._collect.worker import DriverLink, _send_all
from rollout_viewer.testing import CountingEnv, TurnedClock
from tests.collect_envs import KilledBySeed
from tests.test_append_block import blocks_of
from tests.test_collect import by_seed, play, processes


class LongEnv(CountingEnv):
    """Has episodes of 20 steps."""

    def __init__(self) -> None:
        super().__init__(lengths=[20])


def wanted(count: int, *, is_ahead: bool = True, has_steps: bool = True) -> WantsJobs:
    return WantsJobs(count, has_steps, is_ahead)


def take(jobs: Jobs, count: int, num_workers: int, **how: bool) -> list[Job]:
    return jobs.take(count, num_workers, **{"has_steps": True, "is_ahead": True, **how})


def numbers(jobs: list[Job]) -> list[int]:
    return [job.number for job in jobs]


# -- episodes


def test_many_episodes_are_given_at_once_and_the_last_ones_one_by_one():
    jobs = Jobs(range(100, 120), None, 20)

    assert numbers(take(jobs, 4, 2)) == [0, 1, 2, 3]
    # No more than half of what each of two workers can have of the 16.
    assert numbers(take(jobs, 50, 2)) == [4, 5, 6]
    take(jobs, 50, 2), take(jobs, 50, 2), take(jobs, 50, 2)
    left = 20 - 4 - 3 - 3 - 2 - 2
    assert take(jobs, 50, left) == []
    assert len(take(jobs, 50, left, is_ahead=False)) == 1


def test_of_seeds_without_an_end_as_many_are_given_as_are_wanted():
    jobs = Jobs(iter(int, 1), 5)

    assert len(take(jobs, 64, 9)) == 64
    jobs.take_steps(5)
    assert take(jobs, 3, 9, has_steps=False) == []
    assert jobs.has_run_out


def test_of_an_iterator_of_the_caller_no_seed_is_taken_ahead():
    jobs = Jobs(iter(range(99)), None, is_ahead=False)

    assert numbers(take(jobs, 64, 1, is_ahead=False)) == [0]
    assert take(jobs, 64, 1) == []
    assert numbers(take(jobs, 64, 1, is_ahead=False)) == [1]


def test_an_iterator_of_seeds_is_read_no_further_than_episodes_begin():
    read = itertools.count()
    ended = itertools.count(1)

    cache = processes(
        LongEnv,
        seeds=read,
        num_workers=1,
        on_episode=lambda episode: next(ended) < 400,
    )

    # One is asked whether it is there, and one may be given and not begun.
    assert next(read) <= len(cache.episodes) + 2


def test_an_episode_that_was_lost_is_given_alone_and_one_that_came_back_as_it_was():
    jobs = Jobs(range(30), None, 30)
    first, second, third = take(jobs, 3, 1)
    jobs.lose(second)
    jobs.give_back(first)
    jobs.give_back(third)

    assert jobs.has_lost
    assert take(jobs, 9, 1) == [first]
    assert take(jobs, 9, 1) == []  # not to one that has another
    assert take(jobs, 9, 1, is_ahead=False) == [second._replace(attempt=1)]
    assert numbers(take(jobs, 2, 1)) == [2, 3]
    assert jobs.num_lost == 1


def test_an_episode_that_ends_its_process_takes_no_other_with_it():
    """Those around it were lost as often, and given up with it."""
    with pytest.warns(rv.RolloutViewerWarning, match=r"1 are missing.*seeds \[7\]"):
        cache = processes(KilledBySeed, episodes=100, num_workers=1)

    assert by_seed(cache) == {s: play(s) for s in range(100) if s != 7}


# -- a worker


class Driver:
    """The driver's end of a link, without a process."""

    def __init__(self, gather: Any = lambda gathering: None) -> None:
        self.clock = TurnedClock()
        self.inbox: queue.Queue = queue.Queue()
        self.sent: list = []
        self.num_hurried = 0
        self.link = DriverLink(
            self.inbox.get,
            self.sent.append,
            lambda: None,
            self._hurry,
            clock=self.clock,
            gather=gather,
        )

    def _hurry(self) -> None:
        self.num_hurried += 1

    def answer(self, *messages: object) -> None:
        for message in messages:
            self.inbox.put(message)

    def taken(self) -> list:
        sent, self.sent[:] = [*self.sent], []
        return sent


def test_a_fast_worker_asks_for_episodes_before_it_has_none():
    driver = Driver()
    jobs = [Job(number, number) for number in range(40)]
    for number in range(3):
        driver.answer(Assigned((jobs[number],)))
        assert driver.link.next_job() == jobs[number]
        driver.clock.turn(0.125)

    # Two of them took a quarter of a second.
    asked = wanted(1, is_ahead=False, has_steps=False)
    assert driver.taken() == [asked, asked, asked, wanted(8, has_steps=False)]
    driver.answer(Assigned(tuple(jobs[3:9])))
    assert driver.link.next_job() == jobs[3]
    assert driver.link.unbegun == (4, 5, 6, 7, 8)
    assert driver.taken() == []


def test_a_worker_that_has_one_that_was_lost_asks_for_no_other():
    driver = Driver()
    for job in (Job(0, 0), Job(1, 1), Job(5, 5, attempt=1)):
        driver.answer(Assigned((job,)))
        assert driver.link.next_job() == job
        driver.clock.turn(0.125)

    assert [one.is_ahead for one in driver.taken()] == [False] * 3


def test_steps_are_asked_for_ahead_until_none_are_granted():
    driver = Driver()
    driver.answer(Start(0, is_limited=True))
    driver.link.start(None)
    driver.answer(Granted(32))
    for _ in range(30):
        assert driver.link.take_steps(1)
        driver.clock.turn(1 / 64)
    assert driver.taken()[1:] == [
        WantsSteps(32, 1, is_ahead=False),
        WantsSteps(128, 1, is_ahead=True),
    ]
    driver.answer(Granted(0), Granted(1))

    for _ in range(3):  # two are left, and one is granted
        assert driver.link.take_steps(1)
        driver.clock.turn(1 / 64)

    assert driver.taken() == [WantsSteps(128, 1, is_ahead=False)]
    driver.answer(Granted(0))
    assert not driver.link.take_steps(1)


def test_no_episode_begins_of_which_no_step_may_be_done():
    driver = Driver()
    driver.answer(Start(0, is_limited=True))
    driver.link.start(None, num_envs=3)
    driver.answer(Assigned((Job(0, 0), Job(1, 1))), Granted(3))
    assert driver.link.next_job() == Job(0, 0)
    assert driver.link.take_steps(3)
    driver.taken()
    driver.answer(Granted(0))

    assert driver.link.next_job() is None
    assert driver.taken() == [WantsSteps(96, 3, is_ahead=False)]
    assert driver.link.unbegun == (1,)


def test_steps_on_their_way_are_awaited_before_an_episode_is_asked_for():
    """It was refused one, as all steps were granted, and idled to the end."""
    driver = Driver()
    driver.answer(Start(0, is_limited=True))
    driver.link.start(None, 3)
    driver.answer(Granted(96))
    for _ in range(32):
        assert driver.link.take_steps(3)
        driver.clock.turn(1 / 64)
    assert driver.taken()[-1] == WantsSteps(384, 3, is_ahead=True)
    driver.answer(Granted(200), Assigned((Job(0, 0),)))

    assert driver.link.next_job() == Job(0, 0)

    assert driver.taken()[0] == wanted(1, is_ahead=False, has_steps=True)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_the_last_steps_are_done_by_the_process_that_has_them(num_envs, monkeypatch):
    """Others began for what it gave back, and had too few steps for it."""
    started: list[int] = []
    start = CollectPool._start

    def counted(pool: CollectPool, number: int) -> None:
        started.append(number)
        start(pool, number)

    monkeypatch.setattr(CollectPool, "_start", counted)
    cache = processes(LongEnv, max_steps=4000, num_workers=1, num_envs=num_envs)

    assert started == [0]
    lengths = [episode.length for episode in cache.episodes]
    assert 0 not in lengths
    assert sum(lengths) == 4000 // num_envs * num_envs


def test_too_few_steps_for_all_envs_of_a_worker_are_noted():
    jobs = Jobs(range(9), 5)

    assert jobs.has_steps_for(5)
    assert not jobs.has_run_out
    assert not jobs.has_steps_for(6)
    assert jobs.has_run_out


def test_a_worker_waits_for_what_is_not_filed_and_hurries():
    driver = Driver()
    (block,) = blocks_of(32)
    driver.link.send_block(block)
    assert not driver.num_hurried
    driver.answer(Filed(1))

    driver.link.wait_until_filed()

    assert driver.num_hurried <= 1  # the answer may have been there
    assert driver.taken() == [Sealed(block)]


# -- the driver


class Pool(CollectPool):
    """A pool of one worker, which notes what it handles."""

    def __init__(self) -> None:
        collection = SimpleNamespace(
            filer=SimpleNamespace(is_due=lambda workers: False),
            jobs=SimpleNamespace(has_next=True, has_steps=True),
            is_stopping=False,
            is_awaited=False,
        )
        super().__init__([Setup(CountingEnv, None, 1, 0, "now")], collection, None)
        self.sent: list = []
        self.worker = SimpleNamespace(
            number=0,
            is_ready=True,
            has_ended=False,
            sends_every=SendEvery(),
            send=self.sent.append,
            flush=lambda: None,
        )
        self._workers[0] = self.worker
        self._queue: queue.Queue = queue.Queue()
        self._answers = self._queue
        self.handled: list = []
        self.raised: dict = {}

    def put(self, message: object) -> None:
        self._queue.put(Answer(self.worker, message))

    def turn(self) -> None:
        self._turn(0)

    def _handle(self, worker: object, message: object) -> None:
        assert worker is self.worker
        if message in self.raised:
            raise self.raised.pop(message)
        self.handled.append(message)


def test_messages_of_any_number_are_handled_in_order():
    pool = Pool()
    for number in range(2 * _MAX_MESSAGES):
        pool.put(number)

    for _ in range(3):
        pool.turn()

    assert pool.handled == [*range(2 * _MAX_MESSAGES)]


def test_workers_send_seldom_once_it_runs_and_nobody_waits_for_rows():
    pool = Pool()
    pool.turn()
    assert pool.sent == []
    pool._first_at = -math.inf
    pool.turn()
    pool.turn()
    assert pool.sent == [SendEvery(LONG_S)]

    pool._collection.is_awaited = True  # type: ignore[misc]
    pool.turn()
    pool._collection.is_awaited = False  # type: ignore[misc]
    pool.turn()
    pool._num_deaths = 1  # what one that ends has not sent is collected again
    pool.turn()

    assert pool.sent[1:] == [SendEvery(one) for one in (SHORT_S, LONG_S, SHORT_S)]


def test_a_viewer_or_a_function_of_episodes_has_rows_sent_often():
    def collection(cache: rv.FrameCache, on_episode: object = None) -> Collection:
        return Collection(cache, None, None, None, CountingEnv, on_episode)

    cache = rv.FrameCache()
    assert not collection(cache).is_awaited
    assert collection(cache, print).is_awaited
    viewer = rv.view(cache)
    assert collection(cache).is_awaited
    viewer.close()

    assert not collection(cache).is_awaited


def test_many_workers_together_send_no_more_than_the_driver_can_hold():
    assert [send_every(9, n).num_bytes for n in (1, 32, 64, 10_000)] == [
        *(2 << 20, 2 << 20, 1 << 20),
        256 << 10,
    ]


@pytest.mark.parametrize(
    ("error", "left"), [(KeyboardInterrupt, [2, 3, 4]), (ValueError, [3, 4])]
)
def test_what_is_not_handled_when_a_message_raises_is_handled_then(error, left):
    pool = Pool()
    pool.put(Several([1, 2, 3]))
    pool.put(4)
    pool.raised[2] = error()
    with pytest.raises(error):
        pool.turn()
    assert pool.handled == [1]

    pool.turn()

    assert pool.handled == [1, *left]


# -- blocks


def sized(nbytes: int) -> SealedBlock:
    return SealedBlock(32, 1, b"x" * nbytes, ())


def test_small_blocks_may_be_many_on_their_way_and_large_ones_few():
    small, large = Unfiled(), Unfiled()
    while not small.is_full:
        small.add(sized(100))
    while not large.is_full:
        large.add(sized(SMALL_BYTES // 2))

    assert (len(small), len(large)) == (MAX_UNFILED, MAX_LARGE_UNFILED)
    small.note_filed(3)
    assert len(small) == MAX_UNFILED - 3
    assert not small.is_full
    large.note_filed(99)
    assert not large


def test_blocks_that_come_many_at_a_time_are_beside_those_of_others():
    clock = TurnedClock()
    cache = rv.FrameCache()
    filer = BlockFiler(cache, 2, clock)
    for worker in range(2):
        filer.add_worker(worker, range(worker, worker + 1))

    for block in blocks_of(5 * 32):
        filer.add(0, block)
    clock.turn(0.1)
    assert not filer.is_due([0, 1])  # five of one were filed without the other's
    for block in blocks_of(3 * 32, first_env=1):
        filer.add(1, block)
    filed = []
    while filer.is_due([0, 1]):
        filed += filer.file().workers
    assert filed == [0, 1] * 3
    clock.turn(0.3)
    while filer.is_due([0, 1]):  # both that are left are old, not the first alone
        filed += filer.file().workers

    assert filed[6:] == [0, 0]
    assert not filer.has_waiting


def test_a_block_that_came_later_waits_for_that_of_another_by_itself():
    clock = TurnedClock()
    filer = BlockFiler(rv.FrameCache(), 2, clock)
    for worker in range(2):
        filer.add_worker(worker, range(worker, worker + 1))
    first, second = blocks_of(2 * 32)

    filer.add(0, first)
    clock.turn(0.3)
    filer.add(0, second)
    clock.turn(0.125)
    assert filer.file().workers == [0]
    assert not filer.is_due([0, 1])
    filer.add(1, blocks_of(32, first_env=1)[0])

    assert filer.file().workers == [0, 1]


def test_one_worker_alone_fills_the_recording_while_others_have_nothing():
    filer = BlockFiler(rv.FrameCache(), 2, TurnedClock())
    for worker in range(2):
        filer.add_worker(worker, range(worker, worker + 1))
    for number, block in enumerate(blocks_of(MAX_UNFILED * 32)):
        assert number < MAX_UNFILED / 2 or filer.is_due([0, 1])
        filer.add(0, block)


def test_whole_blocks_of_one_worker_are_filed_together(monkeypatch):
    transactions = []
    put = WriterThread.put
    release = WriterThread.release

    def noted(self, batch, *, max_stall_s):
        transactions.append(self._is_held)
        return put(self, batch, max_stall_s=max_stall_s)

    def noted_release(self):
        transactions.append("written")
        release(self)

    monkeypatch.setattr(WriterThread, "put", noted)
    monkeypatch.setattr(WriterThread, "release", noted_release)
    cache, expected = rv.FrameCache(), rv.FrameCache()
    filer = BlockFiler(cache, 1, TurnedClock())
    filer.add_worker(0, range(1))
    blocks = blocks_of(5 * 32 + 3)
    for block in blocks:
        filer.add(0, block)

    filed = filer.file()

    assert filed.workers == [0] * 5
    assert transactions == [True] * 5 + ["written"]
    assert filer.file().workers == [0]
    assert not filer.has_waiting
    for block in blocks:
        expected.append_block({0: block}, fill=block.num_rows == 32)
    assert cache.episodes == expected.episodes
    assert np.array_equal(cache.frames(range(163)), expected.frames(range(163)))


def test_of_blocks_filed_together_those_before_a_damaged_one_are_filed():
    cache = rv.FrameCache()
    filer = BlockFiler(cache, 1, TurnedClock())
    filer.add_worker(0, range(1))
    blocks = blocks_of(5 * 32)
    blocks[3] = blocks[3]._replace(steps=blocks[3].steps[:-9])
    for block in blocks:
        filer.add(0, block)
    seen = []
    cache.subscribe(lambda start, stop: seen.append((start, stop)))

    assert filer.file().workers == [0] * 3
    with pytest.raises(rv.RecordingError, match="intact step data"):
        filer.file()
    assert filer.discard() == [0]

    assert filer.file().workers == [0]
    assert cache.num_rows == 4 * 32
    assert seen == [(0, 96), (96, 128)]
    assert not filer.has_waiting


def test_a_block_that_fails_in_any_way_takes_no_other_with_it(monkeypatch):
    cache = rv.FrameCache()
    filer = BlockFiler(cache, 2, TurnedClock())
    blocks = [blocks_of(4 * 32, first_env=env) for env in range(2)]
    for env in range(2):
        filer.add_worker(env, range(env, env + 1))
        for block in blocks[env]:
            filer.add(env, block)

    def failing(found, *values):
        if any(one.steps is blocks[0][2].steps for one in found.values()):
            raise ArithmeticError("as no one expects")
        return side_by_side(found, *values)

    monkeypatch.setattr(block_appender, "side_by_side", failing)
    assert filer.file().workers == [0, 1] * 2
    with pytest.raises(ArithmeticError):
        filer.file()
    assert filer.discard() == [0]

    filed = []
    while filer.has_waiting:
        filed += filer.file().workers
    assert sorted(filed) == [0, 1, 1]


@pytest.mark.parametrize("place", [1, 2, 3])
def test_blocks_filed_together_are_all_there_after_an_interrupt(place, monkeypatch):
    cache = rv.FrameCache()
    filer = BlockFiler(cache, 1, TurnedClock())
    filer.add_worker(0, range(1))
    blocks = blocks_of(4 * 32)
    for block in blocks:
        filer.add(0, block)
    append, num_calls = FiledRecording._append_block, []

    def interrupted(self, *values):
        num_calls.append(1)
        if len(num_calls) == place:
            raise KeyboardInterrupt
        append(self, *values)

    monkeypatch.setattr(FiledRecording, "_append_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        filer.file()

    assert filer.file().workers == [0] * 4
    assert cache.num_rows == 4 * 32
    expected = rv.FrameCache()
    monkeypatch.undo()
    for block in blocks:
        expected.append_block({0: block})
    assert cache.episodes == expected.episodes


# -- messages


@pytest.fixture
def patient(monkeypatch):
    """Whoever gathers messages does so for ever, unless there is a reason to end."""
    monkeypatch.setattr(outbox_module, "SendEvery", lambda: SendEvery(1e6))


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("patient")
def test_messages_wait_for_more_unless_they_are_few_many_large_or_awaited():
    clock = TurnedClock()
    outbox = Outbox(clock)

    outbox.put("first")
    assert outbox.take() == ["first"]  # of a slow environment: nothing to wait for
    many = [*range(outbox_module._MAX_GATHERED)]
    for number in many:
        outbox.put(number)
    assert outbox.take() == many
    outbox.put("wanted")
    outbox.hurry()
    assert outbox.take() == ["wanted"]
    outbox.put(Sealed(sized(MAX_BYTES)))
    assert len(outbox.take()) == 1
    clock.turn(1e6)
    outbox.put("late")
    assert outbox.take() == ["late"]


@pytest.mark.timeout(60)
def test_messages_of_all_workers_go_at_the_same_moment(monkeypatch):
    waits: list[float] = []
    for passed in (0.0, 0.125, 0.375):
        wall = functools.partial(float, 1e9 + passed)
        outbox = Outbox(TurnedClock(), wall, gathering=SendEvery(0.5))
        outbox.put("first")
        outbox.take()
        outbox.put("second")

        def wait_for(is_so, wait_s):
            waits.append(wait_s)
            return is_so()

        monkeypatch.setattr(outbox._changed, "wait_for", wait_for)
        assert outbox.take() == ["second"]

    assert waits[1::2] == [0.5, 0.375, 0.125]


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("patient")
def test_what_waits_for_more_goes_sooner_once_somebody_looks():
    outbox = Outbox(TurnedClock(), functools.partial(float, 1.0))
    outbox.put("first")
    outbox.take()
    outbox.put("next")
    found: list = []
    taker = threading.Thread(target=lambda: found.append(outbox.take()), daemon=True)
    taker.start()

    outbox.gather(SendEvery(0.125))
    taker.join(30)

    assert found == [["next"]]


def test_a_worker_that_sends_seldom_asks_sooner_for_more():
    gathered: list = []
    driver = Driver(gathered.append)
    driver.answer(SendEvery(4.0), Start(0, is_limited=True))
    driver.link.start(None)
    driver.answer(Granted(40))
    for _ in range(40):
        assert driver.link.take_steps(1)
        driver.clock.turn(1 / 64)

    assert gathered == [SendEvery(4.0)]
    assert driver.taken()[-1] == WantsSteps(640, 1, is_ahead=True)


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("patient")
def test_a_worker_sends_what_it_has_together_and_all_of_it():
    ends = os.pipe()
    with os.fdopen(ends[0], "rb") as source, os.fdopen(ends[1], "wb") as out:
        outbox = Outbox(TurnedClock())
        thread = threading.Thread(target=_send_all, args=(outbox, out), daemon=True)
        thread.start()
        outbox.put("ready")
        assert read_message(source) == Several(["ready"])
        many = [*range(outbox_module._MAX_GATHERED)]
        for number in many:
            outbox.put(number)
        assert read_message(source) == Several(many)
        for number in range(32, 36):
            outbox.put(number)
        outbox.put(None)  # the last one
        outbox.hurry()
        thread.join(30)

        assert read_message(source) == Several([32, 33, 34, 35])


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("patient")
def test_what_a_worker_has_put_is_sent_whatever_ends_it(monkeypatch):
    def collect(link, setup):
        for message in ("first", "next", "last"):
            link.send(message)
        raise GeneratorExit

    def link_of(receive, deliver, *others, **named):
        return SimpleNamespace(send=deliver)

    told, (source, target) = io.BytesIO(), os.pipe()
    write_message(told, [*sys.path])
    write_message(told, b"setup")
    told.seek(0)
    with os.fdopen(source, "rb") as sent, os.fdopen(target, "wb") as out:
        monkeypatch.setattr(worker_module, "take_over_pipes", lambda: (told, out))
        monkeypatch.setattr(worker_module, "collect", collect)
        monkeypatch.setattr(worker_module, "DriverLink", link_of)
        monkeypatch.setattr(signal, "signal", lambda *values: None)
        with pytest.raises(GeneratorExit):
            worker_module.main()
        os.set_blocking(source, False)
        data = io.BytesIO(sent.read() or b"")

    found = []
    with contextlib.suppress(EOFError):
        while True:
            found += read_message(data).messages
    assert found == ["first", "next", "last"]


@pytest.mark.timeout(60)
def test_what_ends_the_thread_that_sends_ends_the_process(monkeypatch, capsys):
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    outbox = Outbox()
    outbox.put(lambda: "never pickled")

    with open(os.devnull, "wb") as out:
        _send_all(outbox, out)
    outbox.wait_until_sent()

    assert codes == [1]
    assert "lambda" in capsys.readouterr().err


def test_a_message_that_cannot_be_pickled_raises_to_who_puts_it():
    outbox = Outbox(packed=Pickled)

    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        outbox.put(lambda: None)
    outbox.put("next")
    outbox.put(None)

    sent = pickle.dumps(Several(outbox.take()[:-1]))
    assert pickle.loads(sent) == Several(["next"])


@pytest.mark.timeout(60)
def test_messages_are_sent_when_who_took_them_is_back():
    outbox = Outbox(TurnedClock())
    events: list[str] = []
    outbox.put("rows")

    def wait() -> None:
        outbox.wait_until_sent()
        events.append("closed")

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert outbox.take() == ["rows"]
    events.append("sent")
    outbox.take()
    thread.join(30)

    assert events == ["sent", "closed"]


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("patient")
def test_a_worker_that_waits_is_told_so_though_it_sent_all_before(monkeypatch):
    monkeypatch.setattr(outbox_module, "_POLL_S", 1e6)
    outbox = Outbox(TurnedClock())
    outbox.put("sent")
    assert outbox.take() == ["sent"]
    assert not outbox.was_hurried

    outbox.hurry()

    assert outbox.take() == []
    assert outbox.was_hurried


# -- through Ray


class Cluster(ModuleType):
    """What `RayWorker`s call: calls have the number of their actor and their own.

    Attributes:
        calls: Actor -> what each of its calls brought it.
        delivered: Actor -> what each other message brought it.
        answers: Actor -> what the calls are answered with, from the first on; an
            exception is raised.
        called: Called within each call for messages, with what it is told.
        late: Parts of answers that are in the store of another node.
    """

    def __init__(self) -> None:
        super().__init__("ray")
        self.calls: list[list] = []
        self.delivered: list[list] = []
        self.answers: list[list] = []
        self.num_parts: list[int] = []
        self.called = lambda *told: None
        self.late: set[tuple[int, int, int]] = set()
        self.exceptions = SimpleNamespace(RayError=OSError)

    def remote(self, **how: object) -> object:
        return lambda cls: SimpleNamespace(remote=self.started)

    def started(self) -> object:
        number = len(self.calls)
        calls, delivered = [], []
        self.calls.append(calls)
        self.delivered.append(delivered)
        self.answers.append([])

        def call(data: bytes, count: int, *told: int) -> object:
            self.called(data, count, *told)
            calls.append(pickle.loads(data) if data else [])
            self.num_parts.append(count)
            refs = [(number, len(calls) - 1, part) for part in range(count)]
            return refs if count > 1 else refs[0]

        def deliver(data: bytes) -> None:
            delivered.append(pickle.loads(data))

        return SimpleNamespace(
            _actor_id=SimpleNamespace(hex=lambda: "0123456789"),
            run=SimpleNamespace(remote=lambda setup: None),
            take=SimpleNamespace(options=lambda **how: SimpleNamespace(remote=call)),
            deliver=SimpleNamespace(
                options=lambda **how: SimpleNamespace(remote=deliver)
            ),
        )

    def wait(self, refs: list, *, num_returns: int, timeout: float) -> tuple:
        there = [one for one in refs if one[1] < len(self.answers[one[0]])]
        return [one for one in there if one not in self.late], []

    def get(self, refs: list) -> list:
        return [self._answer(*one) for one in refs]

    def _answer(self, number: int, call: int, part: int) -> bytes:
        answer = self.answers[number][call]
        if isinstance(answer, BaseException):
            raise answer
        return pickle.dumps(answer) if part == 0 else b""

    def kill(self, actor: object) -> None:
        pass


@pytest.fixture
def cluster(monkeypatch):
    found = Cluster()
    monkeypatch.setitem(sys.modules, "ray", found)
    return found


def started(count: int) -> tuple[RayAnswers, list[RayWorker]]:
    answers = RayAnswers()
    workers = [RayWorker(answers, number, b"") for number in range(count)]
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.1)
    return answers, workers


@pytest.mark.parametrize("is_waiting", [False, True])
def test_what_is_filed_is_told_at_once_to_an_actor_that_waits(cluster, is_waiting):
    """It was told by the next call, a second later."""
    answers, [worker] = started(1)
    cluster.answers[0].append((["rows"], is_waiting))
    assert answers.get(timeout=0.1) == Answer(worker, Several(["rows"]))
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.1)  # it is called again

    worker.send(Filed(1))
    worker.flush()

    assert cluster.delivered == ([[[Filed(1)]]] if is_waiting else [[]])


def test_what_an_actor_is_told_goes_with_the_call_for_its_next_messages(cluster):
    """It went by a call of its own, that costs the driver half as much again."""
    answers, [worker] = started(1)
    cluster.answers[0].append((["wants"], True))
    answers.get(timeout=0.1)

    worker.send(Granted(5))
    worker.send(Filed(2))
    worker.flush()
    with pytest.raises(queue.Empty):
        answers.get(timeout=0)
    assert cluster.calls == [[[]]]
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.1)

    assert cluster.calls == [[[], [Granted(5), Filed(2)]]]
    assert cluster.delivered == [[]]


def test_of_several_actors_one_that_ended_takes_no_message_of_others(cluster):
    answers, workers = started(3)
    cluster.answers[0].append((["first"], False))
    cluster.answers[1].append(OSError("the node is gone"))
    cluster.answers[2].append((["last", None], False))

    found = [answers.get(timeout=0.1 * (not number)) for number in range(3)]

    assert [one.message.messages for one in found] == [
        ["first"],
        [None],
        ["last", None],
    ]
    assert [one.worker for one in found] == workers
    assert workers[1].why_ended() == "OSError: the node is gone"
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.1)
    assert [len(calls) for calls in cluster.calls] == [2, 1, 1]


def test_an_answer_that_was_interrupted_is_there_at_the_next_call(cluster):
    answers, [worker] = started(1)
    cluster.answers[0].append((["rows"], False))
    get = cluster.get

    def interrupted(refs: list) -> list:
        cluster.get = get
        get(refs)
        raise KeyboardInterrupt

    cluster.get = interrupted
    with pytest.raises(KeyboardInterrupt):
        answers.get(timeout=0.1)

    assert answers.get(timeout=0.1) == Answer(worker, Several(["rows"]))
    assert len(cluster.calls[0]) == 1


def test_what_a_call_took_whose_ref_was_lost_comes_with_the_next_call(cluster):
    """Ctrl-C while Ray is told of the call lost rows, and 5 seconds."""
    answers, actor = RayAnswers(), CollectActor()
    worker = RayWorker(answers, 0, b"")
    is_interrupted = True

    def called(*told: object) -> None:
        found = pickle.loads(actor.take(*told))
        if is_interrupted:
            raise KeyboardInterrupt
        cluster.answers[0].append(found)

    def put(messages: list) -> None:
        for message in messages:
            actor._outbox.put(message)
        actor._outbox.hurry()

    cluster.called = called
    put(["first"])
    with pytest.raises(KeyboardInterrupt):
        answers.get(timeout=0.1)
    is_interrupted = False
    put(["last", None])
    worker.send(Stop())

    found = [answers.get(timeout=0.1).message.messages for _ in range(2)]

    assert found == [["first"], ["last", None]]
    assert actor._inbox.get_nowait() == Stop()


@pytest.mark.timeout(60)
def test_an_actor_is_told_what_comes_while_a_call_before_waits(monkeypatch):
    monkeypatch.setattr(outbox_module, "_POLL_S", 1e6)
    actor = CollectActor()
    found: list = []

    def take(data: bytes) -> None:
        found.append(pickle.loads(actor.take(data, 1, 1)))

    told = [b"", pickle.dumps([Stop()])]
    threads = [threading.Thread(target=take, args=(one,), daemon=True) for one in told]
    for thread in threads:
        thread.start()
    assert actor._inbox.get(timeout=30) == Stop()
    actor._outbox.put("rows")
    actor._outbox.hurry()
    for thread in threads:
        thread.join(30)

    assert found == 2 * [(["rows"], True)]


class Interrupted(RayWorker):
    """A worker whose driver is interrupted when an attribute becomes true.

    Attributes:
        where: Its name.
    """

    where = ""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == self.where and value:
            self.where = ""
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("where", "answer", "found"),
    [
        ("_number_taken", (["last", None], False), ["last", None]),
        ("is_over", (["last", None], False), ["last", None]),
        ("is_over", OSError("the node is gone"), [None]),
    ],
)
def test_the_last_answer_whose_noting_was_interrupted_is_there_next(
    where, answer, found, cluster
):
    """It was not, and the driver waited 5 seconds for a worker that had ended."""
    answers = RayAnswers()
    worker = Interrupted(answers, 0, b"")
    worker.where = where
    cluster.answers[0].append(answer)
    with pytest.raises(KeyboardInterrupt):
        answers.get(timeout=0.1)

    assert answers.get(timeout=0.1) == Answer(worker, Several(found))


def test_an_answer_of_which_a_part_is_on_another_node_holds_up_no_other(cluster):
    """All waited until it had come from there."""
    answers, workers = started(2)
    cluster.answers[0].append(([bytes(150_000)], False))
    cluster.answers[1].append((["rows"], False))
    for _ in workers:
        answers.get(timeout=0.1)
    cluster.answers[0].append((["large"], False))
    cluster.answers[1].append((["next"], False))
    cluster.late.add((0, 1, 2))

    assert answers.get(timeout=0.1) == Answer(workers[1], Several(["next"]))
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.1)
    cluster.late.clear()
    assert answers.get(timeout=0.1) == Answer(workers[0], Several(["large"]))


def test_a_large_answer_comes_in_parts_that_ray_sends_at_once(cluster):
    answers, [worker] = started(1)
    large = bytes(150_000)
    cluster.answers[0] += [([large], False), ([large], False)]

    for _ in range(2):
        assert answers.get(timeout=0.1).message.messages == [large]
    actor = CollectActor()
    actor._outbox.put(large)
    actor._outbox.hurry()
    parts = actor.take(b"", 3, 1)

    assert cluster.num_parts == [1, 3]
    assert len(parts) == 3
    assert max(map(len, parts)) <= 100 * 1024
    worker.take(parts)
    assert worker.state == Answer(worker, Several([large]))


@pytest.mark.timeout(60)
def test_an_actor_closes_its_environment_when_all_it_sent_has_arrived(monkeypatch):
    closed = threading.Event()
    close = EpisodeRunner.close

    def noted(self):
        close(self)
        closed.set()

    monkeypatch.setattr(EpisodeRunner, "close", noted)
    actor = CollectActor()
    setup = pickle.dumps(Setup(LongEnv, None, 1, 0, "now"))
    threading.Thread(target=actor.run, args=(setup,), daemon=True).start()
    actor.deliver(pickle.dumps([Start(0, False), Assigned(())]))
    found: list = []
    numbers = itertools.count(1)

    while not any(isinstance(one, Ended) for one in found):
        assert not closed.wait(0.2)
        last = next(numbers)
        found += pickle.loads(actor.take(b"", 1, last))[0]
    actor.take(b"", 1, last)  # again: it was lost
    assert not closed.wait(0.2)  # what was taken is on its way
    while None not in found:
        found += pickle.loads(actor.take(b"", 1, next(numbers)))[0]

    assert closed.is_set()
