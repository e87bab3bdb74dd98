"""VideoRecorder as a recorder: its cache, dumps and copies, and batches of data."""

import copy
import os
import types

import numpy as np
import pytest
import torch
from tensordict import TensorDict

import rollout_viewer as rv
from rollout_viewer._video import read_video

pytest.importorskip("torchrl", reason="the extra torchrl is not installed")
from torchrl.data import (
    LazyTensorStorage,
    ReplayBuffer,
    SliceSampler,
    TensorDictReplayBuffer,
)
from torchrl.envs import Compose, GymEnv, SerialEnv, StepCounter, TransformedEnv

from rollout_viewer.sources.torchrl.video_recorder import VideoRecorder
from rollout_viewer.testing import counting_frame, read_row

SAYS_ONCE = "got neither; it is recorded as one episode"


def picture(number):
    return torch.from_numpy(counting_frame(number).copy())


def feed(recorder, numbers):
    for number in numbers:
        recorder._apply_transform(picture(number))


def numbers(frames):
    return [read_row(np.asarray(frame)) for frame in frames]


def shown(recorder):
    return numbers(frame.permute(1, 2, 0) for frame in recorder.obs)


def cartpole():
    return GymEnv("CartPole-v1", from_pixels=True, pixels_only=False)


def batch(lengths, **more):
    """Return a batch of slices: pictures numbered on, rewards 1, ends at each end."""
    count = sum(lengths)
    last = torch.zeros(count, 1, dtype=torch.bool)
    last[np.cumsum(lengths) - 1] = True
    pictures = torch.stack([picture(n) for n in range(count)])
    entries = {
        "pixels": pictures,
        "action": torch.arange(count).float()[:, None],
        "next": {
            "pixels": pictures,
            "reward": torch.ones(count, 1),
            "done": last,
            "terminated": last,
        },
        **more,
    }
    return TensorDict(entries, [count])


# -- the cache and the dump


def test_frames_come_back_as_they_went_in():
    recorder = VideoRecorder(None, "a")

    feed(recorder, range(40))

    assert shown(recorder) == list(range(40))
    assert numbers(recorder.cache[:, 0]) == list(range(40))


def test_dump_writes_what_came_since_the_last_and_the_cache_keeps_all(tmp_path):
    logger = rv.CSVLogger("run", tmp_path, video_format="mp4")
    recorder = VideoRecorder(logger, "a")
    feed(recorder, range(3))
    first = recorder.dump()
    feed(recorder, range(3, 8))

    second = recorder.dump()

    assert [path.name for path in first + second] == ["a_0.mp4", "a_1.mp4"]
    assert numbers(read_video(first[0])) == [0, 1, 2]
    assert numbers(read_video(second[0])) == [3, 4, 5, 6, 7]
    assert recorder.cache.num_rows == 8


def test_obs_taken_before_a_dump_stays_as_it_was():
    recorder = VideoRecorder(None, "a")
    feed(recorder, range(2))
    before = recorder.obs

    recorder.dump()
    feed(recorder, range(2, 5))

    assert len(before) == 2
    assert shown(recorder) == [2, 3, 4]


def test_logger_that_fails_when_all_are_done_is_warned_of_and_asked_again():
    class Fails:
        def __init__(self):
            self.lengths = []

        def log_video(self, video, **kwargs):
            self.lengths.append(video.shape[1])
            if len(self.lengths) == 1:
                raise OSError("disk full")

    logger = Fails()
    recorder = VideoRecorder(logger, "a", skip=1, dump_on_done=True)
    env = TransformedEnv(cartpole(), recorder)
    env.set_seed(0)
    torch.manual_seed(0)  # of the random actions: two episodes end within 60 steps

    with pytest.warns(rv.RolloutViewerWarning, match="disk full"):
        env.rollout(60, break_when_any_done=False)

    assert logger.lengths[1] > logger.lengths[0]


def test_files_of_one_video_hold_the_envs_in_turn_where_there_is_no_grid(tmp_path):
    logger = rv.CSVLogger("run", tmp_path, video_format="pt")
    recorder = VideoRecorder(logger, "a", make_grid=False)
    env = TransformedEnv(SerialEnv(2, cartpole), recorder)
    env.rollout(3)

    (path,) = recorder.dump()

    assert torch.load(path).shape == (1, 8, 3, 400, 600)
    assert recorder.cache[0].shape == (2, 400, 600, 3)
    assert len(recorder.cache.clip().write("each.mp4", layout="tiles")) == 2


def test_viewer_dumps_through_the_recorders_own_logger(tmp_path):
    logger = rv.CSVLogger("run", tmp_path, video_format="mp4")
    recorder = VideoRecorder(logger, "a")
    feed(recorder, range(3))
    count = recorder.count

    paths = recorder.viewer.dump(formats="mp4")
    (own,) = recorder.dump()

    assert recorder.viewer.logger is logger
    assert recorder.viewer is recorder.viewer
    assert paths[0].parent == own.parent
    assert count == 3  # a button moves no mark
    assert numbers(read_video(own)) == [0, 1, 2]


def test_fps_is_the_recorders_else_the_loggers(tmp_path):
    logger = rv.CSVLogger("run", tmp_path, video_fps=12)
    rates = []
    for recorder in (VideoRecorder(logger, "a"), VideoRecorder(logger, "a", fps=5)):
        feed(recorder, range(2))
        rates.append(recorder.cache.fps)

    assert rates == [12, 5]


def test_cache_at_a_path_is_read_by_others(tmp_path):
    recorder = VideoRecorder(None, "a", cache=tmp_path / "a.rollout", skip=1)
    env = TransformedEnv(cartpole(), recorder)
    env.rollout(3)

    env.close()

    assert rv.open(tmp_path / "a.rollout").num_rows == recorder.cache.num_rows


def test_recorder_without_a_frame_leaves_no_file(tmp_path):
    TransformedEnv(cartpole(), VideoRecorder(None, "a", cache=tmp_path / "a.rollout"))

    assert list(tmp_path.iterdir()) == []


def test_skipped_steps_give_their_rewards_to_the_next_row():
    recorder = VideoRecorder(None, "a", skip=3)
    env = TransformedEnv(cartpole(), recorder)
    env.set_seed(0)
    torch.manual_seed(0)

    data = env.rollout(60, break_when_any_done=False)

    lengths, start = [], 0
    for stop in np.flatnonzero(data["next", "done"].numpy()):
        lengths.append(int(stop) + 1 - start)
        start = int(stop) + 1
    ended = [e for e in recorder.cache.episodes if e.is_finished]
    assert [e.total_reward for e in ended] == lengths
    assert [e.length for e in ended] == lengths


def pendulum(steps, *recorders):
    env = TransformedEnv(
        GymEnv("Pendulum-v1", from_pixels=True, pixels_only=False),
        Compose(StepCounter(steps), *recorders),
    )
    env.set_seed(0)
    torch.manual_seed(0)
    return env


@pytest.mark.parametrize(
    ("max_steps", "steps", "skip", "read"),
    [
        (10, 100, None, "episodes"),
        (10, 100, None, "dump"),
        (10, 8, None, "episodes"),
        (10, 100, 50, "flush"),
        (10, 8, 3, "file"),
    ],
)
def test_numbers_are_complete_with_any_skip(max_steps, steps, skip, read, tmp_path):
    recorder = VideoRecorder(None, "a", skip=skip, cache=tmp_path / "a.rollout")
    env = pendulum(steps, recorder)

    data = env.rollout(max_steps)

    cache = recorder.cache
    if read == "dump":
        recorder.dump()
    elif read == "flush":
        cache.flush()
    elif read == "file":
        cache = rv.open(cache.save(tmp_path / "copy.rollout"))
    length = min(max_steps, steps)
    (episode,) = cache.episodes
    assert episode.length == length == len(data)
    assert episode.truncated == (length == steps)
    reward = data["next", "reward"].double().sum().item()
    assert episode.total_reward == pytest.approx(reward)
    assert np.nansum(cache.scalars["reward"]) == pytest.approx(reward)
    assert np.nansum(cache.clip().table()["reward"]) == pytest.approx(reward)
    assert cache.at(-1, 0).total_reward == pytest.approx(reward)
    assert cache.scalars["truncated"].any() == (length == steps)


def test_an_end_is_in_the_recording_at_once(tmp_path):
    path = tmp_path / "a.rollout"
    recorder = VideoRecorder(None, "a", cache=path)
    env = pendulum(6, recorder)

    env.rollout(10)

    # As another process reads it, or a page: by rows.
    rows = recorder.cache.recording.rows
    assert rows.env_steps()[-1] == 6
    assert rows.ends()[-1] == 2


def test_frames_of_a_dump_are_the_kept_ones_alone():
    recorder = VideoRecorder(None, "a")
    env = pendulum(4, recorder)
    for _ in range(2):
        env.rollout(10)
        assert len(recorder.cache.episodes) > 0
    env.rollout(2)

    # Resets are counted as well: calls 2 and 4, 6, 8 and 10, 12.
    assert len(recorder.obs) == (5 + 5 + 3) // 2
    assert all(np.asarray(frame).any() for frame in recorder.obs)


@pytest.mark.parametrize("size", [(), (3,)])
def test_a_parent_may_have_a_plain_tuple_as_its_batch_size(size, monkeypatch):
    parent = types.SimpleNamespace(batch_size=size)
    monkeypatch.setattr(VideoRecorder, "parent", parent)
    monkeypatch.setattr(VideoRecorder, "container", None)
    recorder = VideoRecorder(None, "a", skip=1)

    recorder(TensorDict({"pixels": torch.stack([picture(1)] * 3)}, [3]))

    assert recorder.cache.num_envs == 3
    assert len(recorder.obs) == 1


def test_a_dump_through_a_compose_writes_and_returns_nothing(tmp_path):
    # TorchRL's `Compose.dump` drops the paths; the class's docstring says so.
    logger = rv.CSVLogger("a", log_dir=str(tmp_path), video_format="mp4")
    recorder = VideoRecorder(logger, "a", skip=1)
    env = pendulum(9, recorder)
    env.rollout(3)

    assert env.transform.dump() is None

    assert [path.name for path in tmp_path.rglob("*.mp4")] == ["a_0.mp4"]


def test_cleared_cache_goes_on():
    recorder = VideoRecorder(None, "a")
    feed(recorder, range(5))
    recorder.cache.clear()
    assert len(recorder.obs) == 0

    feed(recorder, range(5, 7))

    assert shown(recorder) == [5, 6]


def test_other_number_of_envs_begins_another_recording_once_dumped():
    recorder = VideoRecorder(None, "a", make_grid=True)
    recorder._apply_transform(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="expected 2 envs as before, got 3"):
        recorder._apply_transform(torch.zeros(3, 3, 8, 8, dtype=torch.uint8))
    before = recorder.cache

    recorder.dump()
    recorder._apply_transform(torch.zeros(3, 3, 8, 8, dtype=torch.uint8))

    assert (before.num_envs, recorder.cache.num_envs) == (2, 3)


@pytest.mark.parametrize(
    ("channels", "shape", "size"),
    [
        ("first", (3, 64, 3), (64, 3)),
        ("last", (3, 64, 3), (3, 64)),
        ("first", (4, 64, 48), (64, 48)),
        ("auto", (3, 64, 3), (3, 64)),
    ],
)
def test_channels_say_what_cannot_be_guessed(channels, shape, size):
    recorder = VideoRecorder(None, "a", channels=channels)

    recorder._apply_transform(torch.zeros(shape, dtype=torch.uint8))

    assert recorder.obs[0].shape == (3, *size)


def test_unknown_channels_and_caches_are_refused():
    with pytest.raises(ValueError, match="expected channels to be"):
        VideoRecorder(None, "a", channels="middle")
    with pytest.raises(TypeError, match="expected cache to be a FrameCache"):
        VideoRecorder(None, "a", cache=3)


def test_floats_in_bytes_are_told_by_the_first_bright_one():
    recorder = VideoRecorder(None, "a")
    for level in (200.0, 1.0):
        recorder._apply_transform(torch.full((3, 8, 8), level))

    assert [int(frame.max()) for frame in recorder.obs] == [200, 1]


# -- copies


def test_deep_copy_is_a_clone():
    recorder = VideoRecorder(None, "a")
    feed(recorder, range(3))

    other = copy.deepcopy(recorder)
    feed(other, [7])

    assert other.cache is recorder.cache
    assert shown(other) == [7]


def test_deep_copy_of_an_env_records_by_itself():
    env = TransformedEnv(GymEnv("CartPole-v1"), Compose(VideoRecorder(None, "a")))

    other = copy.deepcopy(env)

    assert other.transform[0].container is other
    assert env.transform[0].container is env


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_process_records_into_a_cache_of_its_own():
    recorder = VideoRecorder(None, "a")
    feed(recorder, range(3))

    pid = os.fork()
    if not pid:
        status = 1
        try:
            feed(recorder, [9])
            status = 0 if shown(recorder) == [9] else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert shown(recorder) == [0, 1, 2]


# -- replay buffers and data sets


def lengths(recorder):
    return [e.length for e in recorder.cache.episodes]


def test_equal_slices_are_episodes():
    recorder = VideoRecorder(None, "a", in_keys=[("next", "pixels")], slice_len=4)

    recorder(batch([12]))

    assert lengths(recorder) == [4, 4, 4]
    assert [e.truncated for e in recorder.cache.episodes] == [True, True, False]
    assert shown(recorder) == list(range(12))


def test_trajectory_numbers_are_episodes():
    td = batch([7], collector={"traj_ids": torch.tensor([5, 5, 5, 2, 2, 9, 9])})
    recorder = VideoRecorder(None, "a", in_keys=[("next", "pixels")])

    recorder(td)

    assert lengths(recorder) == [3, 2, 2]


def test_ends_are_episodes_with_their_rewards_and_actions():
    recorder = VideoRecorder(None, "a", in_keys=[("next", "pixels")])

    recorder(batch([3, 4]))

    assert lengths(recorder) == [3, 4]
    assert [e.total_reward for e in recorder.cache.episodes] == [3, 4]
    assert all(e.terminated for e in recorder.cache.episodes)


def test_pictures_before_their_transitions_have_the_last_reward_after_them():
    recorder = VideoRecorder(None, "a")

    recorder(batch([3, 4]))

    assert shown(recorder) == list(range(7))
    assert [e.total_reward for e in recorder.cache.episodes] == [3, 4]
    assert recorder.cache.at(0, 0).action == 0
    kinds = recorder.cache.scalars["kind"][:, 0].tolist()
    assert kinds[:4] == ["reset", "step", "step", "terminal_missing"]


def test_batch_that_tells_nothing_is_one_episode_and_that_is_said_once():
    recorder = VideoRecorder(None, "a")
    td = TensorDict({"pixels": torch.stack([picture(n) for n in range(5)])}, [5])

    with pytest.warns(rv.RolloutViewerWarning, match=SAYS_ONCE):
        recorder(td)
    recorder(td)

    assert len(recorder.cache.episodes) == 2
    assert len(recorder.obs) == 10


def test_slices_of_a_sampler_are_recorded_from_what_was_recorded_before():
    env = TransformedEnv(cartpole())
    env.set_seed(0)
    torch.manual_seed(0)
    data = env.rollout(60, break_when_any_done=False)
    ends = data["next", "done"].reshape(-1).cumsum(0)
    data["episode"] = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1]])
    recorder = VideoRecorder(None, "a", in_keys=[("next", "pixels")])
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(60),
        sampler=SliceSampler(slice_len=5, traj_key="episode"),
        batch_size=20,
        transform=recorder,
    )
    buffer.extend(data)

    sample = buffer.sample()

    assert lengths(recorder) == [5, 5, 5, 5]
    assert np.array_equal(recorder.cache[:, 0], sample["next", "pixels"].numpy())


@pytest.mark.parametrize(
    ("make", "key", "has_obs", "lengths_of_data"),
    [
        (ReplayBuffer, "pixels", False, [200]),
        (ReplayBuffer, ("next", "pixels"), True, [30, 170]),
        (TensorDictReplayBuffer, ("next", "pixels"), False, [25] * 8),
        (TensorDictReplayBuffer, "pixels", False, [30, 170]),
    ],
)
def test_a_slice_is_an_episode_also_of_one_trajectory(
    make, key, has_obs, lengths_of_data
):
    torch.manual_seed(0)
    data = batch(lengths_of_data)
    ends = data["next", "done"].reshape(-1).cumsum(0)
    data["episode"] = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1]])
    data["next", "pixels"] = data["pixels"].roll(-1, 0)
    if has_obs:
        data["obs"] = torch.randn(200, 3)
        data["next", "obs"] = data["obs"].roll(-1, 0)
    recorder = VideoRecorder(None, "a", in_keys=[key])
    buffer = make(
        storage=LazyTensorStorage(200),
        sampler=SliceSampler(traj_key="episode", num_slices=3),
        batch_size=60,
        transform=recorder,
    )
    buffer.extend(data)

    for _ in range(3):
        buffer.sample()

    assert lengths(recorder) == [20] * 9
    assert [e.total_reward for e in recorder.cache.episodes] == [20] * 9


def test_ends_that_a_sampler_wrote_are_the_ends_of_slices():
    data = batch([60])
    data["episode"] = torch.zeros(60, dtype=torch.int64)
    data["next", "truncated"] = torch.zeros(60, 1, dtype=torch.bool)
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(60),
        sampler=SliceSampler(traj_key="episode", num_slices=3),
        batch_size=30,
    )
    buffer.extend(data)
    recorder = VideoRecorder(None, "a", in_keys=[("next", "pixels")])

    recorder(buffer.sample())

    assert lengths(recorder) == [10, 10, 10]
    assert all(e.is_finished for e in recorder.cache.episodes)


def test_a_random_sample_is_not_cut_at_each_frame():
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(60), batch_size=30)
    buffer.extend(batch([60]))
    torch.manual_seed(0)
    recorder = VideoRecorder(None, "a", in_keys=[("next", "pixels")])

    sample = buffer.sample()
    sample["next", "done"] = sample["next", "terminated"] = torch.zeros(
        30, 1, dtype=torch.bool
    )
    with pytest.warns(rv.RolloutViewerWarning, match=SAYS_ONCE):
        recorder(sample)

    assert lengths(recorder) == [30]


def test_a_slice_over_the_end_of_a_full_storage_is_one():
    data = batch([60])
    data["index"] = (torch.arange(60) + 50) % 60
    recorder = VideoRecorder(None, "a", in_keys=[("next", "pixels")])

    recorder(data)

    assert lengths(recorder) == [60]


def test_max_frames_holds_for_batches():
    recorder = VideoRecorder(None, "a", in_keys=[("next", "pixels")], max_frames=4)

    recorder(batch([3, 4]))

    assert shown(recorder) == [0, 1, 2, 3]
