"""Recording inside worker processes: a file for each, which the parent follows."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import re
import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv

import rollout_viewer as rv

CONTEXTS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name not in multiprocessing.get_all_start_methods(),
            reason=f"this system cannot {name}",
        ),
    )
    for name in ("fork", "spawn")
]
# Python 3.12 warns of forks where threads run: pygame's and ours do.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def make_env(path):
    env = gym.make("CartPole-v1", render_mode="rgb_array")
    return rv.record(env, cache=path)


def wait_for(is_true, timeout_s=60.0):
    """Return whether it came true; workers write twice a second."""
    until = time.monotonic() + timeout_s
    while not (found := is_true()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_parent_follows_what_workers_record(tmp_path, context):
    make = functools.partial(make_env, tmp_path / "run.rollout")
    envs = AsyncVectorEnv([make] * 2, context=context)
    try:
        envs.reset(seed=5)
        for _ in range(6):
            envs.step(np.array([0, 1]))
        paths = sorted(tmp_path.glob("run-*.rollout"))
        cache = rv.open(paths)
        assert len(paths) == 2
        assert wait_for(lambda: cache.num_rows == 7)
        assert cache.is_live

        for _ in range(50):
            envs.step(np.array([0, 1]))
        assert wait_for(lambda: cache.num_rows > 32)
    finally:
        envs.close()

    assert wait_for(lambda: cache.is_closed)
    assert cache.num_rows == 57
    assert cache.num_envs == 2
    assert len(cache.episodes) > 4
    pids = {int(path.stem.removeprefix("run-")) for path in paths}
    assert multiprocessing.current_process().pid not in pids
    # A worker has either seed: its file's place in the list goes by its pid.
    shown = {cache[row, env].tobytes() for row in range(7) for env in range(2)}
    assert shown == replayed(5, 0) | replayed(6, 1)


def replayed(seed, action):
    """Return the pictures of an env of our own after the same calls."""
    env = gym.make("CartPole-v1", render_mode="rgb_array")
    env.reset(seed=seed)
    shown = {env.render().tobytes()}
    for _ in range(6):
        env.step(action)
        shown.add(env.render().tobytes())
    env.close()
    return shown


@pytest.mark.parametrize("context", CONTEXTS)
def test_an_env_made_only_to_be_looked_at_leaves_no_file(tmp_path, context):
    make = functools.partial(make_env, tmp_path / "run.rollout")

    envs = AsyncVectorEnv([make], context=context)
    envs.close()

    # The parent made one env to ask for its spaces; no env was ever reset.
    assert wait_for(lambda: not list(tmp_path.iterdir()))


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_viewer_of_a_worker_says_which_file_the_parent_should_open(
    tmp_path, context
):
    make = functools.partial(make_env, tmp_path / "run.rollout")
    envs = AsyncVectorEnv([make], context=context)
    envs.reset(seed=0)
    (path,) = tmp_path.glob("run-*.rollout")

    # Gymnasium warns of the worker's error before it raises it.
    with (
        pytest.warns(UserWarning, match="ERROR"),
        pytest.raises(rv.RolloutViewerError, match=re.escape(str(path))),
    ):
        envs.call("viewer")

    envs.close(terminate=True)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_cache_of_the_parent_is_refused_in_a_worker_with_the_remedy(
    tmp_path, context
):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    cache.append(np.zeros((1, 8, 8, 3), np.uint8))
    replies = multiprocessing.get_context(context).SimpleQueue()
    worker = multiprocessing.get_context(context).Process(
        target=record_into, args=(cache, replies)
    )

    worker.start()
    kind, text = replies.get()
    worker.join()

    assert kind == "ReadOnlyError"
    assert "Pass a path" in text
    cache.append(np.zeros((1, 8, 8, 3), np.uint8))
    assert cache.num_rows == 2


def record_into(cache, replies):
    try:
        make_env(cache)
    except rv.RolloutViewerError as error:
        replies.put((type(error).__name__, str(error)))


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_pickled_cache_is_read_and_followed_in_a_worker(tmp_path, context):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    cache.append(np.full((1, 8, 8, 3), 7, np.uint8), reward=[0.5], kind="step")
    ours, theirs = multiprocessing.get_context(context).Pipe()
    worker = multiprocessing.get_context(context).Process(
        target=read_all, args=(pickle.dumps(cache), theirs)
    )

    worker.start()
    before = ours.recv()
    cache.append(np.full((1, 8, 8, 3), 9, np.uint8), reward=[1.5], kind="step")
    cache.flush()
    ours.send("more")
    after = ours.recv()
    worker.join()

    assert before == ([7], [0.5])
    assert after == ([7, 9], [0.5, 1.5])
    assert worker.exitcode == 0
    cache.append(np.full((1, 8, 8, 3), 8, np.uint8), reward=[2.5], kind="step")
    cache.close()
    assert rv.open(cache.path).num_rows == 3


def read_all(pickled, pipe):
    cache = pickle.loads(pickled)
    for _ in range(2):
        pixels = cache[:][:, 0, 0, 0, 0].tolist()
        pipe.send((pixels, cache.scalars["reward"][:, 0].tolist()))
        if len(pixels) == 1:
            pipe.recv()


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_temporary_recording_of_a_worker_goes_with_it(tmp_path, context, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    worker = multiprocessing.get_context(context).Process(target=record_temporarily)

    worker.start()
    worker.join()

    assert worker.exitcode == 0
    assert not list(tmp_path.glob("rollout-*"))


KEPT = []


def record_temporarily():
    # In a global, so that it goes at exit and not before.
    KEPT.append(rv.FrameCache())
    KEPT[0].append(np.zeros((1, 8, 8, 3), np.uint8))
    assert KEPT[0].path.exists()
