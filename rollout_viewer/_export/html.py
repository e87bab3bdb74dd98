"""One HTML file that plays a recording without a kernel: the page, and its messages.

The same script and the same messages as in a notebook (`_protocol`), written into
one document that asks nothing of the network. Knows messages and a cache. Knows
nothing of widgets.
"""

from __future__ import annotations

import base64
import functools
import html
import json
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import ExportTooLargeError
from rollout_viewer._export.png import MAX_POSTER_PIXELS, poster_png
from rollout_viewer._export.selection import Selection
from rollout_viewer._files import new_file
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._page.bundle import read_bundle
from rollout_viewer._page.details import FieldCatalog, all_details
from rollout_viewer._page.offline import recording_messages
from rollout_viewer._recording.storable import storable_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from rollout_viewer._recording.reader import RecordingReader

_POSTER_WIDTH_PX = 800
_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="rollout_viewer">
<title>{title}</title>
<style>
html {{ color-scheme: light dark; }}
body {{ margin: 0; background: light-dark(#fff, #17191d); }}
noscript {{ display: block; padding: 12px; }}
noscript img {{ max-width: 100%; }}
</style>
<style>
{css}
</style>
</head>
<body>
<div data-rollout-viewer></div>
<noscript>{poster}<p>{title}: this recording plays with JavaScript.</p></noscript>
"""
_MESSAGE = (
    '<script type="application/json" class="rollout-viewer-message">{}</script>\n'
)
# Unpacked when a video is saved: js/src/view/dump/mp4-part.ts.
_MP4 = """\
<!-- Packed: Mediabunny, Mozilla Public License 2.0, npmjs.com/package/mediabunny -->
<script type="text/plain" class="rollout-viewer-mp4">{}</script>
"""
_TAIL = """\
<script type="module">
{script}
</script>
</body>
</html>
"""


def write_html(
    cache: RecordingReader,
    path: str | os.PathLike[str],
    *,
    start: int = 0,
    stop: int | None = None,
    envs: Sequence[int] | None = None,
    every: int = 1,
    title: str | None = None,
    max_mb: float = 20,
    columns: int | None = None,
    fps: float | None = None,
    overwrite: bool = False,
    groups: Sequence[Sequence[Any]] = (),
) -> Path:
    """Write rows ``start..stop`` as one file that plays and scrubs from ``file://``.

    Args:
        cache: The recording; more may be recorded meanwhile.
        path: Of the file; a taken name gets ``-1``, ``-2``, ... unless `overwrite`.
        start: First row; rows keep their numbers.
        stop: Row after the last one; None: all there are.
        envs: Environments whose pictures are shown; None: all.
        every: Keep every n-th picture; the rows between show the one before.
        title: None: the name of the file.
        max_mb: Largest size in megabytes (10**6 bytes).
        columns: Tiles across; None: as fits.
        fps: Rows a second at speed 1; None: the recording's.
        overwrite: Replace a file of that name.
        groups: (name, first_env, num_envs) of each of several compared recordings.

    Returns:
        The file, there whole or not at all.

    Raises:
        ValueError: `max_mb` or `every` is not above zero, or `path` is no name.
        RowError: There are no such rows or envs.
        ExportTooLargeError: It would be larger than `max_mb`.
        ExportError: The file cannot be written.
        MissingDependencyError: The package was not built.
    """
    path = Path(path)
    title = path.stem if title is None else title
    fps = None if fps is None else checked_fps("to_html", fps)
    if not max_mb > 0:  # NaN too
        raise ValueError(f"to_html: expected max_mb > 0, got {max_mb!r}.")
    limit = max_mb * 1e6
    cache.complete()
    stop = cache.num_rows if stop is None else min(stop, cache.num_rows)
    cache.prepare_pictures(start, stop, envs, None, is_optional=True)
    if cache.is_shared:
        envs = None
    if envs is not None:
        # A clip of all envs has those without pictures too; others are refused below.
        blind = set(range(cache.num_envs)) - set(cache.pictured_envs)
        envs = [env for env in envs if env not in blind]
    title = storable_text(title).replace("\0", "\ufffd")
    css = read_bundle("widget.css", "to_html").replace("</style", r"<\/style")
    script = _as_inline_script(read_bundle("widget.js", "to_html"))
    tail = _MP4.format(_packed_mp4_part()) + _TAIL.format(script=script)
    messages = _messages(
        recording_messages(
            cache,
            start,
            stop,
            envs,
            every,
            title=title,
            columns=columns,
            fps=fps,
            groups=groups,
            fields=FieldCatalog().describe(cache),
        )
    )
    # Before the file is opened: wrong rows are reported by this.
    first = next(messages)
    poster = _poster(cache, start, envs)
    # In one go: what is inserted is not looked at again.
    head = _HEAD.format(title=html.escape(title), css=css, poster=poster)
    size = len(head.encode()) + len(tail.encode())
    with new_file(path, where="to_html", overwrite=overwrite) as file:
        with file.part.open("w", encoding="utf-8", newline="\n") as out:
            out.write(head)
            for text in _chain(first, messages):
                size += len(text)  # plain ASCII
                # Beyond the limit the rest is only counted, for the message.
                if size <= limit:
                    out.write(text)
            # Numbers for the inspector, as far as there is room for them.
            for text in _messages(all_details(cache, start, stop, envs)):
                if size + len(text) > limit:
                    break
                size += len(text)
                out.write(text)
            out.write(tail)
        if size > limit:
            raise ExportTooLargeError(
                f"to_html: expected at most {max_mb:g} MB (max_mb), got "
                f"{size / 1e6:.1f} MB for {stop - start} rows. Choose fewer rows "
                "(start, stop) or fewer environments (envs). viewer.to_html and the "
                "command `view` also take every n-th picture (every) and a higher "
                f"limit (max_mb {_round_up(size / 1e6)})."
            )
    return file.path


def _messages(
    messages: Iterator[tuple[dict[str, object], list[bytes]]],
) -> Iterator[str]:
    """Yield each message as the element that js/src/standalone.ts reads."""
    for content, buffers in messages:
        text = json.dumps(
            {
                "message": content,
                "buffers": [base64.b64encode(buffer).decode() for buffer in buffers],
            }
        )
        # A title may hold </script>; in JSON text `<` may be written like this.
        yield _MESSAGE.format(text.replace("<", r"\u003c"))


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _as_inline_script(script: str) -> str:
    """Return JavaScript that no HTML parser ends early; it means the same."""
    # Both can occur only in its strings and comments, where the slash is harmless.
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")


@functools.cache
def _packed_mp4_part() -> str:
    """Return the module that writes mp4 files: a third of its size, and no script."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    script = read_bundle("mp4.js", "to_html").encode()
    packed = packing.compress(script) + packing.flush()
    return base64.b64encode(packed).decode()


def _poster(cache: RecordingReader, row: int, envs: Sequence[int] | None) -> str:
    """Return the first row's grid as an image; nothing where there are no pictures."""
    has_tiles = envs is None or len(envs) > 0
    if not cache.pictured_envs or not has_tiles:
        return ""
    one = Selection(cache, row, row + 1, envs)
    if math.prod(one.frame_size) > MAX_POSTER_PIXELS:
        return ""
    frame = next(one.frames())
    data = poster_png(frame, _POSTER_WIDTH_PX)
    return f'<img alt="The first row" src="data:image/png;base64,{data}">'


def _round_up(megabytes: float) -> int:
    """Return the next multiple of 5: a limit that people type."""
    return 5 * (int(megabytes) // 5 + 1)
