"""What every test needs: no windows, no sound, no files outside of tmp_path."""

import os
import pathlib

# Before anything imports pygame, MuJoCo or matplotlib: the machine has no screen.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("MUJOCO_GL", "osmesa")
os.environ.setdefault("PYOPENGL_PLATFORM", "osmesa")
os.environ["MPLBACKEND"] = "Agg"
# jupyter_core warns as long as nobody chose where its files belong.
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")

import pytest

# --doctest-modules would import both conftest.py under one name
collect_ignore = ["conftest.py", "browser/conftest.py"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run each test in its tmp_path: a relative path (rollouts/) writes there."""
    monkeypatch.chdir(tmp_path)
