"""What an exception keeps of a recording, in this process and in others."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cloudpickle  # type: ignore[import-untyped]
import pytest

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv


class PolicyError(Exception):
    """With an argument and an attribute of its own."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def failing_policy(fails_at: int):
    count = 0

    def policy(obs):
        nonlocal count
        count += 1
        if count == fails_at:
            raise PolicyError(count)
        return 0

    return policy


def fail() -> None:
    rv.rollout(CountingEnv(), policy=failing_policy(3), max_steps=10, progress=False)


def caught(call) -> PolicyError:
    with pytest.raises(PolicyError) as found:
        call()
    return found.value


@pytest.mark.parametrize(
    "passed_on",
    [lambda error: pickle.loads(cloudpickle.dumps(error)), copy.copy],
    ids=["pickled", "copied"],
)
def test_an_exception_that_goes_elsewhere_has_all_but_the_cache(passed_on):
    error = caught(fail)
    assert error.cache.num_rows == 3  # type: ignore[attr-defined]

    other = passed_on(error)

    assert (type(other), other.args, other.step) == (PolicyError, (3,), 3)
    assert not hasattr(other, "cache")
    assert other.__notes__ == error.__notes__
    assert pickle.loads(pickle.dumps(other)).step == 3


def test_a_pool_of_processes_gets_each_error():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(fail) for _ in range(3)]
        assert [task.exception(timeout=60).step for task in tasks] == [3] * 3


def test_an_error_in_a_call_within_another_leads_to_both_recordings():
    def evaluate(obs):
        fail()

    error = caught(
        lambda: rv.rollout(CountingEnv(), policy=evaluate, max_steps=5, progress=False)
    )

    inner, outer = error.caches  # type: ignore[attr-defined]
    assert error.cache is inner  # type: ignore[attr-defined]
    assert (inner.num_rows, outer.num_rows) == (3, 1)
    assert ["exception's .cache " in error.__notes__[0]] == [True]
    assert "exception's .caches[1] " in error.__notes__[1]
