"""An exception leads whoever catches it to what was recorded before it.

A new recording is often in a temporary file, deleted with its cache: what a call that
raised would have returned is in the exception.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

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

    It gets the attribute ``cache`` and a note that says so; where it has that of a call
    within this one, ``caches`` has both, and ``cache`` stays. Another process gets the
    exception and the note without them. Of a new cache without a row, no file is left.

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
        elif num_rows > first_row and not any(one is cache for one in _caches(error)):
            what = describe() or f"rows {first_row} to {num_rows - 1}"
            with contextlib.suppress(Exception):  # of a class that takes no attributes
                _lead_to(error, cache, f"{where}: {what}")
        raise


# The attributes of an exception that are of this process alone.
_OURS = ("cache", "caches", "__reduce_ex__")


def _caches(error: BaseException) -> list[Any]:
    """Return the caches that an exception has, innermost call first."""
    one = getattr(error, "cache", None)
    return list(getattr(error, "caches", [] if one is None else [one]))


def _lead_to(error: Any, cache: FrameCache, what: str) -> None:
    caches = [*_caches(error), cache]
    name = "cache"
    if len(caches) == 1:
        error.cache = cache  # for whoever catches it
    else:
        error.caches, name = caches, f"caches[{len(caches) - 1}]"
    # A temporary recording is gone when another process would open it: a pool of
    # processes does not survive a result that cannot be loaded.
    error.__reduce_ex__ = functools.partial(_reduce_without_caches, error)
    is_file = cache.url is None and not cache.recording.is_temporary
    place = f"in {str(cache.path)!r} and " if is_file else ""
    error.add_note(
        f"{what} are kept, {place}in this exception's .{name} (in a notebook: import "
        f"sys; sys.last_value.{name})."
    )


def _reduce_without_caches(error: BaseException, protocol: int) -> Any:
    """Return what pickle keeps of an exception."""
    reduced = type(error).__reduce_ex__(error, protocol)
    match reduced:
        case (make, arguments, dict(state), *more):
            kept = {key: value for key, value in state.items() if key not in _OURS}
            return (make, arguments, kept, *more)
    return reduced
