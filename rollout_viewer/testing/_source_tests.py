"""The suite that every source has to pass, ours and yours: subclass it in a test file.

A source makes an environment out of counting ones and records it; the recording is
compared with tables written by hand. Needs pytest and Gymnasium.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._cache.open import open_path
from rollout_viewer._errors import RolloutViewerError
from rollout_viewer.sources._record import record
from rollout_viewer.sources._rollout import rollout
from rollout_viewer.testing._counting_env import CountingEnv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Maker = Callable[[], CountingEnv]
    Table = list[list[str]]

_NUM_STEPS = 6
# Of env 0 and of env 1; the second episode of each is truncated, the others terminate.
_LENGTHS = (3, 2, 9), (2, 4, 9)
# Of each env, by row: R a reset, then the episode and its step; T terminated, U
# truncated, ? an end without a terminal picture, -- idle.
_TABLES = {
    "caller": """
        R0.0  R0.0
        0.1   0.1
        0.2   0.2T
        --    R1.0
        0.3T  1.1
        R1.0  --
        1.1   1.2
        1.2U  1.3
        R2.0  --
        2.1   1.4U
        """,
    "next_step": """
        R0.0  R0.0
        0.1   0.1
        0.2   0.2T
        0.3T  R1.0
        R1.0  1.1
        1.1   1.2
        1.2U  1.3
        """,
    "same_step": """
        R0.0  R0.0
        0.1   0.1
        0.2   0.2T?
        --    R1.0
        0.3T? 1.1
        R1.0  --
        1.1   1.2
        1.2U? 1.3
        R2.0  --
        2.1   1.4U?
        --    R2.0
        """,
}


class _Patient(CountingEnv):
    """A counting env that treats two resets in a row as one.

    Frameworks reset an environment to inspect its observation: that is no episode.
    """

    def reset(self, **options: Any) -> Any:
        if self.env_step == 0 and self.episode >= 0:
            self.episode -= 1
        return super().reset(**options)


class _Failing(_Patient):
    """A counting env that raises, or renders an invalid picture, at one step.

    Args:
        at: (episode, step).
        picture: What it renders there; left out: the step raises.
    """

    def __init__(
        self, *args: Any, at: tuple[int, int], picture: Any = ..., **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._at, self._picture = at, picture

    def step(self, action: Any) -> Any:
        result = super().step(action)
        if self._picture is ... and (self.episode, self.env_step) == self._at:
            raise RuntimeError("the environment broke")
        return result

    def render(self) -> Any:
        if self._picture is not ... and (self.episode, self.env_step) == self._at:
            return self._picture
        return super().render()


class SourceTests:
    """Conformance of a source: subclass it and write ``make_env``.

    The recording is compared with a table that was written by hand: the episode and
    step drawn into each picture, rewards, and ends.

    Attributes:
        num_envs: 1 or 2.
        resets: What resets an environment that ended: the ``"caller"``; or itself in
            the ``"next_step"`` or the ``"same_step"``.
        is_shared: One picture shows all envs, as the environment declares with
            ``metadata["shared_picture"]``: that of env 0.
        is_pickled: The recorded environment can be pickled; False where it has
            processes.

    Example:
        >>> from rollout_viewer.testing import SourceTests
        >>> class TestMySource(SourceTests):
        ...     def make_env(self, makers):
        ...         return MyBatch([make() for make in makers])
    """

    num_envs = 2
    resets = "caller"
    is_shared = False
    is_pickled = True

    # -- what a subclass writes

    def make_env(self, makers: Sequence[Maker]) -> Any:
        """Return an environment made of the env that each of `makers` returns."""
        raise NotImplementedError

    def record(self, env: Any, **options: Any) -> Any:
        """Return `env` wrapped to be recorded, with options of `rv.record`."""
        return record(env, **options)

    def run(self, recorded: Any, num_steps: int) -> None:
        """Reset, make `num_steps` steps with any actions, and reset what ends."""
        rollout(recorded, max_steps=num_steps, seed=3, progress=False)

    # -- the tests

    def test_pictures_rewards_and_ends_are_exact(self) -> None:
        recorded = self._record()

        self.run(recorded, _NUM_STEPS)

        assert self._table(recorded.cache) == self._expected()
        recorded.close()

    def test_the_file_of_a_recording_is_complete_when_it_is_closed(
        self, tmp_path: Path
    ) -> None:
        recorded = self._record(cache=tmp_path / "run.rollout")

        self.run(recorded, _NUM_STEPS)
        recorded.close()
        recorded.cache.close()

        (path,) = tmp_path.iterdir()
        assert self._table(open_path(path)) == self._expected()

    def test_pictures_of_chosen_envs_and_rewards_of_all(self) -> None:
        if self.num_envs == 1 or self.is_shared:
            pytest.skip("there are no pictures to choose from")
        recorded = self._record(envs=[1])

        self.run(recorded, _NUM_STEPS)

        cache = recorded.cache
        assert cache.pictured_envs == (1,)
        chosen = [row[1] for row in self._table(cache, pictured=[1])]
        assert chosen == [row[1] for row in self._expected()]
        assert self._rewards(cache) == self._rewards_expected()
        recorded.close()

    def test_two_recorders_fill_one_cache_one_after_the_other(self) -> None:
        cache = FrameCache()

        for _ in range(2):
            start = cache.num_rows
            recorded = self._record(cache=cache)
            self.run(recorded, _NUM_STEPS)
            recorded.close()

            assert self._table(cache, start=start) == self._expected()

    def test_a_pickled_copy_records_into_a_cache_of_its_own(self) -> None:
        if not self.is_pickled:
            pytest.skip("it cannot be pickled")
        recorded = self._record()

        copy = pickle.loads(pickle.dumps(recorded))
        self.run(copy, _NUM_STEPS)

        assert self._table(copy.cache) == self._expected()
        assert recorded.cache.num_rows == 0
        copy.close()
        recorded.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_forked_child_that_ends_leaves_the_recording_whole(
        self, tmp_path: Path
    ) -> None:
        recorded = self._record(cache=tmp_path / "run.rollout")
        self.run(recorded, _NUM_STEPS)

        child = os.fork()
        if child == 0:
            del recorded
            gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        recorded.close()
        recorded.cache.close()

        (path,) = tmp_path.iterdir()
        assert self._table(open_path(path)) == self._expected()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_worker_records_into_a_file_of_its_own(self, tmp_path: Path) -> None:
        worker = multiprocessing.get_context("fork").Process(
            target=self._work, args=(tmp_path / "run.rollout",)
        )

        worker.start()
        worker.join()

        assert worker.exitcode == 0
        (path,) = tmp_path.iterdir()
        assert path.name == f"run-{worker.pid}.rollout"
        assert self._table(open_path(path)) == self._expected()

    @pytest.mark.parametrize(
        "picture",
        ["text", None, np.zeros(7, np.uint8), np.zeros((48, 64, 3), np.complex64)],
        ids=["text", "None", "vector", "complex"],
    )
    @pytest.mark.filterwarnings("ignore:.*is recorded without a picture")
    def test_what_is_no_picture_is_missing_in_its_row(self, picture: Any) -> None:
        recorded = self._record(at=(1, 1), picture=picture)

        try:
            self.run(recorded, _NUM_STEPS)
        except RolloutViewerError:
            raise
        except Exception:  # the framework's
            self._check_whole_until_the_fault(recorded.cache)
        else:
            assert not recorded.cache.has_picture(self._fault(), 0)
            assert self._table(recorded.cache) == self._expected()

    def test_an_error_within_a_step_passes_and_leaves_what_was_recorded(self) -> None:
        recorded = self._record(at=(1, 1))

        with pytest.raises(Exception):  # noqa: B017 - workers raise others
            self.run(recorded, _NUM_STEPS)

        self._check_whole_until_the_fault(recorded.cache)

    # -- helpers

    def _record(self, *, at: Any = None, picture: Any = ..., **options: Any) -> Any:
        makers: list[Maker] = []
        for env in range(self.num_envs):
            make: Callable[..., CountingEnv] = _Patient
            if at is not None and env == 0:
                make = functools.partial(_Failing, at=at, picture=picture)
            makers.append(
                functools.partial(make, _LENGTHS[env], env=env, truncated_episodes=(1,))
            )
        return self.record(self.make_env(makers), **options)

    def _work(self, path: Path) -> None:
        recorded = self._record(cache=path)
        self.run(recorded, _NUM_STEPS)
        recorded.close()
        recorded.cache.close()

    def _expected(self) -> Table:
        rows = [line.split() for line in _TABLES[self.resets].strip().splitlines()]
        if self.num_envs == 1:
            return [row[:1] for row in rows if row[0] != "--"]
        return rows

    def _check_whole_until_the_fault(self, cache: FrameCache) -> None:
        fault = self._fault()
        assert self._table(cache)[:fault] == self._expected()[:fault]
        # The step's numbers may be there all the same, but no picture of its own.
        assert cache.num_rows <= fault + 1
        assert cache.num_rows == fault or not cache.has_picture(fault, 0)
        cache.flush()

    def _fault(self) -> int:
        """Return the row of step 1 of env 0's episode 1, where the env fails."""
        return [row[0] for row in self._expected()].index("1.1")

    def _table(
        self,
        cache: FrameCache,
        *,
        start: int = 0,
        pictured: Sequence[int] | None = None,
    ) -> Table:
        envs = range(cache.num_envs)
        shown = envs if pictured is None else pictured
        if self.is_shared:
            shown = [0]
        # Episodes of a cache are counted through all recordings in it.
        before = [int(cache.at(start, env).episode) for env in envs]
        return [
            [_cell(cache, row, env, before[env], env in shown) for env in envs]
            for row in range(start, cache.num_rows)
        ]

    def _rewards(self, cache: FrameCache) -> list[list[float]]:
        return np.nan_to_num(cache.scalars["reward"], nan=0.0).tolist()  # type: ignore[no-any-return]  # numpy's Any

    def _rewards_expected(self) -> list[list[float]]:
        return [
            [
                0.0 if cell == "--" else float(cell.strip("RTU?").split(".")[1])
                for cell in row
            ]
            for row in self._expected()
        ]


def _cell(
    cache: FrameCache, row: int, env: int, num_before: int, is_pictured: bool
) -> str:
    """Return what is recorded of an env at a row, in the form of the tables."""
    now = cache.at(row, env)
    if now.kind == "idle":
        return "--"
    moment = int(now.episode) - num_before, int(now.episode_step)
    if is_pictured and now.has_picture:
        episode, step, drawn = CountingEnv.read(cache[row, env])
        assert (episode, step, drawn) == (*moment, env)
    is_reset = now.kind == "reset"
    # A reward is the number of its step.
    assert np.isnan(now.reward) if is_reset else now.reward == moment[1]
    mark = "T" if now.terminated else "U" if now.truncated else ""
    mark += "?" if now.kind == "terminal_missing" else ""
    return f"{'R' * is_reset}{moment[0]}.{moment[1]}{mark}"
