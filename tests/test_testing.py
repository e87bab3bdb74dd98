"""Counting frames, the counting environment and the turned clock."""

import pickle
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from rollout_viewer._frames.grid import grid
from rollout_viewer._frames.transform import resize
from rollout_viewer.testing import (
    MAX_ENV,
    MAX_ROW,
    CountingEnv,
    SourceTests,
    TurnedClock,
    counting_frame,
    counting_frames,
    read_count,
)


def test_every_frame_shows_its_row_and_env():
    frames = counting_frames(40, 3, start=250)

    found = [[read_count(frame) for frame in row] for row in frames]

    assert frames.shape == (40, 3, 48, 64, 3)
    assert found == [[(row, env) for env in range(3)] for row in range(250, 290)]


@pytest.mark.parametrize("row", [0, 1, 12345, MAX_ROW])
@pytest.mark.parametrize("env", [0, 1, MAX_ENV])
@pytest.mark.parametrize("size", [(4, 8), (5, 11), (48, 64), (210, 160), (400, 600)])
def test_any_size_down_to_one_pixel_a_block_is_read_back(row, env, size):
    frame = counting_frame(row, env, height=size[0], width=size[1])

    assert read_count(frame) == (row, env)


@pytest.mark.parametrize("size", [(24, 32), (33, 45), (100, 160), (96, 128)])
def test_a_scaled_frame_is_read_back(size):
    frame = counting_frame(777, 42)

    assert read_count(resize(frame, size)) == (777, 42)


def test_a_frame_with_noise_as_of_an_mp4_is_read_back():
    frame = counting_frame(4321, 7).astype(float)
    noise = np.random.default_rng(0).normal(0, 25, frame.shape)

    assert read_count(np.clip(frame + noise, 0, 255).astype(np.uint8)) == (4321, 7)


def test_a_cell_cut_out_of_a_grid_is_read_back():
    frames = counting_frames(1, 5)[0]
    canvas = grid(list(frames))

    cell = canvas[48:96, 64:128]

    assert read_count(cell) == (0, 4)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((48, 64, 3), np.uint8),
        np.full((48, 64, 3), 255, np.uint8),
        np.full((48, 64, 3), 120, np.uint8),
        np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8),
    ],
)
def test_another_picture_is_refused(picture):
    with pytest.raises(ValueError, match="expected a counting frame"):
        read_count(picture)


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"expected row in 0\.\.65535"):
        counting_frame(MAX_ROW + 1)
    with pytest.raises(ValueError, match="expected 4 x 8 pixels or more"):
        counting_frame(1, height=3)


def test_counting_env_follows_its_table():
    env = CountingEnv([2, 3], truncated_episodes=[1], env=5)

    seen = []
    for _ in range(2):
        env.reset()
        is_over = False
        while not is_over:
            _, reward, terminated, truncated, _ = env.step(0)
            is_over = terminated or truncated
            seen.append((CountingEnv.read(env.render()), reward, terminated, truncated))

    assert seen == [
        ((0, 1, 5), 1.0, False, False),
        ((0, 2, 5), 2.0, True, False),
        ((1, 1, 5), 1.0, False, False),
        ((1, 2, 5), 2.0, False, False),
        ((1, 3, 5), 3.0, False, True),
    ]


def test_counting_env_travels_to_a_worker():
    assert pickle.loads(pickle.dumps(CountingEnv)) is CountingEnv


def test_the_module_is_imported_without_gymnasium():
    code = "import sys, rollout_viewer.testing; print('gymnasium' in sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "False"


def test_a_turned_clock_moves_only_when_it_is_turned():
    clock = TurnedClock(10.0)

    before = clock(), clock()
    clock.turn(2.5)

    assert before == (10.0, 10.0)
    assert clock() == 12.5
    with pytest.raises(ValueError, match="seconds >= 0"):
        clock.turn(-1)


class Lying(CountingEnv):
    """Its rewards are one too many."""

    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, reward + 1, *rest


class LateVector(gymnasium.vector.SyncVectorEnv):
    """It renders what was visible before the last call."""

    def render(self):
        last, self.last = getattr(self, "last", None), super().render()
        return self.last if last is None else last


@pytest.mark.parametrize("fault", ["rewards", "pictures", "two envs for one"])
def test_the_suite_of_sources_fails_where_a_source_does(fault):
    class Source(SourceTests):
        num_envs = 1 if fault == "rewards" else 2
        resets = "caller" if fault == "rewards" else "next_step"

        def make_env(self, makers):
            if fault == "rewards":
                return Lying((3, 2, 9), truncated_episodes=(1,))
            if fault == "pictures":
                return LateVector(makers)
            return gymnasium.vector.SyncVectorEnv([makers[0]] * 2)

    with pytest.raises(AssertionError):
        Source().test_pictures_rewards_and_ends_are_exact()
