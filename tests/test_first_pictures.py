"""The picture of a row that was never rendered comes before those beside it."""

import time
from typing import Any

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.chunk import parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._replay import viewpoint
from rollout_viewer._replay.messages import Done, Pictures, Task
from rollout_viewer._replay.plan import Planner
from rollout_viewer._replay.recipe import maker_of
from rollout_viewer._replay.worker import Performer
from tests.later_envs import Steps, record_steps

SMALL = {"width": 64, "height": 48}


class Slow(Steps):
    def render(self):
        time.sleep(0.1)
        return super().render()


def test_a_row_waits_for_no_others_where_pictures_take_long():
    cache = record_steps(99, make_env=lambda: Slow())

    for row in (40, 70):
        assert (cache[row, 0] == row).all()

    assert [row for row in range(100) if cache.is_shown(row, 0)] == [40, 70]


def record_arms(render, name="Reacher-v5", num_envs=3, wrappers=None):
    pytest.importorskip("mujoco", reason="what steps it")
    envs = gymnasium.make_vec(
        name, num_envs, "sync", render_mode="rgb_array", wrappers=wrappers, **SMALL
    )
    env = rv.record(envs, render=render)
    env.reset(seed=3)
    env.action_space.seed(0)
    for _ in range(6):
        env.step(env.action_space.sample())
    return env.cache


@pytest.mark.parametrize("name", ["Reacher-v5", "Ant-v5", "InvertedDoublePendulum-v5"])
def test_one_process_replays_all_envs_of_mujoco(name, workers_made):
    now, later = record_arms("now", name), record_arms("later", name)

    for env, row in [(1, 4), (0, 2), (2, 0), (0, 0), (1, 1), (2, 6), (0, 6)]:
        np.testing.assert_array_equal(later[row, env], now[row, env])

    assert len(workers_made) == 1
    np.testing.assert_array_equal(later.frames(range(7)), now.frames(range(7)))


def test_a_process_that_is_ready_serves_any_env_of_mujoco(workers_made):
    now, later = record_arms("now"), record_arms("later")
    later.warm_up()
    while not (workers_made and workers_made[0].is_ready):
        time.sleep(0.01)

    np.testing.assert_array_equal(later[4, 2], now[4, 2])

    assert len(workers_made) == 1


class Turned(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Turns the camera once, when there is one."""

    def __init__(self, env):
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self._is_turned = False

    def render(self):
        if not self._is_turned:
            self._is_turned = True
            self.env.render()
            bare: Any = self.unwrapped
            bare.mujoco_renderer.viewer.cam.lookat[0] += 0.1
        return self.env.render()


def test_what_a_wrapper_of_the_users_does_to_the_camera_stays():
    now, later = (record_arms(how, wrappers=[Turned]) for how in ("now", "later"))

    for env in (1, 0, 2):
        for row in (4, 2):
            np.testing.assert_array_equal(later[row, env], now[row, env])
    assert (now[4, 1] != record_arms("now")[4, 1]).any()


def task_of(cache, rows):
    """Return the task of rows of the only env."""
    [job] = Planner(cache, "default").plan(rows, [0]).jobs
    [recipe] = cache._rendering.recipes(cache)
    return Task(job, maker_of(recipe, 0, {}), None, None)


def test_a_task_that_is_stopped_before_its_first_picture_decides_no_camera():
    now, later = (record_arms(how, num_envs=1) for how in ("now", "later"))
    sent, is_stopped = [], True
    performer = Performer(sent.append, lambda: is_stopped)

    performer.perform(task_of(later, [0]))
    is_stopped = False
    position = sent[-1].position
    task = task_of(later, [5])
    assert isinstance(sent[-1], Done)
    assert position.row == -1
    assert position.leads_to(task)
    performer.perform(task)

    [pictures] = [one for one in sent if isinstance(one, Pictures)]
    frame = np.empty((48, 64, 3), np.uint8)
    ChunkDecoder(parse(pictures.chunk)).read(5, frame)
    np.testing.assert_array_equal(frame, now[5, 0])
    performer._drop()


def test_only_what_is_known_looks_again():
    pytest.importorskip("mujoco", reason="what steps it")
    arm = gymnasium.make("Reacher-v5", render_mode="rgb_array", **SMALL)

    assert viewpoint.can_look_again(arm)
    assert not viewpoint.can_look_again(Turned(arm))
    assert not viewpoint.can_look_again(gymnasium.make("CartPole-v1"))

    arm.close()
