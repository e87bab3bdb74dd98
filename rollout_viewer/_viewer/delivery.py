"""Whether pages have what was sent to them: each message may be lost on its way.

The kernel counts what it sent: rows, manifests, what became known of episodes, and
changes of bookmarks. A `beat` says these counts, a page answers with its own (`have`),
and what it lacks is sent again. Knows counts. Sends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_viewer._page.protocol import HaveMessage

# After the last message; each further one comes twice as late, up to the longest.
FIRST_BEAT_S = 0.5
LONGEST_BEAT_S = 30.0
# A page that answers none of them, for four minutes, is not there.
MAX_BEATS = 12


class Missing(NamedTuple):
    """What a page lacks of what was sent.

    Attributes:
        manifest: Whether it has not the newest.
        marks: Whether it has not the newest bookmarks.
        num_rows: The rows that it has; None: all.
        about: How much it knows of episodes; None: all.
    """

    manifest: bool = False
    marks: bool = False
    num_rows: int | None = None
    about: int | None = None


_NOTHING = Missing()


class Delivery:
    """Counts what was sent, and which pages have said that they have it."""

    def __init__(self) -> None:
        self._manifest = 0
        self._marks = 0
        self._num_beats = 0
        self._beat_at = 0.0
        self._complete: set[str] = set()
        self._is_pending = False

    # -- what was sent

    def note_manifest(self) -> int:
        """Return the number of a manifest that is sent now."""
        self._manifest += 1
        return self._manifest

    def note_marks(self) -> int:
        """Return the number of bookmarks that are sent now."""
        self._marks += 1
        return self._marks

    def note_sent(self, now: float) -> None:
        """Something was sent that pages must have."""
        self._is_pending = True
        self._complete.clear()
        self._num_beats, self._beat_at = 0, now + FIRST_BEAT_S

    def resume(self) -> None:
        """A page is there again: beats may be answered."""
        self._num_beats = min(self._num_beats, 1)
        self._is_pending = True

    def give_up(self) -> None:
        """No page will answer: send no beats, until something else was sent."""
        self._num_beats = MAX_BEATS

    # -- beats

    @property
    def is_complete(self) -> bool:
        """Whether beats have ended: all pages have everything, or none answers."""
        return not self._is_pending or self.has_given_up

    @property
    def has_given_up(self) -> bool:
        """Whether beats were not answered for long."""
        return self._num_beats >= MAX_BEATS

    def is_beat_due(self, now: float, pages: Iterable[str]) -> bool:
        """Whether to send a beat now."""
        self._is_pending = not self._complete.issuperset(pages)
        if not self._is_pending or self.has_given_up or now < self._beat_at:
            return False
        self._num_beats += 1
        self._beat_at = now + min(FIRST_BEAT_S * 2**self._num_beats, LONGEST_BEAT_S)
        return True

    def beat(self, session: str, num_rows: int, about: int) -> dict[str, Any]:
        """Return a beat."""
        return {
            "kind": "beat",
            "session": session,
            "manifest": self._manifest,
            "num_rows": num_rows,
            "about": about,
            "marks": self._marks,
        }

    def missing(
        self, have: HaveMessage, session: str | None, num_rows: int, about: int
    ) -> Missing:
        """Return what a page lacks; a page of another session has nothing.

        What is on its way counts as lacking, and may be sent twice.
        """
        is_same = have["session"] == session
        has_rows, has_about = (have["num_rows"], have["about"]) if is_same else (0, 0)
        missing = Missing(
            manifest=not is_same or have["manifest"] < self._manifest,
            marks=self._marks > (have["marks"] if is_same else 0),
            num_rows=has_rows if has_rows < num_rows else None,
            about=has_about if has_about < about else None,
        )
        if missing == _NOTHING:
            self._complete.add(have["page"])
        return missing

    def forget(self, page: str) -> None:
        """A page is there no more."""
        self._complete.discard(page)
