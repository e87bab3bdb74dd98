"""Each family of TorchRL environments, recorded by VideoRecorder and read back.

Brax and Jumanji stand in test_torchrl_jax.py. Not run here, and why: VmasEnv needs vmas
with its pinned gym; HabitatEnv needs a simulator that has no wheel. Both give their
pictures under a key of the tensordict, as these do.
"""

import sys
import warnings

import numpy as np
import pytest
import torch
from tensordict import TensorDict

import rollout_viewer as rv

pytest.importorskip("torchrl", reason="the extra torchrl is not installed")
from torchrl.data import Bounded, Categorical, Composite, NonTensor, Unbounded
from torchrl.envs import (
    CatFrames,
    Compose,
    DMControlEnv,
    EnvBase,
    GrayScale,
    GymEnv,
    InitTracker,
    MultiThreadedEnv,
    ParallelEnv,
    PettingZooWrapper,
    Resize,
    RewardSum,
    SerialEnv,
    StepCounter,
    ToTensorImage,
    Transform,
    TransformedEnv,
    check_env_specs,
)
from torchrl.record import PixelRenderTransform

from rollout_viewer.sources.torchrl.video_recorder import VideoRecorder

with warnings.catch_warnings():
    # It warns of classes of its own while it is imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torchrl.collectors import Collector, MultiSyncCollector

HEIGHT, WIDTH = 48, 64
# What TorchRL and its libraries say of themselves while they work.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested:UserWarning"),
]


def cartpole():
    return GymEnv("CartPole-v1", from_pixels=True, pixels_only=False)


class Counting(EnvBase):
    """Draws its step; ends after `length` steps, by ``done`` alone if asked."""

    def __init__(self, length=5, batch_size=(), is_done_only=False, key="pixels"):
        super().__init__(batch_size=batch_size)
        self.length, self.key = length, key
        self.steps = torch.zeros(self.batch_size, dtype=torch.int64)
        picture = Bounded(
            0, 255, (*self.batch_size, HEIGHT, WIDTH, 3), dtype=torch.uint8
        )
        self.observation_spec = Composite(shape=self.batch_size)
        self.observation_spec[key] = picture
        self.action_spec = Unbounded((*self.batch_size, 2))
        self.reward_spec = Unbounded((*self.batch_size, 1))
        if is_done_only:
            self.done_spec = Categorical(2, (*self.batch_size, 1), dtype=torch.bool)

    def _read(self):
        level = (self.steps * 10).to(torch.uint8)[..., None, None, None]
        td = TensorDict(batch_size=self.batch_size)
        td[self.key] = level.expand(*self.batch_size, HEIGHT, WIDTH, 3).clone()
        td["done"] = (self.steps >= self.length)[..., None]
        return td

    def _reset(self, tensordict=None, **kwargs):
        mask = None if tensordict is None else tensordict.get("_reset", None)
        keep = torch.zeros(self.batch_size, dtype=torch.bool) if mask is None else ~mask
        self.steps = self.steps * keep.reshape(self.batch_size)
        return self._read()

    def _step(self, tensordict):
        self.steps = self.steps + 1
        td = self._read()
        td["reward"] = self.steps[..., None].float()
        return td

    def _set_seed(self, seed):
        pass


def play(env, steps=12):
    env.set_seed(0)
    torch.manual_seed(0)
    return env.rollout(steps, break_when_any_done=False)


def record(base, *transforms, steps=12, **options):
    """Return recorder and data of a rollout with a recorder behind `transforms`."""
    recorder = VideoRecorder(None, "video", **{"skip": 1, **options})
    env = TransformedEnv(base, Compose(*transforms, recorder))
    data = play(env, steps)
    env.close()
    return recorder, data


def levels(cache, env=0):
    """Return the level that each row's picture has in its middle."""
    return [int(cache[row, env][24, 32, 0]) // 10 for row in range(cache.num_rows)]


def test_gym_env_from_pixels_gives_its_frames_rewards_and_episodes():
    recorder, data = record(cartpole(), steps=40)

    steps = recorder.cache.scalars["kind"][:, 0] == "step"
    frames = recorder.cache[:, 0][steps]
    assert np.array_equal(frames, data["next", "pixels"].numpy())
    assert recorder.cache.scalars["reward"][steps, 0].tolist() == [1.0] * 40
    done = data["next", "done"].numpy().reshape(-1)
    assert np.array_equal(recorder.cache.scalars["terminated"][steps, 0], done)
    first = recorder.cache.episodes[0]
    assert first.length == int(done.argmax()) + 1
    assert first.total_reward == first.length


def test_gym_env_of_pixels_gives_its_observations():
    pytest.importorskip("ale_py", reason="ALE is in the extra `dev`")
    env = GymEnv("ALE/Pong-v5")
    recorder, data = record(env, in_keys=["pixels"], steps=5)

    assert np.array_equal(recorder.cache[1:, 0], data["next", "pixels"].numpy())


def test_serial_env_has_a_partial_reset_as_idle_rows_of_the_others():
    recorder, _ = record(SerialEnv(4, cartpole), steps=40)

    kinds = recorder.cache.scalars["kind"]
    partial = np.flatnonzero((kinds == "idle").any(axis=1))
    assert len(partial)
    for row in partial:
        for env in np.flatnonzero(kinds[row] == "idle"):
            assert np.array_equal(
                recorder.cache[row, env], recorder.cache[row - 1, env]
            )
        assert (kinds[row] != "step").all()
    assert len(recorder.cache.episodes) > 4
    finished = [e for e in recorder.cache.episodes if e.is_finished]
    assert all(e.total_reward == e.length and e.terminated for e in finished)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_parallel_env_is_recorded_by_the_recorder_of_its_outside(method):
    env = ParallelEnv(2, cartpole, mp_start_method=method)

    recorder, data = record(env, steps=8)

    assert recorder.cache.num_envs == 2
    steps = (recorder.cache.scalars["kind"] == "step").all(axis=1)
    frames = recorder.cache[steps]
    assert np.array_equal(frames[:, 1], data["next", "pixels"][1].numpy())


def test_recorder_in_a_worker_writes_a_file_of_its_own(tmp_path):
    path = tmp_path / "worker.rollout"

    def make():
        recorder = VideoRecorder(None, "a", skip=1, cache=path)
        return TransformedEnv(cartpole(), recorder)

    env = ParallelEnv(2, make, mp_start_method="fork")
    play(env, 5)
    env.close()

    files = sorted(tmp_path.glob("worker-*.rollout"))
    assert len(files) == 2
    assert rv.open(files).num_envs == 2


def test_frames_before_a_recorder_that_sees_only_cat_frames_are_the_newest():
    recorder, data = record(
        cartpole(), ToTensorImage(), CatFrames(N=4, dim=-3, in_keys=["pixels"])
    )

    newest = data["next", "pixels"][:, -3:].permute(0, 2, 3, 1)
    expected = (newest * 255).round().to(torch.uint8).numpy()
    steps = recorder.cache.scalars["kind"][:, 0] == "step"
    assert np.array_equal(recorder.cache[:, 0][steps], expected)


def test_gray_stack_is_recorded_as_its_newest_frame():
    recorder, data = record(
        cartpole(),
        ToTensorImage(),
        GrayScale(),
        CatFrames(N=4, dim=-3, in_keys=["pixels"]),
    )

    newest = (data["next", "pixels"][:, -1] * 255).round().to(torch.uint8).numpy()
    steps = recorder.cache.scalars["kind"][:, 0] == "step"
    assert np.array_equal(recorder.cache[:, 0][steps][..., 0], newest)


def test_batch_of_three_gray_envs_is_no_rgb_image():
    recorder, _ = record(SerialEnv(3, cartpole), ToTensorImage(), GrayScale(), steps=3)

    assert recorder.cache.num_envs == 3
    assert recorder.cache[0].shape == (3, 400, 600, 3)


def test_resized_pictures_are_recorded():
    try:
        import torchvision  # type: ignore[import-not-found] # noqa: F401
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"Resize is torchvision's, which does not import: {error}")

    recorder, _ = record(cartpole(), ToTensorImage(), Resize(40, 60), steps=3)

    assert recorder.cache[0, 0].shape == (40, 60, 3)


def test_truncation_of_a_step_counter_ends_episodes():
    recorder, _ = record(Counting(100), StepCounter(max_steps=4), steps=8)

    ended = [e for e in recorder.cache.episodes if e.is_finished]
    assert [(e.length, e.truncated, e.terminated) for e in ended] == [
        (4, True, False)
    ] * 2


def test_init_tracker_and_reward_sum_beside_a_recorder():
    recorder, data = record(Counting(5), InitTracker(), RewardSum(), steps=10)

    totals = recorder.cache.scalars["total_reward"][:, 0]
    steps = recorder.cache.scalars["kind"][:, 0] == "step"
    assert totals[steps].tolist() == data["next", "episode_reward"].reshape(-1).tolist()


def test_same_seed_gives_the_same_recording():
    one, _ = record(cartpole())
    other, _ = record(cartpole())

    assert np.array_equal(one.cache[:, 0], other.cache[:, 0])


def test_nested_key_is_recorded():
    recorder, _ = record(
        Counting(5, key=("camera", "front")), in_keys=[("camera", "front")], steps=3
    )

    assert recorder.cache.cameras == ["camera.front"]
    assert levels(recorder.cache) == [0, 1, 2, 3]


@pytest.mark.parametrize("is_done_only", [True, False])
def test_custom_env_is_recorded(is_done_only):
    env = TransformedEnv(
        Counting(3, is_done_only=is_done_only), VideoRecorder(None, "a", skip=1)
    )
    check_env_specs(env)
    recorder, data = record(Counting(3, is_done_only=is_done_only), steps=7)

    assert levels(recorder.cache) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert [e.length for e in recorder.cache.episodes] == [3, 3, 1]
    assert [e.total_reward for e in recorder.cache.episodes] == [6, 6, 1]
    assert np.allclose(recorder.cache.at(1, 0).action, data["action"][1])


def test_batch_of_two_axes_is_flattened_to_env_numbers():
    recorder, data = record(Counting(5, (4, 8)), steps=3)

    assert recorder.cache.num_envs == 32
    assert recorder.obs[0].shape == (3, 6 * HEIGHT, 6 * WIDTH)
    action = recorder.cache.column("action")
    expected = data["action"][:, :, 0].reshape(32, 2)
    assert np.allclose(action[0], expected)


def pettingzoo_env():
    pytest.importorskip("pettingzoo", reason="in the extra pettingzoo")
    from pettingzoo.butterfly import (
        cooperative_pong_v6,
    )

    env = cooperative_pong_v6.parallel_env(render_mode="rgb_array")
    return PettingZooWrapper(env, group_map=None, use_mask=False)


def test_agents_pictures_are_envs_of_their_own():
    try:
        env = pettingzoo_env()
    except (ImportError, AttributeError) as error:
        pytest.skip(f"PettingZoo's butterfly environments do not import: {error}")
    (group,) = list(env.group_map)[:1]
    num_agents = len(env.group_map[group])
    key = (group, "observation")

    recorder, data = record(env, in_keys=[key], steps=4)

    assert recorder.cache.num_envs == num_agents
    frames = data["next", group, "observation"]
    assert np.array_equal(recorder.cache[1], frames[0].numpy())
    rewards = data["next", group, "reward"][0].reshape(-1)
    assert np.allclose(recorder.cache.scalars["reward"][1], rewards)


class Agents(Counting):
    """Three agents, one picture: rewards are the agents' own."""

    def __init__(self):
        super().__init__(length=3)
        self.reward_spec = Composite(agents=Composite(reward=Unbounded((3, 1))))

    def _step(self, tensordict):
        td = super()._step(tensordict)
        td["agents"] = TensorDict({"reward": torch.ones(3, 1)}, [])
        return td.exclude("reward")


def test_rewards_of_agents_are_summed_for_one_picture():
    recorder, _ = record(Agents(), steps=3)

    assert recorder.cache.episodes[0].total_reward == 9


class Adversaries(Counting):
    """Two groups of agents; what one wins, the other loses."""

    def __init__(self):
        super().__init__(length=3)
        reward = Composite(reward=Unbounded((2, 1)))
        self.reward_spec = Composite(wolves=reward, sheep=reward.clone())

    def _step(self, tensordict):
        td = super()._step(tensordict)
        td["wolves"] = TensorDict({"reward": torch.ones(2, 1)}, [])
        td["sheep"] = TensorDict({"reward": -torch.ones(2, 1)}, [])
        return td.exclude("reward")


@pytest.mark.parametrize("skip", [1, 2])
def test_rewards_of_groups_are_not_added_to_each_other(skip):
    env = Adversaries()
    first = {"wolves": 6, "sheep": -6}[env.reward_keys[0][0]]

    recorder, _ = record(env, steps=3, skip=skip)

    (episode,) = recorder.cache.episodes
    assert episode.total_reward == first
    table = recorder.cache.clip().table()
    assert np.nansum(table["reward.wolves"]) == 6
    assert np.nansum(table["reward.sheep"]) == -6
    recorded = rv.record(Adversaries(), skip=skip)
    recorded.rollout(3)
    table = recorded.cache.clip().table()
    assert np.nansum(table["reward.wolves"]) == 6


class SharedPicture(Transform):
    """Writes one picture of all envs, as a renderer of a whole simulation does."""

    def _call(self, next_tensordict):
        picture = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
        return next_tensordict.set_non_tensor("all", picture)

    def _reset(self, tensordict, tensordict_reset):
        return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec):
        observation_spec["all"] = NonTensor(shape=observation_spec.shape)
        return observation_spec


def test_one_picture_of_all_envs_is_shared_by_them():
    recorder, _ = record(
        Counting(3, (32,)), SharedPicture([], ["all"]), in_keys=["all"], steps=2
    )

    assert (recorder.cache.num_envs, recorder.cache.is_shared) == (32, True)
    assert recorder.obs[0].shape == (3, HEIGHT, WIDTH)


class ResetsItself(Counting):
    """Ends and begins anew within one step, as GPU simulations do."""

    def __init__(self):
        super().__init__(length=3, batch_size=(2,))
        self._torchrl_native_autoreset = True

    def _step(self, tensordict):
        td = super()._step(tensordict)
        ended = td["done"].clone()
        self.steps = self.steps * ~ended[:, 0]
        return td.update(self._read()).set("done", ended)


def test_env_that_resets_itself_has_its_end_without_a_picture():
    recorder, _ = record(ResetsItself(), steps=4)

    kinds = recorder.cache.scalars["kind"][:, 0].tolist()
    missing = "terminal_missing"
    assert kinds == ["reset", "step", "step", missing, "reset", "step"]
    assert [e.total_reward for e in recorder.cache.episodes[:2]] == [6, 6]
    assert len(recorder.obs) == 5


def test_switched_off_renderer_leaves_a_pause():
    render = PixelRenderTransform()
    recorder = VideoRecorder(None, "a", skip=1)
    base = GymEnv("CartPole-v1", render_mode="rgb_array")
    env = TransformedEnv(base, Compose(render, recorder))
    play(env, 2)

    render.switch("off")
    play(env, 2)
    render.switch("on")
    play(env, 2)

    assert len(recorder.obs) == 6


def test_dm_control_env_is_recorded():
    pytest.importorskip("dm_control", reason="dm-control is in the extra `dev`")
    try:
        env = DMControlEnv("cartpole", "swingup", from_pixels=True, pixels_only=False)
    except AttributeError as error:
        pytest.skip(f"the newest dm-control does not fit this mujoco: {error}")

    recorder, data = record(env, steps=3)

    assert np.array_equal(recorder.cache[1, 0], data["next", "pixels"][0].numpy())


def test_multi_threaded_env_is_recorded(monkeypatch):
    import gymnasium

    pytest.importorskip("envpool", reason="envpool has no wheel for this machine")
    pytest.importorskip("treevalue", reason="TorchRL reads envpool's results with it")
    # TorchRL 0.14 asks for gym, where envpool 1 has Gymnasium's spaces.
    monkeypatch.setitem(sys.modules, "gym", gymnasium)
    env = MultiThreadedEnv(2, env_name="Pong-v5")

    recorder, data = record(env, in_keys=["observation"], steps=3)

    newest = data["next", "observation"][:, :, -1].numpy()  # of four gray ones
    assert recorder.cache[1].shape == (2, 84, 84, 3)
    assert np.array_equal(recorder.cache[1][..., 0], newest[:, 0])


def test_recorder_records_what_a_collector_collects():
    recorder = VideoRecorder(None, "a", skip=1)
    env = TransformedEnv(Counting(5), recorder)
    collector = Collector(env, None, frames_per_batch=8, total_frames=16)

    batches = [batch.clone() for batch in collector]
    collector.shutdown()

    shown = torch.cat([b["next", "pixels"][:, 24, 32, 0] for b in batches])
    is_step = recorder.cache.scalars["kind"][:, 0] == "step"
    assert np.array(levels(recorder.cache))[is_step].tolist() == (shown // 10).tolist()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_workers_of_a_collector_write_files_that_are_read_together(tmp_path):
    path = tmp_path / "collected.rollout"

    def make():
        recorder = VideoRecorder(None, "a", skip=1, cache=path)
        return TransformedEnv(Counting(5), recorder)

    collector = MultiSyncCollector(
        [make, make], None, frames_per_batch=8, total_frames=16
    )
    for _ in collector:
        pass
    collector.shutdown()

    files = sorted(tmp_path.glob("collected-*.rollout"))
    assert len(files) == 2
    assert rv.open(files).num_envs == 2
