"""What rendering and recording cost a training: PPO of Stable-Baselines3 on CartPole.

    python -m tests.benchmarks.training

Trainings take turns in one process, each turn in its own order, on one thread of torch;
medians of wall and processor time are printed as a table. What is recorded is closed
within the time, so that it is all on disk.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import gymnasium as gym
import torch
from stable_baselines3 import PPO

import rollout_viewer as rv

NUM_STEPS, TURNS = 10_000, 5


class _Rendering(gym.Wrapper[Any, Any, Any, Any]):
    """Renders each step and throws the picture away."""

    def step(self, action: Any) -> Any:
        result = super().step(action)
        self.render()
        return result


def _make() -> gym.Env[Any, Any]:
    return gym.make("CartPole-v1", render_mode="rgb_array")


VARIANTS: dict[str, Callable[[str], gym.Env[Any, Any]]] = {
    "no rendering": lambda _: gym.make("CartPole-v1"),
    "env.render() at each step, thrown away": lambda _: _Rendering(_make()),
    "rv.record, every step": lambda folder: rv.record(
        _make(), cache=f"{folder}/run.rollout"
    ),
    "rv.record, every=10": lambda folder: rv.record(
        _make(), cache=f"{folder}/run.rollout", every=10
    ),
    "rv.RecordVideo, its default schedule": lambda folder: rv.RecordVideo(
        _make(), folder
    ),
    "gymnasium's RecordVideo, the same": lambda folder: gym.wrappers.RecordVideo(
        _make(), folder
    ),
}


def train(make_env: Callable[[str], gym.Env[Any, Any]]) -> tuple[float, float]:
    """Return wall and processor seconds of one training."""
    with tempfile.TemporaryDirectory() as folder:
        starts = time.perf_counter(), time.process_time()
        env = make_env(folder)
        PPO("MlpPolicy", env, seed=0, device="cpu").learn(NUM_STEPS)
        env.close()
        if hasattr(env, "cache"):
            env.cache.close()
        return time.perf_counter() - starts[0], time.process_time() - starts[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS)
    turns = parser.parse_args().turns
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIANTS}
    names = list(VARIANTS)
    for turn in range(turns):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            with contextlib.redirect_stdout(None):
                times[name].append(train(VARIANTS[name]))
    print(f"PPO on CartPole-v1, {NUM_STEPS} steps, median of {turns}: wall, processor")
    print(f"load {os.getloadavg()[2]:.1f} on {os.cpu_count()} cores")
    for name, found in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"| {name} | {wall:.1f} s | {cpu:.1f} s |")


if __name__ == "__main__":
    main()
