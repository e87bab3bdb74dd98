"""TorchRL's JAX environments, recorded by VideoRecorder beside their rewards.

TorchRL renders neither by itself here: Brax not at all, and Jumanji with torchvision,
which does not import beside the CPU build of torch. So a transform in front of the
recorder draws them, as a script would: Brax's own renderer, and Jumanji's grid.
"""

import warnings

import numpy as np
import pytest
import torch

import rollout_viewer as rv

pytest.importorskip("torchrl", reason="the extra torchrl is not installed")
from torchrl.data import Unbounded
from torchrl.envs import Compose, Transform, TransformedEnv

pytestmark = [
    # In a process of its own: nobody may fork where JAX was imported.
    pytest.mark.jax,
    # What the libraries say of themselves and of each other.
    pytest.mark.filterwarnings("ignore"),
]

HEIGHT, WIDTH = 48, 64


class Drawn(Transform):
    """Writes ``"pixels"``: a uint8 picture of each env, drawn from the tensordict."""

    def __init__(self, draw, shape):
        super().__init__(in_keys=[], out_keys=["pixels"])
        self.draw = draw
        self.shape = shape
        self.drawn = []

    def _call(self, next_tensordict):
        frames = self.draw(next_tensordict)
        self.drawn.append(frames)
        return next_tensordict.set("pixels", torch.from_numpy(frames))

    def _reset(self, tensordict, tensordict_reset):
        return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec):
        shape = (*self.parent.batch_size, *self.shape)
        observation_spec["pixels"] = Unbounded(shape, dtype=torch.uint8)
        return observation_spec


def quietly_imported(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason="brax and jumanji are not installed")


def recorded(base, drawing, num_steps):
    recorder = rv.VideoRecorder(None, "jax", skip=1)
    env = TransformedEnv(base, Compose(drawing, recorder))
    env.set_seed(0)
    torch.manual_seed(0)  # the actions
    rollout = env.rollout(num_steps, break_when_any_done=False)
    return recorder.cache, rollout


def test_brax_is_recorded_as_its_own_renderer_draws_it():
    image = quietly_imported("brax.io.image")
    import jax
    from torchrl.envs.libs.brax import BraxEnv
    from torchrl.envs.libs.jax_utils import _tensordict_to_object

    base = BraxEnv("inverted_pendulum", batch_size=[2])

    def draw(tensordict):
        one = jax.tree_util.tree_map(
            lambda x: x[0] if getattr(x, "ndim", 0) else x, base._state_example
        )
        states = [_tensordict_to_object(td["state"], one) for td in tensordict]
        system = base._env.unwrapped.sys
        return np.stack(
            [
                image.render_array(system, state.pipeline_state, HEIGHT, WIDTH)
                for state in states
            ]
        )

    drawing = Drawn(draw, (HEIGHT, WIDTH, 3))
    cache, rollout = recorded(base, drawing, 12)

    kind = cache.scalars["kind"]
    for env in range(2):
        is_step = kind[:, env] == "step"
        done = rollout["next", "done"][env, :, 0].numpy()
        assert cache.scalars["terminated"][is_step, env].tolist() == done.tolist()
        rewards = rollout["next", "reward"][env, :, 0].numpy()
        np.testing.assert_array_equal(cache.scalars["reward"][is_step, env], rewards)
    assert cache.num_rows == len(drawing.drawn)
    for row, env in np.argwhere(kind != "idle"):
        assert (cache[row, env] == drawing.drawn[row][env]).all()
    assert not (cache[0] == cache[3]).all()


def test_jumanji_is_recorded_with_its_rewards_and_ends():
    quietly_imported("jumanji")
    from torchrl.envs.libs.jumanji import JumanjiEnv

    def draw(tensordict):
        grid = tensordict["grid"].numpy()
        colours = (255 * grid[..., [0, 3, 4]].clip(0, 1)).astype(np.uint8)
        return colours.repeat(4, 0).repeat(4, 1)

    drawing = Drawn(draw, (HEIGHT, HEIGHT, 3))
    cache, rollout = recorded(JumanjiEnv("Snake-v1"), drawing, 40)

    done = rollout["next", "done"][:, 0].numpy()
    assert done.any()
    ended = cache.scalars["terminated"][:, 0] | cache.scalars["truncated"][:, 0]
    assert ended.sum() == done.sum()
    assert len(cache.episodes) == done.sum() + (not done[-1])
    is_step = cache.scalars["kind"][:, 0] == "step"
    rewards = rollout["next", "reward"][:, 0].numpy()
    np.testing.assert_array_equal(cache.scalars["reward"][is_step, 0], rewards)


def test_what_torchrl_cannot_render_is_refused_with_the_way():
    quietly_imported("brax.io.image")
    from torchrl.envs.libs.brax import BraxEnv

    with pytest.raises(rv.RenderError, match=r"needs trajectory.*'pixels'"):
        rv.rollout(BraxEnv("inverted_pendulum", batch_size=[2]), max_steps=2)


def test_jumanji_is_drawn_by_torchrl_or_refused_with_the_way():
    quietly_imported("jumanji")
    from torchrl.envs.libs.jumanji import JumanjiEnv, _has_torchvision

    env = JumanjiEnv("Snake-v1", batch_size=[2])

    if _has_torchvision:
        cache = rv.rollout(env, max_steps=2, seed=0)
        assert cache.pictured_envs == (0, 1)
    else:
        with pytest.raises(rv.RenderError, match=r"torchvision.*'pixels'"):
            rv.rollout(env, max_steps=2, seed=0)
