"""Which episodes are replayed for the pictures of which rows, and from where.

An episode that has a start is replayed alone. One without was reset by the call that
ended the episode before it, so it follows from that one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.late_pictures import not_reproducible
from rollout_viewer._recording.step_codec import ACTION
from rollout_viewer._recording.step_row import (
    IDLE,
    TERMINAL_MISSING,
    TERMINATED,
    TRUNCATED,
)
from rollout_viewer._replay.env_state import COLUMN
from rollout_viewer._replay.episode_start import EpisodeStart, first_of, unpack_start
from rollout_viewer._replay.kept_states import CHECKSUM, PREFIX, STATES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.reader import RecordingReader


# Of these, a process renders so many at a time.
_STATE_ROWS = 4 * CHUNK_ROWS
_NO_STATE = "the environment reset itself in the step that ended the episode"


class RecordedRow(NamedTuple):
    """What a replay of one env needs of a row, and is compared with."""

    row: int
    kind: int
    reward: float
    ends: tuple[bool, bool]
    action: Any
    data: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class EpisodePart:
    """An episode of one env: how it began, and its rows.

    Idle rows after its end are included: they show its last picture.
    """

    index: int
    start: EpisodeStart | None
    rows: list[RecordedRow]


@dataclass(frozen=True)
class Job:
    """Episodes of one env that are replayed one after the other, and wanted rows.

    Attributes:
        env: Its number.
        parts: Consecutive episodes; the first has a start.
        wanted: Rows whose pictures are wanted.
        first: The start of its environment's first episode, whose first picture decides
            where some renderers look from; None: that picture is the first wanted one.
        is_history: It begins earlier than it would have to, because a replay from
            nearby was not exact.
    """

    env: int
    parts: list[EpisodePart]
    wanted: frozenset[int]
    first: EpisodeStart | None
    is_history: bool = False

    @property
    def first_look(self) -> EpisodeStart | None:
        """The start whose picture is the first that a renderer makes."""
        start = self.parts[0].start
        if self.first is not None or start is None:
            return self.first
        return start._replace(first=None)


@dataclass
class Plan:
    """Jobs, and episodes of which it is known that they cannot be replayed.

    Attributes:
        jobs: In the order of their rows.
        problems: (env, start, stop, reason).
        unkept: The same, of rows whose states were never there to be kept.
        repeats: (env, row with a picture, idle rows after it that show it).
    """

    jobs: list[Job] = field(default_factory=list)
    problems: list[tuple[int, int, int, str]] = field(default_factory=list)
    unkept: list[tuple[int, int, int, str]] = field(default_factory=list)
    repeats: list[tuple[int, int, list[int]]] = field(default_factory=list)


class Planner:
    """Plans for one recording and camera.

    Args:
        reader: The recording.
        camera: Whose pictures are wanted.
    """

    def __init__(self, reader: RecordingReader, camera: str) -> None:
        self._reader = reader
        self._recording = reader.recording
        self._camera = camera
        rows = self._recording.rows
        assert rows is not None
        self._rows = rows
        self._num_rows = rows.num_rows
        self._kinds = rows.kinds(0, self._num_rows)

    def plan(self, rows: Sequence[int] | None, envs: Collection[int]) -> Plan:
        """Return what is to be replayed for pictures that are missing.

        Args:
            rows: Which are wanted; None: all.
            envs: Of which envs.
        """
        plan = Plan()
        chosen = None if rows is None else frozenset(rows)
        for env in sorted(envs):
            self._plan_env(env, chosen, plan)
        plan.jobs.sort(key=lambda job: min(job.wanted))
        return plan

    def _plan_env(self, env: int, chosen: frozenset[int] | None, plan: Plan) -> None:
        episodes = self._rows.of_env(env)
        impossible = [
            range(start, stop)
            for number, start, stop, _ in not_reproducible(self._recording.meta)
            if number == env
        ]
        groups: dict[int, tuple[set[int], int]] = {}
        kept: list[EpisodePart] = []
        for episode in episodes:
            wanted = self._missing(episode, chosen, impossible, episodes)
            wanted -= self._plan_repeats(episode, wanted, plan)
            if not wanted:
                continue
            try:
                start = self._start_of(env, episode.index)
                if start is not None and STATES in start.state:
                    rows = [*self._kept_rows(episode, wanted, plan)]
                    kept.append(EpisodePart(episode.index, start, rows))
                    continue
                base = self._base_of(env, episode.index)
            except RecordingError as error:
                problem = env, episode.start, episode.stop, str(error)
                plan.problems.append(problem)
                continue
            known, _ = groups.get(base, (set(), 0))
            groups[base] = known | wanted, episode.index
        self._plan_states(env, kept, plan)
        for base, (wanted, last) in groups.items():
            try:
                job = self._job(env, range(base, last + 1), wanted, episodes)
            except RecordingError as error:  # damaged
                plan.problems.append((env, min(wanted), max(wanted) + 1, str(error)))
            else:
                plan.jobs.append(job)

    def _kept_rows(
        self, episode: Episode, wanted: set[int], plan: Plan
    ) -> Iterator[RecordedRow]:
        """Yield the rows of an episode whose states were kept."""
        env = episode.env
        kinds = self._kinds[:, env]
        for row in sorted(wanted):
            source = row
            while kinds[source] == IDLE and source > episode.start:
                source -= 1
            is_lost = kinds[source] == TERMINAL_MISSING
            data = {
                name: np.array(values[env])
                for name, values in self._recording.extras(source).items()
                if name.startswith(PREFIX) and not is_lost
            }
            if CHECKSUM not in data:
                plan.unkept.append((env, row, row + 1, _NO_STATE))
                continue
            yield RecordedRow(row, int(kinds[row]), 0.0, (False, False), None, data)

    def _plan_states(self, env: int, parts: Sequence[EpisodePart], plan: Plan) -> None:
        """Plan rows of an env whose states were kept, some blocks at a time."""
        found: dict[tuple[int, int], dict[int, EpisodePart]] = {}
        for part in parts:
            assert part.start is not None
            for one in part.rows:
                key = part.start.recipe, one.row // _STATE_ROWS
                known = found.setdefault(key, {})
                if part.index not in known:
                    known[part.index] = EpisodePart(part.index, part.start, [])
                known[part.index].rows.append(one)
        for some in found.values():
            wanted = frozenset(one.row for part in some.values() for one in part.rows)
            plan.jobs.append(Job(env, [*some.values()], wanted, None))

    def _plan_repeats(self, episode: Episode, wanted: set[int], plan: Plan) -> set[int]:
        """Plan the idle rows whose picture is there, of an earlier row; return them."""
        env, found = episode.env, dict[int, list[int]]()
        source = -1
        for row in sorted(row for row in wanted if self._kinds[row, env] == IDLE):
            steps = np.flatnonzero(
                self._kinds[max(source, episode.start) : row, env] != IDLE
            )
            if len(steps):
                source = max(source, episode.start) + int(steps[-1])
            if source >= 0 and self._reader.is_shown(source, env, self._camera):
                found.setdefault(source, []).append(row)
        plan.repeats += [(env, row, rows) for row, rows in found.items()]
        return {row for rows in found.values() for row in rows}

    def first_start(self, env: int) -> EpisodeStart | None:
        """Return the start of an env's first episode; None: it is not known."""
        try:
            start = self._start_of(env, 0)
        except RecordingError:
            return None
        return None if start is None else self._first_of(env, start)

    def _first_of(self, env: int, start: EpisodeStart) -> EpisodeStart | None:
        """Return the first start of the environment of an episode."""
        return first_of(start) if start.first is not None else self._start_of(env, 0)

    def history(self, job: Job) -> Job | None:
        """Return a job that begins earlier, at the last seeded reset or the first.

        None: it does already.
        """
        start = job.parts[0].start
        # A column, or a state of each row, says all there is to know.
        if job.is_history or (start and {COLUMN, STATES} & start.state.keys()):
            return None
        try:
            base = self._seeded_before(job.env, job.parts[0].index)
            if base is None:
                return None
            indices = range(base, job.parts[-1].index + 1)
            episodes = self._rows.of_env(job.env)
            wanted = set(job.wanted)
            return self._job(job.env, indices, wanted, episodes, is_history=True)
        except RecordingError:
            return None

    def _seeded_before(self, env: int, index: int) -> int | None:
        """Return the last episode before another that had a seed, or the first.

        Of the same environment; None: there is none.
        """
        own = self._start_of(env, index)
        if own is None or own.first == {}:
            return None
        first = self._first_of(env, own)
        for base in range(index - 1, -1, -1):
            start = self._start_of(env, base)
            if start is None:
                continue
            if self._first_of(env, start) != first:
                return None
            if base == 0 or start.seed is not None or start.first == {}:
                return base
        return None

    def _missing(
        self,
        episode: Episode,
        chosen: frozenset[int] | None,
        impossible: Sequence[range],
        episodes: Sequence[Episode],
    ) -> set[int]:
        stop = self._stop_of(episode, episodes)
        rows = range(episode.start, stop)
        return {
            row
            for row in (rows if chosen is None else chosen.intersection(rows))
            if not any(row in one for one in impossible)
            and not self._reader.is_shown(row, episode.env, self._camera)
        }

    def _stop_of(self, episode: Episode, episodes: Sequence[Episode]) -> int:
        """Return the row after the last that shows an episode's pictures."""
        following = episode.index + 1
        limit = (
            episodes[following].start if following < len(episodes) else self._num_rows
        )
        idle = self._kinds[episode.stop : limit, episode.env] == IDLE
        return episode.stop + (len(idle) if idle.all() else int(np.argmin(idle)))

    def _base_of(self, env: int, index: int) -> int:
        """Return the episode from which a replay of another one begins."""
        for base in range(index, -1, -1):
            start = self._start_of(env, base)
            if start is not None:
                if start.problem:
                    raise RecordingError(start.problem)
                return base
        raise RecordingError("it is not known from where its first episode began")

    def _start_of(self, env: int, index: int) -> EpisodeStart | None:
        data = self._recording.start_of(env, index)
        return None if data is None else unpack_start(data)

    def _job(
        self,
        env: int,
        indices: range,
        wanted: set[int],
        episodes: Sequence[Episode],
        *,
        is_history: bool = False,
    ) -> Job:
        parts = [
            EpisodePart(
                index,
                self._start_of(env, index),
                list(self._recorded_rows(episodes[index], episodes, wanted)),
            )
            for index in indices
        ]
        start = parts[0].start
        assert start is not None
        is_first = not (indices.start if start.first is None else start.first)
        is_own = is_first and min(wanted) == episodes[indices.start].start
        first = None if is_own else self._first_of(env, start)
        return Job(env, parts, frozenset(wanted), first, is_history)

    def _recorded_rows(
        self, episode: Episode, episodes: Sequence[Episode], wanted: set[int]
    ) -> Iterator[RecordedRow]:
        # Nothing is stepped for rows after the last wanted one.
        env, last = episode.env, max(wanted)
        stop = min(self._stop_of(episode, episodes), last + 1)
        rewards = self._rows.rewards(episode.start, stop)[:, env].tolist()
        ends = self._rows.ends(episode.start, stop)[:, env].tolist()
        steps = self._rows.env_steps(episode.start, stop)[:, env].tolist()
        for offset, row in enumerate(range(episode.start, stop)):
            extras = self._recording.extras(row)
            action = extras.get(ACTION)
            step = steps[offset] - steps[offset - 1] if offset else 1
            yield RecordedRow(
                row,
                int(self._kinds[row, env]),
                rewards[offset],
                (bool(ends[offset] & TERMINATED), bool(ends[offset] & TRUNCATED)),
                None if action is None or step > 1 else np.array(action[env]),
                {
                    name: np.array(values[env])
                    for name, values in extras.items()
                    if name != ACTION
                },
            )
