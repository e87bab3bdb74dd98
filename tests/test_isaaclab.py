"""Isaac Lab's recorder terms and dataset handlers, by a stand-in of its interface."""

import contextlib
import copy
import gc
import subprocess
import sys
import types
import weakref
from typing import Any

import numpy as np
import pytest
import torch

import rollout_viewer as rv
from rollout_viewer.sources import _device_copies
from rollout_viewer.testing import read_count
from tests import pages
from tests.device_tensors import DEVICES, LateSide, OnGpu, on_gpu
from tests.isaaclab_env import (
    Camera,
    DatasetExportMode,
    ExportCfg,
    RecorderManagerBaseCfg,
    RLEnv,
    RolloutRecorder,
    RolloutRecorderCfg,
    RolloutRecorderManagerCfg,
    StickyTerminations,
    configclass,
    recorder_of,
)


def recorders(**options):
    return RolloutRecorderManagerCfg(rollout=RolloutRecorderCfg(**options))


def term_of(env):
    return env.recorder_manager._terms["rollout"]


def run_steps(env, steps=6):
    env.reset()
    for number in range(steps):
        env.step(torch.full((env.num_envs, 2), number / 10))
    env.recorder_manager.close()


def run(env, steps=6):
    run_steps(env, steps)
    return recorder_of(env).cache


def episodes(cache, env):
    return [
        (e.start, e.stop, e.total_reward, e.terminated, e.truncated, e.success)
        for e in cache.episodes
        if e.env == env
    ]


@pytest.fixture(params=DEVICES)
def on_device(request, monkeypatch):
    """What makes tensors of the simulation's device."""
    monkeypatch.setattr(_device_copies, "CudaSide", LateSide)
    OnGpu.num_waits = 0
    return DEVICES[request.param]


# -- while it runs


def test_each_step_of_all_envs_is_a_row_with_its_last_pictures(on_device):
    cache = run(RLEnv(recorders(), 6, on_device=on_device))

    assert cache.num_rows == 6
    assert cache.cameras == ["front"]
    assert cache.fps == 20
    # Env 0 ends by success each 2 steps, env 1 by time each 3.
    assert episodes(cache, 0) == [
        (0, 2, 3, True, False, True),
        (2, 4, 3, True, False, True),
        (4, 6, 3, True, False, True),
    ]
    assert episodes(cache, 1) == [
        (0, 3, 6, False, True, False),
        (3, 6, 6, False, True, False),
    ]
    shown = [[read_count(cache[row, env]) for env in (0, 1)] for row in range(6)]
    assert shown == [
        [(1, 0), (1, 1)],
        [(2, 0), (2, 1)],
        [(1, 0), (3, 1)],
        [(2, 0), (1, 1)],
        [(1, 0), (2, 1)],
        [(2, 0), (3, 1)],
    ]
    # An action is at the row where it was chosen, and not beyond an episode's end.
    assert cache.at(1, 2).action.tolist() == pytest.approx([0.2, 0.2])
    assert cache.at(1, 0).action is None
    assert cache.at(2, 1)["obs.policy"].tolist() == [3, 1]
    assert cache.at(2, 1)["info.ends.time_out"]
    assert cache.metadata["env_id"] == "Counting"


def test_how_an_episode_ended_is_not_taken_for_how_the_next_one_did(on_device):
    env = RLEnv(recorders(), 2, on_device=on_device)
    env.termination_manager = StickyTerminations(env)
    env.reset()
    for _ in range(3):  # env 0 succeeds after two, env 1 ends by time after three
        env.step(torch.zeros(2, 2))
    env.reset()  # in the middle of the second episode of env 0

    cache = run_on(env)

    assert [e.success for e in cache.episodes if e.env == 0] == [True, False, None]
    assert [cache.at(row, 0)["info.success"] for row in (0, 1, 2)] == [0, 1, 0]
    assert [cache.at(row, 1)["info.ends.time_out"] for row in (1, 2, 4)] == [0, 1, 0]


def test_a_picture_that_waits_is_that_before_the_reset(on_device):
    class Bright(Camera):
        """Floats in 0..255 in one tensor, which is drawn into again."""

        def __init__(self, env):
            super().__init__(env)
            self.batch = env.on_device(torch.zeros(1, 16, 16, 3))

        def output(self):
            return {"rgb": self.batch}

    class Redrawn(RLEnv):
        def draw(self):
            super().draw()
            # Only the last one of an episode shows that they are in 0..255.
            shown = 200.0 if self.count[0] == 2 else 1.0
            self.scene.sensors["front"].batch[:] = shown

    env = Redrawn(
        recorders(), 1, on_device=on_device, cameras=lambda e: {"front": Bright(e)}
    )
    env.cfg.num_rerenders_on_reset = 1
    env.reset()

    with pytest.warns(rv.RolloutViewerWarning, match="0..255"):
        for _ in range(2):
            env.step(torch.zeros(1, 2))
        cache = recorder_of(env).cache
        assert cache.scalars["kind"][2:, 0].tolist() == ["step", "reset"]

    assert cache[2, 0][0, 0].tolist() == [200, 200, 200]
    assert cache[3, 0][0, 0].tolist() == [1, 1, 1]


def test_a_reset_that_draws_again_is_a_row_of_its_own(on_device):
    env = RLEnv(recorders(), 3, on_device=on_device)
    env.cfg.num_rerenders_on_reset = 1

    cache = run(env, steps=2)

    assert cache.scalars["kind"].tolist() == [
        ["reset", "reset", "reset"],
        ["step", "step", "step"],
        ["step", "step", "step"],
        ["reset", "idle", "idle"],
    ]
    assert [read_count(cache[row, 0])[0] for row in range(4)] == [0, 1, 2, 0]


def test_a_few_of_thousands_are_pictured_with_one_copy_a_step(monkeypatch):
    monkeypatch.setattr(_device_copies, "CudaSide", LateSide)
    env = RLEnv(recorders(envs=[0, 100, 255]), 256, on_device=on_gpu)
    env.reset()
    env.step(torch.zeros(256, 2))
    copies = term_of(env).rows.device_calls.copies
    before = copies.num_copies, copies.num_waits
    OnGpu.num_waits = 0

    for _ in range(10):
        env.step(torch.zeros(256, 2))
    env.recorder_manager.close()

    assert (copies.num_copies - before[0], OnGpu.num_waits) == (10, 0)
    assert copies.num_waits - before[1] == 10
    cache = recorder_of(env).cache
    assert cache.pictured_envs == (0, 100, 255)
    assert cache.num_rows == 11
    assert read_count(cache[10, 255])[1] == 255


def test_the_simulation_goes_on_while_its_tensors_come(monkeypatch):
    monkeypatch.setattr(_device_copies, "CudaSide", LateSide)
    env = RLEnv(recorders(), 3, on_device=on_gpu)
    env.reset()
    env.step(torch.zeros(3, 2))  # the first shows whether it can be recorded
    copies, cache = term_of(env).rows.device_calls.copies, recorder_of(env).cache
    assert (copies.num_waits, cache.num_rows) == (1, 1)

    env.step(torch.zeros(3, 2))

    assert (copies.num_copies, copies.num_waits, cache.num_rows) == (2, 1, 1)
    env.recorder_manager.record_pre_step()
    assert (copies.num_copies, copies.num_waits, cache.num_rows) == (2, 2, 2)


def test_a_reader_finds_the_row_that_is_on_its_way(monkeypatch):
    monkeypatch.setattr(_device_copies, "CudaSide", LateSide)
    env = RLEnv(recorders(), 3, on_device=on_gpu)
    env.reset()

    for _ in range(2):
        env.step(torch.zeros(3, 2))

    assert recorder_of(env).cache.scalars["reward"].tolist() == [[1] * 3, [2] * 3]


def test_a_reader_that_is_interrupted_leaves_nothing_held(monkeypatch):
    monkeypatch.setattr(_device_copies, "CudaSide", LateSide)
    env = RLEnv(recorders(), 3, on_device=on_gpu)
    env.reset()
    env.step(torch.zeros(3, 2))
    env.step(torch.zeros(3, 2))
    rows = term_of(env).rows

    class Interrupted:
        """A lock whose `acquire` is taken, and interrupted before it is noted."""

        def __init__(self, lock):
            self.lock = lock

        def acquire(self, blocking=True):
            self.lock.acquire(blocking)
            raise KeyboardInterrupt

        def __getattr__(self, name):
            return getattr(self.lock, name)

        def __enter__(self):
            return self.lock.__enter__()

        def __exit__(self, *args):
            return self.lock.__exit__(*args)

    rows._lock = Interrupted(rows._lock)
    with contextlib.suppress(KeyboardInterrupt):
        assert len(recorder_of(env).cache.scalars["reward"]) == 2

    assert not rows._lock.locked()


def test_a_reader_gets_no_error_of_what_cannot_be_recorded(monkeypatch):
    monkeypatch.setattr(_device_copies, "CudaSide", LateSide)
    env = RLEnv(recorders(), 3, on_device=on_gpu)
    env.reset()
    env.step(torch.zeros(3, 2))
    env.step(torch.zeros(3, 2))

    def values():
        raise RuntimeError("gone")

    (call, _), *_ = term_of(env).rows._waiting
    monkeypatch.setattr(call, "values", values)
    with pytest.warns(rv.RolloutViewerWarning, match="gone"):
        rewards = recorder_of(env).cache.scalars["reward"]

    assert rewards[0].tolist() == [1, 1, 1]
    env.step(torch.zeros(3, 2))
    env.recorder_manager.close()
    cache = recorder_of(env).cache
    assert cache.at(cache.num_rows - 1, 2).env_step == 3


def test_an_env_that_deletes_its_recorder_manager_is_recorded_to_the_end(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(_device_copies, "CudaSide", LateSide)
    env = RLEnv(recorders(cache=str(tmp_path / "a.rollout")), 3, on_device=on_gpu)
    env.reset()
    for _ in range(2):
        env.step(torch.zeros(3, 2))

    del env.recorder_manager  # as releases before 2.3 do, without `close`

    assert recorder_of(env).cache.num_rows == 2
    recorder_of(env).cache.flush()
    assert rv.open(tmp_path / "a.rollout").num_rows == 2


def test_an_env_is_not_kept_alive_by_its_recording():
    env = RLEnv(recorders(), 3)
    env.reset()
    env.step(torch.zeros(3, 2))
    gone = weakref.ref(env)
    cache = recorder_of(env).cache

    del env
    gc.collect()

    assert gone() is None
    assert cache.num_rows == 1


def test_the_first_step_shows_whether_an_env_can_be_recorded(on_device):
    class Faulty(Camera):
        def output(self):
            return {"rgb": self._env.on_device(torch.zeros(3, 9, 9, 7))}

    env = RLEnv(recorders(), 3, on_device=on_device, cameras=lambda e: {"a": Faulty(e)})
    env.reset()

    with pytest.raises(rv.FrameError, match=r"\(3, H, W, 3\)"):
        env.step(torch.zeros(3, 2))


def test_a_full_disk_at_the_end_is_a_warning(monkeypatch):
    env = RLEnv(recorders(), 3)
    env.reset()
    env.step(torch.zeros(3, 2))

    def finish():
        raise rv.StorageError("no room")

    monkeypatch.setattr(recorder_of(env), "finish", finish)
    with pytest.warns(rv.RolloutViewerWarning, match="no room"):
        env.recorder_manager.close()


@pytest.mark.parametrize(
    "env_ids",
    [None, torch.tensor([0, 2]), slice(0, 3, 2), [0, 2], np.array([0, 2])],
    ids=["all", "tensor", "slice", "list", "array"],
)
def test_envs_that_the_user_resets_begin_anew(on_device, env_ids):
    env = RLEnv(recorders(), 4, on_device=on_device)
    env.reset()
    env.step(torch.zeros(4, 2))

    env.reset(env_ids)
    cache = run_on(env)

    begun = range(4) if env_ids is None else (0, 2)
    for number in range(4):
        found = [e for e in cache.episodes if e.env == number]
        assert found[0].length == (1 if number in begun else 2)


def run_on(env):
    env.step(torch.zeros(env.num_envs, 2))
    env.recorder_manager.close()
    return recorder_of(env).cache


def test_every_skip_and_sizes_are_options(on_device):
    options = {"skip": 2, "resize": (24, 32), "tag": "eval"}

    cache = run(RLEnv(recorders(options=options), 3, on_device=on_device), steps=8)

    assert cache[0, 0].shape == (24, 32, 3)
    assert sum(e.total_reward for e in cache.episodes if e.env == 2) == 20


def test_several_cameras_are_beside_one_another(on_device):
    def cameras(env):
        contacts = types.SimpleNamespace(cfg=types.SimpleNamespace())
        wrist = Camera(env, data_types=("rgba",), channels=4)
        return {"front": Camera(env), "contacts": contacts, "wrist": wrist}

    cache = run(RLEnv(recorders(), 3, on_device=on_device, cameras=cameras))

    assert cache.cameras == ["front", "wrist"]
    for camera in cache.cameras:
        (picture,) = cache.frames(1, [2], camera)[0]
        assert read_count(picture) == (2, 2)


def test_pictures_in_arrays_that_show_a_tensor_are_recorded(on_device):
    class Proxied(Camera):
        def output(self):
            return {"rgb": types.SimpleNamespace(torch=super().output()["rgb"])}

    env = RLEnv(
        recorders(), 3, on_device=on_device, cameras=lambda e: {"a": Proxied(e)}
    )
    cache = run(env, steps=2)

    assert read_count(cache[1, 2]) == (2, 2)


def test_one_cache_of_the_user_is_recorded_into(tmp_path):
    mine = rv.FrameCache(tmp_path / "mine.rollout", disk_bytes=10**8, keep="latest")

    cache = run(RLEnv(recorders(cache=lambda: mine), 3))

    assert cache is mine
    assert mine.num_rows == 6


def test_a_configuration_can_be_copied_and_gives_each_env_a_recording(tmp_path):
    cfg = recorders(cache=str(tmp_path / "run.rollout"))

    first, second = (run(RLEnv(copy.deepcopy(cfg), 2)) for _ in range(2))

    assert first.path != second.path
    assert cfg.dataset_export_mode == DatasetExportMode.EXPORT_NONE


def test_an_env_without_cameras_is_refused_with_the_way_out():
    no_camera = {"cameras": lambda env: {}}

    with pytest.raises(rv.RenderError, match=r"cameras=\[\]"):
        RLEnv(recorders(), 3, **no_camera)
    cache = run(RLEnv(recorders(cameras=[]), 3, **no_camera))

    assert cache.num_rows == 6
    assert cache.cameras == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cameras": ["back"]}, rv.RenderError, r"\['front'\], got \['back'\]"),
        ({"envs": 0}, ValueError, "above 0"),
        ({"envs": []}, ValueError, r"above 0.*got \[\]"),
        ({"envs": True}, ValueError, "above 0"),
        ({"envs": 1.5}, ValueError, "above 0"),
        ({"envs": ["a"]}, ValueError, "above 0"),
        ({"envs": [1, 9]}, rv.ShapeError, "9"),
        ({"options": {"skip": 0}}, ValueError, "skip"),
    ],
    ids=str,
)
def test_arguments_that_name_nothing_are_refused_before_the_first_step(
    options, error, message
):
    with pytest.raises(error, match=message):
        RLEnv(recorders(**options), 3)


@pytest.mark.parametrize(
    "envs", [np.int64(2), [0, 1], np.arange(2), torch.tensor([1, 0]), range(2)], ids=str
)
def test_pictured_envs_are_numbers_of_any_type(envs):
    assert run(RLEnv(recorders(envs=envs), 3)).pictured_envs == (0, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda env: torch.zeros(2, 9, 9, 3), r"\(3, H, W, 3\)"),
        (lambda env: torch.zeros(3, 9, 9), r"\(3, H, W, 3\)"),
        (lambda env: None, "rgb"),
    ],
    ids=["count", "axes", "none"],
)
def test_pictures_that_are_none_end_no_run(on_device, make, message):
    class Faulty(Camera):
        def output(self):
            if self._env.count[0] == 1 or (found := make(self._env)) is None:
                return super().output() if self._env.count[0] == 1 else {}
            return {"rgb": self._env.on_device(found)}

    env = RLEnv(recorders(), 3, on_device=on_device, cameras=lambda e: {"a": Faulty(e)})
    with pytest.warns(rv.RolloutViewerWarning, match=message):
        cache = run(env)

    assert cache.num_rows == 6
    assert np.nansum(cache.scalars["reward"][:, 0]) == 9


def test_a_manager_that_raises_ends_no_run(on_device):
    env = RLEnv(recorders(), 3, on_device=on_device)
    env.reset()
    env.step(torch.zeros(3, 2))

    def get_term(name):
        raise RuntimeError("not yet")

    env.step(torch.zeros(3, 2))
    recorder_term_sees = types.SimpleNamespace(
        active_terms=["success"],
        get_term=get_term,
        terminated=env.termination_manager.terminated,
        time_outs=env.termination_manager.time_outs,
    )
    known: Any = env.termination_manager
    env.termination_manager = recorder_term_sees  # type: ignore[assignment]
    with pytest.warns(rv.RolloutViewerWarning, match="not yet"):
        env.recorder_manager.record_post_step()
    env.termination_manager = known
    env.step(torch.zeros(3, 2))
    env.recorder_manager.close()

    assert recorder_of(env).cache.num_rows == 3


def test_rewards_of_another_number_of_envs_are_refused():
    env = RLEnv(recorders(), 3)
    env.reset()
    env.reward_buf = torch.zeros(2)

    with pytest.raises(rv.ShapeError, match="reward of 3 envs"):
        env.recorder_manager.record_post_step()


@pytest.mark.parametrize("env_ids", [[7], torch.tensor([-9]), ["a"]], ids=str)
def test_numbers_of_no_env_are_refused(env_ids):
    env = RLEnv(recorders(), 3)

    with pytest.raises(rv.ShapeError, match=r"0\.\.2"):
        term_of(env).rows.note_reset(env_ids)


def test_an_env_without_rewards_and_ends_is_recorded():
    env = RLEnv(recorders(), 3)
    del env.reward_buf, env.termination_manager  # as of a ManagerBasedEnv
    env.recorder_manager.record_post_reset(None)
    env.draw()

    env.recorder_manager.record_pre_step()
    env.recorder_manager.record_post_step()
    env.recorder_manager.close()

    cache = recorder_of(env).cache
    assert cache.num_rows == 1
    assert np.isnan(cache.scalars["reward"]).all()


def test_an_env_that_no_term_records_is_named():
    @configclass
    class Nothing(RecorderManagerBaseCfg):
        pass

    with pytest.raises(rv.RolloutViewerError, match="RolloutRecorderManagerCfg"):
        recorder_of(RLEnv(Nothing(), 2))


def test_a_term_shows_a_viewer():
    env = RLEnv(recorders(), 2)
    run(env)

    term = term_of(env)
    assert isinstance(term, RolloutRecorder)
    assert isinstance(term.viewer, rv.RolloutViewer)
    assert term.viewer is recorder_of(env).viewer


def snippet(number):
    """Return a snippet of the guide that runs in Isaac Lab."""
    page = pages.GUIDES / "scale_out.md"
    ours = [one for one in pages.blocks(page, "text") if "env_cfg" in one]
    return ours[number]


def test_the_snippets_of_the_guide_record_and_export(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env_cfg = types.SimpleNamespace()

    def make(name, cfg):
        env = RLEnv(cfg.recorders, 3)
        run_steps(env)
        return env

    names: dict[str, Any] = {
        "env_cfg": env_cfg,
        "gym": types.SimpleNamespace(make=make),
    }
    exec(snippet(0), names)
    names["ActionStateRecorderManagerCfg"] = ExportCfg
    exec(snippet(1), names)
    run_steps(RLEnv(env_cfg.recorders, 3))

    assert rv.open("run.rollout").num_rows == 6
    assert rv.open("datasets/dataset.rollout").episodes[0].success


# -- without Isaac Lab


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            None,
            "needs isaaclab, which is not installed. Run it with Isaac Lab's Python",
        ),
        ("import omni", "not to be imported (No module named 'omni')"),
    ],
    ids=["absent", "not started"],
)
def test_without_isaac_lab_only_the_use_of_a_name_raises(tmp_path, source, message):
    if source is not None:
        (tmp_path / "isaaclab").mkdir()
        (tmp_path / "isaaclab" / "__init__.py").write_text(source)
    code = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "from rollout_viewer.sources import isaaclab\n"
        "assert 'RolloutRecorder' in dir(isaaclab)\n"
        "isaaclab.RolloutRecorderCfg"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert "MissingDependencyError" in done.stderr
    assert message in done.stderr
