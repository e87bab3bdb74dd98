"""rv.record, rv.rollout and rollout_callback with TorchRL's environments."""

import functools
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("torchrl", reason="needs the extra torchrl")

from tensordict import TensorDict
from tensordict.nn import ProbabilisticTensorDictModule, TensorDictModule
from tensordict.nn import TensorDictSequential as Sequence
from torch import nn
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import (
    Compose,
    EnvBase,
    EnvCreator,
    GymEnv,
    GymWrapper,
    MultiThreadedEnv,
    SerialEnv,
    StepCounter,
    TransformedEnv,
    check_env_specs,
)

import rollout_viewer as rv
from rollout_viewer.sources.torchrl._pixels import PictureReader
from rollout_viewer.testing import CountingEnv
from tests.row_model import table
from tests.torchrl_envs import Views, forked

ACTION = 2


def counting_env(*lengths, env=0, **options):
    """Return TorchRL's wrapper of a counting env, with integers as actions."""
    gym = CountingEnv(lengths or (99,), env=env, **options)
    return GymWrapper(gym, categorical_action_encoding=True)


def serial(*lengths):
    """Return a batched env of counting envs with these lengths of episodes."""
    makers = [lambda n=n, e=e: counting_env(n, env=e) for e, n in enumerate(lengths)]
    return SerialEnv(len(lengths), makers)


def always(value):
    def policy(tensordict):
        action = torch.full(tensordict.batch_size, value)
        return tensordict.set("action", action)

    return policy


def rows(cache, env=0):
    """Return kind, (episode, step) of the picture, reward and ends of each row."""
    found = []
    for row in range(cache.num_rows):
        at = cache.at(row, env)
        shown = CountingEnv.read(cache[row, env])[:2] if at.has_picture else None
        reward = None if np.isnan(at.reward) else at.reward
        ends = "T" * at.terminated + "C" * at.truncated
        found.append((at.kind, shown, reward, ends))
    return found


class Team(EnvBase):
    """Two agents that share a picture; each has a reward, and no end but theirs."""

    def __init__(self, length=3):
        super().__init__(batch_size=[])
        self.length, self.time = length, 0
        agents = Composite(observation=Unbounded((2, 1)), shape=(2,))
        pixels = Bounded(0, 255, (16, 20, 3), dtype=torch.uint8)
        self.observation_spec = Composite(agents=agents, pixels=pixels)
        self.action_spec = Composite(
            agents=Composite(action=Bounded(-1, 1, (2, 1)), shape=(2,))
        )
        self.reward_spec = Composite(
            agents=Composite(reward=Unbounded((2, 1)), shape=(2,))
        )

    def _observe(self):
        agents = TensorDict({"observation": torch.zeros(2, 1)}, [2])
        pixels = torch.full((16, 20, 3), self.time, dtype=torch.uint8)
        return TensorDict({"agents": agents, "pixels": pixels}, [])

    def _reset(self, tensordict=None):
        self.time = 0
        return self._observe()

    def _step(self, tensordict):
        self.time += 1
        following = self._observe()
        following["agents", "reward"] = torch.tensor([[1.0], [3.0]])
        done = torch.tensor([self.time >= self.length])
        following.update({"done": done, "terminated": done.clone()})
        return following

    def _set_seed(self, seed):
        pass


# -- rv.rollout


def test_a_single_env_is_reset_after_each_end_but_the_last():
    cache = rv.rollout(counting_env(2), policy=always(3), max_steps=4)

    # episode 0 was TorchRL's, which looked what a reset returns
    first = cache.at(0, 0)["obs"][0]
    assert table(cache, 0) == [
        ("reset", (first, 0), None, "", 3),
        ("step", (first, 1), 1.0, "", 3),
        ("step", (first, 2), 2.0, "T", None),
        ("reset", (first + 1, 0), None, "", 3),
        ("step", (first + 1, 1), 1.0, "", 3),
        ("step", (first + 1, 2), 2.0, "T", None),
    ]


def test_envs_of_a_batch_end_on_their_own():
    env = serial(2, 3)

    cache = rv.rollout(env, policy=always(1), max_steps=4)

    assert cache.scalars["kind"].T.tolist() == [
        ["reset", "step", "step", "reset", "step", "idle", "step"],
        ["reset", "step", "step", "idle", "step", "reset", "step"],
    ]
    finished = [(e.env, e.total_reward) for e in cache.episodes if e.is_finished]
    assert finished == [(0, 3.0), (1, 6.0), (0, 3.0)]
    assert CountingEnv.read(cache[6, 1])[1:] == (1, 1)
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("is_parallel", [False, True])
def test_workers_are_started_and_asked_to_render(is_parallel):
    def cartpole():
        return GymEnv("CartPole-v1", render_mode="rgb_array")

    kind = forked if is_parallel else SerialEnv
    env = kind(2, EnvCreator(cartpole))
    assert env.is_closed

    cache = rv.rollout(env, max_steps=5, seed=0)

    assert cache[0].shape == (2, 400, 600, 3)
    assert cache.fps == 50
    assert not env.is_closed
    env.close()


def test_a_seed_repeats_the_rollout_and_leaves_torchs_generator_alone():
    def run():
        return rv.rollout(GymEnv("CartPole-v1", from_pixels=True), max_steps=30, seed=3)

    state = torch.get_rng_state()
    first, second = run(), run()

    np.testing.assert_array_equal(first[:], second[:])
    np.testing.assert_array_equal(first.column("action"), second.column("action"))
    assert first.episodes[0].seed == 3
    assert torch.equal(torch.get_rng_state(), state)


def make_actor():
    """Return a policy of random actions around 0, whose mean is 0."""
    head = TensorDictModule(
        lambda obs: (
            torch.zeros(*obs.shape[:-1], 1),
            torch.ones(*obs.shape[:-1], 1),
        ),
        in_keys=["observation"],
        out_keys=["loc", "scale"],
    )
    choose = ProbabilisticTensorDictModule(
        in_keys=["loc", "scale"],
        out_keys=["action"],
        distribution_class=torch.distributions.Normal,
        default_interaction_type="random",
    )
    return Sequence(head, choose)


@pytest.mark.parametrize("deterministic", [True, False])
def test_the_exploration_type_of_a_policy_is_deterministic_when_asked(deterministic):
    env = GymEnv("Pendulum-v1", from_pixels=True, pixels_only=False)

    cache = rv.rollout(
        env, policy=make_actor(), max_steps=5, deterministic=deterministic
    )

    assert (cache.column("action", 0, 5) == 0).all() == deterministic


def test_a_network_is_given_the_observation():
    torch.manual_seed(0)
    env = GymEnv("Pendulum-v1", render_mode="rgb_array")

    cache = rv.rollout(env, policy=nn.Sequential(nn.Linear(3, 1)), max_steps=3)

    assert np.ptp(cache.column("action", 0, 3)) > 0


def test_a_policy_may_return_the_action_alone():
    cache = rv.rollout(counting_env(), policy=lambda td: torch.tensor(2), max_steps=2)

    assert cache.at(0, 0).action == 2


@pytest.mark.parametrize("policy", [lambda td: None, lambda td: "left"])
def test_a_policy_that_returns_no_action_is_told_of(policy):
    with pytest.raises(rv.ShapeError, match="expected policy to return a tensordict"):
        rv.rollout(counting_env(), policy=policy, max_steps=2)


def test_a_policy_that_is_none_is_refused():
    with pytest.raises(ValueError, match="TensorDictModule or a function"):
        rv.rollout(counting_env(), policy=3)


def test_a_seed_for_each_env_is_refused():
    with pytest.raises(ValueError, match="expected one seed"):
        rv.rollout(serial(2, 2), seed=[1, 2])


def test_episodes_callbacks_and_ends_stop_the_rollout():
    two = rv.rollout(counting_env(3), episodes=2)
    told = rv.rollout(counting_env(9), callback=lambda cache, row: row < 4)
    ended = rv.rollout(counting_env(3), break_when_any_done=True)

    assert [e.length for e in two.episodes] == [3, 3]
    assert (told.num_rows, ended.num_rows) == (5, 4)


def test_episodes_are_divided_among_the_envs():
    cache = rv.rollout(serial(2, 3, 9), episodes=5, progress=False)

    found = sorted((e.env, e.length, e.is_finished) for e in cache.episodes)
    assert found == [(0, 2, True), *[(1, 3, True)] * 2, *[(2, 9, True)] * 2]


def test_a_team_has_one_picture_and_the_sum_of_its_rewards():
    cache = rv.rollout(Team(3), max_steps=4)

    (first, second) = cache.episodes
    assert (first.length, first.total_reward, first.terminated) == (3, 12.0, True)
    assert second.length == 1
    assert cache[3, 0][0, 0].tolist() == [3, 3, 3]


def test_the_callers_environment_stays_open_and_as_it_was():
    env = TransformedEnv(counting_env(3), StepCounter())

    cache = rv.rollout(env, max_steps=2)

    assert not env.is_closed
    assert isinstance(env.transform, StepCounter)
    env.rollout(2)
    assert cache.num_rows == 3


# -- rv.record


def test_a_recorded_environment_is_a_torchrl_environment():
    env = rv.record(counting_env(3))
    check_env_specs(env)
    env.cache.clear()

    rollout = env.rollout(5, always(ACTION), break_when_any_done=False)

    assert isinstance(env, TransformedEnv)
    assert rollout.shape == (5,)
    assert env.cache.scalars["kind"][:, 0].tolist() == [
        "reset",
        *["step"] * 3,
        "reset",
        *["step"] * 2,
    ]
    assert env.transform.cache is env.cache
    assert env.viewer is env.transform.viewer


def test_envs_that_ended_are_idle_until_all_have():
    env = rv.record(serial(2, 4))

    env.rollout(9, always(1), break_when_any_done=False, break_when_all_done=True)

    assert env.cache.scalars["kind"].T.tolist() == [
        ["reset", "step", "step", "idle", "idle"],
        ["reset", "step", "step", "step", "step"],
    ]
    assert [e.total_reward for e in env.cache.episodes] == [3.0, 10.0]
    env.close()


def test_options_are_those_of_every_recorder():
    env = rv.record(serial(2, 2), envs=[1], skip=2, resize=(24, 32), tag="two")

    env.rollout(4, always(1), break_when_any_done=False)
    (path,) = env.dump("half", step=3)

    assert env.cache.pictured_envs == (1,)
    assert env.cache[0].shape == (1, 24, 32, 3)
    assert path.name == "two_half_3.mp4"
    env.close()


def test_every_and_keep_episode_choose_episodes():
    every = rv.record(counting_env(1, 2, 3, 4), every=2)
    kept = rv.record(counting_env(1, 2, 3, 4), keep_episode=lambda e: e.length == 3)
    for env in (every, kept):
        env.rollout(9, always(1), break_when_any_done=False)
        env.close()

    assert [e.labels["episode"] for e in every.cache.episodes] == [0, 2]
    # the last one was asked about when the rollout stopped
    kept_episodes = [(e.length, e.is_finished) for e in kept.cache.episodes]
    assert kept_episodes == [(3, True), (3, False)]


def test_a_recorded_environment_can_be_rolled_out_by_both():
    env = rv.record(counting_env(9))
    env.rollout(2, always(1))

    cache = rv.rollout(env, policy=always(1), max_steps=3)

    assert cache is env.cache
    assert [e.length for e in cache.episodes] == [2, 3]


def test_closing_completes_the_file(tmp_path):
    env = rv.record(counting_env(9), cache=tmp_path / "run.rollout")
    env.rollout(3, always(1))

    env.close()

    assert rv.open(tmp_path / "run.rollout").num_rows == 4
    with pytest.raises(rv.RenderError, match="which was closed"):
        rv.rollout(env)


def test_an_environment_without_pictures_is_refused():
    with pytest.raises(rv.RenderError, match="got CartPole-v1. Make it with from_pix"):
        rv.record(GymEnv("CartPole-v1"))


# -- the callback of TorchRL's own rollout


def with_pixels(*lengths):
    return TransformedEnv(counting_env(*lengths), rv.PixelRenderTransform())


def numbered(cache):
    """Return `rows`, with episodes counted from the first that is shown."""
    found = rows(cache)
    first = min(shown[0] for _, shown, *_ in found if shown)
    return [(k, s and (s[0] - first, s[1]), *rest) for k, s, *rest in found]


def test_the_callback_records_all_but_the_last_step():
    callback = rv.rollout_callback(rv.FrameCache())

    with_pixels(2).rollout(5, always(1), callback=callback, break_when_any_done=False)

    assert numbered(callback.cache) == [
        ("reset", (0, 0), None, ""),
        ("step", (0, 1), 1.0, ""),
        ("step", (0, 2), 2.0, "T"),
        ("reset", (1, 0), None, ""),
        ("step", (1, 1), 1.0, ""),
        ("step", (1, 2), 2.0, "T"),
    ]


def test_without_pixels_the_callback_renders_and_the_end_is_missing():
    callback = rv.rollout_callback(rv.FrameCache())

    counting_env(2).rollout(4, always(1), callback=callback, break_when_any_done=False)

    assert numbered(callback.cache) == [
        ("step", (0, 1), 1.0, ""),
        ("terminal_missing", None, 2.0, "T"),
        ("reset", (1, 0), None, ""),
        ("step", (1, 1), 1.0, ""),
    ]


def test_a_rollout_that_stops_at_an_end_tells_the_callback_no_rewards():
    cache = rv.FrameCache()
    env = with_pixels(9)

    for _ in range(2):
        env.rollout(4, always(1), callback=rv.rollout_callback(cache))

    assert numbered(cache) == [
        *[("step", (0, step), None, "") for step in (1, 2, 3)],
        ("reset", None, None, ""),
        *[("step", (1, step), None, "") for step in (1, 2, 3)],
    ]
    assert [episode.length for episode in cache.episodes] == [3, 3]


def test_the_callback_skips():
    callback = rv.rollout_callback(rv.FrameCache(), skip=2)

    with_pixels(99).rollout(7, always(1), callback=callback, break_when_any_done=False)

    assert numbered(callback.cache) == [
        ("reset", (0, 0), None, ""),
        ("step", (0, 2), 3.0, ""),
        ("step", (0, 4), 7.0, ""),
        ("step", (0, 6), 11.0, ""),
    ]


def test_the_callback_takes_any_key_and_a_batch():
    env = TransformedEnv(serial(9, 9), rv.PixelRenderTransform("seen"))
    callback = rv.rollout_callback(rv.FrameCache(), key="seen")

    env.rollout(3, always(1), callback=callback, break_when_any_done=False)

    assert callback.cache.num_envs == 2
    assert [CountingEnv.read(p)[1:] for p in callback.cache[-1]] == [(2, 0), (2, 1)]
    env.close()


def test_the_callback_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="expected skip to be 1 or more"):
        rv.rollout_callback(rv.FrameCache(), skip=0)
    with pytest.raises(TypeError, match="expected cache to be a FrameCache"):
        rv.rollout_callback(3)


def test_a_path_is_a_new_recording(tmp_path):
    callback = rv.rollout_callback(tmp_path / "run.rollout")

    with_pixels(9).rollout(3, callback=callback)

    callback.cache.close()
    assert rv.open(tmp_path / "run.rollout").num_rows == 2


# -- batches whose envs differ, or render one by one


@pytest.mark.parametrize(
    "options",
    [{"render_mode": "rgb_array"}, {"from_pixels": True, "pixels_only": False}],
)
def test_different_environments_in_a_batch_keep_their_own_sizes(options):
    names = "CartPole-v1", "Acrobot-v1"
    makers = [functools.partial(GymEnv, name, **options) for name in names]

    cache = rv.rollout(SerialEnv(2, makers), max_steps=3, seed=0, progress=False)

    assert [cache[1, env].shape[:2] for env in range(2)] == [(400, 600), (500, 500)]
    assert cache.scalars["reward"][1].tolist() == [1, -1]


@pytest.mark.filterwarnings("ignore:.*precision lowered")  # of its own spaces
def test_envpools_envs_each_have_their_own_picture(monkeypatch):
    import gymnasium

    pytest.importorskip("envpool", reason="envpool has no wheel for this machine")
    pytest.importorskip("treevalue", reason="TorchRL reads envpool's results with it")
    # TorchRL 0.14 asks for gym, where envpool 1 has Gymnasium's spaces.
    monkeypatch.setitem(sys.modules, "gym", gymnasium)
    options = {"num_workers": 3, "env_name": "CartPole-v1"}
    pictured = {"create_env_kwargs": {"render_mode": "rgb_array"}}

    cache = rv.rollout(
        MultiThreadedEnv(**options, **pictured), max_steps=9, progress=False
    )
    some = rv.record(MultiThreadedEnv(**options, **pictured), envs=[2])
    some.reset()
    recorder = rv.VideoRecorder(None, "envpool", skip=1)
    transforms = Compose(rv.PixelRenderTransform(), recorder)
    TransformedEnv(MultiThreadedEnv(**options, **pictured), transforms).rollout(2)

    assert len({cache[9, env].tobytes() for env in range(3)}) == 3
    assert some.cache.pictured_envs == (2,)
    assert recorder.cache[1].shape == (3, 400, 600, 3)
    with pytest.raises(rv.RenderError, match="create_env_kwargs"):
        rv.record(MultiThreadedEnv(**options))


class DrawsStates(Views):
    """Draws a tensordict, of a batch the first, as TorchRL's JumanjiEnv does."""

    def __init__(self, batch_size):
        super().__init__(batch_size=batch_size)
        self.observation_spec["state"] = Unbounded(batch_size, dtype=torch.int64)

    def render(self, tensordict, **options):  # type: ignore[override]
        while tensordict.ndim:
            tensordict = tensordict[0]
        level = 20 * int(tensordict["state"])
        return torch.full((3, 8, 9), level, dtype=torch.uint8)

    def _reset(self, tensordict=None):
        return self.with_state(super()._reset(tensordict))

    def _step(self, tensordict):
        return self.with_state(super()._step(tensordict))

    def with_state(self, tensordict):
        states = torch.arange(self.batch_size.numel()).reshape(self.batch_size)
        return tensordict.set("state", states)


class DrawsTrajectories(Views):
    def render(self, trajectory, height=240):  # type: ignore[override]
        raise AssertionError


class Broken(Views):
    def render(self, mode="human"):
        raise ImportError("no torchvision")


@pytest.mark.parametrize("batch_size", [(), (2, 3)])
def test_an_environment_that_draws_states_draws_that_of_each_env(batch_size):
    cache = rv.rollout(DrawsStates(batch_size), max_steps=2, progress=False)

    levels = [int(cache[1, env].max()) for env in range(cache.num_envs)]
    assert levels == [20 * env for env in range(cache.num_envs)]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (DrawsTrajectories, r"needs trajectory.*'pixels'"),
        (Broken, r"no torchvision.*'pixels'"),
    ],
)
def test_a_render_that_cannot_draw_is_refused_with_the_way(kind, message):
    with pytest.raises(rv.RenderError, match=message):
        rv.rollout(kind(), max_steps=2, progress=False)


def test_one_picture_that_is_not_declared_is_the_first_envs():
    with pytest.warns(rv.RolloutViewerWarning, match="shared_picture"):
        cache = rv.rollout(Views(), max_steps=2, progress=False)
    declared = Views()
    declared.metadata = {"shared_picture": True}
    shared = rv.rollout(declared, max_steps=2, progress=False)

    assert cache.pictured_envs == (0,)
    assert shared.is_shared


class Drawn(Views):
    """Its steps bring a picture of each env."""

    def __init__(self):
        super().__init__(batch_size=(2, 3))
        self.observation_spec["pixels"] = Unbounded((2, 3, 8, 10, 3), dtype=torch.uint8)

    def _reset(self, tensordict=None):
        return super()._reset(tensordict).set("pixels", self.drawn())

    def _step(self, tensordict):
        return super()._step(tensordict).set("pixels", self.drawn())

    def drawn(self):
        levels = torch.arange(6, dtype=torch.uint8).reshape(2, 3, 1, 1, 1)
        return levels.expand(2, 3, 8, 10, 3).contiguous()


@pytest.mark.parametrize("envs", [[4], [1, 5], [2, 3]])
def test_only_the_pictures_that_are_recorded_are_read(monkeypatch, envs):
    counts = []
    read = PictureReader.read

    def counted(self, value, batch_dims):
        frames = read(self, value, batch_dims)
        counts.append(len(frames))
        return frames

    monkeypatch.setattr(PictureReader, "read", counted)
    env = rv.record(Drawn(), envs=envs)

    env.rollout(3)

    assert set(counts) == {len(envs)}
    assert env.cache.pictured_envs == tuple(envs)
    assert [int(env.cache[2, one].max()) for one in envs] == envs
