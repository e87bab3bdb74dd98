"""TorchRL's collectors and evaluators in Ray's actors record into one cache."""

from __future__ import annotations

import gc
import warnings

import pytest
import torch

pytest.importorskip("torchrl", reason="needs the extra torchrl")
pytest.importorskip("ray", reason="the extra ray is not installed")

import ray
from tensordict.nn import TensorDictModule
from torchrl.collectors import Evaluator
from torchrl.collectors.distributed import RayCollector
from torchrl.envs import GymWrapper

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv
from tests.test_remote_cache import lengths_of, shown

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("ray"),
    # Of Ray and of TorchRL's use of it.
    pytest.mark.filterwarnings("ignore"),
]

_INIT = {
    "num_cpus": 4,
    "include_dashboard": False,
    "log_to_driver": False,
    "object_store_memory": 80 * 2**20,
}


def maker(env, remote):
    def make_env():  # in here it is sent by value: actors know no tests
        gym = CountingEnv((5, 40, 9), env=env)
        wrapped = GymWrapper(gym, categorical_action_encoding=True)
        return rv.record(wrapped, cache=remote)

    return make_env


def policy_maker():
    class Zero(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))  # an actor asks for one

        def forward(self, observation):
            return torch.zeros((), dtype=torch.int64)

    return lambda env=None: TensorDictModule(Zero(), ["observation"], ["action"])


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for attempt in range(4):  # its agents have 15 s to start, on a busy machine too
            try:
                ray.init(**_INIT)
                break
            except Exception:
                ray.shutdown()
                if attempt == 3:
                    raise
        yield
        ray.shutdown()
        gc.collect()


def check(cache):
    # Actors have no number: their envs are in the order in which they connected.
    whose = {e.env: CountingEnv.read(cache[e.start, e.env])[2] for e in cache.episodes}
    assert sorted(whose.values()) == list(range(cache.num_envs))
    for episode in cache.episodes:
        assert shown(cache, episode, whose.get) == list(range(episode.length + 1))


@pytest.mark.usefixtures("cluster")
def test_workers_of_a_ray_collector_record_into_one_cache():
    cache = rv.FrameCache()
    remote = cache.remote(num_envs=2)
    collector = RayCollector(
        [maker(env, remote) for env in range(2)],
        policy_maker()(),
        frames_per_batch=50,
        total_frames=200,
        sync=True,
        remote_configs={"num_cpus": 1, "memory": 10**8},
    )
    collected = sum(batch.numel() for batch in collector)
    collector.shutdown()
    cache.close()

    assert collected >= 200
    assert cache.num_envs == 2
    # It ends its actors at once: those rows that they have not sent are lost.
    assert [lengths_of(cache, env)[:3] for env in range(2)] == [[5, 40, 9]] * 2
    check(cache)
    assert all(one.is_finished or "lost" in one.labels for one in cache.episodes)


@pytest.mark.usefixtures("cluster")
def test_evaluations_in_an_actor_are_in_the_cache():
    cache = rv.FrameCache()
    evaluator = Evaluator(
        maker(0, cache.remote(num_envs=1)),
        policy_factory=policy_maker(),
        num_trajectories=2,
        max_steps=50,
        backend="ray",
        num_gpus=0,  # it asks for one
    )
    result = evaluator.evaluate()
    evaluator.shutdown()
    cache.close()

    assert result["eval/reward"] > 0
    assert lengths_of(cache, 0)[:1] == [5]
    check(cache)
