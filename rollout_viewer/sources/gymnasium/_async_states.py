"""The states of some environments of an `AsyncVectorEnv`, before their resets.

`get_attr` asks all of its processes, each time that one env ends. Knows how Gymnasium
asks one.

Source: gymnasium 1.1 to 1.4, vector/async_vector_env.py, `call_async` and `call_wait`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gymnasium.vector import AsyncVectorEnv
from gymnasium.vector.async_vector_env import AsyncState

from rollout_viewer._replay.env_state import generator_state
from rollout_viewer.sources._later_envs import reset_states

if TYPE_CHECKING:
    from collections.abc import Sequence


def async_states(env: Any, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return what `reset_states` does, asking only those envs if that is possible."""
    pipes = getattr(env, "parent_pipes", None)
    if (
        type(env) is not AsyncVectorEnv
        or getattr(env, "_state", None) is not AsyncState.DEFAULT
        or not isinstance(pipes, (list, tuple))
    ):
        return reset_states(env, numbers)
    asked = [pipes[number] for number in numbers]
    # Interrupted, it says that a call is pending: an answer is still to come.
    env._state = AsyncState.WAITING_CALL
    for pipe in asked:
        pipe.send(("_call", ("np_random", (), {})))
    answers = [pipe.recv() for pipe in asked]
    if not all(is_success for _, is_success in answers):
        succeeded = dict(zip(numbers, (one for _, one in answers), strict=True))
        env._raise_if_errors([succeeded.get(n, True) for n in range(env.num_envs)])
    env._state = AsyncState.DEFAULT
    return {
        number: generator_state(generator)
        for number, (generator, _) in zip(numbers, answers, strict=True)
    }
