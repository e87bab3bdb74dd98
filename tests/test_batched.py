"""Many environments behind one interface: simulations that step batches of tensors."""

import pickle

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

import rollout_viewer as rv
from rollout_viewer._errors import ShapeError, UnsupportedEnvError
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.same_step import add_same_step
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.testing import counting_frame, counting_frames, read_count


class Far(torch.Tensor):
    """A tensor that counts how often it is copied to this side, as a GPU's is."""

    num_copies = 0

    def cpu(self, *args, **options):
        Far.num_copies += 1
        return self.as_subclass(torch.Tensor)

    def numpy(self, **options):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __array__(self, *args, **options):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def far(value):
    return torch.as_tensor(value).as_subclass(Far)


class Simulation(gymnasium.Env):
    """Env e ends every e + 2 steps; its reward is its step, its picture its moment."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"

    def __init__(self, num_envs=3, *, as_tensor=far, resets=True, **metadata):
        self.batch = num_envs
        self.as_tensor = as_tensor
        self.resets = resets
        self.metadata = {**self.metadata, **metadata}
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Box(-1, 1, (4,), np.float32)
        self.step_of = np.zeros(num_envs, np.int64)
        self.seen_actions = []

    def observe(self):
        obs = np.stack([self.step_of, np.arange(self.batch)], axis=1)
        return self.as_tensor(obs.astype(np.float32))

    def reset(self, *, seed=None, options=None):
        mask = (options or {}).get("reset_mask", np.ones(self.batch, bool))
        self.step_of[mask] = 0
        return self.observe(), {}

    def step(self, action):
        self.seen_actions.append(action)
        self.step_of += 1
        reward = self.step_of.astype(np.float32)
        ended = self.step_of >= np.arange(self.batch) + 2
        if self.resets:
            self.step_of[ended] = 0
        never = np.zeros(self.batch, bool)
        parts = (self.observe(), *map(self.as_tensor, (reward, ended, never)))
        return *parts, {}

    def render(self):
        frames = [counting_frames(1, 1, start=int(n))[0, 0] for n in self.step_of]
        return self.as_tensor(np.stack(frames))


class Named(Simulation):
    """It tells how many it is, and its spaces of one of them."""

    @property
    def num_envs(self):
        return self.batch


def actions(num_envs=3):
    return far(torch.zeros(num_envs, 4))


def table(cache, env):
    rows = []
    for row in range(cache.num_rows):
        now = cache.at(row, env)
        shown = read_count(cache[row, env])[0] if now.has_picture else None
        reward = None if np.isnan(now.reward) else now.reward
        rows.append((now.kind, shown, reward, now.terminated))
    return rows


@pytest.mark.parametrize("make", [Simulation, Named])
def test_a_gym_env_that_returns_batches_is_many(make):
    env = rv.record(make())

    env.reset(seed=3)
    for _ in range(2):
        env.step(actions())

    # The picture of an end is gone: the simulation reset in the same call.
    assert table(env.cache, 0) == [
        ("reset", 0, None, False),
        ("step", 1, 1.0, False),
        ("terminal_missing", None, 2.0, True),
        ("reset", 0, None, False),
    ]
    assert table(env.cache, 1) == [
        ("reset", 0, None, False),
        ("step", 1, 1.0, False),
        ("step", 2, 2.0, False),
        ("idle", 2, None, False),
    ]
    assert env.cache.num_envs == env.num_envs == 3
    assert env.cache.fps == 20
    assert env.cache.at(1, 2)["obs"].tolist() == [1, 2]
    assert env.cache.at(0, 2).action.tolist() == [0, 0, 0, 0]


def test_an_env_whose_first_observation_is_a_batch_keeps_its_class_and_is_pickled():
    env = rv.record(Simulation(as_tensor=np.asarray))
    before = type(env)

    env.reset()
    copied = pickle.loads(pickle.dumps(env))
    for one in (env, copied):
        one.step(np.zeros((3, 4)))

    assert type(env) is type(copied) is before
    assert [one.cache.num_rows for one in (env, copied)] == [2, 1]
    assert copied.cache.num_envs == copied.num_envs == 3
    assert env.begins.tolist() == [False, False, False]


def test_a_call_that_ends_and_resets_is_two_rows_and_renders_once():
    recorder = Recorder(2)
    recorder.add([Kind.RESET] * 2, lambda: list(counting_frames(1, 2)[0]))
    rendered = []

    def pictures():
        rendered.append(list(counting_frames(1, 2, start=7)[0]))
        return rendered[-1]

    last = add_same_step(
        recorder.add,
        np.array([True, False]),
        pictures,
        find_terminal=lambda _: {0: counting_frames(1, 1, start=5)[0, 0]},
        reward=[1.0, 2.0],
        terminated=[True, False],
        truncated=[False, False],
    )

    assert (last, len(rendered)) == (2, 1)
    assert table(recorder.cache, 0)[1:] == [
        ("step", 5, 1.0, True),
        ("reset", 7, None, False),
    ]
    assert table(recorder.cache, 1)[1:] == [
        ("step", 7, 2.0, False),
        ("idle", 7, None, False),
    ]


def test_tensors_of_a_gpu_come_over_once_a_call():
    env = rv.record(Named(64))
    env.reset()
    Far.num_copies = 0

    env.step(actions(64))

    # Pictures, observation, reward, two ends, actions: none of them once an env.
    assert Far.num_copies <= 6


@pytest.mark.parametrize("envs", [[0, 1000], [4095]])
def test_of_thousands_only_the_pictures_of_a_few_come_over(envs):
    class Few(Named):
        """Only what is asked for is drawn."""

        def render(self):
            frames = [counting_frames(1, 1, start=int(self.step_of[0]))[0, 0]]
            return self.as_tensor(np.stack(frames * len(envs)))

    env = rv.record(Few(4096), envs=envs)

    env.reset()
    env.step(actions(4096))

    cache = env.cache
    assert cache.pictured_envs == tuple(envs)
    assert cache.num_envs == 4096
    assert (cache.scalars["reward"][1] == 1).all()
    assert read_count(cache[1, envs[-1]])[0] == 1


class Viewport(Named):
    def render(self):
        return super().render()[0]


def test_one_viewport_of_all_is_shared_where_it_is_declared():
    viewport = Viewport()
    viewport.metadata = {**viewport.metadata, "shared_picture": True}
    env = rv.record(viewport, resize=(24, 32))

    env.reset()
    env.step(actions())

    assert env.cache.is_shared
    assert env.cache[1, 2].shape == (24, 32, 3)


@pytest.mark.parametrize("every", [1, 2])
def test_one_picture_that_is_not_declared_is_the_first_envs(every):
    env = rv.record(Viewport(), every=every, resize=(24, 32))

    with pytest.warns(rv.RolloutViewerWarning, match="shared_picture"):
        env.reset()
    for _ in range(9):
        env.step(actions())

    assert not env.cache.is_shared
    assert env.cache.pictured_envs == (0,)


class OneAtATime(Named):
    """Draws into the same memory, the first env where no other is named."""

    canvas = np.array(counting_frame(0, 0))

    def render(self, env_index=0):
        self.canvas[:] = counting_frame(int(self.step_of[env_index]), env_index)
        return self.canvas


class Several(Named):
    def render(self, env_ids=None):
        numbers = [0] if env_ids is None else env_ids
        return np.stack([counting_frame(int(self.step_of[e]), e) for e in numbers])


@pytest.mark.parametrize("kind", [OneAtATime, Several])
@pytest.mark.parametrize("envs", [None, [1, 2]])
def test_a_render_that_takes_numbers_of_envs_gets_them(kind, envs):
    env = rv.record(kind(), envs=envs)

    env.reset()
    env.step(actions())

    assert not env.cache.is_shared
    for number in envs or range(env.num_envs):
        assert read_count(env.cache[1, number])[1] == number


def test_where_resets_are_left_to_the_caller_the_others_are_idle():
    env = Named(resets=False, autoreset_mode="Disabled")

    cache = rv.rollout(env, max_steps=3, seed=1)

    assert cache.scalars["kind"].T.tolist() == [
        ["reset", "step", "step", "reset", "step"],
        ["reset", "step", "step", "idle", "step"],
        ["reset", "step", "step", "idle", "step"],
    ]
    assert table(cache, 0)[2] == ("step", 2, 2.0, True)


@pytest.mark.parametrize("make", [Simulation, Named])
def test_random_actions_are_tensors_of_all_envs(make):
    env = make(as_tensor=torch.as_tensor)

    cache = rv.rollout(env, max_steps=4, seed=7)

    assert {tuple(action.shape) for action in env.seen_actions} == {(3, 4)}
    assert all(isinstance(action, torch.Tensor) for action in env.seen_actions)
    assert len(cache.episodes) > 2


def test_a_policy_of_tensors_gets_and_gives_tensors():
    env = Named(as_tensor=torch.as_tensor)

    rv.rollout(env, policy=lambda obs: obs.repeat(1, 2), max_steps=2)

    assert env.seen_actions[1].tolist()[2] == [1, 2, 1, 2]


def test_an_unknown_autoreset_mode_is_refused():
    with pytest.raises(ValueError, match=r"'NextStep', 'SameStep' and 'Disabled'"):
        rv.record(Named(autoreset_mode="sometimes"))


def test_a_cache_of_another_number_of_envs_is_refused_before_anything_is_recorded():
    cache = rv.FrameCache()
    cache.append(counting_frames(1, 2)[0], reset=[True, True])

    with pytest.raises(ShapeError, match="one of 2"):
        rv.record(Named(), cache=cache)
    assert cache.num_rows == 1


def test_rewards_of_many_from_one_env_are_refused_with_the_remedy():
    class Hidden(Simulation):
        """Its space is of the batch already, so that nothing tells."""

        def __init__(self):
            super().__init__()
            self.observation_space = Box(-np.inf, np.inf, (3, 2), np.float32)

        def render(self):
            return super().render()[0].as_subclass(torch.Tensor)

    env = rv.record(Hidden())
    env.reset()

    with pytest.raises(UnsupportedEnvError, match="num_envs = 3"):
        env.step(actions())
    assert env.cache.num_rows == 1


class Plain:
    """As old Gym did: four values, and time limits in the info."""

    num_envs = 2

    def __init__(self):
        self.count = 0

    def reset(self):
        self.count = 0
        return {"state": torch.zeros(2, 3), "pixels": self.render()}

    def step(self, action):
        self.count += 1
        done = torch.tensor([self.count == 2, self.count == 2])
        info = {"time_outs": torch.tensor([False, True])}
        obs = {"state": torch.full((2, 3), self.count), "pixels": self.render()}
        return obs, torch.ones(2), done, info

    def render(self):
        return counting_frames(1, 2, start=self.count)[0]


def test_a_batch_without_any_framework_is_recorded():
    env = rv.record(Plain())

    env.reset()
    for _ in range(2):
        *_, terminated, truncated, _ = env.step(torch.zeros(2))

    assert (terminated.tolist(), truncated.tolist()) == ([True, False], [False, True])
    assert [
        (e.length, e.terminated, e.truncated) for e in env.cache.episodes if e.length
    ] == [(2, True, False), (2, False, True)]
    assert env.cache.at(1, 1)["obs.state"].tolist() == [1, 1, 1]
    assert env.cache.data_names(1) == ["action", "obs.state"]


# -- observations and actions with parts


class Parts(gymnasium.Env):
    """A Dict observation with a Dict, an image and a Discrete; a Tuple action."""

    metadata = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"

    def __init__(self):
        self.observation_space = Dict(
            arm=Dict(angle=Box(-1, 1, (2,)), camera=Box(0, 255, (8, 8, 3), np.uint8)),
            goal=Discrete(5),
        )
        self.action_space = gymnasium.spaces.Tuple(
            (Discrete(3), Box(-1, 1, (2,)), MultiDiscrete([2, 2]))
        )

    def observe(self):
        camera = np.zeros((8, 8, 3), np.uint8)
        return {"arm": {"angle": np.float32([0.5, -0.5]), "camera": camera}, "goal": 3}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def step(self, action):
        return self.observe(), 1.0, False, False, {}

    def render(self):
        return counting_frames(1)[0, 0]


def check_parts(cache, env):
    data = cache.at(1, env)
    assert cache.data_names(1) == ["action", "obs.arm.angle", "obs.goal"]
    assert data["obs.arm.angle"].tolist() == [0.5, -0.5]
    assert data["obs.goal"] == 3


def test_parts_of_an_observation_are_data_under_their_names():
    env = rv.record(Parts())

    env.reset(seed=1)
    env.step((2, np.float32([0.25, 0.75]), np.array([1, 0])))

    check_parts(env.cache, 0)
    # The action that was chosen at row 0, its parts side by side.
    assert env.cache.at(0, 0).action.tolist() == [2, 0.25, 0.75, 1, 0]


@pytest.mark.parametrize("mode", gymnasium.vector.AutoresetMode)
def test_parts_of_a_vector_envs_observations_are_data_too(mode):
    env = gymnasium.vector.SyncVectorEnv([Parts, Parts], autoreset_mode=mode)

    cache = rv.rollout(env, max_steps=2, seed=1)

    check_parts(cache, 1)
    assert cache.at(0, 1).action.shape == (5,)


def test_parts_of_sb3s_observations_are_data_too():
    sb3 = pytest.importorskip("stable_baselines3", reason="in the extra sb3")

    class Plain(Parts):
        """SB3 knows no dicts in dicts, and no tuples."""

        def __init__(self):
            super().__init__()
            self.observation_space = Dict({"arm.angle": Box(-1, 1, (2,))})
            self.action_space = Discrete(2)

        def observe(self):
            return {"arm.angle": np.float32([0.5, -0.5])}

    venv = sb3.common.env_util.make_vec_env(Plain, n_envs=2)

    cache = rv.rollout(venv, max_steps=2, seed=1)

    assert cache.at(1, 1)["obs.arm.angle"].tolist() == [0.5, -0.5]


# Its float64 bounds are rounded to its float32.
@pytest.mark.filterwarnings("ignore:.*precision lowered:UserWarning")
@pytest.mark.filterwarnings("ignore:.*precision lowered")  # of its own spaces
def test_envpool_is_stepped_with_an_action_for_each():
    envpool = pytest.importorskip("envpool", reason="installs on Linux only")
    env = envpool.make(
        "CartPole-v1", env_type="gymnasium", num_envs=3, render_mode="rgb_array"
    )

    cache = rv.rollout(env, max_steps=30)

    assert cache.num_rows == 31
    assert cache.num_envs == 3
    assert len({cache[9, env].tobytes() for env in range(3)}) == 3
    within = gymnasium.wrappers.vector.RecordEpisodeStatistics(env)
    recorded = rv.record(within, envs=[0, 2])
    recorded.reset()
    assert recorded.cache.pictured_envs == (0, 2)


@pytest.mark.filterwarnings("ignore:.*precision lowered")  # of its own spaces
def test_envpool_without_pictures_is_refused_with_its_own_way():
    envpool = pytest.importorskip("envpool", reason="installs on Linux only")
    env = envpool.make("CartPole-v1", env_type="gymnasium", num_envs=3)

    with pytest.raises(rv.RenderError, match="envpool.make"):
        rv.record(env)
