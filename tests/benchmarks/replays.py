"""Which replays are exact: 24 environments, 5 seeds, 3 autoreset modes.

    python -m tests.benchmarks.replays               # all, a line each, then the table
    python -m tests.benchmarks.replays Swimmer Pong  # those whose name has this

Each environment is recorded twice with the same seeds and random actions, as a
vector environment of five, one for each seed: once with pictures, once with
``render="later"``. Each episode is then replayed alone, and each picture compared. Of a
seed the replay is *exact* if all pictures are the same, *refused* if it said at a row
that it cannot repeat the recording, and made no picture from there on, and *wrong* if
a picture is another one.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

MODES = ("NEXT_STEP", "SAME_STEP", "DISABLED")
SEEDS = (0, 1, 2, 3, 4)
STEPS, MAX_EPISODE_STEPS = 20, 8
SMALL = {"width": 64, "height": 48}


def _atari(env: Any) -> Any:
    from gymnasium.wrappers import AtariPreprocessing

    return AtariPreprocessing(env, noop_max=30)


def _stacked(env: Any) -> Any:
    from gymnasium.wrappers import FrameStackObservation

    return FrameStackObservation(env, 3)


def _rescaled(env: Any) -> Any:
    from gymnasium.wrappers import ClipAction, RescaleAction

    return ClipAction(RescaleAction(env, -2, 2))


def _normalized(env: Any) -> Any:
    from gymnasium.wrappers import NormalizeObservation

    return NormalizeObservation(env)


def _plain(env: Any) -> Any:
    return env


# Name, options, wrappers. All have a TimeLimit.
ENVS: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "CartPole-v1": ({}, _plain),
    "Acrobot-v1": ({}, _stacked),
    "MountainCar-v0": ({}, _plain),
    "MountainCarContinuous-v0": ({}, _rescaled),
    "Pendulum-v1": ({}, _rescaled),
    "FrozenLake-v1": ({"is_slippery": True}, _plain),
    "CliffWalking-v1": ({}, _plain),
    "Taxi-v4": ({}, _plain),
    "Blackjack-v1": ({}, _plain),
    "LunarLander-v3": ({}, _plain),
    "LunarLanderContinuous-v3": ({}, _rescaled),
    "BipedalWalker-v3": ({}, _plain),
    "CarRacing-v3": ({}, _plain),
    "ALE/Pong-v5": ({}, _plain),
    "ALE/Breakout-v5": ({"frameskip": 1}, _atari),
    "MiniGrid-Empty-8x8-v0": ({}, _plain),
    "MiniGrid-DoorKey-5x5-v0": ({}, _plain),
    "BabyAI-GoToObj-v0": ({}, _plain),
    "InvertedPendulum-v5": (SMALL, _plain),
    "Swimmer-v5": (SMALL, _plain),
    "Hopper-v5": (SMALL, _rescaled),
    "HalfCheetah-v5": (SMALL, _stacked),
    "highway-v0": ({}, _plain),
    "Pendulum-v1 NormalizeObservation": ({}, _normalized),
}


def make(name: str, render_mode: str | None) -> Any:
    """Return an environment of the table."""
    import gymnasium

    options, wrap = ENVS[name]
    name = name.split()[0]
    modules = {"ALE": "ale_py", "MiniGrid": "minigrid", "BabyAI": "minigrid"}
    modules["highway"] = "highway_env"
    for start, module in modules.items():
        if name.startswith(start):
            __import__(module)
    env = gymnasium.make(
        name, render_mode=render_mode, max_episode_steps=MAX_EPISODE_STEPS, **options
    )
    return wrap(env)


def play(name: str, mode: str, render_mode: str | None, **options: Any) -> Any:
    """Return the recording of one environment for each seed."""
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    import rollout_viewer as rv

    envs = SyncVectorEnv(
        [lambda: make(name, render_mode)] * len(SEEDS),
        autoreset_mode=AutoresetMode[mode],
    )
    recorded = rv.record(envs, **options)
    recorded.action_space.seed(7)
    recorded.reset(seed=list(SEEDS))
    for _ in range(STEPS):
        *_, terminated, truncated, _ = recorded.step(recorded.action_space.sample())
        ended = terminated | truncated
        if mode == "DISABLED" and ended.any():
            recorded.reset(options={"reset_mask": ended})
    return recorded.cache


def compare(name: str, mode: str) -> list[str]:
    """Return what the replay of each seed is."""
    import numpy as np

    import rollout_viewer as rv

    try:
        later = play(name, mode, None, render="later")
    except rv.UnsupportedEnvError as error:
        return [f"refused at record(): {str(error).partition('got ')[2][:60]}"] * 5
    now = play(name, mode, "rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        later.render(progress=False)
    found = []
    for env in range(len(SEEDS)):
        rows = [row for row in range(now.num_rows) if now.has_picture(row, env)]
        made = [row for row in rows if later.is_shown(row, env)]
        is_same = all(np.array_equal(later[row, env], now[row, env]) for row in made)
        refused = [later.at(row, env).picture_state for row in rows if row not in made]
        if not is_same:
            found.append("wrong")
        elif not refused:
            found.append("exact")
        elif all(one.startswith("not reproducible") for one in refused):
            found.append(f"refused: {refused[0]}")
        else:
            found.append(f"missing: {refused[0]}")
    return found


def measure(name: str) -> list[list[str]]:
    """Return what `compare` returns of each mode, in a process of its own."""
    variables = {**os.environ, "MUJOCO_GL": "osmesa", "SDL_VIDEODRIVER": "dummy"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.replays"]
    done = subprocess.run(
        [*command, "--one", name],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = f"failed: {done.stderr.strip().splitlines()[-1]}"
        if "NotInstalled" in why or "ModuleNotFoundError" in why:
            why = f"not installed{why.partition(':')[2]}"
        return [[why] * len(SEEDS)] * len(MODES)
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def cell(found: list[str]) -> str:
    """Return the text of a cell of the table."""
    counts = {kind: sum(one.startswith(kind) for one in found) for kind in KINDS}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


KINDS = ("exact", "refused", "wrong", "missing", "failed", "not installed")


def main() -> None:
    """Print a line for each environment, and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; none: all")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps([compare(arguments.one, mode) for mode in MODES]))
        return
    lines = ["| environment | " + " | ".join(MODES) + " |", "| --- | --- | --- | --- |"]
    for name in ENVS:
        if arguments.names and not any(part in name for part in arguments.names):
            continue
        began = time.monotonic()
        results = measure(name)
        _, wrap = ENVS[name]
        shown = name if wrap is _plain else f"{name}, {wrap.__name__[1:]}"
        lines.append(f"| {shown} | " + " | ".join(map(cell, results)) + " |")
        print(lines[-1], f"{time.monotonic() - began:.0f} s", flush=True)
        for why in {one for found in results for one in found} - {"exact"}:
            print("   ", why, flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
