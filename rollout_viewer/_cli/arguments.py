"""The arguments of each command: their types, defaults and help.

Knows argparse. Knows nothing of what the commands do.
"""

from __future__ import annotations

import argparse
import math
import pathlib

# -- types ------------------------------------------------------------------------


def count(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 1, got {text!r}")
    return int(text)


def seed(text: str) -> int:
    """Read a whole number, zero or above."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number >= 0, got {text!r}")
    return int(text)


def megabytes(text: str) -> float:
    """Read a number above zero."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected a number > 0, got {text!r}")
    return number


def numbers(text: str) -> list[int]:
    """Read a list of env numbers.

    Example:
        >>> numbers("0,3,5-7")
        [0, 3, 5, 6, 7]
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            message = f"expected numbers such as 0,3,5-7, got {text!r}"
            raise argparse.ArgumentTypeError(message) from None
    return found


def seeds(text: str) -> list[int]:
    """Read seeds: a range, the end exclusive, or a list.

    Example:
        >>> seeds("0:3"), seeds("7,9,2")
        ([0, 1, 2], [7, 9, 2])
    """
    first, colon, stop = text.partition(":")
    try:
        found = (
            [*range(int(first or 0), int(stop))]
            if colon
            else [int(part) for part in text.split(",")]
        )
    except ValueError:
        found = []
    if not found or min(found) < 0:
        message = f"expected seeds such as 0:50 or 3,7,9, got {text!r}"
        raise argparse.ArgumentTypeError(message)
    return found


# -- commands ---------------------------------------------------------------------


def add_record(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `record`."""
    parser.add_argument(
        "env_id",
        metavar="ENV",
        help="an id, as for gymnasium.make_vec, or module:callable",
    )
    parser.add_argument(
        "--policy",
        default="random",
        metavar="SPEC",
        help="sb3:FILE, torchscript:FILE, module:callable or random (default: random)",
    )
    parser.add_argument(
        "--checkpoint",
        type=pathlib.Path,
        metavar="FILE",
        help="of --policy sb3 or torchscript, or what module:callable makes one of",
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="load files that can run any program, as those of sb3: trust them first",
    )
    parser.add_argument(
        "--seeds",
        type=seeds,
        metavar="A:B",
        help="an episode from each seed, instead of --steps; also 3,7,9",
    )
    parser.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="processes for --seeds; 1: this one (default: one for each core)",
    )
    parser.add_argument(
        "--success",
        choices=("end", "once", "reward_threshold"),
        help="with --seeds, what counts as success: the info of an episode's last "
        "step, of any step, or the return (default: end)",
    )
    parser.add_argument(
        "--num-envs", type=count, metavar="N", help="side by side (default: 1)"
    )
    parser.add_argument("--steps", type=count, metavar="N", help="(default: 500)")
    parser.add_argument("--seed", type=seed, metavar="N")
    parser.add_argument(
        "-o",
        "--output",
        type=pathlib.Path,
        metavar="FILE",
        help="(default: ENV.rollout; a name that is taken gets -1)",
    )


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `compare`."""
    parser.add_argument(
        "files",
        type=pathlib.Path,
        nargs="+",
        metavar="FILE",
        help="the others are compared with the first; of one, its segments",
    )
    parser.add_argument(
        "--by",
        metavar="LABEL",
        help="of one file, compare the values of a label, such as train_step",
    )
    parser.add_argument(
        "--html", type=pathlib.Path, metavar="OUT", help="write a report here"
    )
    parser.add_argument(
        "--fail-if-worse",
        action="store_true",
        help="exit with 1 if any is worse than the first, on the seeds that both have",
    )


def add_view(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `view`."""
    _add_selection(parser)
    parser.add_argument(
        "--html",
        type=pathlib.Path,
        metavar="OUT",
        help="write the page here and open nothing (default: a temporary file)",
    )
    parser.add_argument(
        "--every", type=count, default=1, metavar="N", help="keep every N-th picture"
    )
    parser.add_argument(
        "--reduce",
        type=count,
        default=1,
        metavar="N",
        help="make pictures N times smaller each way",
    )
    parser.add_argument(
        "--quality",
        choices=("exact", "preview"),
        default="exact",
        help="preview: choose --every and --reduce, as small as --max-mb needs",
    )
    parser.add_argument(
        "--max-mb", type=megabytes, default=20, metavar="MB", help="(default: 20)"
    )


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    _add_selection(parser)
    parser.add_argument(
        "outputs",
        type=pathlib.Path,
        nargs="*",
        metavar="OUT",
        help="written by its suffix: .mp4 .webm .gif .csv .npz .html ...",
    )
    parser.add_argument("--fps", type=float, metavar="FPS", help="rows a second")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X")
    parser.add_argument(
        "--layout",
        choices=("grid", "tiles", "episodes"),
        default="grid",
        help="one file, or one for each env or episode (default: grid)",
    )
    parser.add_argument(
        "--order",
        choices=("env", "return"),
        default="env",
        help="of the tiles (default: env)",
    )
    parser.add_argument(
        "--quality", choices=("normal", "high", "lossless"), default="normal"
    )
    parser.add_argument(
        "--labels", action="store_true", help="env, episode, step, return on each tile"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace OUT instead of adding -1"
    )


def add_info(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `info`."""
    parser.add_argument("file", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="for programs")


def add_compact(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `compact`."""
    parser.add_argument("files", type=pathlib.Path, nargs="+", metavar="FILE")
    parser.add_argument(
        "--level",
        type=count,
        default=19,
        metavar="N",
        help="of zstd, 1 to 22 (default: 19)",
    )


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `demo`."""
    parser.add_argument("--dir", type=pathlib.Path, default="demo", metavar="DIR")
    parser.add_argument("--num-envs", type=count, default=16, metavar="N")
    parser.add_argument("--steps", type=count, default=500, metavar="N")
    parser.add_argument(
        "--no-open",
        dest="open",
        action="store_false",
        help="open nothing, also where there is a display",
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """Add FILE and the rows and envs of it that a command reads."""
    parser.add_argument("file", type=pathlib.Path, metavar="FILE")
    parser.add_argument(
        "--start", type=int, default=0, metavar="ROW", help="first row (default: 0)"
    )
    parser.add_argument("--stop", type=int, metavar="ROW", help="row to stop before")
    parser.add_argument("--envs", type=numbers, metavar="LIST", help="such as 0,3,5-7")
