"""What recorders elsewhere send to the process of a cache, and what it answers.

Over a connection of which both ends have shown that they know its key; they are then
as close as processes that one of them has started, and messages are pickled.
"""

from __future__ import annotations

import contextlib
import pickle
import socket
import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer._replay.recipe import Recipe

# -- from a recorder


class Declaration(NamedTuple):
    """The first message: what a recorder records.

    Attributes:
        num_envs: Of its calls.
        order: Of its process among those that the same process has started.
        pid: Of its process.
        fps: Of its pictures, if the environment says so.
        metadata: For `FrameCache.metadata`.
        recipe: How its pictures are made later; None: they are made now.
        renders_ended: Its episodes are rendered when they have ended.
    """

    num_envs: int
    order: tuple[int, ...]
    pid: int
    fps: float | None
    metadata: dict[str, Any]
    recipe: Recipe | None
    renders_ended: bool = False


class Begun(NamedTuple):
    """The first row is recorded: there will be blocks."""


class Sealed(NamedTuple):
    """Rows."""

    block: SealedBlock


class Finished(NamedTuple):
    """The last message: all rows were sent."""


# -- to a recorder


class Accepted(NamedTuple):
    """Rows are taken.

    Attributes:
        recipe_number: Of the recording's recipes, the one of this recorder.
    """

    recipe_number: int


class Refused(NamedTuple):
    """Rows are not taken, and why: a sentence."""

    reason: str


class Filed(NamedTuple):
    """A block is in the cache."""


class Closing(NamedTuple):
    """The cache is about to be closed: rows that wait are wanted now."""


# -- how they travel

# When a machine that vanished is found out: it is asked after so many seconds without
# a word, so often, so many times. A minute, as a network may be away for a while; the
# system's own time is over two hours.
_KEEPALIVE = {
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPALIVE": 10,  # macOS's name of it
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 10,
}


def connection_of(sock: socket.socket) -> Connection[Any, Any]:
    """Return a connection that has taken over a socket."""
    sock.setblocking(True)
    # Blocks go out at once; a machine that vanished is found out.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return Connection(sock.detach())


def send(connection: Connection[Any, Any], message: object) -> None:
    """Send a message.

    Raises:
        OSError: The other end has closed it.
    """
    try:
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:
        # A function of the user's, in a recipe, as of a notebook.
        import cloudpickle  # type: ignore[import-untyped]  # it has no types

        data = cloudpickle.dumps(message)
    connection.send_bytes(data)


def receive(connection: Connection[Any, Any]) -> Any:
    """Return the next message.

    Raises:
        EOFError, OSError: The other end has closed it.
    """
    return pickle.loads(connection.recv_bytes())


def close_quietly(connection: Connection[Any, Any]) -> None:
    """Close a connection, in whichever state it is."""
    with contextlib.suppress(OSError):
        connection.close()


class TimeLimit:
    """Whether the time of `ended_after` was over."""

    has_passed = False


@contextlib.contextmanager
def ended_after(
    limit_s: float, connection: Connection[Any, Any]
) -> Iterator[TimeLimit]:
    """End a connection where what is done with it here takes longer.

    Whatever waits for the other end raises then. A thread, as a message may stop in
    its middle, and multiprocessing's handshake takes no time limit.
    """
    limit = TimeLimit()
    sock = socket.socket(fileno=connection.fileno())

    def end() -> None:
        limit.has_passed = True
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield limit
    finally:
        timer.cancel()
        timer.join()
        sock.detach()  # it is the connection's
