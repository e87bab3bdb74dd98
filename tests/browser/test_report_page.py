"""A report in the browser, opened from file:// with the network off."""

from playwright.sync_api import expect

import rollout_viewer as rv
from tests.evaluations import two_policies

HOSTILE = '</iframe></title><script>alert(1)</script><img src=x onerror="alert(2)">'


def test_a_report_plays_its_pairs_offline_and_runs_nothing_of_a_name(
    new_page, tmp_path
):
    path = rv.report(
        two_policies(names=("before", HOSTILE)),
        tmp_path / "report.html",
        success=lambda episode: episode.total_reward >= 2,
        title=HOSTILE,
    )
    page = new_page(offline=True, viewport={"width": 1000, "height": 800})
    faults, asked = [], []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    page.goto(path.as_uri())

    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    page.locator("iframe").scroll_into_view_if_needed()
    viewer = page.frame_locator("iframe").locator(".rollout-viewer")
    expect(viewer).to_have_attribute("data-state", "ready")
    title = "Compared by seed: every tile starts its episodes together"
    expect(viewer.locator(".rv-arranged span")).to_have_text(title)
    # "before" and the other one, on seeds 2, 0 and 3: two flips, the largest gain
    expect(viewer).to_have_attribute("data-num-envs", "6")
    viewer.focus()
    page.keyboard.press("End")
    expect(viewer).to_have_attribute("data-row", "2")
    # Its part is loaded in the frame too, which has no origin.
    page.keyboard.press("Shift+I")
    viewer.get_by_role("tab", name="Compare").click()
    found = viewer.get_by_role("region", name=f"{HOSTILE} against before")
    expect(found).to_contain_text("is not shown to return more or less than before")
    expect(found.get_by_role("slider")).to_have_attribute("aria-valuemax", "4")
    expect(found.get_by_role("button", name="All 3 seeds")).to_be_visible()
    assert page.evaluate("document.body.scrollWidth <= innerWidth")
    assert set(asked) <= {"file", "data", "blob"}
    assert faults == []
