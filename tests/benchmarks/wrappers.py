"""What recording videos costs a loop: time and memory, against the originals.

    make bench

    python -m tests.benchmarks.wrappers --only gymnasium

Each library of `LIBRARIES` has a loop that steps and renders and throws the picture
away, its own recorder, and ours. What a recorder costs is the time over the first loop,
the writing of the video included, and what its process grows by while it records.
Variants take turns in one process, each in its own order, and the median counts.
Prints a table and writes build/bench/wrappers.json.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
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

import gymnasium as gym
import numpy as np

import rollout_viewer as rv
from tests.benchmarks.frame_cache import is_there, make, make_many
from tests.benchmarks.report import Row, at_most, tell

# A context that gives what takes a step; leaving it writes the video.
Game = Callable[[str, str, int], contextlib.AbstractContextManager[Callable[[], Any]]]

# env, number of envs, steps of a video
TIMED = (("CartPole-v1", 1, 300), ("ALE/Pong-v5", 1, 600), ("CartPole-v1", 4, 100))
TURNS, QUICK_TURNS = 7, 3
MEMORY_FRAMES = 1_000


def main() -> int:
    """Measure everything; returns 0 also where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--only", default="", help="the library to measure")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.memory:
        library, variant = options.memory
        print(*grown(LIBRARIES[library][variant]))
        return 0
    rows: list[Row] = []
    for library in LIBRARIES:
        if options.only in library:
            rows += seconds_added(library, options.quick)
            rows += memory(library)
    tell("wrappers", rows)
    return 0


# -- the loops ------------------------------------------------------------------------


def gymnasium_games() -> dict[str, Game]:
    """Return the games of Gymnasium's `RecordVideo`, by name."""

    def game(wrap: Callable[..., Any] | None) -> Game:
        @contextlib.contextmanager
        def play(env_id: str, folder: str, num_envs: int) -> Iterator[Any]:
            env = make(env_id) if num_envs == 1 else make_many(env_id, num_envs)
            if wrap is not None:
                # One video of all steps, over the ends of episodes.
                env = wrap(
                    env,
                    folder,
                    episode_trigger=lambda episode: episode == 0,
                    video_length=1_000_000,
                )
            env.reset(seed=0)
            actions = np.random.default_rng(0)
            num_actions = getattr(env, "single_action_space", env.action_space).n

            def step() -> None:
                action = actions.integers(num_actions, size=num_envs)
                *_, terminated, truncated, _ = env.step(
                    int(action[0]) if num_envs == 1 else action
                )
                if wrap is None:
                    env.render()
                if num_envs == 1 and (terminated or truncated):
                    env.reset()
                    if wrap is None:
                        env.render()

            yield step
            env.close()

        return play

    def original(env: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(env, gym.vector.VectorEnv):
            from gymnasium.wrappers.vector import RecordVideo as Vector

            return Vector(env, *args, **kwargs)
        return gym.wrappers.RecordVideo(env, *args, **kwargs)

    return {
        "discard": game(None),
        "original": game(original),
        "ours": game(rv.RecordVideo),
    }


def sb3_games() -> dict[str, Game]:
    """Return the games of SB3's `VecVideoRecorder`, by name."""
    from stable_baselines3.common.vec_env import DummyVecEnv, VecVideoRecorder

    def game(wrap: Callable[..., Any] | None) -> Game:
        @contextlib.contextmanager
        def play(env_id: str, folder: str, num_envs: int) -> Iterator[Any]:
            env: Any = DummyVecEnv([lambda: make(env_id)] * num_envs)
            if wrap is not None:
                env = wrap(env, folder, lambda step: step == 0, video_length=1_000_000)
            env.seed(0)
            env.reset()
            actions = np.random.default_rng(0)

            def step() -> None:
                env.step(actions.integers(env.action_space.n, size=num_envs))
                if wrap is None:
                    env.render("rgb_array")

            yield step
            with contextlib.redirect_stdout(None):  # the original tells of its file
                env.close()

        return play

    return {
        "discard": game(None),
        "original": game(VecVideoRecorder),
        "ours": game(rv.VecVideoRecorder),
    }


# Name -> games by name; each has "discard", "original" and "ours".
LIBRARIES: dict[str, dict[str, Game]] = {
    "gymnasium": gymnasium_games(),
    "stable_baselines3": sb3_games(),
}


# -- time -----------------------------------------------------------------------------


def seconds_added(library: str, is_quick: bool) -> list[Row]:
    """Return what recording and writing a video adds to a step."""
    games, rows = LIBRARIES[library], []
    for env_id, num_envs, num_steps in TIMED:
        if not is_there(env_id):
            continue
        seconds: dict[str, list[float]] = {name: [] for name in games}
        for turn in range(1 + (QUICK_TURNS if is_quick else TURNS)):
            names = list(games)[turn % len(games) :] + list(games)[: turn % len(games)]
            for name in names:
                taken = run_turn(games[name], env_id, num_envs, num_steps)
                if turn:  # the first one warms up
                    seconds[name].append(taken)
        base = statistics.median(seconds["discard"])
        cost = {n: (statistics.median(s) - base) * 1e6 for n, s in seconds.items()}
        what = f"{library}, {env_id} x{num_envs}, a video of {num_steps}, added a step"
        peers = {library: cost["original"]}
        rows.append(at_most(what, cost["ours"], cost["original"] / 2, "us", peers))
    return rows


def run_turn(game: Game, env_id: str, num_envs: int, num_steps: int) -> float:
    """Return the seconds that a step took, the video's share included."""
    with tempfile.TemporaryDirectory() as folder:
        start_s = time.perf_counter()
        with game(env_id, f"{folder}/videos", num_envs) as step:
            for _ in range(num_steps):
                step()
        return (time.perf_counter() - start_s) / num_steps


# -- memory ---------------------------------------------------------------------------


def memory(library: str) -> list[Row]:
    """Return by how much 1,000 CartPole frames make a process grow."""
    if not pathlib.Path("/proc/self/status").exists():
        print("SKIP memory: only Linux tells the most that a process had")
        return []
    held, peak = {}, {}
    for variant in LIBRARIES[library]:
        command = [sys.executable, "-m", "tests.benchmarks.wrappers"]
        done = subprocess.run(
            [*command, "--memory", library, variant],
            check=True,
            capture_output=True,
            text=True,
        )
        held[variant], peak[variant] = map(int, done.stdout.split()[-2:])
    rows = []
    for what, found in (("while recording", held), ("video written", peak)):
        more = {n: (found[n] - found["discard"]) / 1e6 for n in ("original", "ours")}
        rows.append(
            at_most(
                f"{library}, memory grown by {MEMORY_FRAMES:,} CartPole frames, {what}",
                more["ours"],
                more["original"] / 50,
                "MB",
                {library: more["original"]},
            )
        )
    return rows


def grown(game: Game) -> tuple[int, int]:
    """Return by how many bytes this process grew while recording, and at most."""
    env_id = "CartPole-v1"
    # Libraries are loaded before, by all variants alike.
    import av  # noqa: F401
    import moviepy  # noqa: F401
    import torch  # noqa: F401

    run_turn(game, env_id, 1, 10)
    before = _status("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        with game(env_id, folder, 1) as step:
            for _ in range(MEMORY_FRAMES):
                step()
            held = _status("VmRSS")
        return held - before, max(0, _status("VmHWM") - before)


def _status(name: str) -> int:
    # Not getrusage's ru_maxrss, which a child takes over from its parent.
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(f"{name}:")[2].split()[0])


if __name__ == "__main__":
    sys.exit(main())
