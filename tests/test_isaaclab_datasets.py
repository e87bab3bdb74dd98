"""Episodes that Isaac Lab exports, in a recording and back, by a stand-in."""

import pytest
import torch

import rollout_viewer as rv
from rollout_viewer.sources import _device_copies
from rollout_viewer.testing import read_count
from tests.device_tensors import DEVICES, LateSide, OnGpu
from tests.isaaclab_env import (
    DatasetExportMode,
    EpisodeData,
    ExportCfg,
    RLEnv,
    RolloutDatasetFileHandler,
)


@pytest.fixture(params=DEVICES)
def on_device(request, monkeypatch):
    """What makes tensors of the simulation's device."""
    monkeypatch.setattr(_device_copies, "CudaSide", LateSide)
    OnGpu.num_waits = 0
    return DEVICES[request.param]


def exported(
    folder, mode=DatasetExportMode.EXPORT_ALL, on_device=lambda tensor: tensor
):
    cfg = ExportCfg(dataset_export_dir_path=str(folder / "new"))
    cfg.dataset_export_mode = mode
    env = RLEnv(cfg, 3, on_device=on_device)
    env.reset()
    for number in range(4):
        env.step(torch.full((3, 2), number / 10))
    env.recorder_manager.close()
    return folder / "new" / "dataset.rollout"


def test_episodes_that_isaac_lab_exports_are_read_back_to_the_bit(tmp_path, on_device):
    path = exported(tmp_path, on_device=on_device)
    handler = RolloutDatasetFileHandler()
    handler.open(str(path.with_suffix("")))

    assert handler.get_env_name() == "Counting"
    assert list(handler.get_episode_names()) == [f"demo_{n}" for n in range(4)]
    assert handler.get_num_episodes() == handler.demo_count == 4
    episode = handler.load_episode("demo_1", "cpu")
    assert episode.success is False
    assert list(episode.data) == ["initial_state", "actions", "obs"]
    # Env 1: three steps, after those of env 0.
    obs = episode.data["obs"]
    assert obs["robot"]["joint_pos"].tolist() == [[1, 1], [2, 2], [3, 3]]
    assert obs["robot"]["joint_pos"].dtype == torch.float64
    assert obs["grasped"].tolist() == [False, True, True]
    assert obs["action"].dtype == torch.float16
    assert obs["front"].dtype == torch.uint8
    assert [read_count(one.numpy()) for one in obs["front"]] == [(1, 1), (2, 1), (3, 1)]
    state = episode.data["initial_state"]["articulation"]["robot"]["root_pose"]
    assert state.tolist() == [0.0]
    assert (
        episode.data["actions"].tolist()
        == torch.tensor([[0.0, 0.0], [0.1, 0.1], [0.2, 0.2]]).tolist()
    )
    assert handler.load_episode("demo_9", "cpu") is None
    handler.close()


def test_exported_episodes_are_a_recording_to_look_at(tmp_path):
    cache = rv.open(exported(tmp_path))

    assert cache.cameras == ["obs.front"]
    found = cache.episodes
    assert [(e.length, e.success, e.labels["demo"]) for e in found] == [
        (2, True, "demo_0"),
        (3, False, "demo_1"),
        (2, True, "demo_2"),
        (4, False, "demo_3"),
    ]
    first = found[1].start
    assert cache.at(first, 0).action.tolist() == [0, 0]
    assert read_count(cache[first, 0]) == (1, 1)
    assert cache.metadata["env_id"] == "Counting"


@pytest.mark.parametrize(
    ("mode", "numbers"),
    [
        (DatasetExportMode.EXPORT_SUCCEEDED_ONLY, {"dataset": 2}),
        (
            DatasetExportMode.EXPORT_SUCCEEDED_FAILED_IN_SEPARATE_FILES,
            {"dataset": 2, "dataset_failed": 2},
        ),
    ],
    ids=["succeeded", "apart"],
)
def test_modes_of_export_are_isaac_labs(tmp_path, mode, numbers):
    exported(tmp_path, mode)

    for name, number in numbers.items():
        handler = RolloutDatasetFileHandler()
        handler.open(str(tmp_path / "new" / name))
        assert handler.get_num_episodes() == number
        handler.close()


def episode_of(**data):
    episode = EpisodeData()
    episode.data = data
    return episode


def test_episodes_of_any_form_come_back(tmp_path):
    handler = RolloutDatasetFileHandler()
    handler.create(str(tmp_path / "any"), env_name="Any")
    bf16 = torch.tensor([[1.5], [2.5]], dtype=torch.bfloat16)
    unequal = episode_of(
        **{"a.b": torch.arange(3), "a": {"b": torch.arange(2)}},
        half=bf16,
        tiny=torch.zeros(2, 3, 3, 3, dtype=torch.uint8),
        empty=torch.zeros(0, 4),
        listed=[torch.ones(2), torch.zeros(2)],
        wide=torch.rand(3, 9, 9, 3),
    )
    unequal.seed, unequal.env_id, unequal.success = 7, 3, True

    handler.write_episode(unequal)
    handler.write_episode(EpisodeData())
    handler.write_episode(episode_of(actions=torch.zeros(0, 2)))
    handler.write_episode(episode_of(x=torch.ones(1)), demo_id=40)

    assert list(handler.get_episode_names()) == ["demo_0", "demo_1", "demo_40"]
    found = handler.load_episode("demo_0")
    assert (found.seed, found.env_id, found.success) == (7, 3, True)
    assert found.data["a.b"].tolist() == [0, 1, 2]
    assert found.data["a"]["b"].tolist() == [0, 1]
    assert found.data["half"].dtype == torch.bfloat16
    assert found.data["half"].equal(bf16)
    assert found.data["tiny"].shape == (2, 3, 3, 3)
    assert found.data["empty"].shape == (0, 4)
    assert found.data["listed"].tolist() == [[1, 1], [0, 0]]
    assert found.data["wide"].equal(unequal.data["wide"])
    assert handler.load_episode("demo_1").data["actions"].shape == (0, 2)
    with pytest.raises(ValueError, match="demo_40"):
        handler.write_episode(episode_of(x=torch.ones(1)), demo_id=40)
    handler.close()
    handler.close()


def test_what_is_no_tensor_of_numbers_is_left_out_with_a_warning(tmp_path):
    handler = RolloutDatasetFileHandler()
    handler.create(str(tmp_path / "a.rollout"))

    with pytest.warns(rv.RolloutViewerWarning, match="wave"):
        handler.write_episode(episode_of(x=torch.ones(2), wave=torch.tensor([1j])))

    assert list(handler.load_episode("demo_0").data) == ["x"]
    handler.close()


def test_an_existing_file_stays_and_a_handler_has_one_file_at_a_time(tmp_path):
    first, second = RolloutDatasetFileHandler(), RolloutDatasetFileHandler()
    for handler in (first, second):
        handler.create(str(tmp_path / "a"))
        handler.write_episode(episode_of(x=torch.ones(2)))

    assert [one.path.name for one in (first, second)] == ["a.rollout", "a-1.rollout"]
    with pytest.raises(RuntimeError, match="close"):
        first.create(str(tmp_path / "b"))
    first.close()
    second.close()
    with pytest.raises(RuntimeError, match="create"):
        first.write_episode(episode_of(x=torch.ones(2)))
    with pytest.raises(ValueError, match="mode 'r'"):
        first.open(str(tmp_path / "a"), "r+")
    with pytest.raises(rv.RecordingError):
        first.open(str(tmp_path / "missing"))


def test_a_file_that_cannot_be_closed_as_python_ends_is_no_error(tmp_path):
    handler = RolloutDatasetFileHandler()
    handler.create(str(tmp_path / "a"))
    cache = handler._cache

    class Gone:
        def close(self):
            raise TypeError("'NoneType' object is not callable")

    handler._cache = Gone()
    handler.__del__()

    cache.close()
