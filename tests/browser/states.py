"""States of the page, each with real pictures: for the gallery and for tests.

    with open_state(new_page, STATES["inspector"], width=1400) as page: ...

A state is a recording, what a kernel adds to its messages, and what a person does. The
kernel here is a script in the page that sends the recording's real messages, so that
states such as "the kernel has ended" need no Jupyter.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import pathlib
import sqlite3
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from playwright.sync_api import Page, Route

import rollout_viewer as rv
from rollout_viewer._page.bundle import packed_part, read_bundle
from rollout_viewer._page.details import FieldCatalog, all_details
from rollout_viewer._page.offline import recording_messages
from rollout_viewer._page.parting import with_partings
from tests.browser.driver import rest

URL = "http://gallery.invalid/"
# Longer than REST_MS of js/src/view/grid/grid.ts.
NAMED_MS = 300

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>rollout_viewer</title>
<link rel="stylesheet" href="widget.css">
<style>
html { color-scheme: light dark; }
body { margin: 0; }
HOST_STYLE
</style>
</head>
<body class="BODY_CLASS" BODY_ATTRIBUTES>
<main id="host"></main>
<script type="module">
import createWidget from "./widget.js";
const state = await (await fetch("state.json")).json();
const {messages, manifest, extra, is_busy: isBusy} = state;
const bytes = text => new DataView(
  Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
const listeners = new Map();
const emit = (event, ...args) => {
  for (const one of listeners.get(event) ?? []) one(...args);
};
const kernel = {status: "idle", isDisposed: false};
const traits = {playhead: 0, playing: false, speed: 1, loop: "off", selection: [],
  bookmarks: messages.flatMap(
    ({message}) => Object.keys(message.bookmarks ?? {}).map(Number))};
const say = ({message, buffers}) => {
  const added = message.kind === "manifest" ? manifest : {};
  emit("msg:custom", {...message, ...added}, buffers.map(bytes));
};
const model = {
  widget_manager: {kernel},
  get: name => traits[name] ?? null,
  set: (name, value) => { traits[name] = value; },
  save_changes() {},
  on: (event, callback) =>
    listeners.set(event, [...(listeners.get(event) ?? []), callback]),
  off: (event, callback) => listeners.set(event,
    (listeners.get(event) ?? []).filter(one => one !== callback)),
  send: message => {
    window.sent.push(message);
    if (message.kind !== "hello" || isBusy) return;
    setTimeout(() => {
      messages.forEach(say);
      for (const {buffers = [], ...message} of extra) say({message, buffers});
    });
  },
};
window.sent = [];
window.kernel = kernel;
window.say = message => say({message, buffers: []});
const widget = createWidget();
widget.initialize({model});
widget.render({model, el: document.querySelector("#host")});
</script>
</body>
</html>
"""

# What hosts define; the rest of a page is the browser's own.
THEMES = {
    "standalone light": ("light", "", "", ""),
    "standalone dark": ("dark", "", "", ""),
    "lab light": (
        "light",
        "",
        'data-jp-theme-light="true"',
        """:root { --jp-layout-color0: #fff; --jp-layout-color1: #fff;
        --jp-layout-color2: #eee; --jp-layout-color3: #bdbdbd;
        --jp-ui-font-color0: rgba(0,0,0,1); --jp-ui-font-color1: rgba(0,0,0,.87);
        --jp-ui-font-color2: rgba(0,0,0,.54); --jp-border-color2: #e0e0e0;
        --jp-brand-color1: #1976d2; } body { background: #fff; }""",
    ),
    "lab dark": (
        "light",
        "",
        'data-jp-theme-light="false"',
        """:root { --jp-layout-color0: #111; --jp-layout-color1: #212121;
        --jp-layout-color2: #424242; --jp-layout-color3: #616161;
        --jp-ui-font-color0: rgba(255,255,255,1);
        --jp-ui-font-color1: rgba(255,255,255,.87);
        --jp-ui-font-color2: rgba(255,255,255,.54); --jp-border-color2: #424242;
        --jp-brand-color1: #2196f3; } body { background: #111; }""",
    ),
    "vscode dark": (
        "light",
        "vscode-dark",
        "",
        """:root { --vscode-editor-background: #1f1f1f;
        --vscode-editor-foreground: #ccc; --vscode-foreground: #ccc;
        --vscode-font-family: system-ui; } body { background: #1f1f1f; }""",
    ),
    "marimo dark": (
        "light",
        "dark dark-theme",
        "",
        """html { color-scheme: dark; } body { background: #181c1a; color: #eee; }""",
    ),
}


@dataclass(frozen=True)
class State:
    """What the page shows, and how it comes to that."""

    cache: Callable[[], Any]
    # Of the page: keys that are pressed, selectors that are clicked, a script.
    keys: str = ""
    clicks: tuple[str, ...] = ()
    script: str = ""
    # Of the kernel: what it says of the recording, and after it.
    manifest: dict[str, Any] = field(default_factory=dict)
    extra: tuple[dict[str, Any], ...] = ()
    is_busy: bool = False
    is_empty: bool = False
    groups: tuple[tuple[str, int, int], ...] = ()
    # Its Compare tab has the numbers of the two policies in it.
    is_evaluation: bool = False


def recording(env_id: str, num_envs: int, num_steps: int, **options: Any) -> Any:
    """Return a cache of random actions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Box2D's, of Python 3.11's types
        envs = gym.make_vec(
            env_id,
            num_envs,
            vectorization_mode="sync",
            render_mode="rgb_array",
            **options,
        )
    envs.action_space.seed(1)
    recorder = rv.record(envs)
    recorder.reset(seed=1)
    for _ in range(num_steps):
        recorder.step(envs.action_space.sample())
    return recorder.cache


# Gymnasium's LunarLander-v3, in its documentation.
LANDER = ["x", "y", "vx", "vy", "angle", "angular velocity", "left leg", "right leg"]


@functools.cache
def one_env() -> Any:
    """Return 120 rows of a CartPole."""
    return recording("CartPole-v1", 1, 120)


@functools.cache
def landings() -> Any:
    """Return 150 rows of six LunarLanders, with labels and bookmarks."""
    cache = recording("LunarLander-v3", 6, 150)
    for episode in cache.episodes[:4]:
        success = episode.env % 2 == 0
        cache.label(episode, **{"success" if success else "failure": True})
    cache.update_metadata(fields={"obs": LANDER})
    cache.bookmark(40, "touches the ground")
    cache.bookmark(91)
    return cache


@functools.cache
def evaluated() -> Any:
    """Return two policies of CartPole on six seeds, one better than the other."""
    return rv.evaluate(
        lambda: gym.make("CartPole-v1", render_mode="rgb_array", max_episode_steps=40),
        {
            "reacts": lambda obs: int(obs[2] > 0),
            "foresees": lambda obs: int(obs[3] > 0),
        },
        seeds=range(6),
        success=lambda episode: episode.length >= 38,
        backend="serial",
        progress=False,
    ).caches["reacts"]


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def damaged() -> Any:
    """Return the landings from a file whose step data of rows 32 to 63 is damaged."""
    _FOLDERS.append(tempfile.TemporaryDirectory())
    path = pathlib.Path(_FOLDERS[-1].name) / "landings.rollout"
    whole = landings()
    scalars = whole.scalars
    with rv.FrameCache(path, fps=whole.fps) as cache:
        for row in range(whole.num_rows):
            ends = {name: scalars[name][row] for name in ("terminated", "truncated")}
            kind = [str(one) for one in scalars["kind"][row]]
            cache.append(whole[row], reward=scalars["reward"][row], kind=kind, **ends)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE steps SET data = ? WHERE block = 1", (b"damaged",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says what is damaged
        return rv.open(path)


@functools.cache
def carts() -> Any:
    """Return 60 rows of sixteen CartPoles."""
    return recording("CartPole-v1", 16, 60)


@functools.cache
def many_tiles() -> Any:
    """Return rows of 64 small pictures."""
    cache = rv.FrameCache()
    rng = np.random.default_rng(0)
    ground = rng.integers(40, 200, (64, 1, 1, 3))
    for row in range(40):
        frames = np.broadcast_to(ground, (64, 105, 80, 3)).astype(np.uint8)
        frames[:, row : row + 12, 20:32] = 255
        cache.append(
            frames,
            reward=rng.normal(size=64),
            reset=np.full(64, row == 0),
            terminated=(np.arange(64) == row),
        )
    return cache


@functools.cache
def pixel_art() -> Any:
    """Return rows of 8x8 pictures."""
    cache = rv.FrameCache()
    rng = np.random.default_rng(0)
    for row in range(40):
        frames = rng.integers(0, 255, (1, 8, 8, 3), np.uint8)
        cache.append(frames, reward=np.ones(1), reset=np.full(1, row % 20 == 0))
    return cache


@functools.cache
def wide_pictures() -> Any:
    """Return rows of pictures of 84 x 300."""
    cache = rv.FrameCache()
    for row in range(40):
        frames = np.full((1, 84, 300, 3), 60 + 3 * row, np.uint8)
        frames[:, 30:50, 5 * row : 5 * row + 20] = (255, 160, 0)
        cache.append(frames, reward=np.ones(1))
    return cache


def _state(cache: Callable[[], Any], **options: Any) -> State:
    return State(cache, **options)


# Asks for a video, as a person does, and answers as a kernel.
_DUMP = """document.querySelector('.rv-dump').click();
const {job} = window.sent.findLast(({kind}) => kind === 'dump');
window.say({kind: 'job', job, message: '', paths: [], ANSWER})"""


def _dump(**answer: Any) -> str:
    return _DUMP.replace("ANSWER", f"...{json.dumps(answer)}")


STATES: dict[str, State] = {
    "empty": _state(one_env, is_empty=True),
    "kernel busy": _state(one_env, is_busy=True),
    "one env": _state(one_env, keys="End"),
    "six envs": _state(landings, keys="End"),
    "sixteen envs": _state(carts, keys="End"),
    "64 tiles": _state(many_tiles, keys="End"),
    "pixel art": _state(pixel_art),
    "wide pictures": _state(wide_pictures),
    "selected": _state(landings, keys="End n n"),
    "alone": _state(landings, keys="End n n Enter"),
    "zoomed": _state(landings, keys="End n = = ="),
    "inspector": _state(landings, keys="End n Shift+I"),
    "episodes": _state(landings, keys="E"),
    "notes": _state(landings, keys="Home", clicks=(".rv-tab[data-panel=notes]",)),
    "compare": _state(
        landings,
        keys="End",
        clicks=(".rv-tab[data-panel=compare]",),
        groups=(("before", 0, 3), ("after", 3, 3)),
    ),
    "evaluation": _state(
        evaluated, clicks=(".rv-tab[data-panel=compare]",), is_evaluation=True
    ),
    "range": _state(landings, keys="Home Shift+ArrowRight i End o"),
    # Of fewer rows: those that come after the manifest are news.
    "live": _state(landings, keys="End", manifest={"is_live": True, "num_rows": 90}),
    "damaged rows": _state(damaged, keys="4 n Shift+I"),
    "kernel gone": _state(landings, keys="End", script="window.kernel.status = 'dead'"),
    "lost frames": _state(
        landings, keys="End", manifest={"num_lost": 12, "num_evicted": 3000}
    ),
    "error": _state(
        landings,
        keys="End",
        extra=(
            {
                "kind": "error",
                "message": "The disk is full: rows from 4,096 on are "
                "in memory only. Free space, or save() to another disk.",
            },
        ),
    ),
    "dumping": _state(
        landings, keys="End", script=_dump(state="running", progress=0.4)
    ),
    "dumped": _state(
        landings,
        keys="End",
        script=_dump(state="done", progress=1, paths=["/runs/7/rollout_0.mp4"]),
    ),
    "labels menu": _state(
        landings, keys="End", clicks=("[aria-label='Labels on the tiles']",)
    ),
    "help": _state(landings, keys="End ?"),
}


@functools.cache
def _messages(
    make: Callable[[], Any], groups: tuple[Any, ...], is_evaluation: bool = False
) -> list[dict[str, Any]]:
    cache = make()
    compare = None
    if is_evaluation:
        result = rv.EvaluationResult.from_recordings(cache)
        compare = with_partings(
            cache, cache.num_rows, result.viewer._manifest()["compare"]
        )
    name = make.__name__.replace("_", " ")
    fields = FieldCatalog().describe(cache)
    recorded = recording_messages(
        cache, title=name, groups=groups, compare=compare, fields=fields
    )
    return [
        {
            "message": message,
            "buffers": [base64.b64encode(bytes(one)).decode() for one in buffers],
        }
        for messages in (recorded, all_details(cache, 0, cache.num_rows))
        for message, buffers in messages
    ]


def _answer(kind: str, body: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(content_type=kind, body=body)


def open_state(
    new_page: Callable[..., Page],
    state: State,
    *,
    width: int = 1400,
    height: int = 900,
    theme: str = "standalone light",
    **options: Any,
) -> Page:
    """Open a page in a state, in a host of this theme, and wait until it rests."""
    scheme, body_class, attributes, style = THEMES[theme]
    page = new_page(
        viewport={"width": width, "height": height},
        **{"color_scheme": scheme, **options},
    )
    html = PAGE.replace("HOST_STYLE", style).replace("BODY_CLASS", body_class)
    messages = (
        []
        if state.is_empty
        else _messages(state.cache, state.groups, state.is_evaluation)
    )
    part = base64.b64encode(packed_part("compare", "test")).decode()
    parts = [{"kind": "part", "name": "compare", "buffers": [part]}]
    if state.is_empty:
        manifest = _messages(state.cache, ())[0]
        empty = {"num_rows": 0, "num_envs": 0, "slots": []}
        messages = [{**manifest, "message": {**manifest["message"], **empty}}]
    answers = {
        "": ("text/html", html.replace("BODY_ATTRIBUTES", attributes)),
        "widget.js": ("text/javascript", read_bundle("widget.js", "test")),
        "widget.css": ("text/css", read_bundle("widget.css", "test")),
        "state.json": (
            "application/json",
            json.dumps(
                {
                    "messages": messages,
                    "manifest": state.manifest,
                    "extra": [*state.extra, *(parts if state.is_evaluation else [])],
                    "is_busy": state.is_busy,
                }
            ),
        ),
    }
    for path, (kind, body) in answers.items():
        page.route(URL + path, _answer(kind, body))
    page.goto(URL)
    root = page.locator(".rollout-viewer")
    root.wait_for(state="attached")
    if not (state.is_empty or state.is_busy):
        page.wait_for_function(
            "() => ['ready', 'live', 'error'].includes("
            "document.querySelector('.rollout-viewer').dataset.state)"
        )
    root.focus()
    for key in state.keys.split():
        page.keyboard.press(key)
    if any(".rv-tab" in selector for selector in state.clicks):
        page.keyboard.press("Shift+I")
    for selector in state.clicks:
        root.locator(selector).first.click()
    if state.script:
        page.evaluate(state.script)
    rest(root)
    # Tiles are given their names so long after the last change, and toasts move in.
    page.evaluate(f"() => new Promise(done => setTimeout(done, {NAMED_MS}))")
    return page
