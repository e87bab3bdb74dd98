"""Rows of several large frames, encoded in two threads."""

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._codec import ChunkEncoder, Scratch
from rollout_viewer._lanes import LARGE_BYTES, Job, Lanes

HEIGHT, WIDTH = 320, 300


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr("rollout_viewer._lanes._num_cores", lambda: 2)


def film(num_rows, num_envs):
    """Return large frames: some noise, some that stay, most with a moving square."""
    rng = np.random.default_rng(0)
    frames = np.zeros((num_rows, num_envs, HEIGHT, WIDTH, 3), np.uint8)
    for row in range(num_rows):
        for env in range(num_envs):
            top = (7 * row + 31 * env) % (HEIGHT - 20)
            frames[row, env, top : top + 20, 40:80] = 50 * env + 5
            if (row + env) % 11 == 0:
                frames[row, env] = rng.integers(0, 256, frames.shape[2:])
    return frames


def test_two_lanes_make_the_same_bytes_as_one(two_cores):
    assert HEIGHT * WIDTH * 3 >= LARGE_BYTES
    frames = film(37, 3)
    encoders = [ChunkEncoder(HEIGHT, WIDTH, Scratch(HEIGHT, WIDTH)) for _ in range(3)]

    with rv.FrameCache() as cache:
        for row, images in enumerate(frames):
            # Env 1 is left out now and then: its picture before is shown again.
            envs = [0, 2] if row % 5 == 3 else [0, 1, 2]
            cache.append(list(images[envs]), envs=envs, reward=[0, 0, 0], kind="step")
            for env, encoder in enumerate(encoders):
                if env in envs:
                    encoder.add(images[env])
                else:
                    encoder.repeat(is_late=True)
            if row == 31:
                whole = [encoder.seal() for encoder in encoders]
        recording = cache._recording

        assert recording._lane_of == [0, 1, 0]
        assert [recording.chunk(0, slot) for slot in range(3)] == whole
        assert [recording.chunk(1, s) for s in range(3)] == [
            encoder.piece() for encoder in encoders
        ]
        assert len(recording._scratches) == 2


def test_the_quicker_way_is_taken_and_the_other_now_and_then(two_cores, monkeypatch):
    lanes, ways = Lanes(), []
    clock = iter(np.arange(1000.0)).__next__
    monkeypatch.setattr("rollout_viewer._lanes.time.perf_counter", clock)
    run_apart = lanes._run_apart

    def slowly(here, aside):
        ways.append(2)
        clock()  # a second more than the other way takes
        return run_apart(here, aside)

    monkeypatch.setattr(lanes, "_run_apart", slowly)
    frame = film(1, 1)[0, 0]
    here, aside = (
        ChunkEncoder(HEIGHT, WIDTH, Scratch(HEIGHT, WIDTH)) for _ in range(2)
    )
    for _ in range(96):
        num_before = len(ways)
        lanes.run([Job(here, frame)], [Job(aside, frame)])
        ways += [1] * (len(ways) == num_before)
        if here.num_records == 32:
            assert here.seal() == aside.seal()
    lanes.close()

    # Both once; then the quicker one, but for each 32nd row.
    assert ways[:2] == [2, 1]
    assert [row + 1 for row, way in enumerate(ways) if way == 2] == [1, 32, 64, 96]


def test_small_frames_or_a_single_core_have_one_lane(monkeypatch, two_cores):
    assert Lanes().lane(LARGE_BYTES - 1, 1) == 0
    assert [Lanes().lane(LARGE_BYTES, n) for n in range(3)] == [0, 1, 0]

    monkeypatch.setattr("rollout_viewer._lanes._num_cores", lambda: 1)

    assert Lanes().lane(LARGE_BYTES, 1) == 0


def test_what_fails_in_the_thread_is_raised_by_the_caller(two_cores):
    here, aside = (
        ChunkEncoder(HEIGHT, WIDTH, Scratch(HEIGHT, WIDTH)) for _ in range(2)
    )
    frame = film(1, 1)[0, 0]
    lanes = Lanes()

    with pytest.raises(ValueError, match="shape"):
        lanes.run([Job(here, frame)], [Job(aside, frame[:, ::2])])

    assert here.num_records == 1
    lanes.close()
    lanes.close()
