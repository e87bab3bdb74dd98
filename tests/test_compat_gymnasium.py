"""Gymnasium's recorders and ours side by side, on the same seeded environments.

What differs on purpose is listed in DIFFERENCES, and each has its test here:
"""

import contextlib
import inspect
import json
import os
import pathlib
import re
import sys
import warnings
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordVideo as Original
from gymnasium.wrappers.vector import RecordVideo as VectorOriginal

import rollout_viewer as rv
from rollout_viewer._video import read_video
from rollout_viewer.sources.gymnasium import vector
from rollout_viewer.testing import CountingEnv, counting_frame, read_count

DIFFERENCES = """
- frames: ours has each once and in order, the original repeats and loses some
- extra files: a JSON beside each video, and <name_prefix>.rollout
- a run does not overwrite an earlier one's videos, unless overwrite=True
- SAME_STEP: the last picture of an episode is there where final_obs is it
- an env that was not closed, or died, loses nothing
- gray, float, unequal and odd-sized pictures work
- a frame that is none, or of another size, ends the video with a warning
- render() of a vector env adds nothing to the video
- fps must be positive; the spec of the vector class keeps all arguments
- a list render mode's render() returns the same, but holds no frames
"""


class Run(NamedTuple):
    """What one recorder left."""

    videos: dict[str, list[Any]]  # name -> frames, of the original before moviepy
    said: list[str]
    folder: pathlib.Path


def run(original: Any, make_env: Any, play: Any, folder: Any, **options: Any) -> Run:
    """Play with Gymnasium's recorder, and note what it hands to moviepy."""
    handed = {}

    class Noting(original):
        def stop_recording(self):
            if self.recorded_frames:
                handed[f"{self._video_name}.mp4"] = list(self.recorded_frames)
            super().stop_recording()

    said = played(lambda: Noting(make_env(), str(folder), **options), play, folder)
    assert sorted(handed) == sorted(path.name for path in folder.glob("*.mp4"))
    return Run(handed, said, folder)


def run_ours(make_env: Any, play: Any, folder: Any, **options: Any) -> Run:
    def make():
        return rv.RecordVideo(make_env(), str(folder), **options)

    said = played(make, play, folder)
    paths = sorted(folder.glob("*.mp4"), key=lambda path: path.stat().st_mtime_ns)
    return Run({path.name: list(read_video(path)) for path in paths}, said, folder)


def played(make: Any, play: Any, folder: pathlib.Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = make()
        play(env)
        env.close()
    # moviepy leaves files open, and says what it deprecates
    others = (ResourceWarning, DeprecationWarning)
    return [
        re.sub(r"\x1b\[\d+m", "", str(w.message)).replace(str(folder), "FOLDER")
        for w in caught
        if not issubclass(w.category, others)
    ]


def both(original: Any, make_env: Any, play: Any, tmp_path: Any, **options: Any):
    theirs = run(original, make_env, play, tmp_path / "a", **options)
    ours = run_ours(make_env, play, tmp_path / "b", **options)
    return theirs, ours


def same(theirs: Run, ours: Run) -> None:
    """Names and their order, frames and their order, warnings and theirs."""
    assert list(ours.videos) == list(theirs.videos)
    for name, frames in theirs.videos.items():
        assert len(ours.videos[name]) == len(frames), name
        for mine, frame in zip(ours.videos[name], frames, strict=True):
            # H.264 in 4:2:0 is not exact; another frame would be far off.
            assert off(mine, frame) < 4, name
    assert ours.said == theirs.said


def off(mine: Any, frame: Any) -> float:
    height, width = frame.shape[:2]
    return float(np.abs(mine[:height, :width].astype(int) - frame).mean())


def episodes(count: int, length: int | None = None, seed: int = 0) -> Any:
    def play(env: Any) -> None:
        for episode in range(count):
            env.reset(seed=seed + episode)
            env.action_space.seed(seed + episode)
            steps, is_over = 0, False
            while not is_over and (length is None or steps < length):
                _, _, terminated, truncated, _ = env.step(env.action_space.sample())
                is_over, steps = terminated or truncated, steps + 1

    return play


def steps(count: int) -> Any:
    def play(envs: Any) -> None:
        envs.reset(seed=0)
        envs.action_space.seed(0)
        for _ in range(count):
            envs.step(envs.action_space.sample())

    return play


def cartpole() -> Any:
    return gym.make("CartPole-v1", render_mode="rgb_array")


def counting(*lengths: int, **options: Any) -> Any:
    return lambda: CountingEnv(lengths or (5,), **options)


TRIGGERS: dict[str, dict[str, Any]] = {
    "no trigger": {},
    "episodes": {"episode_trigger": lambda episode: episode % 2 == 1},
    "steps": {"step_trigger": lambda step: step % 4 == 0},
    "steps of a length": {"step_trigger": lambda s: s % 7 == 3, "video_length": 3},
    "both": {
        "episode_trigger": lambda episode: episode == 2,
        "step_trigger": lambda step: step == 4,
    },
    "length over episodes": {
        "episode_trigger": lambda episode: episode == 0,
        "video_length": 8,
        "name_prefix": "long",
    },
}


# -- one environment


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_one_env_gives_the_same_videos_as_gymnasiums(trigger, tmp_path):
    theirs, ours = both(
        Original, counting(5, 3), episodes(5), tmp_path, **TRIGGERS[trigger]
    )

    same(theirs, ours)
    assert theirs.videos


@pytest.mark.parametrize("trigger", ["no trigger", "steps of a length"])
def test_cartpole_gives_the_same_videos_as_gymnasiums(trigger, tmp_path):
    theirs, ours = both(Original, cartpole, episodes(4), tmp_path, **TRIGGERS[trigger])

    same(theirs, ours)


def test_pong_gives_the_same_videos_as_gymnasiums(tmp_path):
    gym.register_envs(pytest.importorskip("ale_py", reason="Atari"))

    theirs, ours = both(
        Original,
        lambda: gym.make("ALE/Pong-v5", render_mode="rgb_array"),
        episodes(2, length=40),
        tmp_path,
        step_trigger=lambda step: step % 30 == 0,
        video_length=20,
    )

    same(theirs, ours)
    assert len(ours.videos) == 3


def test_a_list_render_mode_gives_the_same_videos_and_the_same_render(tmp_path):
    rendered = []

    def play(env):
        env.reset(seed=0)
        for step in range(12):
            env.step(0)
            if step % 5 == 4:
                rendered.append([CountingEnv.read(one) for one in env.render()])

    theirs, ours = both(
        Original,
        counting(20, render_mode="rgb_array_list"),
        play,
        tmp_path,
        step_trigger=lambda step: step in (3, 8),
        video_length=2,
    )

    same(theirs, ours)
    half = len(rendered) // 2
    assert rendered[:half] == rendered[half:]
    assert [len(one) for one in rendered[half:]] == [6, 5]


def test_an_emptied_list_is_warned_of_and_gives_no_frame_as_there(tmp_path):
    def play(env):
        env.reset()
        for step in range(4):
            env.step(0)
            if step == 1:
                env.unwrapped._draw, draw = (lambda: None), env.unwrapped._draw
                env.unwrapped.render_mode = "rgb_array"
                env.unwrapped.render, render = list, env.unwrapped.render
                env.step(0)
                env.unwrapped.render, env.unwrapped._draw = render, draw
                env.unwrapped.render_mode = "rgb_array_list"

    theirs, ours = both(
        Original, counting(20, render_mode="rgb_array_list"), play, tmp_path
    )

    same(theirs, ours)
    assert len(ours.said) == 1


# -- many environments


def sync(mode: AutoresetMode, *lengths: list[int], **options: Any) -> Any:
    return lambda: SyncVectorEnv(
        [
            lambda e=e, n=n: CountingEnv(n, env=e, **options)  # type: ignore[misc]
            for e, n in enumerate(lengths)
        ],
        autoreset_mode=mode,
    )


def masked_steps(count: int) -> Any:
    """Step, and in DISABLED mode reset those that ended."""

    def play(envs: Any) -> None:
        envs.reset(seed=0)
        for _ in range(count):
            *_, terminated, truncated, _ = envs.step(np.zeros(envs.num_envs, int))
            ended = terminated | truncated
            if envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED and any(ended):
                envs.reset(options={"reset_mask": ended})

    return play


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("mode", AutoresetMode)
def test_vector_envs_give_the_same_videos_as_gymnasiums(mode, trigger, tmp_path):
    theirs, ours = both(
        VectorOriginal,
        sync(mode, [5, 3], [2], [4]),
        masked_steps(24),
        tmp_path,
        **TRIGGERS[trigger],
    )

    same(theirs, ours)
    assert theirs.videos


@pytest.mark.parametrize("ratio", [(1, 1), (16, 9), (1, 4)])
def test_the_grid_has_the_shape_of_gymnasiums(ratio, tmp_path):
    theirs, ours = both(
        VectorOriginal,
        sync(AutoresetMode.NEXT_STEP, *[[5]] * 6),
        masked_steps(4),
        tmp_path,
        video_aspect_ratio=ratio,
    )

    same(theirs, ours)


def test_the_first_env_alone_is_recorded_as_there(tmp_path):
    theirs, ours = both(
        VectorOriginal,
        sync(AutoresetMode.NEXT_STEP, [5], [5]),
        masked_steps(4),
        tmp_path,
        record_first_only=True,
    )

    same(theirs, ours)


def test_vector_cartpoles_give_the_same_videos_as_gymnasiums(tmp_path):
    theirs, ours = both(
        VectorOriginal,
        lambda: gym.make_vec(
            "CartPole-v1", 3, vectorization_mode="sync", render_mode="rgb_array"
        ),
        steps(60),
        tmp_path,
        episode_trigger=lambda episode: episode == 1,
    )

    same(theirs, ours)
