"""A page that `to_html` wrote, opened from file:// with the network off.

Frames say which row and env they are, and each comparison is pixel by pixel.
"""

import base64
import csv
import re

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from rollout_viewer.testing import CountingEnv, counting_frames
from tests.browser.driver import PIXELS_JS, assert_soon, choose, rest

NUM_ROWS, NUM_ENVS, HEIGHT, WIDTH = 70, 4, 48, 64


def film(num_rows=NUM_ROWS, start=0):
    return counting_frames(num_rows, NUM_ENVS, height=HEIGHT, width=WIDTH, start=start)


def recorded(num_rows=NUM_ROWS):
    """Return a recording of counting frames; env 1 ends in row 9."""
    cache = rv.FrameCache(fps=50)
    for row, frames in enumerate(film(num_rows)):
        cache.append(
            frames,
            reward=np.arange(NUM_ENVS),
            reset=np.isin(np.arange(NUM_ENVS), [1] if row == 10 else []) | (row == 0),
            terminated=(np.arange(NUM_ENVS) == 1) & (row == 9),
        )
    return cache


class Shown:
    """A page in the browser, and what a person does with it."""

    def __init__(self, new_page, path, script=None, **options):
        self.page = new_page(offline=True, **options)
        if script:
            self.page.add_init_script(script)
        self.faults = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.asked = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.root = self.page.locator(".rollout-viewer")
        self.wait_until_loaded()
        self.canvas = self.root.locator(".rv-frames")

    def wait_until_loaded(self):
        """Wait until the page shows its first row and has read its last one."""
        self.root.and_(self.page.locator("[data-state=ready]")).wait_for()
        # It is ready before: each of these is removed as it is read.
        self.page.wait_for_function(
            "() => !document.querySelector('script.rollout-viewer-message')"
        )

    def wait(self, name, value):
        self.page.wait_for_function(
            "([root, name, value]) => root.dataset[name] === value",
            arg=[self.root.element_handle(), name, str(value)],
        )

    def wait_for_row(self, row):
        """Wait until this row or a later one is drawn: playing may pass over one."""
        self.page.wait_for_function(
            "([root, row]) => Number(root.dataset.row) >= row",
            arg=[self.root.element_handle(), row],
        )

    def rest(self):
        """Wait until the layout rests."""
        rest(self.root)

    def press(self, *keys):
        self.root.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def go(self, row):
        self.root.get_by_label("Row number").fill(str(row))
        self.page.keyboard.press("Enter")
        self.wait("row", row)

    def grid(self):
        """Return the pictures, cell beside cell, RGBA."""
        width, height, text = self.canvas.evaluate(PIXELS_JS)
        pixels = np.frombuffer(base64.b64decode(text), np.uint8)
        return pixels.reshape(height, width, 4)

    def frames(self, count=NUM_ENVS):
        """Return the pictures on the canvas, not reduced, (count, H, W, 3)."""
        assert self.canvas.get_attribute("data-reduction") == "1"
        columns = int(self.canvas.get_attribute("data-columns"))
        grid = self.grid()
        tiles = [
            grid[r * HEIGHT : (r + 1) * HEIGHT, c * WIDTH : (c + 1) * WIDTH]
            for r, c in (divmod(index, columns) for index in range(count))
        ]
        assert all((tile[..., 3] == 255).all() for tile in tiles)
        return np.stack(tiles)[..., :3]


@pytest.fixture
def shown(new_page, tmp_path):
    """Return a page of 70 rows of 4 counting envs."""
    return Shown(new_page, write_html(recorded(), tmp_path / "page.html", title="film"))


def test_page_opens_without_network_and_shows_the_first_row(shown):
    shown.wait("row", 0)
    shown.wait("numRows", NUM_ROWS)

    np.testing.assert_array_equal(shown.frames(), film()[0])
    assert shown.faults == []
    local = ("file:", "blob:", "data:")
    assert all(url.startswith(local) for url in shown.asked), shown.asked


def test_any_row_has_the_recorded_pixels(shown):
    shown.wait("numRows", NUM_ROWS)

    for row in (69, 0, 31, 32, 33, 5, 64, 40):
        shown.go(row)

        np.testing.assert_array_equal(shown.frames(), film(1, start=row)[0])


def test_keys_step_jump_and_find_ends(shown):
    shown.wait("numRows", NUM_ROWS)

    shown.press("Home", "ArrowRight", "ArrowRight", "ArrowLeft")
    shown.wait("row", 1)
    shown.press("ArrowDown")
    shown.wait("row", 9)
    badge = shown.root.locator("[data-env='1'] .rv-badge")
    expect(badge).to_have_text("terminated")
    shown.press("End")
    shown.wait("row", NUM_ROWS - 1)
    shown.press("Shift+ArrowLeft")
    shown.wait("row", NUM_ROWS - 11)

    np.testing.assert_array_equal(shown.frames(), film(1, start=NUM_ROWS - 11)[0])


def test_dragging_scrubs_to_the_row_under_the_pointer(shown):
    shown.wait("numRows", NUM_ROWS)
    box = shown.root.get_by_role("slider").bounding_box()
    middle = box["y"] + box["height"] / 2

    shown.page.mouse.move(box["x"] + 1, middle)
    shown.page.mouse.down()
    for share in (0.2, 0.9, 0.5):
        shown.page.mouse.move(box["x"] + share * box["width"], middle)
    shown.page.mouse.up()

    row = round((NUM_ROWS - 1) * 0.5)
    shown.page.wait_for_function(
        "([root, row]) => Math.abs(root.dataset.row - row) <= 1",
        arg=[shown.root.element_handle(), row],
    )
    row = int(shown.root.get_attribute("data-row"))
    np.testing.assert_array_equal(shown.frames(), film(1, start=row)[0])


def test_playing_passes_every_row_and_stops_on_the_last(shown):
    shown.wait("numRows", NUM_ROWS)
    shown.page.evaluate(
        """() => {
          const root = document.querySelector('.rollout-viewer');
          window.rows = [];
          new MutationObserver(() => window.rows.push(Number(root.dataset.row)))
            .observe(root, {attributeFilter: ['data-row']});
        }"""
    )

    shown.press("Space")
    shown.wait("row", NUM_ROWS - 1)

    rows = shown.page.evaluate("window.rows")
    assert rows == sorted(set(rows))
    shown.root.get_by_role("button", name="Play", exact=True).wait_for()
    np.testing.assert_array_equal(shown.frames(), film(1, start=NUM_ROWS - 1)[0])


def test_labels_tell_env_episode_step_and_return(shown):
    shown.wait("numRows", NUM_ROWS)

    shown.go(12)

    tile = shown.root.locator("[data-env='1']")
    label = tile.locator(".rv-label")
    expected = [*("env", "1"), *("episode", "1"), *("step", "2")]
    assert_soon(lambda: label.inner_text().split(), expected)
    expect(tile.locator(".rv-total b")).to_have_text("2")
    total = shown.root.locator("[data-env='3'] .rv-total b")
    expect(total).to_have_text(str(3 * 12))


def test_a_tile_opens_alone_with_exact_pixels_and_escape_returns(new_page, tmp_path):
    page = write_html(recorded(), tmp_path / "page.html")
    # 200 px for four tiles across: they are reduced
    shown = Shown(new_page, page, viewport={"width": 200, "height": 400})
    shown.wait("numRows", NUM_ROWS)
    shown.go(20)

    shown.root.locator("[data-env='2']").dblclick()
    shown.page.wait_for_function("document.querySelectorAll('.rv-tile').length === 1")
    shown.press("ArrowRight")
    shown.wait("row", 21)

    (alone,) = shown.frames(1)
    np.testing.assert_array_equal(alone, film(1, start=21)[0, 2])
    shown.press("Escape")
    shown.page.wait_for_function("document.querySelectorAll('.rv-tile').length === 4")


def test_reduced_tiles_show_the_mean_of_their_squares(new_page, tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 4, 120, 160, 3), np.uint8)
    cache = rv.FrameCache()
    for row in frames:
        cache.append(row, reward=np.ones(4))
    path = write_html(cache, tmp_path / "page.html", columns=4)

    shown = Shown(new_page, path, viewport={"width": 360, "height": 600})
    shown.wait("numRows", 3)
    shown.go(2)

    assert shown.canvas.get_attribute("data-reduction") == "2"
    grid = shown.grid()[..., :3].astype(int)
    means = frames[2].reshape(4, 60, 2, 80, 2, 3).mean((2, 4))
    # means of means, each rounded down: up to two levels too dark in 8 bits
    wrong = np.concatenate(means, axis=1) - grid
    assert wrong.min() > -1
    assert wrong.max() < 2


def test_missing_pictures_are_drawn_as_such(new_page, tmp_path):
    cache = rv.FrameCache()
    frames = film(3)
    cache.append(list(frames[0]), reset=np.ones(NUM_ENVS, bool))
    cache.append([frames[1, 0], None, *frames[1, 2:]], reward=np.ones(NUM_ENVS))
    cache.append(list(frames[2]), reward=np.ones(NUM_ENVS))

    shown = Shown(new_page, write_html(cache, tmp_path / "page.html"))
    shown.wait("numRows", 3)
    shown.go(1)

    tile = shown.root.locator("[data-env='1']")
    assert tile.get_attribute("data-gap") == "no picture"
    columns = int(shown.canvas.get_attribute("data-columns"))
    row, column = divmod(1, columns)
    grid = shown.grid()[row * HEIGHT : (row + 1) * HEIGHT]
    assert not grid[:, column * WIDTH : (column + 1) * WIDTH].any()
    shown.go(2)
    np.testing.assert_array_equal(shown.frames(), frames[2])


def test_a_camera_that_delivered_nothing_has_a_badge(new_page, tmp_path):
    cache = rv.FrameCache()
    front, back = film(70)[:, 0], film(70)[:, 1]
    delivered = [0, 1, 2, 4, 5, 31, 33]
    for row in range(40):
        pictures = {"front": front[row]}
        if row in delivered:
            # The one of row 5 is delivered, and the same as before.
            pictures["back"] = back[min(row, 4) if row < 6 else row]
        cache.append(pictures, reward=[1.0], kind="step")

    shown = Shown(new_page, write_html(cache, tmp_path / "page.html"))
    shown.wait("numRows", 40)

    badges = shown.root.locator(".rv-late")
    late = {}
    for row in (1, 3, 4, 5, 6, 31, 32, 33, 34):
        shown.go(row)
        late[row] = [badges.nth(slot).is_visible() for slot in range(2)]
    # Row 32 begins a chunk, which holds its picture in full.
    assert late == {row: [False, row not in delivered] for row in late}
    assert not any(cache.has_picture(row, 0, "back") for row in (3, 6, 32, 34))
    assert badges.nth(1).inner_text() == "repeated"


def badges_of(shown, num_rows):
    """Return in which rows which tiles say that their picture is an earlier row's."""
    late = shown.root.locator(".rv-late")
    badges = []
    for row in range(num_rows):
        shown.go(row)
        badges.append([late.nth(slot).is_visible() for slot in range(late.count())])
    return badges


def test_a_row_without_a_picture_of_its_own_says_so(new_page, tmp_path):
    cache, frames = rv.FrameCache(), film(36)
    for row in range(36):
        # An env that is idle was not stepped: its picture is right.
        kind = ["idle" if env == 2 and row % 2 else "step" for env in range(NUM_ENVS)]
        is_recorded = row % 4 != 3 and row != 32
        cache.append(frames[row] if is_recorded else None, kind=kind)
    shown = Shown(new_page, write_html(cache, tmp_path / "page.html"))
    shown.wait("numRows", 36)

    assert badges_of(shown, 36) == cache.repeated(0, 36).tolist()
    shown.go(7)
    np.testing.assert_array_equal(shown.frames(), frames[6])
    badge = shown.root.locator(".rv-late").first
    assert "earlier row" in badge.get_attribute("title")
    shown.root.locator("[data-env='1']").click()
    fact = shown.root.locator("[data-fact='picture'] dd")
    expect(fact).to_have_text("an earlier row's, shown again")
    shown.go(8)
    fact.wait_for(state="hidden")


def test_a_thinned_page_says_which_pictures_are_left_out(new_page, tmp_path):
    cache = rv.FrameCache()
    frames = film(36)
    frames[:, 3] = frames[0, 3]  # one that never changes is each row's own
    for row, pictures in enumerate(frames):
        cache.append(pictures if row != 9 else None, reward=np.ones(NUM_ENVS))

    shown = Shown(new_page, write_html(cache, tmp_path / "page.html", every=3))
    shown.wait("numRows", 36)

    # The first picture of a chunk, as row 32, is always kept.
    own = [row for row in range(36) if (row % 32) % 3 == 0 and row != 9]
    expected = [[row not in own] * 3 + [row == 9] for row in range(36)]
    assert badges_of(shown, 36) == expected


def test_steps_that_a_recorder_skipped_say_so(new_page, tmp_path):
    env = rv.record(CountingEnv((50,)), skip=3)
    env.reset()
    for _ in range(5):
        env.step(0)
    cache = env.cache
    assert cache.episodes[0].length == 5  # read before the next picture is due

    shown = Shown(new_page, write_html(cache, tmp_path / "page.html"))
    shown.wait("numRows", cache.num_rows)

    assert cache.scalars["env_step"][:, 0].tolist() == [0, 3, 5]
    assert badges_of(shown, 3) == [[False], [False], [True]]


def test_frames_of_unequal_size_stand_in_the_middle_of_their_cells(new_page, tmp_path):
    rng = np.random.default_rng(0)
    sizes = [(40, 60), (20, 31), (33, 7)]
    frames = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    cache = rv.FrameCache()
    cache.append(frames, reward=np.ones(3))

    shown = Shown(new_page, write_html(cache, tmp_path / "page.html", columns=3))
    shown.wait("row", 0)

    grid = shown.grid()
    assert grid.shape == (40, 180, 4)
    for index, frame in enumerate(frames):
        height, width = frame.shape[:2]
        top, left = (40 - height) // 2, index * 60 + (60 - width) // 2
        shown_frame = grid[top : top + height, left : left + width, :3]
        np.testing.assert_array_equal(shown_frame, frame)


def test_a_range_keeps_row_numbers_and_returns(new_page, tmp_path):
    path = write_html(
        recorded(), tmp_path / "page.html", start=40, stop=60, envs=[1, 3]
    )

    shown = Shown(new_page, path)
    shown.wait("row", 40)

    np.testing.assert_array_equal(shown.frames(2), film(1, start=40)[0, [1, 3]])
    total = shown.root.locator("[data-env='3'] .rv-total b")
    expect(total).to_have_text(str(3 * 40))
    shown.press("End")
    shown.wait("row", 59)


def test_every_other_picture_stays_for_two_rows(new_page, tmp_path):
    shown = Shown(new_page, write_html(recorded(), tmp_path / "page.html", every=2))
    shown.wait("numRows", NUM_ROWS)

    shown.go(35)

    np.testing.assert_array_equal(shown.frames(), film(1, start=34)[0])


def test_a_page_can_load_nothing_and_send_nothing(shown):
    shown.wait("numRows", NUM_ROWS)

    found = shown.page.evaluate(
        """async () => {
          const tried = { fetch: fetch("data:,x").then(() => "sent", () => "refused") };
          tried.image = new Promise(done => {
            const image = new Image();
            image.onload = () => done("sent");
            image.onerror = () => done("refused");
            image.src = "http://127.0.0.1:9/x.png";
          });
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          const style = document.createElement("style");
          style.textContent = "body { outline: 1px solid }";
          document.head.append(style);
          return [await tried.fetch, await tried.image, window.ran ?? "refused",
                  getComputedStyle(document.body).outlineStyle];
        }"""
    )

    assert found == ["refused", "refused", "refused", "none"]


def test_no_part_of_the_page_needs_what_its_policy_forbids(shown):
    shown.wait("numRows", NUM_ROWS)

    shown.press("e", "Shift+I", "b")
    shown.page.keyboard.press("Escape")
    shown.press("Enter", "Escape", "?")
    shown.rest()

    assert shown.faults == []


def test_what_was_marked_in_a_page_is_saved_and_read_back(new_page, tmp_path):
    cache = recorded()
    cache.bookmark(5, "as recorded")
    cache.label((1, 0), "late")
    shown = Shown(new_page, write_html(cache, tmp_path / "page.html"))
    shown.wait("numRows", NUM_ROWS)

    shown.root.get_by_role("button", name="Save").click()
    expect(shown.root.get_by_text("none changed here")).to_be_visible()
    shown.page.keyboard.press("Escape")
    shown.go(12)
    shown.press("b")
    shown.page.keyboard.type("contact")
    shown.page.keyboard.press("Enter")
    shown.go(5)
    shown.press("Shift+B")
    shown.root.locator("[data-env='1']").click()
    shown.root.get_by_role("button", name="failure").first.click()
    shown.root.get_by_role("button", name="late", exact=True).first.click()
    with shown.page.expect_download() as download:
        choose(shown.root, "Save", "Save labels")
    counts = rv.import_labels(cache, download.value.path())

    assert download.value.suggested_filename == "page_labels.json"
    assert counts == (2, 1)
    assert cache.bookmarks == {12: "contact"}
    assert [dict(e.labels) for e in cache.episodes if e.labels] == [{"failure": True}]


def test_compared_recordings_are_in_one_page(new_page, tmp_path):
    viewer = rv.view({"before": recorded(20), "after": recorded(30)})

    shown = Shown(new_page, viewer.to_html(tmp_path / "page.html"))
    shown.wait("numEnvs", 2 * NUM_ENVS)
    shown.wait("numRows", 30)

    frames = film(1)[0]
    both = np.concatenate([frames, frames])
    np.testing.assert_array_equal(shown.frames(2 * NUM_ENVS), both)
    expect(shown.root.get_by_text("before").first).to_be_visible()


def test_a_page_of_smaller_pictures_says_so(new_page, tmp_path):
    path = write_html(recorded(), tmp_path / "page.html", reduce=2)

    shown = Shown(new_page, path)
    shown.root.get_by_role("button", name="Recording and memory").click()

    expect(shown.root.get_by_text("1/2 each way")).to_be_visible()
    assert shown.grid().shape == (HEIGHT, WIDTH, 4)


def test_a_title_that_looks_like_markup_is_shown_as_text(new_page, tmp_path):
    title = "</script><script>window.bad = 1</script> <!-- & \"'"

    shown = Shown(
        new_page, write_html(recorded(3), tmp_path / "page.html", title=title)
    )

    expect(shown.root.locator(".rv-title")).to_have_text(title)
    assert shown.page.title() == title
    assert shown.page.evaluate("window.bad") is None


def test_a_page_has_no_dump_buttons(shown):
    names = shown.root.get_by_role("button", name=re.compile("dump|download", re.I))

    assert names.count() == 0


def test_a_page_saves_its_step_table_and_a_picture(shown, tmp_path):
    shown.wait("numRows", NUM_ROWS)
    shown.go(12)
    shown.press("i", "ArrowRight", "ArrowRight", "o")
    shown.wait("row", 14)

    with shown.page.expect_download() as download:
        choose(shown.root, "Save", "Save CSV")
    with open(download.value.path(), newline="") as file:
        lines = list(csv.DictReader(file))
    with shown.page.expect_download() as download:
        choose(shown.root, "Save", "Save PNG")
    with PIL.Image.open(download.value.path()) as picture:
        pixels = np.array(picture)[..., :3]

    assert [(line["row"], line["env"]) for line in lines] == [
        (str(row), str(env)) for row in (12, 13, 14) for env in range(NUM_ENVS)
    ]
    assert (lines[1]["episode"], lines[1]["episode_step"]) == ("1", "2")
    assert [line["total_reward"] for line in lines[:4]] == ["0", "2", "24", "36"]
    np.testing.assert_array_equal(pixels, film(1, start=14)[0, 0])


def test_help_lists_the_keys(shown):
    shown.press("?")

    dialog = shown.root.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    assert "next row" in dialog.inner_text()
    shown.page.keyboard.type("bookmark")
    assert_soon(lambda: "next row" in dialog.inner_text(), False)
    assert "bookmark this row" in dialog.inner_text()
    shown.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_without_scripts_the_first_row_is_a_picture(new_page, tmp_path):
    path = write_html(recorded(3), tmp_path / "page.html")
    page = new_page(offline=True, java_script_enabled=False)

    page.goto(path.as_uri())

    assert page.get_by_role("img", name="The first row").is_visible()


def test_a_page_that_is_too_large_is_not_written_and_says_what_to_do(tmp_path):
    rng = np.random.default_rng(0)
    cache = rv.FrameCache()
    for _ in range(20):
        cache.append(rng.integers(0, 256, (2, 64, 64, 3), np.uint8), reward=[1, 1])

    with pytest.raises(
        rv.ExportTooLargeError, match=r"\(envs\).*every n-th.*max_mb 5"
    ) as error:
        write_html(cache, tmp_path / "page.html", max_mb=0.3)

    assert "expected at most 0.3 MB" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_not_overwritten(tmp_path):
    first = write_html(recorded(2), tmp_path / "page.html")
    second = write_html(recorded(2), tmp_path / "page.html")

    assert [first.name, second.name] == ["page.html", "page-1.html"]


def test_no_rows_are_an_error(tmp_path):
    with pytest.raises(rv.RowError, match="Record something first"):
        write_html(rv.FrameCache(), tmp_path / "page.html")
