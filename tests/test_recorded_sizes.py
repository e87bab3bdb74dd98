"""Environments whose pictures change their size, in every recorder."""

from __future__ import annotations

import functools
import json
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer._video import read_video

SIZES = [(64, 64), (96, 80), (32, 48)]


class Levels(gym.Env):
    """Each episode is a level of another size, of `length` steps; its row is drawn."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"
    observation_space = gym.spaces.Discrete(9)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, first: int = 0, length: int = 4):
        self.level, self.length = first - 1, length

    def reset(self, *, seed=None, options=None):
        self.level, self.step_number = self.level + 1, 0
        return 0, {}

    def step(self, action):
        self.step_number += 1
        return 0, 1.0, self.step_number >= self.length, False, {}

    def render(self):
        return drawn(self.level, self.step_number)


def drawn(level: int, step: int) -> np.ndarray:
    frame = np.full((*SIZES[level % len(SIZES)], 3), 60, np.uint8)
    frame[:16, :16] = 20 + 40 * (level % len(SIZES))
    frame[-16:, -16:] = 10 + 40 * step
    return frame


def play(env, num_episodes: int) -> None:
    for _ in range(num_episodes):
        env.reset()
        while not env.step(0)[2]:
            pass


def close_to(frame: np.ndarray, expected: np.ndarray) -> bool:
    """Whether a frame of a video is a picture, but for the loss of its encoding."""
    return (
        frame.shape == expected.shape and abs(frame.astype(int) - expected).mean() < 3
    )


def test_each_episodes_video_has_its_size(tmp_path):
    env = rv.RecordVideo(Levels(), str(tmp_path), lambda _: True)
    play(env, 3)
    env.close()

    for level in range(3):
        frames = list(read_video(tmp_path / f"rl-video-episode-{level}.mp4"))
        assert len(frames) == 5
        for step, frame in enumerate(frames):
            assert close_to(frame, drawn(level, step))
    for row in range(15):
        assert np.array_equal(env.cache[row, 0], drawn(row // 5, row % 5))


@pytest.mark.parametrize("is_quiet", [True, False])
def test_a_video_over_several_episodes_has_the_size_of_its_first_frame(
    tmp_path, is_quiet
):
    env = rv.RecordVideo(
        Levels(),
        str(tmp_path),
        step_trigger=lambda step: step == 0,
        video_length=10,
        disable_logger=is_quiet,
    )
    with pytest.warns(rv.RolloutViewerWarning, match="fitted into it") as caught:
        play(env, 4)
        env.close()

    assert len([w for w in caught if "fitted" in str(w.message)]) == 1
    (path,) = tmp_path.glob("*.mp4")
    frames = list(read_video(path))
    first = SIZES[0]
    assert {frame.shape[:2] for frame in frames} == {first}
    shapes = [env.cache[row, 0].shape[:2] for row in range(env.cache.num_rows)]
    assert set(shapes) == {SIZES[0], SIZES[1], SIZES[2]}
    row = shapes.index(SIZES[1])  # 96 x 80 becomes 64 x 53, in the middle
    assert (frames[row][:, :4] < 10).all()
    assert (frames[row][4:60, 28:36] > 20).all()
    assert json.loads(path.with_suffix(".json").read_text())["num_frames"] == len(
        frames
    )


def test_a_batch_of_levels_is_recorded(tmp_path):
    envs = SyncVectorEnv(
        [functools.partial(Levels, first) for first in range(2)],
        autoreset_mode=AutoresetMode.NEXT_STEP,
    )
    env = rv.VectorRecordVideo(
        envs, str(tmp_path), episode_trigger=lambda e: e == 0, video_length=9
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env.reset()
        for _ in range(12):
            env.step(np.zeros(2, int))
        env.close()

    assert [w for w in caught if "fitted into it" in str(w.message)]
    (path,) = tmp_path.glob("*.mp4")
    assert len({frame.shape for frame in read_video(path)}) == 1
    for row in range(env.cache.num_rows):
        for number in range(2):
            expected = drawn(number + row // 5, row % 5)
            assert np.array_equal(env.cache[row, number], expected)


def test_a_loop_of_ones_own_is_recorded():
    env = rv.record(Levels())
    play(env, 7)

    assert [e.length for e in env.cache.episodes] == [4] * 7
    for row in range(35):
        assert np.array_equal(env.cache[row, 0], drawn(row // 5, row % 5))


def test_kept_episodes_have_their_sizes():
    env = rv.record(Levels(), keep_episode=lambda episode: episode.index % 2 == 1)
    play(env, 6)
    env.finish() if hasattr(env, "finish") else env.close()

    levels = [1, 3, 5]
    for row in range(15):
        assert np.array_equal(env.cache[row, 0], drawn(levels[row // 5], row % 5))


def test_rollouts_of_single_and_batched_envs(tmp_path):
    cache = rv.rollout(Levels(), episodes=5, progress=False)
    for row in range(25):
        assert np.array_equal(cache[row, 0], drawn(row // 5, row % 5))

    envs = SyncVectorEnv(
        [functools.partial(Levels, first, 3 + first) for first in range(3)],
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    cache = rv.rollout(envs, max_steps=60, progress=False)
    assert cache.num_envs == 3
    for env in range(3):
        episodes = [e for e in cache.episodes if e.env == env and e.is_finished]
        assert len(episodes) > 5
        for number, episode in enumerate(episodes):
            size = SIZES[(env + number) % 3]
            assert cache.clip(episode=episode).frame_size == size
            for row in range(episode.start, episode.stop):
                if cache.is_shown(row, env) and cache.has_picture(row, env):
                    assert cache[row, env].shape[:2] == size


def test_sb3s_recorder_takes_levels_of_any_size(tmp_path):
    sb3 = pytest.importorskip("stable_baselines3.common.vec_env", reason="an extra")
    envs = sb3.DummyVecEnv([lambda: Levels(0), lambda: Levels(1)])
    env = rv.VecVideoRecorder(
        envs, str(tmp_path), lambda step: step == 0, video_length=12
    )
    with pytest.warns(rv.RolloutViewerWarning, match="fitted into it"):
        env.reset()
        for _ in range(14):
            env.step(np.zeros(2, int))
        env.close()

    (path,) = tmp_path.glob("*.mp4")
    assert len({frame.shape for frame in read_video(path)}) == 1
    assert len({slot.size for slot in env.cache.slots}) == 3


def test_torchrls_recorder_takes_levels_of_any_size(tmp_path):
    torch = pytest.importorskip("torch", reason="an extra")
    tensordict = pytest.importorskip("tensordict", reason="an extra")
    pytest.importorskip("torchrl", reason="an extra")
    logger = rv.CSVLogger("run", log_dir=str(tmp_path), video_format="mp4")
    recorder = rv.VideoRecorder(logger, "levels", make_grid=True, skip=1)

    for row in range(15):
        pixels = torch.from_numpy(drawn(row // 5, row % 5)).unsqueeze(0)
        recorder(tensordict.TensorDict({"pixels": pixels}, [1]))

    assert [tuple(frame.shape[1:]) for frame in recorder.obs] == [
        SIZES[row // 5] for row in range(15)
    ]
    assert tuple(recorder.obs[7].shape[1:]) == SIZES[1]
    video = recorder.obs.tensor()
    assert tuple(video.shape) == (1, 15, 3, 96, 80)
    recorder.dump()
    (path,) = tmp_path.rglob("*.mp4")
    frames = list(read_video(path))
    assert len(frames) == 15
    assert {frame.shape[:2] for frame in frames} == {(96, 80)}


# -- MiniGrid


def test_minigrids_levels_are_recorded_in_their_own_sizes(tmp_path):
    pytest.importorskip("minigrid", reason="an extra")

    class Curriculum(gym.Wrapper):
        """Another level each episode, as curricula have them."""

        names = (
            "MiniGrid-Empty-5x5-v0",
            "MiniGrid-FourRooms-v0",
            "MiniGrid-Empty-8x8-v0",
        )

        def __init__(self):
            import minigrid  # noqa: F401 - registers them

            self.levels = [gym.make(n, render_mode="rgb_array") for n in self.names]
            self.number = -1
            super().__init__(self.levels[0])

        def reset(self, **options):
            self.number += 1
            self.env = self.levels[self.number % 3]
            return self.env.reset(**options)

    env = rv.RecordVideo(Curriculum(), str(tmp_path), lambda _: True)
    rendered = []
    for seed in range(4):
        env.reset(seed=seed)
        rendered.append(env.env.render())
        for action in (2, 1, 2):
            env.step(action)
            rendered.append(env.env.render())
    env.close()

    sizes = {frame.shape for frame in rendered}
    assert len(sizes) == 3
    for row, frame in enumerate(rendered):
        assert np.array_equal(env.cache[row, 0], frame)
    for episode in range(4):
        path = tmp_path / f"rl-video-episode-{episode}.mp4"
        frames = list(read_video(path))
        assert len(frames) == 4
        assert close_to(frames[0], rendered[4 * episode])
