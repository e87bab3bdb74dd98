"""PixelRenderTransform: where it renders, where TorchRL's fails, what is skipped."""

import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("torchrl", reason="needs the extra torchrl")

from torchrl.data import NonTensor
from torchrl.envs import (
    Compose,
    EnvCreator,
    GymEnv,
    GymWrapper,
    SerialEnv,
    StepCounter,
    TransformedEnv,
    check_env_specs,
)
from torchrl.record import PixelRenderTransform as Original
from torchrl.record import VideoRecorder as OriginalVideoRecorder

import rollout_viewer as rv
from rollout_viewer import PixelRenderTransform
from rollout_viewer.testing import CountingEnv
from tests.torchrl_envs import Views, forked

RGB = {"render_mode": "rgb_array"}


def counting_env(lengths=(5,), *, env=0, render_mode="rgb_array"):
    return GymWrapper(CountingEnv(lengths, env=env, render_mode=render_mode))


def cartpole():
    return GymEnv("CartPole-v1", **RGB)


def cartpole_that_renders():
    return cartpole().append_transform(PixelRenderTransform())


def steps_shown(pixels):
    """Return the (episode, step, env) that each picture of a rollout says."""
    return [CountingEnv.read(picture) for picture in pixels.numpy()]


# -- single environments


def test_pictures_are_those_of_the_original():
    pictures = []
    for transform in (Original(), PixelRenderTransform()):
        env = TransformedEnv(cartpole(), transform)
        env.set_seed(1)
        torch.manual_seed(1)
        rollout = env.rollout(20, break_when_any_done=False)
        pictures.append((rollout["pixels"], rollout["next", "pixels"]))

    assert torch.equal(pictures[0][0], pictures[1][0])
    assert torch.equal(pictures[0][1], pictures[1][1])


def test_it_is_the_originals_subclass_with_its_attributes():
    transform = PixelRenderTransform(["a"], None, True, "draw", False, mode="rgb_array")

    assert isinstance(transform, Original)
    assert transform.out_keys == ["a"]
    assert transform.as_non_tensor is True
    assert transform.render_method == "draw"
    assert transform.kwargs == {"mode": "rgb_array"}


def test_each_row_shows_its_own_step():
    env = TransformedEnv(counting_env([3]), PixelRenderTransform())
    check_env_specs(env)
    start = CountingEnv.read(env.reset()["pixels"].numpy())[0]

    rollout = env.rollout(4, break_when_any_done=False)

    first, second = start + 1, start + 2
    assert steps_shown(rollout["pixels"]) == [
        (first, 0, 0),
        (first, 1, 0),
        (first, 2, 0),
        (second, 0, 0),
    ]
    assert steps_shown(rollout["next", "pixels"])[2] == (first, 3, 0)


@pytest.mark.parametrize("mode", ["rgb_array", "rgb_array_list"])
def test_list_modes_show_the_newest_picture(mode):
    env = TransformedEnv(counting_env([9], render_mode=mode), PixelRenderTransform())

    check_env_specs(env)
    rollout = env.rollout(5)

    assert rollout["pixels"].shape == (5, 48, 64, 3)
    assert [step for _, step, _ in steps_shown(rollout["next", "pixels"])] == [
        *range(1, 6)
    ]


def test_the_original_cannot_do_list_modes():
    """In TorchRL 0.14 a list becomes pictures at the first call only."""
    env = TransformedEnv(
        counting_env([9], render_mode="rgb_array_list"), Original(["pixels"])
    )

    rollout = env.rollout(2)

    assert not isinstance(rollout.get(("next", "pixels")), torch.Tensor)


def test_recycled_memory_is_copied():
    env = TransformedEnv(Views(batch_size=()), PixelRenderTransform(mode="rgb_array"))

    rollout = env.rollout(4)

    seen = rollout["pixels"][:, 0, 0, 0].tolist()
    assert seen == sorted(set(seen))


def test_what_render_returned_is_given_to_preproc_as_it_came():
    given = []

    def preproc(rendered):
        given.append(type(rendered))
        return rendered

    env = TransformedEnv(SerialEnv(2, cartpole), PixelRenderTransform(preproc=preproc))

    env.reset()

    assert set(given) == {list}
    env.close()


def test_the_tensordict_is_passed_where_that_is_asked_for():
    class Stateless(Views):
        def draw(self, tensordict, value):
            assert "observation" in tensordict
            return np.full((8, 10, 3), value, np.uint8)

    env = TransformedEnv(
        Stateless(batch_size=()),
        PixelRenderTransform(
            "seen", render_method="draw", pass_tensordict=True, value=7
        ),
    )

    assert env.rollout(2)["seen"].unique().tolist() == [7]


def test_a_switched_off_transform_writes_nothing():
    env = TransformedEnv(counting_env(), PixelRenderTransform())
    env.reset()
    assert env.transform.enabled

    env.apply(lambda m: isinstance(m, PixelRenderTransform) and m.switch())
    is_there = env.rollout(2).get("pixels", None) is not None

    assert (env.transform.enabled, is_there) == (False, False)
    for mode, enabled in (("on", True), ("off", False), (True, True), (None, False)):
        env.transform.switch(mode)
        assert env.transform.enabled is enabled


# -- batched environments


def example(make_outer):
    """Run TorchRL's documented batched example; returns rollout and recorder."""
    env = make_outer().append_transform(PixelRenderTransform())
    recorder = OriginalVideoRecorder(logger=None, tag="pixels_record", skip=1)
    env = env.append_transform(recorder)
    env.rollout(3)
    check_env_specs(env)
    rollout = env.rollout(10)
    num_frames = len(env.transform[-1].obs)
    env.transform.dump()
    env.close()
    return rollout, num_frames


@pytest.mark.slow
@pytest.mark.parametrize("is_parallel", [False, True])
def test_the_outer_environment_renders_its_workers(is_parallel):
    def make_outer():
        if is_parallel:
            return forked(2, EnvCreator(cartpole))
        return SerialEnv(2, cartpole)

    rollout, num_frames = example(make_outer)

    num_steps = rollout.shape[1]
    assert rollout["pixels"].shape == (2, num_steps, 400, 600, 3)
    assert rollout["next", "pixels"].dtype is torch.uint8
    assert num_frames >= num_steps + 1


def test_the_original_fails_there():
    """In TorchRL 0.14 its first picture is a tensor, the others are not."""
    env = SerialEnv(2, cartpole)
    env.start()
    env = env.append_transform(Original())
    env = env.append_transform(OriginalVideoRecorder(logger=None, tag="a", skip=1))

    with pytest.raises(RuntimeError, match="Invalid observation shape"):
        env.rollout(3)

    env.close()


def test_workers_render_for_themselves():
    env = SerialEnv(2, cartpole_that_renders)
    env = env.append_transform(StepCounter())

    check_env_specs(env)

    assert env.rollout(4)["pixels"].shape == (2, 4, 400, 600, 3)
    env.close()


def test_list_modes_of_workers_show_the_newest_pictures():
    makers = [
        lambda env=env: counting_env([9], env=env, render_mode="rgb_array_list")
        for env in range(2)
    ]
    env = TransformedEnv(SerialEnv(2, makers), PixelRenderTransform())

    pixels = env.rollout(3)["next", "pixels"]

    assert [[read[1:] for read in steps_shown(one)] for one in pixels] == [
        [(1, 0), (2, 0), (3, 0)],
        [(1, 1), (2, 1), (3, 1)],
    ]
    env.close()


def test_an_environment_that_was_not_started_is():
    """TorchRL 0.14 recurses without end."""
    env = SerialEnv(2, cartpole)
    assert env.is_closed

    TransformedEnv(env, Compose(StepCounter(), PixelRenderTransform()))

    assert not env.is_closed
    env.close()
    with pytest.raises(RecursionError):
        TransformedEnv(SerialEnv(2, cartpole), Original())


def test_one_picture_of_all_envs_is_non_tensor_data():
    env = TransformedEnv(Views(), PixelRenderTransform(mode="rgb_array"))

    check_env_specs(env)
    spec = env.observation_spec["pixels"]
    rollout = env.rollout(3)

    assert isinstance(spec, NonTensor)
    assert env.transform.as_non_tensor is True
    assert not isinstance(rollout.get("pixels"), torch.Tensor)


def test_two_batch_dimensions_are_kept():
    class Grid(Views):
        def render(self, mode=None):
            return np.zeros((2, 3, 8, 10, 3), np.uint8)

    env = TransformedEnv(Grid(batch_size=(2, 3)), PixelRenderTransform())

    check_env_specs(env)
    assert env.rollout(4)["pixels"].shape == (2, 3, 4, 8, 10, 3)


# -- skipping


def renders_and_frames(skip, recorder_skip, num_steps=20):
    base = CountingEnv([99])
    recorder = OriginalVideoRecorder(logger=None, tag="a", skip=recorder_skip)
    env = TransformedEnv(
        GymWrapper(base), Compose(PixelRenderTransform(skip=skip), recorder)
    )
    env.observation_spec  # renders once
    before = base.num_renders
    env.rollout(num_steps)
    shown = [
        CountingEnv.read(frame.permute(1, 2, 0).numpy())[1] for frame in recorder.obs
    ]
    return base.num_renders - before, shown


def test_every_step_is_rendered_unless_asked_otherwise():
    num_renders, shown = renders_and_frames(1, 10)

    assert (num_renders, shown) == (21, [9, 19])


@pytest.mark.parametrize("skip", [10, "auto"])
def test_skip_renders_what_the_recorder_behind_keeps(skip):
    num_renders, shown = renders_and_frames(skip, 10)

    assert shown == [9, 19]
    # the first, since there has to be a picture
    assert num_renders == 3


def test_skipped_steps_show_the_picture_before():
    env = TransformedEnv(counting_env([99]), PixelRenderTransform(skip=3))

    rollout = env.rollout(6)

    steps = [step for _, step, _ in steps_shown(rollout["next", "pixels"])]
    assert steps == [0, 2, 2, 2, 5, 5]


def test_counting_begins_anew_with_each_dump():
    recorder = OriginalVideoRecorder(logger=None, tag="a", skip=4)
    env = TransformedEnv(
        counting_env([99]), Compose(PixelRenderTransform(skip=4), recorder)
    )
    env.rollout(5)  # six calls
    env.transform.dump()

    env.rollout(5)

    (frame,) = recorder.obs
    assert CountingEnv.read(frame.permute(1, 2, 0).numpy())[1] == 3


def test_auto_without_a_recorder_renders_everything():
    env = TransformedEnv(counting_env([99]), PixelRenderTransform(skip="auto"))

    steps = [s for _, s, _ in steps_shown(env.rollout(3)["next", "pixels"])]

    assert steps == [1, 2, 3]


# -- what is refused


@pytest.mark.parametrize("skip", [0, -1, 1.5, True, "often", None])
def test_a_wrong_skip_is_refused(skip):
    with pytest.raises(ValueError, match="expected skip to be 1 or more, or 'auto'"):
        PixelRenderTransform(skip=skip)


@pytest.mark.parametrize(
    "arguments",
    [
        {"preproc": 3},
        {"as_non_tensor": "yes"},
        {"render_method": 3},
        {"pass_tensordict": None},
    ],
)
def test_arguments_of_other_types_are_refused(arguments):
    with pytest.raises(TypeError, match=f"unexpected {next(iter(arguments))}="):
        PixelRenderTransform(**arguments)


@pytest.mark.parametrize("make", [Original, PixelRenderTransform])
def test_refusals_are_those_of_the_original(make):
    with pytest.raises(RuntimeError, match="Expected one and only one out_key"):
        make(out_keys=["a", "b"])
    with pytest.raises(ValueError, match="mode must be either 'on' or 'off'"):
        make().switch("sometimes")
    with pytest.raises(ValueError, match="render method must exist and be a callable"):
        TransformedEnv(Views(), make(render_method="batch_size"))


def test_an_environment_that_renders_nothing_is_told_of():
    env = TransformedEnv(GymEnv("CartPole-v1"), PixelRenderTransform())

    with warnings.catch_warnings():
        # gymnasium warns of the missing render_mode
        warnings.simplefilter("ignore")
        with pytest.raises(rv.FrameError, match="got None. Make the environment"):
            env.reset()


@pytest.mark.parametrize("make", [Original, PixelRenderTransform])
def test_a_picture_that_does_not_fit_the_batch_names_its_shape(make):
    env = TransformedEnv(Views(), make(as_non_tensor=False, mode="rgb_array"))

    with pytest.raises(RuntimeError, match=r"shape=\(8, 10, 3\).*as_non_tensor=True"):
        env.reset()


def test_a_clone_goes_to_another_environment():
    env = TransformedEnv(counting_env([9], env=1), PixelRenderTransform())
    env.rollout(2)

    other = TransformedEnv(counting_env([9], env=2), env.transform.clone())

    assert steps_shown(other.rollout(1)["pixels"])[0][2] == 2
    with pytest.raises(AttributeError, match="parent of transform"):
        TransformedEnv(counting_env(), env.transform)
