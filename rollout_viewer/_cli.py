"""The command line: record, view, export, info, demo.

    rollout-viewer record CartPole-v1 --num-envs 16 --steps 500 -o poles.rollout
    rollout-viewer view poles.rollout
    rollout-viewer export poles.rollout poles.mp4 poles.csv
    rollout-viewer info poles.rollout --json

Each command is one function that says in a few lines of the public API what a
notebook would say. Results go to stdout, progress and errors to stderr. What the
package refuses ends as one line and exit code 2, an interrupt as 130.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import webbrowser
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RolloutViewerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rollout_viewer._cache.cache import FrameCache

SUFFIX = ".rollout"
# an HTML page of the demo may be larger than the default of to_html(): it is a file
# on the person's own disk, not one to send by mail
DEMO_MAX_MB = 60
DEMO_NOTEBOOK = "01_first_look.ipynb"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0, 2 for what was refused, 130)."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except (RolloutViewerError, OSError, ImportError, ValueError) as error:
        # ValueError: an argument that the public API refuses, such as OUT.xyz
        one_line = " ".join(str(error).split()) or type(error).__name__
        one_line = one_line.removeprefix("rollout_viewer: ")
        print(f"rollout-viewer: {one_line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


# -- commands ---------------------------------------------------------------------


def record(arguments: argparse.Namespace) -> None:
    """Record random actions in an environment into a file."""
    path = _record(
        arguments.env_id,
        num_envs=arguments.num_envs,
        steps=arguments.steps,
        seed=arguments.seed,
        path=arguments.output or _file_name(arguments.env_id),
    )
    print(path)


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
            max_mb=arguments.max_mb,
        )
    print(path)
    if arguments.html is None and _has_display(os.environ, sys.platform):
        webbrowser.open(path.absolute().as_uri())


def export(arguments: argparse.Namespace) -> None:
    """Write a recording as mp4, csv, html, ...; in a folder: the missing videos."""
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
            with _Progress(target.name) as on_progress:
                written = clip.write(
                    target,
                    fps=arguments.fps,
                    layout=arguments.layout,
                    quality=arguments.quality,
                    speed=arguments.speed,
                    order=arguments.order,
                    labels=arguments.labels,
                    overwrite=arguments.overwrite,
                    on_progress=on_progress,
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
    folder = arguments.dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RolloutViewerError(
            f"demo: expected a folder that can be made, got {str(folder)!r} "
            f"({error.strerror}). Choose another --dir."
        ) from error
    recording = folder / f"recording{SUFFIX}"
    recording.unlink(missing_ok=True)  # else this one would be recording-1
    _record(
        "CartPole-v1",
        num_envs=arguments.num_envs,
        steps=arguments.steps,
        seed=0,
        path=recording,
    )
    written = [recording]
    with _open(recording) as cache:
        clip = cache.clip()
        for suffix in (".mp4", ".csv"):
            with _Progress(f"recording{suffix}") as on_progress:
                written += clip.write(
                    recording.with_suffix(suffix),
                    overwrite=True,
                    on_progress=on_progress,
                )
        from rollout_viewer._export.html import write_html

        page = write_html(
            cache,
            recording.with_suffix(".html"),
            max_mb=DEMO_MAX_MB,
            overwrite=True,
        )
        written.append(page)
    notebook = _copy_notebook(folder)
    for path in written:
        print(f"{path}  ({_readable_bytes(path.stat().st_size)})")
    print(f"\nA page that needs no kernel:  {page}")
    if notebook is not None:
        print(f"The notebook:                 {_jupyter()} lab {notebook}")
    if arguments.open and _has_display(os.environ, sys.platform):
        _show(notebook, page)


# -- the parts of a command -------------------------------------------------------


def _record(
    env_id: str,
    *,
    num_envs: int,
    steps: int,
    seed: int | None,
    path: pathlib.Path,
) -> pathlib.Path:
    """Record `steps` random steps of `num_envs` environments.

    Returns:
        The path of the recording: `path`, with -1, -2, ... where that was taken.

    Raises:
        RolloutViewerError: The environment cannot be made, or fails at its first
            reset; no file is left then.
    """
    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer.sources._make_envs import errors_name_env, make_envs
    from rollout_viewer.sources._rollout import rollout

    envs = make_envs(env_id, num_envs)
    try:
        cache = FrameCache(path, metadata={"env_id": env_id, "seed": seed})
        try:
            with cache, errors_name_env(env_id):
                rollout(
                    envs, max_steps=steps, seed=seed, cache=cache, progress=_is_shown()
                )
        finally:
            if not cache.num_rows:
                cache.path.unlink(missing_ok=True)
        return cache.path
    finally:
        envs.close()


def _open(path: pathlib.Path) -> FrameCache:
    from rollout_viewer._cache.open import open_path

    return open_path(path)


def _finish(folder: pathlib.Path, outputs: Sequence[pathlib.Path]) -> None:
    """Write the videos that are missing in a folder."""
    from rollout_viewer._recorder.video_recovery import finish_videos

    if outputs:
        raise RolloutViewerError(
            f"export: expected no files for a folder, got {str(outputs[0])!r}. Its "
            "videos have their names; to choose, export a recording in it."
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
    # an estimate where envs start or stop giving pictures in the middle
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
        "fps": cache.fps,
        "size_bytes": path.stat().st_size,
        "frame_bytes": cache.nbytes,
        "raw_bytes": cache.raw_nbytes,
        "bytes_per_frame": cache.nbytes / num_frames if num_frames else None,
        "num_lost": cache.num_lost,
        "num_evicted": cache.num_evicted,
        "metadata": dict(cache.metadata),
    }


def _copy_notebook(folder: pathlib.Path) -> pathlib.Path | None:
    """Copy the notebook of the tour into `folder`; None where it was not installed."""
    package = pathlib.Path(__file__).parent
    for home in (package / "notebooks", package.parent / "notebooks"):
        if (home / DEMO_NOTEBOOK).exists():
            return pathlib.Path(shutil.copy(home / DEMO_NOTEBOOK, folder))
    return None


def _jupyter() -> str:
    """Return how a person here calls jupyter: by its path where PATH lacks it."""
    if shutil.which("jupyter"):
        return "jupyter"
    beside = pathlib.Path(sys.executable).with_name("jupyter")
    here = pathlib.Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)


def _show(notebook: pathlib.Path | None, page: pathlib.Path) -> None:
    """Open the notebook in JupyterLab until the person ends it; else the page."""
    if notebook is not None and importlib.util.find_spec("jupyterlab"):
        print("JupyterLab runs until Ctrl-C.")
        subprocess.run([sys.executable, "-m", "jupyter", "lab", str(notebook)])
    else:
        webbrowser.open(page.absolute().as_uri())


def _has_display(environ: Mapping[str, str], platform: str) -> bool:
    """Return whether a person would see a window that is opened here."""
    if environ.get("CI"):
        return False
    if platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in environ
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def _is_shown() -> bool:
    """Return whether stderr is a terminal: bars in a log file are only noise."""
    return sys.stderr.isatty()


class _Progress:
    """A tqdm bar that takes `on_progress(done_rows, total_rows)`."""

    def __init__(self, what: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=what, unit="row", leave=False, disable=not _is_shown())

    def __enter__(self) -> Callable[[int, int], None]:
        return self._update

    def __exit__(self, *exc: object) -> None:
        self._bar.close()

    def _update(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)


# -- text in and out --------------------------------------------------------------


def _file_name(env_id: str) -> pathlib.Path:
    """Return the file for an env id in the working directory.

    Example:
        >>> print(_file_name("ALE/Pong-v5"))
        ALE-Pong-v5.rollout
    """
    return pathlib.Path(env_id.replace("/", "-").replace(":", "-") + SUFFIX)


def _numbers(text: str) -> list[int]:
    """Read a list of env numbers.

    Example:
        >>> _numbers("0,3,5-7")
        [0, 3, 5, 6, 7]
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            numbers += range(int(first), int(last or first) + 1)
        except ValueError:
            message = f"expected numbers such as 0,3,5-7, got {text!r}"
            raise argparse.ArgumentTypeError(message) from None
    return numbers


def _count(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 1, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    """Read a whole number, zero or above."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number >= 0, got {text!r}")
    return int(text)


def _megabytes(text: str) -> float:
    """Read a number above zero."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected a number > 0, got {text!r}")
    return number


def _readable(value: object) -> str:
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
    """Write a size for people.

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
        epilog="rollout-viewer COMMAND --help tells more about each command.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(command: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        text = (command.__doc__ or "").strip()
        sub = commands.add_parser(command.__name__, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    sub = add(record)
    sub.add_argument("env_id", metavar="ENV_ID", help="as for gymnasium.make_vec")
    sub.add_argument("--num-envs", type=_count, default=1, metavar="N")
    sub.add_argument("--steps", type=_count, default=500, metavar="N")
    sub.add_argument("--seed", type=_seed, metavar="N")
    sub.add_argument(
        "-o",
        "--output",
        type=pathlib.Path,
        metavar="FILE",
        help=f"(default: ENV_ID{SUFFIX}; a name that is taken gets -1)",
    )

    sub = add(view)
    _add_selection(sub)
    sub.add_argument(
        "--html",
        type=pathlib.Path,
        metavar="OUT",
        help="write the page here and open nothing (default: a temporary file)",
    )
    sub.add_argument(
        "--every", type=_count, default=1, metavar="N", help="keep every N-th row"
    )
    sub.add_argument(
        "--max-mb", type=_megabytes, default=20, metavar="MB", help="(default: 20)"
    )

    sub = add(export)
    _add_selection(sub)
    sub.add_argument(
        "outputs",
        type=pathlib.Path,
        nargs="*",
        metavar="OUT",
        help="written by its suffix: .mp4 .webm .gif .csv .npz .html ...",
    )
    sub.add_argument("--fps", type=float, metavar="FPS", help="rows a second")
    sub.add_argument("--speed", type=float, default=1.0, metavar="X")
    sub.add_argument(
        "--layout",
        choices=("grid", "tiles", "episodes"),
        default="grid",
        help="one file, or one for each env or episode (default: grid)",
    )
    sub.add_argument(
        "--order",
        choices=("env", "return"),
        default="env",
        help="of the tiles (default: env)",
    )
    sub.add_argument(
        "--quality", choices=("normal", "high", "lossless"), default="normal"
    )
    sub.add_argument(
        "--labels", action="store_true", help="env, episode, step, return on each tile"
    )
    sub.add_argument(
        "--overwrite", action="store_true", help="replace OUT instead of adding -1"
    )

    sub = add(info)
    sub.add_argument("file", type=pathlib.Path, metavar="FILE")
    sub.add_argument("--json", action="store_true", help="for programs")

    sub = add(compact)
    sub.add_argument("files", type=pathlib.Path, nargs="+", metavar="FILE")
    sub.add_argument(
        "--level",
        type=_count,
        default=19,
        metavar="N",
        help="of zstd, 1 to 22 (default: 19)",
    )

    sub = add(demo)
    sub.add_argument("--dir", type=pathlib.Path, default="demo", metavar="DIR")
    sub.add_argument("--num-envs", type=_count, default=16, metavar="N")
    sub.add_argument("--steps", type=_count, default=500, metavar="N")
    sub.add_argument(
        "--no-open",
        dest="open",
        action="store_false",
        help="open nothing, also where there is a display",
    )
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """Add FILE and the part of it that a command takes."""
    parser.add_argument("file", type=pathlib.Path, metavar="FILE")
    parser.add_argument(
        "--start", type=int, default=0, metavar="ROW", help="first row (default: 0)"
    )
    parser.add_argument("--stop", type=int, metavar="ROW", help="row to stop before")
    parser.add_argument("--envs", type=_numbers, metavar="LIST", help="such as 0,3,5-7")


def _version() -> str:
    from rollout_viewer._version import __version__

    return f"rollout-viewer {__version__}"
