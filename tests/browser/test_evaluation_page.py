"""The pairs of an evaluation in the Compare tab of a page from file://."""

import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from tests.browser.test_html_export import Shown

WIDE = {"viewport": {"width": 1400, "height": 1000}}
NUM_SEEDS, LENGTH = 20, 6


def add_evaluation(cache, num_seeds=NUM_SEEDS, *, bonus=0):
    """Append two policies whose observations part at step 1, 2 or 3.

    The second returns as much less as the seed is below 10, and as much more above.
    """
    for name in ("before", "after"):
        is_other = name == "after"
        with cache.segment(name):
            for seed in range(num_seeds):
                for step in range(LENGTH):
                    has_parted = is_other and step > seed % 3
                    obs = np.array([[seed, step + 100 * has_parted]], np.float32)
                    gain = seed - 10 + bonus if is_other and step == 1 else 0
                    cache.append(
                        np.full((1, 24, 32, 3), 10 * step, np.uint8),
                        reset=[not step],
                        reward=[gain + 10.0] if step else None,
                        terminated=[step == LENGTH - 1],
                        data={"obs": obs},
                        episode_info={0: {"seed": seed}} if not step else None,
                    )


def is_success(episode):
    """Seeds below 2 are lost, those above 16 gained: both of 50 and more."""
    is_other = episode.segment == "after"
    return episode.seed >= 2 if is_other else episode.seed <= 16


class Evaluated(Shown):
    """A page of an evaluation, its Compare tab open."""

    def __init__(self, new_page, path, **options):
        super().__init__(new_page, path, **{**WIDE, **options})
        self.root.get_by_role("tab", name="Compare").click()
        self.panel = self.root.get_by_role("tabpanel", name="Compare")
        self.strip = self.panel.get_by_role("slider", name="Pairs by difference")
        self.strip.wait_for()
        self.rest()


@pytest.fixture
def show(new_page, tmp_path):
    def show(cache=None, **options):
        if cache is None:
            cache = rv.FrameCache()
            add_evaluation(cache)
        result = rv.EvaluationResult.from_recordings(cache, success=is_success)
        path = result.viewer.to_html(tmp_path / "page.html")
        return Evaluated(new_page, path, **options)

    return show


def click_bar(shown, place, count=NUM_SEEDS):
    shown.strip.scroll_into_view_if_needed()
    shown.rest()
    width = shown.strip.bounding_box()["width"]
    shown.strip.click(position={"x": (place + 0.5) * width / count, "y": 40})


def says(shown, text):
    expect(shown.panel.locator(".rv-readout")).to_have_text(text)


def title_of(shown):
    return shown.root.locator(".rv-arranged span")


def test_a_click_on_a_bar_shows_its_pair_where_the_observations_part(show):
    shown = show()
    says(shown, "Choose a bar to see its pair where it parts.")

    click_bar(shown, 0)

    expect(title_of(shown)).to_have_text("Seed 0: after against before")
    shown.wait("numEnvs", 2)
    shown.wait("row", 1)
    found = "Seed 0: 50 \u2192 40 (\u221210), success lost. Observations part at row 1."
    says(shown, found)
    click_bar(shown, 17)
    expect(title_of(shown)).to_have_text("Seed 17: after against before")
    shown.wait("row", 3)
    found = "Seed 17: 50 \u2192 57 (+7), success gained. Observations part at row 3."
    says(shown, found)
    # Nothing covers the strip: the panel itself leads back.
    expect(shown.root.locator(".rv-toast")).to_have_count(0)
    shown.panel.get_by_role("button", name="Seeds 1\u201316 of 20").click()
    shown.wait("numEnvs", 32)
    assert shown.faults == []


def test_the_strip_is_moved_through_with_keys_that_do_not_move_the_playhead(show):
    shown = show()
    row = shown.root.get_attribute("data-row")

    shown.strip.focus()
    expect(shown.strip).to_have_attribute("aria-valuemax", str(NUM_SEEDS))
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        shown.page.keyboard.press(key)

    text = "Seed 1: 50 \u2192 41 (\u22129), success lost"
    expect(shown.strip).to_have_attribute("aria-valuetext", text)
    expect(shown.strip).to_have_attribute("aria-valuenow", "2")
    assert shown.root.get_attribute("data-row") == row
    shown.page.keyboard.press("End")
    says(shown, "Seed 19: 50 \u2192 59 (+9), success gained.")
    shown.page.keyboard.press("Enter")
    expect(title_of(shown)).to_have_text("Seed 19: after against before")
    shown.wait("row", 2)
    expect(shown.strip).to_be_focused()
    assert shown.faults == []


def test_flips_are_a_filter_of_the_strip_and_of_the_columns(show):
    shown = show()
    filters = shown.panel.get_by_role("group", name="Which pairs")
    expect(filters.get_by_role("button")).to_have_text(
        ["All 20", "Flipped 5", "Gained 3", "Lost 2"]
    )

    filters.get_by_role("button", name="Flipped").click()

    shown.wait("numEnvs", 10)
    expect(title_of(shown)).to_have_text("after against before, seeds 5 flipped")
    expect(shown.strip).to_have_attribute("aria-valuemax", "5")
    click_bar(shown, 2, 5)
    expect(title_of(shown)).to_have_text("Seed 17: after against before")
    filters.get_by_role("button", name="Lost").click()
    shown.wait("numEnvs", 4)
    expect(shown.panel.locator(".rv-bars-gained")).to_have_attribute("d", "")
    assert shown.faults == []


def test_columns_are_turned_over_like_pages(show):
    shown = show()
    previous, following = (
        shown.panel.get_by_role("button", name=f"Columns {where}")
        for where in ("before", "after")
    )
    expect(previous).to_be_disabled()

    following.click()

    # Flips first, then the largest differences: the last four have the smallest.
    shown.wait("numEnvs", 8)
    title = "after against before, seeds 17\u201320 of 20"
    expect(title_of(shown)).to_have_text(title)
    expect(following).to_be_disabled()
    seeds = shown.panel.locator(".rv-paired tbody th")
    expect(seeds).to_have_text(["seed 12", "seed 9", "seed 11", "seed 10"])
    previous.click()
    shown.wait("numEnvs", 32)
    assert shown.faults == []


def test_an_earlier_evaluation_of_the_same_names_is_not_shown(new_page, tmp_path):
    cache = rv.FrameCache()
    add_evaluation(cache, num_seeds=2)
    add_evaluation(cache, num_seeds=2, bonus=100)
    lines = [
        line._replace(episodes=line.episodes[2:], successes=line.successes[2:])
        for line in rv.EvaluationResult.from_recordings(cache).lines
    ]
    path = rv.EvaluationResult(lines).viewer.to_html(tmp_path / "page.html")
    shown = Evaluated(new_page, path)
    expect(title_of(shown)).to_be_visible()
    shown.press("End")

    # The first column begins with the new episodes, and has no others.
    shown.wait("row", LENGTH - 1)
    differences = shown.panel.locator(".rv-paired tbody td:last-child")
    expect(differences).to_have_text(["+91.00", "+90.00"])


def test_a_thousand_seeds_take_no_more_elements_than_twenty(show):
    cache = rv.FrameCache()
    for name in ("before", "after"):
        with cache.segment(name):
            for seed in range(1000):
                frame = np.full((1, 8, 8, 3), seed % 200, np.uint8)
                cache.append(frame, reset=[True], episode_info={0: {"seed": seed}})
                reward = float(seed if name == "after" else 500)
                cache.append(frame, reward=[reward], terminated=[True])
    shown = show(cache)

    expect(shown.strip).to_have_attribute("aria-valuemax", "1000")
    assert shown.panel.locator("*").count() < 400
    shown.strip.focus()
    shown.page.keyboard.press("End")
    says(shown, "Seed 999: 500 \u2192 999 (+499), success gained.")
    shown.page.keyboard.press("Enter")
    expect(title_of(shown)).to_have_text("Seed 999: after against before")
    shown.panel.get_by_role("button", name="Columns after").click()
    title = "after against before, seeds 17\u201332 of 1\u202f000"
    expect(title_of(shown)).to_have_text(title)
    assert shown.faults == []


def test_a_page_whose_policy_refuses_the_part_says_where_the_numbers_are(
    new_page, tmp_path
):
    cache = rv.FrameCache()
    add_evaluation(cache, num_seeds=2)
    result = rv.EvaluationResult.from_recordings(cache)
    path = result.viewer.to_html(tmp_path / "page.html")
    text = path.read_text("utf-8")
    assert text.count(" blob: &#x27;wasm") + text.count(" blob: 'wasm") == 1
    strict = text.replace(" blob: &#x27;wasm", " &#x27;wasm")
    path.write_text(strict.replace(" blob: 'wasm", " 'wasm"), "utf-8")
    shown = Shown(new_page, path, **WIDE)

    shown.root.get_by_role("tab", name="Compare").click()

    panel = shown.root.get_by_role("tabpanel", name="Compare")
    expect(panel.locator(".rv-evaluation")).to_contain_text(
        "result.table and result.paired have them."
    )
    expect(panel.locator(".rv-paired tbody th")).to_have_text(["seed 0", "seed 1"])
    expect(shown.root).to_have_attribute("data-state", "ready")


def test_a_page_of_fewer_rows_shows_the_pairs_that_are_in_it(new_page, tmp_path):
    cache = rv.FrameCache()
    add_evaluation(cache, num_seeds=4)
    result = rv.EvaluationResult.from_recordings(cache, success=is_success)
    stop = cache.num_rows - 2 * LENGTH
    path = result.viewer.to_html(tmp_path / "page.html", stop=stop)
    shown = Evaluated(new_page, path)
    expect(shown.panel.get_by_role("button", name="All 2 seeds")).to_be_visible()

    click_bar(shown, 3, 4)

    says(shown, "Seed 3: 50 \u2192 43 (\u22127). Not in this page.")
    click_bar(shown, 1, 4)
    expect(title_of(shown)).to_have_text("Seed 1: after against before")
    assert shown.faults == []
