"""Chunks give back every bit, in at most eight decodes, and notice damage."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_viewer import FrameError, RecordingError
from rollout_viewer._frames.chunk import (
    ABSENT,
    CHUNK_ROWS,
    EQUAL,
    INTRA,
    RAW,
    absent,
    join,
    parse,
)
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._frames.encoder import MAX_DECODES, ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._frames.zstd_blocks import zstd_header


def encoder(height=6, width=5):
    return ChunkEncoder(height, width, Scratch(height, width))


def decode(chunk):
    parsed = parse(chunk)
    reader = ChunkDecoder(parsed)
    frames = np.empty((len(parsed.kinds), parsed.height, parsed.width, 3), np.uint8)
    shown = [reader.read(i, frame) for i, frame in enumerate(frames)]
    return frames, shown


@st.composite
def films(draw):
    """Frames as RL gives them: repeats, one changed pixel, noise, constants."""
    height, width = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    frame = np.zeros((height, width, 3), np.uint8)
    film: list[np.ndarray | None] = []
    for change in draw(
        st.lists(st.sampled_from("=.~#_"), min_size=1, max_size=CHUNK_ROWS)
    ):
        frame = frame.copy()
        if change == ".":
            frame[rng.integers(height), rng.integers(width)] = rng.integers(256, size=3)
        elif change == "~":
            frame[...] = rng.integers(0, 256, frame.shape)
        elif change == "#":
            frame[...] = rng.integers(256)
        film.append(None if change == "_" else frame)
    return film


@settings(deadline=None)
@given(films())
def test_every_frame_comes_back_bit_for_bit_in_any_order(film):
    size = next((f.shape[:2] for f in film if f is not None), (3, 3))
    coder = encoder(*size)
    for frame in film:
        coder.skip() if frame is None else coder.add(frame)
    parsed = parse(coder.seal())

    for index in reversed(range(len(film))):
        out = np.empty((*size, 3), np.uint8)
        reader = ChunkDecoder(parsed)
        expected = film[index]
        assert reader.read(index, out) == (expected is not None)
        assert (out == (0 if expected is None else expected)).all()
        assert reader.num_decodes <= MAX_DECODES


def test_frames_in_order_cost_one_decode_each():
    coder = encoder(40, 40)
    frames = np.zeros((CHUNK_ROWS, 40, 40, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[i, i] = 255
        coder.add(frame)
    reader = ChunkDecoder(parse(coder.seal()))
    out = np.empty((40, 40, 3), np.uint8)

    for i in range(CHUNK_ROWS):
        reader.read(i, out)
        assert (out == frames[i]).all()

    # The first frame is decoded once more, for those that are relative to it.
    assert reader.num_decodes <= CHUNK_ROWS + 1


def test_an_equal_frame_costs_no_bytes():
    coder = encoder()
    frame = np.arange(90, dtype=np.uint8).reshape(6, 5, 3)

    coder.add(frame)
    coder.add(frame.copy())
    coder.repeat()

    assert parse(coder.piece()).kinds[1:] == [EQUAL, EQUAL]
    assert len(parse(coder.piece()).records[1]) == 0


def test_noise_is_stored_raw_and_grows_by_no_more_than_the_table():
    rng = np.random.default_rng(0)
    coder = encoder(64, 64)
    for _ in range(CHUNK_ROWS):
        coder.add(rng.integers(0, 256, (64, 64, 3), np.uint8))

    chunk = coder.seal()

    assert set(parse(chunk).kinds) == {RAW}
    assert len(chunk) < 1.002 * CHUNK_ROWS * 64 * 64 * 3


def test_a_chunk_repeats_the_last_frame_of_the_one_before_by_itself():
    coder = encoder()
    frame = np.full((6, 5, 3), 7, np.uint8)
    coder.add(frame)
    coder.seal()

    coder.repeat()
    frames, shown = decode(coder.seal())

    assert shown == [True]
    assert (frames[0] == frame).all()


def test_a_repeated_frame_is_marked_wherever_it_is():
    coder = encoder()
    frame = np.full((6, 5, 3), 7, np.uint8)
    coder.add(frame)
    coder.seal()
    coder.skip()
    for is_due in (True, True, False, True):
        coder.repeat(is_due=is_due)
    coder.add(frame)
    pieces = [join([coder.piece()], stop=2), coder.piece(2)]

    whole = coder.seal()

    assert join(pieces) == whole
    assert join([whole], first=2) == pieces[1]
    assert [len(r) for r in parse(whole).records[2:]] == [1, 0, 1, 0]
    assert decode(whole)[1] == [False, True, True, True, True, True]
    assert (decode(whole)[0][1:] == frame).all()
    reader = ChunkDecoder(parse(whole))
    assert [reader.has_picture(index) for index in range(6)] == [
        *(False, False, False),
        *(True, False, True),
    ]
    parts = [parse(piece).repeated_row for piece in (*pieces, whole)]
    assert parts == [1, None, 1]


def test_a_reader_that_ignores_the_mark_of_repeated_frames_shows_the_right_ones():
    coder = encoder()
    coder.add(np.full((6, 5, 3), 7, np.uint8))
    coder.seal()
    coder.repeat(is_due=True)
    coder.repeat(is_due=True)

    chunk = coder.seal()

    # Such a reader ignores byte 10 of the header and the records of EQUAL.
    assert parse(chunk).kinds == [INTRA, EQUAL]
    pixels = zstandard.ZstdDecompressor().decompress(
        zstd_header(90) + bytes(parse(chunk).records[0])
    )
    assert pixels == bytes([7]) * 90


def test_an_absent_frame_is_skipped_by_the_next():
    coder = encoder()
    frame = np.full((6, 5, 3), 7, np.uint8)
    coder.skip(2)
    coder.add(frame)
    coder.skip()
    coder.repeat()

    frames, shown = decode(coder.seal())

    assert shown == [False, False, True, False, True]
    assert (frames[4] == frame).all()
    assert not frames[3].any()


def test_what_the_caller_does_to_its_frame_afterwards_changes_nothing():
    coder = encoder()
    frame = np.zeros((6, 5, 3), np.uint8)
    coder.add(frame)
    frame[:] = 9
    coder.add(frame)
    frame[:] = 3

    frames, _ = decode(coder.seal())

    assert frames[0].max() == 0
    assert frames[1].min() == frames[1].max() == 9


def test_strided_frames_are_recorded_as_they_look():
    coder = encoder(6, 5)
    frame = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)

    coder.add(frame.transpose(1, 0, 2)[::-1])

    assert (decode(coder.seal())[0][0] == frame.transpose(1, 0, 2)[::-1]).all()


def test_any_zstd_decoder_reads_a_record_with_the_documented_header():
    coder = encoder(50, 50)
    frame = np.zeros((50, 50, 3), np.uint8)
    frame[10:20] = 200
    coder.add(frame)
    parsed = parse(coder.seal())

    pixels = zstandard.ZstdDecompressor().decompress(
        zstd_header(frame.nbytes) + bytes(parsed.records[0])
    )

    assert parsed.kinds == [INTRA]
    assert pixels == frame.tobytes()


def test_pieces_join_to_the_chunk():
    coder = encoder()
    pieces = []
    for i in range(5):
        coder.add(np.full((6, 5, 3), i, np.uint8))
        pieces.append(coder.piece(i))

    whole = coder.seal()

    assert join(pieces) == whole
    assert join([whole], first=3) == join(pieces, first=3)
    assert parse(join(pieces, stop=2)).kinds == parse(whole).kinds[:2]


def test_a_missing_piece_is_named():
    coder = encoder()
    for i in range(3):
        coder.add(np.full((6, 5, 3), i, np.uint8))

    with pytest.raises(RecordingError, match="starts at record 1, got one at 2"):
        join([coder.piece()[:0] or join([coder.piece()], stop=1), coder.piece(2)])


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda c: b"", "do not begin like one"),
        (lambda c: b"XX" + c[2:], "do not begin like one"),
        (lambda c: c[:2] + b"\x09" + c[3:], "version 9"),
        (lambda c: c[:-9] + bytes([c[-9] ^ 1]) + c[-8:], "a wrong checksum"),
        (lambda c: c[:20], "a wrong checksum"),
    ],
)
def test_damage_is_noticed(damage, what):
    coder = encoder()
    coder.add(np.full((6, 5, 3), 5, np.uint8))

    with pytest.raises(RecordingError, match=what):
        parse(damage(coder.seal()))


def test_a_forged_length_is_refused_before_anything_is_read():
    import zlib

    body = absent(6, 5, 0, 1)[:12] + struct.pack("<I", 5000 << 3 | RAW)

    with pytest.raises(RecordingError, match="does not add up"):
        parse(body + struct.pack("<I", zlib.crc32(body)))


def test_a_forged_record_is_an_error_and_not_other_pixels():
    import zlib

    record = zstandard.compress(b"\0" * 30)[5:]
    body = absent(6, 5, 0, 1)[:12] + struct.pack("<I", len(record) << 3 | INTRA)
    body += record
    reader = ChunkDecoder(parse(body + struct.pack("<I", zlib.crc32(body))))

    with pytest.raises(RecordingError, match="expected record 0 to hold 90 bytes"):
        reader.read(0, np.empty((6, 5, 3), np.uint8))


def test_a_frame_over_the_format_is_refused():
    with pytest.raises(FrameError, match="at most"):
        ChunkEncoder(20_000, 20_000, Scratch(1, 1))


def test_absent_records_show_nothing():
    frames, shown = decode(absent(6, 5, 0, 4))

    assert shown == [False] * 4
    assert not frames.any()
    assert parse(absent(6, 5, 0, 4)).kinds == [ABSENT] * 4


@pytest.mark.parametrize("size", [(300, 400), (301, 403)])
@pytest.mark.parametrize("top", [0, 255])
@pytest.mark.parametrize("where", ["top", "middle", "bottom", "ends", "all"])
def test_a_change_between_uniform_stretches_of_many_blocks_comes_back(size, top, where):
    frame = np.full((*size, 3), top, np.uint8)
    rng = np.random.default_rng(0)
    film = []
    for _ in range(CHUNK_ROWS):
        frame = frame.copy()
        rows = {
            "top": [0],
            "middle": [size[0] // 2],
            "bottom": [-1],
            "ends": [0, -1],
            "all": list(range(size[0])),
        }[where]
        shape = frame[rows, :40].shape
        frame[rows, :40] = rng.integers(0, 256, shape)
        film.append(frame)
    encode = encoder(*size)
    for one in film:
        encode.add(one)

    chunk = encode.seal()

    frames, _ = decode(chunk)
    assert (frames == film).all()
    header = zstd_header(frames[0].nbytes)
    for kind, record in zip(*parse(chunk)[3:5], strict=True):
        if kind not in (RAW, EQUAL):
            pixels = zstandard.ZstdDecompressor().decompress(header + record)
            assert len(pixels) == frames[0].nbytes


def test_a_small_change_costs_bytes_for_the_change_alone():
    encode = encoder(400, 600)
    frame = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    encode.add(frame)
    before = encode.nbytes
    frame[200, 300] += 1

    encode.add(frame)

    assert encode.nbytes - before < 100


def test_after_a_cut_the_kinds_of_records_are_tried_again():
    """A picture that is wholly another one makes estimates far too large."""

    def num_bytes(seed, each):
        rng, x = np.random.default_rng(seed), 0
        background = rng.integers(0, 256, (21, 21, 3), dtype=np.uint8)
        background = background.repeat(4, 0).repeat(4, 1)
        encoder, found = ChunkEncoder(84, 84, Scratch(84, 84)), 0
        for number in range(30 * CHUNK_ROWS):
            if each and number % each == each // 2:
                background = np.roll(background, 13, 1)
            x = (x + int(rng.integers(1, 4))) % 70
            frame = background.copy()
            frame[30:38, x : x + 8] = 250, 10, 10
            encoder.add(frame)
            if (number + 1) % CHUNK_ROWS == 0:
                found += len(encoder.seal())
        return found

    for seed in range(3):
        assert num_bytes(seed, 150) < 2 * num_bytes(seed, 0)
