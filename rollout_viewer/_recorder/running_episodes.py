"""Episodes that run: what is known of them, and what is due when they end.

Their seeds, options and labels go into their first row. When they have ended, their
success is set, and their pictures are rendered if it is then that they are. Knows rows.
Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.episode_infos import merged_info
from rollout_viewer._errors import warn_once
from rollout_viewer._recorder.recorder_settings import RecorderSettings
from rollout_viewer._recording.annotations import AnnotationChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._cache.block_builder import BlockBuilder
    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.episode_filter import EpisodeFilter
    from rollout_viewer._recorder.success import Successes
    from rollout_viewer._recording.step_row import Mask


class RunningEpisodes(RecorderSettings):
    """The part of a `Recorder` that knows which episodes run, and ends them."""

    cache: FrameCache
    _sink: FrameCache | EpisodeFilter | BlockBuilder
    _is_chosen: bool
    # Whether recorded episodes are rendered when they have ended.
    _renders_ended: bool
    # Env -> session and first row of its newest episode that is rendered, since it
    # was chosen.
    _rendered: dict[int, tuple[Any, int]]
    _successes: Successes
    # The row after the newest that this recorder has appended.
    _stop: int
    # Env -> what is known of an episode whose first row is to come.
    _infos: dict[int, dict[str, Any]]
    _episode: npt.NDArray[np.int64]
    _is_running: Mask

    def _with_begun(
        self, begins: Mask, infos: Mapping[int, Mapping[str, Any]]
    ) -> tuple[npt.NDArray[np.int64], dict[int, dict[str, Any]]]:
        """Return the numbers of episodes, and what is known of new ones, after a call.

        In `begins` the next episode begins.
        """
        if not begins.any():
            return self._episode, self._infos
        episode, known = self._episode + begins, dict(self._infos)
        for env in np.flatnonzero(begins).tolist():
            info = dict(infos.get(env, {}))
            if self._every > 1:
                label = {"episode": int(episode[env])}
                info["labels"] = {**label, **info.get("labels", {})}
            known[env] = self._with_segment(info)
        return episode, known

    def _with_segment(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is known of an episode that begins now; its row may come late."""
        return {"segment": None, **merged_info(self.cache.segment_info(), info)}

    def _add_infos(
        self, infos: tuple[Any, Any], is_step: Mask, is_over: Mask, is_reset: Mask
    ) -> None:
        """Note what a call returned as info, whether or not it gets a row."""
        try:
            self._note_infos(infos, is_step, is_over, is_reset)
        except BaseException:
            # All of it or nothing; a second time changes nothing.
            self._note_infos(infos, is_step, is_over, is_reset)
            raise

    def _note_infos(
        self, infos: tuple[Any, Any], is_step: Mask, is_over: Mask, is_reset: Mask
    ) -> None:
        info, final = infos
        here = is_step
        if final is not None:
            here = is_step & ~is_over
            self._step_info.add(final, is_over)
            self._successes.add(final, is_over)
        if info is not None:
            self._step_info.add(info, here | is_reset)
            self._successes.add(info, here)

    def _end_before(self, begins: Mask) -> None:
        """Note that episodes are cut off where others begin."""
        if self._renders_ended and self._is_newest:
            self._render_newest(begins & self._is_running)
        if self._successes.is_active:
            if self._is_newest:
                self._end_episodes(begins & self._is_running)
            self._successes.begin(begins)

    @property
    def _is_newest(self) -> bool:
        """Whether nothing was recorded since by another recorder of the cache."""
        return self._sink is not self.cache or self._stop == self._sink.num_appended

    def _end_episodes(self, envs: Mask) -> None:
        """Set the success of the newest episodes of `envs`, which have ended."""
        for env in np.flatnonzero(envs).tolist():
            episode = self._sink.newest_episode(env)
            if episode is None:
                continue
            if (success := self._successes.of(episode)) is not None:
                key = episode.env, episode.index
                change = AnnotationChange(success={key: success})
                try:
                    self._sink.annotate(change)
                except Exception as error:  # the row is recorded, and stays
                    warn_once(
                        "record: expected to keep whether episodes succeeded, got "
                        f"{error!r}. Recording continues."
                    )

    def _render_newest(self, envs: Mask) -> None:
        """Have the newest episodes of `envs` rendered, which have ended."""
        if self._sink is not self.cache:  # a filter reports them
            return
        for env in np.flatnonzero(envs).tolist():
            episode = self.cache.newest_episode(env)
            if episode is not None:
                self._render_ended(env, episode.start, episode.stop)

    def _render_ended(self, env: int, start: int, stop: int) -> None:
        """Have an episode rendered in the background, unless that is done."""
        is_pictured = self.envs is None or env in self.envs
        if not (self._renders_ended and is_pictured):
            return
        key = self.cache.get_meta("session"), start
        if self._rendered.get(env) == key:
            return
        self._rendered[env] = key
        self.cache.render_ended(env, start, stop)
        self._warn_of(self.cache.rendering_problems())

    def _warn_of(self, problems: list[str]) -> None:
        for problem in problems:
            warn_once(problem)
