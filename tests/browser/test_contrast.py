"""Colours of the rendered page in six themes: text at 4.5:1, lines at 3:1."""

import pytest

from tests.browser.states import STATES, THEMES, open_state

TEXT, LINE = 4.5, 3.0
GROUNDS = ["--rv-bg", "--rv-raised"]
ALL_GROUNDS = [*GROUNDS, "--rv-active"]
# What is written or drawn, on what, and how far it is to be apart.
PAIRS = [
    *[
        (one, ground, TEXT)
        for one in ["--rv-text", "--rv-muted"]
        for ground in ALL_GROUNDS
    ],
    *[("--rv-accent", ground, TEXT) for ground in ALL_GROUNDS],
    *[
        (one, ground, TEXT)
        for one in ["--rv-danger", "--rv-success", "--rv-warning"]
        for ground in GROUNDS
    ],
    ("--rv-danger", "--rv-danger-bg", TEXT),
    ("--rv-text", "--rv-sunken", TEXT),
    ("--rv-on-accent", "--rv-accent", TEXT),
    ("--rv-on-danger", "--rv-danger", TEXT),
    ("--rv-on-success", "--rv-success", TEXT),
    ("--rv-on-over", "--rv-over", TEXT),
    *[
        (one, ground, LINE)
        for one in [
            "--rv-edge",
            "--rv-reward",
            "--rv-return-line",
            "--rv-data",
            "--rv-series-3",
            "--rv-series-4",
            "--rv-terminated",
            "--rv-truncated",
        ]
        for ground in GROUNDS
    ],
    ("--rv-edge", "--rv-sunken", LINE),
]

# Contrast of two custom properties as they are painted, over the page's own ground.
CONTRAST_JS = """pairs => {
  const root = document.querySelector(".rollout-viewer");
  const probe = document.createElement("span");
  root.append(probe);
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  const paint = colours => {
    context.clearRect(0, 0, 1, 1);
    for (const name of colours) {
      probe.style.color = `var(${name})`;
      context.fillStyle = getComputedStyle(probe).color;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = rgb => {
    const [r, g, b] = rgb.map(value => {
      const s = value / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = pairs.map(([over, ground]) => {
    const under = paint(["--rv-bg", ground]);
    const [a, b] = [light(paint(["--rv-bg", ground, over])), light(under)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
  probe.remove();
  return found;
}"""


@pytest.mark.parametrize("theme", THEMES)
def test_every_pair_of_tokens_is_far_enough_apart(new_page, theme):
    page = open_state(new_page, STATES["one env"], theme=theme)
    pairs = [[over, ground] for over, ground, _ in PAIRS]
    found = page.evaluate(CONTRAST_JS, pairs)
    low = [
        f"{over} on {ground}: {contrast:.2f} of {least}"
        for (over, ground, least), contrast in zip(PAIRS, found, strict=True)
        if contrast < least
    ]
    assert not low, "\n".join(low)


@pytest.mark.parametrize("theme", ["standalone light", "standalone dark"])
def test_how_an_episode_ended_differs_in_brightness_too(new_page, theme):
    page = open_state(new_page, STATES["one env"], theme=theme)
    (apart,) = page.evaluate(CONTRAST_JS, [["--rv-terminated", "--rv-truncated"]])
    assert apart >= 1.4
