"""An environment whose pictures come when a test lets them, and steps in any."""

import os
import time

import gymnasium
import numpy as np

HEIGHT, WIDTH = 48, 64


class Steps(gymnasium.Env):
    """Shows how many steps it took, as gray; in one folder, once a file is there.

    Args:
        gate: Pictures come when there is such a file; "": at once.
        wrong_from: From this step on, it differs from process to process; 0: never.
        log: A file with a line for each environment that is made, reset or stepped,
            and its process; "": none.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, gate="", wrong_from=0, log=""):
        self.render_mode = "rgb_array"
        self._gate, self._wrong_from, self._log = gate, wrong_from, log
        self._step = 0
        self._note("made")

    def _note(self, what):
        if self._log:
            with open(self._log, "a") as file:
                file.write(f"{what} {os.getpid()}\n")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._step = 0
        self._note("reset")
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self._step += 1
        self._note("step")
        is_wrong = 0 < self._wrong_from <= self._step
        value = os.getpid() if is_wrong else self._step
        return np.full(1, value, np.float32), 1.0, False, False, {}

    def render(self):
        while self._gate and not os.path.exists(self._gate):
            time.sleep(0.02)
        return np.full((HEIGHT, WIDTH, 3), self._step, np.uint8)


def record_steps(num_steps, gate="", wrong_from=0, **options):
    """Return a recording whose pictures are rendered later."""
    import rollout_viewer as rv

    options.setdefault("make_env", lambda: Steps(gate, wrong_from))
    env = rv.record(Steps(gate, wrong_from), render="later", **options)
    env.reset(seed=0)
    for _ in range(num_steps):
        env.step(0)
    return env.cache


def play(env, steps=70, restart_after=25):
    """Take random steps in a few episodes, and close the environment."""
    env.action_space.seed(1)
    env.reset(seed=3)
    for step in range(1, steps + 1):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated or step % restart_after == 0:
            env.reset()
    env.close()
