"""Episodes of a Ray cluster are those of this process, whatever dies."""

from __future__ import annotations

import functools

import pytest

import rollout_viewer as rv
from tests.collect_envs import SeededEnv
from tests.test_collect import by_seed, play

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

pytestmark = [
    pytest.mark.slow,
    # Of Ray 2.60 itself: sockets and processes that it leaves to the end of a run.
    # https://github.com/ray-project/ray/issues/9546
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*accelerator:FutureWarning"),
]


@pytest.mark.timeout(400)
def test_a_killed_actor_loses_no_episode(tmp_path):
    make_env = functools.partial(SeededEnv, killed=17, once=str(tmp_path / "killed"))
    seen: list[rv.Episode] = []

    with pytest.warns(rv.RolloutViewerWarning, match="All were collected again"):
        cache = rv.collect(
            make_env,
            episodes=40,
            num_workers=2,
            backend="ray",
            on_episode=seen.append,
            progress=False,
        )

    assert by_seed(cache) == {seed: play(seed) for seed in range(40)}
    assert sorted(e.seed or 0 for e in seen) == list(range(40))
    assert not ray.is_initialized()  # it was not there before
