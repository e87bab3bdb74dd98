"""The timeline of a page opened from file://: tracks, window, range, preview."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from rollout_viewer.testing import counting_frames
from tests.browser.driver import assert_soon
from tests.browser.test_html_export import Shown

NUM_ROWS, NUM_ENVS, LENGTH = 400, 3, 40

# Pixels of a canvas as [width, height, RGBA of all].
PIXELS_JS = """canvas => {
  const {width, height} = canvas;
  const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
  return [width, height, Array.from(data)];
}"""


def recorded(num_rows=NUM_ROWS, num_envs=NUM_ENVS, *, height=24):
    """Return a recording whose reward is 1 and whose `obs` is (row, env, sine)."""
    cache = rv.FrameCache(fps=200)
    frames = counting_frames(num_rows, num_envs, height=height, width=32)
    envs = np.arange(num_envs)
    for row in range(num_rows):
        sine = np.full(num_envs, np.sin(row / 9))
        is_last = row % LENGTH == LENGTH - 1
        cache.append(
            frames[row],
            reward=np.ones(num_envs),
            reset=[row % LENGTH == 0] * num_envs,
            terminated=(envs == 0) & is_last,
            truncated=(envs != 0) & is_last,
            data={"obs": np.stack([np.full(num_envs, row), envs, sine], 1)},
        )
    return cache


class Timeline(Shown):
    """A page, and what is drawn and done below its pictures."""

    def __init__(self, new_page, path, **options):
        super().__init__(new_page, path, **options)
        self.slider = self.root.get_by_role("slider", name="Row")
        self.plot = self.root.locator(".rv-plot")
        self.window = self.root.get_by_role("scrollbar", name="Rows in sight")

    def track(self, key):
        return self.root.locator(f'.rv-track[data-scalar="{key}"]')

    def assert_says(self, key, whom, value=None):
        """Assert of whom a track is, and what its value is at the playhead."""
        track = self.track(key)
        expect(track.locator(".rv-track-whom")).to_have_text(whom)
        if value is not None:
            expect(track.locator(".rv-track-line .rv-value").first).to_have_text(value)

    def choose(self, key, text):
        self.track(key).locator(".rv-track-whom").click()
        self.page.locator("[popover]:popover-open").get_by_text(text).click()

    def rows(self):
        """Return the first and the last row that are in sight."""
        text = self.window.get_attribute("aria-valuetext") or ""
        first, last = re.findall(r"\d+", text.replace("\u202f", ""))
        return int(first), int(last)

    def range(self):
        """Return the first and the last row of the range; None: there is none."""
        if self.root.locator(".rv-range").is_hidden():
            return None
        edges = [self.root.get_by_role("separator", name=name) for name in EDGES]
        return tuple(int(edge.get_attribute("aria-valuenow")) for edge in edges)

    def at(self, share, part=".rv-track .rv-strip"):
        """Return the point at a share of the width of a part."""
        box = self.root.locator(part).first.bounding_box()
        return box["x"] + share * (box["width"] - 1), box["y"] + box["height"] / 2

    def drag(self, start, stop):
        self.page.mouse.move(*start)
        self.page.mouse.down()
        for share in (0.3, 0.7, 1):
            x, y = (a + (b - a) * share for a, b in zip(start, stop, strict=True))
            self.page.mouse.move(x, y)
        self.page.mouse.up()

    def zoom(self, share, times):
        """Turn the wheel with Control at a share of the width."""
        before = self.rows()
        self.page.mouse.move(*self.at(share))
        self.page.keyboard.down("Control")
        for _ in range(times):
            self.page.mouse.wheel(0, -120)
        # The browser hands on what the wheel did later than it takes it.
        assert_soon(lambda: self.rows() == before, False)
        self.rest()
        self.page.keyboard.up("Control")

    def pixels(self, selector):
        self.rest()
        canvas = self.root.locator(f"{selector} canvas").first
        width, height, data = canvas.evaluate(PIXELS_JS)
        return np.array(data, np.uint8).reshape(height, width, 4)

    def colour(self, token):
        """Return the RGB that a token has now."""
        text = self.root.evaluate(
            "(root, token) => { const probe = document.createElement('i');"
            "probe.style.color = `var(${token})`; root.append(probe);"
            "const found = getComputedStyle(probe).color; probe.remove();"
            "return found; }",
            token,
        )
        return [int(number) for number in re.findall(r"\d+", text)[:3]]


EDGES = ("Range begins", "Range ends")


def has(pixels, rgb):
    """Return whether any pixel is opaque and of nearly this colour."""
    away = np.abs(pixels[..., :3].astype(int) - rgb).max(-1)
    return bool(((away < 12) & (pixels[..., 3] > 200)).any())


def apart(one, other):
    """Return whether two boxes share no point."""
    return any(
        a[side] + a[size] <= b[side]
        for side, size in (("x", "width"), ("y", "height"))
        for a, b in ((one, other), (other, one))
    )


@pytest.fixture
def shown(new_page, tmp_path):
    page = Timeline(new_page, write_html(recorded(), tmp_path / "page.html"))
    page.wait("numRows", NUM_ROWS)
    return page


# -- wheel and keys


def test_the_wheel_scrolls_the_page_and_leaves_the_row(shown):
    # The page's policy takes no style attribute.
    shown.page.evaluate(
        "() => { document.body.appendChild(document.createElement('div'))"
        ".style.height = '2000px' }"
    )
    shown.press("Home", "ArrowRight", "ArrowRight")
    shown.wait("row", 2)
    shown.page.mouse.move(*shown.at(0.5))

    shown.page.mouse.wheel(0, 300)
    shown.page.wait_for_function("() => scrollY > 100")

    assert shown.root.get_attribute("data-row") == "2"
    assert shown.rows() == (0, NUM_ROWS - 1)


def test_control_and_wheel_zoom_at_the_pointer_and_shift_and_wheel_pan(shown):
    shown.zoom(0.25, 4)
    first, last = shown.rows()

    assert last - first < NUM_ROWS / 2
    assert abs(first + 0.25 * (last - first) - 100) < 3
    assert shown.page.evaluate("() => devicePixelRatio") == 1

    shown.page.keyboard.down("Shift")
    shown.page.mouse.wheel(0, 200)
    assert_soon(lambda: shown.rows()[0] > first + 10, True)
    shown.page.keyboard.up("Shift")
    assert shown.rows()[1] - shown.rows()[0] == pytest.approx(last - first, abs=1)


def test_keys_of_the_slider_go_where_they_point(shown):
    shown.slider.focus()
    for key, row in [
        ("PageDown", 32),
        ("PageDown", 64),
        ("PageUp", 32),
        ("ArrowRight", 33),
        ("ArrowUp", 34),
        ("ArrowDown", 33),
        ("ArrowLeft", 32),
        ("End", NUM_ROWS - 1),
        ("Home", 0),
    ]:
        shown.page.keyboard.press(key)
        shown.wait("row", row)

    text = f"row 0 of {NUM_ROWS - 1}, episode 0, step 0"
    expect(shown.slider).to_have_attribute("aria-valuetext", text)


# -- what tracks show, and say


def test_a_track_says_of_whom_it_is(shown):
    shown.press("Home", "ArrowRight")
    shown.assert_says("reward", f"mean of {NUM_ENVS} envs")

    shown.root.get_by_role("button", name="Add a track").click()
    shown.page.get_by_role("menuitem", name="obs[1]").click()
    shown.assert_says("obs[1]", "mean of 3 envs", "1")
    shown.press("n", "n", "n")
    shown.assert_says("obs[1]", "env 2", "2")
    expect(shown.root.locator(".rv-ends .rv-gutter")).to_have_text("ends of env 2")
    shown.choose("obs[1]", "Mean of all")

    shown.assert_says("obs[1]", "mean of 3 envs", "1")
    shown.assert_says("reward", "env 2")
    assert shown.faults == []


def test_each_track_has_its_scale_and_a_constant_lies_at_its_height(shown):
    reward, total = (shown.track(key) for key in ("reward", "return"))
    assert reward.locator("canvas").count() == total.locator("canvas").count() == 1

    pixels = shown.pixels('.rv-track[data-scalar="reward"]')
    blue = np.abs(pixels[..., :3].astype(int) - shown.colour("--rv-reward")).max(-1)
    rows = np.nonzero(((blue < 12) & (pixels[..., 3] > 200)).any(1))[0]
    assert rows.max() < pixels.shape[0] / 4, "1 is at the top of a scale from 0 to 1"


@pytest.mark.parametrize("width", [1400, 400])
def test_the_scale_of_a_track_covers_nothing(shown, width):
    shown.page.set_viewport_size({"width": width, "height": 800})
    shown.rest()
    track = shown.track("return")
    expect(track.locator(".rv-scale span")).to_have_text([str(LENGTH - 1), "0"])

    others = "canvas", ".rv-value", ".rv-track-whom"
    scale = track.locator(".rv-scale").bounding_box()
    for one in (*map(track.locator, others), shown.root.locator(".rv-add-track")):
        assert apart(scale, one.first.bounding_box()), one
    name = track.locator(".rv-track-name").first
    assert name.evaluate("el => el.scrollWidth <= el.clientWidth")


def test_the_picture_under_the_pointer_says_whose_it_is(shown):
    shown.page.mouse.move(*shown.at(0.52))
    hint = shown.root.locator(".rv-hint[data-row]")
    hint.wait_for()
    expect(hint).to_contain_text("picture of env 0", use_inner_text=True)
    expect(hint).to_contain_text("reward 1 (mean of 3 envs)", use_inner_text=True)

    # The pointer rests while another env is chosen.
    shown.press("n", "n")
    hint.get_by_text("picture of env 1").wait_for()
    expect(hint).to_contain_text("reward 1 (env 1)", use_inner_text=True)
    shown.press("n")
    shown.page.mouse.move(*shown.at(0.42))
    hint.get_by_text("picture of env 2").wait_for()

    expect(hint).to_contain_text("reward 1 (env 2)", use_inner_text=True)
    shown.page.mouse.move(600, 200)
    expect(hint).to_be_hidden()


def test_a_comparison_has_a_line_for_each_recording(new_page, tmp_path):
    view = rv.view({"before": recorded(90, 2), "after": recorded(90, 1)})
    page = Timeline(new_page, view.to_html(tmp_path / "compared.html"))
    page.wait("numRows", 90)
    page.press("Home", "ArrowRight")
    page.root.get_by_role("button", name="Add a track").click()
    page.page.get_by_role("menuitem", name="obs[1]").click()

    lines = page.track("obs[1]").locator("li")
    expect(lines.locator(".rv-track-name")).to_have_text(["before", "after"])
    expect(lines.locator(".rv-value")).to_have_text(["0.5", "0"])
    page.assert_says("obs[1]", "2 recordings")
    pixels = page.pixels('.rv-track[data-scalar="obs[1]"]')
    for token in ("--rv-reward", "--rv-data"):
        assert has(pixels, page.colour(token))


def test_ends_are_neutral_and_only_a_failure_is_red(new_page, tmp_path):
    cache = recorded()
    path = write_html(cache, tmp_path / "before.html")
    page = Timeline(new_page, path)
    page.wait("numRows", NUM_ROWS)
    ends = page.pixels(".rv-ends")
    assert has(ends, page.colour("--rv-terminated"))
    assert has(ends, page.colour("--rv-truncated"))
    assert not has(ends, page.colour("--rv-danger"))

    cache.label(cache.episodes[0], "failure")
    failed = Timeline(new_page, write_html(cache, tmp_path / "after.html"))
    failed.wait("numRows", NUM_ROWS)

    assert has(failed.pixels(".rv-ends"), failed.colour("--rv-danger"))


@pytest.mark.parametrize("density", [1, 1.5, 2])
def test_ticks_are_sharp(new_page, tmp_path, density):
    path = write_html(recorded(), tmp_path / "page.html")
    page = Timeline(new_page, path, device_scale_factor=density)
    page.wait("numRows", NUM_ROWS)

    ends = page.pixels(".rv-ends")
    assert set(np.unique(ends[..., 3])) == {0, 255}
    width = page.root.locator(".rv-ends canvas").evaluate(
        "canvas => canvas.getBoundingClientRect().width"
    )
    assert width * density == pytest.approx(ends.shape[1], abs=0.01)


def test_tracks_have_the_colours_of_the_theme(shown):
    track = '.rv-track[data-scalar="reward"]'
    light = shown.colour("--rv-reward")
    assert has(shown.pixels(track), light)

    shown.page.emulate_media(color_scheme="dark")
    assert_soon(lambda: shown.colour("--rv-reward") == light, False)
    dark = shown.colour("--rv-reward")

    assert has(shown.pixels(track), dark)
    assert not has(shown.pixels(track), light)


# -- which tracks


def test_tracks_are_added_moved_removed_and_kept_over_a_reload(shown):
    def keys():
        tracks = shown.root.locator(".rv-track")
        return tracks.evaluate_all("all => all.map(one => one.dataset.scalar)")

    assert_soon(keys, ["reward", "return"])
    shown.root.get_by_role("button", name="Add a track").click()
    shown.page.get_by_role("menuitem", name="obs[2]").click()
    shown.choose("obs[2]", "Move up")
    shown.choose("obs[2]", "Mean and range")
    assert_soon(keys, ["reward", "obs[2]", "return"])
    shown.choose("reward", "Remove")
    shown.page.reload()
    shown.wait("numRows", NUM_ROWS)
    shown.track("obs[2]").wait_for()

    assert_soon(keys, ["obs[2]", "return"])
    shown.assert_says("obs[2]", "mean, range of 3")
    assert shown.faults == []


def test_the_window_is_kept_over_a_reload(shown):
    shown.go(210)
    shown.zoom(0.5, 8)
    window = shown.rows()
    assert window[1] - window[0] < 300

    shown.page.reload()
    shown.wait("row", 210)
    assert_soon(shown.rows, window)

    shown.window.dblclick()
    assert_soon(shown.rows, (0, NUM_ROWS - 1))
    shown.page.reload()
    shown.wait("row", 210)
    assert_soon(shown.rows, (0, NUM_ROWS - 1))


def test_many_tracks_scroll_within_a_bound(new_page, tmp_path):
    cache = rv.FrameCache()
    for row in range(60):
        frame = np.zeros((1, 24, 32, 3), np.uint8)
        cache.append(frame, data={"obs": np.full((1, 20), row)})
    page = Timeline(new_page, write_html(cache, tmp_path / "page.html"))
    page.wait("numRows", 60)
    for index in range(16):
        page.root.get_by_role("button", name="Add a track").click()
        page.page.get_by_role("menuitem", name=f"obs[{index}]", exact=True).click()

    expect(page.root.locator(".rv-track")).to_have_count(18)
    page.rest()
    height = page.root.locator(".rv-timeline").bounding_box()["height"]
    window = page.page.viewport_size["height"]
    assert height < 0.45 * window
    page.track("obs[15]").scroll_into_view_if_needed()
    page.rest()
    strip = page.track("obs[15]").locator(".rv-strip").bounding_box()
    ruler = page.root.locator(".rv-ruler .rv-strip").bounding_box()
    assert (strip["x"], strip["width"]) == (ruler["x"], ruler["width"])


def test_with_a_coarse_pointer_the_overview_is_44_px_high(new_page, tmp_path):
    path = write_html(recorded(), tmp_path / "page.html")
    page = Timeline(new_page, path, has_touch=True, is_mobile=True)
    page.rest()
    assert page.window.bounding_box()["height"] >= 40
    plot, lane = (
        page.root.locator(one).bounding_box() for one in (".rv-plot", ".rv-overview")
    )

    assert plot["y"] + plot["height"] <= lane["y"]


# -- range


def test_a_range_is_dragged_on_the_ruler_or_with_shift(shown):
    shown.drag(
        shown.at(0.5, ".rv-ruler .rv-strip"), shown.at(0.25, ".rv-ruler .rv-strip")
    )
    assert_soon(shown.range, pytest.approx((100, 200), abs=1))
    row = shown.root.get_attribute("data-row")

    shown.page.keyboard.down("Shift")
    shown.drag(shown.at(0.6), shown.at(0.8))
    shown.page.keyboard.up("Shift")

    assert_soon(shown.range, pytest.approx((239, 319), abs=1))
    assert shown.root.get_attribute("data-row") == row


def test_edges_of_the_range_are_handles(shown):
    ruler = ".rv-ruler .rv-strip"
    shown.drag(shown.at(0.25, ruler), shown.at(0.5, ruler))
    assert_soon(lambda: shown.range() is not None, True)
    shown.rest()
    first, last = shown.range()
    begin = shown.root.get_by_role("separator", name="Range begins")

    begin.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Shift+ArrowRight"):
        shown.page.keyboard.press(key)
    assert_soon(shown.range, (first + 11, last))

    box = shown.root.get_by_role("separator", name="Range ends").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    shown.drag((x, y), shown.at(0.75, ruler))
    assert_soon(shown.range, pytest.approx((first + 11, 299), abs=1))
    assert shown.root.evaluate("root => root.dataset.row") == "0"


def test_a_double_click_takes_an_episode(shown):
    shown.page.mouse.dblclick(*shown.at(0.25))

    assert_soon(shown.range, (80, 119))


# -- the window of rows


def test_the_overview_moves_and_sizes_the_window(shown):
    box = shown.root.locator(".rv-overview").bounding_box()
    middle = box["y"] + box["height"] / 2

    def point(share):
        return box["x"] + share * (box["width"] - 1), middle

    shown.drag((point(1)[0] - 1, middle), point(0.5))
    shown.rest()
    shown.drag(point(0.003), point(0.25))
    assert_soon(shown.rows, pytest.approx((100, 200), abs=5))
    shown.drag(point(0.4), point(0.6))
    assert_soon(shown.rows, pytest.approx((180, 280), abs=5))
    shown.page.mouse.click(*point(0.9))
    assert_soon(shown.rows, pytest.approx((299, 399), abs=5))
    assert shown.root.get_attribute("data-row") == "0"

    shown.page.mouse.dblclick(*point(0.2))
    assert_soon(shown.rows, (0, NUM_ROWS - 1))


def test_the_window_is_moved_by_keys(shown):
    shown.root.get_by_role("separator", name="Last row in sight").focus()
    for _ in range(10):
        shown.page.keyboard.press("ArrowLeft")
    shown.window.focus()
    shown.page.keyboard.press("End")
    assert_soon(lambda: shown.rows()[1], NUM_ROWS - 1)
    shown.rest()
    first, last = shown.rows()
    assert first > NUM_ROWS / 2

    shown.page.keyboard.press("PageUp")
    page_before = pytest.approx(last - 0.9 * (last - first), abs=1)
    assert_soon(lambda: shown.rows()[1], page_before)
    assert shown.root.get_attribute("data-row") == "0"


def test_the_window_follows_the_playhead(shown):
    shown.zoom(0.0, 5)
    last = shown.rows()[1]
    assert last < 100

    shown.press("Home", " ")
    shown.page.wait_for_function(
        "([root, row]) => Number(root.dataset.row) > row + 5",
        arg=[shown.root.element_handle(), last],
    )
    shown.press(" ")
    row = int(shown.slider.input_value())
    assert_soon(lambda: shown.rows()[0] <= row <= shown.rows()[1], True)
    expect(shown.root.locator(".rv-flag")).to_have_text(f"row {row}")

    shown.go(390)
    assert_soon(lambda: shown.rows()[0] <= 390 <= shown.rows()[1], True)


# -- preview


def test_a_resting_pointer_previews_all_tiles_until_it_leaves(shown):
    shown.go(7)
    shown.page.mouse.move(*shown.at(0.5))
    shown.page.wait_for_function(
        "root => root.dataset.row > 150", arg=shown.root.element_handle()
    )
    shown.rest()
    row = int(shown.root.get_attribute("data-row"))

    assert shown.slider.input_value() == "7"
    expected = counting_frames(1, NUM_ENVS, height=24, width=32, start=row)[0]
    columns = int(shown.canvas.get_attribute("data-columns"))
    grid = shown.grid()
    for env in range(NUM_ENVS):
        r, c = divmod(env, columns)
        tile = grid[r * 24 : r * 24 + 24, c * 32 : c * 32 + 32, :3]
        np.testing.assert_array_equal(tile, expected[env])

    shown.page.mouse.move(600, 200)
    shown.wait("row", 7)
    shown.page.mouse.move(*shown.at(0.8))
    shown.page.wait_for_function(
        "root => root.dataset.row > 300", arg=shown.root.element_handle()
    )
    shown.press("ArrowRight")

    shown.wait("row", 8)
