"""What cannot be recorded does not end a run.

An adapter reads rewards, ends, actions and observations beside each call of an
environment. What it raises there is a warning, once, and the call has no row: the next
one counts its step, whose reward is NaN unless the recorder has it already. Pictures
are the recorder's. Knows recorders. Knows no environment.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from rollout_viewer._recorder.faults import always_raises

if TYPE_CHECKING:
    from rollout_viewer._recorder.recorder import Recorder


class SurvivesFaults:
    """Records calls of an environment, by a recorder.

    A subclass has that recorder as `recorder`, or returns it as `_guarded_recorder`.
    """

    # The kinds of calls that were recorded once. Before, what is raised shows that
    # such an environment cannot be recorded at all.
    _known_calls: frozenset[str] = frozenset()

    @property
    def _guarded_recorder(self) -> Recorder:
        recorder: Recorder = self.recorder  # type: ignore[attr-defined]
        return recorder

    def _recorded(self, call: str) -> _Guarded:
        """Surround what is done to record a call, "reset" or "step".

        Raises:
            Exception: It is the first of its kind, or one that always is raised.
        """
        return _Guarded(self, call)

    def _survives(self, call: str, num_calls: int, error: BaseException) -> bool:
        """Return whether what was raised is no more than a warning, which this gives.

        Args:
            call: A known one, which has no row then.
            num_calls: Calls that the recorder had counted before.
            error: What was raised as it was recorded.
        """
        if not isinstance(error, Exception) or always_raises(error):
            return False
        recorder = self._guarded_recorder
        if call == "step" and recorder.num_calls == num_calls:
            recorder.add_unknown_step()
        recorder.warning.warn(
            error,
            f"This {call} has no row, and is counted by the next one; so are later "
            "ones like it, which are not reported.",
        )
        return True


class _Guarded(AbstractContextManager[None]):
    """A context, written out: that of a generator takes three times as long."""

    __slots__ = ("_call", "_num_calls", "_owner")

    def __init__(self, owner: SurvivesFaults, call: str) -> None:
        self._owner = owner
        self._call = call
        self._num_calls = owner._guarded_recorder.num_calls

    def __enter__(self) -> None:
        """Begin the call."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> bool:
        """End the call; return whether what was raised is no more than a warning."""
        owner, call = self._owner, self._call
        is_known = call in owner._known_calls
        if error is None:
            if not is_known:
                owner._known_calls |= {call}
            return False
        return is_known and owner._survives(call, self._num_calls, error)
