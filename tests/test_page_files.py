"""How large a page in a file is, what it leaves out for that, and what it may do."""

import base64
import html.parser
import json
import re
import zlib

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.chunk import parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._page.build_messages import decode_chunks
from rollout_viewer.testing import counting_recording


class Page(html.parser.HTMLParser):
    """The messages of a page, its policy, and the elements that this is about."""

    def __init__(self, path):
        super().__init__()
        self.messages, self.policy, self.inline, self._in = [], "", [], ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self._in = known.get("type", tag) if tag in ("script", "style") else ""
        if known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known["content"]

    def handle_endtag(self, tag):
        self._in = ""

    def handle_data(self, data):
        if self._in in ("module", "style"):
            self.inline.append(data)
        if self._in == "application/json":
            stored = json.loads(data)
            buffers = [base64.b64decode(one) for one in stored["buffers"]]
            if stored.get("deflated"):
                buffers = [zlib.decompress(one) for one in buffers]
            self.messages.append((stored["message"], buffers))

    def chunks(self):
        """Return (block, slot) -> chunk of all data messages."""
        buffers = [b for message, b in self.messages if message["kind"] == "data"]
        chunks = [chunk for buffer in buffers for chunk in decode_chunks(buffer[4])]
        return {(block, slot): chunk for block, slot, chunk in chunks}


def noisy(num_rows=64, num_envs=2, side=64):
    rng = np.random.default_rng(0)
    cache = rv.FrameCache()
    for row in range(num_rows):
        frames = rng.integers(0, 256, (num_envs, side, side, 3), np.uint8)
        cache.append(frames, reward=np.ones(num_envs), reset=np.full(num_envs, not row))
    return cache


def test_a_page_may_run_its_own_script_and_nothing_else(tmp_path):
    page = Page(rv.view(counting_recording(3, 1)).to_html(tmp_path / "page.html"))

    rules = dict(rule.split(" ", 1) for rule in page.policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe-inline" not in page.policy
    assert not re.search(r"https?:|\*", page.policy)
    assert len(page.inline) == 3
    hashes = re.findall("'sha256-", rules["script-src"] + rules["style-src"])
    assert len(hashes) == 3


def test_a_page_of_equal_pictures_is_deflated_and_holds_the_same_bytes(tmp_path):
    cache = counting_recording(40, 4)

    page = Page(rv.view(cache).to_html(tmp_path / "page.html"))

    frame = np.empty((*cache.frame_size(0), 3), np.uint8)
    for row in (0, 31, 32, 39):
        for env in range(4):
            chunk = page.chunks()[row // 32, env]
            ChunkDecoder(parse(chunk)).read(row % 32, frame)
            np.testing.assert_array_equal(frame, cache[row, env])


def test_the_first_block_is_a_message_of_its_own(tmp_path):
    page = Page(rv.view(counting_recording(100, 2)).to_html(tmp_path / "page.html"))

    data = [buffers[4] for m, buffers in page.messages if m["kind"] == "data"]
    assert [len(one) > 0 for one in data] == [False, True, True]
    assert data[1].startswith(bytes(4))
    assert len(data[1]) < len(data[2])


def test_reduced_pictures_are_means_of_boxes(tmp_path):
    cache = noisy(2, 1)

    page = Page(rv.view(cache).to_html(tmp_path / "page.html", reduce=4))

    manifest = page.messages[0][0]
    assert manifest["reduced"] == 4
    assert (manifest["slots"][0]["height"], manifest["slots"][0]["width"]) == (16, 16)
    frame = np.empty((16, 16, 3), np.uint8)
    ChunkDecoder(parse(page.chunks()[0, 0])).read(1, frame)
    boxes = cache[1, 0].reshape(16, 4, 16, 4, 3).mean((1, 3))
    np.testing.assert_allclose(frame, boxes, atol=0.51)


def test_a_page_that_is_too_large_names_what_would_fit(tmp_path):
    viewer = rv.view(noisy())

    with pytest.raises(rv.ExportTooLargeError) as error:
        viewer.to_html(tmp_path / "page.html", max_mb=1)

    # 64 rows of 2 x 64 x 64 x 3 bytes of noise, in base64, and the page itself.
    text = str(error.value)
    sizes = dict(re.findall(r"((?:every|reduce) \d): about ([\d.]+) MB", text))
    assert list(sizes) == ["every 2", "every 4", "reduce 2", "reduce 4"]
    assert re.search(r"got 2\.[4-6] MB", text)
    for name, said in sizes.items():
        option, _, value = name.partition(" ")
        path = viewer.to_html(tmp_path / f"{name}.html", **{option: int(value)})
        assert path.stat().st_size / 1e6 == pytest.approx(float(said), abs=0.15)


def test_a_preview_is_as_large_as_allowed_and_no_larger(tmp_path):
    viewer = rv.view(noisy())

    small = viewer.to_html(tmp_path / "small.html", max_mb=0.5, quality="preview")
    exact = viewer.to_html(tmp_path / "exact.html", max_mb=5, quality="preview")

    assert small.stat().st_size < 500_000
    assert Page(small).messages[0][0]["reduced"] == 4
    assert "reduced" not in Page(exact).messages[0][0]


def test_a_preview_that_fits_nowhere_is_refused(tmp_path):
    viewer = rv.view(noisy())

    with pytest.raises(
        rv.ExportTooLargeError, match=r"MB without pictures, 2\.[4-6] MB"
    ):
        viewer.to_html(tmp_path / "page.html", max_mb=0.2, quality="preview")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"quality": "best"}, "'exact' or 'preview', got 'best'"),
        ({"quality": "preview", "every": 2}, "Leave them out"),
        ({"reduce": 0}, "expected reduce >= 1, got 0"),
        ({"every": 0}, "expected every >= 1, got 0"),
    ],
)
def test_wrong_details_are_refused(options, expected, tmp_path):
    viewer = rv.view(counting_recording(3, 1))

    with pytest.raises(ValueError, match=re.escape(expected)):
        viewer.to_html(tmp_path / "page.html", **options)


def test_progress_counts_rows_up_to_the_end(tmp_path):
    calls: list[tuple[int, int]] = []
    viewer = rv.view(counting_recording(70, 2))

    viewer.to_html(tmp_path / "a.html", progress=lambda *call: calls.append(call))
    viewer.to_html(tmp_path / "b.html", progress=True)

    assert calls[0] == (0, 70)
    assert calls[-1] == (70, 70)
    assert calls == sorted(calls)
    assert len(calls) > 2
