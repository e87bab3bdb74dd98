"""The usual loop over a functional environment and a policy, as one compiled function.

Envs that ended begin anew in the step after, so that the last state of an episode is
there. Knows functions of states. Knows no recorder.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import inspect
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from rollout_viewer._errors import ShapeError, UnsupportedEnvError
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer._replay.kept_states import field, named_leaves
from rollout_viewer.sources.functional._states import on_host, rewards_and_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_viewer.sources.functional._states import StateReader, StateRows

# Steps of one call: its rows come at once, and a viewer shows them.
BLOCK_STEPS = 32


class Functions(NamedTuple):
    """An environment's functions, for the envs that are stepped.

    Attributes:
        reset: Of `keys`.
        step: Of a state and an action.
        split: Returns keys for `reset`, of one key.
        keys: Of the first reset.
        seeds: Env -> the seed that its key is of, as far as each has its own.
        num_envs: B.
        env_axis: 0, or None: there is one env, without an axis.
    """

    reset: Callable[[Any], Any]
    step: Callable[[Any, Any], Any]
    split: Callable[[Any], Any]
    keys: Any
    seeds: dict[int, int]
    num_envs: int
    env_axis: int | None


def without_autoreset(env: Any) -> Any:
    """Return an environment without a wrapper that replaces an episode's last state.

    Source: brax 0.14.2 and playground 0.2.0, `AutoResetWrapper`.
    """
    within = getattr(env, "__dict__", {}).get("env")
    if within is None:
        return env
    if any(kind.__name__.endswith("AutoResetWrapper") for kind in type(env).__mro__):
        return without_autoreset(within)
    inner = without_autoreset(within)
    if inner is within:
        return env
    outer = copy.copy(env)
    outer.env = inner
    return outer


def functions_of(env: Any, seed: Any) -> Functions:
    """Return an environment's functions: of one env, or a batch.

    Args:
        env: Without autoreset.
        seed: A number, or one for each env; None: any.

    Raises:
        ShapeError: The environment takes a key for each env, and got one.
    """
    if isinstance(seed, (list, tuple, range)) or np.ndim(seed) == 1:
        return _functions_of_many(env, [_seed(one) for one in seed])
    number = _seed(seed)
    key = jax.random.PRNGKey(number)
    try:
        shape = _shape_of(env, key)
    except (UnsupportedEnvError, ShapeError):
        raise
    except Exception as error:
        if _takes_keys(env):
            raise ShapeError(
                "rollout: expected a list of seeds for an environment that takes a key "
                f"for each env, got seed={seed!r}. Pass seed=[0, 1, ...], or "
                "range(num_envs)."
            ) from error
        raise
    count, axis = (shape[0], 0) if shape else (1, None)
    seeds = {0: number} if count == 1 else {}
    return Functions(env.reset, env.step, lambda one: one, key, seeds, count, axis)


def _functions_of_many(env: Any, seeds: list[int]) -> Functions:
    if not seeds:
        raise ValueError("rollout: expected a seed for each env, got none.")
    keys, num_envs = _keys(seeds), len(seeds)
    known = dict(enumerate(seeds))

    def split(key: Any) -> Any:
        return jax.random.split(key, num_envs)

    try:
        is_batched = _shape_of(env, keys) == (num_envs,)
    except Exception:  # one env takes one key
        is_batched = False
    if is_batched:
        return Functions(env.reset, env.step, split, keys, known, num_envs, 0)
    shape = _shape_of(env, keys[0])
    if shape:
        raise ShapeError(
            f"rollout: expected one seed for an environment that is a batch of "
            f"{shape[0]} envs by itself, got {num_envs}. Pass a number."
        )
    reset, step = jax.vmap(env.reset), jax.vmap(env.step)
    return Functions(reset, step, split, keys, known, num_envs, 0)


def _keys(seeds: list[int]) -> Any:
    """Return `jax.random.PRNGKey` of each: one by one takes seconds for thousands."""
    if all(0 <= one < 1 << 32 for one in seeds):
        return jax.vmap(jax.random.PRNGKey)(jax.numpy.array(seeds, jax.numpy.uint32))
    return jax.numpy.stack([jax.random.PRNGKey(one) for one in seeds])


def _seed(seed: Any) -> int:
    return secrets.randbits(31) if seed is None else int(seed)


def _shape_of(env: Any, keys: Any) -> tuple[int, ...]:
    """Return the shape of the rewards after a reset."""
    state = jax.eval_shape(env.reset, keys)
    reward, _ = rewards_and_ends(state)
    shape: tuple[int, ...] = reward.shape
    if len(shape) > 1:
        raise ShapeError(
            f"record: expected rewards of shape () or (B,), got {shape}. Return one "
            "for each env."
        )
    return shape


def _takes_keys(env: Any) -> bool:
    try:
        keys = jax.random.split(jax.random.PRNGKey(0), 3)
        return _shape_of(env, keys) == (3,)
    except Exception:
        return False


class Loop:
    """A policy and an environment, step by step or many steps in one call.

    Args:
        functions: Of the environment.
        policy: Of `policy_of`.
        env: It.
        reader: Says what of a state is recorded.

    Attributes:
        is_compiled: The policy is part of the compiled function; else it is called
            between the steps.
    """

    def __init__(
        self, functions: Functions, policy: Any, env: Any, reader: StateReader
    ) -> None:
        self.functions = functions
        self._given, self._reader = policy, reader
        self._policy = policy_of(policy, env, functions)
        self.is_compiled = False
        self._carry: Any = None
        self._first_action: Any = None
        # What the policy computes, of what: its parameters may change.
        self._computed, self._computed_of = "", ()
        self._begin = jax.jit(functions.reset)
        self._advance = jax.jit(self._step)
        self._block = jax.jit(self._steps)

    def is_for(self, policy: Any, functions: Functions, reader: StateReader) -> bool:
        """Whether it is compiled for a policy, and as many envs."""
        known, wanted = self.functions, functions
        return (
            policy is self._given
            and not (self.is_compiled and self._computed != self._text_of_policy())
            and reader == self._reader
            and np.shape(known.keys) == np.shape(wanted.keys)
            and (known.num_envs, known.env_axis) == (wanted.num_envs, wanted.env_axis)
        )

    def reset(self) -> StateRows:
        """Begin; return the first row.

        Raises:
            UnsupportedEnvError: The policy keeps what is there only as it is compiled.
        """
        with _without_leaks():
            return self._reset()

    def _reset(self) -> StateRows:
        functions = self.functions
        state = self._begin(functions.keys)
        shape = np.shape(field(state, "reward"))
        keys = functions.keys
        is_many = keys.ndim > jax.random.PRNGKey(0).ndim
        key = jax.random.fold_in(keys[0] if is_many else keys, 1)
        ended = jax.numpy.zeros(shape, bool)
        self._carry = state, key, ended
        self._first_action = None
        self.is_compiled = self._is_traceable(field(state, "obs"), key)
        state = self._settled(state, key)
        self._carry = state, *self._carry[1:]
        if self.is_compiled and not self._computed:
            self._computed_of = jax.eval_shape(lambda *a: a, field(state, "obs"), key)
            self._computed = self._text_of_policy()
        taken = self._reader.take(state, functions.env_axis)
        taken["begins"] = jax.numpy.ones_like(ended)
        return on_host(taken, functions.env_axis, ended.ndim)

    def _settled(self, state: Any, key: Any) -> Any:
        """Return a first state with dtypes that hold what every step returns."""
        while True:
            if self.is_compiled:
                action = jax.eval_shape(self._policy, field(state, "obs"), key)
            else:
                if self._first_action is None:
                    self._first_action = self._next_action(state)
                action = self._first_action
            # A copy of it, as step may change its dicts.
            stepped = jax.eval_shape(
                lambda s, a: self.functions.step(s, a), _copied(state), action
            )
            _check_form(state, stepped)
            wide = jax.tree_util.tree_map(_promoted, state, stepped)
            if all(
                one.dtype == other.dtype
                for one, other in zip(
                    jax.tree_util.tree_leaves(wide),
                    jax.tree_util.tree_leaves(state),
                    strict=True,
                )
            ):
                return state
            state = wide

    def _text_of_policy(self) -> str:
        """Return a hash of what the policy computes, constants and all."""
        try:
            lowered = jax.jit(lambda obs, key: self._policy(obs, key)).lower(
                *self._computed_of
            )
            text = lowered.as_text()
        except Exception:  # raised again where it is compiled
            return ""
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def state(self) -> Any:
        """The newest."""
        return self._carry[0]

    def next_rows(self) -> StateRows:
        """Return the rows of the next steps."""
        axis = self.functions.env_axis
        if self.is_compiled:
            with _without_leaks():
                self._carry, taken = self._block(self._carry)
            return on_host(taken, None if axis is None else 1, 1 if axis is None else 2)
        action, self._first_action = self._first_action, None
        if action is None:
            action = self._next_action(self.state)
        self._carry, taken = self._advance(self._carry, action)
        return on_host(taken, axis, 0 if axis is None else 1)

    def _next_action(self, state: Any) -> Any:
        """Return the action of a policy that is called between the steps."""
        key, chosen = jax.random.split(self._carry[1])
        self._carry = self._carry[0], key, self._carry[2]
        obs = jax.tree_util.tree_map(np.asarray, field(state, "obs"))
        action = jax.numpy.asarray(as_numpy(self._policy(obs, chosen)))
        self._check(action)
        return action

    def _check(self, action: Any) -> None:
        """Raise ShapeError where an action is not of all envs."""
        shape = self._carry[2].shape
        if np.shape(action)[: len(shape)] != shape:
            raise ShapeError(
                f"rollout: expected policy to return an action for each of {shape[0]} "
                f"envs, got shape {np.shape(action)}. Its observation is a batch."
            )

    def _is_traceable(self, obs: Any, key: Any) -> bool:
        """Whether a policy is a function that JAX compiles, of its observation."""
        found: list[bool] = []

        def choose(obs: Any, key: Any) -> Any:
            action = self._policy(obs, key)
            leaves = jax.tree_util.tree_leaves(action)
            found.append(all(isinstance(one, jax.core.Tracer) for one in leaves))
            if found[0]:
                self._check(action)
            return action

        try:
            jax.eval_shape(choose, obs, key)
        except ShapeError:
            raise
        except Exception:  # called as it is, it raises what there is to know
            return False
        return found == [True]

    def _steps(self, carry: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            state, key, ended = carry
            key, chosen = jax.random.split(key)
            action = self._policy(field(state, "obs"), chosen)
            return self._step((state, key, ended), action)

        return jax.lax.scan(step, carry, None, BLOCK_STEPS)

    def _step(self, carry: Any, action: Any) -> Any:
        """Return what comes next, and what is recorded of it."""
        state, key, ended = carry
        key, fresh = jax.random.split(key)
        functions = self.functions
        # As it is now: step may change its dicts.
        before = _copied(state)
        stepped = functions.step(state, action)
        _check_form(before, stepped)
        stepped = _like(stepped, before)

        def begun() -> Any:
            first = functions.reset(functions.split(fresh))
            return _chosen(ended, _like(first, before), stepped)

        following = jax.lax.cond(ended.any(), begun, lambda: stepped)
        taken = self._reader.take(following, functions.env_axis)
        taken |= {"action": action, "begins": ended}
        done = field(following, "done").astype(bool) & ~ended
        return (following, key, done), taken


@contextlib.contextmanager
def _without_leaks() -> Iterator[None]:
    """Raise UnsupportedEnvError where a policy keeps what is only compiled."""
    try:
        yield
    except jax.errors.UnexpectedTracerError as error:
        raise UnsupportedEnvError(
            "rollout: expected a policy that keeps nothing between its calls, got one "
            "that keeps an array in Python state as it is compiled. Make it a function "
            "of its observation and key, or have it return NumPy's arrays: it is then "
            "called for each step."
        ) from error


def _chosen(mask: Any, first: Any, second: Any) -> Any:
    """Return `first` of the envs in a mask, and `second` of the others."""

    def one(a: Any, b: Any) -> Any:
        if not mask.ndim or (b.ndim and b.shape[0] == len(mask)):
            wide = mask.reshape(mask.shape + (1,) * (b.ndim - mask.ndim))
            return jax.numpy.where(wide, a, b)
        return b

    return jax.tree_util.tree_map(one, first, second)


def _check_form(before: Any, after: Any) -> None:
    """Raise UnsupportedEnvError where a state is of another form than the one before.

    No loop of JAX's can step such an environment.
    """
    forms = [
        {name: np.shape(one) for name, one in named_leaves(state).items()}
        for state in (before, after)
    ]
    if forms[0] != forms[1]:
        names = {k for k, _ in set(forms[0].items()) ^ set(forms[1].items())}
        raise UnsupportedEnvError(
            "rollout: expected reset and step to return states of one form, as "
            f"jax.lax.scan needs, got others in {', '.join(sorted(names)):.300}. Have "
            "reset return all that step does."
        )


def _copied(state: Any) -> Any:
    return jax.tree_util.tree_map(lambda one: one, state)


def _promoted(first: Any, stepped: Any) -> Any:
    """Return an array with a dtype that holds what a step returns in its place."""
    array = jax.numpy.asarray(first)
    if jax.numpy.issubdtype(array.dtype, jax.dtypes.extended):
        return array
    return array.astype(jax.numpy.promote_types(array.dtype, stepped.dtype))


def _like(state: Any, before: Any) -> Any:
    """Return a state with the dtypes of the one before."""
    return jax.tree_util.tree_map(
        lambda new, old: jax.numpy.asarray(new).astype(jax.numpy.asarray(old).dtype),
        state,
        before,
    )


def policy_of(policy: Any, env: Any, functions: Functions) -> Any:
    """Return a policy as a function of observation and key.

    Args:
        policy: Of observation, or of that and a key; returns an action, or with a key
            (action, more), as Brax's. None: random actions between -1 and 1.
        env: Has `action_size`.
        functions: Of `env`.

    Raises:
        ValueError: It is none.
    """
    if policy is None:
        size = getattr(env, "action_size", None)
        if size is None:
            raise ValueError(
                "rollout: expected a policy for an environment without action_size, "
                "got None. Pass policy=, a function of an observation."
            )
        axes = () if functions.env_axis is None else (functions.num_envs,)
        shape = (*axes, int(size))
        return lambda obs, key: jax.random.uniform(key, shape, minval=-1, maxval=1)
    if not callable(policy):
        raise ValueError(
            f"rollout: expected policy to be callable, got {type(policy).__name__}. "
            "Pass a function of observation and key, as Brax's inference functions."
        )
    if _takes_key(policy):
        return lambda obs, key: _action_of(policy(obs, key))
    return lambda obs, key: _action_of(policy(obs), is_certain=False)


def _takes_key(policy: Any) -> bool:
    try:
        parameters = inspect.signature(policy).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [
        one
        for one in parameters
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        and one.default is one.empty
    ]
    return len(positional) == 2


def _action_of(result: Any, *, is_certain: bool = True) -> Any:
    """Return the action of (action, extras), which may be two parts of an action."""
    is_pair = type(result) is tuple and len(result) == 2
    is_pair = is_pair and (is_certain or isinstance(result[1], Mapping))
    return result[0] if is_pair else result
