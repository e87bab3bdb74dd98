"""What cannot be recorded does not end a run.

An adapter reads rewards, ends, actions and observations beside each call of an
environment. What it raises there is a warning, once, and the call has no row: the next
one counts its step, whose reward is NaN unless the recorder has it already. Pictures
are the recorder's. Knows recorders. Knows no environment.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rollout_viewer._recorder.faults import always_raises

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    @contextlib.contextmanager
    def _recorded(self, call: str) -> Iterator[None]:
        """Surround what is done to record a call, "reset" or "step".

        Raises:
            Exception: It is the first of its kind, or one that always is raised.
        """
        recorder = self._guarded_recorder
        num_calls = recorder.num_calls
        try:
            yield
        except Exception as error:
            if always_raises(error) or call not in self._known_calls:
                raise
            if call == "step" and recorder.num_calls == num_calls:
                recorder.add_unknown_step()
            recorder.warning.warn(
                error,
                f"This {call} has no row, and is counted by the next one; so are later "
                "ones like it, which are not reported.",
            )
        else:
            if call not in self._known_calls:
                self._known_calls |= {call}
