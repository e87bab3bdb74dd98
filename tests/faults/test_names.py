"""A text is a text, wherever it goes: in pages, files, tables and metadata."""

from __future__ import annotations

import base64
import csv
import functools
import html.parser
import json
import tempfile
from pathlib import Path

import av
import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._export import html as html_export
from rollout_viewer._page.build_messages import build_manifest
from rollout_viewer._page.details import FieldCatalog
from rollout_viewer._recording.storable import storable_text
from tests.faults.survival import survives

pytestmark = survives(
    "names and texts from anywhere, in any field",
    kept="the text, shown as text",
    lost="nothing",
    seen="characters that no file may have as `_` in its name",
)

NAMES = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!-- x",
    "]]>",
    "\"'`",
    "&amp;&lt;",
    "\u202etxt.exe",
    "a\u2028b\u2029",
    "a\0b",
    "\ud800",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "../../x",
    "/etc/passwd",
    "{poster}",
    "{title.__class__}",
    "{0}%s%(x)s${x}",
    "x" * 10_000,
    "日本語 é 🎈",
    "",
]


@pytest.fixture(autouse=True)
def page_bundle(monkeypatch):
    monkeypatch.setattr(html_export, "read_bundle", lambda name, where: f"/* {name} */")


class Document(html.parser.HTMLParser):
    """Its title, messages and tags."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.title, self.messages, self._in = [], "", [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs)))
        self._in = dict(attrs).get("type", tag)

    def handle_endtag(self, tag):
        self._in = None

    def handle_data(self, data):
        if self._in == "title":
            self.title += data
        elif self._in == "application/json":
            self.messages.append(json.loads(data))


@functools.cache
def recording(name):
    """A recording in which every text is `name`."""
    cache = rv.FrameCache(metadata={"env_id": name, "action_meanings": [name, "b"]})
    with cache.segment(name or " ", **({name: name} if name else {})):
        for row in range(4):
            camera = name or "pixels"
            frames = {camera: np.full((1, 16, 16, 3), row, np.uint8)}
            data = {name: [[float(row)]]} if name and row else {}
            cache.append(frames, reward=[1.0], reset=[row == 0], data=data)
    cache.label(cache.episodes[0], **{name or "label": name})
    cache.bookmark(1, name)
    return cache


@pytest.mark.parametrize("name", NAMES)
def test_a_page_in_a_file_shows_the_text_and_runs_nothing(tmp_path, name):
    cache = recording(name)
    document = Document(_html_of(cache, tmp_path, name))

    shown = storable_text(name).replace("\0", "\ufffd")
    assert document.title == shown
    assert document.tags == _usual_tags()
    manifest = document.messages[0]["message"]
    assert manifest["title"] == shown
    assert storable_text(name or " ") in [one[0] for one in manifest["segments"]]
    assert manifest["meanings"] == [storable_text(name), "b"]
    assert manifest["slots"][0]["camera"] == storable_text(name or "pixels")
    data = [m["message"] for m in document.messages if m["message"]["kind"] == "data"]
    assert data[0]["bookmarks"] == {"1": storable_text(name)}
    assert base64.b64decode(document.messages[1]["buffers"][2])


@functools.cache
def _usual_tags():
    with tempfile.TemporaryDirectory() as folder:
        return Document(_html_of(recording("usual"), Path(folder), "usual")).tags


def _html_of(cache, folder, title):
    path = rv.view(cache, title=title).to_html(folder / "page.html")
    return path.read_bytes().decode("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_message_of_a_viewer_is_json_in_utf_8(name):
    viewer = rv.view(recording.__wrapped__(name), title=name)
    sent = []
    viewer.open()
    viewer.send = lambda content, buffers=None: sent.append(content)

    viewer._stream.receive(
        {
            "kind": "hello",
            "protocol": 1,
            "version": "0",
            "page": "p",
            "beginning": 1,
        }
    )
    for content in (
        {"kind": "inspect", "env": 0, "start": 0},
        {"kind": "column", "name": name[:900], "index": 0, "start": 0},
        {"kind": "bookmark", "row": 2, "note": name},
        {"kind": "label", "env": 0, "episode": 0, "labels": {name: name}},
        {"kind": "dump", "job": 1, "formats": [name[:20]], "start": 0, "stop": 2},
        {"kind": name[:50], "x": name},
    ):
        viewer._stream._handle_or_report(content)
    viewer._stream.step()
    viewer._show_error(ValueError(name))
    viewer.close()

    assert {"manifest", "data", "details", "column", "error"} <= {
        content["kind"] for content in sent
    }
    for content in sent:
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8")


def test_compared_recordings_have_any_names():
    viewer = rv.view({name: recording("x") for name in NAMES})

    groups = [name for name, *_ in viewer._manifest()["groups"]]

    assert groups == NAMES
    viewer.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_table_has_the_text_and_no_formula(tmp_path, name):
    [path] = recording(name).clip().write(tmp_path / "table.csv")
    logger = rv.CSVLogger("run", tmp_path)
    columns = {name: [name, "-1.5", "plain"], "number": [-1.0, 2.0, float("nan")]}
    logged = logger.log_table("t", columns)

    for file in (path, logged):
        with file.open(newline="", encoding="utf-8") as lines:
            cells = [cell for line in csv.reader(lines) for cell in line]
        assert cells
        for cell in cells:
            is_number = not cell or cell.lstrip("+-").replace(".", "").isdigit()
            assert is_number or cell[0] not in "=+-@\t\r"
    assert {"-1.5", "plain", "-1.0"} <= set(cells)
    text = storable_text(name)
    assert cells[0] in (text, f"'{text}")


@pytest.mark.parametrize("name", NAMES)
def test_videos_and_their_metadata_have_the_text(tmp_path, name):
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    prefix = name.replace("..", "").lstrip("/")
    env = rv.RecordVideo(env, str(tmp_path), lambda n: n == 0, name_prefix=prefix)
    env.reset(seed=0)
    env.step(0)
    env.close()
    [video] = tmp_path.rglob("*.mp4")
    [about] = tmp_path.rglob("*.json")

    assert json.loads(about.read_text("utf-8"))["name"] == f"{prefix}-episode-0"
    with av.open(str(video)) as container:
        comment = json.loads(container.metadata["comment"])
    assert comment["take"] == f"{prefix}-episode-0"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_recording_says_of_itself_is_in_the_metadata_of_a_clip(tmp_path, name):
    cache = recording(name)

    [path] = cache.clip().write(tmp_path / "clip.mp4", labels=lambda moment: name)
    cache.clip().write(tmp_path / "strip.png", labels=lambda moment: name)

    with av.open(str(path)) as container:
        comment = json.loads(container.metadata["comment"])
    assert comment["env_id"] == storable_text(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_has_the_text(name):
    cache = recording(name)
    fields = FieldCatalog().describe(cache)

    manifest = build_manifest(cache, title=name, fields=fields)

    assert manifest["title"] == name
    if name:
        assert storable_text(name) in [field["name"] for field in fields["data"]]


@pytest.mark.parametrize("name", NAMES)
def test_a_logger_writes_the_text(tmp_path, name):
    logger = rv.CSVLogger("run", tmp_path)

    logger.log_text("note", name)
    logger.log_hparams({name: name})
    logger.close()

    [text] = (tmp_path / "run" / "texts").glob("note*")
    assert text.read_text("utf-8") == storable_text(name)
