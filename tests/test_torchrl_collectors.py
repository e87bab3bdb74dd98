"""TorchRL's collectors and evaluators: their workers record into one cache."""

from __future__ import annotations

import functools
import os
import signal

import pytest
import torch

pytest.importorskip("torchrl", reason="needs the extra torchrl")

from tensordict.nn import TensorDictModule
from torchrl.collectors import Evaluator, MultiAsyncCollector, MultiSyncCollector
from torchrl.envs import GymWrapper

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv
from tests.test_remote_cache import lengths_of, shown, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    # Of TorchRL 0.14, from what its Evaluator passes to its collectors.
    pytest.mark.filterwarnings("ignore:trajs_per_batch is set:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The env passed to:FutureWarning"),
]


def make_env(env, remote):
    gym = CountingEnv((5, 40, 9), env=env)
    return rv.record(GymWrapper(gym, categorical_action_encoding=True), cache=remote)


@pytest.fixture
def forks(monkeypatch):
    """Let TorchRL fork its workers, as a spawned one imports torch for seconds."""
    if not hasattr(os, "fork"):
        return
    monkeypatch.setattr("torchrl._utils._get_default_mp_start_method", lambda: "fork")


def check(cache, num_steps):
    """Check that episodes show their own steps, and that no step is missing."""
    for env, count in enumerate(num_steps):
        # TorchRL resets when it is wrapped, and when it begins to collect.
        assert lengths_of(cache, env)[:3] in ([5, 40, 9], [40, 9, 9])
        assert sum(lengths_of(cache, env)) == count
    for episode in cache.episodes:
        assert shown(cache, episode) == list(range(episode.length + 1))


@pytest.mark.usefixtures("forks")  # test_remote_cache.py has spawned workers
def test_workers_of_a_synchronous_collector_record_into_one_cache():
    cache = rv.FrameCache()
    remote = cache.remote()
    collector = MultiSyncCollector(
        [functools.partial(make_env, env, remote) for env in range(2)],
        frames_per_batch=100,
        total_frames=300,
    )
    assert [batch.numel() for batch in collector] == [100, 100, 100]
    collector.shutdown()

    assert cache.num_envs == 2
    check(cache, [150, 150])


@pytest.mark.usefixtures("forks")
def test_a_killed_worker_of_an_asynchronous_collector_loses_one_episode():
    cache = rv.FrameCache()
    remote = cache.remote()
    collector = MultiAsyncCollector(
        [functools.partial(make_env, env, remote) for env in range(2)],
        frames_per_batch=100,
        total_frames=-1,
    )
    batches = iter(collector)
    for _ in range(4):
        next(batches)
    wait_until(lambda: min(len(lengths_of(cache, env)) for env in range(2)) > 3)
    os.kill(collector.procs[1].pid, signal.SIGKILL)

    def begun() -> list[rv.Episode]:
        return [one for one in cache.episodes if one.env == 1 and not one.is_finished]

    # Where the last rows that it sent end an episode, it has lost none.
    wait_until(lambda: not begun() or any("lost" in one.labels for one in begun()))
    collector.shutdown(raise_on_error=False)
    cache.close()

    lost = [one for one in cache.episodes if "lost" in one.labels]
    assert [(one.env, one.index) for one in lost] == [(1, one.index) for one in begun()]
    assert len(lost) <= 1
    check(cache, [sum(lengths_of(cache, env)) for env in range(2)])


def make_policy(env=None):
    return TensorDictModule(
        lambda observation: torch.zeros((), dtype=torch.int64),
        ["observation"],
        ["action"],
    )


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("backend", ["thread", "process"])
def test_evaluations_are_in_the_cache_when_the_evaluator_has_ended(backend):
    cache = rv.FrameCache()
    evaluator = Evaluator(
        functools.partial(make_env, 0, cache.remote(num_envs=1)),
        policy_factory=make_policy,
        num_trajectories=2,
        max_steps=50,
        backend=backend,
    )
    result = evaluator.evaluate()
    evaluator.shutdown()

    assert result["eval/reward"] > 0
    finished = [one for one in cache.episodes if one.is_finished]
    assert len(finished) >= 2
    for episode in cache.episodes:
        assert shown(cache, episode) == list(range(episode.length + 1))
