"""report(): an evaluation as one HTML page that asks nothing of the network.

What was compared, tables, figures, strips of the episodes to look at, and a viewer that
plays them. The page has no script of its own; the viewer's is in a frame.
"""

from __future__ import annotations

import base64
import html
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import ExportTooLargeError, RolloutViewerError
from rollout_viewer._evaluate import report_text
from rollout_viewer._evaluate.chosen import choose_groups
from rollout_viewer._evaluate.excerpt import excerpt
from rollout_viewer._evaluate.figure import as_png, draw_curves, draw_result
from rollout_viewer._evaluate.report_text import text
from rollout_viewer._evaluate.shown import shown_comparison
from rollout_viewer._evaluate.strips import strip_png
from rollout_viewer._export.html import write_html
from rollout_viewer._files.new_files import new_file, require_page_name
from rollout_viewer._version import __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure

    from rollout_viewer._evaluate.chosen import Chosen, Group
    from rollout_viewer._evaluate.findings import Findings

_DPI = 160
# Of the page's size, for strips of pictures at most.
_STRIPS_SHARE = 0.4
# Pairs in the viewer: more columns are too small to be seen.
_MAX_PAIRS = 8
# Keep every n-th picture, where all are too many for the page.
_THINNED = (1, 2, 4, 8)

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline' blob: \
'wasm-unsafe-eval'; worker-src blob:; frame-src 'self'">
<meta name="generator" content="rollout_viewer">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1c1e21; background: #fff;
  max-width: 960px; margin: 32px auto; padding: 0 16px; overflow-wrap: anywhere; }}
h1 {{ font-size: 28px; line-height: 1.25; margin: 0 0 8px; }}
h2 {{ font-size: 20px; margin: 36px 0 8px; }}
h3 {{ font-size: 16px; margin: 20px 0 4px; }}
p {{ margin: 8px 0; max-width: 46em; }}
.verdict {{ border-left: 4px solid #0072b2; padding-left: 12px; font-weight: 600; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 4px 12px 4px 0; border-bottom: 1px solid #dcdfe3; text-align: left;
  vertical-align: top; }}
th, td {{ overflow-wrap: normal; }}
th.n, td.n {{ text-align: right; }}
td.n {{ white-space: nowrap; }}
.wide {{ overflow-x: auto; margin: 8px 0; }}
.gained {{ color: #00704f; }}
.lost {{ color: #b04a00; }}
details {{ margin: 8px 0; }}
summary {{ cursor: pointer; }}
img {{ max-width: 100%; height: auto; display: block; }}
figure {{ margin: 8px 0; }}
figcaption {{ font-size: 14px; color: #4a4f57; }}
iframe {{ width: 100%; height: 640px; border: 1px solid #dcdfe3; }}
li {{ overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{title}</h1>
{introduction}
{verdicts}
<h2>Policies</h2>
{policies}
{how_to_read}
<figure>{result_figure}</figure>
{seeds}
<h2>Returns over an episode</h2>
<figure>{curves}</figure>
{episodes}
{viewer}
<h2>Where this comes from</h2>
{sources}
</body>
</html>
"""


def write_report(
    found: Findings,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    max_mb: float = 20,
    overwrite: bool = False,
) -> Path:
    """Write what was found as one page; see `EvaluationResult.report`."""
    require_page_name(path, "report")
    given: Any = max_mb
    if not isinstance(given, (int, float, np.number)) or not given > 0:  # NaN too
        raise ValueError(
            f"report: expected max_mb > 0, a number of megabytes, got {max_mb!r:.100}."
        )
    lines, comparisons = found.lines, found.comparisons
    groups = choose_groups(lines, comparisons)
    parts = {
        "title": text(report_text.title_of(lines) if title is None else title),
        "introduction": report_text.introduction(lines, comparisons),
        "verdicts": "".join(
            f'<p class="verdict">{text(report_text.verdict(line))}</p>'
            for line in found.paired.summary.lines()
            if line["pairs"]
        ),
        "policies": report_text.policies_table(found.table.lines()),
        "how_to_read": report_text.HOW_TO_READ,
        "result_figure": _figure(
            draw_result(lines, comparisons), "Returns of each policy, and differences"
        ),
        "seeds": _seeds(found),
        "curves": _figure(draw_curves(lines), "Return so far over each episode"),
        "episodes": _episodes(groups, max_mb * 1e6 * _STRIPS_SHARE),
        "sources": report_text.sources_list(
            lines, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", __version__
        ),
    }
    size = len(_PAGE.format(**parts, viewer="").encode())
    limit = max_mb * 1e6
    if size > limit:
        raise ExportTooLargeError(
            f"report: expected at most {max_mb:g} MB (max_mb), got {size / 1e6:.1f} MB "
            "without the viewer. Allow more."
        )
    page = _PAGE.format(**parts, viewer=_viewer(found, groups, limit - size))
    with new_file(path, where="report", overwrite=overwrite) as file:
        file.part.write_text(page, encoding="utf-8", newline="\n")
    return file.path


# -- parts


def _figure(figure: Figure, name: str) -> str:
    return _image(base64.b64encode(as_png(figure, _DPI)).decode(), name)


def _image(png: str, name: str) -> str:
    return f'<img alt="{text(name)}" src="data:image/png;base64,{png}">'


def _seeds(found: Findings) -> str:
    if not found.paired.num_lines:
        return ""
    table = report_text.seeds_table(found.paired, found.seeds)
    return f"<h2>Seed by seed</h2><p>Flips of success first.</p>{table}"


def _episodes(groups: Sequence[Group], limit: float) -> str:
    """Return a strip of pictures for each episode to look at, as far as they fit."""
    sections: list[str] = []
    missing = "No pictures were recorded."
    for group in groups:
        strips = [strip for one in group.episodes if (strip := _strip(one, group))]
        limit -= sum(map(len, strips))
        if limit < 0:
            missing = "Their pictures are too large for this page (max_mb)."
            break
        if strips:
            at = "" if group.seed is None else f" (seed {group.seed})"
            sections.append(f"<h3>{text(group.title)}{text(at)}</h3>{''.join(strips)}")
    if not sections:
        return f"<h2>Episodes</h2><p>{missing}</p>"
    return f"<h2>Episodes to look at</h2>{''.join(sections)}"


def _strip(one: Chosen, group: Group) -> str:
    png = strip_png(one)
    if png is None:
        return ""
    caption = report_text.caption(one, with_seed=group.seed is None)
    return f"<figure>{_image(png, '')}<figcaption>{caption}</figcaption></figure>"


# -- the viewer


def _viewer(found: Findings, groups: Sequence[Group], limit: float) -> str:
    """Return a frame that plays what fits; a sentence where nothing does."""
    head = "<h2>Play them</h2>"
    for chosen in _selections(groups):
        try:
            page = _viewer_page(found, chosen, limit)
        except ExportTooLargeError:
            continue
        except RolloutViewerError as error:
            return f"{head}<p>They cannot be played here: {text(error)}</p>"
        if page is None:
            return ""
        return (
            f"{head}<p>Space plays; all tiles start their episodes together.</p>"
            '<iframe sandbox="allow-scripts allow-downloads" loading="lazy" '
            f'title="Viewer" srcdoc="{page}"></iframe>'
        )
    return f"{head}<p>Their pictures are too large for this page (max_mb).</p>"


def _selections(groups: Sequence[Group]) -> Iterator[list[Chosen]]:
    """Yield episodes to play: of the pairs, else of the extremes, fewer each time."""
    pairs = [group for group in groups if group.seed is not None][:_MAX_PAIRS]
    shown = pairs or list(groups)[:_MAX_PAIRS]
    while shown:
        # Where three policies are compared, a seed of the first is in several.
        chosen = {
            (one.policy, one.episode.env, one.episode.index): one
            for group in shown
            for one in group.episodes
        }
        yield list(chosen.values())
        shown = shown[: len(shown) // 2]


def _viewer_page(found: Findings, chosen: Sequence[Chosen], limit: float) -> str | None:
    """Return a viewer's page as the value of an attribute; None: without pictures.

    Raises:
        ExportTooLargeError: It is larger than `limit` bytes.
    """
    order = {line.name: number for number, line in enumerate(found.lines)}
    ordered = sorted(chosen, key=lambda one: order[one.policy])
    with excerpt(ordered) as cache:
        if not cache.pictured_envs:
            return None
        names = [name for name in order if any(one.policy == name for one in chosen)]
        seeds = [one.episode.seed for one in chosen if one.episode.seed is not None]
        is_paired = len(names) > 1 and bool(seeds)
        # Of one env, the episodes one after the other.
        place = {
            (one.policy, one.episode.env, one.episode.index): (0, number)
            for number, one in enumerate(ordered)
        }
        compare = shown_comparison(
            found,
            lambda policy, episode: place.get((policy, episode.env, episode.index)),
            lines=names,
            seeds=[seed for seed in found.seeds if seed in seeds] if is_paired else [],
        )
        for every in _THINNED:
            page = _attribute(cache, compare, every, limit)
            if page is not None and len(page) <= limit:
                return page
    raise ExportTooLargeError("report: expected a viewer within max_mb, got none.")


def _attribute(cache: Any, compare: Any, every: int, limit: float) -> str | None:
    with tempfile.TemporaryDirectory(prefix="rollout-viewer-") as folder:
        try:
            path = write_html(
                cache,
                Path(folder, "viewer.html"),
                title="Episodes",
                max_mb=limit / 1e6,
                every=every,
                compare=compare,
            )
        except ExportTooLargeError:
            return None
        return html.escape(path.read_text("utf-8"))
