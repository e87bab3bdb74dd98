"""The widget: shows a cache in a notebook, and dumps what it shows.

Traits carry only what Python owns. Everything recorded travels as messages
(`_page.protocol`), sent by a thread, so that a busy kernel still feeds the page and
nothing that a person does in the page waits for the kernel.

Knows how a viewer is made, asked and closed. What it and its page send each other is in
`linked_widget`, what a cell shows of it in `shown_widget`.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Never

from rollout_viewer._errors import RowError
from rollout_viewer._files.names import checked_tag
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._page.bundle import read_bundle
from rollout_viewer._page.details import FieldCatalog
from rollout_viewer._process.finalizers import finalize
from rollout_viewer._recording.checked_numbers import checked_number
from rollout_viewer._viewer.as_cache import as_cache
from rollout_viewer._viewer.beginning import beginning
from rollout_viewer._viewer.bookmarks import ViewerBookmarks
from rollout_viewer._viewer.dumps import Dumps
from rollout_viewer._viewer.export_jobs import ExportJobs
from rollout_viewer._viewer.notebook import close_viewers_of_rerun_cell
from rollout_viewer._viewer.requests import PageRequests
from rollout_viewer._viewer.saved import checked_saved
from rollout_viewer._viewer.shown_widget import ShownWidget
from rollout_viewer._viewer.snapshot import as_snapshot
from rollout_viewer._viewer.stream import PageStream
from rollout_viewer._viewer.subscription import Subscription
from rollout_viewer._viewer.weak_calls import weakly

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._cache.clip import Clip
    from rollout_viewer._export.html import PageQuality
    from rollout_viewer._progress import Progress
    from rollout_viewer._viewer.compare import Compared
    from rollout_viewer._viewer.saved import Saved

DUMP_FORMATS = ("mp4", "csv")
_STATS_TIMEOUT_S = 0.5


class RolloutViewer(ShownWidget):
    """A grid of all environments of a recording, scrubbed frame by frame.

    Show it as the last line of a cell. It stays live while rows are recorded, and
    works while the kernel is busy.

    Args:
        source: A `FrameCache`, anything with a `.cache`, a path of a recording or
            a video, or several as `open` takes them, or an array of frames
            (T, H, W, 3) or (T, B, H, W, 3). Or a dict of such, by name: they are
            compared, see `view`.
        logger: Where dumps go: anything with `log_video`. None:
            ``CSVLogger("rollouts", video_format="mp4")`` in the working directory.
        tag: Name of what is dumped.
        columns: Tiles across; None: as fits.
        fps: Rows a second at speed 1; None: the recording's.
        title: Shown in its head; None: the tag.
        compare_seeds: Begin with a line of tiles for each segment, or for each of
            compared recordings, and a column for each of these seeds, in this order.
        compare_segments: Which segments then have a line, in this order; None: all.
        comparison: Begin with an evaluation; `EvaluationResult.viewer` makes it.
        save: What a saved notebook keeps, where no widget runs: "poster" (a picture and
            a table, below 300 kB), or "page", the viewer itself with the recording as
            it was when the cell ran; it plays without kernel and network. What is to be
            rendered later is rendered for a page. None: the poster; in Colab and
            Kaggle, which may bring a viewer no messages, the page.
        save_mb: A page that is larger is saved as the poster.

        **traits: First values of the attributes below, and of what every widget has,
            such as `layout`.

    Attributes:
        playhead: The row that is shown; the last one, where it is beyond the end.
            The page sends it only while it is observed; else it is what Python set
            last.
        playing, speed, loop: As the controls; loop is one of "off", "all",
            "range", "episode".
        selection: Numbers of the selected envs.
        quality: What is shown while the playhead moves. "auto": exact pictures, or,
            where the link to the page is too thin to play them, previews: small
            videos that are not exact, and are marked so. "exact": never previews.
            "preview": always. Where the playhead rests, pictures are exact; so is all
            that is dumped, copied or inspected.
        bookmarks: Bookmarked rows, kept in the recording; `cache.bookmarks` has their
            notes. Of a viewer that was hidden in its page: those of then.

    Raises:
        TypeError: `source` is none of these, `tag` no text, or an option is not known.
        ValueError: `columns`, `fps` or `save_mb` is not above zero, `save` is no
            choice, or `tag` leads out of the logger's folder.
        traitlets.TraitError: An attribute is set to what it cannot be.
    """

    def __init__(
        self,
        source: Any,
        *,
        logger: Any = None,
        tag: str = "rollout",
        columns: int | None = None,
        fps: float | None = None,
        title: str | None = None,
        compare_seeds: Sequence[int] | None = None,
        compare_segments: Sequence[str] | None = None,
        comparison: Mapping[str, Any] | None = None,
        save: Saved | None = None,
        save_mb: float = 5,
        **traits: Any,
    ) -> None:
        if columns is not None and columns < 1:
            raise ValueError(f"RolloutViewer: expected columns >= 1, got {columns!r}.")
        fps = None if fps is None else checked_fps("RolloutViewer", fps)
        checked_tag("RolloutViewer", tag)
        self._saved = checked_saved(save, save_mb)
        unknown = sorted(set(traits) - set(self.class_trait_names()))
        if unknown:
            raise TypeError(
                f"RolloutViewer: expected options that it has, got {unknown}. "
                "help(rv.RolloutViewer) lists them."
            )
        compared = _compared(source)
        cache = compared.cache if compared else as_cache(source)
        self._groups = compared.groups if compared else []
        if compared and columns is None:
            columns = compared.columns
        self._get_cache: Callable[[], FrameCache | None] = lambda: cache
        self._dumps = Dumps(logger, tag, fps)
        self._columns = columns
        self._fps = fps
        self._title = tag if title is None else title
        self._compare = comparison or beginning(
            cache, compare_seeds, compare_segments, has_groups=bool(compared)
        )
        # Over an empty recording the page starts at the newest row.
        self._is_following = self._cache.num_rows == 0
        self._esm = read_bundle("widget.js", "RolloutViewer")
        self._css = read_bundle("widget.css", "RolloutViewer")
        self._is_ready = False
        self._is_closed = False
        self._fields = FieldCatalog()
        # The threads must not keep a forgotten viewer, and so its page, alive.
        this = weakref.ref(self)
        send = weakly(this, RolloutViewer._post)
        self._jobs = ExportJobs(send)
        self._bookmarks = ViewerBookmarks(
            get_cache=lambda: viewer._get_cache() if (viewer := this()) else None,
            get_rows=lambda: viewer.bookmarks if (viewer := this()) else [],
            set_rows=weakly(this, RolloutViewer._set_bookmarks),
            annotate=weakly(this, RolloutViewer._annotate),
        )
        self._requests = PageRequests(
            get_cache=lambda: viewer._get_cache() if (viewer := this()) else None,
            jobs=self._jobs,
            send=send,
            annotate=weakly(this, RolloutViewer._annotate),
            dump=weakly(
                this,
                lambda one, *a: one._dumps.dump_rows(one.cache, one.logger, *a),
            ),
            download=weakly(this, lambda one, *a: one._dumps.download(one.cache, *a)),
        )
        self._stream = PageStream(
            self._cache,
            make_manifest=weakly(this, RolloutViewer._manifest),
            send=send,
            on_message=self._requests.answer,
            on_error=weakly(this, RolloutViewer._show_error),
            on_pages=weakly(this, RolloutViewer._follow),
        )
        self._has_own_layout = "layout" not in traits
        bookmarks = {*cache.bookmarks, *traits.pop("bookmarks", ())}
        super().__init__(**{"_key": uuid.uuid4().hex, **traits})
        self._is_ready = True
        self._set_quality(None)
        self.bookmarks = sorted(bookmarks)
        self._unpin_replies()
        self._subscription = Subscription(
            cache, weakly(this, RolloutViewer._follow_cache)
        )
        self.on_msg(weakly(this, RolloutViewer._on_message))
        self._finalizer = finalize(
            self, _stop, self._stream, self._jobs, self._subscription
        )
        self._stream.start()
        cache.warm_up()
        close_viewers_of_rerun_cell(self)

    # -- what it shows

    @property
    def cache(self) -> FrameCache:
        """The recording.

        Raises:
            CacheClosedError: A later run of the cell replaced this viewer, and
                nothing else refers to the recording.
        """
        return self._cache

    @property
    def logger(self) -> Any:
        """Where dumps go."""
        return self._dumps.logger

    def goto(
        self,
        row: int | None = None,
        *,
        env: int | None = None,
        episode: int | None = None,
        episode_step: int | None = None,
    ) -> None:
        """Move the playhead to a row, or to a step of an env's episode.

        Args:
            row: Negative ones count from the end.
            env: Selects that env as well. Default for a step: 0.
            episode: Its index; default: the first.
            episode_step: Default: the first.

        Raises:
            RowError: There is no such row, env, episode or step.
            ValueError: Both a row and a step, or neither.
            TypeError: One of them is no whole number.
        """
        given = {"env": env, "episode": episode, "episode_step": episode_step}
        for name, value in {"row": row, **given}.items():
            if value is not None:
                checked_number("RolloutViewer.goto", name, value)
        is_step = episode is not None or episode_step is not None
        if (row is not None) == is_step:
            raise ValueError(
                "RolloutViewer.goto: expected a row, or env, episode and episode_step, "
                f"got row={row!r}, episode={episode!r}, episode_step={episode_step!r}."
            )
        if is_step:
            row = self._cache.find(env or 0, episode or 0, episode_step or 0)
        assert row is not None
        num_rows = self._cache.num_rows
        number = row + num_rows if row < 0 else row
        if not 0 <= number < num_rows:
            raise RowError(
                f"RolloutViewer.goto: expected a row in 0..{num_rows - 1}, got {row!r}."
            )
        last_env = self._cache.num_envs - 1
        if env is not None and not 0 <= env <= last_env:
            raise RowError(
                f"RolloutViewer.goto: expected an env in 0..{last_env}, got {env!r}."
            )
        if env is not None:
            self.selection = [env]
        self.playing = False
        self.playhead = number

    def snapshot(self) -> npt.NDArray[np.uint8]:
        """Return the grid at the playhead, uint8 (H, W, 3).

        As the last line of a cell it shows itself as a picture; what is computed from
        it, or sliced, is a plain array.

        Raises:
            RowError: Nothing was recorded yet.
        """
        return as_snapshot(self._picture())

    def stats(self) -> dict[str, float]:
        """Return counts of what was sent and drawn, and memory in bytes.

        ``messages``, ``bytes``, ``acks``, ``asked``: of this kernel's messages to its
        pages. ``page_*``: what a page did: rows ``drawn``, those of them that came
        more than a frame ``late``, ``decodes``, rows whose pictures were there when
        asked for (``hits``) or not (``misses``), and ``nbytes`` it holds. The page is
        asked, for at most half a second; where it cannot answer while a cell runs
        (ipykernel 6), its last answer is returned, and before the first there is none.
        """
        cache = self._cache
        counts = self._requests.last_counts
        if self._stream.has_page and self.comm is not None:
            counts = self._requests.page_counts(_STATS_TIMEOUT_S)
        return {
            **self._stream.stats,
            **{f"page_{name}": n for name, n in counts.items()},
            "num_evicted": cache.num_evicted,
            "num_rows": cache.num_rows,
            "num_lost": cache.num_lost,
            "picture_nbytes": cache.nbytes,
            "kernel_nbytes": cache.recording.state_nbytes,
        }

    # -- dumping

    def dump(
        self,
        formats: Sequence[str] | str = DUMP_FORMATS,
        tag: str | None = None,
        clip: Clip | None = None,
    ) -> list[Path]:
        """Write a clip through the logger, as the dump buttons do.

        Args:
            formats: One or several of "mp4", "csv", and what else the logger takes.
            tag: None: the viewer's tag, with the rows.
            clip: None: the whole recording.

        Returns:
            The files.

        Raises:
            RowError: Nothing was recorded yet.
            ExportError: They could not be written.
        """
        return self._dumps.dump(clip or self._cache.clip(), self.logger, formats, tag)

    def to_html(
        self,
        path: str | Path,
        max_mb: float = 20,
        *,
        start: int = 0,
        stop: int | None = None,
        envs: Sequence[int] | None = None,
        every: int = 1,
        reduce: int = 1,
        quality: PageQuality = "exact",
        progress: Progress | bool | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write one file that plays and scrubs without kernel and network.

        Of a comparison, all of its recordings are in the file. It begins where this
        viewer is: at its playhead, with the env that is selected. A policy in it allows
        no script but its own, and no address: it can load nothing and send nothing.

        Args:
            path: Of the file; a taken name gets ``-1``, ``-2``, ... unless `overwrite`.
            max_mb: Its largest size in megabytes.
            start: First row; rows keep their numbers.
            stop: Row after the last one; None: all there are.
            envs: Environments whose pictures are shown; None: all.
            every: Keep every n-th picture; the rows between show the one before.
            reduce: Pictures are so many times smaller each way, by averaging.
            quality: "exact": every pixel as recorded, unless `every` or `reduce` is
                given. "preview": these are chosen, as small as `max_mb` needs.
            progress: Called with (rows done, all rows), or a bar like tqdm's; True: a
                bar of its own.
            overwrite: Replace a file of that name.

        Raises:
            ValueError: `max_mb`, `every` or `reduce` is not above zero, `quality` is
                neither, or `path` is no name of a page.
            RowError: There are no such rows or envs.
            ExportTooLargeError: It would be larger; the message names what would be
                smaller, and about how large that is.
        """
        from rollout_viewer._export.html import write_html

        return write_html(
            self._cache,
            path,
            start=start,
            stop=stop,
            envs=envs,
            every=every,
            reduce=reduce,
            quality=quality,
            title=self._title,
            max_mb=max_mb,
            columns=self._columns,
            groups=self._groups,
            compare=self._compare,
            fps=self._fps,
            row=self._shown_row,
            env=self._shown_env,
            progress=progress,
            overwrite=overwrite,
        )

    def close(self) -> None:
        """Remove the widget and end its threads; the recording stays."""
        # A widget whose constructor raised is closed as well, when it is collected.
        if self.__dict__.get("_is_ready"):
            self._is_closed = True
            self._finalizer()
            # Made by ipywidgets for this viewer, and kept by it like one that is shown.
            if self._has_own_layout and self.trait_has_value("layout"):
                self.layout.close()
            super().close()

    def release(self) -> None:
        """Close, and drop the reference to the recording.

        Called when the cell that made this viewer runs again: IPython's `Out` keeps
        the viewer itself for ever.
        """
        self._get_cache = weakref.ref(self.cache)
        self.close()


def view(source: Any, *others: Never, **options: Any) -> RolloutViewer:
    """Return a viewer of a cache, recorder, recording, video file or array of frames.

    A dict of such compares them: ``rv.view({"before": a, "after": b})`` has a line of
    tiles for each, on one clock, row n beside row n. They are shown as they are now.

    Args:
        source: See `RolloutViewer`.
        *others: None. Several recordings are compared as a dict, see above.
        **options: Of `RolloutViewer`.

    Raises:
        TypeError: See `RolloutViewer`; or several recordings were passed.
    """
    if others:
        raise TypeError(
            f"rv.view: expected one source, got {1 + len(others)}. Pass several "
            "recordings by name, rv.view({'before': a, 'after': b}), or a list of "
            "their paths; options by keyword."
        )
    return RolloutViewer(source, **options)


def _compared(source: Any) -> Compared | None:
    """Return named recordings as one; None: `source` is no dict of them."""
    if not isinstance(source, Mapping):
        return None
    from rollout_viewer._viewer.compare import compare

    return compare({str(name): as_cache(one) for name, one in source.items()})


def _stop(stream: PageStream, jobs: ExportJobs, subscription: Subscription) -> None:
    subscription.end()
    stream.close()
    jobs.close()
