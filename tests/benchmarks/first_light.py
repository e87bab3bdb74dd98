"""What recording costs: bytes per frame, and seconds per step.

    make bench

Compares with what other recorders do, which is to keep a copy of each raw frame.
Variants take turns, and the best of the turns counts: the machine's noise only adds.
Prints a line for each figure and writes build/bench/first_light.json.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import ale_py
import gymnasium as gym
import numpy as np

import rollout_viewer as rv
from tests.benchmarks.report import Row, tell

NUM_ENVS = 16
NUM_STEPS = 500
NUM_TURNS = 3
# A list of every raw frame would be 5.8 GB: the list is emptied each so many rows,
# which is to its advantage (freed memory is used again without page faults).
ROWS_IN_LIST = 50


def main() -> int:
    """Measure everything; returns 0 also where a goal is missed."""
    gym.register_envs(ale_py)
    warnings.simplefilter("ignore")
    rows = [bytes_per_frame("CartPole-v1"), bytes_per_frame("ALE/Pong-v5")]
    rows += seconds_of_recording()
    tell("first_light", rows)
    return 0


def bytes_per_frame(env_id: str, goal: int = 300) -> Row:
    """Return what a frame of random play takes, against the raw frame."""
    envs = gym.make_vec(env_id, 4, render_mode="rgb_array", vectorization_mode="sync")
    with rv.FrameCache() as cache:
        rv.rollout(envs, max_steps=NUM_STEPS, seed=0, cache=cache, progress=False)
        num_frames = cache.num_rows * cache.num_envs
        ours, raw = cache.nbytes / num_frames, cache.raw_nbytes / num_frames
    envs.close()
    what = f"{env_id}, bytes kept per frame"
    ratio = raw / ours
    return Row(what, ours, {"raw": raw}, "bytes", ratio, f">= {goal}x", ratio >= goal)


def seconds_of_recording() -> list[Row]:
    """Return what 16 CartPoles take for 500 steps, recorded and not recorded."""
    best: dict[str, float] = {}
    variants: dict[str, Callable[[Any], None]] = {
        "step": step,
        "render": step_and_render,
        "list": keep_a_list,
        "ours": record,
    }
    for _ in range(NUM_TURNS):
        for name, variant in variants.items():
            envs = gym.make_vec(
                "CartPole-v1",
                NUM_ENVS,
                render_mode="rgb_array",
                vectorization_mode="sync",
            )
            start_s = time.perf_counter()
            variant(envs)
            elapsed_s = time.perf_counter() - start_s
            best[name] = min(elapsed_s, best.get(name, elapsed_s))
            envs.close()
    size = f"{NUM_ENVS} x CartPole-v1, {NUM_STEPS} steps"
    print(
        f"     {size}: {best['step']:.2f} s without pictures, "
        f"{best['render']:.2f} s rendered and not recorded"
    )
    ours, peers = best["ours"], best["list"]
    cost, peers_cost = ours / best["render"], peers / best["render"]
    return [
        Row(
            f"{size}, recorded",
            ours,
            {"list": peers},
            "s",
            peers / ours,
            "< list",
            ours < peers,
        ),
        Row(
            f"{size}, recorded over rendered",
            cost,
            {"list": peers_cost},
            "x",
            peers_cost / cost,
            "<= 1.3 of ours",
            cost <= 1.3,
        ),
    ]


# -- the variants -----------------------------------------------------------------


def _steps(envs: Any) -> Any:
    rng = np.random.default_rng(0)
    yield envs.reset(seed=0)
    for _ in range(NUM_STEPS):
        yield envs.step(rng.integers(0, 2, NUM_ENVS))


def step(envs: Any) -> None:
    for _ in _steps(envs):
        pass


def step_and_render(envs: Any) -> None:
    for _ in _steps(envs):
        envs.render()


def keep_a_list(envs: Any) -> None:
    frames: list[np.ndarray] = []
    for _ in _steps(envs):
        frames += [frame.copy() for frame in envs.render()]
        if len(frames) >= ROWS_IN_LIST * NUM_ENVS:
            frames.clear()


def record(envs: Any) -> None:
    with rv.FrameCache() as cache:
        recorded = rv.record(envs, cache=cache)
        for _ in _steps(recorded):
            pass
        cache.flush()


if __name__ == "__main__":
    sys.exit(main())
