"""A page that `to_html` wrote, in Firefox, where that is installed."""

import base64

import numpy as np
import pytest

from rollout_viewer._export.html import write_html
from rollout_viewer.testing import counting_frames
from tests.browser.driver import (
    HEIGHT,
    NUM_ENVS,
    NUM_ROWS,
    PIXELS_JS,
    WIDTH,
    assert_soon,
)
from tests.browser.firefox import Firefox, firefox_path
from tests.browser.test_hosts import recorded

RIGHT, END = "\ue014", "\ue010"
ROOT = "document.querySelector('.rollout-viewer')"


@pytest.mark.slow
@pytest.mark.skipif(
    firefox_path() is None, reason="no Firefox: apt-get install firefox-esr"
)
def test_firefox_shows_exact_pictures_and_plays(tmp_path):
    path = write_html(recorded(), tmp_path / "page.html", columns=NUM_ENVS)
    with Firefox(tmp_path) as firefox:
        firefox.open(path.as_uri())
        assert_soon(lambda: firefox.run(f"{ROOT}.dataset.state"), "ready", 60)
        assert_soon(lambda: firefox.run(f"{ROOT}.dataset.numRows"), str(NUM_ROWS))
        firefox.run(f"{ROOT}.focus()")

        for keys, row in [("", 0), (RIGHT * 5, 5), (END, NUM_ROWS - 1)]:
            for key in keys:
                firefox.press(key)
            assert_soon(lambda: firefox.run(f"{ROOT}.dataset.row"), str(row))
            grid = pixels(firefox)
            expected = counting_frames(
                1, NUM_ENVS, height=HEIGHT, width=WIDTH, start=row
            )[0]
            np.testing.assert_array_equal(grid, np.concatenate(expected, axis=1))

        for key in ("\ue011", " "):  # Home, and play
            firefox.press(key)
        assert_soon(lambda: firefox.run(f"{ROOT}.dataset.row"), str(NUM_ROWS - 1))


def pixels(firefox):
    """Return the pictures, one beside the other."""
    found = firefox.run(f"({PIXELS_JS})({ROOT}.querySelector('.rv-frames'))")
    width, height, text = found
    grid = np.frombuffer(base64.b64decode(text), np.uint8)
    return grid.reshape(height, width, 4)[:HEIGHT, : NUM_ENVS * WIDTH, :3]
