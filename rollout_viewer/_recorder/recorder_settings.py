"""What a recorder was made with, and what it says of that when it is asked.

The ground of the parts of a `Recorder`: each of them sees its settings. Knows no rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RolloutViewerError
from rollout_viewer._recorder.success import SUCCESS_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_viewer._cache.remote_rows import RemoteCache
    from rollout_viewer._recorder.episode_quota import EpisodeLimit
    from rollout_viewer._recorder.frame_options import FrameOptions
    from rollout_viewer._recorder.step_info import StepInfo
    from rollout_viewer._recorder.success import SuccessRule
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._replay.recipe import Recipe


class RecorderSettings:
    """The part of a `Recorder` that has its settings."""

    num_envs: int
    tag: str
    _frame_options: FrameOptions
    _every: int
    _given_every: int | None
    _skip: int
    _keep_episode: Callable[[Episode], bool] | None
    _limit: EpisodeLimit
    _recipe: Recipe | None
    _remote: RemoteCache | None
    _logger: Any
    _fps: float | None
    _metadata: Mapping[str, Any] | None
    _info_names: bool | frozenset[str]
    _step_info: StepInfo
    _success_rule: SuccessRule
    _reward_threshold: float | None
    _reward_weights: tuple[float, ...] | None
    _needs_pictures: bool

    @property
    def envs(self) -> list[int] | None:
        """Numbers of the envs whose pictures are recorded; None: all."""
        return self._frame_options.envs

    @property
    def takes_each_call(self) -> bool:
        """Whether `add` asks for the pictures of each call."""
        return (
            self._skip == self._every == 1
            and self._recipe is None
            and not self._limit.is_active
        )

    @property
    def renders_later(self) -> bool:
        """Whether rows are recorded without pictures, which are rendered later."""
        return self._recipe is not None

    def may_want_info(self, key: str) -> bool:
        """Whether something of a key of what steps return as info may be recorded."""
        return key in SUCCESS_KEYS or self._step_info.may_want(key)

    @property
    def reward_threshold(self) -> float | None:
        """The environment's own, of `success`."""
        return self._reward_threshold

    @property
    def recipe(self) -> Recipe | None:
        """How the environments are made again, if their pictures are rendered later."""
        return self._recipe

    @property
    def remote(self) -> RemoteCache | None:
        """Where rows are sent, in another process; None: they are recorded here."""
        return self._remote

    def check_has_rows(self, what: str) -> None:
        """Raise RolloutViewerError where rows are sent to another process.

        Args:
            what: Is asked for, for the message.
        """
        if self._remote is not None:
            raise RolloutViewerError(
                f"Recorder.{what}: expected rows that are recorded here, got some that "
                f"are sent to {self._remote!r}. View or dump that cache, where it was "
                "made: this recorder has none of its own."
            )

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's arguments, without the cache."""
        return {
            "num_envs": self.num_envs,
            "every": self._given_every,
            "keep_episode": self._keep_episode,
            "envs": self.envs,
            "skip": self._skip,
            "resize": self._frame_options.resize,
            "crop": self._frame_options.crop,
            "logger": self._logger,
            "tag": self.tag,
            "fps": self._fps,
            "metadata": self._metadata,
            "shares_picture": self._frame_options.shares_picture,
            "recipe": self._recipe,
            "info": self._info_names,
            "success": self._success_rule,
            "reward_threshold": self._reward_threshold,
            "reward_weights": self._reward_weights,
            "needs_pictures": self._needs_pictures,
        }
