"""Tasks of dm_control, through TorchRL, rendered later."""

import numpy as np
import pytest

import rollout_viewer as rv

pytest.importorskip("dm_control", reason="its suite of tasks")
torchrl = pytest.importorskip("torchrl", reason="what makes an environment of them")

STEPS = 5


def make(domain="cartpole", task="swingup", steps=STEPS, **options):
    from torchrl.envs import DMControlEnv, StepCounter, TransformedEnv

    return TransformedEnv(DMControlEnv(domain, task, **options), StepCounter(steps))


def play(env, num_episodes=3, **options):
    """Return the recording of a few episodes of random actions."""
    import torch

    recorded = rv.record(env, **options)
    recorded.set_seed(3)
    torch.manual_seed(0)
    recorded.rollout(num_episodes * (STEPS + 1) - 4, break_when_any_done=False)
    return recorded.cache


@pytest.mark.parametrize(
    ("domain", "task", "options"),
    [
        ("cartpole", "swingup", {"time_limit": 0.04}),
        ("reacher", "easy", {"frame_skip": 2}),  # moves a target of the model
        ("cheetah", "run", {}),  # its first state needs 200 steps
    ],
    ids=str,
)
def test_pictures_are_those_of_rendering_at_once(domain, task, options):
    pixels = {"from_pixels": True, "pixels_only": False}
    now = play(make(domain, task, **options, **pixels))
    later = play(make(domain, task, **options), render="later")
    assert len(now.episodes) > 2

    # The newest episode first: in a process that has seen no other.
    last = later.episodes[-1]
    later.render(range(last.start, last.stop), progress=False)
    assert later.render(progress=False) == now.num_rows - (last.stop - last.start)

    assert later.num_rows == now.num_rows
    for row in range(now.num_rows):
        np.testing.assert_array_equal(later[row, 0], now[row, 0])


def test_a_file_is_rendered_by_any_camera(tmp_path):
    path = tmp_path / "a.rollout"
    cache = play(make(), render="later", cache=path)
    cache.close()
    episode = cache.episodes[1]
    rows = range(episode.start, episode.stop)

    with rv.open(path, render=True) as opened:
        opened.render(rows, camera="lookatcart", width=64, height=48, progress=False)
        assert opened.frames(rows, camera="lookatcart").shape[2:] == (48, 64, 3)


def test_an_environment_that_was_made_elsewhere_needs_a_function():
    from dm_control import suite
    from torchrl.envs import DMControlWrapper

    def make_env():
        return suite.load("pendulum", "swingup")

    with pytest.raises(rv.UnsupportedEnvError, match="made elsewhere"):
        rv.record(DMControlWrapper(make_env()), render="later")
    env = rv.record(DMControlWrapper(make_env()), render="later", make_env=make_env)
    env.rollout(5)

    assert env.cache.render(progress=False) == 6


def test_arguments_and_generators_that_cannot_be_kept_are_refused():
    from dm_control import suite
    from torchrl.envs import DMControlWrapper

    own = suite.load("pendulum", "swingup")
    own.task._random = np.random.default_rng(0)
    with pytest.raises(rv.UnsupportedEnvError, match="a RandomState"):
        rv.record(DMControlWrapper(own), render="later", make_env=lambda: own)


def test_a_physics_that_changed_between_steps_gives_no_picture():
    import torch

    env = rv.record(make(), render="later")
    env.set_seed(3)
    torch.manual_seed(0)
    data = env.reset()
    for step in range(8):
        if step == 4:
            env.base_env.physics.data.qpos[1] += 0.5
        _, data = env.step_and_maybe_reset(env.rand_action(data))

    with pytest.warns(rv.RolloutViewerWarning, match="from row 5 on"):
        env.cache.render(progress=False)
    assert env.cache.has_picture(4, 0)
    assert not env.cache.has_picture(5, 0)
