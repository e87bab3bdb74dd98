"""What recording TorchRL's environments costs: ours beside TorchRL's VideoRecorder.

    make bench

    python -m tests.benchmarks.torchrl --quick    # fewer turns

Both record ``GymEnv("CartPole-v1", from_pixels=True)``, alone and eight in a
`SerialEnv`, without a dump. What they cost is the time of a step over that of the same
environment without a recorder; variants take turns in one process, and the median of
all blocks of steps counts. Memory is what a process of its own holds more after the
last step than before the first.
Prints a table and writes build/bench/torchrl.json.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import subprocess
import sys
import time
import warnings
from typing import Any

from tests.benchmarks.report import Row, tell

# envs, steps of a turn, turns, steps for the memory
CASES = ((1, 192, 9, 1_000), (8, 32, 9, 200))
BLOCK = 16
VARIANTS = ("none", "torchrl", "ours")


def main() -> int:
    """Measure everything; returns 0 also where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--memory", nargs=3, metavar=("VARIANT", "ENVS", "STEPS"))
    args = parser.parse_args()
    if args.memory:
        variant, num_envs, num_steps = args.memory
        print(held_bytes(variant, int(num_envs), int(num_steps)))
        return 0
    rows = []
    for num_envs, num_steps, num_turns, memory_steps in CASES:
        name = f"TorchRL CartPole x{num_envs}"
        rows.append(
            seconds_added(name, num_envs, num_steps, 3 if args.quick else num_turns)
        )
        rows.append(memory_held(name, num_envs, memory_steps))
    tell("torchrl", rows)
    return 0


def seconds_added(name: str, num_envs: int, num_steps: int, num_turns: int) -> Row:
    """Return what a recorder adds to a step."""
    seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for turn in range(1 + num_turns):
        order = VARIANTS[turn % 3 :] + VARIANTS[: turn % 3]
        for variant in order:
            blocks = run_turn(variant, num_envs, num_steps)
            if turn:  # the first one warms up
                seconds[variant] += blocks
    base, theirs, ours = (statistics.median(seconds[v]) * 1e6 for v in VARIANTS)
    print(f"     {name}: a step takes {base:,.0f} us without a recorder")
    ours, theirs = ours - base, theirs - base
    return Row(
        f"{name}, added a step",
        ours,
        {"VideoRecorder": theirs},
        "us",
        theirs / ours,
        "< VideoRecorder / 2",
        ours < theirs / 2,
    )


def memory_held(name: str, num_envs: int, num_steps: int) -> Row:
    """Return what a recording holds in memory."""
    held = {}
    for variant in VARIANTS:
        command = [sys.executable, "-m", __spec__.name, "--memory", variant]
        command += [str(num_envs), str(num_steps)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        held[variant] = int(result.stdout.split()[-1]) / 1e6
    theirs = held["torchrl"] - held["none"]
    ours = max(held["ours"] - held["none"], 0.1)
    return Row(
        f"{name}, {num_steps} steps held",
        ours,
        {"VideoRecorder": theirs},
        "MB",
        theirs / ours,
        "< VideoRecorder / 50",
        ours < theirs / 50,
    )


def run_turn(variant: str, num_envs: int, num_steps: int) -> list[float]:
    """Return the seconds a step took, block by block; the end is left out."""
    env = make(variant, num_envs)
    data = env.reset()
    blocks = []
    for _ in range(num_steps // BLOCK):
        start_s = time.perf_counter()
        for _ in range(BLOCK):
            _, data = env.step_and_maybe_reset(env.rand_action(data))
        blocks.append((time.perf_counter() - start_s) / BLOCK)
    env.close(raise_if_closed=False)
    return blocks


def held_bytes(variant: str, num_envs: int, num_steps: int) -> int:
    """Return the bytes that this process holds more after `num_steps`."""
    env = make(variant, num_envs)
    data = env.reset()
    for step in range(16 + num_steps):
        if step == 16:  # libraries are loaded, buffers are there
            before = resident_bytes()
        _, data = env.step_and_maybe_reset(env.rand_action(data))
    return resident_bytes() - before


def resident_bytes() -> int:
    """Return the memory of this process now, Linux only."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def make(variant: str, num_envs: int) -> Any:
    """Return the environments, with a recorder or without."""
    import torch
    from torchrl.envs import GymEnv, SerialEnv, TransformedEnv
    from torchrl.record import VideoRecorder as TorchRLVideoRecorder

    from rollout_viewer.sources.torchrl import VideoRecorder

    # Its threads wait for each other where other work has the cores.
    torch.set_num_threads(1)
    torch.manual_seed(0)

    def one() -> Any:
        return GymEnv("CartPole-v1", from_pixels=True, pixels_only=False)

    base = one() if num_envs == 1 else SerialEnv(num_envs, one)
    env = TransformedEnv(base)
    if variant == "torchrl":
        env.append_transform(TorchRLVideoRecorder(None, "bench", skip=1))
    elif variant == "ours":
        env.append_transform(VideoRecorder(None, "bench", skip=1))
    env.set_seed(0)
    return env


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # torchrl's, of what it deprecates itself
    sys.exit(main())
