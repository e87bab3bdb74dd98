"""Rows of a recorder, on their way to a cache of another process.

`RemoteCache` is where to; it travels to the recorder's process. `RemoteRows` is what a
recorder there has in place of a cache. Knows blocks, and how they travel. Knows nothing
of what becomes of them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import socket
import threading
import weakref
from multiprocessing import AuthenticationError, util
from multiprocessing.connection import answer_challenge, deliver_challenge
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.block_builder import BlockBuilder
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
    send,
)
from rollout_viewer._cache.unfiled import Unfiled
from rollout_viewer._errors import RecordingError, warn_once
from rollout_viewer._process.forks import Lock, make_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection

    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer._replay.recipe import Recipe

# Blocks that wait to be sent.
_MAX_UNSENT = 8
_POLL_S = 0.25
_CONNECT_S = 30.0
# How long both ends may take to show that they know the key, and the cache to answer.
HANDSHAKE_S = 60.0
# How long the end of a recording waits for the process that files it.
_FINISH_S = 30.0
# How long the last rows wait for the call that is recorded: it may wait for a block to
# be sent, which the same thread does.
_LAST_TRY_S = 0.1


class RemoteCache:
    """Where recorders of other processes record: a cache of the one that made this.

    Made by `FrameCache.remote`. It can be pickled, captured by functions, and is the
    same in a forked child. Whoever has it can send rows, and messages that are
    unpickled: it is for processes of your own.

    Args:
        host: Of the cache's process.
        port: There.
        key: Which both ends have.
    """

    def __init__(self, host: str, port: int, key: bytes) -> None:
        self._address = host, port
        self._key = key

    def __repr__(self) -> str:
        return f"<RemoteCache at {self._address[0]}:{self._address[1]}>"

    def connect(self, declaration: Declaration) -> tuple[Connection[Any, Any], int]:
        """Return a connection to the cache, and the number of the recorder's recipe.

        Raises:
            RecordingError: There is none.
        """
        connection: Connection[Any, Any] | None = None
        try:
            connection = connection_of(
                socket.create_connection(self._address, timeout=_CONNECT_S)
            )
            with ended_after(HANDSHAKE_S, connection) as limit:
                try:
                    answer_challenge(connection, self._key)
                    deliver_challenge(connection, self._key)
                    send(connection, declaration)
                    answer = receive(connection)
                except (OSError, EOFError) as error:
                    if limit.has_passed:
                        raise TimeoutError(
                            f"no answer in {HANDSHAKE_S:.0f} s"
                        ) from error
                    raise
            if not isinstance(answer, Accepted):
                raise EOFError(answer.reason)
        except (OSError, EOFError, AuthenticationError) as error:
            if connection is not None:
                close_quietly(connection)
            raise RecordingError(
                f"record: expected the cache at {self._address[0]}:{self._address[1]}, "
                f"got {error!r}. The process that made it must be running, with the "
                "cache open; from other machines, pass its address: "
                "cache.remote(host=...)."
            ) from error
        return connection, answer.recipe_number


class RemoteRows(BlockBuilder):
    """Encodes rows and sends them, at the latest after about a second.

    What is sent is filed, whatever becomes of this process. Once the cache can no
    longer be reached, rows are dropped, with one warning.

    Args:
        remote: Where to.
        num_envs: Of the recorder.
        fps: Of its pictures.
        metadata: Of its environment.
        recipe: How its pictures are made later.
        renders_ended: Its episodes are rendered there when they have ended.
        lock: Held by the recorder while a call is recorded.

    Attributes:
        recipe_number: Of the recording's recipes, the one of this recorder.

    Raises:
        RecordingError: The cache cannot be reached.
    """

    def __init__(
        self,
        remote: RemoteCache,
        num_envs: int,
        *,
        fps: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        recipe: Recipe | None = None,
        renders_ended: bool = False,
        lock: threading.Lock,
    ) -> None:
        self._lock = lock
        self._pid = os.getpid()
        self._remote = remote
        self._declaration = Declaration(
            num_envs,
            # How the workers of vector environments and collectors are numbered; it
            # has no public name.
            tuple(getattr(multiprocessing.current_process(), "_identity", ())),
            self._pid,
            fps,
            dict(metadata or {}),
            recipe,
            renders_ended,
        )
        self._is_lost = False
        self._sender: _Sender | None = None
        self._sender = sender = self._connect()
        super().__init__(self._send)
        self.recipe_number = sender.recipe_number
        # A forked worker ends without running what Python runs at exit.
        self._at_exit = util.Finalize(
            None, _finish, args=(weakref.ref(self),), exitpriority=0
        )
        make_anew_in_children(self, rank=0)

    def fork_locks(self) -> list[Lock]:
        """Return nothing: a recorder of the child has rows of its own."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Leave the connection to the parent."""
        del is_whole
        if self._sender is not None:
            close_quietly(self._sender.connection)
        self._sender = None

    def _connect(self) -> _Sender:
        connection, number = self._remote.connect(self._declaration)
        sender = _Sender(connection, number, weakref.ref(self))
        sender.start()
        return sender

    @property
    def is_lost(self) -> bool:
        """Whether rows are dropped, as the cache can no longer be reached."""
        return self._is_lost or (self._sender is not None and self._sender.is_lost)

    # -- what a recorder uses

    def append(self, frames: Any, **row: Any) -> int:
        """Append one row; see `BlockBuilder.append`."""
        if self._sender is None:  # after `finish`
            self._connect_again()
        if self.is_lost:
            return self.num_rows - 1
        assert self._sender is not None
        self._sender.begin()
        return super().append(frames, **row)

    def _connect_again(self) -> None:
        try:
            self._sender = self._connect()
        except RecordingError as error:
            self._is_lost = True
            _warn(str(error))

    def _send(self, block: SealedBlock) -> None:
        assert self._sender is not None
        self._sender.put(block)

    def try_seal(self, *, is_last: bool) -> bool:
        """Send rows that wait, if they are old or the last ones; the sender's thread.

        Returns:
            False where a call is recorded now.
        """
        if not self._lock.acquire(timeout=_LAST_TRY_S if is_last else 0):
            return False
        try:
            if is_last:
                self.seal()
            else:
                self.seal_if_old()
        finally:
            self._lock.release()
        return True

    def finish(self) -> None:
        """Send all rows, and wait until they are in the cache.

        The recorder's place there is free then. It has another one if more rows come.
        """
        if self._pid != os.getpid() or self._sender is None:
            return
        with self._lock:
            self.seal()
            sender, self._sender = self._sender, None
        sender.finish()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.finish()
            self._at_exit.cancel()


def _finish(reference: weakref.ref[RemoteRows]) -> None:
    if (rows := reference()) is not None:
        with contextlib.suppress(Exception):
            rows.finish()


def _warn(text: str) -> None:
    with contextlib.suppress(Warning):  # made an error by a filter
        warn_once(text)


class _Sender(threading.Thread):
    """Sends the blocks of one recorder, and counts those that are filed.

    A thread, so that no Ctrl-C stops in the middle of a message.
    """

    def __init__(
        self,
        connection: Connection[Any, Any],
        recipe_number: int,
        rows: weakref.ref[RemoteRows],
    ) -> None:
        super().__init__(name="rollout_viewer remote rows", daemon=True)
        self.connection = connection
        self.recipe_number = recipe_number
        self.is_lost = False
        self._rows = rows
        self._todo: queue.Queue[SealedBlock | Callable[[], object]] = queue.Queue(
            _MAX_UNSENT
        )
        self._unfiled = Unfiled()
        self._has_begun = False
        self._newest: SealedBlock | None = None
        # The cache wants all rows there are, and is closed then.
        self._is_last = False

    def begin(self) -> None:
        """Announce rows, once."""
        if not self._has_begun:
            self._has_begun = True
            self._put(lambda: send(self.connection, Begun()))

    def put(self, block: SealedBlock) -> None:
        """Send a block; waits until most of those before are filed."""
        self._put(block)

    def finish(self) -> None:
        """End, when all that was put is in the cache, or it takes too long."""
        self._put(self._end)
        if threading.current_thread() is not self:
            self.join(_FINISH_S)
            if self.is_alive():
                self._lose(f"blocks that it has not filed in {_FINISH_S:.0f} s")

    def _put(self, todo: SealedBlock | Callable[[], object]) -> None:
        while not self.is_lost and self.is_alive():
            # This thread itself puts something only where there is room.
            with contextlib.suppress(queue.Full):
                self._todo.put(todo, timeout=_POLL_S)
                return

    # -- the thread

    def run(self) -> None:
        """Send what is put, until the end."""
        try:
            while not self.connection.closed:
                self._do_next()
        except (OSError, EOFError) as error:
            self._lose(f"a connection that ended ({error!r})")
        except Exception as error:  # whatever it is, no call may wait for this thread
            self._lose(f"{error!r} where they are sent")

    def _do_next(self) -> None:
        try:
            todo = self._todo.get(timeout=_POLL_S)
        except queue.Empty:
            self._do_nothing()
        else:
            self._do(todo)
        if self._is_last and not self.connection.closed:
            self._do_last()

    def _do(self, todo: SealedBlock | Callable[[], object]) -> None:
        if callable(todo):
            todo()
            return
        if todo is self._newest:  # put again, as its call was interrupted
            return
        self._newest = todo
        self._read_answers(0)
        while self._unfiled.is_full:
            self._read_answers(1)
        self._unfiled.add(todo)
        send(self.connection, Sealed(todo))

    def _do_nothing(self) -> None:
        """Do what is due where no block is full."""
        self._read_answers(0)
        if (rows := self._rows()) is not None and not self._is_last:
            rows.try_seal(is_last=False)

    def _do_last(self) -> None:
        """Send the rows that there are now, and end, however many would follow."""
        rows = self._rows()
        if rows is None or self._todo.full() or not rows.try_seal(is_last=True):
            return  # it has put its end, or is in the middle of a call
        for _ in range(self._todo.qsize()):
            self._do(self._todo.get_nowait())
            if self.connection.closed:
                return
        self._end()
        self._lose("a cache that was closed")

    def _read_answers(self, count: int) -> None:
        """Read at least so many, and all that are there."""
        while count > 0 or self.connection.poll():
            answer = receive(self.connection)
            if isinstance(answer, Refused):
                self._lose(answer.reason)
                raise EOFError
            if isinstance(answer, Closing):
                self._is_last = True
                continue
            assert isinstance(answer, Filed)
            self._unfiled.note_filed()
            count -= 1

    def _end(self) -> None:
        while self._unfiled:
            self._read_answers(1)
        send(self.connection, Finished())
        close_quietly(self.connection)

    def _lose(self, reason: str) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        close_quietly(self.connection)
        _warn(
            "record: expected to send rows to the process of the cache, got "
            f"{reason}. Those that it does not have are lost, and no more are "
            "recorded; the environment goes on."
        )
