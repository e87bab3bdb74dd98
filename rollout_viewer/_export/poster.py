"""The poster: a recording as HTML without scripts, for places where no viewer runs.

A saved notebook, nbconvert, GitHub: a contact sheet, a table of episodes, and how to
see it live. It has no style, script or address, which such places take away. Knows a
recording's reader. Knows no widget.
"""

from __future__ import annotations

import html
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._export.png import MAX_POSTER_PIXELS, png_within
from rollout_viewer._export.selection import Selection
from rollout_viewer._frames.grid import grid_shape, put_centred
from rollout_viewer._frames.transform import shrink
from rollout_viewer._recording.annotations import label_texts
from rollout_viewer._recording.slot import box_of
from rollout_viewer._recording.storable import storable_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.reader import RecordingReader

    Frame = npt.NDArray[np.uint8]

_WIDTH_PX = 1000
# In base64 200 kB: with the table, a poster is below 300 kB.
_MAX_PNG_BYTES = 150_000
# A few envs are shown at several rows, many as they are at one.
_SHEET_TILES, _MAX_MOMENTS = 12, 6
_MAX_EPISODES = 20
_MAX_TEXT = 80
_GAP_PX = 2
_SUCCESS = {True: "yes", False: "no", None: ""}


class _Sheet(NamedTuple):
    """A picture of some rows, and what it shows."""

    picture: Frame
    caption: str


def poster_html(
    cache: RecordingReader,
    row: int,
    *,
    title: str,
    groups: Sequence[Sequence[Any]] = (),
    max_png_bytes: int = _MAX_PNG_BYTES,
) -> str:
    """Return a recording as HTML of less than 300 kB, without scripts and styles.

    Args:
        cache: The recording, of at least one row.
        row: Of the contact sheet, where that shows one.
        title: Its name.
        groups: (name, first_env, num_envs) of each of several compared recordings.
        max_png_bytes: Of its picture.
    """
    episodes = cache.episodes
    facts = ", ".join(_facts(cache, episodes))
    parts = [f"<p><strong>{_text(title)}</strong>: {facts}</p>"]
    sheet = _sheet(cache, row)
    if sheet:
        data = png_within(sheet.picture, max_png_bytes)
        parts.append(
            f'<p><img alt="{sheet.caption}" '
            f'src="data:image/png;base64,{data}"></p>\n<p>{sheet.caption}</p>'
        )
    if episodes:
        parts.append(_table(episodes, groups))
    parts.append(f"<p>{_how_to_open(cache)}</p>")
    return "\n".join(parts)


def _text(text: str) -> str:
    """Return text that may come from anywhere, short and escaped."""
    text = storable_text(text).replace("\0", "\ufffd")
    short = text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
    return html.escape(short)


def _facts(cache: RecordingReader, episodes: Sequence[Episode]) -> Iterator[str]:
    yield _count(cache.num_rows, "row")
    yield _count(cache.num_envs, "env")
    returns = [e.total_reward for e in episodes if e.is_finished]
    if returns:
        count = _count(len(returns), "finished episode")
        with np.errstate(all="ignore"):  # of infinite and of huge returns
            mean = np.mean(returns)
        yield f"{count} with a mean return of {mean:.4g}"
    known = [e.success for e in episodes if e.success is not None]
    if known:
        yield f"{sum(known):,} of {len(known):,} succeeded"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# -- the contact sheet


def _sheet(cache: RecordingReader, row: int) -> _Sheet | None:
    """Return the pictures of some rows; None: there are none, or too many pixels."""
    if not cache.pictured_envs:
        return None
    envs = Selection(cache, row, row + 1).tile_envs
    rows = _moments(cache, row, len(envs))
    clips = [Selection(cache, one, one + 1) for one in rows]
    height, width = box_of(clip.tile_size for clip in clips)
    if len(envs) * len(rows) * height * width > MAX_POSTER_PIXELS:
        return None
    columns = len(rows) if len(rows) > 1 else grid_shape(len(envs))[1]
    # Each as small as it will be shown: many large ones need no more memory.
    k = max(1, -(-width * columns // _WIDTH_PX))
    cell = max(height // k, 1), max(width // k, 1)
    lines = len(envs) if len(rows) > 1 else grid_shape(len(envs))[0]
    sheet = _empty_sheet(lines, columns, cell)
    for column, clip in enumerate(clips):
        for number, tile in enumerate(next(clip.rows_of_tiles())):
            place = (number, column) if len(rows) > 1 else divmod(number, columns)
            top, left = (
                at * (side + _GAP_PX) for at, side in zip(place, cell, strict=True)
            )
            small = shrink(tile, k, k)[: cell[0], : cell[1]]
            put_centred(small, sheet[top : top + cell[0], left : left + cell[1]])
    return _Sheet(sheet, _caption(cache, rows, envs))


def _empty_sheet(lines: int, columns: int, cell: tuple[int, int]) -> Frame:
    """Return black cells, with gaps between that are seen on white and on black."""
    height, width = ((side + _GAP_PX) for side in cell)
    sheet = np.full((lines * height - _GAP_PX, columns * width - _GAP_PX, 3), 128, "u1")
    for line in range(lines):
        for column in range(columns):
            top, left = line * height, column * width
            sheet[top : top + cell[0], left : left + cell[1]] = 0
    return sheet


def _caption(cache: RecordingReader, rows: Sequence[int], envs: Sequence[int]) -> str:
    if len(rows) == 1:
        return f"Row {rows[0]} of {cache.num_rows}."
    text = f"Rows {', '.join(map(str, rows))} of {cache.num_rows}, from left to right"
    if len(envs) > 1:
        text += f"; a line for each of the envs {', '.join(map(str, envs))}"
    return f"{text}."


def _moments(cache: RecordingReader, row: int, num_tiles: int) -> list[int]:
    """Return the rows of a sheet: spread over the recording, where tiles are few."""
    count = min(_MAX_MOMENTS, _SHEET_TILES // max(num_tiles, 1), cache.num_rows)
    if count < 2:
        return [row]
    spread = np.linspace(cache.first_row, cache.num_rows - 1, count).round()
    # Those that are there: nothing is rendered for it.
    rows = sorted({int(one) for one in spread})
    envs = cache.pictured_envs
    return [one for one in rows if any(cache.is_shown(one, env) for env in envs)] or [
        row
    ]


# -- the table


def _table(episodes: Sequence[Episode], groups: Sequence[Sequence[Any]]) -> str:
    """Return the first episodes as a table, and how many more there are."""
    has_labels = any(episode.labels for episode in episodes)
    has_success = any(episode.success is not None for episode in episodes)
    has_segments = any(episode.segment for episode in episodes)
    head = ["Env", "Episode", "First row", "Steps", "Return", "End"]
    head += (
        ["Success"] * has_success + ["Segment"] * has_segments + ["Labels"] * has_labels
    )
    lines = [_line("th", head, num_numbers=0)]
    for episode in episodes[:_MAX_EPISODES]:
        cells = [
            _name_of(episode.env, groups),
            str(episode.index),
            str(episode.start),
            str(episode.length),
            f"{episode.total_reward:.4g}",
            _end_of(episode),
        ]
        cells += [_SUCCESS[episode.success]] * has_success
        cells += [episode.segment or ""] * has_segments
        cells += [", ".join(label_texts(episode.labels))] * has_labels
        lines.append(_line("td", cells, num_numbers=5))
    body = "\n".join(lines[1:])
    table = (
        f"<table>\n<thead>\n{lines[0]}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )
    more = len(episodes) - _MAX_EPISODES
    return table if more <= 0 else f"{table}\n<p>and {_count(more, 'more episode')}</p>"


def _line(tag: str, cells: Sequence[str], *, num_numbers: int) -> str:
    aligned = [' align="right"' * (index < num_numbers) for index in range(len(cells))]
    inside = "".join(
        f"<{tag}{align}>{_text(cell)}</{tag}>"
        for cell, align in zip(cells, aligned, strict=True)
    )
    return f"<tr>{inside}</tr>"


def _name_of(env: int, groups: Sequence[Sequence[Any]]) -> str:
    for name, first, count in groups:
        if first <= env < first + count:
            return f"{name} {env - first}"
    return str(env)


def _end_of(episode: Episode) -> str:
    if episode.terminated:
        return "terminated"
    return "truncated" if episode.truncated else "unfinished"


# -- how to see it live


def _how_to_open(cache: RecordingReader) -> str:
    live = "This is a picture of the recording. To play it, run this cell"
    recording = cache.recording
    if recording.is_temporary or len(recording.paths) != 1:
        return f"{live}."
    name = _shown_path(Path(cache.path))
    code = f"rv.view({name!r})"
    command = f"rollout-viewer view {shlex.quote(name)}"
    return (
        f"{live}, or open its file: <code>{_code(code)}</code> in a notebook, "
        f"<code>{_code(command)}</code> in a shell."
    )


def _shown_path(path: Path) -> str:
    """Return a path from the working directory; its name, where it is elsewhere."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return path.name


def _code(text: str) -> str:
    return html.escape(storable_text(text)[:400])
