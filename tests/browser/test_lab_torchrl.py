"""The viewer of TorchRL's recorder in a real JupyterLab: where its buttons write."""

import re

import pytest

pytest.importorskip("torchrl", reason="needs the extra torchrl")

from tests.browser.driver import Viewer

RECORD = """
import torch
from torchrl.envs import Compose, GymWrapper, TransformedEnv

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv


class Counted(rv.CSVLogger):
    num_videos = 0

    def log_video(self, *args, **kwargs):
        self.num_videos += 1
        return super().log_video(*args, **kwargs)


logger = Counted("counting", log_dir="my_logs", video_format="mp4")
recorder = rv.VideoRecorder(logger, "eval", skip=1)
env = TransformedEnv(
    GymWrapper(CountingEnv([99])), Compose(rv.PixelRenderTransform(), recorder)
)
env.rollout(10)
recorder.cache.num_rows
"""
DUMP = "recorder.dump(step=7)"
COUNT = "print(logger.num_videos, len(recorder.obs), recorder.count)"


def test_the_dump_button_writes_where_dump_does_through_the_same_logger(lab):
    import av

    notebook = lab(RECORD, "recorder.viewer", DUMP, COUNT)
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(11)

    viewer.button("^dump mp4").click()
    viewer.root.get_by_text(re.compile(r"my_logs/counting/videos/.*\.mp4")).wait_for()
    notebook.run_cell(3)
    by_button = notebook.text(3)
    notebook.run_cell(2)
    notebook.run_cell(3)

    # The button moves no mark: the dump that follows still has every frame.
    assert by_button.split() == ["1", "11", "11"]
    assert notebook.text(3).split() == ["2", "0", "0"]
    videos = sorted(notebook.folder.glob("**/*.mp4"))
    assert {video.parent for video in videos} == {
        notebook.folder / "my_logs" / "counting" / "videos"
    }
    assert all(video.name.startswith("eval_") for video in videos)
    assert "eval_7.mp4" in [video.name for video in videos]
    assert len(videos) == 2
    for video in videos:
        with av.open(str(video)) as file:
            assert len(list(file.decode(video=0))) == 11


def test_a_recorder_as_last_line_of_a_cell_shows_its_viewer(lab):
    notebook = lab(RECORD, "recorder")

    notebook.run_all()

    Viewer(notebook).wait_until_loaded(11)


def test_a_recorded_environment_as_last_line_of_a_cell_shows_its_viewer(lab):
    show = "recorded = rv.record(GymWrapper(CountingEnv([99])))\nrecorded.rollout(4)\n"
    notebook = lab(RECORD, show + "recorded")

    notebook.run_all()

    Viewer(notebook).wait_until_loaded(5)
