"""Every file that is named after something lies in its folder, whatever the name."""

from __future__ import annotations

import contextlib
import os
import threading

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rollout_viewer as rv
from rollout_viewer._files import names as file_names
from rollout_viewer._files.names import path_inside
from rollout_viewer._recorder.video_recovery import finish_videos
from rollout_viewer._recorder.video_segment import PENDING_KEY, VideoSegment
from rollout_viewer.testing import counting_recording

OUTSIDE = ["../x", "../../x", "a/../../x", "/tmp/rollout-viewer-outside", ".."]
STRANGE = ["a\0b", "\x1b[31m", "a\\..\\..\\b", "\ud800", "x" * 10_000, "a/" * 3_000, ""]


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path):
    """A folder deep in `tmp_path`; nothing else there may change."""
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    yield deep
    outside = [name for name in files_of(tmp_path) if not name.startswith("a/b/c/")]
    assert not outside
    assert not os.path.lexists("/tmp/rollout-viewer-outside")


@given(st.text(), st.text(max_size=9))
def test_no_name_of_data_leads_out_of_its_folder(name, suffix):
    path = path_inside("/folder", name, suffix)

    inside = path.relative_to("/folder")
    assert inside.parts
    assert all(0 < len(os.fsencode(part)) <= 255 for part in inside.parts)
    assert not any(part.startswith(".") for part in inside.parts)
    assert path.as_posix().isprintable() or "\0" not in path.as_posix()


@given(st.lists(st.text(), min_size=2, max_size=20, unique=True))
def test_different_names_are_different_files(names):
    flat = [name.replace("/", "") for name in names]

    paths = {name: path_inside("", name, ".mp4") for name in flat}

    assert len(set(paths.values())) == len(set(flat))


def test_a_usual_name_stays_as_it_is():
    usual = (
        "eval/Reward: mean = 1.5 (Größe)",
        "aux",
        "rl-video-step-0-to-step-200",
        ".x",
    )
    for name in usual:
        path = path_inside("v", name, ".csv", where="log")
        assert path.as_posix() == f"v/{name}.csv"


@pytest.mark.parametrize("name", ["aux", "NUL.csv", "a:b", "a?", "x.", "C:/x", "C:x"])
def test_on_windows_no_device_and_no_drive_is_named(name, monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(file_names, "Path", lambda *parts: "/".join(map(str, parts)))

    path = str(path_inside("folder", name))

    assert path.startswith("folder/")
    assert not set(':?<>"|*') & set(path)
    assert not path.endswith(".")
    assert not file_names._DEVICES.match(path.rpartition("/")[2])


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_argument_that_leads_out_is_refused_before_anything_is_made(folder, name):
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    for make in (
        lambda: rv.CSVLogger(name, folder),
        lambda: rv.TensorboardLogger(name, folder),
        lambda: rv.RecordVideo(env, str(folder / "videos"), name_prefix=name),
    ):
        with pytest.raises(ValueError, match="expected a name within"):
            make()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["sub/pole", *STRANGE])
def test_videos_are_in_their_folder_whatever_their_prefix(folder, name):
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    env = rv.RecordVideo(env, str(folder), lambda n: n == 0, name_prefix=name)
    env.reset(seed=0)
    for _ in range(3):
        env.step(0)
    env.close()

    found = sorted(name.rpartition(".")[2] for name in files_of(folder))
    assert found == ["json", "mp4", "rollout"]
    with pytest.raises(ValueError, match="expected a name within"):
        env.start_recording("../x")


def test_a_recording_from_elsewhere_names_no_video_outside_its_folder(folder):
    (folder.parent / ".x.1.part.mp4").touch()
    cache = rv.FrameCache(folder / "run.rollout")
    for _ in range(3):
        cache.append(np.zeros((1, 16, 16, 3), np.uint8))
    names = ["../x", "/tmp/rollout-viewer-outside", "*"]
    segments = [VideoSegment(name, 0, 3).as_json() for name in names]
    cache.set_meta(PENDING_KEY, segments)
    cache.close()
    (folder / ".other.1.part.mp4").touch()

    written = finish_videos(folder, where="test")

    assert len(written) == 3
    assert all(path.is_relative_to(folder) for path in written)
    assert (folder / ".other.1.part.mp4").exists()
    (folder.parent / ".x.1.part.mp4").unlink()  # else the cleaning would have done it


class ForeignLogger:
    """Has a folder, and no tables."""

    def __init__(self, folder):
        self.log_dir = str(folder)

    def log_video(self, name, video, step=None):
        """Store nothing."""


@pytest.mark.parametrize("tag", [*OUTSIDE, *STRANGE])
def test_the_table_beside_a_foreign_logger_is_in_its_folder(folder, tag):
    clip = counting_recording(3, 1).clip()

    [path] = clip.dump(ForeignLogger(folder), tag, formats="csv")

    assert path.is_relative_to(folder / "tables")


@pytest.mark.parametrize("tag", STRANGE)
def test_our_loggers_log_whatever_the_name(folder, tag):
    clip = counting_recording(3, 1).clip()
    logger = rv.CSVLogger(tag, folder, video_format="gif")

    logger.log_scalar(tag, 1.0)
    logger.log_text(tag, "text")
    paths = clip.dump(logger, tag, formats=("gif", "csv"))
    logger.close()

    assert len(paths) == 2
    assert len(files_of(folder)) == 4


@pytest.mark.parametrize("tag", OUTSIDE)
def test_a_viewer_refuses_a_tag_outside_of_its_folder(tag):
    with pytest.raises(ValueError, match="expected a name within"):
        rv.view(counting_recording(3, 1), tag=tag)


@pytest.mark.parametrize("tag", ["x", *STRANGE])
def test_a_download_is_written_in_its_folder(folder, tag):
    viewer = rv.view(counting_recording(3, 1), tag=tag)

    for suffix in ("csv", "x/../../../csv", "/../../y.csv"):
        with contextlib.suppress(ValueError, rv.RolloutViewerError):
            viewer._dumps.download(
                viewer.cache, folder, 0, 3, suffix, lambda *_: None, threading.Event()
            )
    viewer.close()

    assert all(path.is_relative_to(folder) for path in folder.rglob("*"))
