"""What collecting in many processes costs the process that has the recording.

    python -m tests.benchmarks.collect
    python -m tests.benchmarks.collect --ray      # through Ray's object store, too

Bytes and processor time of the driver for each frame, beside those of raw frames that
workers send in arrays of 32. Processor time is that of all threads of the driver's
process, those of Ray and of the writer of the file too, from when the first block is
filed to when the last one is; not of Ray's other processes. `--steps` are enough for
most of that to be after the first two seconds, in which workers send more often. What
Ray's threads take of a driver that does nothing, each second, is stated apart, of ours
and of raw frames, and is in neither: it depends on how fast the environment is. Ours is
all that is done: blocks are received, checked, filed and written. Of raw frames, once
the driver only receives them (through Ray, it maps memory that it does not read), and
once it copies them, as whoever keeps them does; it neither writes nor shows them. What
a second worker adds. How many rows a second the driver files of 64 simulated workers
that send blocks and do nothing else, and whether its memory grows. And how long
collecting for pictures that are rendered later takes beside TorchRL's collector, which
has none. Prints a table and writes build/bench/collect.json.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import os
import pickle
import statistics
import time
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("RAY_raylet_start_wait_time_s", "200")

import gymnasium as gym
import numpy as np
import psutil

import rollout_viewer as rv
from rollout_viewer._cache.block_builder import BlockBuilder
from rollout_viewer._cache.block_filer import BlockFiler, FiledRows
from rollout_viewer._recording.sealed_block import SealedBlock
from tests.benchmarks.frame_cache import is_there
from tests.benchmarks.report import Row, at_least, at_most, tell

ENVS = ("CartPole-v1", "ALE/Pong-v5")
CHUNK_ROWS = 32
NUM_SIMULATED, SIMULATED_TURNS = 64, 40
LATER_STEPS, TURNS = 4_000, 3
IDLE_S = 5.0
# Batches of raw frames that are kept: 180 MB of CartPole.
KEPT = 8
# Goals, beside raw frames.
FEWER_BYTES, LESS_CPU = 50, 5


Seen = tuple[float, float, int]


class Cost(NamedTuple):
    """Of a frame, in the driver, after the first block has come."""

    nbytes: float
    cpu_us: float
    frames_per_s: float


def main() -> int:
    """Measure everything; returns 0 also where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12_000, help="of each environment")
    parser.add_argument("--ray", action="store_true", help="through Ray, too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    if options.ray:
        import ray

        # Once, and with time to start on a busy machine.
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    for name in filter(is_there, ENVS):
        rows += transfer_rows(name, options.steps, "processes", raw_by_pipe)
        if options.ray:
            rows += transfer_rows(name, options.steps, "ray", raw_by_ray)
    rows += simulated_rows()
    rows += later_rows()
    tell("collect", rows)
    return 0


# -- what travels


def make_env(name: str) -> gym.Env[Any, Any]:
    if name.startswith("ALE/"):
        import ale_py

        gym.register_envs(ale_py)
    return gym.make(name, render_mode="rgb_array")


def transfer_rows(
    name: str, steps: int, backend: Any, raw: Callable[[str, int, bool], Cost]
) -> list[Row]:
    one = collected(name, steps, backend, 1)
    two = collected(name, 2 * steps, backend, 2)
    peer, copied = raw(name, steps, False), raw(name, steps, True)
    short, way = name.removeprefix("ALE/"), {"processes": "pipe"}.get(backend, backend)
    by_two = two.frames_per_s / (2 * one.frames_per_s)
    idle = idle_by_ray if backend == "ray" else lambda num_actors: 0.0
    of_one, of_two = idle(1), idle(2)
    return [
        at_most(
            f"{short}, {way}: bytes a frame",
            one.nbytes,
            peer.nbytes / FEWER_BYTES,
            "B",
            {"raw": peer.nbytes},
        ),
        cpu_row(
            f"{short}, {way}: driver CPU a frame",
            one,
            of_one,
            peer,
            copied,
            of_one,
        ),
        cpu_row(
            f"{short}, {way}: driver CPU a frame, of two workers",
            two,
            of_two,
            peer,
            copied,
            of_one,
        ),
        at_least(f"{short}, {way}: efficiency of two workers", by_two, 0.8, ""),
    ]


def cpu_row(
    what: str, ours: Cost, own_idle: float, peer: Cost, copied: Cost, idle: float
) -> Row:
    """Return the row of what a frame costs the driver beside what idleness does.

    Args:
        what: Its name.
        ours: What a frame costs.
        own_idle: Microseconds of processor time of an idle driver a second.
        peer: Raw frames that are received.
        copied: Raw frames that are copied.
        idle: Of their driver, as `own_idle`.
    """
    beside, raw_beside = own_idle / ours.frames_per_s, idle / peer.frames_per_s
    received = peer.cpu_us - raw_beside
    row = at_most(
        what,
        ours.cpu_us - beside,
        received / LESS_CPU,
        "us",
        {
            "raw, received": received,
            "raw, copied": copied.cpu_us - idle / copied.frames_per_s,
        },
    )
    if not idle:
        return row
    idles = {"beside ours, idle": beside, "beside raw, idle": raw_beside}
    return row._replace(peers={**row.peers, **idles})


def idle_by_ray(num_actors: int) -> float:
    """Return the microseconds a second of a driver whose actors do nothing."""
    import ray

    class Actor:
        def answer(self) -> None:
            pass

    actors = [ray.remote(Actor).remote() for _ in range(num_actors)]
    ray.get([actor.answer.remote() for actor in actors])
    time.sleep(1)  # what follows from their start
    begun = now(0)
    time.sleep(IDLE_S)
    ended = now(1)
    for actor in actors:
        ray.kill(actor)
    return 1e6 * (ended[0] - begun[0]) / (ended[1] - begun[1])


def collected(name: str, steps: int, backend: Any, num_workers: int) -> Cost:
    """Return what a frame costs where `rv.collect` files it."""
    sizes: list[tuple[int, int]] = []
    sample: list[SealedBlock] = []
    seen: list[Seen] = []
    waiting: dict[int, deque[int]] = defaultdict(deque)
    add, file = BlockFiler.add, BlockFiler.file

    def counted(self: BlockFiler, worker: int, block: SealedBlock) -> None:
        sizes.append((block.nbytes, block.num_rows))
        sample[:] = [block]
        waiting[worker].append(block.num_rows)
        add(self, worker, block)

    def filed(self: BlockFiler) -> FiledRows:
        found = file(self)
        seen.append(now(sum(waiting[worker].popleft() for worker in found.workers)))
        return found

    BlockFiler.add, BlockFiler.file = counted, filed
    try:
        with rv.FrameCache() as cache:
            rv.collect(
                functools.partial(make_env, name),
                max_steps=steps,
                num_workers=num_workers,
                backend=backend,
                cache=cache,
                progress=False,
            )
    finally:
        BlockFiler.add, BlockFiler.file = add, file
    around = len(pickle.dumps(sample[0], protocol=5)) - sample[0].nbytes
    nbytes = sum(size + around for size, _ in sizes) / sum(rows for _, rows in sizes)
    return cost(nbytes, seen)


def now(num_frames: int) -> Seen:
    """Return processor time, time, and how many frames came."""
    return time.process_time(), time.perf_counter(), num_frames


def cost(nbytes: float, seen: list[Seen]) -> Cost:
    """Return the cost of frames whose blocks came at these times, but for the first."""
    num_frames = sum(count for _, _, count in seen[1:])
    (cpu, wall, _), (last_cpu, last_wall, _) = seen[0], seen[-1]
    return Cost(
        nbytes, 1e6 * (last_cpu - cpu) / num_frames, num_frames / (last_wall - wall)
    )


def frames_of(name: str, steps: int) -> Iterator[np.ndarray[Any, Any]]:
    """Yield arrays (32, H, W, 3) of an environment that acts by chance."""
    env = make_env(name)
    env.reset(seed=0)
    for _ in range(steps // CHUNK_ROWS):
        frames = []
        for _ in range(CHUNK_ROWS):
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
            frames.append(env.render())
        yield np.stack(frames)


def send_raw(pipe: Any, name: str, steps: int) -> None:
    for frames in frames_of(name, steps):
        pipe.send(frames)
    pipe.close()


def raw_by_pipe(name: str, steps: int, is_copied: bool) -> Cost:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=send_raw, args=(theirs, name, steps))
    worker.start()
    theirs.close()
    seen, nbytes = [], 0
    kept: dict[int, np.ndarray[Any, Any]] = {}
    try:
        while True:
            data = ours.recv_bytes()
            nbytes += len(data)
            frames = pickle.loads(data)
            if is_copied:
                kept[len(seen) % KEPT] = frames.copy()
            seen.append(now(len(frames)))
    except EOFError:
        pass
    worker.join()
    return cost(nbytes / sum(count for _, _, count in seen), seen)


def raw_by_ray(name: str, steps: int, is_copied: bool) -> Cost:
    import ray

    class Actor:
        def __init__(self) -> None:
            self.batches = frames_of(name, steps)

        def take(self) -> Any:
            return next(self.batches, None)

    actor = ray.remote(Actor).remote()
    seen, nbytes = [], 0
    kept: dict[int, np.ndarray[Any, Any]] = {}
    while (frames := ray.get(actor.take.remote())) is not None:
        if is_copied:
            kept[len(seen) % KEPT] = frames.copy()
        nbytes = nbytes or len(pickle.dumps(frames, protocol=5))
        seen.append(now(len(frames)))
    ray.kill(actor)
    return cost(nbytes / CHUNK_ROWS, seen)


# -- many workers


def simulated_rows() -> list[Row]:
    """Return what the driver takes of workers that only send blocks."""
    blocks: list[SealedBlock] = []
    builder = BlockBuilder(blocks.append)
    env = rv.record(make_env("CartPole-v1"))
    env.recorder.redirect(builder)
    env.reset(seed=0)
    for step in range(8 * CHUNK_ROWS - 1):
        *_, terminated, truncated, _ = env.step(step % 2)
        if terminated or truncated:
            env.reset()
    builder.seal()
    whole = [block for block in blocks if block.num_rows == CHUNK_ROWS]
    with rv.FrameCache() as cache:
        filer = BlockFiler(cache, NUM_SIMULATED)
        for worker in range(NUM_SIMULATED):
            filer.add_worker(worker, range(worker, worker + 1))
        memory, begun = [], time.process_time()
        for block in itertools.islice(itertools.cycle(whole), SIMULATED_TURNS):
            for worker in range(NUM_SIMULATED):
                filer.add(worker, block)
            filer.file()
            memory.append(psutil.Process().memory_info().rss / 1e6)
        cpu_s = time.process_time() - begun
    num_rows = SIMULATED_TURNS * NUM_SIMULATED * CHUNK_ROWS
    half = len(memory) // 2
    return [
        at_least(
            f"{NUM_SIMULATED} simulated workers: rows a CPU second of the driver",
            num_rows / cpu_s,
            10_000,
            "rows/s",
        ),
        at_most(
            f"{NUM_SIMULATED} simulated workers: memory grown in the second half",
            max(memory[half:]) - max(memory[:half]),
            20,
            "MB",
        ),
    ]


# -- without pictures


def later_rows() -> list[Row]:
    """Return how long collecting without pictures takes, beside TorchRL's."""
    try:
        import torchrl  # noqa: F401 - whether it is there
    except ImportError:
        return []
    ours, theirs = [], []
    for turn in range(TURNS):
        pair = [(ours, collect_later), (theirs, collect_by_torchrl)]
        for times, collect in pair if turn % 2 else reversed(pair):
            begun = time.perf_counter()
            collect(LATER_STEPS)
            times.append(time.perf_counter() - begun)
    mine, other = statistics.median(ours), statistics.median(theirs)
    return [
        at_most(
            f'{LATER_STEPS} steps of CartPole, render="later", in one process',
            mine,
            1.2 * other,
            "s",
            {"TorchRL's Collector": other},
        )
    ]


def collect_later(steps: int) -> None:
    make = functools.partial(make_env, "CartPole-v1")
    rv.collect(
        make, max_steps=steps, render="later", backend="serial", progress=False
    ).close()


def collect_by_torchrl(steps: int) -> None:
    from torchrl.collectors import Collector
    from torchrl.envs import GymEnv

    collector = Collector(
        lambda: GymEnv("CartPole-v1"), None, frames_per_batch=1000, total_frames=steps
    )
    for _ in collector:
        pass
    collector.shutdown()


if __name__ == "__main__":
    raise SystemExit(main())
