"""Episodes of a Ray cluster are those of this process, whatever dies."""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest

import rollout_viewer as rv
from tests.collect_envs import EndsInClose, SeededEnv
from tests.test_collect import by_seed, play, serial

# How long it waits for workers to start, on a busy machine.
os.environ.setdefault("RAY_worker_register_timeout_seconds", "200")

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),  # a cluster starts
    pytest.mark.xdist_group("ray"),
    # Of Ray 2.60 itself: sockets and processes that it leaves to the end of a run.
    # https://github.com/ray-project/ray/issues/9546
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*accelerator:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

# The least that Ray takes; two CPUs that the machine need not have.
NODE = {"num_cpus": 2, "object_store_memory": 80 * 2**20}


# How a node that is gone is found out: not at the first answer that is late.
DIES_SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 15,
}


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two nodes on this machine, which a node that dies leaves soon."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = cluster_utils.Cluster()
        started.add_node(**NODE, include_dashboard=False, _system_config=DIES_SOON)
        started.add_node(**NODE)
        started.wait_for_nodes()
        yield started
        started.shutdown()
        gc.collect()  # here, where the warnings of its processes are expected


def add_node(cluster, **options):
    for attempt in range(4):  # its agents have 15 s to start, on a busy machine too
        try:
            cluster.add_node(**NODE, **options)
        except Exception as error:
            if attempt == 3 or "timed out during startup" not in str(error):
                raise
        else:
            return


def on(cluster, make_env, **options):
    return rv.collect(
        make_env, backend="ray", address=cluster.address, progress=False, **options
    )


@pytest.mark.flaky(reruns=3, only_rerun="timed out during startup")
def test_a_cluster_is_started_where_there_is_none():
    cache = rv.collect(
        SeededEnv, episodes=9, num_workers=2, backend="ray", progress=False
    )

    assert by_seed(cache) == {seed: play(seed) for seed in range(9)}
    assert not ray.is_initialized()  # it was not there before


def test_200_episodes_of_two_nodes_are_those_of_one_process(cluster):
    cache = on(cluster, SeededEnv, episodes=200, num_workers=4)

    assert by_seed(cache) == by_seed(serial(episodes=200))
    assert cache.num_envs == 4
    assert len(cache.episodes) == 200


def test_a_worker_that_is_killed_in_the_middle_is_replaced(cluster, tmp_path):
    make_env = functools.partial(SeededEnv, killed=11, once=str(tmp_path / "killed"))

    with pytest.warns(rv.RolloutViewerWarning, match="All were collected again"):
        cache = on(cluster, make_env, episodes=40, num_workers=2)

    assert by_seed(cache) == {seed: play(seed) for seed in range(40)}
    assert all(e.labels["worker"] == e.env for e in cache.episodes)


@pytest.mark.filterwarnings("error::rollout_viewer.RolloutViewerWarning")
def test_an_actor_that_ends_as_its_environment_is_closed_loses_nothing(cluster):
    cache = on(cluster, EndsInClose, episodes=30, num_workers=1)

    assert by_seed(cache) == {seed: play(seed) for seed in range(30)}
    assert not any(e.labels.get("lost") for e in cache.episodes)


def test_ctrl_c_while_the_driver_waits_for_ray_keeps_what_is_there(cluster):
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))

    def start(episode):
        if episode.seed == 5:
            interrupt.start()

    with pytest.raises(KeyboardInterrupt) as caught:
        on(
            cluster,
            functools.partial(SeededEnv, pause_s=0.002),
            max_steps=10**6,
            num_workers=2,
            on_episode=start,
        )

    found = by_seed(vars(caught.value)["cache"])
    assert f"{len(found)} episodes are kept" in caught.value.__notes__[0]
    assert len(found) > 5
    assert found == {seed: play(seed) for seed in found}


_DRIVER = """
import functools, sys
import rollout_viewer as rv
from tests.collect_envs import EndsInClose, SeededEnv

rv.collect(
    functools.partial(SeededEnv, pause_s=0.002), max_steps=10**6, num_workers=2,
    backend="ray", address=sys.argv[1], cache=sys.argv[2], progress=False,
)
"""


def free_cpus(cluster):
    """Return how many CPUs of a cluster no actor has."""
    state = ray._private.state.GlobalState()
    state._initialize_global_state(
        ray._raylet.GcsClientOptions.create(
            cluster.gcs_address,
            None,
            allow_cluster_id_nil=True,
            fetch_cluster_id_if_nil=False,
        )
    )
    try:
        return state.available_resources().get("CPU", 0)
    finally:
        state.disconnect()


def test_a_driver_that_is_killed_leaves_a_file_and_no_actor(cluster, tmp_path):
    path = tmp_path / "a.rollout"
    driver = subprocess.Popen(
        [sys.executable, "-c", _DRIVER, cluster.address, str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    deadline = time.monotonic() + 200

    def num_rows() -> int:
        try:
            return rv.open(path).num_rows
        except (rv.RecordingError, OSError):
            return 0

    while num_rows() < 128 and time.monotonic() < deadline:
        time.sleep(0.2)
    driver.send_signal(signal.SIGKILL)
    driver.wait()

    cache = rv.open(path)
    found = by_seed(cache)
    assert len(found) > 2
    assert found.items() <= {seed: play(seed) for seed in range(500)}.items()
    while free_cpus(cluster) < 4 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert free_cpus(cluster) == 4


def test_a_node_that_is_removed_loses_no_episode(cluster):
    """The last one: it takes a node away."""
    removed = []

    def remove(episode):
        # One of the actors of the other node, however they are spread.
        if len(removed) == 0 and episode.labels["worker"] == 3:
            removed.append(episode.seed)
            [node] = cluster.worker_nodes
            cluster.remove_node(node, allow_graceful=False)

    with pytest.warns(rv.RolloutViewerWarning, match="All were collected again"):
        cache = on(
            cluster,
            functools.partial(SeededEnv, pause_s=0.002),  # all have episodes
            episodes=200,
            num_workers=4,
            on_episode=remove,
        )

    assert len(removed) == 1
    assert by_seed(cache) == {seed: play(seed) for seed in range(200)}
