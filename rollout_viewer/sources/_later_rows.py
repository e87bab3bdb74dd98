"""Rows of a batch of environments whose pictures are rendered later.

What a replay needs of them is recorded with them. Knows rows. Knows no framework.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recording.step_row import RESET
from rollout_viewer._replay.episode_start import START, EpisodeStart, pack_start
from rollout_viewer._replay.probe import insert_probes
from rollout_viewer._replay.skipped_picture import picture_skipper, skip_nothing
from rollout_viewer.sources._batched_rows import BatchedRows
from rollout_viewer.sources._first_starts import with_first, with_first_elsewhere
from rollout_viewer.sources._known_envs import KnownEnvs
from rollout_viewer.sources._observation_check import ObservationCheck
from rollout_viewer.sources._reset_states import ResetStates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rollout_viewer._recording.step_row import Mask


class LaterRows(BatchedRows):
    """Adds to rows from where their episodes can be replayed.

    A subclass reports the states of envs that are about to be reset, by `_note_states`,
    or, where it `_has_columns`, that were.
    """

    _check: ObservationCheck | None = None
    _has_columns = False
    # What making a picture would have done, of each env of which that is anything.
    _skip_pictures: Sequence[Callable[[], None]] = ()

    # That are in this process.
    _envs: Sequence[Any] = ()
    # Of envs that reset themselves in the call that ends them, if they are here.
    _resets: ResetStates | None = None

    def _set_up_later(self, envs: Sequence[Any], *, is_same_step: bool) -> None:
        """Record from now on what a replay needs.

        Args:
            envs: The environments of the batch that are in this process.
            is_same_step: They are reset in the call that ends them.
        """
        self._envs = envs
        self._known_envs = KnownEnvs(envs)
        names = [part.name for part in self._parts]
        self._check = ObservationCheck(names, insert_probes(envs))
        skippers = map(picture_skipper, envs)
        self._skip_pictures = [one for one in skippers if one is not skip_nothing]
        # Env -> its state before the reset that comes.
        self._states: dict[int, dict[str, Any]] = {}
        if is_same_step and envs:
            with contextlib.suppress(AttributeError, TypeError):
                self._resets = ResetStates(envs)

    @contextlib.contextmanager
    def _left_on_error(self) -> Iterator[None]:
        """Leave the environments as they were where the block raises."""
        try:
            yield
        except BaseException:
            self._leave_later()
            raise

    def _leave_later(self) -> None:
        """Leave the environments as they were."""
        if self._resets is not None:
            self._resets.remove()

    def _infos_of_resets(self, envs: Mask) -> Mapping[int, Mapping[str, Any]] | None:
        if self._resets is None:
            return super()._infos_of_resets(envs)
        self._note_states(self._resets.take())
        return self._starts(np.flatnonzero(envs).tolist(), {})

    def _note_states(self, states: Mapping[int, dict[str, Any]]) -> None:
        """Note the states of envs before the call that resets them."""
        self._states = dict(states)

    def _starts(
        self, envs: list[int], infos: Mapping[int, Mapping[str, Any]]
    ) -> dict[int, dict[str, Any]]:
        """Return the infos of episodes, and from where they can be replayed."""
        found: dict[int, dict[str, Any]] = {}
        for env in envs:
            info = dict(infos.get(env, {}))
            seed, options = info.get("seed"), info.get("options")
            if seed is not None or env in self._states:
                is_decided = seed is not None and not self._has_columns
                state = {} if is_decided else self._states[env]
                info[START] = self._packed_start(env, state, seed, options)
            found[env] = info
        self._states = {}
        return found

    def _packed_start(
        self, env: int, state: dict[str, Any], seed: Any = None, options: Any = None
    ) -> bytes:
        """Return from where an episode can be replayed."""
        this: Any = self  # whose recorder it is depends on the subclass
        number = this._views_of.recipe_number
        start = EpisodeStart(number, state, seed, options)
        return pack_start(self._with_first(start, env))

    def _depends_on_first(self, env: int) -> bool:
        """Whether `_with_first` may return another start of this env."""
        if self._has_columns:
            return False
        return not self._envs or self._known_envs.has_viewpoint(env)

    def _with_first(self, start: EpisodeStart, env: int) -> EpisodeStart:
        if self._has_columns:
            return start
        if self._envs:
            return with_first(start, self._envs[env])
        return with_first_elsewhere(start, self, env)

    def _add_reset(
        self,
        mask: Mask,
        obs: Any,
        infos: Mapping[int, Mapping[str, Any]],
        step_info: Any = None,
    ) -> None:
        if self._check is not None:
            infos = self._starts(np.flatnonzero(mask).tolist(), infos)
        super()._add_reset(mask, obs, infos, step_info)

    def _add_step(self, kind: Any, obs: Any, **step: Any) -> None:
        for skip in self._skip_pictures:
            skip()
        # Among bytes: finding it is faster than `np.flatnonzero`.
        if self._check is not None and RESET in kind.tobytes():
            step["infos"] = self._starts(np.flatnonzero(kind == RESET).tolist(), {})
        super()._add_step(kind, obs, **step)

    def _terminal_finder(
        self, obs: Any, final: Mapping[int, Any]
    ) -> Callable[[Callable[[], Any]], Mapping[int, Any]] | None:
        if self._check is None:
            return super()._terminal_finder(obs, final)
        # A replay has them all.
        return lambda _: dict.fromkeys(final)

    def _data(self, obs: Any) -> dict[str, Any] | None:
        data = super()._data(obs)
        if self._check is None:
            return data
        return self._check.of_batch(data, obs, self.num_envs)

    def _final_data(
        self, data: dict[str, Any] | None, final: Mapping[int, Any]
    ) -> dict[str, Any] | None:
        found = super()._final_data(data, final)
        return found if self._check is None else self._check.with_final(found, final)


_ELSEWHERE = (
    "envs in other processes that are reset in the call that ends them, since nothing "
    "says from where each began"
)
_WAYS = "Step them in this process (SyncVectorEnv, DummyVecEnv), use"


def check_records_all(
    options: Mapping[str, Any], which: str = _ELSEWHERE, ways_out: str = _WAYS
) -> None:
    """Raise ValueError where episodes are left out that others follow from.

    An env that is reset by the call that ends it gives no state in between.

    Args:
        options: Of the recorder.
        which: Environments have no state that can be asked for, and why.
        ways_out: The first.
    """
    for name in ("every", "keep_episode"):
        if options.get(name) not in (None, 1):
            raise ValueError(
                f"record: expected all episodes with render='later' of {which}, got "
                f"{name}=. {ways_out} autoreset_mode NEXT_STEP, record all and have "
                "some rendered by cache.render(rows), or record with render='now'."
            )
