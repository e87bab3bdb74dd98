"""A functional environment that records: by its own calls, or by states handed in.

Source: brax 0.14.2, envs/base.py, `Env` and `State`; playground 0.2.0,
_src/mjx_env.py, `MjxEnv` and `State`.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from rollout_viewer._errors import ShapeError, UnsupportedEnvError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._replay.kept_states import (
    KeptEnv,
    field,
    names_read,
    size_of_kept,
    template_of,
)
from rollout_viewer._replay.recipe import FUNCTIONAL, WAYS_OUT, recipe_of_function
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.functional._compiled_loop import (
    Loop,
    functions_of,
    without_autoreset,
)
from rollout_viewer.sources.functional._row_maker import Autoreset, RowMaker
from rollout_viewer.sources.functional._states import StateReader, resets_itself
from rollout_viewer.sources.functional._trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer._replay.recipe import Recipe
    from rollout_viewer.sources._adapters import Later
    from rollout_viewer.sources.functional._compiled_loop import Functions
    from rollout_viewer.sources.functional._states import StateRows

# Of the states of all envs in a block of rows, where few are drawn.
_MAX_BLOCK_BYTES = 1 << 28
_MODES = ("same_step", "next_step", "disabled")


class RecordedFunctions(RecordingWrapper):
    """A proxy of a functional environment.

    `reset` and `step` are compiled, return what the environment's do, and record a row.
    A loop that is compiled itself can record nothing: it uses the environment's own,
    and hands the states to `add`. Every other attribute is the environment's.

    Recorded are reward, ends, action, observation, and what `metrics` and `info` have
    as a number of each env. Truncated is what ended with ``info["truncation"]``.

    Args:
        env: Has reset(rng), step(state, action) and render(states), as Brax's and
            MuJoCo Playground's: one, or a batch of envs.
        later: Its pictures are rendered later, of states that are kept.
        **options: Of `Recorder`.

    Raises:
        UnsupportedEnvError: With `later`, it cannot be sent to another process.
    """

    action_space = None

    def __init__(self, env: Any, *, later: Later | None = None, **options: Any) -> None:
        self.env = env
        self._read = names_read(env)
        self._kept: KeptEnv | None = None
        recipe = None if later is None else self._recipe(later)
        # How many envs there are, the first states show.
        num_envs = getattr(options.get("cache"), "num_envs", 0)
        num_envs = num_envs or _num_needed(options.get("envs"))
        self.recorder = Recorder(
            num_envs,
            fps=_fps(env),
            metadata={"env_id": type(getattr(env, "unwrapped", env)).__name__},
            recipe=recipe,
            **options,
        )
        self.begins: Mask = np.zeros(num_envs, np.bool_)
        self._has_info = options.get("info", True) is not False
        self._maker: RowMaker | None = None
        self._loop: Loop | None = None
        self._calls: tuple[Any, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "env" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.env, name)

    def _recipe(self, later: Later) -> Recipe:
        """Return how the environment comes into the process that renders."""
        if later.make_env is not None:
            return replace(recipe_of_function(later.make_env), kind=FUNCTIONAL)
        try:
            self._kept = KeptEnv(self.env)
        except Exception as error:
            raise UnsupportedEnvError(
                "record: expected an environment that can be pickled, for "
                f"render='later', got {self._env_name()}: {error!r:.300}. {WAYS_OUT}"
            ) from error
        return replace(recipe_of_function(self._kept), kind=FUNCTIONAL)

    def _env_name(self) -> str:
        return type(self.env).__name__

    def close(self) -> None:
        """Write the recording to its file."""
        self._finish(getattr(self.env, "close", lambda: None))

    # -- calls

    def reset(self, rng: Any = None, *, seed: Any = None) -> Any:
        """Return the first state of new episodes, and record it.

        Raises:
            UnsupportedEnvError: It is called as another library's, with a seed, or in a
                function that is being compiled.
        """
        self.check_open()
        if rng is None:
            raise _not_gymnasium(f"reset(seed={seed!r})")
        self._check_untraced("reset", rng)
        state = self._compiled()[0](rng)
        self.add([state])
        return state

    def step(self, state: Any, action: Any) -> Any:
        """Return the state that an action leads to, and record it."""
        self.check_open()
        self._check_untraced("step", (state, action))
        following = self._compiled()[1](state, action)
        if self._maker is not None:
            self._resume_begun(self._maker, state)
        self.add([following], [action], continues=True)
        return following

    def actor(self, policy: Any, seed: Any, deterministic: bool) -> Any:
        """Raise UnsupportedEnvError: what asks for it steps as Gymnasium does."""
        raise _not_gymnasium("calls as of Gymnasium's, of rv.collect or rv.evaluate")

    def _compiled(self) -> tuple[Any, Any]:
        if self._calls is None:
            self._calls = jax.jit(self.env.reset), jax.jit(self.env.step)
        return self._calls

    def _check_untraced(self, name: str, arguments: Any) -> None:
        """Raise UnsupportedEnvError in a function that is being compiled."""
        leaves = jax.tree_util.tree_leaves(arguments)
        if any(isinstance(one, jax.core.Tracer) for one in leaves):
            raise UnsupportedEnvError(
                f"record: expected {name}() with arrays, got it within jax.jit or "
                "scan, where nothing can be recorded. Use the environment's own there, "
                "and hand the states that come out to add()."
            )

    def _resume_begun(self, maker: RowMaker, state: Any) -> None:
        """Note that ended envs have begun anew, as a loop of one's own resets them.

        Args:
            maker: Knows which have ended.
            state: That is stepped: those that are not done in it have begun.
        """
        done = np.asarray(field(state, "done")).astype(np.bool_).reshape(-1)
        if done.shape == maker.has_ended.shape and (maker.has_ended & ~done).any():
            self._resume(maker, maker.has_ended & ~done)

    def _resume(self, maker: RowMaker, begun: Mask) -> None:
        """Go on in new episodes of some envs, whose first states were not recorded."""
        maker.has_ended = maker.has_ended & ~begun
        nothing = np.zeros(len(begun), np.int64)
        unknown = np.full(len(begun), np.nan)
        self.recorder.resume(begun, nothing, unknown, maker.infos(begun, None))

    # -- trajectories

    def add(
        self,
        states: Any,
        action: Any = None,
        *,
        initial: Any = None,
        continues: bool = False,
        autoreset: Autoreset | None = None,
        env_axis: int = 1,
    ) -> range:
        """Record states, as a loop of your own made them.

        Args:
            states: With an axis of time in front, as `jax.lax.scan` stacks them: (T,
                ...) of one env, (T, B, ...) of a batch. Or a list of T states.
            action: (T, ...) or (T, B, ...): that led to each state.
            initial: The state before the first, as `reset` returned it. None: `states`
                begin with it; where the first has a reward or an action, or ends an
                episode, it is a step already.
            continues: They follow the states of the last call, in the same episodes.
            autoreset: What follows an end: ``"same_step"``, the state that ends an
                episode is the first of the next, as an AutoResetWrapper has it, and the
                last picture is missing; ``"next_step"``, the state after it is;
                ``"disabled"``, nothing that is recorded. None: as Brax's and
                Playground's wrappers mark it, else disabled.
            env_axis: Of a batch: 1, or 0 for (B, T, ...), as `jax.vmap` of a scan
                returns it.

        Returns:
            The rows.

        Raises:
            ShapeError: The arrays have other shapes, or another number of envs than
                before; an env steps on after its end, and `autoreset` does not say what
                that is.
            UnsupportedEnvError: States have no reward or done.
            RenderError: `render` gives no picture of the first.
        """
        self.check_open()
        if autoreset not in (None, *_MODES):
            raise ValueError(
                f"add: expected autoreset to be one of {_MODES}, got {autoreset!r}."
            )
        trajectory = Trajectory(states, action, env_axis)
        before = [] if initial is None else [Trajectory([initial])]
        for one in before:
            _check_same(one, trajectory)
        is_first = not continues or self._maker is None
        mode: Autoreset = autoreset or (
            "same_step" if resets_itself(trajectory.newest) else "disabled"
        )
        if autoreset is None and mode == "disabled":
            has_ended = np.zeros(trajectory.num_envs, np.bool_)
            if not is_first and self._maker is not None:
                has_ended = self._maker.has_ended
            if len(has_ended) == trajectory.num_envs:  # others are refused below
                _check_ends(trajectory.ends(), has_ended)
        maker = self._maker_for(trajectory.num_envs, trajectory.newest)
        reader = self._reader()
        start = self.recorder.cache.num_rows
        for rows in itertools.chain(
            *(one.rows(reader) for one in [*before, trajectory])
        ):
            if is_first:
                maker.add(self._begun(maker, rows, is_reset=bool(before)), mode)
                is_first = False
            else:
                maker.add(rows, mode)
        return range(start, self.recorder.cache.num_rows)

    def _begun(self, maker: RowMaker, rows: StateRows, *, is_reset: bool) -> StateRows:
        """Return rows of which the first begins episodes."""
        everyone = np.ones(rows.num_envs, np.bool_)
        maker.has_ended = ~everyone
        is_step = rows.action is not None or rows.reward[0].any()
        is_step = is_step or (rows.terminated[0] | rows.truncated[0]).any()
        if is_reset or not is_step:
            begins = np.zeros_like(rows.terminated)
            begins[0] = True
            return rows._replace(begins=begins)
        self._resume(maker, everyone)
        return rows

    def _reader(self) -> StateReader:
        return StateReader(self._read, self.recorder.envs, self._has_info)

    def _maker_for(self, num_envs: int, state: Any) -> RowMaker:
        """Return what adds rows, of so many envs."""
        recorder = self.recorder
        if self._maker is None and recorder.renders_later:
            _check_size(state, self._read, num_envs, recorder.envs)
        if self._maker is None and num_envs != recorder.num_envs:
            if max(recorder.envs or [0]) >= num_envs:
                raise ShapeError(
                    f"record: expected envs to be numbers in 0..{num_envs - 1}, as the "
                    f"states are of {num_envs} envs, got {recorder.envs}."
                )
            recorder.widen(num_envs)
            self.begins = np.zeros(num_envs, np.bool_)
        if num_envs != recorder.num_envs:
            raise ShapeError(
                f"add: expected states of {recorder.num_envs} envs, as those before, "
                f"got {num_envs}. Record them into another cache."
            )
        if self._maker is None:
            self._maker = RowMaker(recorder, self.env)
            self._maker.template = template_of(state, self._read)
            if self._kept is not None:
                self._kept.template = self._maker.template
        return self._maker

    # -- rollouts

    def run_compiled(
        self,
        policy: Any,
        seed: Any,
        max_steps: int | None,
        after_row: Callable[[Mask], bool],
        bar: Any,
    ) -> bool:
        """Step it with a policy in compiled blocks; see `rollout`.

        Args:
            policy: Of `policy_of`.
            seed: Of the first reset: one, or one for each env.
            max_steps: Stop after so many.
            after_row: Called with the ends after each; returns whether to stop.
            bar: Updated with each.

        Returns:
            False where `max_steps` came first.
        """
        env = without_autoreset(self.env)
        functions = functions_of(env, seed)
        loop = self._loop = self._loop_of(policy, env, functions)
        first = loop.reset()
        if max_steps is None:
            _check_is_limited(loop.state, self._env_name())
        maker = self._maker_for(first.num_envs, loop.state)
        maker.has_ended = np.zeros(first.num_envs, np.bool_)
        maker.add(first, "next_step", seeds=functions.seeds)
        num_steps, is_cut = 0, False

        def count(ended: Mask) -> bool:
            nonlocal num_steps, is_cut
            num_steps += 1
            bar.update()
            is_over = after_row(ended)
            is_cut = not is_over and num_steps == max_steps
            return is_over or is_cut

        while not maker.add(loop.next_rows(), "next_step", after_row=count):
            pass
        return not is_cut

    def _loop_of(self, policy: Any, env: Any, functions: Functions) -> Loop:
        """Return a loop; the last one, where it is compiled for the same."""
        loop, reader = self._loop, self._reader()
        if loop is not None and loop.is_for(policy, functions, reader):
            loop.functions = functions
            return loop
        return Loop(functions, policy, env, reader)


def _not_gymnasium(call: str) -> UnsupportedEnvError:
    return UnsupportedEnvError(
        "record: expected reset(rng) and step(state, action) of a functional "
        f"environment, got {call}. Use rv.rollout(env, policy=..., "
        "seed=range(num_envs)), which steps many at once."
    )


def _num_needed(envs: Any) -> int:
    """Return how many envs there are at least, of the numbers of some."""
    try:
        return max(operator.index(env) for env in envs) + 1
    except (TypeError, ValueError):  # none, or refused by the recorder
        return 1


def _fps(env: Any) -> float | None:
    """Return steps a second; None: that is not known."""
    try:
        return 1 / float(env.dt)
    except Exception:  # of whatever object an environment is
        return None


def _check_same(initial: Trajectory, trajectory: Trajectory) -> None:
    if initial.num_envs != trajectory.num_envs:
        raise ShapeError(
            f"add: expected an initial state of {trajectory.num_envs} envs as states, "
            f"got {initial.num_envs}. Pass what reset returned."
        )


def _check_ends(ends: Mask, has_ended: Mask) -> None:
    """Raise ShapeError where an env is stepped on after its end."""
    before = np.logical_or.accumulate(np.vstack([has_ended, ends]))[:-1]
    envs = np.flatnonzero((before & ~ends).any(axis=0))
    if len(envs):
        raise ShapeError(
            f"add: expected states that say what follows an end, got env {envs[0]} "
            "without one after it had ended. Pass autoreset='same_step' if the state "
            "that ends an episode is the first of the next, 'next_step' if the state "
            "after it is, or 'disabled' to leave out what follows."
        )


def _check_size(
    state: Any, read: frozenset[str] | None, num_envs: int, drawn: list[int] | None
) -> None:
    """Raise UnsupportedEnvError where a few envs are drawn of too many to keep.

    A row's data is of all envs.
    """
    if drawn is None or 2 * len(drawn) > num_envs:
        return
    nbytes = num_envs * size_of_kept(state, read)
    if nbytes * CHUNK_ROWS > _MAX_BLOCK_BYTES:
        raise UnsupportedEnvError(
            "record: expected states of at most "
            f"{_MAX_BLOCK_BYTES // CHUNK_ROWS // num_envs} bytes each, for "
            f"render='later' of {len(drawn)} of {num_envs} envs, got "
            f"{nbytes // num_envs}. Pass render='now', or step fewer envs."
        )


def _check_is_limited(state: Any, name: str) -> None:
    """Raise ValueError where an episode may never end."""
    info = field(state, "info")
    if not (isinstance(info, Mapping) and "truncation" in info):
        raise ValueError(
            f"rollout: expected max_steps= for an environment without a time limit, "
            f"got none for {name}. Pass it, or wrap the environment in Brax's "
            "EpisodeWrapper."
        )
