"""What a worker is sent, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rollout_viewer._errors import RolloutViewerError
    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer.sources._collect.jobs import Job
    from rollout_viewer.sources._collect.runner import EnvDeclaration

# Calls for which transitions are asked at once.
STEPS_AT_ONCE = 32

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
    """An episode; None: there is none."""

    job: Job | None


class Granted(NamedTuple):
    """So many transitions may be done; 0: no more."""

    num_steps: int


class Filed(NamedTuple):
    """A block is in the cache."""


class Stop(NamedTuple):
    """Hand over what there is, and end."""


# -- from a worker


class Ready(NamedTuple):
    """The environment is made."""

    declaration: EnvDeclaration


class WantsJob(NamedTuple):
    """An env has no episode.

    Attributes:
        has_steps: There are transitions left that were granted.
    """

    has_steps: bool


class WantsSteps(NamedTuple):
    """There are no transitions left; so many are wanted."""

    num_steps: int


class Sealed(NamedTuple):
    """Rows."""

    block: SealedBlock


class Failed(NamedTuple):
    """An exception ended the worker.

    Attributes:
        text: Its traceback.
        error: The exception, if it is one of this package: all workers would raise it.
        is_start: No environment was made.
    """

    text: str
    error: RolloutViewerError | None = None
    is_start: bool = False


class Ended(NamedTuple):
    """All rows were sent: the last message."""
