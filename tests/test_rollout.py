"""rollout(env) and record(env): which envs, policies and stops they know."""

import io
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer.sources import _rollout
from rollout_viewer.sources._record import record
from rollout_viewer.sources._rollout import _bar, rollout
from rollout_viewer.testing import CountingEnv, counting_frame, read_count
from tests.row_model import episodes, table, vector


def kinds(cache, env=0):
    return cache.scalars["kind"][:, env].tolist()


# -- the loop


def test_a_single_env_is_reset_after_each_end_but_the_last():
    cache = rollout(CountingEnv([2]), policy=lambda obs: 3, max_steps=4)

    assert table(cache, 0) == [
        ("reset", (0, 0), None, "", 3),
        ("step", (0, 1), 1.0, "", 3),
        ("step", (0, 2), 2.0, "T", None),
        ("reset", (1, 0), None, "", 3),
        ("step", (1, 1), 1.0, "", 3),
        ("step", (1, 2), 2.0, "T", None),
    ]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_vector_env_has_the_same_episodes_in_every_autoreset_mode(mode):
    cache = rollout(vector(mode, [2, 3], [4]), max_steps=12)

    for env, lengths in ((0, [2, 3]), (1, [4, 4])):
        found = [(length, total) for _, _, length, total, *_ in episodes(cache, env)]
        assert found[:2] == [(n, n * (n + 1) / 2) for n in lengths]


def test_max_steps_counts_calls_of_step():
    assert kinds(rollout(CountingEnv([9]), max_steps=3)) == ["reset", *["step"] * 3]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_episodes_are_divided_among_the_envs(mode):
    cache = rollout(vector(mode, [2], [3], [9]), episodes=5)

    found = [(e.env, e.length, e.is_finished) for e in cache.episodes]
    assert sorted(found) == [
        (0, 2, True),
        *[(1, 3, True)] * 2,
        *[(2, 9, True)] * 2,
    ]


def test_an_env_that_has_had_its_episodes_is_idle():
    env = rv.record(vector(AutoresetMode.SAME_STEP, [2], [4]))

    rv.rollout(env, episodes=2, progress=False)
    rv.rollout(env, max_steps=1, progress=False)

    first = ["reset", "step", "terminal_missing", "idle", "idle"]
    assert kinds(env.cache) == [*first, "reset", "step"]
    assert read_count(env.cache[4, 0]) == read_count(env.cache[1, 0])


def test_fewer_episodes_than_envs_are_those_of_the_last_envs():
    cache = rollout(vector(AutoresetMode.NEXT_STEP, [2], [3], [4]), episodes=1)

    assert [(e.env, e.length) for e in cache.episodes] == [(2, 4)]


def test_a_number_of_episodes_has_no_limit_of_steps():
    cache = rollout(CountingEnv([400]), episodes=3)

    assert [e.length for e in cache.episodes if e.is_finished] == [400] * 3
    assert rollout(CountingEnv([400])).num_rows == 1003


def test_a_warning_tells_when_max_steps_came_before_the_episodes():
    with pytest.warns(rv.RolloutViewerWarning, match="expected 3 episodes, got 1"):
        rollout(CountingEnv([5]), episodes=3, max_steps=8)


def test_the_rollout_may_stop_at_the_first_end():
    env = vector(AutoresetMode.NEXT_STEP, [5], [3])

    cache = rollout(env, break_when_any_done=True)

    assert cache.num_rows == 4


def test_the_callback_is_told_each_row_and_may_end_the_rollout():
    told = []

    def callback(cache, row):
        told.append((row, cache.at(row, 0).reward))
        return len(told) < 3

    cache = rollout(CountingEnv([2]), callback=callback)

    assert told == [(1, 1.0), (2, 2.0), (4, 1.0)]
    assert cache.num_rows == 5


def test_a_seed_repeats_the_rollout_and_stands_with_the_episode():
    def run():
        env = gymnasium.make_vec(
            "CartPole-v1", 2, vectorization_mode="sync", render_mode="rgb_array"
        )
        return rollout(env, seed=3, max_steps=30)

    first, second = run(), run()

    np.testing.assert_array_equal(first[:], second[:])
    np.testing.assert_array_equal(first.column("action"), second.column("action"))
    assert [e.seed for e in first.episodes][:2] == [3, 4]


def test_a_given_cache_is_appended_to():
    cache = rv.FrameCache(fps=7)

    for seed in (1, 2):
        assert rollout(CountingEnv([2]), cache=cache, max_steps=2, seed=seed) is cache

    assert kinds(cache) == ["reset", "step", "step"] * 2
    assert [e.seed for e in cache.episodes] == [1, 2]
    assert cache.fps == 7


def test_a_path_as_cache_is_a_new_recording_there(tmp_path):
    path = tmp_path / "run.rollout"

    cache = rollout(CountingEnv([2]), max_steps=2, cache=str(path))

    cache.close()
    assert rv.open(path).num_rows == 3


def test_each_env_may_have_a_seed_of_its_own():
    totals = []
    for _ in range(2):
        env = vector(AutoresetMode.NEXT_STEP, [9], [9])
        cache = rollout(env, seed=[4, 2], max_steps=5)
        totals.append(cache.column("action").tolist())

    assert [episode.seed for episode in cache.episodes] == [4, 2]
    assert totals[0] == totals[1]


def test_segments_are_those_of_the_cache():
    cache = rv.FrameCache()

    with cache.segment("eval", train_step=100):
        rollout(CountingEnv([2]), cache=cache, max_steps=2)

    (episode,) = cache.episodes
    assert episode.segment == "eval"
    assert episode.labels == {"train_step": 100}


def test_an_env_that_records_already_is_used_as_it_is():
    env = record(CountingEnv([4]), skip=2)

    cache = rollout(env, max_steps=4)

    assert cache is env.cache
    assert cache.scalars["env_step"][:, 0].tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match="expected no cache="):
        rollout(env, cache=rv.FrameCache())


def test_the_callers_env_is_never_closed():
    for bare in (CountingEnv([2]), vector(AutoresetMode.NEXT_STEP, [2])):
        bare.close = lambda **_: pytest.fail("closed")

        rollout(bare, max_steps=5)


def test_what_was_recorded_stays_when_the_env_fails():
    class Dies(CountingEnv):
        def step(self, action):
            if self.env_step == 2:
                raise RuntimeError("simulator died")
            return super().step(action)

    cache = rv.FrameCache()

    with pytest.raises(RuntimeError, match="simulator died"):
        rollout(Dies([9]), cache=cache)

    assert kinds(cache) == ["reset", "step", "step"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("name", [None, "run.rollout"])
def test_an_error_or_ctrl_c_leads_to_what_was_recorded(tmp_path, name, error):
    path = name and tmp_path / name
    actions = iter([0, 1, 0])

    def policy(observation):
        for action in actions:
            return action
        raise error

    with pytest.raises((KeyboardInterrupt, RuntimeError)) as caught:
        rollout(CountingEnv([9]), policy=policy, cache=path)

    [note] = caught.value.__notes__
    with vars(caught.value)["cache"] as cache:
        assert kinds(cache) == ["reset", "step", "step", "step"]
        assert [cache.at(row, 0)["action"] for row in range(3)] == [0, 1, 0]
        assert "rv.rollout: rows 0 to 3 are kept" in note
        assert ".cache" in note
        assert ("run.rollout" in note) == (path is not None)


def test_rows_of_before_are_not_said_to_be_of_the_rollout_that_failed():
    cache = rollout(CountingEnv([9]), max_steps=3)

    with pytest.raises(ValueError, match="policy") as caught:
        rollout(CountingEnv([9]), policy=3, cache=cache)

    assert not hasattr(caught.value, "cache")
    assert cache.num_rows == 4


def test_an_error_that_takes_no_attributes_is_raised_as_it_is():
    class Own(Exception):
        @property
        def cache(self):
            return "its own"

    def policy(observation):
        raise Own

    with pytest.raises(Own):
        rollout(CountingEnv([9]), policy=policy)


# -- policies


def test_random_actions_come_from_the_action_space():
    cache = rollout(vector(AutoresetMode.NEXT_STEP, [50], [50]), max_steps=30, seed=0)

    assert set(np.unique(cache.column("action"))) == {0, 1, 2, 3}


def test_a_policy_gets_the_observation_and_may_return_a_tensor():
    seen = []

    def policy(obs):
        seen.append(obs.copy())
        return torch.tensor([1, 2])

    cache = rollout(
        vector(AutoresetMode.NEXT_STEP, [2], [9]), policy=policy, max_steps=3
    )

    assert [obs[0].tolist() for obs in seen] == [[0, 0], [0, 1], [0, 2]]
    assert cache.column("action")[0].tolist() == [1, 2]


def test_after_a_reset_the_policy_gets_the_new_observation():
    seen = []

    def policy(obs):
        seen.append(obs.tolist())
        return 0

    rollout(CountingEnv([2]), policy=policy, max_steps=3)

    assert seen == [[0, 0], [0, 1], [1, 0]]


class Recurrent:
    """A policy as Stable-Baselines3's: its state counts its calls since a start."""

    def __init__(self):
        self.calls = []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        before = np.zeros(len(episode_start)) if state is None else state
        state = np.where(episode_start, 0, before) + 1
        self.calls.append((state.tolist(), deterministic))
        return np.zeros(len(episode_start), np.int64), state


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_recurrent_policy_keeps_its_state_within_an_episode(mode):
    policy = Recurrent()

    rollout(vector(mode, [2], [9]), policy=policy, max_steps=5, deterministic=True)

    # In NEXT_STEP mode the call after the end takes an action that is ignored.
    first = [1, 2, 3, 1, 2] if mode is AutoresetMode.NEXT_STEP else [1, 2, 1, 2, 1]
    assert [state for state, _ in policy.calls] == [
        [a, b] for a, b in zip(first, [1, 2, 3, 4, 5], strict=True)
    ]
    assert all(deterministic for _, deterministic in policy.calls)


def test_a_policy_that_only_predicts_actions_is_taken_too():
    class Plain:
        def predict(self, observation):
            return 2

    cache = rollout(CountingEnv([9]), policy=Plain(), max_steps=2)

    assert cache.column("action")[:2, 0].tolist() == [2, 2]


@pytest.mark.parametrize("action", [0, np.zeros(3, int), np.zeros((2, 1), int)])
def test_an_action_of_another_shape_never_reaches_the_env(action):
    env = vector(AutoresetMode.NEXT_STEP, [2], [3])
    cache = rv.FrameCache()

    with pytest.raises(rv.ShapeError, match=r"an action of shape \(2,\), got \("):
        rollout(env, policy=lambda obs: action, cache=cache)

    assert cache.num_rows == 1
    assert env.envs[0].unwrapped.env_step == 0  # type: ignore[attr-defined]


def test_a_policy_that_returns_nothing_is_told_so():
    with pytest.raises(rv.ShapeError, match="policy to return an action, got None"):
        rollout(CountingEnv(), policy=lambda obs: None)


def test_what_is_no_policy_is_refused():
    with pytest.raises(ValueError, match=r"callable or to have predict\(\), got int"):
        rollout(CountingEnv(), policy=3)


# -- bad input


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "10"])
@pytest.mark.parametrize("name", ["max_steps", "episodes"])
def test_zero_steps_or_episodes_are_refused(name, count):
    with pytest.raises(ValueError, match=f"expected {name} to be 1 or more, got"):
        rollout(CountingEnv(), **{name: count})


@pytest.mark.parametrize("env", ["CartPole-v1", 3, CountingEnv, object()])
def test_what_is_no_env_is_refused_with_the_list(env):
    with pytest.raises(UnsupportedEnvError, match="VectorEnv.*reset.*step.*render"):
        rollout(env)
    with pytest.raises(TypeError):
        record(env)


def test_an_env_without_pictures_or_closed_is_refused():
    with pytest.raises(rv.RenderError, match="render_mode=None"):
        rollout(gymnasium.make("CartPole-v1"))
    closed = vector(AutoresetMode.NEXT_STEP, [2])
    closed.close()
    with pytest.raises(rv.RenderError, match="expected an open environment"):
        rollout(closed)


def test_an_env_whose_recording_was_closed_is_refused():
    for bare in (CountingEnv(), vector(AutoresetMode.NEXT_STEP, [2]), OldEnv()):
        env = record(bare)
        env.close()

        with pytest.raises(rv.RenderError, match="expected an open environment"):
            rollout(env, policy=lambda obs: 0)


def test_a_cache_of_another_number_of_envs_is_refused():
    cache = rollout(CountingEnv([2]), max_steps=2)

    with pytest.raises(rv.ShapeError, match="a cache of 2 envs.*got one of 1"):
        rollout(vector(AutoresetMode.NEXT_STEP, [2], [2]), cache=cache)

    assert cache.num_rows == 3


# -- objects of other origin


class OldEnv:
    """As old Gym: reset returns an observation, step four values."""

    num_closed = 0
    level = 3

    def __init__(self):
        self.count = 0

    def reset(self):
        self.count = 0
        return np.zeros(2)

    def step(self, action):
        self.count += 1
        return np.zeros(2), 0.5, self.count == 2, {}

    def render(self):
        return counting_frame(self.count)

    def close(self):
        self.num_closed += 1


def test_an_object_with_reset_step_and_render_is_recorded():
    env = OldEnv()

    cache = rollout(env, policy=lambda obs: [0.1, 0.2], max_steps=3)

    assert kinds(cache) == ["reset", "step", "step", "reset", "step"]
    assert cache.episodes[0].total_reward == 1.0
    np.testing.assert_array_equal(cache.column("action")[0, 0], [0.1, 0.2])
    assert record(env).level == 3
    assert env.num_closed == 0


def test_such_an_object_needs_a_policy():
    with pytest.raises(ValueError, match="without an action_space"):
        rollout(OldEnv())


# -- progress


def test_progress_is_a_bar_in_a_terminal_and_nothing_elsewhere(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = {}
    for name, stream in (("terminal", Terminal()), ("file", io.StringIO())):
        monkeypatch.setattr("sys.stderr", stream)
        rollout(CountingEnv([9]), max_steps=5)
        shown[name] = stream.getvalue()
    quiet = Terminal()
    monkeypatch.setattr("sys.stderr", quiet)
    rollout(CountingEnv([9]), max_steps=5, progress=False)

    assert "rollout" in shown["terminal"]
    assert "5/5" in shown["terminal"]
    assert shown["file"] == ""
    assert quiet.getvalue() == ""


def test_progress_is_shown_in_a_notebook_too(monkeypatch):
    monkeypatch.setattr(_rollout, "is_notebook", lambda: True)

    with warnings.catch_warnings(), _bar(5, True) as bar:
        assert not bar.disable


@pytest.mark.parametrize(
    ("picture", "policy"), [(None, None), (np.zeros((8, 8, 3), np.uint8), 3)]
)
def test_a_rollout_that_is_refused_leaves_no_file(picture, policy, tmp_path):
    env = CountingEnv()
    env.render = lambda: picture

    with pytest.raises(ValueError, match="expected") as kept:
        rv.rollout(env, policy=policy, cache=tmp_path / "run.rollout", progress=False)

    assert kept.value is not None
    assert list(tmp_path.iterdir()) == []


def test_a_real_sync_vector_env_runs_to_its_end():
    env = gymnasium.make_vec(
        "CartPole-v1", 4, vectorization_mode="sync", render_mode="rgb_array"
    )

    cache = rollout(env, policy=lambda obs: (obs[:, 2] > 0).astype(int), max_steps=60)
    env.close()

    assert isinstance(env, SyncVectorEnv)
    assert cache[:].shape == (61, 4, 400, 600, 3)
    assert cache.fps == 50


def test_a_name_is_no_environment_and_a_remote_cache_has_no_rows_to_return():
    with pytest.raises(UnsupportedEnvError, match=r"gymnasium\.make\('CartPole-v1'"):
        rv.rollout("CartPole-v1", max_steps=1)
    with pytest.raises(TypeError, match="got a RemoteCache"):
        rv.rollout(CountingEnv(), max_steps=1, cache=rv.FrameCache().remote())
