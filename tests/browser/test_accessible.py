"""What axe-core finds in the page: nothing, in any of its states and colours."""

from pathlib import Path

import pytest

from tests.browser.states import STATES, open_state

AXE = Path(__file__).parents[2] / "js/node_modules/axe-core/axe.min.js"
RUN_JS = """async () => {
  const {violations} = await axe.run(document, {
    resultTypes: ["violations"],
    // The document around the viewer is the host's.
    rules: {"page-has-heading-one": {enabled: false}},
  });
  const texts = ({id, help, nodes}) => nodes.map(({target, failureSummary}) =>
    [id, help, target.join(" "), ...failureSummary.split("\\n").slice(1)].join(" | "));
  return violations.flatMap(texts);
}"""
COLOURS = {
    "light": {},
    "dark": {"theme": "standalone dark"},
    "forced": {"forced_colors": "active"},
}


def violations(new_page, name, **options):
    page = open_state(new_page, STATES[name], **options)
    page.add_script_tag(path=AXE)
    return page.evaluate(RUN_JS)


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("name", ["six envs", "inspector", "evaluation"])
def test_axe_finds_nothing_in_any_colours(new_page, name, colours, width):
    found = violations(new_page, name, width=width, **COLOURS[colours])
    assert not found, "\n".join(found)


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
    found = violations(new_page, name)
    assert not found, "\n".join(found)
