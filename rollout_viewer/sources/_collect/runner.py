"""Steps an environment, or a batch of one process, through episodes of given seeds.

What it records goes to a `BlockBuilder`. Knows nothing of processes.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._recorder.episode_quota import EpisodeQuota
from rollout_viewer._replay.recipe import takes_env
from rollout_viewer.sources._collect.policy import Actors, version_of
from rollout_viewer.sources._record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._cache.block_builder import BlockBuilder
    from rollout_viewer._recorder.success import SuccessRule
    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer._replay.recipe import Recipe
    from rollout_viewer.sources._collect.jobs import Job
    from rollout_viewer.sources._rollout_env import RolloutEnv


class Setup(NamedTuple):
    """What a worker does.

    Attributes:
        make_env: Returns an environment; called with the env's number among all if it
            takes an argument.
        policy: As for `rollout`.
        num_envs: Of this worker.
        worker: Its number.
        render: As for `record`.
        deterministic: As for `rollout`.
        success: As for `record`; a rule of whole episodes is the driver's.
        reward_weights: As for `record`.
    """

    make_env: Callable[..., Any]
    policy: Any
    num_envs: int
    worker: int
    render: Literal["now", "later"]
    deterministic: bool = False
    success: SuccessRule | None = None
    reward_weights: Sequence[float] | None = None

    @property
    def first_env(self) -> int:
        """The number of its first env among all."""
        return self.worker * self.num_envs


class Work(Protocol):
    """Where episodes come from."""

    def next_job(self) -> Job | None:
        """Return the next episode; None: there is none."""

    def take_steps(self, count: int) -> bool:
        """Return whether so many transitions may be done."""

    def wait_until_filed(self) -> None:
        """Wait until all rows that were handed over are in the cache."""


class EnvDeclaration(NamedTuple):
    """What a worker's environment declares: a recording has it once.

    Attributes:
        fps: Of its pictures, if it says so.
        metadata: For `FrameCache.metadata`.
        recipe: How its pictures are made later; None: they are made now.
        reward_threshold: Of its specification.
    """

    fps: float | None
    metadata: dict[str, Any]
    recipe: Recipe | None
    reward_threshold: float | None = None


class _Assigned(EpisodeQuota):
    """Leaves the envs out that have no episode to collect."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, num_envs)
        self.is_without: Mask = np.zeros(num_envs, np.bool_)

    @property
    def is_full(self) -> Mask:
        """Bool (B,): the env has no episode."""
        return self.is_without


class EpisodeRunner:
    """Steps the environments of one worker.

    Args:
        setup: What to do.
        builder: Where it records.

    Raises:
        RenderError: The environment cannot render images.
        UnsupportedEnvError: No adapter wraps it, or it is a batch.
    """

    def __init__(self, setup: Setup, builder: BlockBuilder) -> None:
        self._setup = setup
        self._builder = builder
        # Envs whose episode was lost before.
        self._risky: set[int] = set()
        self._env = self._recorded()
        recorder = self._env.recorder
        recorder.redirect(builder)
        self._check_num_envs(recorder.num_envs)
        self._stepped: RolloutEnv = self._env.rollout_env()
        spaces = []
        if setup.num_envs > 1:
            space = self._env.single_action_space
            spaces = [copy.deepcopy(space) for _ in range(setup.num_envs)]
        self._actors = Actors(
            setup.policy, self._stepped, spaces, deterministic=setup.deterministic
        )

    def _recorded(self) -> Any:
        setup = self._setup
        env = self._make_envs()
        wrap = functools.partial(
            record,
            env,
            render=setup.render,
            success="once" if setup.success == "once" else None,
            reward_weights=setup.reward_weights,
        )
        try:
            return wrap()
        except UnsupportedEnvError:
            if setup.render == "now":
                raise
        # Gymnasium does not know how it is made, but the caller does.
        return wrap(make_env=setup.make_env)

    def _make_envs(self) -> Any:
        setup = self._setup
        makers = [
            _maker(setup.make_env, setup.first_env + env)
            for env in range(setup.num_envs)
        ]
        if setup.num_envs == 1:
            return makers[0]()
        import gymnasium
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        first = makers[0]()
        if not isinstance(first, gymnasium.Env):
            raise UnsupportedEnvError(
                "rv.collect: expected make_env to return a gymnasium.Env for num_envs="
                f"{setup.num_envs}, got {type(first).__name__}. Use num_envs=1 and "
                "more workers."
            )
        makers[0] = lambda: first
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED)

    def _check_num_envs(self, num_envs: int) -> None:
        if num_envs != self._setup.num_envs:
            raise UnsupportedEnvError(
                "rv.collect: expected make_env to return one environment, got a batch "
                f"of {num_envs}. Return one, and pass num_envs={num_envs}."
            )

    # -- what a recording has once

    @property
    def declaration(self) -> EnvDeclaration:
        """What the environment declares."""
        recorder = self._env.recorder
        cache, recipe = recorder.cache, recorder.recipe
        if recipe is not None and recipe.make_env is not None:
            # A notebook's function, here a copy, is not to be pickled by its name.
            recipe = dataclasses.replace(recipe, make_env=callers_make_env)
        return EnvDeclaration(
            cache.get_meta("fps"),
            cache.metadata,
            recipe,
            recorder.reward_threshold,
        )

    def set_recipe_number(self, number: int) -> None:
        """Set which of the recording's recipes makes the environment again."""
        self._env.recorder.recipe_number = number

    # -- episodes

    def run(self, work: Work) -> None:
        """Collect episodes until there are none, or no more steps."""
        if self._setup.num_envs == 1:
            self._run_one(work)
        else:
            self._run_batch(work)

    def close(self) -> None:
        """Close the environment, whatever it raises."""
        with contextlib.suppress(Exception):
            self._env.close()

    def _begin(self, env: int, job: Job, work: Work) -> None:
        setup = self._setup
        if job.attempt or self._risky:
            # Where it ends this process, it is known which episodes had ended before.
            self._builder.seal()
            work.wait_until_filed()
        self._risky.discard(env)
        if job.attempt:
            self._risky.add(env)
        self._builder.labels[env] = {
            "job": job.number,
            "worker": setup.worker,
            "seed": job.seed,
            **version_of(setup.policy),
        }
        self._actors.begin({env: job.seed})

    def _run_one(self, work: Work) -> None:
        while (job := work.next_job()) is not None:
            self._begin(0, job, work)
            observation, _ = self._stepped.reset(seed=job.seed)
            if self._env.recorder.num_envs != 1:
                self._check_num_envs(self._env.recorder.num_envs)
            has_ended = False
            while not has_ended:
                self._builder.seal_if_old()
                if not work.take_steps(1):
                    return
                action = self._actors.act(observation, self._stepped.begins)
                result = self._stepped.step(action)
                observation = result[0]
                has_ended = bool(np.any(result[2]) or np.any(result[3]))

    def _run_batch(self, work: Work) -> None:
        num_envs = self._setup.num_envs
        assigned = _Assigned(num_envs)
        self._env.recorder.limit_episodes(assigned)
        has_ended: Mask = np.ones(num_envs, np.bool_)
        observation: Any = None
        while True:
            if has_ended.any():
                seeds = self._assign(has_ended, assigned, work)
                if assigned.is_without.all():
                    return
                options = {"reset_mask": has_ended}
                observation, _ = self._env.reset(seed=seeds, options=options)
            self._builder.seal_if_old()
            if not work.take_steps(num_envs - int(assigned.is_without.sum())):
                return
            action = self._actors.act(observation, self._stepped.begins)
            observation, _, terminated, truncated, _ = self._stepped.step(action)
            has_ended = np.logical_or(terminated, truncated)

    def _assign(
        self, has_ended: Mask, assigned: _Assigned, work: Work
    ) -> list[int | None]:
        """Give episodes to the envs that ended; return the seed of each."""
        seeds: list[int | None] = [None] * self._setup.num_envs
        for env in np.flatnonzero(has_ended).tolist():
            # One that has got none gets none later.
            job = None if assigned.is_without[env] else work.next_job()
            assigned.is_without[env] = job is None
            if job is not None:
                seeds[env] = job.seed
                self._begin(env, job, work)
        return seeds


def callers_make_env() -> Any:
    """Be in the place of the caller's `make_env`, which its process has."""
    raise NotImplementedError


def _maker(make_env: Callable[..., Any], env: int) -> Callable[[], Any]:
    if takes_env(make_env):
        return lambda: make_env(env)
    return make_env
