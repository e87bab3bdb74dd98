"""The recorder core: skip, choice of episodes and envs, crop and resize, dumps."""

import copy
import pickle
import threading

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter

import rollout_viewer as rv
from rollout_viewer._cache.block_builder import BlockBuilder
from rollout_viewer._recorder import episode_filter, views
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources._record import record
from rollout_viewer.testing import CountingEnv, counting_frame, read_count
from tests.row_model import episodes, table, vector


class Simulator:
    """Calls a recorder as envs do that run for so many steps, and are then reset."""

    def __init__(self, lengths, **options) -> None:
        self.lengths = lengths
        self.recorder = Recorder(len(lengths), **options)
        self.steps = [0] * len(lengths)
        self.num_calls = 0
        self.num_renders = 0

    def pictures(self):
        self.num_renders += 1
        return [counting_frame(self.num_calls, env) for env in range(len(self.steps))]

    def reset(self):
        self.steps = [0] * len(self.steps)
        self.recorder.add([Kind.RESET] * len(self.steps), self.pictures)
        self.num_calls += 1

    def call(self):
        """NEXT_STEP autoreset: reward of a step is its number."""
        kinds, rewards, ends = [], [], []
        for env, length in enumerate(self.lengths):
            is_reset = self.steps[env] == length
            self.steps[env] = 0 if is_reset else self.steps[env] + 1
            kinds.append(Kind.RESET if is_reset else Kind.STEP)
            rewards.append(float(self.steps[env]))
            ends.append(self.steps[env] == length)
        self.recorder.add(
            kinds,
            self.pictures,
            reward=rewards,
            terminated=ends,
            truncated=[False] * len(ends),
            action=[self.num_calls] * len(ends),
        )
        self.num_calls += 1


def rows(cache, env):
    """Return kind, number of the call in the picture, reward, end, env_step, action."""
    found = []
    for row in range(cache.num_rows):
        now = cache.at(row, env)
        shown = read_count(cache[row, env])[0] if now.has_picture else None
        reward = None if np.isnan(now.reward) else now.reward
        action = None if now.action is None else int(now.action)
        found.append((now.kind, shown, reward, now.terminated, now.env_step, action))
    return found


# -- skip


def test_skipped_calls_add_up_in_the_next_row():
    simulator = Simulator([100], skip=3)

    simulator.reset()
    for _ in range(7):
        simulator.call()

    # The action at a row is the first one after it: it was chosen at its frame.
    assert rows(simulator.recorder.cache, 0) == [
        ("reset", 0, None, False, 0, 1),
        ("step", 3, 1.0 + 2.0 + 3.0, False, 3, 4),
        ("step", 6, 4.0 + 5.0 + 6.0, False, 6, None),
    ]
    assert simulator.num_renders == 3


def test_an_end_that_was_skipped_stands_in_the_next_row():
    simulator = Simulator([2], skip=2)
    recorder = simulator.recorder

    simulator.reset()  # call 0, kept
    simulator.call()
    simulator.call()  # call 2 ends, kept
    simulator.call()  # call 3 resets
    simulator.call()  # call 4, kept

    assert rows(recorder.cache, 0) == [
        ("reset", 0, None, False, 0, 1),
        ("step", 2, 3.0, True, 2, None),
        ("step", 4, 1.0, False, 1, None),
    ]
    assert episodes(recorder.cache, 0) == [
        (0, 2, 2, 3.0, True, False),
        (2, 3, 1, 1.0, False, False),
    ]


def test_an_end_that_was_skipped_before_a_reset_has_a_row_of_its_own():
    simulator = Simulator([3, 50], skip=4)

    simulator.reset()  # kept
    for _ in range(4):  # env 0 ends in call 3, and is reset in call 4, kept
        simulator.call()

    cache = simulator.recorder.cache
    assert rows(cache, 0) == [
        ("reset", 0, None, False, 0, 1),
        ("terminal_missing", None, 6.0, True, 3, None),
        ("reset", 4, None, False, 0, None),
    ]
    assert rows(cache, 1) == [
        ("reset", 0, None, False, 0, 1),
        ("idle", 0, None, False, 0, 1),
        ("step", 4, 10.0, False, 4, None),
    ]
    assert episodes(cache, 0)[0] == (0, 2, 3, 6.0, True, False)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    skip=st.integers(2, 9),
)
def test_skip_changes_no_length_and_no_total_reward(lengths, skip):
    simulators = [Simulator(lengths, skip=n) for n in (1, skip)]
    for simulator in simulators:
        simulator.reset()
        for _ in range(40):
            simulator.call()
        simulator.recorder.finish()

    for env in range(len(lengths)):
        every, some = (episodes(s.recorder.cache, env) for s in simulators)
        finished = [e[2:] for e in every if e[4]]
        assert [e[2:] for e in some if e[4]] == finished
        assert len(finished) >= 3
    for simulator in simulators:
        simulator.recorder.cache.close()


def test_a_reset_that_cuts_off_an_episode_is_never_skipped():
    simulator = Simulator([100], skip=4)

    simulator.reset()
    simulator.call()
    simulator.call()
    simulator.reset()
    simulator.call()

    assert rows(simulator.recorder.cache, 0) == [
        ("reset", 0, None, False, 0, 1),
        ("terminal_missing", None, 3.0, False, 2, None),
        ("reset", 3, None, False, 0, 4),
        ("step", 4, 1.0, False, 1, None),
    ]


def test_skipped_steps_at_the_end_are_not_lost():
    simulator = Simulator([100], skip=4)
    simulator.reset()
    simulator.call()

    simulator.recorder.finish()

    assert episodes(simulator.recorder.cache, 0) == [(0, 2, 1, 1.0, False, False)]


def test_same_step_ends_that_were_skipped_are_counted_once():
    env = record(vector(AutoresetMode.SAME_STEP, [2], [9]), skip=3)

    env.reset()
    for call in range(6):
        env.step(np.array([call % 4, 0]))

    # env 0 ends in calls 2, 4 and 6; calls 0, 3 and 6 are kept
    assert table(env.cache, 0) == [
        ("reset", (0, 0), None, "", 0),
        ("terminal_missing", None, 3.0, "T", None),
        ("step", (1, 1), 1.0, "", 3),
        ("terminal_missing", None, 2.0, "T", None),
        ("terminal_missing", None, 3.0, "T", None),
        ("reset", (3, 0), None, "", None),
    ]


# -- choice of episodes


def test_every_nth_episode_is_recorded_and_the_others_are_not_rendered():
    bare = CountingEnv([2])
    env = record(bare, every=3)

    for _ in range(7):
        env.reset()
        env.step(0)
        env.step(0)

    assert bare.num_renders == 9
    assert [row[1] for row in table(env.cache, 0)] == [
        (episode, step) for episode in (0, 3, 6) for step in (0, 1, 2)
    ]
    assert [e.labels["episode"] for e in env.cache.episodes] == [0, 3, 6]


@pytest.mark.parametrize("options", [{"every": 2}, {"keep_episode": lambda e: True}])
def test_labels_of_a_segment_stay_beside_the_recorders_own(options):
    env = record(CountingEnv([2]), **options)

    with env.cache.segment("eval", train_step=5):
        env.reset(seed=0)
        env.step(0)
        env.step(0)

    (episode,) = env.cache.episodes
    own = {"episode": 0} if "every" in options else {}
    assert episode.segment == "eval"
    assert episode.labels == {"train_step": 5, **own}
    assert episode.seed == 0


@pytest.mark.parametrize("options", [{"skip": 3}, {"keep_episode": lambda e: True}])
def test_a_row_that_comes_late_is_in_the_segment_in_which_its_episode_began(options):
    env = record(CountingEnv([2, 2, 1, 9]), **options)

    with env.cache.segment("eval", train_step=5):
        for _ in range(2):
            env.reset()
            env.step(0)
            env.step(0)
        env.reset()
    env.step(0)
    with env.cache.segment("other", train_step=9):
        env.cache.flush()
        env.reset()
    env.step(0)
    env.cache.flush()
    env.close()

    found = [(e.segment, dict(e.labels)) for e in env.cache.episodes]
    assert found[:3] == [("eval", {"train_step": 5})] * 3
    assert found[3:] in ([("other", {"train_step": 9})], [])


def test_a_row_that_comes_late_has_nothing_of_a_later_segment_of_the_same_name():
    env = record(CountingEnv([9]), skip=3)

    with env.cache.segment("eval", train_step=5):
        env.reset()
        env.reset()
    with env.cache.segment("eval", seed=3, train_step=9, other=1):
        env.step(0)
        env.cache.flush()

    newest = list(env.cache.episodes)[-1]
    assert (newest.segment, newest.seed) == ("eval", None)
    assert newest.labels == {"train_step": 5}


def test_an_episode_that_began_outside_of_a_segment_is_in_none():
    env = record(CountingEnv([2]), keep_episode=lambda e: True)

    env.reset()
    env.step(0)
    with env.cache.segment("eval", train_step=5):
        env.step(0)

    (episode,) = env.cache.episodes
    assert (episode.segment, dict(episode.labels)) == (None, {})


def test_every_counts_for_each_env_apart_and_leaves_the_others_idle():
    simulator = Simulator([1, 3], every=2)

    simulator.reset()
    for _ in range(6):
        simulator.call()

    kinds = simulator.recorder.cache.scalars["kind"].T.tolist()
    assert kinds == [
        ["reset", "step", "idle", "idle", "reset", "step"],
        ["reset", "step", "step", "step", "idle", "idle"],
    ]


def test_an_idle_row_after_a_missing_picture_repeats_the_one_before_the_end():
    env = record(vector(AutoresetMode.SAME_STEP, [2], [9]), every=2)

    env.reset()
    for _ in range(3):
        env.step([0, 0])

    assert [row[:2] for row in table(env.cache, 0)] == [
        ("reset", (0, 0)),
        ("step", (0, 1)),
        ("terminal_missing", None),
        ("idle", (0, 1)),
    ]


def test_only_episodes_that_are_to_be_kept_are_recorded():
    asked = []

    def keep(episode):
        asked.append((episode.index, episode.length, episode.total_reward))
        return episode.length > 2

    env = record(CountingEnv([2, 4, 1, 3]), keep_episode=keep)

    for num_steps in (2, 4, 1, 3):
        env.reset(seed=num_steps)
        for action in range(num_steps):
            env.step(action)

    assert asked == [(0, 2, 3.0), (1, 4, 10.0), (2, 1, 1.0), (3, 3, 6.0)]
    assert table(env.cache, 0) == [
        ("reset", (1, 0), None, "", 0),
        ("step", (1, 1), 1.0, "", 1),
        ("step", (1, 2), 2.0, "", 2),
        ("step", (1, 3), 3.0, "", 3),
        ("step", (1, 4), 4.0, "T", None),
        ("reset", (3, 0), None, "", 0),
        ("step", (3, 1), 1.0, "", 1),
        ("step", (3, 2), 2.0, "", 2),
        ("step", (3, 3), 3.0, "T", None),
    ]
    assert [e.seed for e in env.cache.episodes] == [4, 3]
    np.testing.assert_array_equal(env.cache.at(1, 0).obs, [1, 1])


def test_kept_episodes_of_many_envs_follow_one_another():
    simulator = Simulator([2, 3], keep_episode=lambda episode: episode.env == 1)

    simulator.reset()
    for _ in range(8):
        simulator.call()

    cache = simulator.recorder.cache
    assert set(cache.scalars["kind"][:, 0]) == {"idle"}
    assert episodes(cache, 1) == [
        (0, 4, 3, 6.0, True, False),
        (4, 8, 3, 6.0, True, False),
    ]


def test_a_cut_off_episode_is_asked_about_too():
    asked = []
    simulator = Simulator([50], keep_episode=lambda e: asked.append(e.length))

    simulator.reset()
    simulator.call()
    simulator.reset()
    simulator.call()
    simulator.call()
    simulator.recorder.finish()

    assert asked == [1, 2]
    assert simulator.recorder.cache.num_rows == 0


def test_waiting_rows_of_finished_episodes_are_dropped(monkeypatch):
    monkeypatch.setattr(episode_filter, "_COMPACT_ROWS", 10)
    simulators = [
        Simulator([7, 30]),
        Simulator([7, 30], keep_episode=lambda episode: True),
    ]
    for simulator in simulators:
        simulator.reset()
        for _ in range(120):
            simulator.call()

    all_rows, kept = (s.recorder.cache for s in simulators)
    assert simulators[1].recorder._sink._waiting.num_rows < 70
    for env in range(2):
        finished = [e for e in all_rows.episodes if e.env == env and e.terminated]
        found = [e for e in kept.episodes if e.env == env]
        assert [e.length for e in found] == [e.length for e in finished]
        for expected, one in zip(finished, found, strict=True):
            np.testing.assert_array_equal(
                kept[one.start : one.stop, env],
                all_rows[expected.start : expected.stop, env],
            )


# -- choice of envs, crop, resize


def test_pictures_of_chosen_envs_keep_their_numbers():
    simulator = Simulator([5] * 4, envs=[3, 1])

    simulator.reset()
    simulator.call()

    cache = simulator.recorder.cache
    assert cache.pictured_envs == (1, 3)
    assert [read_count(cache[1, env]) for env in (1, 3)] == [(1, 1), (1, 3)]
    assert cache.scalars["reward"][1].tolist() == [1.0] * 4


def test_pictures_are_cropped_then_resized():
    recorder = Recorder(1, crop=(0, 0, 24, 64), resize=(12, 32))
    frame = counting_frame(77)

    recorder.add([Kind.RESET], lambda: [frame])

    blocks = frame[:24].reshape(12, 2, 32, 2, 3).astype(float).mean((1, 3))
    np.testing.assert_allclose(recorder.cache[0, 0], blocks, atol=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": 0}, "skip to be 1 or more, got 0"),
        ({"skip": 1.5}, "skip to be 1 or more, got 1.5"),
        ({"every": -1}, "every to be 1 or more"),
        ({"envs": [0, 2]}, r"different numbers in 0\.\.1, got \[0, 2\]"),
        ({"envs": [0, 0]}, "different numbers"),
        ({"envs": []}, "different numbers"),
        ({"envs": "a"}, "different numbers in .* got 'a'"),
        ({"envs": 1}, "different numbers in .* got 1"),
        ({"crop": (1, 2, 3)}, "crop="),
        ({"crop": 5}, "crop="),
        ({"resize": (0, 5)}, "resize="),
        ({"resize": "ab"}, r"resize=\(height, width\) in pixels, got 'ab'"),
        ({"resize": (40.5, 60)}, r"resize=.* got \(40.5, 60\)"),
        ({"keep_episode": 3}, "keep_episode to be callable"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Recorder(2, **options)


def test_what_is_no_logger_or_cache_is_refused_at_once():
    with pytest.raises(TypeError, match="logger with log_video.* got int"):
        record(CountingEnv(), logger=3)
    with pytest.raises(TypeError, match="a FrameCache or the path .* got list"):
        record(CountingEnv(), cache=[])


def test_step_data_of_another_length_is_refused_and_nothing_recorded():
    simulator = Simulator([5, 5])
    simulator.reset()

    with pytest.raises(rv.ShapeError, match=r"expected reward of shape \(2,\)"):
        simulator.recorder.add([Kind.STEP] * 2, simulator.pictures, reward=[1.0] * 3)
    with pytest.raises(rv.ShapeError, match=r"expected kind of shape \(2,\)"):
        simulator.recorder.add([Kind.STEP], simulator.pictures)

    assert simulator.recorder.cache.num_rows == 1


def test_the_end_of_a_skipped_call_has_a_row_at_once():
    simulator = Simulator([3, 50], skip=9)

    simulator.reset()
    for _ in range(3):
        simulator.call()

    recorded = simulator.recorder.cache.recording.rows
    assert recorded.num_rows == 2
    assert recorded.ends(1)[0].tolist() == [1, 0]
    assert simulator.num_renders == 1


def test_reading_numbers_completes_them_without_a_render():
    simulator = Simulator([100], skip=4)
    cache = simulator.recorder.cache
    simulator.reset()
    for steps in range(1, 11):
        simulator.call()

        assert [e.length for e in cache.episodes] == [steps]
        assert cache.episodes[0].total_reward == steps * (steps + 1) / 2
        assert np.nansum(cache.clip().table()["reward"]) == steps * (steps + 1) / 2

    assert simulator.num_renders == 3  # of 11 calls, each fourth from the first


@pytest.mark.parametrize(
    "read",
    [
        lambda cache, path: cache.column("action"),
        lambda cache, path: cache.find(0, 0, 6),
        lambda cache, path: rv.RolloutViewer(cache).to_html(path / "a.html"),
    ],
    ids=["column", "find", "to_html"],
)
def test_skipped_steps_have_a_row_before_numbers_are_read(read, tmp_path):
    simulator = Simulator([100], skip=4)
    simulator.reset()
    for _ in range(6):
        simulator.call()
    cache = simulator.recorder.cache
    assert cache.at(-1, 0).env_step == 4

    read(cache, tmp_path)

    assert (cache.num_rows, cache.at(-1, 0).env_step) == (3, 6)


def test_reading_rows_after_each_step_makes_none():
    simulator = Simulator([100], skip=4)
    cache = simulator.recorder.cache
    simulator.reset()

    for _ in range(8):
        simulator.call()
        assert cache.at(cache.num_rows - 1, 0).is_repeated is False

    assert cache.num_rows == 3


def test_a_dump_has_the_rewards_of_the_calls_that_were_skipped(tmp_path):
    simulator = Simulator([100], skip=4)
    recorder = simulator.recorder
    recorder._logger = rv.CSVLogger("a", log_dir=str(tmp_path), video_format="npz")
    simulator.reset()
    for _ in range(6):
        simulator.call()

    (path,) = recorder.dump()

    with np.load(path) as data:
        assert np.nansum(data["reward"]) == 21
        assert data["frames"].shape[0] == len(data["reward"]) == 3


def test_reading_in_another_thread_does_not_disturb_a_call():
    simulator = Simulator([1000], skip=3)
    simulator.reset()
    is_done = threading.Event()

    def read():
        while not is_done.is_set():
            assert len(simulator.recorder.cache.episodes) == 1

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        simulator.call()
    is_done.set()
    reader.join()

    (episode,) = simulator.recorder.cache.episodes
    assert episode.length == 300
    assert episode.total_reward == episode.length * (episode.length + 1) / 2


def test_buffers_may_be_used_again_after_a_call():
    action = np.zeros(1, np.int64)
    recorder = Recorder(1, skip=2)
    recorder.add([Kind.RESET], lambda: [counting_frame(0)])

    for number in range(1, 5):
        action[:] = number
        recorder.add(
            [Kind.STEP], lambda: [counting_frame(9)], reward=[1], action=action
        )

    assert recorder.cache.column("action")[:2, 0].tolist() == [1, 3]


# -- several recorders, dumps, viewers


def test_two_recorders_into_one_cache_follow_one_another():
    cache = rv.FrameCache()

    for seed in (1, 2):
        env = record(CountingEnv([2]), cache=cache)
        env.reset(seed=seed)
        env.step(0)

    assert episodes(cache, 0) == [
        (0, 2, 1, 1.0, False, False),
        (2, 4, 1, 1.0, False, False),
    ]
    assert [e.seed for e in cache.episodes] == [1, 2]


class ListLogger:
    """Keeps the videos that it is given."""

    takes_clips = False

    def __init__(self):
        self.videos = []
        self.is_broken = False

    def log_video(self, name, video, step=None, **_):
        if self.is_broken:
            raise OSError("disk full")
        rows = [read_count(frame.permute(1, 2, 0).numpy())[0] for frame in video[0]]
        self.videos.append((name, rows, step))


def test_a_dump_writes_what_came_since_the_last_one():
    pytest.importorskip("torch", reason="the logger is given a tensor")
    logger = ListLogger()
    simulator = Simulator([50], logger=logger, tag="eval")

    simulator.reset()
    simulator.call()
    simulator.recorder.dump()
    simulator.call()
    simulator.call()
    simulator.recorder.dump("late", step=7)
    simulator.recorder.dump()

    assert logger.videos == [("eval", [0, 1], None), ("eval_late", [2, 3], 7)]
    assert simulator.recorder.cache.num_rows == 4


def test_a_logger_that_fails_leaves_the_mark():
    pytest.importorskip("torch", reason="the logger is given a tensor")
    logger = ListLogger()
    simulator = Simulator([50], logger=logger)
    simulator.reset()
    logger.is_broken = True

    with pytest.raises((OSError, rv.ExportError), match="disk full"):
        simulator.recorder.dump()
    logger.is_broken = False
    simulator.call()
    simulator.recorder.dump()

    assert logger.videos == [("rollout", [0, 1], None)]


def test_without_a_logger_a_dump_is_written_to_the_viewers_folder(tmp_path):
    env = record(CountingEnv([2]), tag="count")
    env.reset()
    env.step(0)

    (path,) = env.dump()

    assert path.exists()
    assert path.suffix == ".mp4"
    assert "rollouts" in str(path)
    assert path.name.startswith("count_")


def test_the_viewer_is_made_once_and_bound_to_logger_and_tag(monkeypatch):
    # The page is not what this is about, and not built everywhere.
    monkeypatch.setattr(
        "rollout_viewer._viewer.widget.read_bundle", lambda name, where: ""
    )
    logger = ListLogger()
    env = record(CountingEnv([2]), logger=logger, tag="count")
    env.reset()

    viewer = env.viewer

    assert viewer is env.viewer
    assert viewer.logger is logger
    assert viewer.cache is env.cache
    viewer.close()


def test_the_last_line_of_a_notebooks_cell_shows_the_viewer(monkeypatch):
    monkeypatch.setattr(
        "rollout_viewer._viewer.widget.read_bundle", lambda name, where: ""
    )
    monkeypatch.setattr(views, "is_notebook", lambda: True)
    for env in (CountingEnv([2]), vector(AutoresetMode.NEXT_STEP, [2])):
        recorded = record(env)
        recorded.reset()

        data, _ = DisplayFormatter().format(recorded)

        view = data["application/vnd.jupyter.widget-view+json"]
        assert view["model_id"] == recorded.viewer.model_id
        recorded.viewer.close()


def test_elsewhere_a_recorder_has_its_repr_and_no_viewer_is_made():
    env = record(CountingEnv([2]))

    data, _ = DisplayFormatter().format(env)

    assert data == {"text/plain": repr(env)}
    assert "viewer" not in vars(env.recorder)


# -- copies


class Plain:
    """An object with reset, step and render, and a way of its own to be copied."""

    num_copies = 0

    def reset(self):
        return 0

    def step(self, action):
        return 0, 1.0, False, {}

    def render(self):
        return counting_frame(0)

    def __deepcopy__(self, memo):
        made = Plain()
        made.num_copies = self.num_copies + 1
        return made


@pytest.mark.parametrize("make", [lambda: CountingEnv([9]), Plain])
def test_a_pickled_recorder_has_its_configuration_and_an_empty_cache(make):
    env = record(make(), skip=2, tag="eval", resize=(24, 32))
    env.reset()
    env.step(0)
    env.step(0)

    copied = pickle.loads(pickle.dumps(env))

    assert type(copied) is type(env)
    assert copied.cache.num_rows == 0
    assert copied.recorder.tag == "eval"
    assert copied.cache.fps == env.cache.fps
    assert copied.cache.metadata == env.cache.metadata
    for _ in range(3):
        copied.step(0)
    assert copied.cache[:].shape == (2, 1, 24, 32, 3)
    assert env.cache.num_rows == 2


@pytest.mark.parametrize("make", [lambda: CountingEnv([9]), Plain])
def test_a_deep_copy_shares_cache_and_logger_and_dumps_what_came_since(make):
    pytest.importorskip("torch", reason="the logger is given a tensor")
    logger = ListLogger()
    env = record(make(), logger=logger, every=1, tag="eval")
    env.reset()
    env.step(0)

    copied = copy.deepcopy(env)
    copied.reset()
    copied.dump()

    assert type(copied) is type(env)
    assert copied.env is not env.env
    assert copied.cache is env.cache
    assert env.cache.num_rows == 3
    assert [(name, len(rows)) for name, rows, _ in logger.videos] == [("eval", 1)]


# -- cost


@pytest.mark.parametrize(("skip", "counts"), [(1, [None] * 4), (3, [None, [3], [3]])])
def test_transitions_are_counted_only_where_some_were_skipped(
    monkeypatch, skip, counts
):
    counts_of_rows = []
    append = rv.FrameCache.append

    def spy(self, frames, *, num_transitions=None, **step):
        counts_of_rows.append(
            None if num_transitions is None else num_transitions.tolist()
        )
        return append(self, frames, num_transitions=num_transitions, **step)

    monkeypatch.setattr(rv.FrameCache, "append", spy)
    simulator = Simulator([50], skip=skip)

    simulator.reset()
    for _ in range(3 if skip == 1 else 6):
        simulator.call()

    assert counts_of_rows == counts
    assert simulator.recorder.cache.at(-1, 0).env_step == simulator.num_calls - 1


class Accumulating(Recorder):
    """Records each call as if calls were skipped before it."""

    _is_settled = property(lambda _: False, lambda _, value: None)


def add_random_calls(recorder, seed):
    """Call a recorder in all ways that change nothing but what a call was."""
    rng = np.random.default_rng(seed)
    num_envs = recorder.num_envs
    begins = np.full(num_envs, Kind.RESET)
    recorder.add(begins, lambda: None, infos={1: {"seed": 5}})
    for number in range(90):
        kinds = np.full(num_envs, Kind.STEP)
        is_odd = rng.random() < 0.3
        if is_odd:
            kinds = rng.choice([Kind.RESET, Kind.STEP, Kind.STEP, Kind.IDLE], num_envs)
        recorder.add(
            kinds,
            lambda: None,
            reward=None if number % 37 == 9 else rng.normal(size=num_envs),
            terminated=rng.random(num_envs) < 0.05,
            truncated=None if number % 3 else rng.random(num_envs) < 0.05,
            action=None if number % 41 == 3 else rng.integers(0, 9, num_envs),
            data={"obs": rng.normal(size=(num_envs, 2))},
            infos={0: {"labels": {"number": number}}} if is_odd else None,
            is_same_call=number % 29 == 0,
            is_kept=[None, True, number % 17 > 2][number % 3],
        )
        if number % 31 == 5:
            with pytest.raises(rv.ShapeError):
                recorder.add(kinds, lambda: None, reward=np.zeros(num_envs + 1))
    return recorder.cache


@pytest.mark.parametrize("seed", range(4))
def test_a_call_is_recorded_as_it_came_like_one_that_was_accumulated(seed):
    found = add_random_calls(Recorder(3), seed)
    expected = add_random_calls(Accumulating(3), seed)

    assert found.num_rows == expected.num_rows > 60
    assert found.episodes == expected.episodes
    for name in found.scalars:
        np.testing.assert_array_equal(found.scalars[name], expected.scalars[name])
    np.testing.assert_array_equal(found.column("obs"), expected.column("obs"))
    np.testing.assert_array_equal(found.column("action"), expected.column("action"))


def test_a_picture_that_is_none_leaves_the_numbers_of_its_call_in_the_row():
    recorder = Recorder(2)

    def fails():
        raise RuntimeError("no picture")

    def add(number, pictures):
        return recorder.add(
            [Kind.STEP if number else Kind.RESET] * 2,
            pictures,
            reward=[float(number)] * 2,
            action=[number] * 2,
        )

    for number in range(5):
        add(number, lambda: [counting_frame(0, env) for env in range(2)])
    with pytest.warns(rv.RolloutViewerWarning, match="no picture"):
        assert add(5, fails) == 5
    assert add(6, lambda: [counting_frame(6, env) for env in range(2)]) == 6
    recorder.cache.close()
    with pytest.raises(rv.CacheClosedError):
        add(7, lambda: [counting_frame(7, env) for env in range(2)])

    assert recorder.cache.scalars["reward"][1:, 1].tolist() == [1, 2, 3, 4, 5, 6]
    assert recorder.cache.column("action")[:-1, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert not recorder.cache.has_picture(5, 0)


# -- pictures between steps, and calls that fail


@pytest.mark.parametrize("keep_episode", [None, lambda episode: True])
def test_a_picture_between_steps_counts_as_no_step(keep_episode):
    simulator = Simulator([3], keep_episode=keep_episode)
    simulator.reset()
    simulator.call()
    simulator.recorder.add_picture(lambda: [counting_frame(99, 0)])
    simulator.call()
    simulator.call()
    cache = simulator.recorder.cache

    found = [(kind, shown, step) for kind, shown, _, _, step, _ in rows(cache, 0)]

    assert found == [
        ("reset", 0, 0),
        ("step", 1, 1),
        ("step", 99, 1),
        ("step", 2, 2),
        ("step", 3, 3),
    ]
    assert [episode.length for episode in cache.episodes] == [3]


def test_the_step_after_a_reset_that_was_not_recorded_begins_an_episode():
    def fail():
        raise MemoryError

    recorder = Recorder(1)
    step = {"reward": [1.0], "terminated": [False], "truncated": [False]}
    recorder.add([Kind.RESET], lambda: [counting_frame(0, 0)])
    recorder.add([Kind.STEP], lambda: [counting_frame(1, 0)], **step)
    with pytest.raises(MemoryError):
        recorder.add([Kind.RESET], fail, infos={0: {"seed": 7}})
    recorder.add([Kind.STEP], lambda: [counting_frame(3, 0)], **step)

    first, second = recorder.cache.episodes
    assert (first.start, first.stop, first.length, first.seed) == (0, 2, 1, None)
    assert (second.start, second.stop, second.length, second.seed) == (2, 3, 1, 7)


def test_a_row_that_is_there_is_not_recorded_again_where_a_block_cannot_be_sent():
    def send(block):
        blocks.append(block)
        raise OSError("the reader has ended")

    blocks = []
    recorder = Recorder(1)
    builder = BlockBuilder(send)
    recorder.redirect(builder)
    recorder.add([Kind.RESET], lambda: [counting_frame(0, 0)])
    failed = []
    for number in range(1, 40):
        try:
            recorder.add(
                [Kind.STEP],
                lambda: [counting_frame(number, 0)],  # noqa: B023  # called at once
                reward=[float(number)],
            )
        except OSError:
            failed.append(number)

    assert failed == [32]
    assert [block.num_rows for block in blocks] == [32]
    assert builder.num_open_rows == 8
    assert builder.rows is not None
    assert builder.rows.rewards()[1:, 0].tolist() == [*map(float, range(32, 40))]
    assert builder.newest_episode(0).total_reward == sum(range(40))


def test_a_call_that_fails_is_in_the_next_row_where_two_record_in_one_cache(
    monkeypatch,
):
    def fail(*_):
        raise OSError("full")

    cache = rv.FrameCache()
    first, second = (
        record(
            gymnasium.make("CartPole-v1", render_mode="rgb_array"),
            cache=cache,
            render="later",
        )
        for _ in range(2)
    )
    for env in (first, second):
        env.reset(seed=0)
    for env in (first, first, second):
        env.step(env.action_space.sample())

    with monkeypatch.context() as patch, pytest.warns(rv.RolloutViewerWarning):
        patch.setattr(cache, "append", fail)
        patch.setattr(cache, "append_step", fail)
        patch.setattr(cache, "append_one", fail)
        first.step(0)
    first.step(0)

    assert cache.scalars["reward"][-1, 0] == 2
