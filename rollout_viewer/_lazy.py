"""Names of a package that are imported when they are first asked for.

Importing `rollout_viewer` costs numpy and the standard library; a name that needs
more brings it along (PEP 562).
"""

from __future__ import annotations

import importlib
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import requires

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def lazy_names(
    package: str,
    homes: Mapping[str, str],
    *,
    libraries: Sequence[str] = (),
    extra: str = "",
    advice: str = "",
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package.

    Args:
        package: Its ``__name__``.
        homes: Name -> module in the package, or ``"module:name in there"``.
        libraries: What its modules import that may not be installed; a name then
            raises MissingDependencyError, which names `extra`.
        extra: The extra of this project that installs them; empty: there is none.
        advice: What to do where they are not installed, as a sentence.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, _, attribute = homes[name].partition(":")
        needed = requires(name, extra, *libraries, advice=advice)
        with needed if libraries else nullcontext():
            module = importlib.import_module(f"{package}.{home}")
        value = getattr(module, attribute or name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return __getattr__, __dir__
