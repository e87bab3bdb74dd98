"""What a view shows in its states: without rows, without text, after a reload."""

from playwright.sync_api import expect

from tests.browser.states import STATES, open_state


def test_controls_without_rows_are_disabled_and_say_why(new_page):
    page = open_state(new_page, STATES["empty"])
    transport = page.locator(".rv-transport")
    controls = transport.locator("button:visible, input:visible")
    play = transport.get_by_role("button", name="Play", exact=True)

    assert controls.count() > 8
    for control in controls.all():
        expect(control).to_be_disabled()
    play.hover(force=True)
    expect(page.locator(".rv-tip")).to_have_text("Nothing is recorded yet")
    transport.get_by_label("Row number").hover(force=True)
    expect(page.locator(".rv-tip")).to_have_text("Nothing is recorded yet")


def test_controls_that_were_disabled_can_be_used_when_rows_come(new_page):
    page = open_state(new_page, STATES["one env"])
    transport = page.locator(".rv-transport")

    for control in transport.locator("button:visible, input:visible").all():
        expect(control).to_be_enabled()
    transport.get_by_role("button", name="First row").hover()
    expect(page.locator(".rv-tip")).to_have_text("First rowHome")
    transport.get_by_label("Row number").hover()
    expect(page.locator(".rv-tip")).to_contain_text("e3 ep12 s733")
