"""The command line: record, view, compare, export, info, demo.

    rollout-viewer record CartPole-v1 --num-envs 16 --steps 500 -o poles.rollout
    rollout-viewer view poles.rollout
    rollout-viewer compare before.rollout after.rollout --fail-if-worse
    rollout-viewer export poles.rollout poles.mp4 poles.csv
    rollout-viewer info poles.rollout --json

Each command is one function: the few lines of the public API that a notebook would
have. Results go to stdout, progress and errors to stderr. What the package refuses
ends as one line and exit code 2, an interrupt as 130.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import sys
import tempfile
import webbrowser
from typing import TYPE_CHECKING, Any

from rollout_viewer._cli.arguments import (
    add_compact,
    add_compare,
    add_demo,
    add_export,
    add_info,
    add_record,
    add_view,
)
from rollout_viewer._cli.recordings import (
    chosen_policy,
    is_shown,
    record_seeds,
    record_steps,
)
from rollout_viewer._errors import RolloutViewerError
from rollout_viewer._files.names import path_inside
from rollout_viewer._progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._progress import Bar

SUFFIX = ".rollout"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, 1 for a comparison that fails, 2 for what was refused, 130
        for an interrupt.
    """
    arguments = _parser().parse_args(argv)
    try:
        status: int | None = arguments.command(arguments)
    except (RolloutViewerError, OSError, ImportError, ValueError) as error:
        # ValueError: an argument that the public API refuses, such as OUT.xyz.
        one_line = " ".join(str(error).split()) or type(error).__name__
        for other in ("rollout_viewer: ", "to_html: "):  # whose name this is not
            one_line = one_line.removeprefix(other)
        print(f"rollout-viewer: {one_line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status or 0


# -- commands ---------------------------------------------------------------------


def record(arguments: argparse.Namespace) -> None:
    """Record a policy in an environment into a file."""
    path = arguments.output or _file_name(arguments.env_id)
    if arguments.seeds is not None:
        print(record_seeds(arguments, path))
        return
    for option in ("workers", "success"):
        if getattr(arguments, option) is not None:
            raise RolloutViewerError(
                f"record: expected --{option} with --seeds, got it without. Add "
                "--seeds 0:50, for an episode from each seed."
            )
    path = record_steps(
        arguments.env_id,
        num_envs=arguments.num_envs or 1,
        steps=arguments.steps or 500,
        seed=arguments.seed,
        path=path,
        load=lambda space: chosen_policy(arguments, space),
    )
    print(path)


def compare(arguments: argparse.Namespace) -> int:
    """Compare recorded policies, seed by seed: the others with the first."""
    from rollout_viewer._evaluate.columns import printable
    from rollout_viewer._evaluate.result import EvaluationResult

    files = arguments.files
    sources = files[0] if len(files) == 1 else files
    result = EvaluationResult.from_recordings(sources, by=arguments.by)
    summary = result.paired.summary
    if arguments.fail_if_worse:
        _check_comparable(summary.lines())
    print(result.table)
    for sentence in result.paired.caption:
        print(printable(sentence))
    if arguments.html is not None:
        print(result.report(arguments.html))
    worse = [line["policy"] for line in summary.lines() if line["is_worse"]]
    if not arguments.fail_if_worse or not worse:
        return 0
    print(f"rollout-viewer: worse: {printable(', '.join(worse))}", file=sys.stderr)
    return 1


def view(arguments: argparse.Namespace) -> None:
    """Write a recording as one HTML page, and open it where there is a display."""
    from rollout_viewer._export.html import write_html

    with _open(arguments.file) as cache:
        page = arguments.html
        if page is None:
            folder = tempfile.mkdtemp(prefix="rollout-viewer-")
            page = pathlib.Path(folder, f"{arguments.file.stem}.html")
        path = write_html(
            cache,
            page,
            start=arguments.start,
            stop=arguments.stop,
            envs=arguments.envs,
            every=arguments.every,
            reduce=arguments.reduce,
            quality=arguments.quality,
            max_mb=arguments.max_mb,
        )
    print(path)
    if arguments.html is None and _has_display(os.environ, sys.platform):
        webbrowser.open(path.absolute().as_uri())


def export(arguments: argparse.Namespace) -> None:
    """Write a recording as mp4, csv, html, ...; of a folder: its unfinished videos."""
    from rollout_viewer._export.write import find_writer

    if arguments.file.is_dir():
        _finish(arguments.file, arguments.outputs)
        return
    if not arguments.outputs:
        raise RolloutViewerError(
            f"export: expected files to write {str(arguments.file)!r} to, got none. "
            "Name one, such as clip.mp4; only a folder of videos needs none."
        )
    with _open(arguments.file) as cache:
        clip = cache.clip(arguments.start, arguments.stop, envs=arguments.envs)
        for target in arguments.outputs:
            find_writer(clip, target, "export")  # refuses, before any is written
        for target in arguments.outputs:
            with _progress_bar(target.name) as bar:
                written = clip.write(
                    target,
                    fps=arguments.fps,
                    layout=arguments.layout,
                    quality=arguments.quality,
                    speed=arguments.speed,
                    order=arguments.order,
                    labels=arguments.labels,
                    overwrite=arguments.overwrite,
                    on_progress=bar,
                )
            for path in written:
                print(path)


def info(arguments: argparse.Namespace) -> None:
    """Print what a recording holds."""
    with _open(arguments.file) as cache:
        facts = _facts(cache, arguments.file)
    if arguments.json:
        print(json.dumps(facts, indent=2, default=str))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):{width}}  {_readable(value)}")


def compact(arguments: argparse.Namespace) -> None:
    """Pack a finished recording harder, in place: the same pictures in fewer bytes."""
    from rollout_viewer._recording.compact import compact as compact_file

    for file in arguments.files:
        path, before, after = compact_file(file, level=arguments.level)
        sizes = f"{_readable_bytes(before)} -> {_readable_bytes(after)}"
        print(f"{path}  ({sizes}, {100 * (1 - after / before):.0f} % smaller)")


def demo(arguments: argparse.Namespace) -> None:
    """Record CartPoles and write everything that can be made of them."""
    from rollout_viewer._cli.demo import (
        copy_notebook,
        jupyter_command,
        prepare_folder,
        show,
        write_files,
    )

    recording = prepare_folder(arguments.dir)
    record_steps(
        "CartPole-v1",
        num_envs=arguments.num_envs,
        steps=arguments.steps,
        seed=0,
        path=recording,
    )
    with _open(recording) as cache:
        written = write_files(cache, recording, progress=_progress_bar)
    notebook, page = copy_notebook(arguments.dir), written[-1]
    for path in (recording, *written):
        print(f"{path}  ({_readable_bytes(path.stat().st_size)})")
    print(f"\nA page that needs no kernel:  {page}")
    if notebook is not None:
        print(f"The notebook:                 {jupyter_command()} lab {notebook}")
    if arguments.open and _has_display(os.environ, sys.platform):
        show(notebook, page)


# -- the parts of a command -------------------------------------------------------


def _check_comparable(lines: Sequence[Mapping[str, Any]]) -> None:
    """Raise RolloutViewerError where no one can say whether a policy is worse.

    Without an interval, as of one pair or of an infinite return, none is shown worse.
    """
    why = [
        f"{line['policy']!r}: {_pairs_in_words(line['pairs'])}"
        for line in lines
        if math.isnan(line["difference_low"])
    ]
    if why or not lines:
        raise RolloutViewerError(
            "compare: expected two or more seeds in common, and finite returns, for "
            f"--fail-if-worse, got {'; '.join(why) or 'one policy alone'}. Record each "
            "with the same --seeds."
        )


def _pairs_in_words(num_pairs: int) -> str:
    if num_pairs > 1:
        return "infinite returns"
    return "one seed in common" if num_pairs else "no seed in common"


def _open(path: pathlib.Path) -> FrameCache:
    from rollout_viewer._cache.open import open_path

    return open_path(path)


def _finish(folder: pathlib.Path, outputs: Sequence[pathlib.Path]) -> None:
    """Write the unfinished videos of a folder."""
    from rollout_viewer._recorder.video_recovery import finish_videos

    if outputs:
        raise RolloutViewerError(
            f"export: expected no files for a folder, got {str(outputs[0])!r}. Its "
            "videos have names already; to choose, export a recording in it."
        )
    written = finish_videos(folder, where="export")
    for path in written:
        print(path)
    if not written:
        print(f"no video is missing in {folder}", file=sys.stderr)


def _facts(cache: FrameCache, path: pathlib.Path) -> dict[str, Any]:
    """Return what `info` prints, by name, in the order in which it is printed."""
    episodes = cache.episodes
    returns = [e.total_reward for e in episodes if e.terminated or e.truncated]
    # An estimate where envs start or stop giving pictures in the middle
    num_frames = cache.num_rows * len(cache.pictured_envs) * len(cache.cameras)
    return {
        "file": str(path),
        "rows": cache.num_rows,
        "envs": cache.num_envs,
        "pictured_envs": len(cache.pictured_envs),
        "cameras": list(cache.cameras),
        "episodes": len(episodes),
        "finished_episodes": len(returns),
        "mean_total_reward": sum(returns) / len(returns) if returns else None,
        "success_rate": cache.summary().success_rate,
        "fps": cache.fps,
        "size_bytes": path.stat().st_size,
        "frame_bytes": cache.nbytes,
        "raw_bytes": cache.raw_nbytes,
        "bytes_per_frame": cache.nbytes / num_frames if num_frames else None,
        "num_lost": cache.num_lost,
        "num_evicted": cache.num_evicted,
        "metadata": dict(cache.metadata),
    }


def _has_display(environ: Mapping[str, str], platform: str) -> bool:
    """Return whether the user would see a window that is opened here."""
    if environ.get("CI"):
        return False
    if platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in environ
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def _progress_bar(name: str) -> AbstractContextManager[Bar]:
    return progress_bar(name, unit="row", is_hidden=not is_shown(), is_kept=False)


# -- text -------------------------------------------------------------------------


def _file_name(env_id: str) -> pathlib.Path:
    """Return the file for an env id in the working directory.

    Example:
        >>> print(_file_name("ALE/Pong-v5"))
        ALE-Pong-v5.rollout
    """
    return path_inside("", env_id.replace("/", "-").replace(":", "-"), SUFFIX)


def _readable(value: object) -> str:
    """Return one of the facts of `info` as readable text."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return json.dumps(value, default=str) if value else "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _readable_bytes(num_bytes: float) -> str:
    """Return a size in bytes as readable text.

    Example:
        >>> _readable_bytes(1_234_567)
        '1.2 MB'
    """
    units = ("bytes", "kB", "MB", "GB")
    power = min(int(math.log10(max(num_bytes, 1)) // 3), len(units) - 1)
    return f"{num_bytes / 1000**power:.{min(power, 1)}f} {units[power]}"


# -- the parser -------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rollout-viewer",
        description="Record, look at and export batches of RL rollouts.",
        epilog="rollout-viewer COMMAND --help shows the arguments of a command.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command, add_arguments in (
        (record, add_record),
        (view, add_view),
        (compare, add_compare),
        (export, add_export),
        (info, add_info),
        (compact, add_compact),
        (demo, add_demo),
    ):
        text = (command.__doc__ or "").strip()
        sub = commands.add_parser(command.__name__, help=text, description=text)
        sub.set_defaults(command=command)
        add_arguments(sub)
    return parser


def _version() -> str:
    from rollout_viewer._version import __version__

    return f"rollout-viewer {__version__}"
