"""A Gymnasium environment that renders counting frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from rollout_viewer.testing._counting import counting_frame, read_count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]


class CountingEnv(gymnasium.Env[Any, Any]):
    """A Gymnasium environment with episode, step and env drawn into its pictures.

    Renders counting frames: `CountingEnv.read` gives (episode, step, env) of
    one. A step's reward is its number, so an episode of n steps has a return of
    n (n + 1) / 2. The observation is (episode, step) as float32.

    Args:
        lengths: Steps of each episode; the last one is for all that follow.
        env: The number to draw; it changes nothing else.
        truncated_episodes: Indices of the episodes that are truncated at their
            end; the others terminate.
        height: Of pictures, in pixels.
        width: Of pictures, in pixels.
        render_mode: "rgb_array" or "rgb_array_list".
        shows_itself: The observation is the picture.
    """

    metadata = {  # noqa: RUF012 - as Gymnasium declares it
        "render_modes": ["rgb_array", "rgb_array_list"],
        "render_fps": 10,
    }

    def __init__(
        self,
        lengths: Sequence[int] = (5,),
        *,
        env: int = 0,
        truncated_episodes: Collection[int] = (),
        height: int = 48,
        width: int = 64,
        render_mode: str | None = "rgb_array",
        shows_itself: bool = False,
    ) -> None:
        self.render_mode = render_mode
        self.lengths = tuple(lengths)
        self.number = env
        self.truncated_episodes = frozenset(truncated_episodes)
        self.size = height, width
        self.shows_itself = shows_itself
        self.episode, self.env_step = -1, 0
        self.num_renders = 0
        self._unseen: list[Frame] = []
        self.action_space = gymnasium.spaces.Discrete(4)
        self.observation_space = (
            gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
            if shows_itself
            else gymnasium.spaces.Box(0, np.inf, (2,), np.float32)
        )

    @staticmethod
    def read(picture: Any) -> tuple[int, int, int]:
        """Return (episode, step, env) of a rendered picture."""
        row, env = read_count(picture)
        return row >> 8, row & 255, env

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start the next episode."""
        super().reset(seed=seed)
        self.episode, self.env_step = self.episode + 1, 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance by one step; the action is ignored."""
        self.env_step += 1
        length = self.lengths[min(self.episode, len(self.lengths) - 1)]
        is_end = self.env_step >= length
        is_cut = self.episode in self.truncated_episodes
        ends = is_end and not is_cut, is_end and is_cut
        return self._observe(), float(self.env_step), *ends, {}

    def render(self) -> Any:
        """Return the counting frame of this step, or all since the last call."""
        self.num_renders += 1
        if self.render_mode == "rgb_array_list":
            unseen, self._unseen = self._unseen, []
            return unseen
        return self._draw()

    def _observe(self) -> Any:
        if self.render_mode == "rgb_array_list":
            self._unseen.append(self._draw())
        if self.shows_itself:
            return self._draw()
        return np.array([self.episode, self.env_step], np.float32)

    def _draw(self) -> Frame:
        row = (self.episode & 255) << 8 | self.env_step & 255
        height, width = self.size
        return counting_frame(row, self.number, height=height, width=width)
