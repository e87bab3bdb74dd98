"""The site in build/docs, as it opens from disk without a network.

`make docs` runs this. Its name is no test's: there is no site in `make test`.
"""

import re
import urllib.parse

import pytest
from playwright.sync_api import expect

from tests import pages

SITE = (pages.ROOT / "build" / "docs").resolve()
FILES = sorted(SITE.rglob("*.html"))
FROM_DISK = ("file:", "data:", "blob:", "about:")


def test_every_page_opens_without_a_network_and_without_an_error(new_page):
    page = new_page(offline=True)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append((page.url, error.message)))

    for file in FILES:
        page.goto(file.as_uri(), wait_until="load")

    assert len(FILES) > 70
    assert [url for url in asked if not url.startswith(FROM_DISK)] == []
    assert errors == []


def test_links_and_anchors_lead_somewhere():
    ids = {file: set(re.findall(r'\bid="([^"]+)"', file.read_text())) for file in FILES}
    lost = []
    for file in FILES:
        text = re.sub(r'srcdoc="[^"]*"', "", file.read_text("utf-8"))
        for target in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text):
            path, _, anchor = urllib.parse.unquote(target).partition("#")
            if "://" in path or path.startswith("mailto:"):
                continue
            found = (file.parent / path).resolve() if path else file
            if not found.exists() or (anchor and anchor not in ids[found]):
                lost.append((file.name, target))

    assert not lost


def test_a_search_finds_a_guide_without_a_server(new_page):
    page = new_page(offline=True)
    page.goto((SITE / "index.html").as_uri())

    page.get_by_role("button", name="Search").first.click()
    page.get_by_role("searchbox").last.fill("contact sheets")
    page.keyboard.press("Enter")

    found = page.locator("ul.search a", has_text="Dump and export")
    expect(found.first).to_be_visible()
    found.first.click()
    expect(page.get_by_role("heading", name="Dump and export")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_notebook_has_a_live_viewer_in_the_page(new_page, scheme):
    page = new_page(offline=True, color_scheme=scheme)
    page.goto((SITE / "notebooks" / "01_first_look.html").as_uri())

    frame = page.frame_locator("iframe").first
    root = frame.locator(".rollout-viewer")
    expect(root).to_have_attribute("data-state", "ready")
    root.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(root).to_have_attribute("data-row", "2")
    # The page and the viewer in it are both of the scheme.
    is_dark = "el => getComputedStyle(el).backgroundColor.match(/\\d+/)[0] < 128"
    assert page.locator("body").evaluate(is_dark) == (scheme == "dark")
    assert root.evaluate(is_dark) == (scheme == "dark")
