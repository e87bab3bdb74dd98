"""What axe-core finds in the page: nothing, in any of its states and colours."""

from pathlib import Path

import pytest

from tests.browser.driver import rest
from tests.browser.states import STATES, open_state

AXE = Path(__file__).parents[2] / "js/node_modules/axe-core/axe.min.js"
RUN_JS = """async only => {
  const {violations} = await axe.run(document, {
    resultTypes: ["violations"],
    // The document around the viewer is the host's.
    rules: {"page-has-heading-one": {enabled: false}},
    ...(only ? {runOnly: only} : {}),
  });
  const texts = ({id, help, nodes}) => nodes.map(({target, failureSummary}) =>
    [id, help, target.join(" "), ...failureSummary.split("\\n").slice(1)].join(" | "));
  return violations.flatMap(texts);
}"""
# What depends on no colour was found in the first ones.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
OTHER_COLOURS = {
    "dark": {"color_scheme": "dark"},
    "forced": {"color_scheme": "light", "forced_colors": "active"},
}


def opened(new_page, name, **options):
    page = open_state(new_page, STATES[name], **options)
    page.add_script_tag(path=AXE)
    return page


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("name", ["six envs", "inspector", "evaluation"])
def test_axe_finds_nothing_in_any_colours(new_page, name, width):
    page = opened(new_page, name, width=width)
    found = {"light": page.evaluate(RUN_JS)}
    for colours, media in OTHER_COLOURS.items():
        page.emulate_media(**media)
        rest(page.locator(".rollout-viewer"))
        found[colours] = page.evaluate(RUN_JS, OF_COLOURS)
    assert not any(found.values()), found


@pytest.mark.parametrize(
    "name",
    [
        "episodes",
        "notes",
        "compare",
        "64 tiles",
        "help",
        "labels menu",
        "error",
        "empty",
        "kernel gone",
        "dumped",
    ],
)
def test_axe_finds_nothing_in_other_states(new_page, name):
    found = opened(new_page, name).evaluate(RUN_JS)
    assert not found, "\n".join(found)
