"""Which envs recorders of other processes get, and how long each end waits."""

from __future__ import annotations

import os
import socket
import threading

import pytest

import rollout_viewer as rv
from rollout_viewer._cache.remote_messages import (
    Begun,
    Declaration,
    Finished,
    Sealed,
    connection_of,
    send,
)
from rollout_viewer._cache.remote_rows import RemoteCache
from rollout_viewer.testing import CountingEnv, read_count
from tests.test_append_block import blocks_of
from tests.test_remote_cache import PATIENCE_S, lengths_of, wait_until


class Worker:
    """A recorder of the process that was started as the n-th one.

    Its pictures show that number.
    """

    def __init__(self, remote: RemoteCache, order: int) -> None:
        self.order = order
        declaration = Declaration(1, (order,), os.getpid() + order, None, {}, None)
        self.connection, _ = remote.connect(declaration)

    def begin(self) -> None:
        send(self.connection, Begun())

    def send(self, num_rows: int = 3) -> None:
        self.begin()
        for block in blocks_of(num_rows, first_env=self.order):
            send(self.connection, Sealed(block))

    def finish(self) -> None:
        send(self.connection, Finished())
        self.connection.close()


def whose(cache: rv.FrameCache, row: int) -> list[int | None]:
    """Return for each env whose picture a row shows."""
    return [
        read_count(cache[row, env])[1] if cache.has_picture(row, env) else None
        for env in range(cache.num_envs)
    ]


def left(cache: rv.FrameCache) -> int:
    """Return how many recorders of a cache have left, and are not forgotten."""
    assert cache._intake is not None
    return sum(one.has_left for one in list(cache._intake._recorders.values()))


def known(cache: rv.FrameCache) -> int:
    assert cache._intake is not None
    return len(cache._intake._recorders)


def test_a_second_group_of_workers_gets_envs_in_its_order(monkeypatch):
    monkeypatch.setattr("rollout_viewer._cache.intake._FIRST_ROWS_S", 1e9)
    cache = rv.FrameCache()
    remote = cache.remote(num_envs=2)
    for first in (1, 3):
        workers = [Worker(remote, first), Worker(remote, first + 1)]
        workers[1].send()
        wait_until(lambda workers=workers: known(cache) == len(workers))
        workers[0].send()
        for worker in workers:
            worker.finish()
        wait_until(lambda: not known(cache))

        assert whose(cache, cache.num_rows - 1) == [first, first + 1]
    cache.close()


@pytest.mark.parametrize("num_envs", [2, None])
def test_who_replaces_a_worker_that_was_killed_at_once_gets_its_envs(num_envs):
    cache = rv.FrameCache()
    remote = cache.remote(num_envs=num_envs)
    killed, other = Worker(remote, 1), Worker(remote, 2)
    killed.begin()
    killed.connection.close()
    wait_until(lambda: left(cache) == 1)
    successor = Worker(remote, 3)

    other.send()
    wait_until(lambda: cache.num_rows == 3)
    successor.send()
    wait_until(lambda: cache.num_rows == 6)

    assert whose(cache, 0)[:2] == [None, 2]
    assert whose(cache, 3)[0] == 3
    other.finish()
    successor.finish()
    cache.close()


@pytest.mark.timeout(100)
def test_what_answers_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("rollout_viewer._cache.remote_rows.HANDSHAKE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with pytest.raises(rv.RecordingError, match="no answer in 0 s"):
            rv.record(CountingEnv(), cache=RemoteCache(host, port, b"key"))


@pytest.mark.timeout(100)
def test_who_says_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("rollout_viewer._cache.intake.HANDSHAKE_S", 0.2)
    cache = rv.FrameCache()
    with socket.create_connection(cache.remote()._address) as sock:
        while sock.recv(1000):  # its challenge, and then the end
            pass
    cache.close()


@pytest.mark.timeout(100)
def test_a_cache_is_closed_while_a_worker_steps_on(monkeypatch):
    monkeypatch.setattr("rollout_viewer._cache.intake._LAST_ROWS_S", 1e9)
    cache = rv.FrameCache()
    env = rv.record(CountingEnv((10**9,)), cache=cache.remote(num_envs=1))
    is_over = threading.Event()

    def step_on():
        env.reset()
        while not is_over.is_set():
            env.step(0)

    thread = threading.Thread(target=step_on, daemon=True)
    thread.start()
    wait_until(lambda: cache.num_rows >= 64)
    with pytest.warns(rv.RolloutViewerWarning, match="a cache that was closed"):
        cache.close()
        wait_until(lambda: env.recorder._remote_rows.is_lost)
    is_over.set()
    thread.join(PATIENCE_S)
    env.close()

    [length] = lengths_of(cache, 0)
    # Rows of a block that is not full are idle at its end.
    assert length == (cache.scalars["kind"] == "step").sum()


def test_a_machine_that_vanished_is_found_out_within_minutes():
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    if idle is None:
        pytest.skip("this system has no option for it")
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with far, connection_of(near) as connection:
        sock = socket.socket(fileno=os.dup(connection.fileno()))
        with sock:
            idle_s, interval_s, count = (
                sock.getsockopt(socket.IPPROTO_TCP, option)
                for option in (idle, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )

    assert 0 < idle_s + interval_s * count <= 120
