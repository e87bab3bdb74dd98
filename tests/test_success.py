"""`Episode.success` and the figures of episodes: kept, exported, summed up."""

import csv
import json
import sqlite3
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from pyarrow import parquet

import rollout_viewer as rv
from rollout_viewer._cache.summary import wilson_interval
from rollout_viewer._errors import RolloutViewerWarning, RowError


def record(path=None, ends=(2, 1, 3), num_envs=1):
    """Episodes of these lengths, one after the other, with a reward of 1 a step."""
    cache = rv.FrameCache(path)
    for length in ends:
        cache.append(None, reset=[True] * num_envs)
        for step in range(length):
            is_end = [step == length - 1] * num_envs
            cache.append(None, reward=[1.0] * num_envs, terminated=is_end)
    return cache


def found(cache):
    return [episode.success for episode in cache.episodes]


def test_success_is_not_known_until_it_is_set():
    cache = record()

    cache.mark_success(cache.episodes[0], True)
    cache.mark_success([(0, 1), (0, 2)], np.bool_(False))
    cache.mark_success((0, 2), None)

    assert found(cache) == [True, False, None]


class LandsOrCrashes(gym.Env):
    """Says of an episode that ends well "success", and of another why it ended."""

    metadata = {"render_modes": ["rgb_array"]}  # as Gymnasium's own
    render_mode = "rgb_array"
    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, lands):
        self.lands = lands

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        info = {"success": True} if self.lands else {"termination": "crash"}
        return np.zeros(2, np.float32), 0.0, True, False, info

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


def test_envs_that_report_success_by_different_keys_are_each_known():
    envs = [lambda: LandsOrCrashes(lands=True), lambda: LandsOrCrashes(lands=False)]
    env = rv.record(gym.vector.SyncVectorEnv(envs))

    env.reset(seed=0)
    env.step(np.zeros(2, np.int64))

    assert found(env.cache) == [True, False]


def test_success_is_kept_in_the_file_and_in_copies(tmp_path):
    cache = record(tmp_path / "a.rollout")
    cache.mark_success((0, 0), True)
    cache.label((0, 0), "neat")
    copy = cache.save(tmp_path / "b.rollout")
    cache.close()
    cache.mark_success((0, 1), False)

    assert found(cache) == [True, False, None]
    assert found(rv.open(cache.path)) == [True, False, None]
    assert found(rv.open(copy)) == [True, None, None]
    assert rv.open(cache.path).episodes[0].labels == {"neat": True}


def test_success_is_set_in_an_opened_file_and_seen_by_its_reader(tmp_path):
    record(tmp_path / "a.rollout").close()
    reader, other = (rv.open(tmp_path / "a.rollout") for _ in range(2))
    assert found(reader) == [None, None, None]

    other.mark_success((0, 1), True)
    seen = found(rv.open(tmp_path / "a.rollout"))
    other.mark_success((0, 1), None)

    assert seen == [None, True, None]
    assert found(other) == [None, None, None]
    assert found(rv.open(tmp_path / "a.rollout")) == [None, None, None]


def test_success_of_joined_recordings_is_that_of_their_own_episodes(tmp_path):
    for name, env in (("a", 0), ("b", 1)):
        cache = record(tmp_path / f"{name}.rollout", num_envs=2)
        cache.mark_success((env, 0), True)
        cache.close()
    joined = rv.open([tmp_path / "a.rollout", tmp_path / "b.rollout"])

    joined.mark_success((2, 1), False)

    known = {(e.env, e.index): e.success for e in joined.episodes}
    assert {key for key, value in known.items() if value} == {(0, 0), (3, 0)}
    assert known[2, 1] is False
    second = rv.open(tmp_path / "b.rollout").episodes
    assert [(e.env, e.index) for e in second if e.success is False] == [(0, 1)]


def test_a_damaged_success_is_left_out_and_the_rest_is_read(tmp_path):
    cache = record(tmp_path / "a.rollout")
    cache.close()
    with sqlite3.connect(cache.path) as file:
        info = json.dumps({"success": "maybe", "seed": 3})
        file.execute("INSERT OR REPLACE INTO episodes VALUES (0, 0, ?)", (info,))
    file.close()

    with pytest.warns(RolloutViewerWarning, match="episode 0 of env 0"):
        episode = rv.open(cache.path).episodes[0]

    assert (episode.success, episode.seed) == (None, 3)


def test_wrong_success_is_refused():
    cache = record()

    with pytest.raises(ValueError, match="expected True, False or None, got 'yes'"):
        cache.mark_success((0, 0), "yes")
    with pytest.raises(RowError, match=r"mark_success: expected an episode.*got 7"):
        cache.mark_success((0, 7), True)


def test_success_is_a_column_of_tables_only_where_it_is_known(tmp_path):
    cache = record(ends=(1, 1, 1))
    without = list(cache.clip().table())
    cache.mark_success((0, 0), True)
    cache.mark_success((0, 1), False)

    files = cache.clip().write(tmp_path / "t.csv") + cache.clip().write(
        tmp_path / "t.parquet"
    )

    assert "success" not in without
    expected = [True, True, False, False, None, None]
    np.testing.assert_array_equal(
        cache.clip().table()["success"], [1, 1, 0, 0, np.nan, np.nan]
    )
    with open(files[0], newline="") as lines:
        cells = [line["success"] for line in csv.DictReader(lines)]
    assert cells == ["True", "True", "False", "False", "", ""]
    assert parquet.read_table(files[1])["success"].to_pylist() == expected
    assert [cache.at(row, 0).success for row in range(6)] == expected


def test_a_video_says_which_of_its_episodes_succeeded(tmp_path):
    av = pytest.importorskip("av")
    cache = rv.FrameCache()
    cache.append(np.zeros((16, 16, 3), np.uint8), reset=[True])
    cache.append(np.ones((16, 16, 3), np.uint8), reward=[1.0], terminated=[True])
    cache.mark_success((0, 0), True)

    (path,) = cache.clip().write(tmp_path / "a.mp4")

    with av.open(str(path)) as file:
        (episode,) = json.loads(file.metadata["comment"])["episodes"]
    assert episode["success"] is True


def test_summary_of_hand_written_episodes():
    cache = record(ends=(2, 1, 3, 6))
    cache.append(None, reset=[True])
    cache.append(None, reward=[50.0])
    for index, success in enumerate([True, False, True]):
        cache.mark_success((0, index), success)

    summary = cache.summary()

    # returns 2, 1, 3, 6; the unfinished episode's is in none of these
    assert (summary.num_episodes, summary.num_finished) == (5, 4)
    assert (summary.return_mean, summary.return_median) == (3.0, 2.5)
    assert (summary["return_min"], summary["return_max"]) == (1.0, 6.0)
    assert summary.length_mean == 3.0
    assert (summary.num_successes, summary.num_known) == (2, 3)
    assert summary.success_rate == pytest.approx(2 / 3)
    assert str(summary).splitlines() == [
        "episodes      5 (4 finished)",
        "return mean   3",
        "return median 2.5",
        "return range  1 to 6",
        "length mean   3",
        "success rate  66.7% (2 of 3)",
        "95% interval  20.8% to 93.9% (Wilson)",
    ]
    assert "<td>66.7% (2 of 3)</td>" in summary._repr_html_()
    assert dict(summary)["num_episodes"] == 5


def test_summary_of_nothing_has_no_figures():
    summary = rv.FrameCache().summary()

    assert (summary.num_episodes, summary.return_mean, summary.success_rate) == (
        0,
        None,
        None,
    )
    assert str(summary) == "episodes      0 (0 finished)"


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(successes, count, low, high):
    assert wilson_interval(successes, count) == pytest.approx((low, high), abs=6e-5)


def test_without_scipy_the_rate_has_no_interval():
    code = """
import sys
sys.modules["scipy"] = sys.modules["scipy.stats"] = None
from rollout_viewer._cache.summary import summary_of
from rollout_viewer._recording.episode import Episode
summary = summary_of([Episode(0, 0, 0, 2, 1, 1.0, True, False, True)])
assert summary.success_rate == 1.0 and summary.success_interval is None
print(summary)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert 'pip install "rollout-viewer[stats]"' in ran.stdout
