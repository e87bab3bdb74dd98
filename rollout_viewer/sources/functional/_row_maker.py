"""Rows of states become rows of a recording: what each was to each env.

Which states begin an episode, and what draws each. Knows states and recorders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rollout_viewer._errors import RenderError
from rollout_viewer._recorder.same_step import add_same_step
from rollout_viewer._recording.step_row import IDLE, RESET, STEP
from rollout_viewer._replay.episode_start import START, EpisodeStart, pack_start
from rollout_viewer._replay.kept_states import (
    CHECKSUM,
    PREFIX,
    STATES,
    checksums,
    pictures_or_errors,
)
from rollout_viewer.sources._spaces import observation_data, parts_like

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from rollout_viewer._recorder.recorder import Recorder
    from rollout_viewer._recording.step_row import Codes, Mask
    from rollout_viewer.sources.functional._states import StateRows

    Frame = npt.NDArray[np.uint8]

# When an env that ended begins anew; or that its states are what `begins` says.
Autoreset = Literal["same_step", "next_step", "disabled"]
# Pictures that are rendered, and kept, at a time: each call makes a renderer.
_PICTURES_AT_A_TIME = 64


class RowMaker:
    """Adds rows to a recorder.

    Args:
        recorder: Gets them.
        env: Draws states.

    Attributes:
        template: Of the states of `env`.
        has_ended: (B,) envs whose episode is over.
    """

    def __init__(self, recorder: Recorder, env: Any) -> None:
        self._recorder, self._env = recorder, env
        self.template: Any = None
        self.has_ended: Mask = np.zeros(recorder.num_envs, np.bool_)
        self._parts: Any = None
        start = EpisodeStart(recorder.recipe_number, {STATES: True})
        self._start = pack_start(start) if recorder.renders_later else None

    def add(
        self,
        rows: StateRows,
        mode: Autoreset,
        *,
        seeds: Mapping[int, int] | None = None,
        after_row: Callable[[Mask], bool] | None = None,
    ) -> bool:
        """Add rows, until `after_row` returns true; return whether it did.

        Args:
            rows: Of the recorder's envs.
            mode: When an env that ended begins anew, where `rows.begins` is None.
            seeds: Of the envs that begin with the first of them.
            after_row: Called with the ends (B,) after each but those that only reset.
        """
        if self._parts is None and rows.obs is not None:
            self._parts = parts_like(_row(rows.obs, 0), rows.num_envs)
        crcs = checksums(rows.leaves) if self._start is not None else None
        drawing = _Drawing(self._env, self.template, rows, self._warn)
        for index in range(rows.num_rows):
            kind = self._kind(rows, index, mode)
            ends = rows.terminated[index] | rows.truncated[index]
            ended = ends & (kind == STEP)
            self._add_row(rows, index, kind, ended, mode, drawing, crcs, seeds)
            seeds = None
            self.has_ended = (self.has_ended & (kind == IDLE)) | ended
            if mode == "same_step":
                self.has_ended = np.zeros_like(ended)
            if after_row is not None and (kind != RESET).any() and after_row(ended):
                return True
        return False

    def _warn(self, error: Exception, env: int) -> None:
        """Warn that the row which is added next lacks a picture."""
        self._recorder.warning.of_pictures(error, self._recorder.cache.num_rows, [env])

    def _kind(self, rows: StateRows, index: int, mode: Autoreset) -> Codes:
        """Return what a row is to each env."""
        if rows.begins is not None and rows.begins[index].any():
            rest = IDLE if mode == "disabled" else STEP
            others = np.where(self.has_ended, rest, STEP)
            return np.where(rows.begins[index], RESET, others).astype(np.uint8)
        after = RESET if mode == "next_step" else IDLE
        return np.where(self.has_ended, after, STEP).astype(np.uint8)

    def _add_row(
        self,
        rows: StateRows,
        index: int,
        kind: Codes,
        ended: Mask,
        mode: Autoreset,
        drawing: _Drawing,
        crcs: npt.NDArray[np.uint32] | None,
        seeds: Mapping[int, int] | None,
    ) -> None:
        if not (kind != IDLE).any():
            return
        is_step = kind == STEP
        data = self._data(rows, index, crcs)
        info = {name: values[index] for name, values in rows.info.items()}
        step: dict[str, Any] = {
            "reward": rows.reward[index],
            "terminated": rows.terminated[index] & is_step,
            "truncated": rows.truncated[index] & is_step,
            "action": None if rows.action is None else rows.action[index],
        }
        pictures = drawing.of_row(index, self._recorder.envs)
        if mode == "same_step" and ended.any():
            add_same_step(
                self._add_second(ended),
                ended,
                pictures,
                kind=kind,
                data=data,
                final_data=self._without(data, ended),
                step_info=info,
                **step,
            )
            return
        infos = self.infos(kind == RESET, seeds) if (kind == RESET).any() else None
        self._recorder.add(
            kind, pictures, data=data, infos=infos, step_info=info or None, **step
        )

    def _add_second(self, ended: Mask) -> Callable[..., int | None]:
        """Return `Recorder.add`, which says of resets how their episodes are drawn."""

        def add(kind: Codes, pictures: Any, **call: Any) -> int | None:
            if call.get("is_same_call"):
                call["infos"] = self.infos(ended, None)
            return self._recorder.add(kind, pictures, **call)

        return add

    def infos(
        self, begins: Mask, seeds: Mapping[int, int] | None
    ) -> dict[int, dict[str, Any]]:
        """Return what is known of the episodes that begin."""
        found: dict[int, dict[str, Any]] = {}
        drawn = self._recorder.envs
        for env in np.flatnonzero(begins).tolist():
            info: dict[str, Any] = {}
            if seeds is not None and env in seeds:
                info["seed"] = seeds[env]
            if self._start is not None and (drawn is None or env in drawn):
                info[START] = self._start
            if info:
                found[env] = info
        return found

    def _data(
        self, rows: StateRows, index: int, crcs: npt.NDArray[np.uint32] | None
    ) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if rows.obs is not None:
            obs = _row(rows.obs, index)
            data |= observation_data(obs, self._parts, [rows.num_envs]) or {}
        if crcs is None:
            return data
        for name, values in rows.leaves.items():
            data[PREFIX + name] = self._of_all(values[index], rows.num_envs)
        data[CHECKSUM] = self._of_all(crcs[index], rows.num_envs)
        return data

    def _of_all(self, values: npt.NDArray[Any], num_envs: int) -> npt.NDArray[Any]:
        """Return (B, ...) of values (P, ...) of the envs that are drawn."""
        drawn = self._recorder.envs
        if drawn is None:
            return values
        whole = np.zeros((num_envs, *values.shape[1:]), values.dtype)
        whole[drawn] = values
        return whole

    def _without(self, data: Mapping[str, Any], ended: Mask) -> dict[str, Any]:
        """Return data of a row without that of the next episodes of some envs."""
        found = {}
        for name, values in data.items():
            copied = np.array(values)
            copied[ended] = np.nan if copied.dtype.kind == "f" else 0
            found[name] = copied
        return found


class _Drawing:
    """Pictures of rows, rendered some at a time once one is asked for."""

    def __init__(
        self,
        env: Any,
        template: Any,
        rows: StateRows,
        warn: Callable[[Exception, int], None],
    ) -> None:
        self._env, self._template, self._rows = env, template, rows
        self._warn = warn
        self._start = self._stop = 0
        self._frames: list[list[Frame | RenderError]] = []

    def of_row(self, index: int, drawn: list[int] | None) -> Callable[[], Any]:
        """Return a function that returns the pictures of a row."""
        count = self._rows.num_envs if drawn is None else len(drawn)

        def pictures() -> list[Any]:
            if not self._start <= index < self._stop:
                self._render(index, count)
            frames = self._frames[index - self._start]
            errors = [one for one in frames if isinstance(one, RenderError)]
            if len(errors) == len(frames):
                raise errors[0]
            envs = range(count) if drawn is None else drawn
            found: list[Any] = [None] * self._rows.num_envs
            for env, frame in zip(envs, frames, strict=True):
                if isinstance(frame, RenderError):
                    self._warn(frame, env)
                else:
                    found[env] = frame
            return found

        return pictures

    def _render(self, start: int, count: int) -> None:
        stop = min(start + max(_PICTURES_AT_A_TIME // count, 1), self._rows.num_rows)
        leaves = self._rows.leaves
        states = [
            {name: values[row, place] for name, values in leaves.items()}
            for row in range(start, stop)
            for place in range(count)
        ]
        frames = pictures_or_errors(self._env, self._template, states)
        self._frames = [frames[at : at + count] for at in range(0, len(frames), count)]
        self._start, self._stop = start, stop


def _row(obs: Any, index: int) -> Any:
    """Return one row of observations (n, B, ...)."""
    if isinstance(obs, dict):
        return {key: _row(one, index) for key, one in obs.items()}
    if isinstance(obs, (tuple, list)):
        return tuple(_row(one, index) for one in obs)
    return obs[index]
