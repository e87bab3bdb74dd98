"""What an export costs: time, quality, size and memory, against the usual writers.

    make bench

    python -m tests.benchmarks.export --quick    # fewer frames and turns: 2 minutes

Peers write the same frames with their own settings: TorchRL's `CSVLogger`
(torchcodec), Gymnasium's `RecordVideo` (moviepy), mediapy (ffmpeg), and for GIFs
imageio and moviepy. They are handed raw frames; ours reads them from its cache.
Writers take turns in one process and the median of the turns counts. PSNR is of each
decoded frame to the recorded one that it shows, so that a writer that loses frames
is not blamed twice.
Prints a table and writes build/bench/export.json.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import rollout_viewer as rv
from rollout_viewer._export.dump import dump_clip
from rollout_viewer._video import read_video
from rollout_viewer.testing import counting_frame, read_count
from tests.benchmarks.frame_cache import is_there, play
from tests.benchmarks.report import Row, at_most, tell

ENVS = ("CartPole-v1", "HalfCheetah-v5", "ALE/Pong-v5")
FPS = 30
NUM_FRAMES, NUM_TURNS = 300, 5
GIF_FRAMES = 150
# How many times faster than each peer, by geometric mean over the environments.
MP4_GOALS = {"TorchRL": 2.5, "Gymnasium": 2.0, "mediapy": 2.0}
GIF_GOAL = 8.0
MAX_SIZE, MAX_PSNR_LOSS_DB = 2.0, 1.0
MEMORY_GOAL_MB = 32
STREAMED = (".mp4", ".webm", ".gif", ".csv", ".png", ".memmap")
GRID_ENVS, GRID_ROWS = 16, 500

Frame = np.ndarray[Any, np.dtype[np.uint8]]
Write = Callable[[pathlib.Path], Any]


class Result(NamedTuple):
    """What one writer made of one environment's frames."""

    seconds: float
    psnr_db: float
    num_bytes: int


def main() -> int:
    """Measure everything; returns 0 also where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer frames and turns")
    parser.add_argument("--only", default="", help="what to measure, by its name")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.memory:
        print(grown_bytes(options.memory[0], pathlib.Path(options.memory[1])))
        return 0
    rows: list[Row] = []
    for measure in (mp4, lost, gif, memory, grid):
        if options.only in measure.__name__:
            rows += measure(options.quick)
    tell("export", rows)
    return 0


# -- mp4 --------------------------------------------------------------------------


def mp4(is_quick: bool) -> list[Row]:
    """Return how much faster, larger and worse our mp4 is than each peer's."""
    results: dict[str, dict[str, Result]] = {}
    for env_id in filter(is_there, ENVS):
        slow = is_quick and "Cheetah" in env_id  # 0.1 s a frame on osmesa
        frames, clip = record(env_id, 100 if slow else NUM_FRAMES)
        results[env_id] = race(
            {"ours": clip.write, **mp4_peers(frames)},
            frames,
            ".mp4",
            2 if is_quick else NUM_TURNS,
        )
    rows: list[Row] = []
    for peer, goal in MP4_GOALS.items():
        rows += compared("mp4", peer, goal, results)
    return rows


def mp4_peers(frames: list[Frame]) -> dict[str, Write]:
    """Return the peers that are installed, each writing `frames` to a path."""
    found: dict[str, Write] = {}
    with told_if_missing("TorchRL"):
        import torch
        import torchcodec  # noqa: F401
        from torchrl.record.loggers.csv import CSVLogger

        video = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[None]

        def torchrl(path: pathlib.Path) -> None:
            logger = CSVLogger("run", str(path.parent), video_format="mp4")
            logger.log_video("video", video, step=0)
            (path.parent / "run/videos/video_0.mp4").replace(path)

        found["TorchRL"] = torchrl
    with told_if_missing("Gymnasium"):
        import moviepy  # noqa: F401
        from gymnasium.wrappers import RecordVideo

        def gymnasium(path: pathlib.Path) -> None:
            # Its writer alone: what it does when a recording stops.
            recorder = object.__new__(RecordVideo)
            recorder.recording, recorder.recorded_frames = True, list(frames)
            recorder.frames_per_sec, recorder.disable_logger = FPS, True
            recorder.video_folder, recorder._video_name = str(path.parent), path.stem
            recorder.gc_trigger = None
            recorder.stop_recording()

        found["Gymnasium"] = gymnasium
    with told_if_missing("mediapy"):
        import imageio_ffmpeg
        import mediapy

        mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
        found["mediapy"] = lambda path: mediapy.write_video(path, frames, fps=FPS)
    return found


@contextlib.contextmanager
def told_if_missing(peer: str) -> Any:
    try:
        yield
    except (ImportError, RuntimeError, OSError) as error:
        print(f"SKIP {peer}: {str(error).splitlines()[0]}")


def race(
    writers: dict[str, Write], frames: list[Frame], suffix: str, num_turns: int
) -> dict[str, Result]:
    """Let writers take turns; return what each took and made."""
    seconds: dict[str, list[float]] = {name: [] for name in writers}
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        names = list(writers)
        for turn in range(num_turns + 1):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                path = pathlib.Path(folder, name, f"video{suffix}")
                path.parent.mkdir(exist_ok=True)
                path.unlink(missing_ok=True)
                start_s = time.perf_counter()
                writers[name](path)
                if turn:  # the first one warms up
                    seconds[name].append(time.perf_counter() - start_s)
        for name in names:
            path = pathlib.Path(folder, name, f"video{suffix}")
            results[name] = Result(
                statistics.median(seconds[name]),
                psnr(path, frames),
                path.stat().st_size,
            )
    return results


def compared(
    what: str, peer: str, goal: float, results: dict[str, dict[str, Result]]
) -> list[Row]:
    """Return rows of time, PSNR and size against one peer, and print the figures."""
    results = {env: found for env, found in results.items() if peer in found}
    if not results:
        return []
    ours = [found["ours"] for found in results.values()]
    theirs = [found[peer] for found in results.values()]
    for env_id, a, b in zip(results, ours, theirs, strict=True):
        print(
            f"     {what} {env_id}: ours {a.seconds:.2f} s {a.psnr_db:.1f} dB "
            f"{a.num_bytes / 1e3:.0f} kB, {peer} {b.seconds:.2f} s {b.psnr_db:.1f} dB "
            f"{b.num_bytes / 1e3:.0f} kB"
        )
    mean = statistics.geometric_mean
    faster = mean([b.seconds / a.seconds for a, b in zip(ours, theirs, strict=True)])
    larger = mean(
        [a.num_bytes / b.num_bytes for a, b in zip(ours, theirs, strict=True)]
    )
    worse = max(b.psnr_db - a.psnr_db for a, b in zip(ours, theirs, strict=True))
    took, peer_took = mean([r.seconds for r in ours]), mean([r.seconds for r in theirs])
    few = f"{len(results)} envs"
    rows = [
        Row(
            f"{what} of {few} over {peer}'s time",
            took,
            {peer: peer_took},
            "s",
            faster,
            f">= {goal:g}x faster",
            faster >= goal,
        )
    ]
    if what == "mp4":
        rows += [
            at_most(f"mp4, dB below {peer}'s PSNR", worse, MAX_PSNR_LOSS_DB, "dB"),
            at_most(f"mp4, bytes over {peer}'s", larger, MAX_SIZE, "x", {peer: 1.0}),
        ]
    return rows


def psnr(path: pathlib.Path, frames: Sequence[Frame]) -> float:
    """Return the PSNR in dB of all frames of a file to those that they show."""
    errors = []
    for number, picture in enumerate(read_video(path)):
        near = frames[max(number - 3, 0) : number + 4] or frames[-1:]
        height, width = near[0].shape[:2]
        shown = picture[:height, :width].astype(np.float32)
        errors.append(min(float(((shown - one) ** 2).mean()) for one in near))
    mean = statistics.fmean(errors)
    return 10 * math.log10(255**2 / mean) if mean else 99.0


# -- every frame ------------------------------------------------------------------


def lost(_: bool) -> list[Row]:
    """Return how many of 300 frames each writer loses or repeats at 30 fps."""
    frames = [counting_frame(n, height=96, width=128) for n in range(NUM_FRAMES)]
    cache = rv.FrameCache(fps=FPS)
    for frame in frames:
        cache.append(frame)
    wrong = {}
    with tempfile.TemporaryDirectory() as folder:
        writers = {"ours": cache.clip().write, **mp4_peers(frames)}
        for name, write in writers.items():
            path = pathlib.Path(folder, name, "video.mp4")
            path.parent.mkdir()
            write(path)
            read = [read_count(frame)[0] for frame in read_video(path)]
            missing = NUM_FRAMES - len(set(read))
            wrong[name] = missing + len(read) - len(set(read))
    ours = wrong.pop("ours")
    return [at_most("frames lost or repeated of 300", ours, 0, "", wrong)]


# -- gif --------------------------------------------------------------------------


def gif(is_quick: bool) -> list[Row]:
    """Return how much faster our GIFs are."""
    results = {}
    for env_id in filter(is_there, ENVS):
        frames, clip = record(env_id, 50 if is_quick else GIF_FRAMES)
        results[env_id] = race(
            {"ours": clip.write, **gif_peers(frames)},
            frames,
            ".gif",
            1 if is_quick else 3,
        )
    rows = [compared("gif", peer, GIF_GOAL, results) for peer in ("imageio", "moviepy")]
    return list(itertools.chain(*rows))


def gif_peers(frames: list[Frame]) -> dict[str, Write]:
    """Return the peers that are installed, each writing `frames` to a path."""
    import imageio.v3 as iio

    found: dict[str, Write] = {
        "imageio": lambda path: iio.imwrite(path, frames, duration=1000 / FPS, loop=0)
    }
    with told_if_missing("moviepy"):
        from moviepy.video.io.ImageSequenceClip import ImageSequenceClip

        found["moviepy"] = lambda path: ImageSequenceClip(frames, fps=FPS).write_gif(
            str(path), fps=FPS, logger=None
        )
    return found


# -- memory -----------------------------------------------------------------------


def memory(is_quick: bool) -> list[Row]:
    """Return by how much writing a long clip makes a process grow."""
    if not pathlib.Path("/proc/self/clear_refs").exists():
        print("SKIP memory: only Linux tells the most that a process had")
        return []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for num_envs, num_rows in ((1, 500 if is_quick else 3000), (GRID_ENVS, 60)):
            path = pathlib.Path(folder, f"{num_envs}.rollout")
            record_poles(path, num_envs, num_rows)
            for suffix in STREAMED:
                done = subprocess.run(
                    [
                        *(sys.executable, "-m", "tests.benchmarks.export"),
                        *("--memory", suffix, str(path)),
                    ],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                grown = int(done.stdout.split()[-1]) / 1e6
                size = "600x400" if num_envs == 1 else "2400x1600"
                what = f"memory of {suffix}, {num_rows:,} frames of {size}"
                rows.append(at_most(what, grown, MEMORY_GOAL_MB, "MB"))
    return rows


def grown_bytes(suffix: str, recording: pathlib.Path) -> int:
    """Return how much more memory this process had while it wrote a file."""
    status, clear = pathlib.Path("/proc/self/status"), "/proc/self/clear_refs"

    def read(name: str) -> int:
        return 1024 * int(status.read_text().partition(f"{name}:")[2].split()[0])

    cache = rv.open(recording)
    for env in range(cache.num_envs):  # the cache's own memory is there before
        for _ in cache.clip(envs=[env]).frames(copy=False):
            pass
    small = rv.FrameCache()  # libraries are loaded
    for row in range(3):
        small.append(np.zeros((1, 32, 32, 3), np.uint8), reset=[row == 0])
    small.clip().write(recording.with_name(f"small{suffix}"))
    pathlib.Path(clear).write_text("5")
    before = read("VmRSS")
    (path,) = cache.clip().write(recording.with_name(f"large{suffix}"))
    grown = read("VmHWM") - before
    path.unlink()
    return grown


# -- a grid from the button -------------------------------------------------------


def grid(is_quick: bool) -> list[Row]:
    """Return what a dump of 16 CartPoles takes, over the time that it plays."""
    num_rows = 150 if is_quick else GRID_ROWS
    first_s = math.inf
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "poles.rollout")
        record_poles(path, GRID_ENVS, num_rows)
        clip = rv.open(path).clip()
        logger = rv.CSVLogger("run", folder, video_format="mp4")
        start_s = time.perf_counter()

        def on_progress(done: int, _: int) -> None:
            nonlocal first_s
            if done:
                first_s = min(first_s, time.perf_counter() - start_s)

        dump_clip(clip, logger, "rollout", on_progress=on_progress)
        plain_s = time.perf_counter() - start_s
        start_s = time.perf_counter()
        clip.write(path.with_suffix(".mp4"), labels=True)
        labelled_s = time.perf_counter() - start_s
    plays_s = num_rows / FPS
    what = f"16 x CartPole 600x400, {num_rows} rows as a grid"
    return [
        at_most(f"{what}, over real time", plain_s / plays_s, 1, "x"),
        at_most(f"{what}, first progress", first_s, 0.5, "s"),
        at_most(f"{what}, with labels over without", labelled_s / plain_s, 1.25, "x"),
    ]


# -- what the rest stands on ------------------------------------------------------


def record(env_id: str, num_frames: int) -> tuple[list[Frame], rv.Clip]:
    """Return frames of random play, and the clip of a recording of them."""
    frames, steps = play(env_id, num_frames)
    cache = rv.FrameCache(fps=FPS)
    for frame, step in zip(frames, steps, strict=True):
        cache.append(frame, **step)
    return frames, cache.clip()


def record_poles(path: pathlib.Path, num_envs: int, num_rows: int) -> None:
    frames, steps = play("CartPole-v1", num_rows)
    with rv.FrameCache(path, fps=FPS) as cache:
        for row, step in enumerate(steps):
            # Each env is another part of the same play.
            shown = [frames[(row + 37 * env) % num_rows] for env in range(num_envs)]
            numbers = {
                name: np.repeat(value, num_envs)
                for name, value in step.items()
                if name != "kind"
            }
            cache.append(shown, kind=[step["kind"]] * num_envs, **numbers)


if __name__ == "__main__":
    sys.exit(main())
