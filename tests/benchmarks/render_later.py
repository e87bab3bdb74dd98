"""What recording without pictures costs, and the first picture made afterwards.

    make bench

    python -m tests.benchmarks.render_later --quick

A loop of steps is timed bare, without rendering; recorded with ``render="later"``; and,
of single environments, recorded by TorchRL's `VideoRecorder` and Gymnasium's
`RecordVideo`, which render each step. Variants take turns in one process, each turn in
its own order, and the median counts. Bytes are those of the closed file, in which are
rewards, ends, actions, observations, and from where each episode is replayed. Prints a
table and writes build/bench/render_later.json.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("MUJOCO_GL", "osmesa" if sys.platform == "linux" else "")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import gymnasium as gym
import numpy as np

import rollout_viewer as rv
from tests.benchmarks.report import Row, at_most, tell

# A context that gives what takes a step; leaving it writes what was recorded.
Game = Callable[[str, int, str], contextlib.AbstractContextManager[Callable[[], Any]]]

# env, envs, steps of a turn, microseconds that a call may take longer.
ADDED = (
    ("CartPole-v1", 1, 2_000, 12),
    ("CartPole-v1", 16, 500, 40),
    ("HalfCheetah-v5", 1, 1_000, 15),
)
# env, steps of a turn where each is rendered, how many times faster.
WHOLE = (("CartPole-v1", 200, 20), ("HalfCheetah-v5", 16, 100))
# env, steps of which the bytes are stated.
STORED = (("CartPole-v1", 5_000), ("HalfCheetah-v5", 5_000))
TURNS, QUICK_TURNS = 9, 3
COLD_S, WARM_MS = 1.5, 150


def main() -> int:
    """Measure everything; returns 0 also where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    turns = QUICK_TURNS if parser.parse_args().quick else TURNS
    warnings.simplefilter("ignore")
    rows = [added(*case, turns) for case in ADDED if is_there(case[0])]
    for env_id, num_steps, goal in WHOLE:
        if is_there(env_id):
            rows += whole(env_id, num_steps, goal, turns)
            rows += first_pictures(env_id)
    for env_id, num_steps in STORED:
        if is_there(env_id):
            rows.append(bytes_an_episode(env_id, num_steps))
    tell("render_later", rows)
    return 0


def is_there(env_id: str) -> bool:
    """Tell whether an environment can be made; say so where it cannot."""
    try:
        gym.make(env_id).close()
    except Exception as error:
        print(f"SKIP {env_id}: {error!r:.100}")
        return False
    return True


# -- the loops ------------------------------------------------------------------------


def actions_of(space: Any, rng: np.random.Generator, num_envs: int) -> Any:
    """Return a random action, of one environment as the environment takes it."""
    if isinstance(space, gym.spaces.Discrete):
        found = rng.integers(int(space.n), size=num_envs)
        return int(found[0]) if num_envs == 1 else found
    found = rng.uniform(-1, 1, (num_envs, *space.shape)).astype(np.float32)
    return found[0] if num_envs == 1 else found


def gymnasium_game(wrap: Callable[[Any, str], Any], render_mode: str | None) -> Game:
    """Return the loop of a Gymnasium environment that `wrap` records."""

    @contextlib.contextmanager
    def play(env_id: str, num_envs: int, folder: str) -> Iterator[Any]:
        if num_envs == 1:
            env: Any = gym.make(env_id, render_mode=render_mode)
            space = env.action_space
        else:
            env = gym.make_vec(env_id, num_envs, vectorization_mode="sync")
            space = env.single_action_space
        env = wrap(env, folder)
        env.reset(seed=0)
        rng = np.random.default_rng(0)

        def step() -> None:
            *_, terminated, truncated, _ = env.step(actions_of(space, rng, num_envs))
            if num_envs == 1 and (terminated or truncated):
                env.reset()

        yield step
        env.close()

    return play


def recorded_later(env: Any, folder: str) -> Any:
    return rv.record(env, cache=f"{folder}/run.rollout", render="later")


def record_video(env: Any, folder: str) -> Any:
    return gym.wrappers.RecordVideo(
        env, folder, episode_trigger=lambda episode: True, video_length=1_000_000
    )


@contextlib.contextmanager
def torchrl_game(env_id: str, num_envs: int, folder: str) -> Iterator[Any]:
    """Give a step of TorchRL's environment with its `VideoRecorder`."""
    import torch
    from torchrl.envs import GymEnv, TransformedEnv
    from torchrl.record import VideoRecorder

    assert num_envs == 1
    del folder  # it keeps the frames
    torch.set_num_threads(1)
    env = TransformedEnv(
        GymEnv(env_id, from_pixels=True, pixels_only=False),
        VideoRecorder(None, "bench", skip=1),
    )
    env.set_seed(0)
    data = env.reset()

    def step() -> None:
        nonlocal data
        _, data = env.step_and_maybe_reset(env.rand_action(data))

    yield step
    env.close(raise_if_closed=False)


BARE = gymnasium_game(lambda env, _: env, None)
LATER = gymnasium_game(recorded_later, None)
RECORD_VIDEO = gymnasium_game(record_video, "rgb_array")


def run_turn(game: Game, env_id: str, num_envs: int, num_steps: int) -> float:
    """Return the seconds that a step took; making, closing and writing are left out."""
    with (
        tempfile.TemporaryDirectory() as folder,
        game(env_id, num_envs, folder) as step,
    ):
        step()
        start_s = time.perf_counter()
        for _ in range(num_steps):
            step()
        return (time.perf_counter() - start_s) / num_steps


def medians(
    games: dict[str, tuple[Game, int]], env_id: str, num_envs: int, num_turns: int
) -> dict[str, float]:
    """Return the microseconds of a step of each game, with its steps of a turn."""
    seconds: dict[str, list[float]] = {name: [] for name in games}
    for turn in range(1 + num_turns):
        names = list(games)[turn % len(games) :] + list(games)[: turn % len(games)]
        for name in names:
            game, num_steps = games[name]
            taken = run_turn(game, env_id, num_envs, num_steps)
            if turn:  # the first one warms up
                seconds[name].append(taken)
    return {name: statistics.median(all_) * 1e6 for name, all_ in seconds.items()}


# -- what is reported -----------------------------------------------------------------


def added(
    env_id: str, num_envs: int, num_steps: int, goal: float, num_turns: int
) -> Row:
    """Return what recording without pictures adds to a call."""
    games = {"bare": (BARE, num_steps), "ours": (LATER, num_steps)}
    took = medians(games, env_id, num_envs, num_turns)
    print(f"     {env_id} x{num_envs}: a bare call takes {took['bare']:,.1f} us")
    what = f"{env_id} x{num_envs}, render='later', added a call"
    return at_most(what, took["ours"] - took["bare"], goal, "us")


def whole(env_id: str, num_steps: int, goal: float, num_turns: int) -> list[Row]:
    """Return how many times faster the loop is than with recorders that render."""
    games = {
        "ours": (LATER, 20 * num_steps),
        "VideoRecorder": (torchrl_game, num_steps),
        "RecordVideo": (RECORD_VIDEO, num_steps),
    }
    took = medians(games, env_id, 1, num_turns)
    rows = []
    for name in ("VideoRecorder", "RecordVideo"):
        ratio = took[name] / took["ours"]
        what = f"{env_id} x1, render='later', a step, {name} beside it"
        peers = {name: took[name]}
        of_goal = f">= {goal}x faster than {name}"
        rows.append(Row(what, took["ours"], peers, "us", ratio, of_goal, ratio >= goal))
    return rows


def first_pictures(env_id: str) -> list[Row]:
    """Return how long it takes to the picture of a row that was never rendered."""
    with tempfile.TemporaryDirectory() as folder:
        env = recorded_later(gym.make(env_id), folder)
        rng = np.random.default_rng(0)
        # Rows of three episodes: one block of pictures is not the others'.
        for seed in range(3):
            env.reset(seed=seed)
            for _ in range(8):
                env.step(actions_of(env.action_space, rng, 1))
            for _ in range(64):
                env.reset()
        seconds = []
        for row in (4, 8 + 64 + 1 + 4):
            start_s = time.perf_counter()
            assert env.cache[row, 0].any()
            seconds.append(time.perf_counter() - start_s)
        seconds.append(_as_a_page_asks(env.cache, 2 * (8 + 64 + 1) + 4))
        env.close()
    what = f"{env_id}, first picture of a row"
    return [
        at_most(f"{what}, cold", seconds[0], COLD_S, "s"),
        at_most(f"{what}, warm", seconds[1] * 1e3, WARM_MS, "ms"),
        at_most(f"{what}, warm, for a page", seconds[2] * 1e3, WARM_MS, "ms"),
    ]


def _as_a_page_asks(cache: Any, row: int) -> float:
    """Return how long it takes until a page is told of a picture that it wants."""
    is_told = threading.Event()
    unsubscribe = cache.subscribe(lambda *_: is_told.set())
    start_s = time.perf_counter()
    cache.want_pictures([(row, 0)])
    while not cache.is_shown(row, 0):
        is_told.wait(1.0)
        is_told.clear()
    unsubscribe()
    return time.perf_counter() - start_s


def bytes_an_episode(env_id: str, num_steps: int) -> Row:
    """Return what an episode takes in the file, pictures left out."""
    with tempfile.TemporaryDirectory() as folder:
        with LATER(env_id, 1, folder) as step:
            for _ in range(num_steps):
                step()
        nbytes = pathlib.Path(folder, "run.rollout").stat().st_size
        with rv.open(f"{folder}/run.rollout") as cache:
            num_episodes = len(cache.episodes)
    length = num_steps / num_episodes
    per_step = nbytes / num_steps
    print(f"     {env_id}: episodes of {length:.0f} steps, {per_step:.0f} bytes a step")
    what = f"{env_id}, render='later', an episode in the file"
    return Row(what, nbytes / num_episodes, {}, "bytes", 1, "stated", ok=True)


if __name__ == "__main__":
    sys.exit(main())
