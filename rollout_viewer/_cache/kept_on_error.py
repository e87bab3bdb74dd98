"""An exception leads whoever catches it to what was recorded before it.

A new recording is often in a temporary file, deleted with its cache: what a call that
raised would have returned is in the exception.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_viewer._cache.cache import FrameCache


@contextlib.contextmanager
def kept_on_error(
    where: str,
    cache: FrameCache,
    *,
    is_new: bool,
    describe: Callable[[], str] = lambda: "",
) -> Iterator[None]:
    """Give any exception of the block the cache, if rows came into it meanwhile.

    It gets the attribute ``cache`` and a note that says so. Of a new cache without a
    row, no file is left.

    Args:
        where: The function that the user called.
        cache: Where the block records.
        is_new: It was made for this call.
        describe: What is kept, for the note; "": which rows.
    """
    first_row = cache.num_rows
    try:
        yield
    except BaseException as error:
        num_rows = cache.num_rows
        if num_rows <= first_row and is_new:
            cache.close()
            cache.path.unlink(missing_ok=True)
        elif num_rows > first_row and getattr(error, "cache", None) is not cache:
            what = describe() or f"rows {first_row} to {num_rows - 1}"
            with contextlib.suppress(Exception):  # of a class that takes no attributes
                _lead_to(error, cache, f"{where}: {what}")
        raise


def _lead_to(error: BaseException, cache: FrameCache, what: str) -> None:
    error.cache = cache  # type: ignore[attr-defined]  # for whoever catches it
    is_file = cache.url is None and not cache.recording.is_temporary
    place = f"in {str(cache.path)!r} and " if is_file else ""
    error.add_note(
        f"{what} are kept, {place}in this exception's .cache (in a notebook: import "
        "sys; sys.last_value.cache)."
    )
