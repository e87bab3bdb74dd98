"""An mp4 file that an exported page writes itself: its frames, and where it cannot."""

import av
import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from rollout_viewer.testing import counting_frames, read_count
from tests.browser.driver import choose
from tests.browser.test_html_export import Shown

# Odd, so that the file is one pixel larger; of three envs a place of the grid is blank.
NUM_ROWS, NUM_ENVS, HEIGHT, WIDTH = 45, 3, 91, 121


def recorded(num_rows=NUM_ROWS):
    cache = rv.FrameCache(fps=20)
    frames = counting_frames(num_rows, NUM_ENVS, height=HEIGHT, width=WIDTH)
    for row in range(num_rows):
        reset = np.full(NUM_ENVS, row in (0, 20))
        cache.append(frames[row], reward=np.ones(NUM_ENVS), reset=reset)
    return cache


def shown_in(new_page, tmp_path, cache, script=None):
    path = write_html(cache, tmp_path / "page.html", title="film")
    return Shown(new_page, path, script)


def saved_film(shown, folder):
    """Save an mp4 of what is chosen; returns its pictures and its frames a second."""
    with shown.page.expect_download() as download:
        shown.root.locator(".rv-menu:popover-open").get_by_text("Save mp4").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    with av.open(path) as file:
        stream = file.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(stream)]
        return path.name, frames, float(stream.average_rate)


def test_frame_n_of_the_file_is_row_n_of_what_was_chosen(new_page, tmp_path):
    shown = shown_in(new_page, tmp_path, recorded())

    shown.root.get_by_role("button", name="Save").click()
    name, frames, fps = saved_film(shown, tmp_path)

    assert name == f"film_r0-{NUM_ROWS}.mp4"
    assert fps == pytest.approx(20)
    assert len(frames) == NUM_ROWS
    assert {frame.shape for frame in frames} == {(2 * HEIGHT, 2 * WIDTH, 3)}
    for row, frame in enumerate(frames):
        tiles = [frame[:HEIGHT, :WIDTH], frame[:HEIGHT, WIDTH:], frame[HEIGHT:, :WIDTH]]
        assert [read_count(tile) for tile in tiles] == [(row, 0), (row, 1), (row, 2)]
    assert frames[0][HEIGHT + 4 :, WIDTH + 4 :].max() < 24
    assert shown.faults == []


def test_a_range_and_the_selected_tile_alone(new_page, tmp_path):
    shown = shown_in(new_page, tmp_path, recorded())
    shown.go(7)
    shown.press("i")
    shown.go(19)
    shown.press("o")

    shown.root.get_by_role("button", name="Save").click()
    name, frames, _ = saved_film(shown, tmp_path)
    assert name == "film_r7-20.mp4"
    tiles = [frame[HEIGHT:, :WIDTH] for frame in frames]
    assert [read_count(tile) for tile in tiles] == [(row, 2) for row in range(7, 20)]

    shown.press("x")
    shown.root.locator('.rv-tile[data-env="1"]').click()
    choose(shown.root, "Save", "Selected")
    name, frames, _ = saved_film(shown, tmp_path)
    assert len(frames) == NUM_ROWS
    assert frames[0].shape == (HEIGHT + 1, WIDTH + 1, 3)
    assert read_count(frames[33][:HEIGHT, :WIDTH]) == (33, 1)
    np.testing.assert_allclose(frames[33][-1], frames[33][-2].astype(int), atol=24)


def test_progress_and_cancel(new_page, tmp_path):
    shown = shown_in(new_page, tmp_path, recorded(num_rows=1500))
    toast = shown.root.locator(".rv-toast")

    choose(shown.root, "Save", "Save mp4")
    expect(toast).to_contain_text("mp4 · ")
    toast.get_by_role("button", name="Cancel").click()

    expect(toast).to_have_text("mp4: cancelled")
    entry = shown.root.locator(".rv-menu:popover-open").get_by_text("Save mp4")
    shown.root.get_by_role("button", name="Save").click()
    expect(entry).to_be_enabled()


@pytest.mark.parametrize(
    "script",
    [
        "delete window.VideoEncoder;",
        "VideoEncoder.isConfigSupported = async () => ({supported: false});",
    ],
    ids=["none", "no codec"],
)
def test_a_browser_without_an_encoder_says_so(new_page, tmp_path, script):
    shown = shown_in(new_page, tmp_path, recorded(3), script)

    shown.root.get_by_role("button", name="Save").click()

    entry = shown.root.get_by_role("menuitem", name="Save mp4")
    expect(entry).to_be_disabled()
    expect(entry).to_contain_text("no encoder in this browser")
