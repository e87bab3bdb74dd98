"""What steps return as info: data of their rows, in every form that it comes in."""

import contextlib
import csv
import json
import sqlite3
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from pyarrow import parquet

import rollout_viewer as rv
from rollout_viewer import _errors
from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.step_info import StepInfo

NAN = float("nan")


class Reports(gym.Env):
    """Ends after `length` steps; `reports` are the infos of its reset and steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
    render_mode = "rgb_array"
    observation_space = gym.spaces.Box(-1, 1, (1,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, reports, length=None):
        self.reports, self.length = reports, length or len(reports) - 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.now = 0
        return np.zeros(1, np.float32), dict(self.reports[0])

    def step(self, action):
        self.now += 1
        info = dict(self.reports[self.now]) if self.now < len(self.reports) else {}
        obs = np.full(1, self.now / 10, np.float32)
        return obs, 1.0, self.now == self.length, False, info

    def render(self):
        return np.full((8, 8, 3), self.now % 256, np.uint8)


def played(env, episodes=1, steps=None):
    for _ in range(episodes):
        env.reset()
        for _ in range(steps or env.unwrapped.length):
            env.step(0)
    return env.cache


@pytest.fixture(autouse=True)
def _warn_again():
    _errors._warned.clear()


def column(cache, name):
    return cache.clip().table()[name].tolist()


def same(found, expected):
    np.testing.assert_array_equal(found, expected)


def test_numbers_truth_values_texts_and_arrays_are_data_of_their_rows():
    first = {"dist": 2, "near": False, "at": {"room": "hall", "xy": [1, 2]}}
    second = {"dist": np.float32(0.5), "near": np.True_, "at": {"room": "attic"}}
    cache = played(rv.record(Reports([{"goal": "red"}, first, second, {}])))

    moments = [cache.at(row, 0) for row in range(4)]
    assert moments[0]["info.goal"] == "red"
    assert "info.dist" not in moments[0]
    assert (moments[1]["info.dist"], moments[1]["info.near"]) == (2.0, False)
    assert type(moments[1]["info.near"]) is bool
    assert moments[1]["info.at.xy"].tolist() == [1.0, 2.0]
    assert moments[1]["info.at.room"] == "hall"
    assert (moments[2]["info.dist"], moments[2]["info.near"]) == (0.5, True)
    assert moments[2]["info.at.room"] == "attic"
    assert not [name for name in moments[3] if name.startswith("info.")]
    same(column(cache, "info.dist"), [NAN, 2, 0.5, NAN])
    same(column(cache, "info.near"), [NAN, 0, 1, NAN])
    same(column(cache, "info.at.xy.1"), [NAN, 2, NAN, NAN])


def test_types_are_read_back_from_the_file_and_from_tables(tmp_path):
    reports = [{}, {"won": True, "room": "hall"}, {"won": False, "room": "=1"}, {}]
    cache = played(rv.record(Reports(reports), cache=tmp_path / "a.rollout"))
    cache.close()

    read = rv.open(tmp_path / "a.rollout")
    read.clip().write(tmp_path / "t.csv")
    read.clip().write(tmp_path / "t.parquet")

    assert [read.at(row, 0).get("info.room") for row in range(4)] == [
        *(None, "hall", "=1", None)
    ]
    with open(tmp_path / "t.csv", newline="") as file:
        lines = [(one["info.won"], one["info.room"]) for one in csv.DictReader(file)]
    assert lines == [("", ""), ("True", "hall"), ("False", "'=1"), ("", "")]
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table["info.won"].to_pylist() == [None, True, False, None]
    assert table["info.room"].to_pylist() == [None, "hall", "=1", None]


def test_texts_of_recordings_that_are_read_as_one_stay_theirs(tmp_path):
    for name, rooms in (("a", ["hall", "attic"]), ("b", ["attic", "yard"])):
        reports = [{}, *({"room": room} for room in rooms)]
        played(rv.record(Reports(reports), cache=tmp_path / f"{name}.rollout")).close()

    both = rv.open([tmp_path / "a.rollout", tmp_path / "b.rollout"])

    found = [[both.at(row, env)["info.room"] for env in range(2)] for row in (1, 2)]
    assert found == [["hall", "attic"], ["attic", "yard"]]
    copy = rv.open(both.save(tmp_path / "c.rollout"))
    assert [copy.at(2, env)["info.room"] for env in range(2)] == ["attic", "yard"]


def test_some_names_or_nothing_is_recorded():
    reports = [{}, {"a": 1.0, "b": {"x": 2.0, "y": 3.0}, "c": 4.0}]

    def names(**options):
        cache = played(rv.record(Reports(reports), **options))
        return [name for name in cache.at(1, 0) if name.startswith("info.")]

    assert names(info=["a", "b.y"]) == ["info.a", "info.b.y"]
    assert names(info="b") == ["info.b.x", "info.b.y"]
    assert names(info=False) == []
    assert len(names()) == 4
    with pytest.raises(TypeError, match="expected info to be True, False or names"):
        rv.record(Reports(reports), info=3)
    assert "info.a" not in rv.rollout(Reports(reports), max_steps=1, info=["c"]).at(
        1, 0
    )


def test_what_cannot_be_recorded_is_left_out_with_one_warning():
    class Odd:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("no array")

    odd: dict[str, Any] = {
        "object": object(),
        "odd": Odd(),
        "none": None,
        "ragged": [[1], [1, 2]],
        "huge": 10**400,
        "complex": 1j,
        "self": {},
        "dist": 1.0,
    }
    odd["self"]["again"] = odd["self"]  # nested without end
    env = rv.record(Reports([{}, odd, odd, odd]))

    with pytest.warns(RolloutViewerWarning) as warned:
        cache = played(env)

    assert len([one for one in warned if "info" in str(one.message)]) == 1
    same(column(cache, "info.dist"), [NAN, 1, 1, 1])
    assert [n for n in cache.at(2, 0) if n.startswith("info.")] == ["info.dist"]


@pytest.mark.parametrize("info", [None, [], "text", 3])
def test_an_info_that_is_no_dict_ends_nothing(info):
    class Env(Reports):
        def step(self, action):
            return (*super().step(action)[:4], info)

    expected: Any = contextlib.nullcontext()
    if info in ("text", 3):
        expected = pytest.warns(RolloutViewerWarning, match="a dict for each env")
    with expected:
        cache = played(rv.record(Env([{}, {}, {}])))

    assert [episode.length for episode in cache.episodes] == [2]


def test_more_than_4_kb_of_an_env_is_left_out_with_one_warning():
    reports = [{}, *[{"map": np.zeros((16, 32)), "dist": 1.0, "big": np.zeros(9)}] * 3]
    env = rv.record(Reports(reports))

    with pytest.warns(RolloutViewerWarning, match="at most 4096 bytes") as warned:
        cache = played(env)

    assert len(warned) == 1
    assert cache.at(1, 0)["info.map"].shape == (16, 32)
    assert "info.dist" not in cache.at(3, 0)


def test_texts_that_never_repeat_are_left_out():
    reports = [{}, *({"log": f"step {number}"} for number in range(300))]

    with pytest.warns(RolloutViewerWarning, match="got str of 'log'"):
        cache = played(rv.record(Reports(reports)))

    assert cache.at(256, 0)["info.log"] == "step 255"
    assert "info.log" not in cache.at(257, 0)


def test_a_key_of_several_types_is_numbers_and_of_several_shapes_each_rows():
    reports = [{}, {"x": True, "y": [1.0]}, {"x": 0.5, "y": [1.0, 2.0]}, {"x": False}]

    cache = played(rv.record(Reports(reports)))

    assert [cache.at(row, 0)["info.x"] for row in (1, 2, 3)] == [1.0, 0.5, 0.0]
    assert cache.at(2, 0)["info.y"].tolist() == [1.0, 2.0]


def test_skipped_calls_leave_their_newest_values_to_the_next_row():
    reports = [{}, {"a": 1.0, "b": 1.0}, {"a": 2.0}, {"a": 3.0}, {"a": 4.0}, {}]
    cache = played(rv.record(Reports(reports), skip=3))

    # calls 0, 3 have rows, and the end at call 5
    same(column(cache, "info.a"), [NAN, 3, 4])
    same(column(cache, "info.b"), [NAN, 1, NAN])


def test_a_success_of_a_skipped_call_is_not_lost():
    reports = [{}, {}, {"is_success": True}, {}, {}]
    cache = played(rv.record(Reports(reports), skip=4))

    assert [episode.success for episode in cache.episodes] == [True]


def test_kept_episodes_have_their_info_and_success():
    class Env(Reports):
        def reset(self, **options):
            self.reports[-1]["is_success"] = not self.reports[-1]["is_success"]
            return super().reset(**options)

    asked: list[bool | None] = []

    def keep(episode):
        asked.append(episode.success)
        return bool(episode.success)

    env = rv.record(
        Env([{}, {"room": "hall"}, {"room": "yard", "is_success": True}]),
        keep_episode=keep,
    )
    cache = played(env, episodes=4)

    assert asked == [False, True, False, True]
    assert [episode.success for episode in cache.episodes] == [True, True]
    assert column(cache, "info.room") == ["", "hall", "yard"] * 2


def test_the_types_of_a_damaged_file_are_left_out(tmp_path):
    played(rv.record(Reports([{}, {"x": "a"}]), cache=tmp_path / "a.rollout")).close()
    with sqlite3.connect(tmp_path / "a.rollout") as file:
        text = json.dumps({"info.x": 3})
        file.execute("UPDATE meta SET value = ? WHERE key = 'info_types'", (text,))
    file.close()

    with pytest.warns(RolloutViewerWarning, match="info_types"):
        cache = rv.open(tmp_path / "a.rollout")
        cache.num_rows

    assert cache.at(1, 0)["info.x"] == 0.0


def test_two_recorders_of_one_cache_agree_on_their_texts():
    cache = rv.FrameCache()
    one = rv.record(Reports([{}, {"x": "a"}, {"x": "b"}]), cache=cache)
    two = rv.record(Reports([{}, {"x": "c"}, {"x": "b"}]), cache=cache)

    played(one), played(two), played(one)

    assert column(cache, "info.x") == ["", "a", "b", "", "c", "b", "", "a", "b"]


# -- vector environments


def test_one_key_of_several_types_in_recordings_that_are_read_as_one(tmp_path):
    reports = [{"x": 0.5}, {"x": True}, {"x": "won"}]
    paths = [tmp_path / f"{number}.rollout" for number in range(3)]
    for path, report in zip(paths, reports, strict=True):
        played(rv.record(Reports([{}, report]), cache=path)).close()

    numbers = rv.open(paths)
    assert numbers.at(1, 0)["info.x"] == 0.5
    assert numbers.at(1, 1)["info.x"] == 1
    assert np.isnan(numbers.at(1, 2)["info.x"])  # no text is a number
    texts = rv.open([paths[2], paths[0]])
    assert [texts.at(1, env)["info.x"] for env in (0, 1)] == ["won", None]


def test_a_recorder_that_has_another_type_leaves_it_out():
    cache = rv.FrameCache()
    played(rv.record(Reports([{}, {"x": "a"}]), cache=cache))
    with pytest.warns(RolloutViewerWarning, match="got both"):
        played(rv.record(Reports([{}, {"x": 0.0}]), cache=cache))

    assert cache.at(1, 0)["info.x"] == "a"
    assert cache.at(3, 0).get("info.x") is None


def vector_of(*lengths, mode):
    def make(length, number):
        reports = [{"at": 0.0}, *({"at": 10.0 * number + k} for k in range(1, 9))]
        reports[length]["is_success"] = number == 0
        return lambda: Reports(reports, length)

    envs = [make(length, number) for number, length in enumerate(lengths)]
    return SyncVectorEnv(envs, autoreset_mode=mode)


def table_of(cache, name):
    table = cache.clip().table()
    values = table.get(name, np.full(len(table["row"]), NAN)).reshape(-1, 2)
    kinds = table["kind"].reshape(-1, 2)
    return [
        (*kind, *(None if one != one else one for one in value))
        for kind, value in zip(kinds.tolist(), values.tolist(), strict=True)
    ]


def stepped(env, steps, resets=False):
    env.reset()
    for _ in range(steps):
        *_, terminated, truncated, _ = env.step(np.zeros(2, np.int64))
        if resets and (terminated | truncated).any():
            env.reset(options={"reset_mask": terminated | truncated})
    return env.cache


def test_infos_of_a_vector_env_that_resets_in_the_next_step():
    env = rv.record(vector_of(2, 3, mode=AutoresetMode.NEXT_STEP))

    cache = stepped(env, 4)

    assert table_of(cache, "info.at") == [
        ("reset", "reset", 0, 0),
        ("step", "step", 1, 11),
        ("step", "step", 2, 12),
        ("reset", "step", 0, 13),
        ("step", "reset", 1, 0),
    ]
    assert [e.success for e in cache.episodes] == [True, False, None, None]


def test_infos_of_a_vector_env_that_resets_in_the_same_step():
    vector = vector_of(2, 3, mode=AutoresetMode.SAME_STEP)
    env = rv.record(gym.wrappers.vector.RecordEpisodeStatistics(vector))

    cache = stepped(env, 3)

    assert table_of(cache, "info.at") == [
        ("reset", "reset", 0, 0),
        ("step", "step", 1, 11),
        ("terminal_missing", "step", 2, 12),
        ("reset", "idle", 0, None),
        ("step", "terminal_missing", 1, 13),
        ("idle", "reset", None, 0),
    ]
    returns = [line[2:] for line in table_of(cache, "info.episode.r")]
    none = (None, None)
    assert returns == [none, none, (2, None), none, (None, 3), none]
    assert [e.success for e in cache.episodes] == [True, False, None, None]


def test_infos_of_a_vector_env_that_is_reset_by_its_user():
    env = rv.record(vector_of(2, 3, mode=AutoresetMode.DISABLED))

    cache = stepped(env, 3, resets=True)

    assert table_of(cache, "info.at") == [
        ("reset", "reset", 0, 0),
        ("step", "step", 1, 11),
        ("step", "step", 2, 12),
        ("reset", "idle", 0, None),
        ("step", "step", 1, 13),
        ("idle", "reset", None, 0),
    ]
    assert [e.success for e in cache.episodes] == [True, False, None, None]


def test_infos_of_simulations_are_batches_and_values_of_all():
    class Batch:
        num_envs = 3
        metadata = {"autoreset_mode": "NextStep"}

        def reset(self):
            return np.zeros((3, 1)), {}

        def step(self, actions):
            import torch

            info = {
                "success": torch.tensor([True, False, True]),
                "force": np.arange(6.0).reshape(3, 2),
                "phase": "grasp",
                "log": {"loss": 0.5},
            }
            ended = np.array([True, True, False])
            return np.zeros((3, 1)), np.ones(3), ended, np.zeros(3, bool), info

        def render(self):
            return np.zeros((3, 8, 8, 3), np.uint8)

    env = rv.record(Batch())
    env.reset()
    env.step(np.zeros(3))

    at = [env.cache.at(1, number) for number in range(3)]
    assert [one["info.success"] for one in at] == [True, False, True]
    assert [one["info.force"].tolist() for one in at] == [[0, 1], [2, 3], [4, 5]]
    assert [one["info.phase"] for one in at] == ["grasp"] * 3
    assert [one["info.log.loss"] for one in at] == [0.5] * 3
    assert [e.success for e in env.cache.episodes] == [True, False, None]


# -- other frameworks


def test_statistics_of_episodes_are_data_of_the_rows_of_their_ends():
    env = gym.make("CartPole-v1", render_mode="rgb_array")
    env = rv.record(gym.wrappers.RecordEpisodeStatistics(env))
    cache = rv.rollout(env, episodes=2, seed=0, progress=False)

    one, two = cache.episodes
    for name, values in (
        ("info.episode.l", (one.length, two.length)),
        ("info.episode.r", (one.total_reward, two.total_reward)),
    ):
        expected = np.full(cache.num_rows, NAN)
        expected[[one.stop - 1, two.stop - 1]] = values
        same(column(cache, name), expected)


def test_infos_of_sb3_with_a_monitor():
    monitor = pytest.importorskip("stable_baselines3.common.monitor")
    from stable_baselines3.common.vec_env import DummyVecEnv

    def make(success):
        reports = [{}, {"dist": 2.0}, {"dist": 1.0, "is_success": success}]
        return lambda: monitor.Monitor(Reports(reports))

    env = rv.record(DummyVecEnv([make(True), make(False)]))
    env.reset()
    for _ in range(3):
        env.step(np.zeros(2, np.int64))

    cache = env.cache
    assert table_of(cache, "info.dist") == [
        ("reset", "reset", None, None),
        ("step", "step", 2, 2),
        ("terminal_missing", "terminal_missing", 1, 1),
        ("reset", "reset", None, None),
        ("step", "step", 2, 2),
    ]
    assert [line[2:] for line in table_of(cache, "info.episode.r")][2] == (2.0, 2.0)
    assert "info.TimeLimit.truncated" not in cache.at(1, 0)
    assert [e.success for e in cache.episodes] == [True, False, None, None]


def test_infos_of_pettingzoos_agents():
    pytest.importorskip("pettingzoo")
    from pettingzoo import ParallelEnv

    class Two(ParallelEnv):
        metadata = {"name": "two"}
        render_mode = "rgb_array"
        possible_agents = ["a", "b"]

        def observation_space(self, agent):
            return gym.spaces.Discrete(2)

        def action_space(self, agent):
            return gym.spaces.Discrete(2)

        def reset(self, seed=None, options=None):
            self.agents = ["a", "b"]
            return {"a": 0, "b": 0}, {"a": {}, "b": {}}

        def step(self, actions):
            flags = dict.fromkeys("ab", False)
            info = {"a": {"x": 1.0}, "b": {"success": True}}
            self.agents = ["a"]
            ends = {"a": False, "b": True}
            return {"a": 0, "b": 0}, {"a": 1.0, "b": 1.0}, ends, flags, info

        def render(self):
            return np.zeros((8, 8, 3), np.uint8)

    env = rv.record(Two())
    env.reset()
    env.step({"a": 0, "b": 0})

    assert env.cache.at(1, 0)["info.x"] == 1.0
    assert env.cache.at(1, 1)["info.success"] is True
    assert [e.success for e in env.cache.episodes] == [None, True]


def test_entries_of_torchrl_are_info():
    pytest.importorskip("torchrl")
    from torchrl.envs import GymWrapper, StepCounter, TransformedEnv

    def report(dist, success):
        return {"dist": np.float32(dist), "success": np.bool_(success)}

    reports = [report(0, False), report(2, False), report(1, True)]
    base = GymWrapper(Reports(reports), from_pixels=False)
    base.auto_register_info_dict()
    env = rv.record(TransformedEnv(base, StepCounter()))

    env.rollout(2)

    same(column(env.cache, "info.dist"), [NAN, 2, 1])
    same(column(env.cache, "info.step_count"), [NAN, 1, 2])
    assert [e.success for e in env.cache.episodes] == [True]


def test_videos_keep_the_info_of_their_steps(tmp_path):
    env = rv.RecordVideo(
        Reports([{}, {"a": 1.0, "b": 2.0, "is_success": True}]),
        str(tmp_path),
        lambda episode: True,
        info=["a"],
    )
    played(env)
    env.close()

    assert [n for n in env.cache.at(1, 0) if n.startswith("info.")] == ["info.a"]
    assert [e.success for e in env.cache.episodes] == [True]
    (about,) = tmp_path.glob("*.json")
    assert json.loads(about.read_text())["episodes"][0]["success"] is True


def to_the_goal(obs):
    """Return the push of a point mass towards its goal, on a straight line."""
    way, velocity = obs["desired_goal"] - obs["achieved_goal"], obs["observation"][2:]
    return np.clip(4 * way - velocity, -1, 1).astype(np.float32)


@pytest.mark.parametrize("reaches", [True, False])
def test_a_goal_env_reports_its_success(reaches):
    robotics = pytest.importorskip("gymnasium_robotics")
    gym.register_envs(robotics)
    options = {"continuing_task": False, "max_episode_steps": 200 if reaches else 4}
    env = gym.make("PointMaze_Open-v3", render_mode="rgb_array", **options)

    with rv.rollout(
        env,
        policy=to_the_goal if reaches else lambda _: np.zeros(2, np.float32),
        episodes=1,
        seed=0,
        progress=False,
    ) as cache:
        (episode,) = cache.episodes
        said = [cache.at(row, 0)["info.success"] for row in range(cache.num_rows)]
        last = cache.at(episode.stop - 1, 0)

    assert said == [False] * episode.length + [reaches]
    assert episode.success is reaches
    assert (last.terminated, last.truncated) == (reaches, not reaches)
    distance = np.linalg.norm(last["obs.desired_goal"] - last["obs.achieved_goal"])
    assert (distance <= 0.45) == reaches


@pytest.mark.filterwarnings("ignore:.*precision lowered by casting")
def test_a_given_weighting_of_objectives_is_the_reward_and_each_is_info():
    mo_gymnasium = pytest.importorskip("mo_gymnasium")
    wrappers = pytest.importorskip("mo_gymnasium.wrappers")

    env = mo_gymnasium.make("deep-sea-treasure-v0", render_mode="rgb_array")
    env = rv.record(wrappers.LinearReward(env, np.array([0.5, 0.25])))
    env.reset(seed=0)
    for _ in range(2):
        env.step(1)  # one step down finds a treasure of 0.7

    moment = env.cache.at(1, 0)
    treasure, time = moment["info.vector_reward"]
    assert (treasure, time) == (pytest.approx(0.7), -1.0)
    assert moment.reward == pytest.approx(0.5 * 0.7 - 0.25)
    assert moment["info.reward_weights"].tolist() == [0.5, 0.25]


def test_minigrid_has_no_success_of_its_own():
    pytest.importorskip("minigrid")
    env = gym.make("MiniGrid-Empty-5x5-v0", render_mode="rgb_array")

    cache = rv.rollout(
        env, episodes=1, seed=0, progress=False, success=lambda e: e.total_reward > 0
    )

    (episode,) = cache.episodes
    assert episode.success is (episode.total_reward > 0)


# -- the rule


@pytest.mark.parametrize(
    ("infos", "expected"),
    [
        ([{"is_success": False}, {"is_success": True}], True),
        ([{"success": True}, {"success": False}], False),
        ([{"success": np.float32(1.0)}, {}], True),
        ([{}, {"is_success": 0, "success": True}], False),
        ([{}, {"success": NAN}], None),
        ([{}, {"success": "yes"}], None),
        ([{}, {"termination": "goal reached"}], True),
        ([{}, {"termination": "Crash"}], False),
        ([{}, {"termination": "timeout"}], None),
        ([{}, {}], None),
    ],
)
def test_success_is_what_the_last_info_says(infos, expected):
    cache = played(rv.record(Reports([{}, *infos])))

    assert [episode.success for episode in cache.episodes] == [expected]


def test_success_of_an_episode_that_a_reset_cuts_off_is_known():
    env = rv.record(Reports([{}, {"is_success": True}, {}, {}]))
    env.reset(), env.step(0), env.reset(), env.step(0)

    # of the one that runs it is not
    assert [e.success for e in env.cache.episodes] == [True, None]


def test_success_of_an_episode_that_another_recorder_cut_off_is_not_the_others():
    cache = rv.FrameCache()
    one, two = (
        rv.record(Reports([{}, {"is_success": True}, {}, {}]), cache=cache)
        for _ in range(2)
    )
    one.reset(), one.step(0)
    two.reset(), two.step(0)
    one.reset()

    assert [e.success for e in cache.episodes] == [None, None, None]


def test_recording_continues_after_the_cache_was_cleared():
    env = rv.record(Reports([{}, {"is_success": True}, {}, {}]))
    env.reset(), env.step(0)
    env.cache.clear()

    env.reset(), env.step(0), env.reset(), env.step(0)

    assert [e.success for e in env.cache.episodes] == [True, None]


def test_other_rules_of_success():
    reports = [{}, {"success": True}, {"success": False}]

    def found(env, **options):
        (episode,) = played(rv.record(env, **options)).episodes
        return episode.success

    assert found(Reports(reports), success="once") is True
    assert found(Reports(reports), success="end") is False
    assert found(Reports(reports), success=lambda e: e.length == 2) is True
    assert found(Reports(reports), success=lambda e: None) is None
    assert found(Reports(reports), success=lambda e: not e.success, info=False) is True
    with pytest.warns(RolloutViewerWarning, match="expected success to return"):
        assert found(Reports(reports), success=lambda e: 1 / 0) is None
    with pytest.raises(ValueError, match="expected success to be a function"):
        rv.record(Reports(reports), success="sometimes")
    with pytest.raises(ValueError, match=r"with spec\.reward_threshold"):
        rv.record(Reports(reports), success="reward_threshold")


def test_reward_threshold_is_a_rule_only_where_it_is_asked_for():
    def successes(**options):
        env = gym.make("CartPole-v1", render_mode="rgb_array")
        cache = rv.rollout(env, episodes=2, seed=0, progress=False, **options)
        return [episode.success for episode in cache.episodes]

    assert successes() == [None, None]
    assert successes(success="reward_threshold") == [False, False]


def test_a_text_among_numbers_leaves_them_as_they_are():
    env = rv.record(Reports([{"x": 1.5}, {"x": "n/a"}, {"x": 2}]))

    with pytest.warns(RolloutViewerWarning, match="texts or numbers, got both"):
        cache = played(env)

    assert cache.at(0, 0)["info.x"] == 1.5
    assert "info.x" not in cache.at(1, 0)
    assert cache.at(2, 0)["info.x"] == 2


class Sparse:
    def __array__(self, *args, **options):
        raise TypeError("to_dense() first")


@pytest.mark.parametrize("value", [np.array(None, object), Sparse()])
def test_what_cannot_be_read_of_a_batch_leaves_the_other_keys(value):
    class Odd(SyncVectorEnv):
        def step(self, actions):
            *result, _ = super().step(actions)
            return *result, {"odd": value, "x": np.array([1.0, 2.0])}

    env = rv.record(Odd([lambda: Reports([{}, {}])] * 2))
    env.reset()
    with pytest.warns(RolloutViewerWarning, match="of 'odd'"):
        env.step([0, 0])

    assert [env.cache.at(1, one)["info.x"] for one in range(2)] == [1, 2]


def recorded_infos(num_envs, *infos):
    """Return what a recorder has of the info "a" in each row of steps."""
    recorder = Recorder(num_envs)
    frames = [np.zeros((8, 8, 3), np.uint8)] * num_envs
    ends = np.zeros(num_envs, np.bool_)
    recorder.add(np.zeros(num_envs, np.uint8), lambda: frames)
    for info in infos:
        recorder.add(
            np.ones(num_envs, np.uint8),
            lambda: frames,
            reward=np.ones(num_envs),
            terminated=ends,
            truncated=ends,
            step_info=info,
        )
    return recorder.cache.column("info.a", 1).tolist()


def test_a_list_of_fewer_infos_than_envs_is_reported_however_late_it_comes():
    with (
        pytest.warns(RolloutViewerWarning, match="of success to be a bool, got Index"),
        pytest.warns(RolloutViewerWarning, match="a dict for each env, got IndexErr"),
    ):
        found = recorded_infos(3, *[[{"a": 1.0}] * 3] * 3, [{"a": 2.0}])
    same(found, [[1.0] * 3] * 3 + [[2.0, NAN, NAN]])


def test_an_array_of_infos_is_read_as_a_list_is():
    infos = np.array([{"a": 1.0}, {"a": 2.0}], object)
    assert recorded_infos(2, infos, infos) == [[1.0, 2.0]] * 2


def test_infos_are_taken_as_they_are_again_after_one_that_could_not_be(monkeypatch):
    tried = []

    def at_once(self, info, at_once=StepInfo.at_once):
        tried.append(found := at_once(self, info))
        return found

    monkeypatch.setattr(StepInfo, "at_once", at_once)
    usual, text = [{"a": 1.0}] * 2, [{"a": 1.0}, {"a": 1.0, "b": {"c": "new"}}]
    with contextlib.suppress(RolloutViewerWarning):
        found = recorded_infos(2, usual, usual, text, *[usual] * 80)

    same(found, [[1.0, 1.0]] * 83)
    assert tried.count(None) < 5
    assert len(tried) - tried.count(None) > 40
