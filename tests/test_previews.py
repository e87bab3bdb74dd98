"""What is shown where a link is too thin for exact pictures: in virtual time."""

import sys
import types

import av
import numpy as np
import pytest
import traitlets

import rollout_viewer as rv
from rollout_viewer._errors import ProtocolError
from rollout_viewer._frames.chunk import CHUNK_ROWS, parse, part_of
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._page.build_messages import decode_chunks
from rollout_viewer._page.check_messages import check
from rollout_viewer._video import preview
from rollout_viewer._video.preview import (
    CODECS,
    Mosaic,
    PreviewEncoder,
    reduction_within,
)
from rollout_viewer._viewer import preview_videos, stream
from rollout_viewer._viewer.preview_videos import PreviewVideos, VideoKey
from rollout_viewer._viewer.throughput import Throughput
from tests.links import Link, chunks_at_a_page, work_at_once

NUM_ROWS, NUM_ENVS, SIDE = 640, 4, 32
ALL_CODECS = [codec.name for codec in CODECS]
SLOTS = [*range(NUM_ENVS)]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(stream, "MIN_INTERVAL_S", 0.0)


def films():
    """Return frames that change smoothly, under noise that keeps them large."""
    rng = np.random.default_rng(0)
    rows = np.arange(NUM_ROWS)[:, None, None, None, None]
    envs = np.arange(NUM_ENVS)[None, :, None, None, None]
    base = (40 + (rows + 40 * envs) % 170).astype(np.int16)
    noise = rng.integers(-8, 9, (NUM_ROWS, NUM_ENVS, SIDE, SIDE, 3))
    return (base + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def frames():
    return films()


def recorded(rows):
    cache = rv.FrameCache(fps=60)
    for row in rows:
        cache.append(row, reward=np.ones(NUM_ENVS))
    return cache


@pytest.fixture(scope="module")
def cache(frames):
    """Return a recording of 8 kB a row: 500 kB/s at 60 rows a second."""
    return recorded(frames)


def watch(blocks=(), rows=(), *, rate=60.0, is_resting=False, codecs=ALL_CODECS):
    return {
        "kind": "watch",
        "codecs": list(codecs),
        "rate": rate,
        "is_resting": is_resting,
        "num_slots": NUM_ENVS,
        "reduction": 1,
        "rows": [list(one) for one in rows],
        "blocks": [[block, number, have, *SLOTS] for block, number, have in blocks],
    }


def previews_of(link):
    return [one for m in link.messages for one in m.content.get("previews", ())]


def decoded(link):
    """Return the pictures of each (block, index) that came, (H, W, 3)."""
    found, codecs = {}, {}
    for message in link.messages:
        at = 0
        for one in message.content.get("previews", ()):
            if one["number"] not in codecs:
                name = {"avc1.640033": "h264", "vp8": "vp8", "image/jpeg": "mjpeg"}.get(
                    one["codec"], "vp9"
                )
                codecs[one["number"]] = decoder_of(name)
            for index, size in enumerate(one["sizes"], one["first"]):
                packet = av.Packet(message.buffers[5][at : at + size])
                at += size
                (picture,) = codecs[one["number"]].decode(packet)
                pixels = picture.to_ndarray(format="rgb24")
                found[one["block"], index] = one, pixels
    return found


def decoder_of(name):
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    return decoder


def kinds(link):
    return [message.content["kind"] for message in link.messages]


def thin(cache, **options):
    link = Link(cache, 100e3, 0.05, **options)
    link.run(8)  # as much as the first window, and then what it carries
    return link


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.encoder)
def test_tiles_of_each_codec_look_like_the_frames(codec, frames):
    mosaic = Mosaic(3, SIDE, SIDE, 1, codec.pixel_format)
    encoder = PreviewEncoder(codec, mosaic.size, 20, 500_000)
    name = {"libx264": "h264", "mjpeg": "mjpeg", "libvpx": "vp8"}
    decoder = decoder_of(name.get(codec.encoder, "vp9"))

    for row in range(12):
        for env in range(3):
            mosaic.put(env, frames[row, env])
        packet = encoder.encode(mosaic.picture())
        (picture,) = decoder.decode(av.Packet(packet))  # none is kept back

    shown = picture.to_ndarray(format="rgb24").astype(int)
    for env in range(3):
        x, y = env % mosaic.columns * SIDE, env // mosaic.columns * SIDE
        tile = shown[y : y + SIDE, x : x + SIDE]
        assert np.abs(tile.mean() - frames[11, env].mean()) < 3


def test_a_page_on_a_thin_link_gets_the_part_and_then_videos_of_what_it_watches(
    cache, frames
):
    link = thin(cache)
    assert kinds(link).count("part") == 1
    assert not previews_of(link)

    link.say(watch([(12, 0, 0), (13, 0, 0)]))
    link.run(2)

    found = decoded(link)
    assert sorted(found) == [(b, i) for b in (12, 13) for i in range(CHUNK_ROWS)]
    for (block, index), (one, pixels) in found.items():
        assert one["slots"] == SLOTS
        for env in range(NUM_ENVS):
            x, y = env % one["columns"] * SIDE, env // one["columns"] * SIDE
            tile = pixels[y : y + SIDE, x : x + SIDE].astype(int)
            expected = frames[block * CHUNK_ROWS + index, env].mean()
            assert np.abs(tile.mean() - expected) < 6


def test_while_a_page_plays_previews_no_exact_pictures_are_sent_beside_them(cache):
    link = thin(cache)
    link.run(2)
    link.say(watch([(12, 0, 0)]))
    link.run(1.5)  # what was on its way has come
    before = dict(link.have)

    for _ in range(5):
        link.say(watch([(14, 0, 0)]))
        link.ask(14)
        link.run(1)

    assert link.have == before
    link.say(watch(is_resting=True))
    link.run(3)
    assert sum(link.have.values()) > sum(before.values())


def test_where_the_playhead_rests_its_exact_pictures_come_first_and_then_all(
    cache, frames
):
    link = thin(cache)
    link.say(watch([(15, 0, 0)]))
    link.run(2)
    asked, count = link.now, len(link.messages)

    link.say(watch(rows=[(15, slot, 7) for slot in SLOTS], is_resting=True))
    link.run(0.7)

    shown = {}
    for message in link.messages[count:]:
        pending = message.content.get("pending", [])
        for block, slot, chunk in decode_chunks(message.buffers[4]):
            if block == 15:
                assert [block, slot] in pending
                reader = ChunkDecoder(parse(chunk))
                assert [reader.is_shown(i) for i in range(8)] == [False] * 7 + [True]
                shown[slot] = np.empty((SIDE, SIDE, 3), np.uint8)
                reader.read(7, shown[slot])
    assert sorted(shown) == SLOTS
    for slot, frame in shown.items():
        np.testing.assert_array_equal(frame, frames[15 * CHUNK_ROWS + 7, slot])
    # And then the whole chunks, from their first record on.
    link.have = {key: n for key, n in link.have.items() if key[0] != 15}
    link.say({"kind": "need", "chunks": [[15, slot, 0] for slot in SLOTS]})
    link.run(6)
    assert all((15, slot) in link.chunks for slot in SLOTS)
    assert asked < link.now


def assert_exact(link, frames):
    """Check each picture that the page has against the recording."""
    held, pending = chunks_at_a_page(link.messages)
    shown = np.empty((SIDE, SIDE, 3), np.uint8)
    for (block, slot), chunk in [*held.items(), *pending.items()]:
        reader = ChunkDecoder(chunk)
        for index in range(len(chunk.kinds)):
            if not reader.is_shown(index):
                assert chunk is pending.get((block, slot))
                continue
            reader.read(index, shown)
            expected = frames[block * CHUNK_ROWS + index, slot]
            np.testing.assert_array_equal(shown, expected)
    return held, pending


def with_a_chunk_in_part(cache):
    """Return a page that played on before all of a block had come, and the block."""
    link = thin(cache)
    for block in range(8, 15):
        link.say(watch(is_resting=True))
        link.ask(block)
        link.run(0.7 + 0.06 * block)
        for _ in range(3):
            link.say(watch([(15, 0, 0)]))
            link.run(0.6)
        counts = [link.have.get((block, slot), 0) for slot in SLOTS]
        if any(0 < count < CHUNK_ROWS for count in counts):
            return link, block
    raise AssertionError(link.have)


@pytest.mark.parametrize("is_asked_before", [True, False])
def test_records_of_a_chunk_never_follow_the_one_picture_of_it(
    cache, frames, is_asked_before
):
    link, block = with_a_chunk_in_part(cache)
    keys = [(block, slot) for slot in SLOTS]
    had = [[*key, link.have.get(key, 0)] for key in keys]

    if is_asked_before:
        link.say({"kind": "need", "chunks": had})
    rows = [(*key, 30) for key in keys if link.have.get(key, 0) < CHUNK_ROWS]
    link.say(watch(rows=rows, is_resting=True))
    if not is_asked_before:
        link.run(0.2)
        link.say({"kind": "need", "chunks": had})
    link.run(6)

    held, pending = assert_exact(link, frames)
    assert all(len(held[key].kinds) == CHUNK_ROWS for key in keys)
    assert not pending.keys() & set(keys)


def test_a_page_that_rests_is_sent_what_it_asks_for_in_pieces(cache, frames):
    link, block = with_a_chunk_in_part(cache)
    asked = [[block, slot, link.have.get((block, slot), 0)] for slot in SLOTS]
    link.say(watch(rows=[(block, slot, 30) for slot in SLOTS], is_resting=True))
    link.run(0.5)
    count = len(link.messages)
    assert chunks_at_a_page(link.messages)[1]

    link.say({"kind": "need", "chunks": asked})
    link.run(4)

    pieces = [
        (slot, len(chunk), parse(bytes(chunk)).first)
        for message in link.messages[count:]
        if message.content["kind"] == "data"
        for number, slot, chunk in decode_chunks(message.buffers[4])
        if number == block and [number, slot] not in message.content.get("pending", ())
    ]
    # What it has of them is not sent again, and none is in one.
    assert all(first >= asked[slot][2] for slot, _, first in pieces)
    assert max(size for _, size, _ in pieces) < 50_000


@pytest.mark.parametrize(("bytes_per_s", "quality"), [(100e3, "exact"), (50e6, "auto")])
def test_pictures_are_exact_only(cache, bytes_per_s, quality):
    link = Link(cache, bytes_per_s, 0.02, quality=quality)
    link.run(6)
    link.say(watch([(12, 0, 0)]))
    link.run(3)

    assert not previews_of(link)
    assert "part" not in kinds(link)
    assert not link.stream._previews.is_thin


def test_previews_that_were_chosen_come_over_any_link(cache):
    link = Link(cache, 50e6, 0.02, quality="preview")
    link.run(1)
    link.say(watch([(12, 0, 0)]))
    link.run(1)

    assert len(decoded(link)) == CHUNK_ROWS
    link.stream.set_quality("exact")
    link.say(watch([(13, 0, 0)]))
    link.run(1)
    assert len(decoded(link)) == CHUNK_ROWS


def test_a_page_without_webcodecs_gets_jpegs(cache):
    link = Link(cache, 50e6, 0.02, quality="preview")
    link.run(1)
    link.say(watch([(3, 0, 0)], codecs=()))
    link.run(1)

    assert {one["codec"] for one in previews_of(link)} == {"image/jpeg"}
    assert len(decoded(link)) == CHUNK_ROWS


def test_what_of_a_video_was_lost_is_sent_again(cache):
    link = Link(cache, 50e6, 0.02, quality="preview")
    link.run(1)
    link.is_dropping = True
    link.say(watch([(12, 0, 0)]))
    link.run(1)
    link.is_dropping = False
    assert not previews_of(link)

    for _ in range(8):
        link.say(watch([(12, 0, 0)]))
        link.run(1)

    assert len(decoded(link)) == CHUNK_ROWS


def play(link, block, seconds):
    """Wait for a block as a page that plays does, and asks for what it has not."""
    for _ in range(seconds):
        known = [one for one in previews_of(link) if one["block"] == block]
        number = known[-1]["number"] if known else 0
        have = sum(len(one["sizes"]) for one in known if one["number"] == number)
        if have < CHUNK_ROWS:
            link.say(watch([(block, number, have)]))
            link.ask(block)
        link.run(1)


def fail(monkeypatch, *encoders):
    """Make encoders fail as one does that libav lacks."""
    create = av.CodecContext.create

    def create_some(name, mode):
        if name in encoders:
            raise ValueError(f"{name} not found")
        return create(name, mode)

    context = types.SimpleNamespace(create=create_some)
    libav = types.SimpleNamespace(VideoFrame=av.VideoFrame, CodecContext=context)
    monkeypatch.setattr(preview, "av", libav)


def test_a_block_that_is_being_recorded_is_played_with_exact_pictures(frames):
    cache = recorded(frames[:42])
    link = Link(cache, 100e3, 0.05, quality="preview")
    link.run(0.1)

    play(link, 1, 3)
    assert [link.have.get((1, slot)) for slot in SLOTS] == [10] * NUM_ENVS
    for row in frames[42:50]:
        cache.append(row, reward=np.ones(NUM_ENVS))
    play(link, 1, 3)

    assert [link.have.get((1, slot)) for slot in SLOTS] == [18] * NUM_ENVS
    assert_exact(link, frames)
    cache.close()


def test_the_next_encoder_is_used_where_one_fails(cache, monkeypatch):
    fail(monkeypatch, "libx264", "libvpx-vp9")
    link = Link(cache, 50e6, 0.02, quality="preview")
    link.run(1)

    play(link, 12, 3)

    assert {one["codec"] for one in previews_of(link)} == {"vp8"}
    assert len(decoded(link)) == CHUNK_ROWS


def test_exact_pictures_are_played_where_all_encoders_fail(cache, monkeypatch):
    fail(monkeypatch, *(codec.encoder for codec in CODECS))
    link = thin(cache)

    play(link, 12, 6)

    assert not previews_of(link)
    assert all((12, slot) in link.chunks for slot in SLOTS)


def test_exact_pictures_are_played_where_there_is_no_pyav(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "rollout_viewer._video.preview", None)
    link = thin(cache)

    play(link, 12, 6)

    assert all((12, slot) in link.chunks for slot in SLOTS)


def test_exact_pictures_are_played_where_no_video_comes(cache):
    link = thin(cache)
    link.stream._previews._videos.wake = lambda: None

    play(link, 12, 12)

    assert not previews_of(link)
    assert all((12, slot) in link.chunks for slot in SLOTS)


def test_exact_pictures_are_played_where_one_of_a_video_does_not_decode(cache):
    link = thin(cache)
    play(link, 12, 3)
    (before,) = {one["number"] for one in previews_of(link)}
    num_sent = len(previews_of(link))

    for _ in range(6):
        link.say(watch([(12, before, CHUNK_ROWS)]))
        link.ask(12)
        link.run(1)

    assert len(previews_of(link)) == num_sent
    assert all((12, slot) in link.chunks for slot in SLOTS)


def test_a_chunk_that_lacks_its_last_records_is_passed_over(cache, monkeypatch):
    whole = cache.recording.chunk

    def chunk(block, slot, first=0):
        data = whole(block, slot, first)
        return part_of(parse(data), 0, 20) if (block, slot) == (12, 1) else data

    link = Link(cache, 50e6, 0.02, quality="preview")
    link.run(2)
    monkeypatch.setattr(cache.recording, "chunk", chunk)

    play(link, 12, 3)

    shown = previews_of(link)[-1]["shown"]
    assert [bits != 0 for bits in shown] == [True, False, True, True]
    assert len(decoded(link)) == CHUNK_ROWS


def test_a_page_that_names_a_tile_often_is_sent_it_once(cache):
    link = Link(cache, 50e6, 0.02, quality="preview")
    link.run(1)
    message = watch(rows=[(12, 0, 3)] * 100, is_resting=True)
    link.say({**message, "is_resting": False, "blocks": [[12, 0, 0, *SLOTS * 250]]})
    link.run(1)

    assert {tuple(one["slots"]) for one in previews_of(link)} == {tuple(SLOTS)}
    link.say(message)
    link.run(1)
    assert link.stream._previews._watched.rows == ((12, 0, 3),)


def test_a_video_is_reduced_to_what_a_decoder_takes(tmp_path):
    frame = np.zeros((2000, 2000, 3), np.uint8)
    with rv.FrameCache(tmp_path / "large.rollout") as cache:
        cache.append(np.stack([frame] * 9))
    videos = PreviewVideos(cache, lambda: None)
    work_at_once(videos)

    key = VideoKey(0, tuple(range(9)), 1, ("image/jpeg",), 20.0, 100_000)
    videos.want([key])

    video = videos.get(key)
    assert video.codec == "image/jpeg"
    lines = -(-9 // video.columns)
    assert video.tile[0] * video.columns * video.tile[1] * lines <= 4096 * 2176
    assert reduction_within(9, 2000, 2000, 1) == 3


def test_previews_of_a_recording_that_was_cleared_are_not_shown_of_the_next(frames):
    cache = recorded(frames[:64])
    link = Link(cache, 50e6, 0.02, quality="preview")
    link.run(1)
    play(link, 0, 2)
    assert len(decoded(link)) == CHUNK_ROWS

    cache.clear()
    for row in frames[96:160]:
        cache.append(row, reward=np.ones(NUM_ENVS))
    link.run(1)
    link.messages.clear()
    play(link, 0, 3)

    one, pixels = decoded(link)[0, 0]
    x, y = 3 % one["columns"] * SIDE, 3 // one["columns"] * SIDE
    shown = pixels[y : y + SIDE, x : x + SIDE].astype(int)
    assert abs(shown.mean() - frames[96, 3].mean()) < 6
    cache.close()


def key_of(block):
    return VideoKey(block, (0, 1), 1, ("vp8",), 20.0, 100_000)


def test_what_is_passed_is_given_up_in_the_middle(cache):
    calls = []

    def on_news():
        calls.append(1)
        if len(calls) == 5:
            videos.want([])

    videos = PreviewVideos(cache, on_news)
    videos._wanted = (key_of(3),)
    videos.work()

    assert len(calls) == 5
    assert videos.get(key_of(3)) is None
    assert videos.work() is None


def test_videos_are_kept_within_a_budget_and_made_once(cache, monkeypatch):
    videos = PreviewVideos(cache, lambda: None)
    work_at_once(videos)
    videos.want([key_of(0), key_of(1)])
    videos.want([key_of(1), key_of(0)])
    assert videos.num_encoded == 2

    monkeypatch.setattr(preview_videos, "BUDGET_BYTES", 0)
    videos.want([key_of(2)])
    videos.want([])

    assert videos.nbytes == 0


def test_a_block_that_cannot_be_encoded_ends_nothing(cache):
    videos = PreviewVideos(cache, lambda: None)
    work_at_once(videos)

    videos.want([key_of(0)._replace(codecs=("none",)), key_of(1)])

    assert len(videos.get(key_of(1)).packets) == CHUNK_ROWS


def test_little_to_send_says_nothing_of_a_link():
    throughput = Throughput()
    for seq in range(4):  # as much as it takes
        throughput.note_sent(2 * seq, 2_000_000, seq, ())
        throughput.note_sent(2 * seq + 1, 2_000_000, seq, ())
        throughput.note_acknowledged(2 * seq + 1, seq + 0.9)
    carried = throughput.link_bytes_per_s

    for seq in range(10, 60):  # one small message at a time
        throughput.note_idle()
        throughput.note_sent(seq, 1000, seq, ())
        throughput.note_acknowledged(seq, seq + 0.5)

    assert throughput.link_bytes_per_s == carried > 1e6


@pytest.mark.parametrize(
    "change",
    [
        {"rate": float("nan")},
        {"rate": -1},
        {"reduction": 0},
        {"codecs": ["x" * 1000]},
        {"blocks": [[0, 0, 0]]},
        {"blocks": [[0, 0, 0, -1]]},
        {"rows": [[0, 0, 33]]},
        {"is_resting": 1},
    ],
)
def test_a_watch_that_is_none_is_refused(change):
    with pytest.raises(ProtocolError, match="expected watch"):
        check({**watch(), **change})


def test_slots_and_blocks_that_are_not_there_are_passed_over(cache):
    link = Link(cache, 50e6, 0.02, quality="preview")
    link.run(1)
    message = watch([(10**9, 0, 0)], [(10**9, 0, 0), (0, 999, 0)], is_resting=True)
    message["blocks"].append([0, 0, 0, 999])
    link.say(message)
    link.say({**message, "is_resting": False})
    link.run(1)

    assert not previews_of(link)


def test_quality_is_a_trait_of_the_viewer(cache):
    viewer = rv.view(cache, quality="exact")
    assert viewer._stream._previews.quality == "exact"
    viewer.quality = "preview"
    assert viewer._stream._previews.quality == "preview"
    with pytest.raises(traitlets.TraitError, match="quality"):
        viewer.quality = "best"
    with pytest.raises(traitlets.TraitError, match="quality"):
        rv.view(cache, quality="lossy")
