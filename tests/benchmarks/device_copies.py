"""What recording a GPU simulation of thousands costs: copies, waits, processor time.

    python -m tests.benchmarks.device_copies

4,096 envs of which 16 are pictured, 64 x 64. Copies and waits a step are counted, on a
stand-in of a GPU's tensors where there is none. The processor time of recording a step
is that of tensors of this side. Where torch finds a CUDA device: how long a step of a
busy one takes with recording, beside a copy of each tensor that waits; else this says
so. Prints a table and writes build/bench/device_copies.json.
"""

from __future__ import annotations

import statistics
import time
import warnings
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

import rollout_viewer as rv
from rollout_viewer.sources import _device_copies
from tests.benchmarks.report import Row, at_most, tell
from tests.device_tensors import LateSide, OnGpu, on_gpu

NUM_ENVS, NUM_PICTURED, SIDE_PX = 4096, 16, 64
STEPS, TURNS = 60, 5
# Of a step: seven tensors and the pictures, each of which was copied by itself.
ONE = 1.0
# Of two rows, since some env of thousands ends in each step: 2 MB of step data. It took
# 8.4 ms before and after they came together (2 busy cores, 2026-11-29).
MAX_CPU_MS = 10.0


class Simulation(gymnasium.Env[Any, Any]):
    """As ManiSkill and Isaac Lab: all envs in tensors of one device, reset at once."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
    render_mode = "rgb_array"

    def __init__(self, device: str = "cpu", *, is_stand_in: bool = False) -> None:
        self.num_envs = NUM_ENVS
        self._device = device
        self._out = on_gpu if is_stand_in else lambda tensor: tensor
        self.single_observation_space = Box(-np.inf, np.inf, (48,), np.float32)
        self.observation_space = Box(-np.inf, np.inf, (NUM_ENVS, 48), np.float32)
        self.action_space = Box(-1, 1, (NUM_ENVS, 12), np.float32)
        generator = torch.Generator().manual_seed(1)
        self._obs = torch.randn(NUM_ENVS, 48, generator=generator).to(device)
        self._count = torch.randint(0, 200, (NUM_ENVS,), generator=generator).to(device)
        shape = NUM_ENVS, SIDE_PX, SIDE_PX, 3
        self._frames = torch.zeros(shape, dtype=torch.uint8, device=device)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return self._out(self._obs), {}

    def step(self, action: Any) -> Any:
        self._count += 1
        ended = self._count >= 200
        self._count[ended] = 0
        self._frames[:, :8] = self._count.to(torch.uint8)[:, None, None, None]
        never = torch.zeros_like(ended)
        info = {"success": self._out(ended), "elapsed_steps": self._out(self._count)}
        parts = map(self._out, (self._obs, self._obs[:, 0], ended, never))
        return (*parts, info)

    def render(self) -> Any:
        return self._out(self._frames)

    @property
    def actions(self) -> Any:
        return self._out(torch.zeros(NUM_ENVS, 12, device=self._device))


def recorded(simulation: Simulation) -> Any:
    """Return it, recorded, after the steps that do something for the first time."""
    env = rv.record(simulation, envs=range(0, NUM_ENVS, NUM_ENVS // NUM_PICTURED))
    env.reset()
    for _ in range(3):
        env.step(simulation.actions)
    return env


def main() -> int:
    """Measure everything; returns 0 also where a goal is missed."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # the simulation is not what is measured
    rows = [*counted(), processor_time()]
    if torch.cuda.is_available():
        rows.append(of_a_gpu())
    else:
        print("skip time of a step on a GPU: torch finds no CUDA device here")
    tell("device_copies", rows)
    return 0


def counted() -> list[Row]:
    """Return copies and waits a step, of a stand-in or of a GPU."""
    is_stand_in = not torch.cuda.is_available()
    where = "stand-in" if is_stand_in else "GPU"
    if is_stand_in:
        _device_copies.CudaSide = LateSide  # type: ignore[misc, assignment]
    env = recorded(
        Simulation("cpu" if is_stand_in else "cuda", is_stand_in=is_stand_in)
    )
    copies = env._device_calls.copies
    copies.num_copies = copies.num_waits = OnGpu.num_waits = 0
    for _ in range(STEPS):
        env.step(env.env.actions)
    num_copies = (copies.num_copies + OnGpu.num_waits) / STEPS
    num_waits = (copies.num_waits + OnGpu.num_waits) / STEPS
    return [
        at_most(f"copies a step ({where})", num_copies, ONE, ""),
        at_most(f"waits a step ({where})", num_waits, ONE, ""),
    ]


def processor_time() -> Row:
    """Return what recording adds to a step, of tensors of this side."""
    taken_ms = []
    for _ in range(TURNS):
        simulation = Simulation()
        env = recorded(simulation)
        taken_ms.append(_cpu_ms(env) - _cpu_ms(simulation))
        env.close()
    ours = statistics.median(taken_ms)
    return at_most("processor time of a step", ours, MAX_CPU_MS, "ms")


def _cpu_ms(env: Any) -> float:
    actions = torch.zeros(NUM_ENVS, 12)
    before = time.process_time()
    for _ in range(STEPS):
        env.step(actions)
    return (time.process_time() - before) / STEPS * 1000


def of_a_gpu() -> Row:
    """Return the time of a step of a busy GPU, beside that with a copy of each."""
    simulation = Simulation("cuda")
    env = recorded(simulation)
    ours = _gpu_ms(lambda: env.step(simulation.actions))

    def each_by_itself() -> None:
        *tensors, info = simulation.step(simulation.actions)
        for tensor in (*tensors, *info.values(), simulation.actions):
            tensor.cpu().numpy()
        simulation.render()[:NUM_PICTURED].cpu().numpy()

    theirs = _gpu_ms(each_by_itself)
    peers = {"copies alone, each by itself": theirs}
    return at_most("step of a busy GPU", ours, 2 * theirs, "ms", peers)


def _gpu_ms(step: Any) -> float:
    """Return the time of a step beside 5 ms of other work for the GPU."""
    work = torch.randn(2048, 2048, device="cuda")
    taken = []
    for _ in range(STEPS):
        torch.cuda.synchronize()
        before = time.perf_counter()
        for _ in range(10):
            work = torch.tanh(work @ work)
        step()
        taken.append((time.perf_counter() - before) * 1000)
    return statistics.median(taken)


if __name__ == "__main__":
    raise SystemExit(main())
