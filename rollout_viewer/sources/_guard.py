"""What cannot be recorded does not end a run.

An adapter reads rewards, ends, actions and observations beside each call of an
environment. What it raises there is a warning, once, and the call has no row: the next
one counts its step, whose reward is NaN unless the recorder has it already. Pictures
are the recorder's. Knows recorders. Knows no environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._recorder.faults import always_raises

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def _record_call(
        self, call: str, record: Callable[..., object], *args: Any
    ) -> None:
        """Record a call, "reset" or "step", by ``record(*args)``.

        Raises:
            Exception: It is the first of its kind, or one that always is raised.
        """
        num_calls = self._guarded_recorder.num_calls
        try:
            record(*args)
        except Exception as error:
            is_known = call in self._known_calls
            if not (is_known and self._survives(call, num_calls, error)):
                raise
        else:
            if call not in self._known_calls:
                self._known_calls |= {call}

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
