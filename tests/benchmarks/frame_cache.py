"""What the frame cache costs: bytes, memory and time, against what others keep.

    make bench

    python -m tests.benchmarks.frame_cache --quick    # a tenth of the million rows

Peers: TorchRL's `VideoRecorder`, a list of copied frames (what Gymnasium's
`RecordVideo` keeps), and as zero a loop that renders and discards. All record the
same environments: what they cost is the time over that loop. Variants take turns
in one process and the median of all blocks of 32 steps counts (a block of ours seals
one chunk): the machine's noise comes and goes.
Prints a table and writes build/bench/frame_cache.json.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import itertools
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("MUJOCO_GL", "osmesa")
os.environ.setdefault("PYOPENGL_PLATFORM", "osmesa")

import gymnasium as gym
import numpy as np

import rollout_viewer as rv
from tests.benchmarks.report import Row, at_least, at_most, tell

# Package that registers it, and frames: MuJoCo takes 0.1 s for each on osmesa.
ENVS = {
    "CartPole-v1": ("gymnasium", 512),
    "Pendulum-v1": ("gymnasium", 512),
    "LunarLander-v3": ("Box2D", 512),
    "ALE/Pong-v5": ("ale_py", 512),
    "ALE/Breakout-v5": ("ale_py", 512),
    "MiniGrid-Empty-8x8-v0": ("minigrid", 512),
    "FrozenLake-v1": ("gymnasium", 512),
    "HalfCheetah-v5": ("mujoco", 128),
    "Ant-v5": ("mujoco", 128),
}
# env, number of envs, steps of a turn, turns
TIMED = (
    ("ALE/Pong-v5", 1, 800, 11),
    ("CartPole-v1", 1, 256, 11),
    ("ALE/Pong-v5", 8, 128, 11),
    ("CartPole-v1", 8, 64, 11),
)
BLOCK = 32
MEMORY_FRAMES = 1_000
MILLION = 1_000_000


def main() -> int:
    """Measure everything; returns 0 also where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 rows, less turns")
    parser.add_argument("--only", default="", help="what to measure, by its name")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.memory:
        print(peak_bytes(options.memory))
        return 0
    rows: list[Row] = []
    for measure in (sizes, memory, seconds_added, reading, many_rows):
        if options.only in measure.__name__:
            rows += measure(options.quick)
    tell("frame_cache", rows)
    return 0


# -- bytes ------------------------------------------------------------------------


def sizes(_: bool) -> list[Row]:
    """Return how much smaller than raw chunks and files are."""
    chunks, files = {}, {}
    for env_id in ENVS:
        if not is_there(env_id):
            continue
        frames, steps = play(env_id, ENVS[env_id][1])
        chunks[env_id], files[env_id] = shrunk(frames, steps)
        print(f"     {env_id}: {chunks[env_id]:.1f}x, its file {files[env_id]:.1f}x")
    noise = np.random.default_rng(0).integers(0, 256, (64, 210, 160, 3), np.uint8)
    noisy = 1 / shrunk(list(noise), [{}] * len(noise))[0]
    mean, worst = statistics.geometric_mean(chunks.values()), min(chunks.values())
    of_files = statistics.geometric_mean(files.values())
    raw = {"list": 1.0, "VideoRecorder": 1.0}
    few = f" of {len(chunks)} envs"
    return [
        at_least("raw bytes over chunk bytes, mean" + few, mean, 280, "x", raw),
        at_least("raw bytes over chunk bytes, worst" + few, worst, 12, "x", raw),
        at_most("chunk bytes of noise over raw", noisy, 1.01, "x", raw),
        at_least("raw bytes over closed file, mean" + few, of_files, 220, "x", raw),
    ]


def shrunk(frames: list[Any], steps: list[dict[str, Any]]) -> tuple[float, float]:
    """Return the raw size over that of the chunks, and of the closed file."""
    with tempfile.TemporaryDirectory() as folder:
        cache = rv.FrameCache(f"{folder}/one.rollout")
        for frame, step in zip(frames, steps, strict=True):
            cache.append(frame, **step)
        cache.close()
        raw, chunks = cache.raw_nbytes, cache.nbytes
        return raw / chunks, raw / cache.path.stat().st_size


def play(env_id: str, num_frames: int) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return frames of random play from the first reset, and what append takes."""
    env = make(env_id)
    env.action_space.seed(0)
    env.reset(seed=0)
    frames, steps = [env.render().copy()], [{"kind": "reset"}]
    while len(frames) < num_frames:
        is_over = steps[-1].get("terminated") or steps[-1].get("truncated")
        if is_over:
            env.reset()
            steps.append({"kind": "reset"})
        else:
            action = env.action_space.sample()
            _, reward, terminated, truncated, _ = env.step(action)
            steps.append(step_data(reward, terminated, truncated, action))
        frames.append(env.render().copy())
    env.close()
    return frames, steps


def step_data(
    reward: Any, terminated: Any, truncated: Any, action: Any
) -> dict[str, Any]:
    return {
        "reward": reward,
        "terminated": terminated,
        "truncated": truncated,
        # One env of several numbers: the env axis first.
        "action": np.atleast_2d(action) if np.ndim(action) else action,
        "kind": "step",
    }


# -- memory -----------------------------------------------------------------------


def memory(_: bool) -> list[Row]:
    """Return by how much 1,000 CartPole frames make a process grow."""
    if not pathlib.Path("/proc/self/status").exists():
        print("SKIP memory: only Linux tells the most that a process had")
        return []
    peak = {}
    for variant in ("discard", "list", "VideoRecorder", "ours", "ours 8 MB"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.frame_cache", "--memory", variant],
            check=True,
            capture_output=True,
            text=True,
        )
        peak[variant] = int(done.stdout.split()[-1])
    grown = {name: (value - peak["discard"]) / 1e6 for name, value in peak.items()}
    peers = {name: grown[name] for name in ("list", "VideoRecorder")}
    what = f"memory grown by {MEMORY_FRAMES:,} CartPole frames"
    return [
        at_most(what, grown["ours"], 256, "MB", peers),
        at_most(f"{what}, memory_bytes 8 MB", grown["ours 8 MB"], 16, "MB", peers),
    ]


def peak_bytes(variant: str) -> int:
    """Return the most that this process ever had in memory, after recording."""
    from torchrl.record import VideoRecorder  # noqa: F401  so that all have it loaded

    keep = variants(8_000_000 if variant == "ours 8 MB" else 256_000_000)
    run_turn("CartPole-v1", 1, MEMORY_FRAMES, keep[variant.removesuffix(" 8 MB")])
    # Not getrusage's ru_maxrss, which a child takes over from its parent.
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


# -- time -------------------------------------------------------------------------


def seconds_added(is_quick: bool) -> list[Row]:
    """Return what recording adds to a loop that steps and renders.

    Frames that are kept need memory. Where a turn before has kept as many, and dropped
    them, the process may have that memory still; in a recording that grows it is new,
    and the system gives each page at the first write. Both are measured, the first
    recording in rows of its own.
    """
    import torchrl.record  # noqa: F401  before the clock runs

    rows, first_rows = [], []
    for env_id, num_envs, num_steps, num_turns in TIMED:
        if not is_there(env_id):
            continue
        turns = 5 if is_quick else num_turns
        times = timed(env_id, num_envs, num_steps, turns)
        rows.append(added(f"{env_id} x{num_envs}", times))
        if give_back_memory():
            times = timed(env_id, num_envs, num_steps, turns, is_new=True)
            what = f"{env_id} x{num_envs}, first recording"
            first_rows.append(added(what, times))
    if len(rows) < len(TIMED):
        return rows + first_rows
    return [
        *rows,
        below_half("of 4 loops", rows),
        *first_rows,
        *([below_half("of 4 first recordings", first_rows)] if first_rows else []),
    ]


def below_half(what: str, rows: list[Row]) -> Row:
    """Return in how many rows we add less than half of what VideoRecorder does."""
    count = sum(row.ours < row.peers["VideoRecorder"] / 2 for row in rows)
    return at_least(f"{what}, added below half of VideoRecorder's", count, 3, "")


def timed(
    env_id: str, num_envs: int, num_steps: int, num_turns: int, *, is_new: bool = False
) -> dict[str, list[float]]:
    """Return the seconds of steps by recorder.

    Args:
        env_id: Of `TIMED`, as the others.
        num_envs: The same.
        num_steps: Of a turn.
        num_turns: After one that warms up.
        is_new: The memory of the turns before is given back to the system.
    """
    keep = variants()
    seconds: dict[str, list[float]] = {name: [] for name in keep}
    # Who follows whom matters to the allocator.
    orders = list(itertools.permutations(keep))
    random.Random(0).shuffle(orders)
    for turn in range(1 + num_turns):
        for name in orders[turn % len(orders)]:
            if is_new:
                give_back_memory()
            blocks = run_turn(env_id, num_envs, num_steps, keep[name])
            if turn:
                seconds[name] += blocks
    return seconds


def give_back_memory() -> bool:
    """Give free memory back to the system; return whether this C library can."""
    gc.collect()
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(library, "malloc_trim"):
        return False
    library.malloc_trim(0)
    return True


def added(what: str, seconds: dict[str, list[float]]) -> Row:
    base = statistics.median(seconds["discard"])
    cost = {
        name: (statistics.median(blocks) - base) * 1e6
        for name, blocks in seconds.items()
    }
    ours, peers = cost["ours"], {n: cost[n] for n in ("list", "VideoRecorder")}
    print(
        f"     {what}: step + render {base * 1e6:,.0f} us; "
        + ", ".join(f"{n} +{c / base / 1e4:.1f} %" for n, c in cost.items() if c)
    )
    peer = peers["VideoRecorder"]
    return Row(
        f"{what}, added a step",
        ours,
        peers,
        "us",
        peer / max(ours, 1e-3),
        "< VideoRecorder",
        ours < peer,
    )


def run_turn(
    env_id: str, num_envs: int, num_steps: int, recorder: Callable[[int], Any]
) -> list[float]:
    """Return the seconds that a step took with one recorder, block by block.

    The end is left out on both sides: we close a file, the peers encode a video.
    """
    envs = make_many(env_id, num_envs)
    rng = np.random.default_rng(0)
    num_actions = envs.single_action_space.n
    actions = rng.integers(0, num_actions, (num_steps, num_envs))
    with recorder(num_envs) as keep:
        envs.reset(seed=0)
        blocks = []
        for start in range(0, num_steps, BLOCK):
            start_s = time.perf_counter()
            for action in actions[start : start + BLOCK]:
                _, reward, terminated, truncated, _ = envs.step(action)
                keep(envs.render(), reward, terminated, truncated, action)
            blocks.append((time.perf_counter() - start_s) / BLOCK)
    envs.close()
    return blocks


def variants(memory_bytes: int = 256_000_000) -> dict[str, Callable[[int], Any]]:
    """Return the recorders by name: contexts that give what takes a step."""

    @contextlib.contextmanager
    def discard(_: int) -> Iterator[Any]:
        yield lambda *_: None

    @contextlib.contextmanager
    def a_list(_: int) -> Iterator[Any]:
        frames: list[Any] = []
        yield lambda pictures, *_: frames.extend([one.copy() for one in pictures])

    @contextlib.contextmanager
    def torchrl(num_envs: int) -> Iterator[Any]:
        import torch
        from torchrl.record import VideoRecorder

        # Its threads wait for each other where other work has the cores: 20 times
        # slower then, and never faster for one frame.
        torch.set_num_threads(1)
        recorder = VideoRecorder(None, "bench", skip=1, make_grid=num_envs > 1)

        def keep(pictures: Any, *_: Any) -> None:
            # It takes one tensor of all envs, which TorchRL's wrappers make too.
            batch = np.stack(pictures) if num_envs > 1 else pictures[0]
            recorder._apply_transform(torch.from_numpy(batch))

        yield keep

    @contextlib.contextmanager
    def ours(_: int) -> Iterator[Any]:
        with rv.FrameCache(memory_bytes=memory_bytes) as cache:

            def keep(
                pictures: Any,
                reward: Any,
                terminated: Any,
                truncated: Any,
                action: Any,
            ) -> None:
                cache.append(
                    pictures,
                    reward=reward,
                    terminated=terminated,
                    truncated=truncated,
                    action=action,
                    kind="step",
                )

            yield keep

    return {"discard": discard, "list": a_list, "VideoRecorder": torchrl, "ours": ours}


# -- reading ----------------------------------------------------------------------


def reading(_: bool) -> list[Row]:
    """Return what one frame anywhere takes, and frames in order."""
    frames, steps = play("CartPole-v1", 1_024)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "one.rollout"
        with rv.FrameCache(path) as cache:
            for frame, step in zip(frames, steps, strict=True):
                cache.append(frame, **step)
        one = np.empty((1, 1, *frames[0].shape), np.uint8)
        wanted = rng.integers(0, len(frames), 1_000).tolist()
        passes = []
        for _pass in range(3):
            times_ms = []
            with rv.open(path) as cache:
                for row in wanted:
                    start_s = time.perf_counter()
                    cache.frames(row, out=one)
                    times_ms.append((time.perf_counter() - start_s) * 1e3)
                    assert (one[0, 0] == frames[row]).all()
            passes.append(times_ms)
        # The same reads in the same order, each time anew: what is slow in all
        # passes is ours, the rest was another process's turn.
        times_ms = [min(same) for same in zip(*passes, strict=True)]
        many = np.empty((32, 1, *frames[0].shape), np.uint8)
        speeds = []
        for _turn in range(5):
            with rv.open(path) as cache:
                start_s = time.perf_counter()
                for row in range(0, len(frames), len(many)):
                    cache.frames(slice(row, row + len(many)), out=many)
                seconds = time.perf_counter() - start_s
            speeds.append(sum(f.nbytes for f in frames) / 1e9 / seconds)
    median, worst = statistics.median(times_ms), max(times_ms)
    speed = statistics.median(speeds)
    return [
        at_most("one random 600x400 frame, median of 1,000", median, 0.5, "ms"),
        at_most("one random 600x400 frame, worst of 1,000", worst, 5, "ms"),
        at_least("600x400 frames in order", speed, 4, "GB/s"),
    ]


def many_rows(is_quick: bool) -> list[Row]:
    """Return whether the last of a million rows cost what the first did."""
    num_rows = MILLION // 10 if is_quick else MILLION
    frames = [frame[:168:2, :168:2].copy() for frame in play("ALE/Pong-v5", 64)[0]]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "many.rollout"
        with rv.FrameCache(path) as cache:
            for _ in range(num_rows // 1_000):
                start_s = time.perf_counter()
                for row in range(1_000):
                    cache.append(
                        frames[row % len(frames)],
                        reward=1.0,
                        terminated=row == 499,
                        truncated=False,
                        action=0,
                        kind="reset" if row in (0, 500) else "step",
                    )
                seconds.append(time.perf_counter() - start_s)
        first, last = statistics.median(seconds[:10]), statistics.median(seconds[-10:])
        opening = []
        for _ in range(3):
            start_s = time.perf_counter()
            with rv.open(path) as cache:
                assert cache.num_rows == num_rows
                opening.append(time.perf_counter() - start_s)
    print(
        f"     {num_rows:,} rows: an append {first * 1e3:.0f} us, then {last * 1e3:.0f}"
    )
    what = f"{num_rows:,} rows of 84x84"
    return [
        at_most(f"{what}, last 10,000 over first", last / first, 1.1, "x"),
        at_most(f"{what}, opening", statistics.median(opening), 1.0, "s"),
    ]


# -- what the rest stands on ------------------------------------------------------


def is_there(env_id: str) -> bool:
    """Tell whether an environment can be made; say so where it cannot."""
    package = ENVS[env_id][0]
    try:
        __import__(package)
    except ImportError as error:
        print(f"SKIP {env_id}: {package} is not installed ({error})")
        return False
    return True


def make(env_id: str) -> Any:
    package = __import__(ENVS[env_id][0])
    if package.__name__ in ("ale_py", "minigrid"):
        gym.register_envs(package)
    return gym.make(env_id, render_mode="rgb_array")


def make_many(env_id: str, num_envs: int) -> Any:
    return gym.vector.SyncVectorEnv([lambda: make(env_id)] * num_envs)


if __name__ == "__main__":
    sys.exit(main())
