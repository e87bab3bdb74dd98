"""What a worker is sent, and what it answers."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._errors import RolloutViewerError
    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer.sources._collect.jobs import Job
    from rollout_viewer.sources._collect.runner import EnvDeclaration

# -- to a worker


class Start(NamedTuple):
    """Begin: the recording has the environment's declaration.

    Attributes:
        recipe_number: Of the recording's recipes, the one of this environment.
        is_limited: Transitions are to be asked for.
    """

    recipe_number: int
    is_limited: bool


class Assigned(NamedTuple):
    """Episodes, to be collected in this order; (): there is none."""

    jobs: tuple[Job, ...]


class Granted(NamedTuple):
    """So many transitions may be done; 0: no more, if they were not asked for ahead."""

    num_steps: int


class Filed(NamedTuple):
    """The oldest blocks, so many, are in the cache."""

    num_blocks: int = 1


class Stop(NamedTuple):
    """Hand over what there is, and end."""


# -- from a worker


class Ready(NamedTuple):
    """The environment is made."""

    declaration: EnvDeclaration


class WantsJobs(NamedTuple):
    """There are no episodes left, or few.

    Attributes:
        num_jobs: How many are wanted at most.
        has_steps: There are transitions left that were granted.
        is_ahead: Some episode is left, or runs; none need be given.
    """

    num_jobs: int
    has_steps: bool
    is_ahead: bool


class WantsSteps(NamedTuple):
    """There are no transitions left, or few.

    Attributes:
        num_steps: How many are wanted.
        num_envs: That are stepped at once: as many are of use.
        is_ahead: Some are left; none need be granted.
    """

    num_steps: int
    num_envs: int
    is_ahead: bool


class Sealed(NamedTuple):
    """Rows."""

    block: SealedBlock


class Failed(NamedTuple):
    """An exception ended the worker.

    Attributes:
        text: Its traceback.
        error: The exception, if it is one of this package: all workers would raise it.
        is_start: No environment was made.
        unbegun: Episodes that it was given and has not begun, by their numbers.
    """

    text: str
    error: RolloutViewerError | None = None
    is_start: bool = False
    unbegun: tuple[int, ...] = ()


class Ended(NamedTuple):
    """All rows were sent: the last message.

    Attributes:
        unbegun: Episodes that it was given and has not begun, by their numbers.
    """

    unbegun: tuple[int, ...] = ()


class Pickled:
    """A message that was pickled, and is itself again where it arrives."""

    def __init__(self, message: object) -> None:
        self._data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)

    def __reduce__(self) -> tuple[Callable[[bytes], object], tuple[bytes]]:
        return pickle.loads, (self._data,)


class Several(NamedTuple):
    """Messages that came together, in this order."""

    messages: list[Any]
