"""What every test needs: no windows, no sound, no files outside of tmp_path."""

import gc
import os
import pathlib
from typing import Any

# Before anything imports pygame, MuJoCo or matplotlib: the machine has no screen.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("MUJOCO_GL", "osmesa")
os.environ.setdefault("PYOPENGL_PLATFORM", "osmesa")
os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Two workers on two cores: torch's threads would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# jupyter_core warns as long as nobody chose where its files belong.
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")

import hypothesis
import numpy as np
import pytest

# The same examples in every run, however slow the machine is; `make faults` looks for
# new ones.
hypothesis.settings.register_profile(
    "suite",
    derandomize=os.environ.get("FAULTS") != "long",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")

LONG = ("slow", "browser")

# --doctest-modules would import all conftest.py under one name
collect_ignore = ["conftest.py", "browser/conftest.py", "faults/conftest.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Search what is imported for no garbage, until all tests are collected.

    It stays, and searching it takes a tenth of the time in which it is imported.
    """
    # Who only gives tests to others collects none.
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if is_worker or not getattr(config.option, "numprocesses", None):
        gc.disable()


def _assert_array_equal(
    actual: Any,
    desired: Any,
    *args: Any,
    _as_numpy_does: Any = np.testing.assert_array_equal,
    **options: Any,
) -> None:
    """Compare thousands of pictures, at a hundredth of what a comparison takes.

    NumPy's makes what it would say of those that differ: 4 ms for 600 x 400 pixels.
    """
    __tracebackhide__ = True
    both = (actual, desired)
    are_pictures = all(getattr(one, "dtype", None) == np.uint8 for one in both)
    if not (are_pictures and np.array_equal(actual, desired)):
        _as_numpy_does(actual, desired, *args, **options)


np.testing.assert_array_equal = _assert_array_equal


def pytest_ignore_collect(
    collection_path: pathlib.Path, config: pytest.Config
) -> bool | None:
    """Leave out files that import JAX, where not only its tests are run.

    No test may fork in a process that has imported it.
    """
    is_jax = collection_path.name.startswith("test_functional")
    return True if is_jax and config.option.markexpr != "jax" else None


@pytest.hookimpl(trylast=True)  # when tests/browser has set its marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that workers beside each other end together."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not any(map(item.get_closest_marker, LONG)))


def pytest_collection_finish() -> None:
    """Leave what was imported so far to itself: millions of objects of libraries.

    Gymnasium's recorder calls ``gc.collect()`` for each video, and so do tests of
    what is released: half a second each, in a process that has imported everything.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run each test in its tmp_path: a relative path (rollouts/) writes there."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _warned_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test be warned of what a test before it was warned of, once."""
    monkeypatch.setattr("rollout_viewer._errors._warned", set())


@pytest.fixture
def workers_made(monkeypatch):
    """A list with each process that was started to render."""
    from rollout_viewer._replay import pool

    made = []

    class KnownWorker(pool.Worker):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(pool, "Worker", KnownWorker)
    return made
