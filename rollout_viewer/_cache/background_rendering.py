"""Pictures that are rendered in the background: what a page looks at, first.

Then episodes that have ended, which a recorder keeps. A thread of its own. What is
wanted no more is stopped in the middle. Knows which pictures are wanted. Knows no page.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from rollout_viewer._errors import ExportCancelled, RolloutViewerError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._process.forks import make_anew_in_children
from rollout_viewer._process.waiting import Changed
from rollout_viewer._progress import progress_bar
from rollout_viewer._replay.pool import ProcessEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._process.forks import Lock
    from rollout_viewer._recording.reader import RecordingReader

    # Returns what is to be warned of; "": nothing.
    Render = Callable[[RecordingReader, list[int], list[int], Callable[[], bool]], str]

# The thread waits so long for more.
LINGER_S = 20.0
# What is wanted is repeated each second; if not for so long, no page looks at it.
EXPIRES_S = 10.0
# Ended episodes that wait; of more, pictures come when they are looked at. A recorder
# that is closed waits for these.
MAX_EPISODES = 64
# Episodes that failed one after the other; the next are not tried.
_MAX_FAILURES = 3
_POLL_S = 0.25
# What failed, and may not again, is tried after so long; then after twice as long.
RETRY_S = 5.0
_MAX_RETRY_S = 300.0


class Wanted(NamedTuple):
    """A picture that is looked at, or will be soon: its block is rendered, too."""

    row: int
    env: int

    @property
    def block(self) -> int:
        """Of the row."""
        return self.row // CHUNK_ROWS


class EndedEpisode(NamedTuple):
    """Rows of an env that are rendered, whether or not a page looks at them."""

    env: int
    start: int
    stop: int


class BackgroundRendering:
    """Renders what is wanted, most urgent first, until it is wanted no more.

    Invariant: at most one thread works.

    Args:
        render: Renders rows of envs, until it is asked to stop.
        prepare: Makes ready for what will be wanted.
        is_busy: Whether the user waits for other pictures of the recording.
    """

    def __init__(
        self,
        render: Render,
        prepare: Callable[[RecordingReader], object],
        is_busy: Callable[[], bool],
    ) -> None:
        self._render, self._prepare, self._is_busy = render, prepare, is_busy
        self._wanted: list[Wanted] = []
        self._wanted_at = 0.0
        self._make_lock()
        # How often something was wanted.
        self._num_calls = 0
        self._thread: threading.Thread | None = None
        # (row, env) for which there is nothing to replay, such as before a reset.
        self._without: set[tuple[int, int]] = set()
        self._error: Exception | None = None
        self._retry_at = self._pause_s = 0.0
        self._episodes: deque[EndedEpisode] = deque()
        self._num_failures = 0
        self._problems: list[str] = []
        make_anew_in_children(self, rank=6)

    @property
    def error(self) -> Exception | None:
        """Why what is looked at is not rendered; None: it is, if only once more."""
        return self._error if time.monotonic() < self._retry_at else None

    def fork_locks(self) -> list[Lock]:
        """Return nothing: the processes are the parent's."""
        return []

    def _make_lock(self) -> None:
        self._lock = threading.RLock()
        self._changed = Changed(self._lock)

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child, which has not the thread."""
        del is_whole
        self._make_lock()
        self._thread, self._wanted = None, []
        self._episodes.clear()

    def want(self, reader: RecordingReader, wanted: Sequence[Wanted]) -> None:
        """Render these, in this order, and nothing that was wanted before."""
        if self.error is not None:
            return
        with self._lock:
            self._wanted, self._wanted_at = list(wanted), time.monotonic()
            self._begin(reader, is_needed=bool(wanted))

    def warm_up(self, reader: RecordingReader) -> None:
        """Make ready for pictures that will be wanted."""
        with self._lock:
            self._begin(reader, is_needed=True)

    def is_without(self, row: int, env: int) -> bool:
        """Whether it was found that nothing can be rendered there."""
        return (row, env) in self._without

    def add(self, reader: RecordingReader, episode: EndedEpisode) -> None:
        """Render an episode when nothing is looked at, after those that wait.

        Where there are too many, or rendering fails again and again, it is left out.
        """
        with self._lock:
            if self._num_failures >= _MAX_FAILURES:
                return
            if len(self._episodes) >= MAX_EPISODES:
                self._problems.append(
                    "record: expected episodes to be rendered as fast as they end, got "
                    f"{MAX_EPISODES} that wait. Pictures of the others come when they "
                    "are looked at, or by cache.render(). Keep fewer episodes."
                )
                return
            self._episodes.append(episode)
            self._begin(reader, is_needed=True)

    def clear(self) -> None:
        """Render none of the episodes that wait."""
        with self._lock:
            self._episodes.clear()
            self._without.clear()
            self._changed.notify_all()

    def problems(self) -> list[str]:
        """Return what is to be warned of since the last call."""
        with self._lock:
            found, self._problems = self._problems, []
        return found

    def finish(self) -> None:
        """Return when no ended episode waits; interrupted, none is rendered any more.

        Shows a bar if it takes longer.
        """
        with self._lock:
            left = len(self._episodes)
        if not left or self._thread is threading.current_thread():
            return
        bar = progress_bar(
            "render", left, unit="episode", is_hidden=None, is_kept=False, delay_s=1.0
        )
        try:
            with bar as shown:
                while left:
                    with self._lock:
                        self._changed.wait(_POLL_S)
                        now = len(self._episodes) if self._thread is not None else 0
                    shown.update(max(left - now, 0))
                    left = now
        except BaseException:
            with self._lock:
                self._episodes.clear()
                self._changed.notify_all()
            raise

    def _begin(self, reader: RecordingReader, *, is_needed: bool) -> None:
        """Let the thread look for what is wanted."""
        self._num_calls += 1
        self._changed.notify_all()
        if self._thread is None and is_needed:
            thread = threading.Thread(
                target=self._run,
                args=([reader],),
                name="rollout_viewer rendering",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:  # the interpreter ends: they are rendered later
                self._episodes.clear()
            else:
                self._thread = thread

    # -- on the thread

    def _run(self, readers: list[RecordingReader]) -> None:
        # The thread keeps its arguments.
        reader: RecordingReader | None = readers[0]
        known = weakref.ref(readers[0])
        try:
            self._make_ready(readers.pop())
            until = time.monotonic() + LINGER_S
            while reader is not None:
                num_calls = self._num_calls
                if self._perform_next(reader):
                    until = time.monotonic() + LINGER_S
                    continue
                # Not held while it waits: it may be freed.
                reader = None
                if not self._wait(num_calls, until):
                    return
                reader = known()
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
                self._changed.notify_all()

    def _make_ready(self, reader: RecordingReader) -> None:
        try:
            if not (self._wanted or self._episodes):
                self._prepare(reader)
        except Exception as error:  # reported by who wants pictures
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Render nothing that is looked at: for some time, or as long as this is."""
        is_lasting = isinstance(error, RolloutViewerError)
        self._pause_s = min(max(2 * self._pause_s, RETRY_S), _MAX_RETRY_S)
        pause_s = self._pause_s
        if is_lasting and not isinstance(error, ProcessEnded):
            pause_s = float("inf")
        self._error, self._retry_at = error, time.monotonic() + pause_s
        self._wanted = []

    def _wait(self, num_calls: int, until: float) -> bool:
        """Wait for something new; return whether the thread is to go on."""
        with self._lock:
            self._changed.wait_for(lambda: self._num_calls != num_calls, _POLL_S)
            is_over = self._num_calls == num_calls and not self._episodes
            if is_over and time.monotonic() > until:
                self._thread = None
                return False
            return True

    def _perform_next(self, reader: RecordingReader) -> bool:
        """Render what is most urgent; return whether there was anything."""
        batch, episode = list[Wanted](), None
        try:
            batch = self._next_wanted(reader)
            episode = None if batch else self._first_ended()
            if batch:
                self._render_batch(reader, batch)
                self._pause_s = 0.0
            elif episode is not None and not self._is_busy():
                self._render_episode(reader, episode)
            else:
                return False
        except ExportCancelled:
            pass
        except Exception as error:  # reported by who wanted it
            if episode is None:
                self._fail(error)
            else:
                self._note_failure(episode, error)
        return True

    def _next_wanted(self, reader: RecordingReader) -> list[Wanted]:
        """Return what a page looks at in the most urgent block."""
        with self._lock:
            wanted = [] if self._has_expired() else self._wanted
        for one in wanted:
            if self._missing(reader, one):
                return [other for other in wanted if other.block == one.block]
        return []

    def _render_episode(self, reader: RecordingReader, episode: EndedEpisode) -> None:
        """Render an episode that ended, as long as no page looks at anything."""

        def is_cancelled() -> bool:
            is_left = self._first_ended() is not episode  # as after Ctrl-C
            return is_left or self._is_busy() or bool(self._next_wanted(reader))

        rows = [*range(episode.start, min(episode.stop, reader.num_rows))]
        problem = self._render(reader, rows, [episode.env], is_cancelled)
        with self._lock:
            self._problems += [problem] if problem else []
            self._num_failures = 0
            self._drop(episode)

    def _note_failure(self, episode: EndedEpisode, error: Exception) -> None:
        with self._lock:
            if self._first_ended() is not episode:
                return  # of rows that were cleared meanwhile
            self._num_failures += 1
            self._problems.append(
                f"record: expected to render an episode that has ended, got {error!r} "
                "Recording continues; cache.render() tries again."
            )
            self._drop(episode)
            if self._num_failures >= _MAX_FAILURES:
                self._episodes.clear()

    def _first_ended(self) -> EndedEpisode | None:
        """Return the episode whose turn it is; None after `clear` or Ctrl-C."""
        with self._lock:
            return self._episodes[0] if self._episodes else None

    def _drop(self, episode: EndedEpisode) -> None:
        # Meanwhile it may have been cleared, and others have come.
        if self._episodes and self._episodes[0] is episode:
            self._episodes.popleft()
        self._changed.notify_all()

    def _has_expired(self) -> bool:
        return time.monotonic() - self._wanted_at > EXPIRES_S

    def _missing(self, reader: RecordingReader, one: Wanted) -> list[int]:
        """Return the rows of a block that are to be rendered of an env."""
        start = one.block * CHUNK_ROWS
        return [
            row
            for row in range(start, min(start + CHUNK_ROWS, reader.num_rows))
            if (row, one.env) not in self._without and reader.is_to_render(row, one.env)
        ]

    def _render_batch(self, reader: RecordingReader, batch: list[Wanted]) -> None:
        """Render the rows that are looked at, then the rest of their block."""
        missing = {one.env: self._missing(reader, one) for one in batch}
        block = batch[0].block
        looked_at = {one.row for one in batch if one.row in missing[one.env]}
        every = {row for found in missing.values() for row in found}
        # A replay goes on to the rows after those, and begins anew for those before.
        after = {row for row in every if row > max(looked_at, default=-1)}
        for rows in (looked_at, after, every):
            if rows:
                envs = [env for env, found in missing.items() if rows & {*found}]
                args = sorted(rows), envs
                self._render(reader, *args, lambda: self._is_left(block))
        for one in batch:
            rest = {(row, one.env) for row in self._missing(reader, one)}
            self._without |= rest.intersection(
                (row, one.env) for row in missing[one.env]
            )

    def _is_left(self, block: int) -> bool:
        """Whether a block is wanted no more."""
        if self._has_expired():
            return True
        return all(one.block != block for one in self._wanted)
