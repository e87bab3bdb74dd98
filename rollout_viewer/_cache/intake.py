"""Rows of recorders in other processes, on their way into the cache of this one.

A thread for each connection receives; one thread files, and has all that follows. Envs
of all recorders are side by side. Which are whose is decided when their first rows
come: in the order in which their processes were started, so that numbers are the
workers'. A recorder that follows one that ended takes its envs, and a group of them
that follows another takes that one's, in its own order.

Knows blocks, and how they travel. Knows nothing of what recorders record.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import secrets
import socket
import threading
import time
import weakref
from multiprocessing import AuthenticationError, util
from multiprocessing.connection import answer_challenge, deliver_challenge
from typing import TYPE_CHECKING, Any, Protocol

from rollout_viewer._cache.block_filer import BlockFiler, TakesBlocks
from rollout_viewer._cache.event_queue import get_within
from rollout_viewer._cache.remote_messages import (
    Accepted,
    Begun,
    Closing,
    Declaration,
    Filed,
    Finished,
    Refused,
    Sealed,
    close_quietly,
    connection_of,
    ended_after,
    receive,
)
from rollout_viewer._cache.remote_recorder import RemoteRecorder
from rollout_viewer._cache.remote_rows import HANDSHAKE_S, RemoteCache
from rollout_viewer._errors import (
    RolloutViewerError,
    RolloutViewerWarning,
    UnsupportedEnvError,
    warn_once,
)
from rollout_viewer._process.forks import Lock, make_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer._replay.recipe import Recipe

_KEY_BYTES = 32
# How long the first rows wait for other recorders: where it is known how many there
# are, and where it is not, and there is only a reset.
_ALL_THERE_S = 5.0
_FIRST_ROWS_S = 2.0
# How long rows wait for envs, as those of a recorder that was killed just now.
_NO_ROOM_S = 5.0
_POLL_S = 0.25
# How long a cache that is closed waits for rows that recorders have not sent.
_LAST_ROWS_S = 3.0


class RemotelyRecorded(TakesBlocks, Protocol):
    """What an intake uses of a cache."""

    @property
    def num_envs(self) -> int: ...

    def mark_fps(self, fps: float) -> None: ...

    def update_metadata(self, **metadata: Any) -> None: ...

    def add_recipe(self, recipe: Recipe) -> int: ...

    def render_ended(self, env: int, start: int, stop: int) -> None: ...

    def rendering_problems(self) -> list[str]: ...


class Intake:
    """Takes in what recorders of other processes send, for one cache.

    Args:
        cache: Where rows are filed.
        num_envs: Of all recorders together; None: of those that are there when the
            first rows come.
        host: Of this machine, as the recorders reach it.

    Attributes:
        remote: What they need to reach it.
    """

    def __init__(
        self, cache: RemotelyRecorded, num_envs: int | None, host: str
    ) -> None:
        self.arguments = num_envs, host
        self._cache = weakref.ref(cache)
        self._num_envs = num_envs
        self._filer: BlockFiler | None = None
        self._recorders: dict[int, RemoteRecorder] = {}
        self._connections: weakref.WeakSet[Connection[Any, Any]] = weakref.WeakSet()
        self._next_number = 0
        # What the filing thread is to do next. Simple: a cache may be deleted anywhere.
        self._events: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._is_closed = False
        self._socket = socket.create_server((host, 0))
        port = self._socket.getsockname()[1]
        self._key = secrets.token_bytes(_KEY_BYTES)
        self.remote = RemoteCache(host, port, self._key)
        self._thread = self._start_thread(self._run, "rollout_viewer intake")
        self._start_thread(self._accept, "rollout_viewer connections")
        finalizer = weakref.finalize(cache, self._finish)
        # Before this process ends workers that are daemons.
        util.Finalize(cache, finalizer, exitpriority=1)
        make_anew_in_children(self, rank=0)

    def _start_thread(
        self, target: Callable[[], object], name: str
    ) -> threading.Thread:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def fork_locks(self) -> list[Lock]:
        """Return nothing: the child takes nothing in."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Close the child's copies, which would keep connections open."""
        del is_whole
        self._is_closed = True
        self._socket.close()
        for connection in self._connections:
            close_quietly(connection)

    def close(self) -> None:
        """File what has come, and take no more."""
        if threading.current_thread() is self._thread:
            self._end()
        elif not self._is_closed:
            self._events.put(self._end)
            self._thread.join()

    def _finish(self) -> None:
        """Close when Python exits; only end the threads where the cache is deleted."""
        if self._cache() is None:
            self._events.put(self._end)
        else:
            self.close()

    # -- the threads of connections

    def _accept(self) -> None:
        while self._is_open():
            try:
                self._accept_one()
            except Exception as error:
                if self._is_open():
                    # As where too many files are open: there may be fewer later.
                    _warn(f"expected to connect with another process, got {error!r}")
                    time.sleep(_POLL_S)
        self._socket.close()

    def _accept_one(self) -> None:
        sock, _ = self._socket.accept()
        with sock:  # which the connection takes over
            if self._is_closed:
                return
            connection = connection_of(sock)
        try:
            self._connections.add(connection)
            self._next_number += 1
            recorder = RemoteRecorder(self._next_number, connection)
            self._start_thread(
                functools.partial(self._receive, recorder), "rollout_viewer recorder"
            )
        except Exception:
            close_quietly(connection)
            raise

    def _receive(self, recorder: RemoteRecorder) -> None:
        connection = recorder.connection
        try:
            with ended_after(HANDSHAKE_S, connection):
                deliver_challenge(connection, self._key)
                answer_challenge(connection, self._key)
                declaration = receive(connection)
            if not isinstance(declaration, Declaration):
                raise TypeError(f"expected a declaration, got {declaration!r:.100}")
        except (OSError, EOFError, AuthenticationError):
            close_quietly(connection)
            return
        except Exception as error:  # as where a module is missing here
            recorder.answer(Refused(repr(error)))
            close_quietly(connection)
            return
        self._events.put(functools.partial(self._declare, recorder, declaration))
        try:
            while not isinstance(message := receive(connection), Finished):
                if isinstance(message, Begun):
                    recorder.has_begun = True
                    continue
                if not isinstance(message, Sealed):
                    raise TypeError(f"expected rows, got {message!r:.100}")
                block = message.block
                self._events.put(functools.partial(self._take, recorder, block))
            recorder.has_finished = True
        except (OSError, EOFError):
            pass
        except Exception as error:
            _warn(f"expected to receive rows of another process, got {error!r}")
            recorder.answer(Refused(repr(error)))
        finally:
            self._events.put(functools.partial(self._leave, recorder))

    # -- the thread that files

    def _run(self) -> None:
        while not self._is_closed:
            try:
                with contextlib.suppress(queue.Empty):
                    get_within(self._events, self._wait_s())()
                while self._is_open() and self._file(is_last=False):
                    pass
            except Exception as error:  # one recorder's fault is not the others'
                _warn(f"expected to record rows of another process, got {error!r}")

    def _is_open(self) -> bool:
        return not self._is_closed

    def _wait_s(self) -> float | None:
        if self._filer is not None and self._filer.has_waiting:
            return self._filer.wait_s()
        is_waiting = any(
            one.waiting or one.has_left for one in self._recorders.values()
        )
        return _POLL_S if is_waiting else None

    def _declare(self, recorder: RemoteRecorder, declaration: Declaration) -> None:
        recorder.declaration = declaration
        cache = self._cache()
        try:
            if cache is None:
                raise RolloutViewerError("the cache is closed")
            number = _declare(cache, declaration)
        except Exception as error:  # metadata of an environment may be anything
            known = isinstance(error, RolloutViewerError)
            recorder.answer(Refused(str(error) if known else repr(error)))
            close_quietly(recorder.connection)
            return
        self._recorders[recorder.number] = recorder
        recorder.answer(Accepted(number))

    def _take(self, recorder: RemoteRecorder, block: SealedBlock) -> None:
        if recorder.envs is None or self._filer is None:
            recorder.since = recorder.since or time.monotonic()
            recorder.waiting.append(block)
        else:
            self._filer.add(recorder.number, block)

    def _leave(self, recorder: RemoteRecorder) -> None:
        recorder.has_left = True
        recorder.last_number = self._next_number
        close_quietly(recorder.connection)

    def _file(self, *, is_last: bool) -> bool:
        """File blocks that are due; return whether there were any."""
        cache = self._cache()
        if cache is None:
            return False
        self._number_recorders(cache, is_last=is_last)
        self._drop_ended()
        filer = self._filer
        if filer is None:
            return False
        active = [
            one.number
            for one in self._recorders.values()
            if one.envs is not None and not one.has_left
        ]
        if not (filer.is_due(active) or (is_last and filer.has_waiting)):
            return False
        try:
            rows = filer.file()
            filed, over = rows.workers, [one.episode for one in rows.over]
        except Exception as error:
            filed, over = filer.discard(), []
            _warn(f"expected to file rows of another process, got {error}")
        for number in filed:
            self._recorders[number].answer(Filed())
        self._render(cache, over)
        return True

    def _render(self, cache: RemotelyRecorded, episodes: Sequence[Episode]) -> None:
        """Have episodes rendered that have ended, of recorders that want that."""
        owners = {
            env: one for one in self._recorders.values() for env in one.envs or ()
        }
        for episode in episodes:
            owner = owners.get(episode.env)
            if owner is not None and owner.renders(episode.env):
                cache.render_ended(episode.env, episode.start, episode.stop)
        for problem in cache.rendering_problems():
            with contextlib.suppress(RolloutViewerWarning):  # made an error by a filter
                warn_once(problem)

    # -- whose envs are which

    def _number_recorders(self, cache: RemotelyRecorded, *, is_last: bool) -> None:
        """Give envs to the recorders that have sent rows."""
        waiting = self._waiting()
        if not waiting or not (is_last or self._are_all_there(cache, waiting)):
            return
        waiting = [
            one
            for one in self._recorders.values()
            if one.waiting or one.was_killed_early
        ]
        if self._filer is None:
            # Those of this process without a row may only be asked what they are.
            waiting = [
                one
                for one in self._recorders.values()
                if one.waiting
                or one.was_killed_early
                or not (one.has_left or (one.is_here and not one.has_begun))
            ]
            found = sum(one.num_envs for one in waiting)
            self._num_envs = self._num_envs or cache.num_envs or found
            self._filer = BlockFiler(cache, self._num_envs)
        later = self._replacements()
        for recorder in sorted(waiting, key=lambda one: one.order):
            if recorder.number not in later:
                self._give_envs(recorder, self._filer)

    def _waiting(self) -> list[RemoteRecorder]:
        """Return the recorders that have rows and no envs."""
        return [one for one in self._recorders.values() if one.waiting]

    def _replacements(self) -> set[int]:
        """Return the numbers of those that wait for the envs of one that was killed.

        For each one that was killed early, the first that connected after that: it
        gets envs when the other one's rows are filed.
        """
        found: set[int] = set()
        killed = [one for one in self._recorders.values() if one.was_killed_early]
        for early in sorted(killed, key=lambda one: one.last_number):
            later = (
                number
                for number, one in self._recorders.items()
                if number > early.last_number and number not in found
                if one.envs is None and one.num_envs == early.num_envs
            )
            found.update(number for number in [next(later, None)] if number)
        return found

    def _are_all_there(
        self, cache: RemotelyRecorded, waiting: Sequence[RemoteRecorder]
    ) -> bool:
        """Whether the order of envs may be decided, as rows of some have come."""
        age_s = time.monotonic() - min(one.since for one in waiting)
        declared = [one for one in self._recorders.values() if one.envs is None]
        found = sum(one.num_envs for one in declared)
        if self._filer is not None:
            # They follow others. Those that have no row may never get any.
            has_all = all(one.waiting for one in declared if not one.has_left)
            is_full = found >= self._num_free_envs()
            return (has_all and is_full) or age_s >= _FIRST_ROWS_S
        if num_envs := self._num_envs or cache.num_envs:
            return found >= num_envs or age_s >= _ALL_THERE_S
        # They are, where all make their environments before any takes a step.
        has_steps = any(block.num_rows > 1 for o in waiting for block in o.waiting)
        return has_steps or age_s >= _FIRST_ROWS_S

    def _num_free_envs(self) -> int:
        assert self._num_envs is not None
        return self._num_envs - sum(
            len(one.envs or ()) for one in self._recorders.values()
        )

    def _give_envs(self, recorder: RemoteRecorder, filer: BlockFiler) -> None:
        first = self._free_env(recorder.num_envs)
        if first is not None:
            recorder.envs = range(first, first + recorder.num_envs)
            filer.add_worker(recorder.number, recorder.envs)
            while recorder.waiting:
                filer.add(recorder.number, recorder.waiting.popleft())
        elif recorder.waiting and time.monotonic() - recorder.since > _NO_ROOM_S:
            reason = (
                f"more than the {self._num_envs} envs of the cache. Pass "
                "cache.remote(num_envs=...), of all recorders together"
            )
            _warn(f"expected recorders of other processes, got {reason}")
            recorder.answer(Refused(reason))
            recorder.waiting.clear()
            del self._recorders[recorder.number]

    def _free_env(self, count: int) -> int | None:
        """Return the first of so many free envs; None: there are none."""
        assert self._num_envs is not None
        taken = {
            env for one in self._recorders.values() for env in one.envs or range(0)
        }
        for first in range(self._num_envs - count + 1):
            if taken.isdisjoint(range(first, first + count)):
                return first
        return None

    def _drop_ended(self) -> None:
        """Forget recorders that have left, and all of whose rows are filed."""
        for recorder in list(self._recorders.values()):
            if not recorder.has_left or recorder.waiting:
                continue
            is_first = self._filer is None
            if recorder.was_killed_early and (is_first or self._waiting()):
                continue  # it has a place among them
            if recorder.envs is not None and self._filer is not None:
                if self._filer.waits(recorder.number):
                    continue
                if recorder.has_finished:
                    cache = self._cache()
                    if cache is not None:
                        self._render(cache, self._filer.running(recorder.number))
                else:
                    with contextlib.suppress(RolloutViewerError):
                        self._filer.lose(recorder.number)
                self._filer.drop_worker(recorder.number)
            del self._recorders[recorder.number]

    # -- the end

    def _end(self) -> None:
        if self._is_closed:
            return
        with contextlib.suppress(Exception):
            if self._cache() is not None:
                self._file_last()
        self._is_closed = True
        for recorder in self._recorders.values():
            recorder.answer(Refused("a cache that was closed"))
            close_quietly(recorder.connection)
        with contextlib.suppress(OSError):
            # Nothing else ends a thread that accepts connections everywhere.
            socket.create_connection(self._socket.getsockname(), timeout=1).close()

    def _file_last(self) -> None:
        """Ask all recorders for their rows, and file them."""
        for recorder in self._recorders.values():
            recorder.answer(Closing())
        until = time.monotonic() + _LAST_ROWS_S
        while not all(one.has_left for one in self._recorders.values()):
            left_s = until - time.monotonic()
            if left_s <= 0:
                break
            with contextlib.suppress(queue.Empty):
                get_within(self._events, left_s)()
            while self._file(is_last=True):
                pass
        while self._file(is_last=True):
            pass


def _declare(cache: RemotelyRecorded, declaration: Declaration) -> int:
    """Keep what an environment declares; return the number of its recipe."""
    if declaration.fps is not None:
        cache.mark_fps(declaration.fps)
    cache.update_metadata(**declaration.metadata)
    if declaration.recipe is None:
        return 0
    if len(declaration.recipe.specs) > 1:
        raise UnsupportedEnvError(
            "record: expected equal environments in a batch for render='later' in "
            "another process's cache, got different ones. Record each by itself."
        )
    return cache.add_recipe(declaration.recipe)


def _warn(what: str) -> None:
    with contextlib.suppress(RolloutViewerWarning):  # made an error by a filter
        warn_once(f"FrameCache.remote: {what}.")
