"""Messages as both languages know them: golden files, and what exports carry.

Run `python tests/test_protocol.py` to write the golden files anew after the
protocol's number has changed; the tests of js/ read the same files.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.chunk import parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._page.build_messages import (
    build_manifest,
    data_message,
    decode_chunks,
    piece_message,
)
from rollout_viewer._page.details import column_message, details_message
from rollout_viewer._page.offline import recording_messages
from rollout_viewer._page.protocol import Message

GOLDEN = Path(__file__).parent / "golden"


def recording():
    """Two envs, three rows, one end, one missing picture; always the same bytes."""
    cache = rv.FrameCache(fps=20)
    frames = np.zeros((3, 2, 4, 6, 3), np.uint8)
    frames[:, 0, 1, 2] = [[10, 20, 30]] * 3
    frames[1, 0, 3, 5] = 255
    frames[2, 1] = np.arange(72).reshape(4, 6, 3)
    cache.append(frames[0], reset=[True, True])
    cache.append(frames[1], reward=[1.0, -0.5], terminated=[False, True])
    cache.append(
        frames[2], kind=["step", "reset"], reward=[0.25, 0], truncated=[True, False]
    )
    cache.append(
        frames[2], kind=["terminal_missing", "step"], reward=[2, 3], terminated=[1, 0]
    )
    return cache


def numbers():
    """Two envs, four rows, an action at each and a data array; no pictures."""
    cache = rv.FrameCache()
    for row in range(4):
        cache.append(
            None,
            reset=[row == 0] * 2,
            reward=None if row == 0 else [1.0, 2.0],
            action=None if row == 0 else np.array([row, -row]),
            data={"obs": np.array([[row, 0.5], [row, 0.25]], np.float32)},
        )
    return cache


def messages():
    cache = recording()
    manifest = build_manifest(cache, title="golden", dump_folder="/runs", columns=None)
    pieces = [
        (
            0,
            slot,
            piece_message(cache.recording, 0, slot, 0, cache.num_rows, pytest.fail),
        )
        for slot in range(2)
    ]
    data = data_message(0, cache, 0, 4, pieces, num_rows=4)
    return {
        "manifest": Message({**manifest, "session": "0" * 32, "version": "0.1.0"}, []),
        "data": data,
        "details": details_message(numbers(), 1, 0),
        "column": column_message(numbers(), "action", 0, 0),
    }


def as_json(message):
    buffers = [base64.b64encode(b).decode() for b in message.buffers]
    return {"message": message.content, "buffers": buffers}


@pytest.mark.parametrize("name", ["manifest", "data", "details", "column"])
def test_messages_are_those_of_the_golden_files(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))

    assert as_json(messages()[name]) == golden


def frames_of(data, num_rows, num_slots, height=8, width=6):
    """Decode the pictures of exported messages: (rows, slots, H, W, 3)."""
    frames = np.zeros((num_rows, num_slots, height, width, 3), np.uint8)
    for message in data:
        for block, slot, chunk in decode_chunks(message.buffers[4]):
            reader = ChunkDecoder(parse(chunk))
            for index in range(len(parse(chunk).kinds)):
                reader.read(index, frames[block * 32 + index, slot])
    return frames


def film(num_rows, num_envs):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (num_rows, num_envs, 8, 6, 3), np.uint8)


def exported(**options):
    cache, frames = rv.FrameCache(), film(80, 3)
    for images in frames:
        cache.append(images, reward=np.ones(3))
    manifest, *data = recording_messages(cache, **options)
    return manifest.content, data, frames


def test_an_export_carries_everything():
    manifest, data, frames = exported()

    assert (manifest["num_rows"], manifest["first_row"]) == (80, 0)
    assert (frames_of(data, 80, 3) == frames).all()
    assert data[0].content["count"] == 80


def test_an_exported_range_keeps_its_row_numbers():
    manifest, data, frames = exported(start=40, stop=70)

    assert (manifest["num_rows"], manifest["first_row"]) == (70, 40)
    assert (frames_of(data, 80, 3)[40:70] == frames[40:70]).all()
    assert not frames_of(data, 80, 3)[70:].any()
    assert not frames_of(data, 80, 3)[:32].any()


def test_an_export_of_some_envs_keeps_their_numbers():
    manifest, data, frames = exported(envs=[2])

    assert [slot["env"] for slot in manifest["slots"]] == [2]
    assert manifest["num_envs"] == 3
    assert (frames_of(data, 80, 1) == frames[:, 2:]).all()


def test_every_nth_picture_stands_for_those_after_it():
    _, data, frames = exported(every=4)

    shown = frames_of(data, 80, 3)
    for row in range(80):
        assert (shown[row] == frames[row - row % 4]).all()


@pytest.mark.parametrize("every", [1, 3])
def test_an_export_marks_each_picture_that_is_an_earlier_rows(every):
    cache, frames = rv.FrameCache(), film(80, 1)
    is_mine = []
    for row in range(80):
        is_delivered = row % 5 != 4 and row != 32
        # Some pictures stay the same; one that stays is each of its rows'.
        frame = frames[row - row % 2] if row < 64 else frames[64]
        cache.append(frame if is_delivered else None, reward=np.ones(1))
        is_mine.append(frame if is_delivered else None)
    _, *data = recording_messages(cache, every=every)

    shown, marks = frames_of(data, 80, 1), {}
    for message in data:
        for block, _, chunk in decode_chunks(message.buffers[4]):
            parsed = parse(chunk)
            for index in range(len(parsed.kinds)):
                marks[block * 32 + index] = parsed.is_repeated(index)
    for row, frame in enumerate(is_mine):
        if frame is None:
            assert marks[row]
        elif not marks[row]:
            assert (shown[row] == frame).all()
        else:
            assert (shown[row] != frame).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 80}, "rows within"),
        ({"start": 9, "stop": 9}, "rows within"),
        ({"envs": [1, 7]}, r"envs in \[0, 1, 2\], got \[7\]"),
    ],
)
def test_an_export_of_nothing_is_refused(options, message):
    with pytest.raises(rv.RowError, match=message):
        exported(**options)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, message in messages().items():
        text = json.dumps(as_json(message), indent=1) + "\n"
        (GOLDEN / f"{name}.json").write_text(text, "utf-8")
