"""The viewer in a real JupyterLab, with a real kernel.

Frames say which row and env they are (`rollout_viewer.testing`), so that each test
can ask the pixels on the canvas, or in a file, what they show.
"""

import csv
import re
import time

import numpy as np
import pytest
from playwright.sync_api import expect

from rollout_viewer._video import read_video
from rollout_viewer.testing import read_count
from tests.browser.driver import (
    HEIGHT,
    NUM_ENVS,
    NUM_ROWS,
    RECORD,
    SHOW,
    WIDTH,
    Viewer,
    assert_shows,
    assert_soon,
    choose,
)


@pytest.fixture
def shown(lab):
    """Return a notebook that shows 40 rows of 4 counting envs, and its viewer."""
    notebook = lab(RECORD, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    return notebook, viewer


def test_canvas_shows_the_recorded_pixels(shown):
    _, viewer = shown

    viewer.press("Home")

    assert_shows(viewer, 0)


def test_keys_step_one_row_and_go_to_the_ends(shown):
    _, viewer = shown

    viewer.press("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft")
    assert_shows(viewer, 2)

    viewer.press("End")
    assert_shows(viewer, NUM_ROWS - 1)

    viewer.press("Shift+ArrowLeft")
    assert_shows(viewer, NUM_ROWS - 11)


def test_dragging_the_scrub_bar_shows_the_rows_under_the_pointer(shown):
    _, viewer = shown

    viewer.scrub(0.25, 0.9, 1.0)
    assert_shows(viewer, NUM_ROWS - 1)

    viewer.scrub(0.8, 0.5)
    assert_soon(lambda: abs(viewer.row - NUM_ROWS / 2) <= 1, True)
    assert_shows(viewer, viewer.row)


def test_scrubbing_and_playing_send_nothing_to_the_kernel(shown):
    notebook, viewer = shown
    viewer.scrub(1.0, 0.0)
    before = notebook.settle()

    viewer.scrub(0.1, 0.9, 0.3, 0.6, 0.5)
    viewer.press("Home", "]", "]", "]", "Space")
    assert_shows(viewer, NUM_ROWS - 1)

    assert notebook.num_comm_messages == before


def test_the_viewer_answers_while_a_cell_keeps_the_kernel_busy(lab):
    notebook = lab(RECORD, SHOW, "import time\ntime.sleep(600)")
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    notebook.start_cell(2)
    notebook.page.wait_for_selector("[data-status=busy]", state="attached")

    viewer.scrub(0.5, 1.0)

    assert_shows(viewer, NUM_ROWS - 1)


def test_letters_typed_in_the_viewer_do_not_reach_the_notebook(shown):
    notebook, viewer = shown
    cells = notebook.cells

    viewer.press(*"ddabxzcvmy", "Enter", "Shift+M", "0", "0")
    bar = viewer.root.get_by_role("slider").first
    bar.focus()
    for key in "ddabx":
        notebook.page.keyboard.press(key)

    assert notebook.cells == cells
    assert notebook.text(0) == ""


def test_dump_buttons_write_every_frame_once_and_say_where(shown):
    import av

    notebook, viewer = shown

    viewer.button("^dump mp4").click()
    viewer.root.get_by_text(re.compile(r"videos/.*\.mp4")).wait_for()
    viewer.button("^dump csv").click()
    viewer.root.get_by_text(re.compile(r"tables/.*\.csv")).wait_for()

    (video,) = notebook.folder.glob("csv_logs/rollouts/videos/*.mp4")
    with av.open(str(video)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    first_tiles = [picture[:HEIGHT, :WIDTH] for picture in pictures]
    rows = [(row, 0) for row in range(NUM_ROWS)]
    assert [read_count(tile) for tile in first_tiles] == rows
    (table,) = notebook.folder.glob("csv_logs/rollouts/tables/*.csv")
    with table.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == NUM_ROWS * NUM_ENVS


# Of which a dump takes seconds, and recording does not: pictures that repeat are cheap.
RECORD_LONG = """
import numpy as np
import rollout_viewer as rv

frames = np.zeros((4, 400, 600, 3), np.uint8)
frames[:, ::8] = 200
cache = rv.FrameCache(fps=50)
for row in range(3000):
    cache.append(frames, reward=np.ones(4), reset=np.full(4, row == 0))
"""


def test_a_slow_dump_shows_how_far_it_is_and_can_be_cancelled(lab):
    notebook = lab(RECORD_LONG, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(3000)
    toast = viewer.root.locator(".rv-toast")

    viewer.button("^dump mp4").click()
    expect(toast).to_have_text(
        re.compile(r"Dump mp4 \u00b7 [1-9]\d? % \u00b7 \d+ of 3000")
    )
    expect(toast.locator(".rv-ring")).to_be_visible()
    toast.get_by_role("button", name="Cancel").click()

    expect(toast).to_contain_text("Cancelled; nothing was written.")
    expect(toast.get_by_role("button", name="Cancel")).to_have_count(0)
    left = notebook.folder.rglob("*")
    assert not [path for path in left if path.suffix == ".mp4" or "part" in path.name]
    # The next one is not in its way.
    viewer.press("Home", "i", "Shift+ArrowRight", "o")
    viewer.button("^dump csv").click()
    viewer.root.get_by_text(re.compile(r"tables/.*\.csv")).wait_for()


def test_dump_takes_the_marked_range(shown):
    notebook, viewer = shown

    viewer.press("Home", "Shift+ArrowRight", "i", "ArrowRight", "ArrowRight", "o")
    viewer.button("^dump csv").click()
    viewer.root.get_by_text(re.compile(r"tables/.*\.csv")).wait_for()

    (table,) = notebook.folder.glob("csv_logs/rollouts/tables/*.csv")
    with table.open(newline="") as file:
        assert {row["row"] for row in csv.DictReader(file)} == {"10", "11", "12"}


def test_the_menu_dumps_the_episode_of_a_tile_and_copies_the_place(shown):
    notebook, viewer = shown
    viewer.press("Home", "ArrowRight")
    viewer.root.locator(".rv-tile").nth(1).click()

    choose(viewer.root, "Dump or download", "Episode 0 of env 1", "Dump CSV")
    viewer.root.get_by_text(re.compile(r"tables/.*\.csv")).wait_for()
    choose(viewer.root, "More of view", "Copy link")

    viewer.root.get_by_text("viewer.goto(1, env=1)").wait_for()
    (table,) = notebook.folder.glob("csv_logs/rollouts/tables/*.csv")
    with table.open(newline="") as file:
        assert {row["env"] for row in csv.DictReader(file)} == {"1"}


def test_download_sends_the_file_through_the_browser(shown, tmp_path):
    import av

    notebook, viewer = shown

    with notebook.page.expect_download() as download:
        choose(viewer.root, "Dump or download", "Download mp4")
    path = tmp_path / "sent.mp4"
    download.value.save_as(path)

    with av.open(str(path)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    rows = [read_count(picture[:HEIGHT, :WIDTH])[0] for picture in pictures]
    assert rows == list(range(NUM_ROWS))
    assert not list(notebook.folder.glob("csv_logs/**/*.mp4"))


RECORD_VIDEO = """
import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv

env = rv.RecordVideo(CountingEnv([9]), "videos")
env.reset()
for _ in range(9):
    env.step(0)
env
"""


def test_the_dump_button_of_a_record_video_writes_where_it_writes(lab):
    notebook = lab(RECORD_VIDEO, "env.close()")
    notebook.run_cell(0)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(10)

    viewer.button("^dump mp4").click()
    viewer.root.get_by_text(re.compile(r"videos/rl-video_r0-10_0\.mp4")).wait_for()
    notebook.run_cell(1)

    folder = notebook.folder / "videos"
    for name in ("rl-video_r0-10_0.mp4", "rl-video-episode-0.mp4"):
        drawn = [read_count(frame)[0] for frame in read_video(folder / name)]
        assert drawn == list(range(10))
    assert not (notebook.folder / "csv_logs").exists()


def test_a_failing_logger_is_told_in_the_widget(lab):
    failing = """
class Failing:
    def log_video(self, *args, **kwargs):
        raise OSError("the disk is on fire")

viewer = rv.view(cache, logger=Failing())
viewer
"""
    notebook = lab(RECORD, failing)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()

    viewer.button("^dump mp4").click()

    viewer.root.get_by_text(re.compile("the disk is on fire")).wait_for()


FOLLOW = """
import time
live = rv.FrameCache(fps=20)
follower = rv.view(live)
follower
"""
NUM_LIVE_ROWS = 15
RECORD_SLOWLY = f"""
appended = []
for row in range({NUM_LIVE_ROWS}):
    is_reset = np.full({NUM_ENVS}, row == 0)
    live.append(frames[row], reward=np.ones({NUM_ENVS}), reset=is_reset)
    appended.append(time.time() * 1000)
    time.sleep(0.2)
print(*appended)
"""
# Notes when each row was on screen, in the clock of the machine.
WATCH_JS = """root => {
  window.seen = {};
  const note = () => {
    if (root.dataset.row) window.seen[root.dataset.row] ??= Date.now();
  };
  new MutationObserver(note).observe(root, {attributes: true});
}"""


@pytest.mark.serial
def test_a_viewer_follows_what_a_running_cell_records(lab, record_property):
    notebook = lab(RECORD, FOLLOW, RECORD_SLOWLY)
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.press("End")
    viewer.root.evaluate(WATCH_JS)

    notebook.run_cell(2)
    viewer.wait("row", NUM_LIVE_ROWS - 1)

    seen = {int(row): t for row, t in notebook.page.evaluate("window.seen").items()}
    appended = [float(t) for t in notebook.text(2).split()]
    delays_ms = [seen[row] - appended[row] for row in seen if row > 0]
    record_property("delay_ms_median", float(np.median(delays_ms)))
    record_property("delay_ms_max", max(delays_ms))
    print(
        f"on screen after {np.median(delays_ms):.0f} ms, {max(delays_ms):.0f} at most"
    )
    # each row as it came, and not only the last one when the cell ended
    assert len(seen) >= NUM_LIVE_ROWS - 1
    assert np.median(delays_ms) < 200  # 5 on an idle machine
    assert_shows(viewer, NUM_LIVE_ROWS - 1)


def test_a_row_that_comes_without_a_picture_says_so(lab):
    later = "for _ in range(3):\n    cache.append(None, reward=np.ones(4))"
    notebook = lab(RECORD, SHOW, later)
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    badges = viewer.root.locator(".rv-late:visible")
    viewer.press("End")
    viewer.wait("row", 39)
    expect(badges).to_have_count(0)

    notebook.run_cell(2)
    viewer.wait("row", 42)

    expect(badges).to_have_count(4)


def test_running_the_cell_again_shows_one_viewer_and_leaks_none(lab):
    count = "import threading\nprint(threading.active_count())"
    notebook = lab(RECORD, SHOW, count)
    notebook.run_all()
    num_threads = int(notebook.text(2))

    for _ in range(5):
        notebook.run_cell(1)
    notebook.run_cell(2)

    Viewer(notebook).wait_until_loaded()
    expect(notebook.page.locator(".rollout-viewer")).to_have_count(1)
    assert int(notebook.text(2)) <= num_threads + 2


IN_AN_OUTPUT = """
import ipywidgets, threading, time
from IPython.display import display
out = ipywidgets.Output()
display(out)
"""
SHOW_AND_CLEAR = """
for _ in range(5):
    out.clear_output()
    with out:
        display(rv.view(cache))
    time.sleep(0.5)
"""
NUM_STREAMS = """
names = [thread.name for thread in threading.enumerate()]
print(names.count("rollout_viewer stream"), len(cache._subscribers))
"""


def test_a_viewer_that_its_page_shows_no_more_costs_nothing(lab):
    clear = "out.clear_output()"
    notebook = lab(RECORD, IN_AN_OUTPUT, SHOW_AND_CLEAR, NUM_STREAMS, clear)
    for cell in range(3):
        notebook.run_cell(cell)
    Viewer(notebook).wait_until_loaded()

    def counts():
        notebook.page.wait_for_timeout(500)
        notebook.run_cell(3)
        return notebook.text(3).split()

    until = time.monotonic() + 60
    while counts() != ["1", "1"]:
        assert time.monotonic() < until, notebook.text(3)
    notebook.run_cell(4)
    while counts() != ["0", "0"]:
        assert time.monotonic() < until, notebook.text(3)


def test_dumping_again_overwrites_nothing(shown):
    notebook, viewer = shown

    def tables():
        return len(list(notebook.folder.glob("csv_logs/rollouts/tables/*.csv")))

    # Not by its message: the first one may be gone before the second comes.
    for number in (1, 2):
        viewer.button("^dump csv").click()
        assert_soon(tables, number, timeout_s=60)


def test_python_moves_the_playhead_of_the_page(lab):
    notebook = lab(RECORD, SHOW, "viewer.goto(7)")
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()

    notebook.run_cell(2)

    assert_shows(viewer, 7)


def test_a_reloaded_page_shows_the_recording_again(lab):
    notebook = lab(RECORD, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    notebook.save()

    notebook.reload()
    viewer.wait_until_loaded()
    viewer.press("End")

    assert_shows(viewer, NUM_ROWS - 1)
