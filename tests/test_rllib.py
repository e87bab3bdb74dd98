"""RLlib's PPO on a cluster of this machine, with EnvRunners that record episodes."""

from __future__ import annotations

import gc
import os
import pickle
import warnings

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv

pytest.importorskip("ray.rllib")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # a cluster starts, and a runner again
    pytest.mark.xdist_group("ray"),
    # Of Ray's own: processes that it has ended, names that it will drop.
    pytest.mark.filterwarnings("ignore:.*Overriding environment rllib"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LENGTHS = (5, 40, 9)


@pytest.fixture(scope="module")
def cluster():
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for attempt in range(3):  # it gives itself 30 s, on a busy machine too
            try:
                ray.init(
                    num_cpus=4,
                    include_dashboard=False,
                    log_to_driver=False,
                    configure_logging=False,
                )
                break
            except Exception:
                ray.shutdown()
                if attempt == 2:
                    raise
        yield
        ray.shutdown()
        gc.collect()  # here, where the warnings of its processes are expected


def config_of(callback, num_env_runners=2, **evaluation):
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.tune.registry import register_env

    def make_env(config):  # in here it is sent by value: runners know no tests
        number = 10 * config.worker_index
        return CountingEnv(LENGTHS, env=number, truncated_episodes=(1,))

    register_env("counting", make_env)
    return (
        PPOConfig()
        .environment("counting")
        .env_runners(num_env_runners=num_env_runners, num_envs_per_env_runner=2)
        .training(train_batch_size=200, num_epochs=1, minibatch_size=100)
        .evaluation(**evaluation)
        .callbacks(callback)
    )


def is_back(cache):
    """Whether the first runner recorded after it was killed."""
    return any(
        one.labels["worker"] == 1 and one.labels["training_iteration"] > 2
        for one in of_segment(cache, "training")
    )


@pytest.fixture(scope="module")
def trained(cluster, tmp_path_factory):
    """Iterations with an evaluation each, by two EnvRunners, one of which is killed."""
    import ray

    path = tmp_path_factory.mktemp("rllib") / "ppo.rollout"
    callback = rv.RLlibCallback(episodes=3, cache=path)
    config = config_of(
        callback,
        evaluation_interval=1,
        evaluation_duration=2,
        evaluation_num_env_runners=0,
    )
    algorithm = config.build_algo()
    try:
        seen = []
        for _ in range(2):
            algorithm.train()
            seen.append(len(callback.cache.episodes))
        ray.kill(  # as a node that is lost
            algorithm.env_runner_group._worker_manager.actors()[1], no_restart=False
        )
        while not is_back(callback.cache) and algorithm.iteration < 300:
            algorithm.train()
            seen.append(len(callback.cache.episodes))
    finally:
        algorithm.stop()
    return callback, seen


def of_segment(cache, segment):
    return [one for one in cache.episodes if one.segment == segment]


def test_episodes_arrive_after_each_iteration(trained):
    callback, seen = trained
    assert 0 < seen[0] < seen[1]
    training = of_segment(callback.cache, "training")
    assert {one.env for one in training} == {0, 1, 2}
    # Two of the three envs are the first runner's.
    assert {(one.env, one.labels["worker"]) for one in training} == {
        (0, 1),
        (1, 1),
        (2, 2),
    }
    assert {one.labels["training_iteration"] for one in training} >= {1, 2}


def test_a_runner_that_was_killed_records_again_and_nothing_twice(trained):
    cache = trained[0].cache
    # It counts its episodes from 0 again, with another number of its process.
    first = [
        one
        for one in of_segment(cache, "training")
        if one.env == 0 and CountingEnv.read(cache[one.start, 0])[0] == 0
    ]
    assert len(first) <= 2
    assert is_back(cache)
    for env in range(3):
        iterations = [
            one.labels["training_iteration"]
            for one in of_segment(cache, "training")
            if one.env == env
        ]
        assert iterations == sorted(set(iterations))


def test_evaluations_are_a_segment_in_envs_of_their_own(trained):
    evaluated = of_segment(trained[0].cache, "evaluation")
    assert {one.env for one in evaluated} <= {3, 4, 5}
    # One in each iteration, after its update.
    versions = {one.labels["policy_version"] for one in evaluated}
    assert versions == set(range(1, len(trained[1]) + 1))


def test_each_picture_is_the_one_of_its_row(trained):
    cache = trained[0].cache
    for episode in cache.episodes:
        assert episode.is_finished
        for step, row in enumerate(range(episode.start, episode.stop)):
            number, env_step, env = CountingEnv.read(cache[row, episode.env])
            assert env_step == step
            assert env == 10 * episode.labels["worker"]
            at = cache.at(row, episode.env)
            np.testing.assert_array_equal(at["obs"], [number, step])
            assert at["reward"] == step or (step == 0 and np.isnan(at["reward"]))
        length = LENGTHS[min(number, 2)]
        assert episode.length == length
        assert (episode.truncated, episode.terminated) == (number == 1, number != 1)


def test_the_recording_is_a_file_with_a_viewer(trained):
    callback, _ = trained
    callback.cache.flush()
    assert len(rv.open(callback.cache.path).episodes) == len(callback.cache.episodes)
    assert callback.viewer.cache is callback.cache


def test_where_the_algorithm_is_in_another_process_it_has_a_file_of_its_own(
    cluster, tmp_path
):
    callback = rv.RLlibCallback(every=2, episodes=1, cache=tmp_path / "run.rollout")
    # As Ray Tune sends it to a trial.
    sent = pickle.loads(pickle.dumps(callback))
    algorithm = config_of(sent, num_env_runners=0).build_algo()
    try:
        for _ in range(3):
            algorithm.train()
    finally:
        algorithm.stop()
    assert not callback.cache.episodes
    sent.cache.close()
    episodes = rv.open(tmp_path / f"run-{os.getpid()}.rollout").episodes
    # Every second iteration; by RLlib's local EnvRunner, as there is no other.
    assert [one.labels["training_iteration"] for one in episodes] == [1, 3]
    assert {one.labels["worker"] for one in episodes} == {0}


def test_an_environment_that_cannot_be_drawn_is_trained_on(cluster, monkeypatch):
    def fail(env):
        raise RuntimeError("no display")

    monkeypatch.setattr(CountingEnv, "render", fail)
    callback = rv.RLlibCallback(episodes=1)
    algorithm = config_of(callback, num_env_runners=0).build_algo()
    try:
        with pytest.warns(rv.RolloutViewerWarning, match="no display"):
            result = algorithm.train()
    finally:
        algorithm.stop()
    assert result["env_runners"]["num_env_steps_sampled"] >= 200


def test_arguments_are_checked_at_once():
    with pytest.raises(ValueError, match="episodes"):
        rv.RLlibCallback(episodes=0)
    with pytest.raises(ValueError, match="every"):
        rv.RLlibCallback(every=0)


def test_another_process_has_no_recording_of_it():
    copy = pickle.loads(pickle.dumps(rv.RLlibCallback()))
    with pytest.raises(rv.RolloutViewerError, match="the process that made it"):
        _ = copy.cache


def test_the_class_in_place_of_an_instance_is_named():
    with pytest.raises(AttributeError, match=r"config\.callbacks\(rv\.RLlibCallback"):
        config_of(rv.RLlibCallback, num_env_runners=0).build_algo()
