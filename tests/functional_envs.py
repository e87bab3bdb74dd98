"""Small functional JAX environments, whose pictures say which state they are of."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

HEIGHT, WIDTH = 16, 24


class State(NamedTuple):
    place: jax.Array  # (2,): a random start, and how far it went
    steps: jax.Array  # since the reset
    key: jax.Array
    obs: jax.Array
    reward: jax.Array
    done: jax.Array
    metrics: dict[str, jax.Array]
    info: dict[str, Any]


class Walk:
    """Goes where actions lead; an episode is of `length` steps, or up to the edge.

    Args:
        length: Truncates; 0: never.
        edge: Terminates.
    """

    dt = 0.05
    action_size = 1

    def __init__(self, length=0, edge=1e9):
        self.length, self.edge = length, edge

    def reset(self, rng):
        start = jax.random.uniform(rng, (), minval=0.1, maxval=0.9)
        place = jnp.stack([start, jnp.zeros(())])
        return self._state(place, jnp.zeros((), jnp.int32), rng, jnp.zeros(()))

    def step(self, state, action):
        place = state.place.at[1].add(action[0])
        return self._state(place, state.steps + 1, state.key, 1.0 + action[0])

    def _state(self, place, count, key, reward):
        over = (jnp.abs(place[1]) >= self.edge).astype(jnp.float32)
        late = (count >= self.length).astype(jnp.float32) if self.length else 0.0 * over
        info = {"truncation": late * (1 - over), "count": count}
        metrics = {"distance": jnp.abs(place[1])}
        done = jnp.maximum(over, late)
        return State(place, count, key, place * 2, reward, done, metrics, info)

    def render(self, states, height=HEIGHT, width=WIDTH, camera=None):
        pictures = []
        for state in states:
            picture = np.zeros((height, width, 3), np.uint8)
            picture[..., 0] = int(state.steps) % 256
            picture[..., 1] = int(float(state.place[0]) * 255)
            picture[..., 2] = int(abs(float(state.place[1])) * 10) % 256
            if camera == "dark":
                picture //= 2
            pictures.append(picture)
        return pictures


class Batched:
    """Many envs as one, as Brax's `VmapWrapper`."""

    def __init__(self, env, batch_size=None):
        self.env, self.batch_size = env, batch_size

    def __getattr__(self, name):
        if name == "env" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.env, name)

    def reset(self, rng):
        if self.batch_size is not None:
            rng = jax.random.split(rng, self.batch_size)
        return jax.vmap(self.env.reset)(rng)

    def step(self, state, action):
        return jax.vmap(self.env.step)(state, action)


def picture(start, count, far=0.0, *, env=None):
    """Return the picture of a state."""
    one = State(np.array([start, far]), count, None, None, 0.0, 0.0, {}, {})
    return (env or Walk()).render([one])[0]


def scanned(env, state, actions):
    """Return the states that actions (T, ...) lead to, stacked."""

    def step(state, action):
        state = env.step(state, action)
        return state, state

    return jax.jit(lambda s, a: jax.lax.scan(step, s, a)[1])(state, actions)
