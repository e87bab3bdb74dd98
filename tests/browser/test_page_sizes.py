"""Pictures whose size changes, in a page opened from file://: one tile, both sizes."""

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from tests.browser.driver import assert_soon
from tests.browser.test_html_export import Shown

LARGE, SMALL = (48, 64), (30, 24)
LENGTH, NUM_ROWS = 20, 90


def drawn(row: int, env: int) -> np.ndarray:
    """Return the picture of a row: env 0 changes its size with each episode."""
    size = SMALL if env == 0 and row // LENGTH % 2 else LARGE
    frame = np.random.default_rng(row).integers(0, 256, (*size, 3), dtype=np.uint8)
    frame[0, 0] = row, env, size[0]
    return frame


def recorded() -> rv.FrameCache:
    cache = rv.FrameCache(fps=50)
    for row in range(NUM_ROWS):
        cache.append(
            [drawn(row, 0), drawn(row, 1)],
            reward=[1, 1],
            reset=[row % LENGTH == 0] * 2,
            terminated=[row % LENGTH == LENGTH - 1] * 2,
        )
    return cache


def tiles(shown: Shown) -> list[np.ndarray]:
    """Return the cells of the canvas, RGBA."""
    assert shown.canvas.get_attribute("data-reduction") == "1"
    columns = int(shown.canvas.get_attribute("data-columns") or 0)
    height = int(shown.canvas.get_attribute("data-cell-height") or 0)
    width = int(shown.canvas.get_attribute("data-cell-width") or 0)
    assert (height, width) == LARGE
    grid = shown.grid()
    return [
        grid[r * height : (r + 1) * height, c * width : (c + 1) * width]
        for r, c in (divmod(index, columns) for index in range(2))
    ]


def assert_shows(shown: Shown, row: int) -> None:
    for env, tile in enumerate(tiles(shown)):
        expected = drawn(row, env)
        height, width = expected.shape[:2]
        top, left = (LARGE[0] - height) // 2, (LARGE[1] - width) // 2
        inside = tile[top : top + height, left : left + width]
        np.testing.assert_array_equal(inside[..., :3], expected)
        assert (inside[..., 3] == 255).all()
        margin = tile[..., 3].astype(int)
        margin[top : top + height, left : left + width] = 0
        assert not margin.any(), f"row {row}: nothing is left of another size"


@pytest.fixture
def shown(new_page, tmp_path):
    return Shown(new_page, write_html(recorded(), tmp_path / "page.html"))


def test_a_tile_shows_each_episode_in_its_own_size(shown):
    shown.wait("numRows", NUM_ROWS)
    for row in (0, 19, 20, 39, 40, 25, 5, 31, 32, 33, 60, 79, 80, 89, 0):
        shown.go(row)
        assert_shows(shown, row)

    assert shown.root.locator(".rv-tile").count() == 2
    assert shown.faults == []


def test_the_picture_under_the_pointer_and_the_list_have_both_sizes(shown):
    shown.wait("numRows", NUM_ROWS)
    shown.go(3)
    plot = shown.root.locator("canvas.rv-trace").first
    box = plot.bounding_box()
    for row, size in ((10, LARGE), (30, SMALL), (70, SMALL)):
        x = box["x"] + box["width"] * (row + 0.5) / NUM_ROWS
        shown.page.mouse.move(x, box["y"] + box["height"] / 2)
        hint = shown.root.locator(".rv-hint canvas")
        shape = "canvas => canvas.height / canvas.width"
        expected = size[0] / size[1]
        assert_soon(lambda js=shape, at=hint: at.evaluate(js), expected)
    assert shown.faults == []


def test_a_part_of_a_recording_has_cells_of_its_own_sizes(new_page, tmp_path):
    path = write_html(recorded(), tmp_path / "part.html", start=22, stop=38, envs=[0])
    part = Shown(new_page, path)
    part.go(30)

    assert part.canvas.get_attribute("data-cell-height") == str(SMALL[0])
    assert part.canvas.get_attribute("data-cell-width") == str(SMALL[1])
    np.testing.assert_array_equal(part.grid()[..., :3], drawn(30, 0))


def test_every_second_picture_is_of_its_own_episode(new_page, tmp_path):
    path = write_html(recorded(), tmp_path / "thin.html", every=7)
    thin = Shown(new_page, path)
    for row, kept in ((20, 20), (40, 40), (60, 60), (80, 80), (86, 85)):
        thin.go(row)
        tile = tiles(thin)[0]
        expected = drawn(kept, 0)
        height, width = expected.shape[:2]
        top, left = (LARGE[0] - height) // 2, (LARGE[1] - width) // 2
        inside = tile[top : top + height, left : left + width]
        np.testing.assert_array_equal(inside[..., :3], expected)
