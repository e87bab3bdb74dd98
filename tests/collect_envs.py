"""Environments that workers make, in a module that imports nothing else."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import time

import gymnasium
import numpy as np


class SeededEnv(gymnasium.Env):
    """Length, pictures and observations of an episode follow from its seed alone.

    Args:
        render_mode: As Gymnasium's.
        killed: Ends its process at step 3 of the episode with this seed, once.
        raising: Raises at step 3 of the episodes with these seeds.
        once: A file that exists once the process was ended, or it has raised.
        pause_s: Before each step.
        meet: A folder in which each process leaves a file; episodes begin when there
            are two.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        render_mode="rgb_array",
        *,
        killed=None,
        raising=(),
        once=None,
        pause_s=0.0,
        meet=None,
    ):
        assert "torch" not in sys.modules or "pytest" in sys.modules
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(5)
        self.killed, self.raising, self.once = killed, raising, once
        self.pause_s = pause_s
        self.meet = meet
        self.total = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        if self.meet is not None:
            pathlib.Path(self.meet, str(os.getpid())).touch()
            while len(os.listdir(self.meet)) < 2:
                time.sleep(0.01)
        self.seed, self.env_step, self.total = seed, 0, 0
        self.length = int(self.np_random.integers(5, 25))
        return self._observe(), {}

    def step(self, action):
        time.sleep(self.pause_s)
        self.env_step += 1
        self.total += int(action)
        if self.env_step == 3:
            self._fail()
        has_ended = self.env_step >= self.length
        return self._observe(), float(action), has_ended, False, {}

    def _fail(self):
        is_first = self.once is None or not pathlib.Path(self.once).exists()
        if is_first and self.killed is not None and self.seed == self.killed:
            pathlib.Path(self.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.seed in self.raising and is_first:
            if self.once is not None:
                pathlib.Path(self.once).touch()
            raise ValueError(f"broken at seed {self.seed}")

    def _observe(self):
        return self.np_random.random(2, np.float32)

    def render(self):
        picture = np.zeros((16, 24, 3), np.uint8)
        picture[: self.env_step, :, 0] = 10 * (self.total % 25)
        picture[0, 0, 1:] = self.env_step, (self.seed or 0) % 256
        return picture


class FirstEnvSlow(SeededEnv):
    """Env 0 is as slow as a simulator."""

    def __init__(self, env):
        super().__init__(pause_s=0.3 if env == 0 else 0.0)


class KilledBySeed(SeededEnv):
    """The episode of seed 7 ends its process, each time."""

    def step(self, action):
        if self.seed == 7 and self.env_step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class SlowFirstSeed(SeededEnv):
    """The episode of seed 0 is as slow as a simulator."""

    def step(self, action):
        if self.seed == 0:
            time.sleep(0.3)
        return super().step(action)


def broken():
    raise RuntimeError("no such simulator")


def exits():
    sys.exit("no license")


class EndsInClose(SeededEnv):
    """Ends its process when it is closed, as a simulator's library may."""

    def close(self):
        os._exit(3)


class Hooked(SeededEnv):
    """Is made with a function, perhaps one that cannot be pickled."""

    def __init__(self, render_mode="rgb_array", hook=None):
        super().__init__(render_mode)


def hooked():
    if "tests/Hooked-v0" not in gymnasium.registry:
        gymnasium.register("tests/Hooked-v0", Hooked)
    return gymnasium.make(
        "tests/Hooked-v0", disable_env_checker=True, hook=lambda reward: reward
    )


if "tests/Seeded-v0" not in gymnasium.registry:  # pytest imports it a second time
    gymnasium.register("tests/Seeded-v0", SeededEnv)


def registered():
    return gymnasium.make("tests/Seeded-v0", disable_env_checker=True)


class InfoEnv(SeededEnv):
    """Info says whether an odd seed's episode is over, and which step it is."""

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        seed = self.seed or 0  # of several, those for which there is no seed left
        word = f"{seed % 3} of {self.env_step % 4}"
        info = {"count": self.env_step, "word": word}
        if terminated:
            info["is_success"] = seed % 2 == 1
        return obs, reward, terminated, truncated, info
